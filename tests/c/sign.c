/* A host that signs as often as it is told, so that what a signature costs can be counted from outside.
 *
 * Called with the path of the module and a number. The same digest is signed each time; nothing is allocated here.
 */
#include "check.h"

#define PIN "1234"
#define LABEL "ec-p256"

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODULE NUMBER\n", argv[0]);
        return 2;
    }
    CK_FUNCTION_LIST_3_2 *p11 = functions(load(2, argv));
    CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, LABEL, sizeof LABEL - 1}};
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {0}, signature[64];
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
    CK_SLOT_ID slot;
    CK_ULONG count = 0;

    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!CHECK(first_slot(p11, &slot))) {
        return status();
    }
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    CHECK_RV(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)PIN, sizeof PIN - 1), CKR_OK);
    CHECK_RV(p11->C_FindObjectsInit(session, template, COUNT(template)), CKR_OK);
    CHECK_RV(p11->C_FindObjects(session, &key, 1, &count), CKR_OK);
    CHECK_RV(p11->C_FindObjectsFinal(session), CKR_OK);
    for (long left = atol(argv[2]); left > 0 && failures == 0; left--) {
        CK_ULONG length = sizeof signature;
        CHECK_RV(p11->C_SignInit(session, &mechanism, key), CKR_OK);
        CHECK_RV(p11->C_Sign(session, digest, sizeof digest, signature, &length), CKR_OK);
        CHECK(length == sizeof signature);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return status();
}
