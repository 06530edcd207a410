/* Fifty forks, each in the middle of the calls of four other threads: no lock of theirs stops a child, and no child stops
 * them. FORK in the environment says what the configuration has: "reinitialize" or "transparent". */
#include "signer.h"

#define FORKS 50
/* How many children run at the same time. */
#define AT_ONCE 5
#define THREADS 4

static CK_SLOT_ID slot;
static struct signer signer;
static int transparent;

static void child(int number) {
    alarm(60);
    if (transparent && number % 2 == 0) {
        CHECK_RV(sign(&signer), CKR_OK);
        return;
    }
    CHECK_RV(p11->C_Finalize(NULL), transparent ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    struct signer fresh = open_signer(slot, 1);
    CHECK_RV(sign(&fresh), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

/* What a child would find half done: sessions and objects that come and go. */
static void come_and_go(void) {
    CK_SESSION_HANDLE session;
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    CHECK(find(session, CKO_PRIVATE_KEY) == signer.private_key);
    CHECK_RV(p11->C_CloseSession(session), CKR_OK);
}

int main(int argc, char **argv) {
    struct beside beside[THREADS];
    pid_t children[FORKS];
    const char *mode = getenv("FORK");

    if (mode == NULL) {
        fprintf(stderr, "FORK is not set\n");
        return 2;
    }
    transparent = strcmp(mode, "transparent") == 0;
    deadly_sigpipe();
    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return finish();
    }
    signer = open_signer(slot, 1);
    start_beside(beside, COUNT(beside), slot);
    fflush(NULL);
    for (int i = 0; i < FORKS; i++) {
        if (i >= AT_ONCE) {
            CHECK_CHILD("child", children[i - AT_ONCE]);
        }
        come_and_go();
        children[i] = fork();
        if (children[i] == 0) {
            failures = 0;
            child(i);
            exit(status());
        }
        CHECK(children[i] > 0);
        CHECK_RV(sign(&signer), CKR_OK);
    }
    for (int i = FORKS - AT_ONCE; i < FORKS; i++) {
        CHECK_CHILD("child", children[i]);
    }
    end_beside(beside, COUNT(beside));
    check_sigpipe();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
