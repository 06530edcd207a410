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
#include "signer.h"

#define CHILDREN 5

/* The HSM directly, and through a relay that can break off. */
static CK_SLOT_ID direct, relayed;

/* A child starts from the beginning. What of the parent it may not use is the matter of fork.c. */
static void child(void) {
    alarm(60);
    /* So does OpenSSL's pkcs11-provider, whatever it finds. */
    CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
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

/* The fork comes in the middle of another thread's call, and the children run while both threads sign on. */
static void while_signing(struct signer *signer) {
    pid_t children[CHILDREN];
    struct beside beside[1];
    unsigned long before = signer->count;

    start_beside(beside, COUNT(beside), direct);
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
    end_beside(beside, COUNT(beside));
    CHECK(beside[0].count > CHILDREN && signer->count - before > CHILDREN);
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
    deadly_sigpipe();
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

    check_sigpipe();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
