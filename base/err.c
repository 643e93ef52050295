#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Formats into dst; a text that does not fit ends in "..." instead of nothing. */
static PRINTF_LIKE(3, 0) void err_vformat(char *dst, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(dst, size, fmt, ap);
    if (n < 0)
        dst[0] = '\0';
    else if ((size_t)n >= size)
        memcpy(dst + size - 4, "...", 4);
    for (char *p = dst; *p; p++) {
        if ((unsigned char)*p < ' ')
            *p = '?'; /* a name from the network must not forge a second log line */
    }
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    err_vformat(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    err->hint[0] = '\0';
    err->retry_after_ms = 0;
    return code;
}

/* Appends text to the message as far as it fits. */
static void err_append(struct err *err, const char *text)
{
    size_t have = strlen(err->msg);
    size_t room = sizeof(err->msg) - have;
    (void)snprintf(err->msg + have, room, "%s", text);
}

int err_errno(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    va_list ap;
    va_start(ap, fmt);
    err_vformat(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    err->hint[0] = '\0';
    err->retry_after_ms = 0;
    err_append(err, ": ");
    err_append(err, errno_text(code));
    return code;
}

int err_prefix(struct err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char old[ERR_MSG_MAX];
    memcpy(old, err->msg, sizeof(old));
    va_list ap;
    va_start(ap, fmt);
    err_vformat(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    err_append(err, ": ");
    err_append(err, old[0] ? old : errno_text(code));
    return code;
}

void err_hint(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    err_vformat(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
}

void err_clear(struct err *err)
{
    if (!err)
        return;
    err->msg[0] = '\0';
    err->hint[0] = '\0';
    err->retry_after_ms = 0;
}
