/* All that an application asks of the module, for programs that look at what it takes to answer. */
#ifndef P11REST_TEST_USAGE_H
#define P11REST_TEST_USAGE_H

#include "signer.h"

static inline void verify(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, const char *label) {
    CK_MECHANISM mechanism = {type, NULL, 0};
    CK_BYTE message[] = "message", signature[512];
    CK_ULONG length = sizeof signature;
    CK_OBJECT_HANDLE private_key = find_labelled(session, CKO_PRIVATE_KEY, label);
    CK_OBJECT_HANDLE public_key = find_labelled(session, CKO_PUBLIC_KEY, label);
    CHECK_RV(p11->C_SignInit(session, &mechanism, private_key), CKR_OK);
    CHECK_RV(p11->C_Sign(session, message, sizeof message, signature, &length), CKR_OK);
    CHECK_RV(p11->C_VerifyInit(session, &mechanism, public_key), CKR_OK);
    CHECK_RV(p11->C_Verify(session, message, sizeof message, signature, length), CKR_OK);
    signature[length - 1] ^= 1;
    CHECK_RV(p11->C_VerifyInit(session, &mechanism, public_key), CKR_OK);
    CHECK_RV(p11->C_Verify(session, message, sizeof message, signature, length), CKR_SIGNATURE_INVALID);
}

static inline void list(CK_SESSION_HANDLE session) {
    CK_OBJECT_HANDLE found[64];
    CK_ULONG count = 0;
    CHECK_RV(p11->C_FindObjectsInit(session, NULL, 0), CKR_OK);
    CHECK_RV(p11->C_FindObjects(session, found, COUNT(found), &count), CKR_OK);
    CHECK(count > 6);
    CHECK_RV(p11->C_FindObjectsFinal(session), CKR_OK);
}

static inline void draw_random(CK_SESSION_HANDLE session) {
    CK_BYTE random[100];
    CHECK_RV(p11->C_GenerateRandom(session, random, sizeof random), CKR_OK);
}

/* A life of the module, from C_Initialize with these arguments on. */
static inline void use_all(CK_C_INITIALIZE_ARGS *arguments) {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CHECK_RV(p11->C_Initialize(arguments), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return;
    }
    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    CHECK_RV(log_in(session), CKR_OK);
    list(session);
    verify(session, CKM_ECDSA_SHA256, "ec-p256");
    verify(session, CKM_SHA256_RSA_PKCS, "rsa-2048");
    verify(session, CKM_EDDSA, "ed25519");
    draw_random(session);
    CHECK_RV(p11->C_Logout(session), CKR_OK);
    CHECK_RV(p11->C_CloseSession(session), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

#endif
