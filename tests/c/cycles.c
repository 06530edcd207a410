/* Lives of the module with a login and a signature each. After some of them nothing grows: no descriptor, no thread, no
 * memory. CYCLES in the environment says how many. */
#define _DEFAULT_SOURCE
#include "signer.h"

#include <dirent.h>
#include <malloc.h>

#define WARM_UP 50
/* Bytes in use by malloc that all the cycles together may add: less than 1000 a cycle of 500. */
#define SLACK (256L << 10)

static int entries(const char *path) {
    int count = 0;
    DIR *directory = opendir(path);
    if (!CHECK(directory != NULL)) {
        return 0;
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* KiB of memory that the process has. */
static long resident(void) {
    char line[128];
    long size = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!CHECK(file != NULL)) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %ld", &size) == 1) {
            break;
        }
    }
    fclose(file);
    return size;
}

static void cycle(void) {
    CK_SLOT_ID slot;
    CHECK_RV(p11->C_Initialize(NULL), CKR_OK);
    if (first_slot(p11, &slot)) {
        struct signer signer = open_signer(slot, 1);
        CHECK_RV(sign(&signer), CKR_OK);
    }
    CHECK_RV(p11->C_Finalize(NULL), CKR_OK);
}

int main(int argc, char **argv) {
    const char *wanted = getenv("CYCLES");
    int cycles = wanted == NULL ? 0 : atoi(wanted);

    deadly_sigpipe();
    p11 = functions(load(argc, argv));
    CHECK(cycles > WARM_UP);
    for (int i = 0; i < WARM_UP; i++) {
        cycle();
    }
    int descriptors = entries("/proc/self/fd"), tasks = entries("/proc/self/task");
    long before = resident();
    size_t allocated = mallinfo2().uordblks;
    for (int i = WARM_UP; i < cycles; i++) {
        cycle();
    }
    long grown = (long)(mallinfo2().uordblks - allocated);
    printf("%ld bytes more, %ld KiB more resident\n", grown, resident() - before);
    CHECK(grown < SLACK);
    CHECK(resident() - before < 8 * SLACK / 1024);
    CHECK(entries("/proc/self/fd") == descriptors);
    CHECK(entries("/proc/self/task") == tasks);
    check_sigpipe();
    return finish();
}
