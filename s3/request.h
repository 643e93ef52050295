#ifndef BMFS_S3_REQUEST_H
#define BMFS_S3_REQUEST_H

/* One request to a bucket: what is asked, and the signed bytes that ask it. */

#include "s3/creds.h"
#include "s3/http.h"
#include "s3/sigv4.h"
#include "s3/uri.h"

enum {
    REQUEST_HEADERS_MAX = 8,
    REQUEST_OWN_HEADERS = 5, /* host, date, hash, token, authorization */
    REQUEST_REGION_SIZE = 48,
};

/* What is asked. */
struct request {
    const char *method;            /* GET, HEAD, PUT or DELETE */
    const char *key;               /* NULL: the bucket itself */
    const struct uri_param *param; /* of the query */
    size_t params;
    struct http_header header[REQUEST_HEADERS_MAX]; /* lower-case names, each once */
    size_t headers;
    const struct store_body *body; /* of a PUT */
    http_sink_fn *sink;            /* as in http.h */
    void *arg;
    size_t body_max;
};

/* What is sent. The caller fills the first part, request_sign() the second. */
struct request_signed {
    const char *payload;      /* SIGV4_UNSIGNED, or the hash of the body */
    struct creds *creds;      /* a reference, dropped by request_signed_fini() */
    struct uri_endpoint base; /* where the bucket's keys are */
    char region[REQUEST_REGION_SIZE];
    int64_t clock_offset_s; /* that `now_s` holds: for the caller to remember */

    char date[SIGV4_DATE_SIZE];
    struct buf path, query, url, authorization;
    struct http_header header[REQUEST_HEADERS_MAX + REQUEST_OWN_HEADERS];
    size_t headers;
};

/* Builds the URL and all headers as of `now_s` (since 1970). Credentials without an access key give
 * a request that is not signed. 0, -EIO for a clock that no date can say, -EMSGSIZE, -ENOMEM. */
int request_sign(struct request_signed *s, const struct request *req, int64_t now_s,
                 struct sigv4_key *key);

/* Fits CLEANUP. */
void request_signed_fini(struct request_signed *s);

/* SHA-256 of a body, in hex (SIGV4_SHA256_SIZE bytes). 0, or -errno when it cannot be read. */
int request_hash(const struct store_body *body, char *ret);

#endif
