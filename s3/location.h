#ifndef BMFS_S3_LOCATION_H
#define BMFS_S3_LOCATION_H

/* What a user writes to name a bucket, and the store behind it.
 *
 *   BUCKET, s3://BUCKET          bucket BUCKET, prefix "numpywren.objects/"
 *   BUCKET/P/, s3://BUCKET/P     bucket BUCKET, prefix "P/"
 *   BUCKET/, s3://BUCKET/        bucket BUCKET, no prefix: everything
 *   file:///DIR                  directory DIR, prefix "numpywren.objects/"
 *   file:///DIR/                 directory DIR, no prefix: everything */

#include "s3/store.h"

struct location {
    bool is_dir;
    char *bucket; /* bucket name, or the absolute path of the directory; owned */
    char *prefix; /* "" or a text that ends in '/'; owned */
};

/* 0, or -EINVAL with the reason, or -ENOMEM. */
int location_parse(const char *text, struct location *ret, struct err *err);

/* Frees what location_parse() allocated; a zeroed location is fine. Fits CLEANUP. */
void location_fini(struct location *loc);

/* What the user may set about the way to the store. NULL and 0 mean: as the environment and the
 * files that every AWS tool reads say, else the default. */
struct location_conf {
    const char *profile;
    const char *region;
    const char *endpoint_url;
    const char *ca_bundle;
    bool no_sign_request;
    bool read_only;        /* no write ever reaches the store */
    int connections_max;   /* 0: 64 */
    int64_t call_time_ms;  /* 0: 60,000; a try without progress for this long has failed, and none
                              begins later than this after the first or the last progress */
    int tries_max;         /* 0: 5; how often a call that may work later is made */
    store_watch_fn *watch; /* NULL, or told of each request */
    void *watch_arg;
};

/* Opens the whole stack of layers. Asks the store nothing; the first call does. 0; -EINVAL for
 * settings that make no sense; -EACCES when no credentials are found; -ENXIO when the directory is
 * not there; -ENOMEM. The caller frees *ret with store_free(). */
int location_open(const struct location *loc, const struct location_conf *conf, struct store **ret,
                  struct err *err);

/* The same for the lowest layer alone: for who puts other layers above it. */
int location_open_base(const struct location *loc, const struct location_conf *conf,
                       struct store **ret, struct err *err);

#endif
