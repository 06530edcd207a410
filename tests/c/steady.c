/* Four threads that sign, with pauses in which their connections are idle, whatever becomes of those: no signature fails,
 * and no SIGPIPE comes. SIGNATURES in the environment says how many. */
#include "signer.h"

#define THREADS 4
/* Signatures between two pauses. */
#define RUN 50

static unsigned long wanted;

static void *sign_with_pauses(void *argument) {
    const struct timespec pause = {0, 20000000};
    struct beside *beside = argument;
    while (beside->count < wanted / THREADS && (beside->rv = sign_only(&beside->signer)) == CKR_OK) {
        if (++beside->count % RUN == 0) {
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    const char *text = getenv("SIGNATURES");
    struct beside threads[THREADS];
    struct signer login;
    CK_SLOT_ID slot;

    wanted = text == NULL ? 0 : strtoul(text, NULL, 10);
    CHECK(wanted >= THREADS);
    deadly_sigpipe();
    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return finish();
    }
    login = open_signer(slot, 1);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct beside){.signer = open_signer(slot, 0)};
    }
    /* A PIN is never sent twice, so connections must have lasted until here. */
    printf("logged in\n");
    fflush(stdout);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i].thread, NULL, sign_with_pauses, &threads[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i].thread, NULL) == 0);
        CHECK_RV(threads[i].rv, CKR_OK);
        CHECK(threads[i].count == wanted / THREADS);
    }
    CHECK_RV(sign(&login), CKR_OK);
    check_sigpipe();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
