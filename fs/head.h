#ifndef BMFS_FS_HEAD_H
#define BMFS_FS_HEAD_H

/* One version of a matrix's header, as the mount holds it: parsed, and rendered as header.json.
 *
 * Immutable after it was made, counted. A header that is stored but cannot be read is a head too:
 * it says why, and its matrix can be listed and removed. */

#include "matrix/header.h"
#include "s3/store.h"

struct head {
    _Atomic int refs;
    struct header header;   /* not set when bad */
    bool bad;               /* the stored header makes no sense */
    bool stored;            /* there is a header object; else inferred from the blocks */
    bool damaged;           /* what came is not what was stored: bad, and to be fetched again */
    char why[ERR_MSG_MAX];  /* of a bad one */
    struct store_stat stat; /* of the header object; of an inferred one only the ETag is set, a
                               text that differs with the content */
    struct buf text;        /* header.json; of a bad one the stored bytes */
};

/* Makes a head of the stored bytes: 0 (also for a bad one) or -ENOMEM. */
int head_new(const struct store_stat *stat, const void *bytes, size_t len, struct head **ret);

/* Makes a bad one of bytes that are not those that were stored; `why` says it. 0 or -ENOMEM. */
int head_new_damaged(const struct store_stat *stat, const struct buf *bytes, const char *why,
                     struct head **ret);

/* Makes a head of an inferred header, taking ownership of what *h holds. 0 or -ENOMEM. */
int head_new_inferred(struct header *h, struct head **ret);

struct head *head_ref(struct head *h);
void head_unref(struct head *h);

/* Same shape, shard sizes and type, both readable. */
bool head_same_grid(const struct head *a, const struct head *b);

#endif
