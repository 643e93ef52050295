#include "s3/s3_etag.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Visible ASCII, as in a header. */
static bool s3_etag_is_valid(const char *text, size_t len)
{
    if (len == 0 || len >= STORE_ETAG_SIZE)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    }
    return true;
}

int s3_etag_read(const char *text, char *ret)
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (!s3_etag_is_valid(text, len))
        return -EBADMSG;
    memcpy(ret, text, len);
    ret[len] = '\0';
    return 0;
}

int s3_etag_write(const char *etag, bool quoted, char *ret)
{
    if (!s3_etag_is_valid(etag, strlen(etag)))
        return -EINVAL;
    const char *quote = quoted && !strchr(etag, '"') ? "\"" : ""; /* W/"x" has its own */
    (void)snprintf(ret, S3_ETAG_HEADER_SIZE, "%s%s%s", quote, etag, quote);
    return 0;
}
