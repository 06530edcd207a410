/* A host that signs while it forks, and while the HSM fails under it.
 *
 * A signal that the module provokes is the host's death: SIGPIPE has its default action here. What the program needs
 * from outside it says on standard output, a word a line, and goes on when a line comes on standard input:
 *
 *   kill       the HSM is gone: nobody listens, and every connection has ended
 *   restart    it is back at the same address
 *   break off  connections of the second slot end, each new one before the client's last word of the TLS handshake
 *   mend       they last again
 */
#include "check.h"

#include <pthread.h>
#include <signal.h>

#define PIN "1234"
#define LABEL "ec-p256"
#define CHILDREN 5
/* r and s of a P-256 signature. */
#define SIGNATURE 64

/* A session of its own with the halves of the key. */
struct signer {
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE private_key, public_key;
    /* Makes each message another one. */
    unsigned long count;
};

static CK_FUNCTION_LIST_3_2 *p11;
/* The HSM directly, and through a relay that can break off. */
static CK_SLOT_ID direct, relayed;

static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class) {
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, LABEL, sizeof LABEL - 1}};
    CK_OBJECT_HANDLE found = CK_INVALID_HANDLE;
    CK_ULONG count = 0;
    if (CHECK_RV(p11->C_FindObjectsInit(session, template, COUNT(template)), CKR_OK)) {
        CHECK_RV(p11->C_FindObjects(session, &found, 1, &count), CKR_OK);
        CHECK(count == 1);
        CHECK_RV(p11->C_FindObjectsFinal(session), CKR_OK);
    }
    return found;
}

static struct signer open_signer(CK_SLOT_ID slot, int login) {
    struct signer signer = {0};
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &signer.session), CKR_OK);
    if (login) {
        CHECK_RV(p11->C_Login(signer.session, CKU_USER, (CK_UTF8CHAR *)PIN, sizeof PIN - 1), CKR_OK);
    }
    signer.private_key = find(signer.session, CKO_PRIVATE_KEY);
    signer.public_key = find(signer.session, CKO_PUBLIC_KEY);
    return signer;
}

/* Signs something new. A signature must be that of this message: an answer to somebody else's is none. */
static CK_RV sign(struct signer *signer) {
    CK_MECHANISM mechanism = {CKM_ECDSA_SHA256, NULL, 0};
    CK_BYTE message[64], signature[SIGNATURE];
    CK_ULONG length = sizeof signature;
    int told = snprintf((char *)message, sizeof message, "%ld/%lu/%lu", (long)getpid(), signer->session,
                        signer->count++);

    if (!CHECK_RV(p11->C_SignInit(signer->session, &mechanism, signer->private_key), CKR_OK)) {
        return CKR_OK;
    }
    CK_RV rv = p11->C_Sign(signer->session, message, (CK_ULONG)told, signature, &length);
    if (rv == CKR_OK) {
        CHECK(length == SIGNATURE);
        CHECK_RV(p11->C_VerifyInit(signer->session, &mechanism, signer->public_key), CKR_OK);
        CHECK_RV(p11->C_Verify(signer->session, message, (CK_ULONG)told, signature, length), CKR_OK);
    }
    return rv;
}

/* A child starts from the beginning. What of the parent it may not use is the matter of fork.c. */
static void child(void) {
    alarm(60);
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    struct signer signer = open_signer(direct, 1);
    for (int i = 0; i < 3; i++) {
        CHECK_RV(sign(&signer), CKR_OK);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    exit(status());
}

static pid_t start_child(void) {
    fflush(NULL);
    pid_t started = fork();
    if (started == 0) {
        failures = 0;
        child();
    }
    CHECK(started > 0);
    return started;
}

/* The connection is idle in the parent: a child that used it, or closed it in words of TLS, would break it. */
static void one_after_the_other(struct signer *signer) {
    for (int i = 0; i < CHILDREN; i++) {
        CHECK_CHILD("child", start_child());
        CHECK_RV(sign(signer), CKR_OK);
    }
}

static volatile sig_atomic_t over;

/* What the signing thread counted; check() is not for two threads. */
static unsigned long signed_beside;
static CK_RV failed_beside;

static void *sign_on(void *argument) {
    const struct signer *signer = argument;
    CK_MECHANISM mechanism = {CKM_ECDSA_SHA256, NULL, 0};
    CK_BYTE signature[SIGNATURE];
    while (!over && failed_beside == CKR_OK) {
        CK_ULONG length = sizeof signature;
        failed_beside = p11->C_SignInit(signer->session, &mechanism, signer->private_key);
        if (failed_beside == CKR_OK) {
            failed_beside = p11->C_Sign(signer->session, (CK_BYTE *)"beside", 6, signature, &length);
        }
        signed_beside++;
    }
    return NULL;
}

/* The fork comes in the middle of another thread's call, and the children run while both threads sign on. */
static void while_signing(struct signer *signer) {
    pthread_t thread;
    pid_t children[CHILDREN];
    struct signer beside = open_signer(direct, 0);
    unsigned long before = signer->count;

    if (!CHECK(pthread_create(&thread, NULL, sign_on, &beside) == 0)) {
        return;
    }
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = start_child();
        CHECK_RV(sign(signer), CKR_OK);
    }
    /* Until the last one has ended; WNOWAIT leaves it to be asked how. */
    for (int i = 0; i < CHILDREN; i++) {
        siginfo_t ended = {0};
        while (waitid(P_PID, (id_t)children[i], &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
            CHECK_RV(sign(signer), CKR_OK);
        }
        CHECK_CHILD("child beside the signing parent", children[i]);
    }
    over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RV(failed_beside, CKR_OK);
    CHECK(signed_beside > CHILDREN && signer->count - before > CHILDREN);
    CHECK_RV(p11->C_CloseSession(beside.session), CKR_OK);
}

/* Asks for something from outside and waits until it is so. */
static void ask(const char *what) {
    char line[16];
    printf("%s\n", what);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) {
        fprintf(stderr, "%s: nobody did it\n", what);
        exit(2);
    }
}

/* Neither the connection that has ended nor the address where nobody listens is more than a failed call. */
static void hsm_fails(struct signer *signer) {
    CHECK_RV(sign(signer), CKR_OK);
    ask("kill");
    CHECK_RV(sign(signer), CKR_DEVICE_ERROR);
    CHECK_RV(sign(signer), CKR_DEVICE_ERROR);
    ask("restart");
    for (int i = 0; i < 3; i++) {
        CHECK_RV(sign(signer), CKR_OK);
    }
    /* An end that nobody notices in between: the idle connection is of a process that is gone. */
    ask("restart");
    CHECK_RV(sign(signer), CKR_OK);
}

/* A write to a connection that was reset is what raises SIGPIPE. */
static void connection_fails(void) {
    struct signer signer = open_signer(relayed, 1);
    CHECK_RV(sign(&signer), CKR_OK);
    ask("break off");
    for (int i = 0; i < 3; i++) {
        CHECK_RV(sign(&signer), CKR_DEVICE_ERROR);
    }
    ask("mend");
    CHECK_RV(sign(&signer), CKR_OK);
}

int main(int argc, char **argv) {
    /* Whoever started this program may have ignored it, as Rust's runtime does: exec hands that on. */
    struct sigaction deadly = {.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGPIPE, &deadly, NULL) == 0);

    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    CK_SLOT_ID slots[2];
    CK_ULONG count = COUNT(slots);
    if (!CHECK_RV(p11->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK) || !CHECK(count == COUNT(slots))) {
        return finish();
    }
    direct = slots[0];
    relayed = slots[1];
    struct signer signer = open_signer(direct, 1);
    CHECK_RV(sign(&signer), CKR_OK);
    one_after_the_other(&signer);
    while_signing(&signer);
    hsm_fails(&signer);
    connection_fails();

    struct sigaction still;
    CHECK(sigaction(SIGPIPE, NULL, &still) == 0 && still.sa_handler == SIG_DFL);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
