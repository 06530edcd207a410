/* A signal every millisecond, whose handler does not restart system calls: no call fails of it. */
#include "usage.h"

#include <sys/time.h>

#define ROUNDS 5
#define SIGNATURES 200
/* A module that hangs ends the program. */
#define MOST_SIGNALS 100000

static volatile sig_atomic_t signals;

static void count_signal(int number) {
    (void)number;
    if (++signals > MOST_SIGNALS) {
        _exit(3);
    }
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = count_signal};
    struct itimerval timer = {{0, 1000}, {0, 1000}};
    CK_SLOT_ID slot;

    deadly_sigpipe();
    p11 = functions(load(argc, argv));
    alarm(0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        use_all(NULL);
    }
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (first_slot(p11, &slot)) {
        struct signer signer = open_signer(slot, 1);
        for (int i = 0; i < SIGNATURES; i++) {
            CHECK_RV(sign(&signer), CKR_OK);
        }
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(signals > 50);
    check_sigpipe();
    return finish();
}
