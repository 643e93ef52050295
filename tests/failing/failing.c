/* Memory that runs out when a test says so: malloc and its like as bmfs itself calls them, not the
 * libraries that it uses. The file that $BMFS_NOMEM names holds two counters that the test shares;
 * see tests/system/nomem.py. */

#include "base/util.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct nomem {
    _Atomic int64_t left; /* allocations up to the one that fails; 0: none does */
    _Atomic int64_t hits; /* that have failed */
};

static struct nomem *nomem;

/* Before main(), while there is one thread. */
__attribute__((constructor)) static void nomem_open(void)
{
    const char *path = getenv("BMFS_NOMEM"); // NOLINT(concurrency-mt-unsafe)
    CLEANUP(closep) int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0
                    ? MAP_FAILED
                    : mmap(NULL, sizeof(struct nomem), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED)
        nomem = map;
}

/* To the log, for addr2line; its own frames are the first two. */
static void nomem_say_where(void)
{
    enum { FRAMES = 12 };
    void *frame[FRAMES];
    int n = backtrace(frame, FRAMES);
    if (n > 2)
        backtrace_symbols_fd(frame + 2, n - 2, STDERR_FILENO);
}

static bool nomem_strikes(void)
{
    if (!nomem)
        return false;
    int64_t left = atomic_load(&nomem->left);
    while (left > 0 && !atomic_compare_exchange_weak(&nomem->left, &left, left - 1))
        ;
    if (left != 1)
        return false;
    (void)atomic_fetch_add(&nomem->hits, 1);
    nomem_say_where();
    errno = ENOMEM;
    return true;
}

/* The linker calls these instead of the real ones. */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return nomem_strikes() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return nomem_strikes() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    return nomem_strikes() ? NULL : __real_realloc(p, size);
}

void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return nomem_strikes() ? NULL : __real_reallocarray(p, n, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return nomem_strikes() ? NULL : __real_strdup(text);
}

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
