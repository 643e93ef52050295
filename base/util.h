#ifndef BMFS_BASE_UTIL_H
#define BMFS_BASE_UTIL_H

/* Ownership and arithmetic helpers that every room uses.
 *
 * CLEANUP(freep) char *p = NULL;     freed when p leaves its scope
 * CLEANUP(closep) int fd = -1;       closed when fd leaves its scope, errno kept
 * return TAKE(p);                    moves the pointer out and leaves NULL behind
 * return TAKE_FD(fd);                the same for a descriptor, leaving -1 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define TAKE(p)                    \
    __extension__({                \
        __typeof__(p) take_ = (p); \
        (p) = NULL;                \
        take_;                     \
    })

#define TAKE_FD(fd)          \
    __extension__({          \
        int take_fd_ = (fd); \
        (fd) = -1;           \
        take_fd_;            \
    })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                          \
    __extension__({                        \
        __typeof__(a) min_a_ = (a);        \
        __typeof__(b) min_b_ = (b);        \
        min_a_ < min_b_ ? min_a_ : min_b_; \
    })
#define MAX(a, b)                          \
    __extension__({                        \
        __typeof__(a) max_a_ = (a);        \
        __typeof__(b) max_b_ = (b);        \
        max_a_ > max_b_ ? max_a_ : max_b_; \
    })

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Cleanup handlers: each takes the address of the variable and keeps errno. */
void freep(void *address_of_pointer);
void closep(const int *fd);

/* 0, or -EIO / -ENOSPC / ... after short and interrupted calls were resumed. `pread_full` returns
 * -ENODATA when the file ends before `len` bytes. */
int pread_full(int fd, void *dst, size_t len, uint64_t off);
int pwrite_full(int fd, const void *src, size_t len, uint64_t off);
int write_full(int fd, const void *src, size_t len);

/* Copies the first `len` bytes of one file over those of another; the kernel shares or copies them
 * itself where it can. 0, -EIO when there are not as many, -ENOMEM, or another -errno. */
int copy_full(int from, int to, uint64_t len);

/* Milliseconds and nanoseconds of the clock that never jumps. */
int64_t clock_ms(void);
int64_t clock_ns(void);

/* Writes the thread-safe description of an errno value (either sign). Never NULL. */
const char *errno_text(int code);

/* Fills `dst` with bytes from the kernel's generator; 0 or -errno. */
int random_bytes(void *dst, size_t len);

/* Lower-case hex of `len` bytes; `dst` holds 2 * len + 1. */
void hex_encode(char *dst, const void *src, size_t len);

/* Fills `dst` of `size` bytes, an odd number, with random lower-case hex digits and a NUL: a name
 * that nobody else has. 0 or -errno. */
int random_hex(char *dst, size_t size);

#endif
