/* With fork = "transparent" a child goes on where its parent was: sessions, handles, login. What it does from then on
 * is its own. */
#include "signer.h"

static CK_SLOT_ID slot;
static struct signer signer;
/* A session object. */
static CK_OBJECT_HANDLE data;
/* One that stands in the file of aliases, where there is such a file. */
static CK_OBJECT_HANDLE kept;

static int children;

/* Runs `body` in a child. */
static void in_child(const char *name, void (*body)(void)) {
    run(name, body);
    children++;
}

static CK_STATE state(CK_SESSION_HANDLE session) {
    CK_SESSION_INFO info = {.state = CK_UNAVAILABLE_INFORMATION};
    CHECK_RV(p11->C_GetSessionInfo(session, &info), CKR_OK);
    CHECK(info.slotID == slot);
    return info.state;
}

static void check_data(void) {
    CK_BYTE value[16];
    CK_ATTRIBUTE attribute = {CKA_VALUE, value, sizeof value};
    CHECK_RV(p11->C_GetAttributeValue(signer.session, data, &attribute, 1), CKR_OK);
    CHECK(attribute.ulValueLen == 4 && memcmp(value, "data", 4) == 0);
}

static CK_OBJECT_HANDLE find_kept(void) {
    return getenv("KEPT") ? find_labelled(signer.session, CKO_CERTIFICATE, getenv("KEPT")) : CK_INVALID_HANDLE;
}

/* Without a word to the module before. */
static void signs(void) {
    CHECK_RV(sign(&signer), CKR_OK);
    CHECK_RV(sign(&signer), CKR_OK);
}

static void knows_handles(void) {
    CK_INFO info;
    CK_TOKEN_INFO token;
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
    CHECK_RV(p11->C_GetTokenInfo(slot, &token), CKR_OK);
    CHECK(token.ulSessionCount == 1);
    CHECK(state(signer.session) == CKS_RO_USER_FUNCTIONS);
    check_data();
    CHECK(find_kept() == kept);
    CHECK(find(signer.session, CKO_PRIVATE_KEY) == signer.private_key);
    CHECK(find(signer.session, CKO_PUBLIC_KEY) == signer.public_key);
    CHECK_RV(log_in(signer.session), CKR_USER_ALREADY_LOGGED_IN);
    signs();
}

/* A handle that the parent gave is not given again. */
static void opens_sessions(void) {
    struct signer other = open_signer(slot, 0);
    CHECK(other.session != signer.session && other.private_key == signer.private_key);
    CHECK_RV(sign(&other), CKR_OK);
    CHECK_RV(p11->C_CloseSession(other.session), CKR_OK);
    signs();
    CHECK_RV(p11->C_CloseSession(signer.session), CKR_OK);
    CHECK_RV(p11->C_CloseSession(signer.session), CKR_SESSION_HANDLE_INVALID);
}

static void logs_out(void) {
    CK_MECHANISM mechanism = {CKM_ECDSA_SHA256, NULL, 0};
    CHECK_RV(p11->C_Logout(signer.session), CKR_OK);
    CHECK(state(signer.session) == CKS_RO_PUBLIC_SESSION);
    CHECK_RV(p11->C_SignInit(signer.session, &mechanism, signer.private_key), CKR_USER_NOT_LOGGED_IN);
    struct signer again = open_signer(slot, 1);
    CHECK_RV(sign(&again), CKR_OK);
}

/* What OpenSSL's libp11 does: it takes the answer for a yes. */
static void initializes(void) {
    CHECK_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    signs();
}

/* What OpenSSL's pkcs11-provider does. */
static void begins_anew(void) {
    CK_SESSION_INFO info;
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_GetSessionInfo(signer.session, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    CHECK_RV(p11->C_GetSessionInfo(signer.session, &info), CKR_SESSION_HANDLE_INVALID);
    struct signer fresh = open_signer(slot, 1);
    CHECK_RV(sign(&fresh), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

static void finalizes_after_use(void) {
    signs();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

/* Nobody has logged in, or not any more. */
static void initializes_logged_out(void) {
    CHECK_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    struct signer own = open_signer(slot, 1);
    CHECK_RV(sign(&own), CKR_OK);
}

/* There is no life to go on with. */
static void begins(void) {
    CK_INFO info;
    CHECK_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
}

/* Once with the middle generation never having called the module, once with it having changed something. */
static void has_children(void) {
    in_child("grandchild", knows_handles);
    signs();
    in_child("grandchild after use", knows_handles);
    CHECK_RV(p11->C_Logout(signer.session), CKR_OK);
    in_child("grandchild after logout", initializes_logged_out);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    in_child("grandchild after the end", begins);
}

/* Operations stay behind. */
static void has_no_operations(void) {
    CK_BYTE out[SIGNATURE];
    CK_ULONG length = sizeof out, count;
    CK_OBJECT_HANDLE found;
    CHECK_RV(p11->C_SignUpdate(signer.session, (CK_BYTE *)"x", 1), CKR_OPERATION_NOT_INITIALIZED);
    CHECK_RV(p11->C_SignFinal(signer.session, out, &length), CKR_OPERATION_NOT_INITIALIZED);
    CHECK_RV(p11->C_DigestFinal(signer.session, out, &length), CKR_OPERATION_NOT_INITIALIZED);
    CHECK_RV(p11->C_FindObjects(signer.session, &found, 1, &count), CKR_OPERATION_NOT_INITIALIZED);
    signs();
}

static void operations_stay_behind(void) {
    CK_MECHANISM ecdsa = {CKM_ECDSA_SHA256, NULL, 0}, sha = {CKM_SHA256, NULL, 0};
    CK_BYTE out[SIGNATURE];
    CK_ULONG length = sizeof out, count;
    CK_OBJECT_HANDLE found;
    CHECK_RV(p11->C_SignInit(signer.session, &ecdsa, signer.private_key), CKR_OK);
    CHECK_RV(p11->C_SignUpdate(signer.session, (CK_BYTE *)"x", 1), CKR_OK);
    CHECK_RV(p11->C_DigestInit(signer.session, &sha), CKR_OK);
    CHECK_RV(p11->C_FindObjectsInit(signer.session, NULL, 0), CKR_OK);
    in_child("operations", has_no_operations);
    CHECK_RV(p11->C_SignUpdate(signer.session, (CK_BYTE *)"y", 1), CKR_OK);
    CHECK_RV(p11->C_SignFinal(signer.session, out, &length), CKR_OK);
    length = sizeof out;
    CHECK_RV(p11->C_DigestFinal(signer.session, out, &length), CKR_OK);
    CHECK_RV(p11->C_FindObjects(signer.session, &found, 1, &count), CKR_OK);
    CHECK_RV(p11->C_FindObjectsFinal(signer.session), CKR_OK);
}

/* The first call of a child may come from many threads at once. */
static void *first_call(void *rv) {
    CK_SESSION_INFO info;
    *(CK_RV *)rv = p11->C_GetSessionInfo(signer.session, &info);
    return NULL;
}

static void has_threads(void) {
    pthread_t threads[8];
    CK_RV rvs[COUNT(threads)];
    for (size_t i = 0; i < COUNT(threads); i++) {
        CHECK(pthread_create(&threads[i], NULL, first_call, &rvs[i]) == 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_RV(rvs[i], CKR_OK);
    }
    signs();
}

int main(int argc, char **argv) {
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BYTE value[] = "data";
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_VALUE, value, 4}};

    deadly_sigpipe();
    p11 = functions(load(argc, argv));
    in_child("before C_Initialize", begins);
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        return finish();
    }
    in_child("before anything else", initializes_logged_out);
    signer = open_signer(slot, 1);
    CHECK_RV(p11->C_CreateObject(signer.session, template, COUNT(template), &data), CKR_OK);
    CHECK_RV(sign(&signer), CKR_OK);
    kept = find_kept();

    void (*const bodies[])(void) = {signs,       knows_handles,       opens_sessions, logs_out,   initializes,
                                    begins_anew, finalizes_after_use, has_children,   has_threads};
    for (size_t i = 0; i < COUNT(bodies); i++) {
        in_child("child", bodies[i]);
        CHECK_RV(sign(&signer), CKR_OK);
        check_data();
    }
    operations_stay_behind();

    /* What the parent ends, a child does not get. */
    CHECK_RV(p11->C_Logout(signer.session), CKR_OK);
    in_child("after logout", initializes_logged_out);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    in_child("after C_Finalize", begins);
    CHECK(children == (int)COUNT(bodies) + 5);
    check_sigpipe();
    return finish();
}
