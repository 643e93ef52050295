#ifndef BMFS_S3_SIGV4_H
#define BMFS_S3_SIGV4_H

/* AWS Signature Version 4 for S3, in the Authorization header. Pure; OpenSSL does the hashing.
 *
 * The signer takes path and query exactly as they are sent: encoded once, not normalised, the query
 * in the order of uri_query(). Every attempt is signed anew, for the time is part of it. */

#include "base/buf.h"
#include "s3/creds.h"
#include "s3/http.h"

#include <time.h>

enum {
    SIGV4_HEADERS_MAX = 32,
    SIGV4_TEXT_MAX = 256 * 1024, /* bytes of a canonical request */
    SIGV4_DATE_SIZE = 17,        /* "20130524T000000Z" */
    SIGV4_SHA256_SIZE = 65,      /* in hex */
};

/* SHA-256 of nothing, as the payload of requests without a body. */
#define SIGV4_EMPTY    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"

struct sigv4_request {
    const char *method;
    const char *path;                 /* begins with '/' */
    const char *query;                /* "" or "a=1&b=2" */
    const struct http_header *header; /* all to be signed: lower-case names, each once, any order */
    size_t headers;
    const char *payload; /* the value of x-amz-content-sha256 */
    const char *date;    /* the value of x-amz-date */
    const char *region;
};

/* A derived key, good for a day in a region: kept by the caller between requests, who wipes it.
 * Zeroed to begin with. One thread at a time. */
struct sigv4_key {
    char scope[64];  /* "20130524/us-east-1/s3/aws4_request" */
    uint64_t serial; /* of the credentials it was derived from */
    unsigned char key[32];
};

/* `ret`: SIGV4_DATE_SIZE bytes. False when the time cannot be written so. */
bool sigv4_date(time_t when, char *ret);

/* Appends the text whose hash is signed. 0, -ENOMEM, or -EMSGSIZE. */
int sigv4_canonical(const struct sigv4_request *req, struct buf *ret);

/* Appends the value of the Authorization header. 0, -ENOMEM, -EMSGSIZE, or -EINVAL for a region
 * that is too long. `creds` has an access key. */
int sigv4_sign(const struct sigv4_request *req, const struct creds *creds, struct sigv4_key *key,
               struct buf *ret);

#endif
