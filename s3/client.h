#ifndef BMFS_S3_CLIENT_H
#define BMFS_S3_CLIENT_H

/* Signed requests to one bucket.
 *
 * Every call is signed from scratch. When the reply says that the region, the clock or the
 * credentials are wrong and names or allows better ones, they are put right for good and the
 * request is sent once more, at most once for each cause; anything else is for the caller and the
 * layer `retry` to judge. Thread-safe. */

#include "s3/creds.h"
#include "s3/request.h"

struct client;

struct client_conf {
    const char *bucket;
    const char *endpoint_url; /* NULL: AWS's for the region */
    const char *region;
    enum uri_style style;
    struct http_conf http;
    int64_t clock_ahead_s; /* added to this machine's clock: for tests of a clock that is wrong */
};

/* Takes *creds, and leaves NULL there, unless it fails with -ENOMEM at once. Copies what it needs
 * of `conf`. 0, -EINVAL, -ENOMEM, -EOPNOTSUPP. */
int client_new(const struct client_conf *conf, struct creds_source **creds, struct client **ret,
               struct err *err);

/* 0 when the reply is 2xx, STORE_SAME when it is 304, else an errno of store.h; -ESTALE stands for
 * every condition that does not hold, -ENOENT for a key that the server knows not to exist. *reply
 * is zeroed before and freed with http_reply_fini() in any case. */
int client_call(struct client *c, const struct request *req, struct http_reply *reply,
                struct err *err);

/* "s3://host[:port][/base]/bucket", the same text for the same bucket. Borrowed. */
const char *client_id(const struct client *c);

/* True when the endpoint is AWS's own, not one that the user named. */
bool client_is_aws(const struct client *c);

/* What the server called the latest request of this thread, or "". */
const char *client_request_id(void);

void client_count(const struct client *c, struct store_counters *sum);

/* Makes calls return -ECANCELED. */
void client_stop(struct client *c);

void client_free(struct client *c);
void client_freep(struct client *const *c);

#endif
