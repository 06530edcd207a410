/* The ends of processes and threads that have signed, in every order that hosts have. Each in a process of its own. LATE
 * in the environment names the library of late.c. */
#include "signer.h"

static const char *path;
static void *module;
static CK_SLOT_ID slot;
static struct signer signer;
static struct beside beside[MOST_BESIDE];

static void open_module(void) {
    module = required(path, dlopen(path, RTLD_NOW | RTLD_LOCAL));
    p11 = functions(module);
}

/* A session that has signed, so that there is a connection. */
static void begin(void) {
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (!first_slot(p11, &slot)) {
        exit(1);
    }
    signer = open_signer(slot, 1);
    CHECK_RV(sign(&signer), CKR_OK);
}

/* For handlers, whose checks the status of the process would not tell of. */
static void end_if_failed(void) {
    if (failures != 0) {
        _exit(1);
    }
}

static void finalize(void) {
    CK_INFO info;
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK_RV(p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
    end_if_failed();
}

static void sign_and_finalize(void) {
    CHECK_RV(sign(&signer), CKR_OK);
    finalize();
}

static void at_exit(void (*handler)(void)) {
    CHECK(atexit(handler) == 0);
}

/* A library that was loaded before the module has its destructors run before the module's, one that was loaded after it
 * after them. */
static void in_a_destructor(void (*handler)(void)) {
    const char *name = getenv("LATE");
    void *library = required("LATE", name == NULL ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL));
    *(void (**)(void))required("late", dlsym(library, "late")) = handler;
}

static void exit_while_signing(void) {
    open_module();
    begin();
    start_beside(beside, MOST_BESIDE, slot);
}

static void finalize_at_exit(void) {
    open_module();
    begin();
    at_exit(finalize);
}

static void finalize_at_exit_while_signing(void) {
    exit_while_signing();
    at_exit(finalize);
}

static void sign_at_exit(void) {
    at_exit(sign_and_finalize);
    open_module();
    begin();
}

static void finalize_in_a_destructor(void) {
    in_a_destructor(finalize);
    open_module();
    begin();
}

static void finalize_in_a_destructor_while_signing(void) {
    in_a_destructor(finalize);
    exit_while_signing();
}

static void sign_in_a_destructor(void) {
    in_a_destructor(sign_and_finalize);
    open_module();
    begin();
}

static void *sign_once(void *rv) {
    *(CK_RV *)rv = sign_only(&signer);
    return NULL;
}

/* In a thread that has never called the module, too. */
static void is_not_initialized(void) {
    const struct timespec pause = {0, 50000000};
    CK_RV rv = CKR_OK;
    pthread_t thread;
    nanosleep(&pause, NULL);
    CHECK_RV(sign_only(&signer), CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK(pthread_create(&thread, NULL, sign_once, &rv) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RV(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
    CHECK_RV(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
    end_if_failed();
}

static void call_after_the_destructors_of_the_module(void) {
    open_module();
    in_a_destructor(is_not_initialized);
    begin();
}

static CK_RV last_words[3];

/* Runs after the thread's own variables are gone. */
static void last_of_thread(void *argument) {
    struct signer *own = argument;
    last_words[0] = sign_only(own);
    last_words[1] = p11->C_CloseSession(own->session);
    last_words[2] = p11->C_Logout(own->session);
}

static pthread_key_t key;

static void *end_with_words(void *argument) {
    return pthread_setspecific(key, argument) == 0 && sign_only(argument) == CKR_OK ? argument : NULL;
}

static void sign_in_the_destructor_of_a_thread(void) {
    pthread_t thread;
    void *result = NULL;
    open_module();
    begin();
    struct signer own = open_signer(slot, 0);
    CHECK(pthread_key_create(&key, last_of_thread) == 0);
    CHECK(pthread_create(&thread, NULL, end_with_words, &own) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result != NULL);
    CHECK_RV(last_words[0], CKR_OK);
    CHECK_RV(last_words[1], CKR_OK);
    CHECK_RV(last_words[2], CKR_SESSION_HANDLE_INVALID);
    CHECK_RV(sign(&signer), CKR_OK);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

/* The module stays mapped (-z nodelete), so what it holds stays good. */
static void unload_and_load(void) {
    open_module();
    begin();
    for (int i = 0; i < 3; i++) {
        CHECK(dlclose(module) == 0);
        open_module();
        CHECK_RV(sign(&signer), CKR_OK);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(dlclose(module) == 0);
    open_module();
    begin();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(dlclose(module) == 0);
}

static void unload_while_signing(void) {
    exit_while_signing();
    CHECK(dlclose(module) == 0);
    CHECK_RV(sign(&signer), CKR_OK);
    open_module();
    end_beside(beside, MOST_BESIDE);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

int main(int argc, char **argv) {
    /* Not loaded here: each scenario decides when. */
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODULE\n", argv[0]);
        return 2;
    }
    path = argv[1];
    deadly_sigpipe();
    run("exit while threads sign", exit_while_signing);
    run("finalise at exit", finalize_at_exit);
    run("finalise at exit while threads sign", finalize_at_exit_while_signing);
    run("sign at exit", sign_at_exit);
    run("finalise in a destructor", finalize_in_a_destructor);
    run("finalise in a destructor while threads sign", finalize_in_a_destructor_while_signing);
    run("sign in a destructor", sign_in_a_destructor);
    run("call after the destructors of the module", call_after_the_destructors_of_the_module);
    run("sign in the destructor of a thread", sign_in_the_destructor_of_a_thread);
    run("unload and load", unload_and_load);
    run("unload while threads sign", unload_while_signing);
    return finish();
}
