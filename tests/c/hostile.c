/* Every function with NULL pointers, handles that do not exist and lengths that no memory has.
 *
 * The module must survive, must not say CKR_OK, and must blame the arguments: CKR_GENERAL_ERROR, CKR_HOST_MEMORY and
 * CKR_DEVICE_ERROR are in none of the lists, for a panic, an absurd allocation or a request to the HSM would give them.
 */
#include "check.h"
#include "functions.h"

static CK_FUNCTION_LIST_3_2 *p11;

/* What the lists of functions.h are called with. */
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE object;
static CK_SLOT_ID slot;
static CK_ULONG length, type;
static CK_FLAGS flags;
static int with_memory;

/* NULL, or zeroed memory that no other argument of the call has. */
static void *pointer(void) {
    static union {
        max_align_t aligned;
        unsigned char bytes[4096];
    } memory[16];
    static size_t next;
    if (!with_memory) {
        return NULL;
    }
    next = (next + 1) % COUNT(memory);
    return memset(&memory[next], 0, sizeof memory[next]);
}

static int listed(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void judge(const char *name, CK_RV got, int may_succeed, const CK_RV *plausible, size_t count) {
    checks++;
    if (got == CKR_OK && may_succeed) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (got == plausible[i]) {
            return;
        }
    }
    failures++;
    fprintf(stderr, "%s: got 0x%lx with session 0x%lx, object 0x%lx, slot 0x%lx, length 0x%lx, %s\n", name, got,
            session, object, slot, length, with_memory ? "memory" : "NULL");
}

static void judge_library(const char *name, CK_RV got) {
    static const CK_RV plausible[] = {CKR_ARGUMENTS_BAD, CKR_SLOT_ID_INVALID, CKR_FUNCTION_NOT_SUPPORTED,
                                      CKR_NO_EVENT, CKR_BUFFER_TOO_SMALL};
    /* Given memory, these two lack nothing. */
    static const char *const complete[] = {"C_GetInfo", "C_GetSlotList"};
    judge(name, got, with_memory && listed(name, complete, COUNT(complete)), plausible, COUNT(plausible));
}

static void judge_no_session(const char *name, CK_RV got) {
    static const CK_RV plausible[] = {CKR_SESSION_HANDLE_INVALID, CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED,
                                      CKR_FUNCTION_NOT_PARALLEL};
    judge(name, got, 0, plausible, COUNT(plausible));
}

static void judge_session(const char *name, CK_RV got) {
    static const CK_RV plausible[] = {
        CKR_ARGUMENTS_BAD,
        CKR_ATTRIBUTE_TYPE_INVALID,
        CKR_ATTRIBUTE_VALUE_INVALID,
        CKR_FUNCTION_NOT_PARALLEL,
        CKR_FUNCTION_NOT_SUPPORTED,
        CKR_KEY_HANDLE_INVALID,
        CKR_MECHANISM_INVALID,
        CKR_MECHANISM_PARAM_INVALID,
        CKR_OBJECT_HANDLE_INVALID,
        CKR_OPERATION_NOT_INITIALIZED,
        CKR_PIN_INCORRECT,
        CKR_PIN_LEN_RANGE,
        CKR_RANDOM_SEED_NOT_SUPPORTED,
        CKR_SAVED_STATE_INVALID,
        CKR_SESSION_READ_ONLY,
        CKR_TEMPLATE_INCOMPLETE,
        CKR_TEMPLATE_INCONSISTENT,
        CKR_TOKEN_WRITE_PROTECTED,
        CKR_UNWRAPPING_KEY_HANDLE_INVALID,
        CKR_USER_NOT_LOGGED_IN,
        CKR_USER_TYPE_INVALID,
        CKR_WRAPPING_KEY_HANDLE_INVALID,
    };
    /* Given memory, the first two lack nothing; nothing to cancel is no fault. */
    static const char *const complete[] = {"C_GetSessionInfo", "C_GetSessionValidationFlags"};
    static const char *const cancel[] = {
        "C_SessionCancel",       "C_EncryptInit",        "C_DecryptInit",        "C_DigestInit",
        "C_SignInit",            "C_SignRecoverInit",    "C_VerifyInit",         "C_VerifyRecoverInit",
        "C_MessageEncryptInit",  "C_MessageDecryptInit", "C_MessageSignInit",    "C_MessageVerifyInit",
        "C_VerifySignatureInit",
    };
    int may_succeed = with_memory ? listed(name, complete, COUNT(complete)) || strcmp(name, cancel[0]) == 0
                                  : listed(name, cancel, COUNT(cancel));
    judge(name, got, may_succeed, plausible, COUNT(plausible));
}

#define LIBRARY(name, ...) judge_library(#name, p11->name(__VA_ARGS__));
#define NO_SESSION(name, ...) judge_no_session(#name, p11->name(__VA_ARGS__));
#define WITH_SESSION(name, ...) judge_session(#name, p11->name(__VA_ARGS__));

/* No slot has this number, and no session these. */
static void without_a_session(void) {
    const CK_ULONG extremes[] = {0, ~0UL};
    slot = ~0UL;
    for (unsigned i = 0; i < 8; i++) {
        with_memory = i & 1;
        length = extremes[(i >> 1) & 1];
        session = object = type = flags = extremes[(i >> 2) & 1];
        LIBRARY_2_40(LIBRARY)
        CLOSE_2_40(NO_SESSION)
        SESSION_2_40(NO_SESSION)
        SESSION_3_0(NO_SESSION)
        SESSION_3_2(NO_SESSION)
    }
}

/* A length of nothing would make some of these calls good ones, so it is always absurd here. */
static void with_a_session(CK_SESSION_HANDLE open) {
    const CK_ULONG extremes[] = {0, ~0UL};
    session = open;
    length = ~0UL;
    type = ~0UL;
    flags = 0;
    for (unsigned i = 0; i < 4; i++) {
        with_memory = i & 1;
        object = extremes[i >> 1];
        SESSION_2_40(WITH_SESSION)
        SESSION_3_0(WITH_SESSION)
        SESSION_3_2(WITH_SESSION)
    }
}

static void with_a_slot(void) {
    CK_MECHANISM_TYPE mechanism;
    CK_ULONG count;
    CK_SESSION_HANDLE opened = 0;

    CHECK_RV(p11->C_GetSlotInfo(slot, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_GetTokenInfo(slot, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_GetMechanismList(slot, NULL, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_GetMechanismList(slot, &mechanism, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_GetMechanismInfo(slot, CKM_SHA256, NULL), CKR_ARGUMENTS_BAD);
    CHECK_ONE_OF(p11->C_InitToken(slot, NULL, ~0UL, NULL), CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED,
                 CKR_TOKEN_WRITE_PROTECTED);
    count = 0;
    CHECK_RV(p11->C_GetMechanismList(slot, &mechanism, &count), CKR_BUFFER_TOO_SMALL);
    CHECK(count > 1);

    CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_OpenSession(slot, 0, NULL, NULL, &opened), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    CHECK_RV(p11->C_OpenSession(slot, CKF_RW_SESSION, NULL, NULL, &opened), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
    CHECK(opened == 0);
}

/* An operation that needs no HSM, FIPS 180-4: SHA-256 of "abc". */
static void with_an_operation(CK_SESSION_HANDLE open) {
    static const CK_BYTE expected[32] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
        0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
    };
    CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
    CK_BYTE data[] = {'a', 'b', 'c'}, digest[33];
    CK_ULONG filled = 0;

    /* A parameter where there is none, and one that is not there. */
    CK_MECHANISM odd = {CKM_SHA256, data, sizeof data};
    CHECK_ONE_OF(p11->C_DigestInit(open, &odd), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
    odd.pParameter = NULL;
    CHECK_ONE_OF(p11->C_DigestInit(open, &odd), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);

    /* A failed update ends the operation, and so does a call that cannot give its result back. */
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OK);
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OPERATION_ACTIVE);
    CHECK_RV(p11->C_DigestUpdate(open, NULL, 5), CKR_ARGUMENTS_BAD);
    filled = sizeof digest;
    CHECK_RV(p11->C_DigestFinal(open, digest, &filled), CKR_OPERATION_NOT_INITIALIZED);
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OK);
    CHECK_RV(p11->C_DigestUpdate(open, data, ~0UL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OK);
    CHECK_RV(p11->C_Digest(open, data, sizeof data, digest, NULL), CKR_ARGUMENTS_BAD);

    /* Asking for the size and bringing too little keep it, section 5.2. */
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OK);
    filled = 0;
    CHECK_RV(p11->C_Digest(open, data, sizeof data, NULL, &filled), CKR_OK);
    CHECK(filled == 32);
    filled = 31;
    CHECK_RV(p11->C_Digest(open, data, sizeof data, digest, &filled), CKR_BUFFER_TOO_SMALL);
    CHECK(filled == 32);
    digest[32] = 0xA5;
    filled = ~0UL;
    CHECK_RV(p11->C_Digest(open, data, sizeof data, digest, &filled), CKR_OK);
    CHECK(filled == 32 && memcmp(digest, expected, 32) == 0 && digest[32] == 0xA5);
    CHECK_RV(p11->C_Digest(open, data, sizeof data, digest, &filled), CKR_OPERATION_NOT_INITIALIZED);

    /* No data, with and without an address. */
    CHECK_RV(p11->C_DigestInit(open, &sha256), CKR_OK);
    CHECK_RV(p11->C_DigestUpdate(open, NULL, 0), CKR_OK);
    CHECK_RV(p11->C_DigestUpdate(open, data, sizeof data), CKR_OK);
    filled = sizeof digest;
    CHECK_RV(p11->C_DigestFinal(open, digest, &filled), CKR_OK);
    CHECK(filled == 32 && memcmp(digest, expected, 32) == 0);
}

/* Lengths that fit the address space and no memory: copying so much, or only making room for it, would end the process.
 * What they are the length of is a byte; nothing beyond it may be read. */
static void with_absurd_lengths(CK_SESSION_HANDLE open) {
    const CK_ULONG huge = (CK_ULONG)1 << 45, large = (CK_ULONG)1 << 40;
    CK_OBJECT_CLASS data = CKO_DATA;
    CK_BYTE byte = 0;
    CK_OBJECT_HANDLE made = 0, found;
    CK_ULONG count;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &data, sizeof data}, {CKA_LABEL, &byte, huge}};

    CHECK_RV(p11->C_FindObjectsInit(open, template, COUNT(template)), CKR_ATTRIBUTE_VALUE_INVALID);
    CHECK_RV(p11->C_FindObjects(open, &found, 1, &count), CKR_OPERATION_NOT_INITIALIZED);
    CHECK_RV(p11->C_CreateObject(open, template, COUNT(template), &made), CKR_ATTRIBUTE_VALUE_INVALID);
    CHECK(made == 0);

    CK_BYTE iv[12] = {0};
    CK_GCM_PARAMS gcm = {iv, sizeof iv, 8 * sizeof iv, &byte, huge, 128};
    CK_MECHANISM mechanism = {CKM_AES_GCM, &gcm, sizeof gcm};
    CHECK_RV(p11->C_DecryptInit(open, &mechanism, 4), CKR_MECHANISM_PARAM_INVALID);
    gcm = (CK_GCM_PARAMS){&byte, huge, 8 * sizeof iv, NULL, 0, 128};
    CHECK_RV(p11->C_DecryptInit(open, &mechanism, 4), CKR_MECHANISM_PARAM_INVALID);
    CHECK_RV(p11->C_Decrypt(open, &byte, 1, NULL, &count), CKR_OPERATION_NOT_INITIALIZED);

    CK_RSA_PKCS_OAEP_PARAMS oaep = {CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, &byte, huge};
    mechanism = (CK_MECHANISM){CKM_RSA_PKCS_OAEP, &oaep, sizeof oaep};
    CHECK_RV(p11->C_DecryptInit(open, &mechanism, 4), CKR_MECHANISM_PARAM_INVALID);

    CHECK_RV(p11->C_Login(open, CKU_USER, &byte, large), CKR_PIN_INCORRECT);
    CHECK_RV(p11->C_Login(open, CKU_CONTEXT_SPECIFIC, &byte, large), CKR_PIN_INCORRECT);
    CHECK_RV(p11->C_LoginUser(open, CKU_USER, &byte, large, NULL, 0), CKR_PIN_INCORRECT);

    mechanism = (CK_MECHANISM){CKM_ECDSA, NULL, 0};
    CHECK_RV(p11->C_VerifySignatureInit(open, &mechanism, 4, &byte, large), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_VerifySignature(open, &byte, 1), CKR_OPERATION_NOT_INITIALIZED);
}

int main(int argc, char **argv) {
    p11 = functions(load(argc, argv));
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    without_a_session();

    if (first_slot(p11, &slot)) {
        CK_SESSION_HANDLE open = 0;
        CK_SESSION_INFO info;
        with_a_slot();
        if (CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &open), CKR_OK)) {
            with_a_session(open);
            with_an_operation(open);
            with_absurd_lengths(open);
            CHECK_RV(p11->C_GetSessionInfo(open, &info), CKR_OK);
            CHECK(info.slotID == slot && info.state == CKS_RO_PUBLIC_SESSION && info.flags == CKF_SERIAL_SESSION);
            CHECK_RV(p11->C_CloseSession(open), CKR_OK);
            CHECK_RV(p11->C_CloseSession(open), CKR_SESSION_HANDLE_INVALID);
            with_memory = 0;
            session = open;
            SESSION_2_40(NO_SESSION)
        }
    } else {
        puts("no slot with a token: sessions are not tried");
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    return finish();
}
