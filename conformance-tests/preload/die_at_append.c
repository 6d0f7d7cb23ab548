/* Kills the broker at its n-th append: exactly there, in the binary as it is. Preloaded (LD_PRELOAD), it stands between
 * the broker and two calls of the C library: `write`, by which an append goes to the store's journal file, and
 * `fdatasync`, by which it becomes durable. Which append and which side of it, the environment says:
 *
 *   APPEND_FAULT_NOTES  appends are counted once this file exists, and noted in it: `w` one is about to be written,
 *                       `d` it is durable
 *   APPEND_FAULT_AT     the append to die at; 0: none
 *   APPEND_FAULT_SIDE   before: nothing of it is written; torn: half of it is; after: it is durable, nobody knows
 *
 * One thread appends, so the counters need no lock. Why so: docs/decisions/0014-dying-at-an-append.md. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned long appends;
static int in_append;

static ssize_t real_write(int fd, const void *bytes, size_t length) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    return next(fd, bytes, length);
}

static int real_fdatasync(int fd) {
    static int (*next)(int);
    if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return next(fd);
}

static int is_journal(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    return length > 4 && memcmp(path + length - 4, ".jnl", 4) == 0;
}

/* Notes a step, if appends are counted by now. */
static int note(const char *step) {
    const char *path = getenv("APPEND_FAULT_NOTES");
    int notes = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (notes < 0) return 0;
    int written = real_write(notes, step, 1) == 1;
    close(notes);
    return written;
}

static int dies(const char *side) {
    const char *at = getenv("APPEND_FAULT_AT"), *chosen = getenv("APPEND_FAULT_SIDE");
    return at && chosen && strtoul(at, NULL, 10) == appends && strcmp(chosen, side) == 0;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

ssize_t write(int fd, const void *bytes, size_t length) {
    if (!in_append && is_journal(fd) && note("w")) {
        in_append = 1;
        appends++;
        if (dies("before")) die();
        if (dies("torn")) {
            real_write(fd, bytes, length / 2);
            die();
        }
    }
    return real_write(fd, bytes, length);
}

int fdatasync(int fd) {
    int result = real_fdatasync(fd);
    if (in_append && is_journal(fd)) {
        in_append = 0;
        note("d");
        if (dies("after")) die();
    }
    return result;
}
