/* The end of the process in the middle of handshakes: each signature is one of a new thread, and on a new connection, since
 * the configuration keeps none. Random numbers of the process are gone by then, and a thread that drew its first ones
 * would abort the process. LATE in the environment names the library of late.c, whose destructor comes after the
 * module's: so the threads run on for a while when those have run. */
#include "signer.h"

#define LIVES 30
#define SPAWNERS 4

static CK_SLOT_ID slot;
static struct signer signers[SPAWNERS];

static void *sign_once(void *signer) {
    sign_only(signer);
    return NULL;
}

static void *spawn_on(void *signer) {
    for (;;) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, sign_once, signer) == 0) {
            pthread_join(thread, NULL);
        }
    }
    return NULL;
}

static void linger(void) {
    const struct timespec pause = {0, 50000000L};
    nanosleep(&pause, NULL);
}

static void linger_in_a_destructor(void) {
    const char *name = getenv("LATE");
    void *library = required("LATE", name == NULL ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL));
    *(void (**)(void))required("late", dlsym(library, "late")) = linger;
}

/* The user stays logged in as long as there is a session. */
static void life(unsigned number) {
    const struct timespec pause = {0, 1000000L * (10 + number)};
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        exit(1);
    }
    for (int i = 0; i < SPAWNERS; i++) {
        pthread_t thread;
        signers[i] = open_signer(slot, i == 0);
        CHECK(pthread_create(&thread, NULL, spawn_on, &signers[i]) == 0);
    }
    nanosleep(&pause, NULL);
    exit(status());
}

int main(int argc, char **argv) {
    p11 = functions(load(argc, argv));
    linger_in_a_destructor();
    deadly_sigpipe();
    for (unsigned number = 0; number < LIVES; number++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            failures = 0;
            alarm(60);
            life(number);
        }
        CHECK(child > 0);
        CHECK_CHILD("exit while connecting", child);
    }
    return finish();
}
