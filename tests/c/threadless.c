/* A host that allows no threads (CKF_LIBRARY_CANT_CREATE_OS_THREADS): none is made. */
#include "usage.h"

#include <dirent.h>
#include <errno.h>

static int asked;

/* In the place of the C library's, for the module too. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    (void)thread, (void)attributes, (void)start, (void)argument;
    asked++;
    return EAGAIN;
}

static int tasks(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/task");
    if (!CHECK(directory != NULL)) {
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv) {
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK};
    void *module = load(argc, argv);
    p11 = functions(module);
    /* Or nothing would be counted. */
    pthread_t thread;
    CHECK(((int (*)(pthread_t *, void *, void *, void *))dlsym(RTLD_DEFAULT, "pthread_create"))(&thread, NULL, NULL,
                                                                                                NULL) == EAGAIN);
    CHECK(asked == 1);
    use_all(&arguments);
    use_all(&arguments);
    CHECK(asked == 1);
    CHECK(tasks() == 1);
    return finish();
}
