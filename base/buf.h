#ifndef BMFS_BASE_BUF_H
#define BMFS_BASE_BUF_H

/* A growing byte buffer that knows its maximum from birth: nothing that a server, a file or a user
 * sends can make it grow further. The bytes are always followed by a NUL that `len` does not count,
 * so that `(const char *)b.data` is a string. Plain value, one thread at a time. */

#include "base/util.h"

struct buf {
    char *data; /* owned; NULL until the first byte */
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated, the NUL included */
    size_t max; /* most bytes that `len` may reach */
};

#define BUF_INIT(max_len) ((struct buf){.max = (max_len)})

/* 0, -ENOMEM, or -EMSGSIZE when `max` would be passed (the buffer is left as it was). */
int buf_append(struct buf *b, const void *src, size_t len);
int buf_puts(struct buf *b, const char *text);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes room for `len` more bytes, so that the next append of as many cannot fail. */
int buf_reserve(struct buf *b, size_t len);

/* The text, "" while nothing was appended. Borrowed until the next append. */
const char *buf_text(const struct buf *b);

/* Empties the buffer and keeps its memory. */
void buf_clear(struct buf *b);

/* Frees the memory; the buffer is empty and usable again. Fits CLEANUP(buf_fini). */
void buf_fini(struct buf *b);

#endif
