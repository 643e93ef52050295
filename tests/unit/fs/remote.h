#ifndef BMFS_TESTS_UNIT_FS_REMOTE_H
#define BMFS_TESTS_UNIT_FS_REMOTE_H

/* A layer that makes a directory store look like a server across the network: objects are no local
 * files. It counts what it is asked, has a gate that calls wait at until a test lets them on, and
 * damages bytes on their way. Every function may be called from any thread at any time. */

#include "s3/store.h"

enum remote_op {
    REMOTE_GET = 1,
    REMOTE_PUT = 2,
    REMOTE_HEAD = 4,
    REMOTE_DEL = 8,
    REMOTE_LIST = 16,
};

struct remote_counts {
    int gets, puts, heads, dels, lists;
    uint64_t bytes;   /* that gets delivered */
    uint64_t entries; /* that lists delivered */
};

/* 0 or -ENOMEM, with *below still the caller's. */
int remote_new(struct store **below, struct store **ret);

/* Calls since remote_new() or remote_clear(); one counts when it comes, before the gate. */
struct remote_counts remote_count(struct store *st);
void remote_clear(struct store *st);

/* From now on calls of these kinds (REMOTE_GET | ...) wait: before they do anything, or when all is
 * done but the return. */
void remote_shut(struct store *st, int ops);
void remote_shut_after(struct store *st, int ops);

/* Returns when `n` calls wait; false when that takes too long. */
bool remote_wait(struct store *st, int n);

/* Lets all calls on, those that wait and those to come. */
void remote_open(struct store *st);

/* What is wrong with the bytes of gets from now on. */
struct remote_damage {
    bool flip;         /* the byte at `at` is another one */
    bool skip;         /* the bytes from `at` to `at` + 9 never come */
    bool hide_crc;     /* no CRC is known */
    bool md5_etag;     /* ETags are said to be MD5 sums, which they are not */
    int once;          /* gets that are damaged by flip and skip; 0: all */
    int64_t size_more; /* every object is announced this much longer than it is */
    uint64_t at;
};
void remote_damage(struct store *st, const struct remote_damage *damage);

/* Objects can be opened as local files after all. */
void remote_be_local(struct store *st, bool local);

#endif
