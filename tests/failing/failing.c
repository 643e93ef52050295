/* Calls of bmfs itself, not of the libraries that it uses, that fail when a test says so: those
 * that ask for memory, and those that ask the system for something. The file that $BMFS_FAILING
 * names holds what the test shares; see tests/system/test_failing.py. */

#include "base/util.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum failing_kind { FAILING_MEMORY, FAILING_SYSTEM, FAILING_LIBRARY };

struct failing {
    _Atomic int64_t kind;
    _Atomic int64_t left;  /* calls up to the one that fails; 0: none does */
    _Atomic int64_t hits;  /* that have failed */
    _Atomic int64_t error; /* what they said */
};

static struct failing *failing;

/* Before main(), while there is one thread. */
__attribute__((constructor)) static void failing_open(void)
{
    const char *path = getenv("BMFS_FAILING"); // NOLINT(concurrency-mt-unsafe)
    CLEANUP(closep) int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, sizeof(*failing), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        failing = map;
}

/* To the log, for addr2line; its own frames are the first two. */
static void failing_say_where(void)
{
    enum { FRAMES = 12 };
    void *frame[FRAMES];
    int n = backtrace(frame, FRAMES);
    if (n > 2)
        backtrace_symbols_fd(frame + 2, n - 2, STDERR_FILENO);
}

static bool failing_strikes(enum failing_kind kind)
{
    if (!failing || atomic_load(&failing->kind) != (int64_t)kind)
        return false;
    int64_t left = atomic_load(&failing->left);
    while (left > 0 && !atomic_compare_exchange_weak(&failing->left, &left, left - 1))
        ;
    if (left != 1)
        return false;
    (void)atomic_fetch_add(&failing->hits, 1);
    failing_say_where();
    errno = (int)atomic_load(&failing->error);
    return true;
}

/* The linker calls these instead of the real ones. */
#define FAILING(kind, failure, type, name, params, args) \
    type __real_##name params;                           \
    type __wrap_##name params;                           \
    type __wrap_##name params                            \
    {                                                    \
        if (failing_strikes(kind))                       \
            return failure;                              \
        return __real_##name args;                       \
    }

FAILING(FAILING_MEMORY, NULL, void *, malloc, (size_t size), (size))
FAILING(FAILING_MEMORY, NULL, void *, calloc, (size_t n, size_t size), (n, size))
FAILING(FAILING_MEMORY, NULL, void *, realloc, (void *p, size_t size), (p, size))
FAILING(FAILING_MEMORY, NULL, void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
FAILING(FAILING_MEMORY, NULL, char *, strdup, (const char *text), (text))
FAILING(FAILING_MEMORY, NULL, char *, strndup, (const char *text, size_t n), (text, n))

int __wrap_asprintf(char **ret, const char *fmt, ...) PRINTF_LIKE(2, 3);
int __wrap_asprintf(char **ret, const char *fmt, ...)
{
    va_list ap;
    if (failing_strikes(FAILING_MEMORY))
        return -1;
    va_start(ap, fmt);
    int n = vasprintf(ret, fmt, ap);
    va_end(ap);
    return n;
}

FAILING(FAILING_SYSTEM, -1, ssize_t, pread64, (int fd, void *dst, size_t n, off_t at),
        (fd, dst, n, at))
FAILING(FAILING_SYSTEM, -1, ssize_t, pwrite64, (int fd, const void *src, size_t n, off_t at),
        (fd, src, n, at))
FAILING(FAILING_SYSTEM, -1, ssize_t, copy_file_range,
        (int in, off_t *in_at, int out, off_t *out_at, size_t n, unsigned flags),
        (in, in_at, out, out_at, n, flags))
FAILING(FAILING_SYSTEM, -1, int, ftruncate64, (int fd, off_t size), (fd, size))
FAILING(FAILING_SYSTEM, -1, int, fallocate64, (int fd, int mode, off_t at, off_t n),
        (fd, mode, at, n))
FAILING(FAILING_SYSTEM, -1, int, fstat64, (int fd, struct stat *st), (fd, st))
FAILING(FAILING_SYSTEM, -1, int, fstatat64, (int fd, const char *name, struct stat *st, int flags),
        (fd, name, st, flags))
FAILING(FAILING_SYSTEM, -1, int, fstatfs64, (int fd, struct statfs *st), (fd, st))
FAILING(FAILING_SYSTEM, -1, int, fstatvfs64, (int fd, struct statvfs *st), (fd, st))
FAILING(FAILING_SYSTEM, -1, int, fsync, (int fd), (fd))
FAILING(FAILING_SYSTEM, -1, int, flock, (int fd, int how), (fd, how))
FAILING(FAILING_SYSTEM, -1, int, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
FAILING(FAILING_SYSTEM, -1, int, linkat,
        (int fd, const char *name, int to, const char *new_name, int flags),
        (fd, name, to, new_name, flags))
FAILING(FAILING_SYSTEM, -1, int, renameat, (int fd, const char *name, int to, const char *new_name),
        (fd, name, to, new_name))
FAILING(FAILING_SYSTEM, -1, int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
FAILING(FAILING_SYSTEM, NULL, DIR *, fdopendir, (int fd), (fd))
FAILING(FAILING_SYSTEM, MAP_FAILED, void *, mmap64,
        (void *at, size_t n, int prot, int flags, int fd, off_t from),
        (at, n, prot, flags, fd, from))
FAILING(FAILING_SYSTEM, -1, ssize_t, getrandom, (void *dst, size_t n, unsigned flags),
        (dst, n, flags))
FAILING(FAILING_SYSTEM, -1, int, socketpair, (int family, int type, int protocol, int fd[2]),
        (family, type, protocol, fd))
FAILING(FAILING_SYSTEM, -1, ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
        (fd, msg, flags))
FAILING(FAILING_SYSTEM, -1, pid_t, fork, (void), ())

int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    va_list ap;
    if (failing_strikes(FAILING_SYSTEM))
        return -1;
    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return __real_openat64(fd, name, flags, mode);
}

/* libcurl, whose option takes one value of at most 64 bits; expat; OpenSSL. */
int __real_curl_easy_setopt(void *easy, int option, ...);
int __wrap_curl_easy_setopt(void *easy, int option, ...);
int __wrap_curl_easy_setopt(void *easy, int option, ...)
{
    enum { FAILING_CURLE_OUT_OF_MEMORY = 27 };
    va_list ap;
    if (failing_strikes(FAILING_LIBRARY))
        return FAILING_CURLE_OUT_OF_MEMORY;
    va_start(ap, option);
    void *value = va_arg(ap, void *);
    va_end(ap);
    return __real_curl_easy_setopt(easy, option, value);
}

FAILING(FAILING_LIBRARY, NULL, void *, curl_easy_init, (void), ())
FAILING(FAILING_LIBRARY, NULL, void *, curl_multi_init, (void), ())
FAILING(FAILING_LIBRARY, NULL, void *, curl_share_init, (void), ())
FAILING(FAILING_LIBRARY, NULL, void *, curl_slist_append, (void *list, const char *text),
        (list, text))
FAILING(FAILING_LIBRARY, 3 /* CURLM_OUT_OF_MEMORY */, int, curl_multi_add_handle,
        (void *multi, void *easy), (multi, easy))
FAILING(FAILING_LIBRARY, 3, int, curl_multi_perform, (void *multi, int *running), (multi, running))
FAILING(FAILING_LIBRARY, NULL, void *, XML_ParserCreate, (const char *encoding), (encoding))
FAILING(FAILING_LIBRARY, NULL, void *, EVP_MD_CTX_new, (void), ())
FAILING(FAILING_LIBRARY, 0, int, EVP_DigestInit_ex, (void *md, const void *type, void *engine),
        (md, type, engine))
FAILING(FAILING_LIBRARY, 0, int, EVP_DigestUpdate, (void *md, const void *data, size_t n),
        (md, data, n))
FAILING(FAILING_LIBRARY, 0, int, EVP_DigestFinal_ex, (void *md, unsigned char *sum, unsigned *n),
        (md, sum, n))
FAILING(FAILING_LIBRARY, NULL, unsigned char *, HMAC,
        (const void *type, const void *key, int key_len, const unsigned char *data, size_t n,
         unsigned char *sum, unsigned *sum_len),
        (type, key, key_len, data, n, sum, sum_len))
FAILING(FAILING_LIBRARY, ENOMEM, int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),
        (thread, attr, fn, arg))

/* What a build counts of the branches that it takes is written by exit(), which a child of fork()
 * does not call. */
void __gcov_dump(void) __attribute__((weak));
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status)
{
    if (__gcov_dump)
        __gcov_dump();
    __real__exit(status);
}
