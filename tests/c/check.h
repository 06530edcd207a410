/* What every C program of the tests needs: the headers, checks that count, and the module.
 *
 * A program is called with the path of the module. It prints each check that failed and ends with 1 if any did.
 */
#ifndef P11REST_TEST_CHECK_H
#define P11REST_TEST_CHECK_H

#define _POSIX_C_SOURCE 200809L

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11.h"

#include "p11rest.h"

static unsigned checks, failures;

/* A condition. */
#define CHECK(condition) check(__FILE__, __LINE__, #condition, (condition) != 0)

/* A call that must return one code. */
#define CHECK_RV(call, expected) check_rv(__FILE__, __LINE__, #call, (call), (expected), #expected)

/* A call that may return any of several codes. */
#define CHECK_ONE_OF(call, ...)                                                              \
    do {                                                                                     \
        const CK_RV one_of[] = {__VA_ARGS__};                                                \
        check_one_of(__FILE__, __LINE__, #call, (call), one_of, COUNT(one_of), #__VA_ARGS__); \
    } while (0)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int check(const char *file, int line, const char *what, int good) {
    checks++;
    if (!good) {
        failures++;
        fprintf(stderr, "%s:%d: %s: does not hold\n", file, line, what);
    }
    return good;
}

static inline int check_one_of(const char *file, int line, const char *what, CK_RV got, const CK_RV *expected,
                               size_t count, const char *names) {
    checks++;
    for (size_t i = 0; i < count; i++) {
        if (got == expected[i]) {
            return 1;
        }
    }
    failures++;
    fprintf(stderr, "%s:%d: %s: got 0x%lx, expected %s\n", file, line, what, got, names);
    return 0;
}

static inline int check_rv(const char *file, int line, const char *what, CK_RV got, CK_RV expected,
                           const char *name) {
    return check_one_of(file, line, what, got, &expected, 1, name);
}

/* Without this a program cannot go on. */
static inline void *required(const char *what, void *found) {
    if (found == NULL) {
        fprintf(stderr, "%s: %s\n", what, dlerror());
        exit(2);
    }
    return found;
}

/* The module named on the command line. A module that hangs ends the program with SIGALRM. */
static inline void *load(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODULE\n", argv[0]);
        exit(2);
    }
    alarm(120);
    return required(argv[1], dlopen(argv[1], RTLD_NOW | RTLD_LOCAL));
}

static inline CK_FUNCTION_LIST_3_2 *functions(void *module) {
    CK_C_GetInterface get = (CK_C_GetInterface)required("C_GetInterface", dlsym(module, "C_GetInterface"));
    CK_INTERFACE *interface = NULL;
    CK_VERSION version = {3, 2};
    CK_RV rv = get((CK_UTF8CHAR *)"PKCS 11", &version, &interface, 0);
    if (rv != CKR_OK || interface == NULL) {
        fprintf(stderr, "C_GetInterface: 0x%lx instead of the 3.2 table\n", rv);
        exit(2);
    }
    return interface->pFunctionList;
}

/* The first slot with a token: 0 if there is none. */
static inline int first_slot(CK_FUNCTION_LIST_3_2 *p11, CK_SLOT_ID *slot) {
    CK_SLOT_ID slots[16];
    CK_ULONG count = COUNT(slots);
    if (!CHECK_RV(p11->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK) || count == 0) {
        return 0;
    }
    *slot = slots[0];
    return 1;
}

/* The exit status of the program, or of a child. */
static inline int status(void) {
    return failures == 0 ? 0 : 1;
}

static inline int finish(void) {
    printf("%u checks, %u failed\n", checks, failures);
    return status();
}

/* A child must have ended by itself, without a failed check. */
static inline void check_child(const char *file, int line, const char *what, pid_t child) {
    int ended = 0;
    pid_t waited = waitpid(child, &ended, 0);
    checks++;
    if (waited == child && WIFEXITED(ended) && WEXITSTATUS(ended) == 0) {
        return;
    }
    failures++;
    if (waited == child && WIFSIGNALED(ended)) {
        fprintf(stderr, "%s:%d: %s: killed by signal %d\n", file, line, what, WTERMSIG(ended));
    } else {
        fprintf(stderr, "%s:%d: %s: ended with %d\n", file, line, what, WEXITSTATUS(ended));
    }
}

#define CHECK_CHILD(what, child) check_child(__FILE__, __LINE__, what, child)

/* Runs a scenario in a process of its own, which must end without a failed check. */
static inline void run(const char *name, void (*scenario)(void)) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        failures = 0;
        alarm(60);
        scenario();
        exit(status());
    }
    CHECK(child > 0);
    CHECK_CHILD(name, child);
}

#endif
