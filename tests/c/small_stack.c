/* A host's thread with a stack of 64 KiB. How much of it was used is told; what lies below it must not be touched. */
#define _DEFAULT_SOURCE
#include "usage.h"

#include <sys/mman.h>

#define SIZE (64 << 10)
#define GUARD (64 << 10)
#define PAINT 0xa5

static void *live(void *argument) {
    (void)argument;
    deadly_sigpipe();
    use_all(NULL);
    use_all(NULL);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    pthread_attr_t attributes;
    /* STACK in the environment measures with another size. */
    const char *wanted = getenv("STACK");
    size_t size = wanted == NULL ? SIZE : strtoul(wanted, NULL, 0), unused = 0;

    p11 = functions(load(argc, argv));
    unsigned char *memory = mmap(NULL, GUARD + size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + GUARD, size, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        return 2;
    }
    unsigned char *stack = memory + GUARD;
    memset(stack, PAINT, size);
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
    if (CHECK(pthread_create(&thread, &attributes, live, NULL) == 0)) {
        CHECK(pthread_join(thread, NULL) == 0);
    }
    while (unused < size && stack[unused] == PAINT) {
        unused++;
    }
    printf("%zu of %zu bytes of stack used\n", size - unused, size);
    check_sigpipe();
    return finish();
}
