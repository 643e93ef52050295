#ifndef BMFS_S3_S3_STAT_H
#define BMFS_S3_S3_STAT_H

/* What the head of a reply says about an object. Pure. */

#include "s3/http_reply.h"
#include "s3/store.h"

/* The bytes of the object that a reply holds: [first, end). */
struct s3_stat_range {
    uint64_t first, end;
};

/* The headers under which bmfs keeps what it knows about an object's body. */
#define S3_STAT_CRC32C   "x-amz-meta-bmfs-crc32c"   /* 8 hex digits */
#define S3_STAT_WRITE_ID "x-amz-meta-bmfs-write-id" /* 32 hex digits */

/* Reads the head of a 2xx reply to GET or HEAD. `ret_range` may be NULL. 0, or -EBADMSG. */
int s3_stat_reply(const struct http_reply *reply, struct store_stat *ret,
                  struct s3_stat_range *ret_range, struct err *err);

/* True for 32 lower-case hex digits. */
bool s3_stat_is_write_id(const char *text);

/* The time of a header of HTTP, in nanoseconds; 0 when it has none. */
int64_t s3_stat_time_ns(const struct http_reply *reply, const char *name);

#endif
