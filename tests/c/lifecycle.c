/* Loading, unloading, beginning and ending in every order that hosts have. Each in a process of its own. */
#include "check.h"

static const char *path;
static void *module;
static CK_FUNCTION_LIST_3_2 *p11;

static void open_module(void) {
    module = required(path, dlopen(path, RTLD_NOW | RTLD_LOCAL));
    p11 = functions(module);
}

/* C_Initialize, and a session where there is a slot. */
static CK_SESSION_HANDLE begin(void) {
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session = 0;
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (first_slot(p11, &slot)) {
        CHECK_RV(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
        CHECK(session != 0);
    }
    return session;
}

static void finalize_at_exit(void) {
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    if (failures != 0) {
        _exit(1);
    }
}

static void fifty_times(void) {
    CK_SESSION_HANDLE before = 0;
    open_module();
    for (int i = 0; i < 50; i++) {
        CK_SESSION_HANDLE session = begin();
        CK_SESSION_INFO info;
        if (before != 0 && before != session) {
            CHECK_RV(p11->C_GetSessionInfo(before, &info), CKR_SESSION_HANDLE_INVALID);
        }
        before = session;
        CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    }
}

static void load_fifty_times(void) {
    for (int i = 0; i < 50; i++) {
        open_module();
        begin();
        CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
        CHECK(dlclose(module) == 0);
    }
}

static void unload_then_exit(void) {
    open_module();
    begin();
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(dlclose(module) == 0);
}

/* The module stays mapped (-z nodelete), so what it holds stays good. */
static void unload_while_initialized(void) {
    open_module();
    begin();
    CHECK(dlclose(module) == 0);
    open_module();
    CHECK_RV(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
    CHECK(dlclose(module) == 0);
}

static void exit_while_initialized(void) {
    open_module();
    begin();
}

/* Registered before the module is loaded: runs after the module's own exit handlers. */
static void finalize_last(void) {
    CHECK(atexit(finalize_at_exit) == 0);
    open_module();
    begin();
}

/* Registered after: runs before them. */
static void finalize_first(void) {
    open_module();
    begin();
    CHECK(atexit(finalize_at_exit) == 0);
}

static void finalize_at_exit_after_unload(void) {
    open_module();
    begin();
    CHECK(atexit(finalize_at_exit) == 0);
    CHECK(dlclose(module) == 0);
}

int main(int argc, char **argv) {
    /* Not loaded here: each scenario decides when. */
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODULE\n", argv[0]);
        return 2;
    }
    path = argv[1];
    run("fifty times", fifty_times);
    run("load fifty times", load_fifty_times);
    run("unload, then exit", unload_then_exit);
    run("unload while initialised", unload_while_initialized);
    run("exit while initialised", exit_while_initialized);
    run("finalise in the last exit handler", finalize_last);
    run("finalise in the first exit handler", finalize_first);
    run("finalise in an exit handler after dlclose", finalize_at_exit_after_unload);
    return finish();
}
