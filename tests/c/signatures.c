/* A host that signs as often as NUMBER in its environment says, always the same digest, so that what a signature costs
 * can be counted from outside: nothing is allocated here.
 */
#include "signer.h"

int main(int argc, char **argv) {
    const char *number = getenv("NUMBER");
    CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
    CK_BYTE digest[32] = {0}, signature[SIGNATURE];
    CK_SLOT_ID slot;

    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!CHECK(number != NULL) || !CHECK(first_slot(p11, &slot))) {
        return finish();
    }
    struct signer signer = open_signer(slot, 1);
    for (long left = atol(number); left > 0 && failures == 0; left--) {
        CK_ULONG length = sizeof signature;
        CHECK_RV(p11->C_SignInit(signer.session, &mechanism, signer.private_key), CKR_OK);
        CHECK_RV(p11->C_Sign(signer.session, digest, sizeof digest, signature, &length), CKR_OK);
        CHECK(length == sizeof signature);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
