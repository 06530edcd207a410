/* C_Initialize and C_Finalize: PKCS#11 3.2 section 5.4. */
#include "check.h"
#include "functions.h"

static CK_FUNCTION_LIST_3_2 *p11;

/* What the lists of functions.h are called with: nothing. */
static const CK_ULONG session, object, slot, length, flags, type;

static void *pointer(void) {
    return NULL;
}

#define NOT_INITIALIZED(name, ...)                                                        \
    check_rv(__FILE__, __LINE__, #name " before C_Initialize", list->name(__VA_ARGS__),   \
             CKR_CRYPTOKI_NOT_INITIALIZED, "CKR_CRYPTOKI_NOT_INITIALIZED");

static void uninitialized_2_40(const CK_FUNCTION_LIST *list) {
    INITIALIZED_2_40(NOT_INITIALIZED)
    CHECK_RV(list->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void uninitialized_3_0(const CK_FUNCTION_LIST_3_0 *list) {
    INITIALIZED_3_0(NOT_INITIALIZED)
    CHECK_RV(list->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void uninitialized_3_2(const CK_FUNCTION_LIST_3_2 *list) {
    INITIALIZED_3_2(NOT_INITIALIZED)
    CHECK_RV(list->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void uninitialized(void) {
    CK_VERSION v2_40 = {2, 40}, v3_0 = {3, 0};
    CK_INTERFACE *interface = NULL;
    if (CHECK_RV(p11->C_GetInterface(NULL, &v2_40, &interface, 0), CKR_OK)) {
        uninitialized_2_40(interface->pFunctionList);
    }
    if (CHECK_RV(p11->C_GetInterface(NULL, &v3_0, &interface, 0), CKR_OK)) {
        uninitialized_3_0(interface->pFunctionList);
    }
    uninitialized_3_2(p11);
}

static CK_RV create_mutex(void **mutex) {
    *mutex = NULL;
    return CKR_OK;
}

static CK_RV use_mutex(void *mutex) {
    (void)mutex;
    return CKR_OK;
}

/* Arguments with the callbacks that `which` has bits for. */
static CK_C_INITIALIZE_ARGS callbacks(unsigned which, CK_FLAGS with) {
    CK_C_INITIALIZE_ARGS args = {0};
    args.CreateMutex = which & 1 ? create_mutex : NULL;
    args.DestroyMutex = which & 2 ? use_mutex : NULL;
    args.LockMutex = which & 4 ? use_mutex : NULL;
    args.UnlockMutex = which & 8 ? use_mutex : NULL;
    args.flags = with;
    return args;
}

static void accepted(CK_C_INITIALIZE_ARGS *args) {
    CK_INFO info;
    CHECK_RV(p11->C_Initialize(args), CKR_OK);
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

static void refused(CK_C_INITIALIZE_ARGS *args, CK_RV expected) {
    CK_INFO info;
    CHECK_RV(p11->C_Initialize(args), expected);
    CHECK_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void locking(void) {
    const CK_FLAGS os = CKF_OS_LOCKING_OK;
    CK_C_INITIALIZE_ARGS args;

    accepted(NULL);
    args = callbacks(0, 0);
    accepted(&args);
    args = callbacks(0, os);
    accepted(&args);
    args = callbacks(15, os);
    accepted(&args);
    args = callbacks(0, os | CKF_LIBRARY_CANT_CREATE_OS_THREADS);
    accepted(&args);
    args = callbacks(15, 0);
    refused(&args, CKR_CANT_LOCK);
    for (unsigned which = 1; which < 15; which++) {
        args = callbacks(which, 0);
        refused(&args, CKR_ARGUMENTS_BAD);
        args = callbacks(which, os);
        refused(&args, CKR_ARGUMENTS_BAD);
    }
}

/* Applications pass strings of their own, which are none of our business; what begins with our prefix is. */
static void reserved(void) {
    char *others[] = {"", "foo", "config", " config=/nonexistent",
                      "configdir='sql:/nowhere' certPrefix='' flags=readOnly"};
    char *ours[] = {P11REST_RESERVED_PREFIX, P11REST_RESERVED_PREFIX "/nonexistent",
                    P11REST_RESERVED_PREFIX "/dev/null/x"};
    CK_C_INITIALIZE_ARGS args = callbacks(0, CKF_OS_LOCKING_OK);

    for (size_t i = 0; i < COUNT(others); i++) {
        args.pReserved = others[i];
        accepted(&args);
    }
    for (size_t i = 0; i < COUNT(ours); i++) {
        args.pReserved = ours[i];
        refused(&args, CKR_ARGUMENTS_BAD);
    }
    const char *path = getenv("P11REST_CONFIG");
    if (path != NULL) {
        char named[4096];
        snprintf(named, sizeof named, P11REST_RESERVED_PREFIX "%s", path);
        args.pReserved = named;
        accepted(&args);
    }
}

static void twice(void) {
    CK_INFO info;
    CK_C_INITIALIZE_ARGS args = callbacks(0, CKF_OS_LOCKING_OK);
    int something = 0;

    CHECK_RV(p11->C_Initialize(&args), CKR_OK);
    CHECK_RV(p11->C_Initialize(&args), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    CHECK_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);

    memset(&info, 0xAA, sizeof info);
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
    CHECK(info.cryptokiVersion.major == 3 && info.cryptokiVersion.minor == 2);
    CHECK(memchr(info.manufacturerID, 0, sizeof info.manufacturerID) == NULL);
    CHECK(memchr(info.libraryDescription, 0, sizeof info.libraryDescription) == NULL);
    CHECK(info.flags == 0);

    /* What is left of parallel functions, section 5.20. */
    CHECK_RV(p11->C_GetFunctionStatus(0), CKR_FUNCTION_NOT_PARALLEL);
    CHECK_RV(p11->C_CancelFunction(0), CKR_FUNCTION_NOT_PARALLEL);

    CHECK_RV(p11->C_Finalize(&something), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_GetInfo(&info), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* Slots come and go with the configuration alone: nobody is kept waiting for it. Section 5.5. */
static void slot_events(void) {
    CK_SLOT_ID changed = 0x5107;
    int something = 0;

    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    /* What waits for good is ended by the alarm of load. */
    CHECK_RV(p11->C_WaitForSlotEvent(0, &changed, NULL), CKR_FUNCTION_NOT_SUPPORTED);
    CHECK_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &changed, NULL), CKR_NO_EVENT);
    CHECK(changed == 0x5107);
    CHECK_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &changed, &something), CKR_ARGUMENTS_BAD);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

int main(int argc, char **argv) {
    p11 = functions(load(argc, argv));
    uninitialized();
    locking();
    reserved();
    twice();
    slot_events();
    uninitialized();
    return finish();
}
