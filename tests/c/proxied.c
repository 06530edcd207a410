/* A host whose slot is behind a proxy, and whose connections break. SIGPIPE has its default action here: a write of the
 * module to a connection that was reset would be the end. What the program needs from outside it says on standard
 * output, and goes on when a line comes on standard input:
 *
 *   break off  connections end, each new one before the client's second word
 *   mend       they last again
 */
#include "signer.h"

static void ask(const char *what) {
    char line[16];
    printf("%s\n", what);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        fprintf(stderr, "%s: nobody did it\n", what);
        exit(2);
    }
}

/* The module blocks signals while it makes its threads, and no longer. */
static void check_mask(const sigset_t *expected) {
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int signal = 1; signal < SIGRTMAX; signal++) {
        CHECK(sigismember(&mask, signal) == sigismember(expected, signal));
    }
}

int main(int argc, char **argv) {
    sigset_t mask;
    CK_SLOT_ID slot;

    deadly_sigpipe();
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return finish();
    }
    struct signer signer = open_signer(slot, 1);
    CHECK_RV(sign(&signer), CKR_OK);
    check_mask(&mask);
    ask("break off");
    for (int i = 0; i < 20; i++) {
        CHECK_RV(sign(&signer), CKR_DEVICE_ERROR);
    }
    ask("mend");
    for (int i = 0; i < 3; i++) {
        CHECK_RV(sign(&signer), CKR_OK);
    }
    check_mask(&mask);
    check_sigpipe();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    check_mask(&mask);
    return finish();
}
