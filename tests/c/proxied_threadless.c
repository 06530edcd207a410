/* A host that allows no threads, where all slots but SLOTS of the environment need one. */
#include "signer.h"

int main(int argc, char **argv) {
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK};
    CK_SLOT_ID slots[4];
    CK_ULONG count = COUNT(slots);
    const char *wanted = getenv("SLOTS");

    p11 = functions(load(argc, argv));
    if (wanted == NULL || atoi(wanted) == 0) {
        CHECK_RV(p11->C_Initialize(&arguments), CKR_NEED_TO_CREATE_THREADS);
        CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
        CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
        CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
        return finish();
    }
    CHECK_RV(p11->C_Initialize(&arguments), CKR_OK);
    CHECK_RV(p11->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    CHECK(count == (CK_ULONG)atoi(wanted));
    struct signer signer = open_signer(slots[0], 1);
    CHECK_RV(sign(&signer), CKR_OK);
    count = COUNT(slots);
    CHECK_RV(p11->C_GetSlotList(CK_FALSE, slots, &count), CKR_OK);
    CHECK(count == (CK_ULONG)atoi(wanted) + 1);
    CK_SLOT_INFO info;
    CHECK_RV(p11->C_GetSlotInfo(slots[count - 1], &info), CKR_OK);
    CHECK((info.flags & CKF_TOKEN_PRESENT) == 0);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
