/* Makes the disk of one process slow: every fsync and fdatasync takes SLOW_FSYNC_US microseconds longer. Preloaded. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_longer(void) {
    const char *text = getenv("SLOW_FSYNC_US");
    long us = text ? atol(text) : 0;
    struct timespec time = { us / 1000000, us % 1000000 * 1000 };
    if (us > 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

int fsync(int fd) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = next(fd);
    wait_longer();
    return result;
}

int fdatasync(int fd) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = next(fd);
    wait_longer();
    return result;
}
