#include "tests/unit/s3/calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

enum { CALLS_TRACE_MAX = 20000 };

static _Thread_local struct {
    bool armed;
    const char *name;
    int nth;
    int code;
    calls_fn *fn;
    void *arg;
    int hits;
    const char *struck;
    bool hide_types;
    const char *besides;
    int besides_times, besides_seen, besides_code;
    int64_t clock_ms;
    int traced;
    int matched;
    const char *trace[CALLS_TRACE_MAX];
} calls;

static void calls_arm(const char *name, int nth)
{
    calls.code = 0;
    calls.fn = NULL;
    calls.hits = 0;
    calls.traced = 0;
    calls.matched = 0;
    calls.besides_seen = 0;
    calls.struck = "";
    calls.name = name;
    calls.nth = nth;
    calls.armed = true;
}

void calls_fail(const char *name, int nth, int code)
{
    calls_arm(name, nth);
    calls.code = code;
}

void calls_before(const char *name, int nth, calls_fn *fn, void *arg)
{
    calls_arm(name, nth);
    calls.fn = fn;
    calls.arg = arg;
}

int calls_end(void)
{
    calls.armed = false;
    return calls.hits;
}

const char *calls_struck(void)
{
    return calls.struck;
}

int calls_count(const char *name)
{
    int n = 0;
    for (int i = 0; i < calls.traced; i++)
        n += strcmp(calls.trace[i], name) == 0;
    return n;
}

int calls_position(const char *name, int nth)
{
    for (int i = 0; i < calls.traced; i++) {
        if (strcmp(calls.trace[i], name) == 0 && --nth == 0)
            return i + 1;
    }
    return 0;
}

void calls_besides(const char *name, int times, int code)
{
    calls.besides = name;
    calls.besides_times = times;
    calls.besides_code = code;
}

void calls_clock_add(int64_t ms)
{
    calls.clock_ms += ms;
}

void calls_hide_types(bool hide)
{
    calls.hide_types = hide;
}

/* Counts a call; true, with errno, when it must fail. */
static bool calls_strike(const char *name)
{
    if (!calls.armed)
        return false;
    if (calls.traced < CALLS_TRACE_MAX)
        calls.trace[calls.traced++] = name;
    if (calls.besides && strcmp(calls.besides, name) == 0 &&
        (calls.besides_times == 0 || calls.besides_seen++ < calls.besides_times)) {
        errno = calls.besides_code;
        return true;
    }
    if (calls.name && strcmp(calls.name, name) != 0)
        return false;
    calls.matched++;
    if (calls.nth != 0 && calls.matched != calls.nth)
        return false;
    calls.hits++;
    calls.struck = name;
    if (calls.fn) {
        calls.armed = false; /* what it does is not counted */
        calls.fn(calls.arg);
        calls.armed = true;
        return false;
    }
    errno = calls.code;
    return true;
}

/* One wrapper: what it returns, what it returns when struck, its name, parameters, arguments. The
 * names are the linker's. */
#define CALLS_WRAP(type, bad, name, params, args) \
    type __real_##name params;                    \
    type __wrap_##name params;                    \
    type __wrap_##name params                     \
    {                                             \
        if (calls_strike(#name))                  \
            return bad;                           \
        return __real_##name args;                \
    }

CALLS_WRAP(void *, NULL, malloc, (size_t n), (n))
CALLS_WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
CALLS_WRAP(void *, NULL, realloc, (void *p, size_t n), (p, n))
CALLS_WRAP(int, -1, fstat64, (int fd, struct stat *st), (fd, st))
CALLS_WRAP(int, -1, fstatat64, (int fd, const char *name, struct stat *st, int flags),
           (fd, name, st, flags))
CALLS_WRAP(int, -1, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
CALLS_WRAP(int, -1, fchmodat, (int fd, const char *name, mode_t mode, int flags),
           (fd, name, mode, flags))
CALLS_WRAP(int, -1, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
CALLS_WRAP(int, -1, renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))
CALLS_WRAP(int, -1, renameat2, (int from, const char *a, int to, const char *b, unsigned flags),
           (from, a, to, b, flags))
CALLS_WRAP(int, -1, linkat, (int from, const char *a, int to, const char *b, int flags),
           (from, a, to, b, flags))
CALLS_WRAP(ssize_t, -1, readlinkat, (int fd, const char *name, char *dst, size_t n),
           (fd, name, dst, n))
CALLS_WRAP(int, -1, fsync, (int fd), (fd))
CALLS_WRAP(int, -1, flock, (int fd, int op), (fd, op))
CALLS_WRAP(int, -1, futimens, (int fd, const struct timespec t[2]), (fd, t))
CALLS_WRAP(ssize_t, -1, pread64, (int fd, void *dst, size_t n, off_t off), (fd, dst, n, off))
CALLS_WRAP(ssize_t, -1, pwrite64, (int fd, const void *src, size_t n, off_t off), (fd, src, n, off))
CALLS_WRAP(ssize_t, -1, copy_file_range,
           (int in, off_t *in_off, int out, off_t *out_off, size_t n, unsigned flags),
           (in, in_off, out, out_off, n, flags))
CALLS_WRAP(ssize_t, -1, fgetxattr, (int fd, const char *name, void *dst, size_t n),
           (fd, name, dst, n))
CALLS_WRAP(int, -1, fsetxattr, (int fd, const char *name, const void *src, size_t n, int flags),
           (fd, name, src, n, flags))
CALLS_WRAP(ssize_t, -1, getrandom, (void *dst, size_t n, unsigned flags), (dst, n, flags))
CALLS_WRAP(DIR *, NULL, fdopendir, (int fd), (fd))
CALLS_WRAP(char *, NULL, realpath, (const char *path, char *dst), (path, dst))

int64_t __real_clock_ms(void);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_ms(void)
{
    return __real_clock_ms() + calls.clock_ms;
}

struct dirent *__real_readdir64(DIR *stream);
struct dirent *__wrap_readdir64(DIR *stream);
struct dirent *__wrap_readdir64(DIR *stream)
{
    if (calls_strike("readdir64"))
        return NULL;
    struct dirent *e = __real_readdir64(stream);
    if (e && calls.hide_types)
        e->d_type = DT_UNKNOWN;
    return e;
}

int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list ap;
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return calls_strike("openat64") ? -1 : __real_openat64(fd, name, flags, mode);
}
