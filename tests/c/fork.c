/* A child of an initialised process is not initialised ("Applications and processes" in the PKCS#11 usage guide), may
 * become so, and leaves its parent alone. */
#include "check.h"

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;

/* The module works, without and with an argument that was good in the parent. */
static void works(void) {
    CK_INFO info;
    CK_ULONG count = 0;
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
    CHECK_RV(p11->C_GetSlotList(CK_FALSE, NULL, &count), CKR_OK);
    CHECK(session == 0 || count > 0);
}

static void child(int number) {
    CK_INFO info;
    CK_ULONG count = 0;
    CK_SESSION_INFO session_info;

    /* The alarm of the parent is not inherited. */
    alarm(30);
    CHECK_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_GetSlotList(CK_FALSE, NULL, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_GetSessionInfo(session, &session_info), CKR_CRYPTOKI_NOT_INITIALIZED);
    if (number % 4 == 3) {
        return; /* Most children never care. */
    }
    if (number % 2 == 0) {
        /* Some applications finalise first in the child. */
        CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    }
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    CHECK_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    works();
    CHECK_RV(p11->C_GetSessionInfo(session, &session_info), CKR_SESSION_HANDLE_INVALID);
    if (number % 4 != 1) {
        /* The others leave it to the end of the process. */
        CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
        CHECK_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    }
}

int main(int argc, char **argv) {
    pid_t children[20];
    CK_SESSION_INFO info;

    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (first_slot(p11, &slot)) {
        CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    }
    works();
    fflush(NULL);
    for (int i = 0; i < (int)COUNT(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            failures = 0;
            child(i);
            /* Half of them run the exit handlers of the process. */
            if (i < 10) {
                exit(status());
            }
            _exit(status());
        }
        CHECK(children[i] > 0);
        works();
    }
    for (size_t i = 0; i < COUNT(children); i++) {
        CHECK_CHILD("child", children[i]);
    }
    works();
    if (session != 0) {
        CHECK_RV(p11->C_GetSessionInfo(session, &info), CKR_OK);
        CHECK_RV(p11->C_CloseSession(session), CKR_OK);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
