/* For the programs that sign with a key of the emulator. */
#ifndef P11REST_TEST_SIGNER_H
#define P11REST_TEST_SIGNER_H

#include "check.h"

#include <pthread.h>
#include <signal.h>

/* The compiler is told: that of tests/support/emulator.rs. */
#ifndef PIN
#error "compile with -DPIN=..."
#endif
#define LABEL "ec-p256"
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

static inline CK_OBJECT_HANDLE find_labelled(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class, const char *label) {
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, (void *)label, strlen(label)}};
    CK_OBJECT_HANDLE found = CK_INVALID_HANDLE;
    CK_ULONG count = 0;
    if (CHECK_RV(p11->C_FindObjectsInit(session, template, COUNT(template)), CKR_OK)) {
        CHECK_RV(p11->C_FindObjects(session, &found, 1, &count), CKR_OK);
        CHECK(count == 1);
        CHECK_RV(p11->C_FindObjectsFinal(session), CKR_OK);
    }
    return found;
}

static inline CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class) {
    return find_labelled(session, class, LABEL);
}

static inline CK_RV log_in(CK_SESSION_HANDLE session) {
    return p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)PIN, sizeof PIN - 1);
}

static inline struct signer open_signer(CK_SLOT_ID slot, int login) {
    struct signer signer = {0};
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &signer.session), CKR_OK);
    if (login) {
        CHECK_RV(log_in(signer.session), CKR_OK);
    }
    signer.private_key = find(signer.session, CKO_PRIVATE_KEY);
    signer.public_key = find(signer.session, CKO_PUBLIC_KEY);
    return signer;
}

/* C_SignInit and C_Sign without a check, for threads: check() is not for two of them. */
static inline CK_RV sign_only(const struct signer *signer) {
    CK_MECHANISM mechanism = {CKM_ECDSA_SHA256, NULL, 0};
    CK_BYTE signature[SIGNATURE];
    CK_ULONG length = sizeof signature;
    CK_RV rv = p11->C_SignInit(signer->session, &mechanism, signer->private_key);
    return rv == CKR_OK ? p11->C_Sign(signer->session, (CK_BYTE *)"beside", 6, signature, &length) : rv;
}

/* Signs something new. A signature must be that of this message: an answer to somebody else's is none. */
static inline CK_RV sign(struct signer *signer) {
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

/* Threads that sign, each in a session of its own, until they are told to stop or a signature fails. */
#define MOST_BESIDE 8

struct beside {
    struct signer signer;
    pthread_t thread;
    unsigned long count;
    CK_RV rv;
};

static volatile sig_atomic_t beside_over;

static inline void *sign_on(void *argument) {
    struct beside *beside = argument;
    while (!beside_over && (beside->rv = sign_only(&beside->signer)) == CKR_OK) {
        beside->count++;
    }
    return NULL;
}

/* The user is logged in. */
static inline void start_beside(struct beside *beside, size_t count, CK_SLOT_ID slot) {
    beside_over = 0;
    for (size_t i = 0; i < count; i++) {
        beside[i] = (struct beside){.signer = open_signer(slot, 0)};
    }
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&beside[i].thread, NULL, sign_on, &beside[i]) != 0) {
            fprintf(stderr, "no thread\n");
            exit(2);
        }
    }
}

static inline void end_beside(struct beside *beside, size_t count) {
    beside_over = 1;
    for (size_t i = 0; i < count; i++) {
        CHECK(pthread_join(beside[i].thread, NULL) == 0);
        CHECK_RV(beside[i].rv, CKR_OK);
        CHECK(beside[i].count > 0);
        CHECK_RV(p11->C_CloseSession(beside[i].signer.session), CKR_OK);
    }
}

/* Whoever started this program may have ignored SIGPIPE, as Rust's runtime does: exec hands that on. */
static inline void deadly_sigpipe(void) {
    struct sigaction deadly = {.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGPIPE, &deadly, NULL) == 0);
}

static inline void check_sigpipe(void) {
    struct sigaction still;
    CHECK(sigaction(SIGPIPE, NULL, &still) == 0 && still.sa_handler == SIG_DFL);
}

#endif
