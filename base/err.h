#ifndef BMFS_BASE_ERR_H
#define BMFS_BASE_ERR_H

/* Why something failed, in words.
 *
 * Functions return 0 or -errno and take a `struct err *` as their last parameter (NULL when the
 * caller does not care). The function that meets the failure sets the message; each level above
 * prepends what it was doing, so that the whole reads from the outside in:
 *
 *     gave up after 3 tries: get a/0/3: HTTP 503
 *
 * A message is one line without a newline. A hint, when there is one, says what to do about it.
 * Plain value, not thread-safe; no secret ever goes into it. */

#include "base/util.h"

enum { ERR_MSG_MAX = 768, ERR_HINT_MAX = 320 };

struct err {
    char msg[ERR_MSG_MAX];   /* "" while nothing failed; cut with "..." when too long */
    char hint[ERR_HINT_MAX]; /* "" when nothing can be advised */
    int64_t retry_after_ms;  /* beside -EAGAIN: how long the other side asks to be left alone */
};

/* Replaces the message and drops the rest. Returns `code`, so that callers can return it on. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The same, with ": <errno in words>" appended. */
int err_errno(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Prepends "fmt: " to what is there; to the errno in words, where nothing is. Returns `code`. */
int err_prefix(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Sets what the user can do. Keeps the message. */
void err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forgets everything. */
void err_clear(struct err *err);

#endif
