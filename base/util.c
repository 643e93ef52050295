#include "base/util.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void freep(void *address_of_pointer)
{
    int saved = errno;
    void *p = NULL;
    memcpy(&p, address_of_pointer, sizeof(p));
    free(p);
    errno = saved;
}

void closep(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    errno = saved;
}

int pread_full(int fd, void *dst, size_t len, uint64_t off)
{
    unsigned char *p = dst;
    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ENODATA;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int pwrite_full(int fd, const void *src, size_t len, uint64_t off)
{
    const unsigned char *p = src;
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int write_full(int fd, const void *src, size_t len)
{
    const unsigned char *p = src;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* As far as it goes by itself: how far, or -errno. */
static int64_t copy_fast(int from, int to, uint64_t len)
{
    off_t in = 0;
    off_t out = 0;
    while ((uint64_t)in < len) {
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(len - (uint64_t)in), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS))
            break;
        if (n <= 0)
            return n == 0 ? -EIO : -errno;
    }
    return in;
}

int copy_full(int from, int to, uint64_t len)
{
    enum { STEP = 1 << 20 };
    int64_t done = copy_fast(from, to, len);
    if (done < 0 || (uint64_t)done == len)
        return (int)MIN(done, (int64_t)0);
    CLEANUP(freep) char *step = malloc(STEP);
    if (!step)
        return -ENOMEM;
    for (uint64_t at = (uint64_t)done; at < len;) {
        size_t n = (size_t)MIN((uint64_t)STEP, len - at);
        int r = pread_full(from, step, n, at);
        if (r == 0)
            r = pwrite_full(to, step, n, at);
        if (r < 0)
            return r == -ENODATA ? -EIO : r;
        at += n;
    }
    return 0;
}

int64_t clock_ns(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0)
        abort(); /* only a broken kernel refuses this clock */
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

const char *errno_text(int code)
{
    const char *text = strerrordesc_np(code < 0 ? -code : code);
    return text ? text : "unknown error";
}

int random_bytes(void *dst, size_t len)
{
    unsigned char *p = dst;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

void hex_encode(char *dst, const void *src, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const unsigned char *p = src;
    for (size_t i = 0; i < len; i++) {
        dst[2 * i] = digit[p[i] >> 4];
        dst[2 * i + 1] = digit[p[i] & 15];
    }
    dst[2 * len] = '\0';
}

int random_hex(char *dst, size_t size)
{
    unsigned char bytes[64];
    size_t len = (size - 1) / 2;
    int r = len <= sizeof(bytes) ? random_bytes(bytes, len) : -EINVAL;
    if (r == 0)
        hex_encode(dst, bytes, len);
    return r;
}
