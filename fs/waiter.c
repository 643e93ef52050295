#include "fs/waiter.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAITER_PATH_SIZE = 40, WAITER_STATUS_SIZE = 8192, WAITER_BASE = 16 };

/* Signal n is bit n - 1. */
static uint64_t waiter_bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

static pthread_once_t waiter_once = PTHREAD_ONCE_INIT;
static bool waiter_proc; /* set once: /proc is of this process's PID namespace */

/* In another one the same number is another thread. */
static void waiter_look_at_proc(void)
{
    char self[WAITER_PATH_SIZE] = "";
    ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);
    waiter_proc = n > 0 && strtoll(self, NULL, 10) == getpid();
}

/* One set of signals of /proc/PID/status, see proc(5). False when it is not there as a whole. */
static bool waiter_set(const char *status, const char *field, uint64_t *ret)
{
    char *end = NULL;
    const char *at = strstr(status, field);
    if (!at)
        return false;
    at += strlen(field);
    *ret = strtoull(at, &end, WAITER_BASE);
    return end != at && *end == '\n';
}

bool waiter_is_signalled(pid_t thread)
{
    char path[WAITER_PATH_SIZE];
    char status[WAITER_STATUS_SIZE];
    uint64_t own = 0;
    uint64_t shared = 0;
    uint64_t blocked = 0;
    uint64_t caught = 0;
    (void)pthread_once(&waiter_once, waiter_look_at_proc);
    (void)snprintf(path, sizeof(path), "/proc/%lld/status", (long long)thread);
    CLEANUP(closep) int fd = waiter_proc && thread > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? read(fd, status, sizeof(status) - 1) : -1;
    if (n <= 0)
        return true;
    status[n] = '\0';
    if (!waiter_set(status, "\nSigPnd:\t", &own) || !waiter_set(status, "\nShdPnd:\t", &shared) ||
        !waiter_set(status, "\nSigBlk:\t", &blocked) || !waiter_set(status, "\nSigCgt:\t", &caught))
        return true;
    uint64_t stops = waiter_bit(SIGSTOP) | waiter_bit(SIGTSTP) | waiter_bit(SIGTTIN) |
                     waiter_bit(SIGTTOU) | waiter_bit(SIGCONT);
    return (own | shared) & ~blocked & ~(stops & ~caught);
}
