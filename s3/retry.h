#ifndef BMFS_S3_RETRY_H
#define BMFS_S3_RETRY_H

/* A layer that tries again what may work later.
 *
 * Only -EAGAIN is tried again, after a random pause of up to 100 ms, 200 ms, ... 5 s, or as long as
 * the store asks (`retry_after_ms` of its error). When a call has failed `tries_max` times in a
 * row, or goes on failing for `total_ms_max`, it ends with -EIO, "gave up after N tries: " and the
 * last reason. A budget shared by all calls keeps a store that is down from being asked over and
 * over: a further try takes one from it, a call that succeeds puts one back, and when nothing is
 * left the first failure of a call is its last.
 *
 * get   goes on after the last byte delivered, with If-Match on the version first seen: another one
 *       is -ESTALE. What arrives counts as progress and starts the counting of tries anew.
 * list  goes on after the last entry delivered; entries count as progress.
 * put   may have taken effect although its reply was lost or made no sense. Then the next try of a
 *       conditional one is refused, by our own version: one head settles it by the write id. It
 *       also settles a put that gave up. A put that comes without a write id is given one here.
 * del   with an ETag: a version that is gone after a lost reply is taken for deleted.
 *
 * After store_shutdown() pauses end at once. */

#include "s3/store.h"

/* The world as the layer sees it; a test gives its own. */
struct retry_env {
    int64_t (*now_ms)(void *arg);
    void (*pause)(void *arg, int64_t ms);
    uint64_t (*random)(void *arg);
    void *arg;
};

/* In all of them 0 means the default. */
struct retry_conf {
    int tries_max;         /* 5; 1: never try again */
    int64_t pause_ms_min;  /* 100; the longest first pause, doubled each time ... */
    int64_t pause_ms_max;  /* 5,000; ... up to this */
    int64_t total_ms_max;  /* 60,000; no try begins later than this after the first, or after
                              the last progress */
    int64_t budget_max;    /* 100 */
    store_watch_fn *watch; /* NULL, or told of each request that was made, each try */
    void *watch_arg;
    const struct retry_env *env; /* NULL: the real one; borrowed */
};

/* `conf` may be NULL. 0 or -ENOMEM, with *below still the caller's. */
int retry_new(struct store **below, const struct retry_conf *conf, struct store **ret);

#endif
