#include "s3/s3_stat.h"

#include "s3/s3_etag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number; *end is what follows it. */
static bool s3_stat_number(const char *text, const char **end, uint64_t *ret)
{
    char *stop = NULL;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(text, &stop, 10);
    *end = stop;
    *ret = n;
    return errno == 0 && n <= INT64_MAX;
}

static bool s3_stat_is_hex(const char *text, size_t len)
{
    return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

bool s3_stat_is_write_id(const char *text)
{
    return s3_stat_is_hex(text, STORE_WRITE_ID_SIZE - 1);
}

/* What bmfs keeps with the objects it writes; objects of others have none of it. */
static void s3_stat_meta(const struct http_reply *reply, struct store_stat *stat)
{
    const char *crc = http_reply_header(reply, S3_STAT_CRC32C);
    const char *write_id = http_reply_header(reply, S3_STAT_WRITE_ID);
    stat->has_crc32c = crc && s3_stat_is_hex(crc, 8);
    stat->crc32c = stat->has_crc32c ? (uint32_t)strtoul(crc, NULL, 16) : 0;
    if (write_id && s3_stat_is_write_id(write_id))
        memcpy(stat->write_id, write_id, STORE_WRITE_ID_SIZE);
}

/* The ETag of a plain PUT is the body's MD5 sum unless keys of the user's encrypt it; of an object
 * that came in parts it ends in "-N". */
static bool s3_stat_is_md5(const struct http_reply *reply, const char *etag)
{
    const char *encryption = http_reply_header(reply, "x-amz-server-side-encryption");
    return s3_stat_is_hex(etag, 32) && (!encryption || strncmp(encryption, "aws:kms", 7) != 0) &&
           !http_reply_header(reply, "x-amz-server-side-encryption-customer-algorithm");
}

/* "bytes 0-9/100" */
static bool s3_stat_content_range(const struct http_reply *reply, struct s3_stat_range *range,
                                  uint64_t *size)
{
    const char *p = http_reply_header(reply, "content-range");
    uint64_t last = 0;
    if (!p || strncmp(p, "bytes ", 6) != 0 || !s3_stat_number(p + 6, &p, &range->first) ||
        *p != '-' || !s3_stat_number(p + 1, &p, &last) || *p != '/' ||
        !s3_stat_number(p + 1, &p, size) || *p)
        return false;
    range->end = last + 1;
    return range->first <= last && last < *size;
}

static bool s3_stat_content_length(const struct http_reply *reply, struct s3_stat_range *range,
                                   uint64_t *size)
{
    const char *p = http_reply_header(reply, "content-length");
    if (!p || !s3_stat_number(p, &p, size) || *p)
        return false;
    range->first = 0;
    range->end = *size;
    return true;
}

int64_t s3_stat_time_ns(const struct http_reply *reply, const char *name)
{
    const char *text = http_reply_header(reply, name);
    int64_t when_s = 0;
    if (!text || !http_reply_date(text, &when_s) || when_s > INT64_MAX / 1000000000)
        return 0;
    return when_s * 1000000000;
}

int s3_stat_reply(const struct http_reply *reply, struct store_stat *ret,
                  struct s3_stat_range *ret_range, struct err *err)
{
    struct store_stat stat = {0};
    struct s3_stat_range range;
    const char *etag = http_reply_header(reply, "etag");
    if (!etag || s3_etag_read(etag, stat.etag) < 0)
        return err_set(err, -EBADMSG, "the reply has no ETag that can be used");
    bool known = reply->status == 206 ? s3_stat_content_range(reply, &range, &stat.size)
                                      : s3_stat_content_length(reply, &range, &stat.size);
    if (!known)
        return err_set(err, -EBADMSG, "the reply does not say which bytes it holds");
    stat.mtime_ns = s3_stat_time_ns(reply, "last-modified");
    s3_stat_meta(reply, &stat);
    stat.md5_etag = s3_stat_is_md5(reply, stat.etag);
    *ret = stat;
    if (ret_range)
        *ret_range = range;
    return 0;
}
