/* Sets a broker's clock wrong, in the binary as it is. Preloaded (LD_PRELOAD), it stands between the broker and the time of
 * day: what the broker is told differs from the machine's by CLOCK_SKEW_MS milliseconds, which may be negative. How long
 * things take is not touched. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#define NANOS 1000000000L

static long skew_ms(void) {
    const char *skew = getenv("CLOCK_SKEW_MS");
    return skew ? atol(skew) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*next)(clockid_t, struct timespec *);
    static long skew;
    if (!next) {
        skew = skew_ms();
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int failed = next(clock, at);
    if (failed || clock != CLOCK_REALTIME) return failed;
    at->tv_sec += skew / 1000;
    at->tv_nsec += skew % 1000 * (NANOS / 1000);
    if (at->tv_nsec >= NANOS) at->tv_sec += 1, at->tv_nsec -= NANOS;
    if (at->tv_nsec < 0) at->tv_sec -= 1, at->tv_nsec += NANOS;
    return 0;
}
