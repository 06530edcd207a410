/* C_Finalize while a call waits for a server that says nothing: it does not wait for long, new calls are refused at once,
 * and what the call in flight needs stays until it has ended. */
#include "signer.h"

#include <time.h>

/* The configuration's timeouts.call, and what C_Finalize may take, in seconds; both with what a busy machine adds. */
#define CALL 8
#define FINALIZE 5
#define BUSY 3

static CK_SESSION_HANDLE session;
static CK_RV told;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *list(void *argument) {
    (void)argument;
    told = p11->C_FindObjectsInit(session, NULL, 0);
    return NULL;
}

static double refused_after;

static void *ask(void *argument) {
    const struct timespec pause = {0, 300000000};
    CK_INFO info;
    (void)argument;
    nanosleep(&pause, NULL);
    double begun = now();
    if (p11->C_GetInfo(&info) == CKR_CRYPTOKI_NOT_INITIALIZED) {
        refused_after = now() - begun;
    }
    return NULL;
}

int main(int argc, char **argv) {
    const struct timespec pause = {0, 500000000};
    CK_SLOT_ID slot;
    pthread_t lister, asker;

    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return finish();
    }
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    double begun = now();
    CHECK(pthread_create(&lister, NULL, list, NULL) == 0);
    nanosleep(&pause, NULL);
    refused_after = -1;
    CHECK(pthread_create(&asker, NULL, ask, NULL) == 0);
    double finalizing = now();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(now() - finalizing < FINALIZE + BUSY);
    CHECK(pthread_join(asker, NULL) == 0);
    CHECK(refused_after >= 0 && refused_after < 1);
    /* The next life does not wait for the last call of the one before. */
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    CHECK(pthread_join(lister, NULL) == 0);
    CHECK_RV(told, CKR_DEVICE_ERROR);
    CHECK(now() - begun < CALL + BUSY);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
