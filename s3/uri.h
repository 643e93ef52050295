#ifndef BMFS_S3_URI_H
#define BMFS_S3_URI_H

/* URLs of S3: percent-encoding, endpoints, and where a bucket stands on its endpoint. Pure.
 *
 * S3 signs the bytes of the path and the query as they are sent, so everything is encoded here,
 * once, and nobody encodes or normalises it again. */

#include "base/buf.h"
#include "base/err.h"

enum {
    URI_HOST_SIZE = 320, /* a name of 255 bytes, a bucket before it, a port behind it */
    URI_PATH_SIZE = 512,
    URI_PARAMS_MAX = 8,
    URI_QUERY_MAX = 64 * 1024,
};

/* Appends src percent-encoded: all but A-Z a-z 0-9 - . _ ~ and the bytes in `keep` become %XX.
 * 0, or as buf_append(). */
int uri_encode(struct buf *dst, const char *src, const char *keep);

/* Decodes in place as servers encode keys in listings: %XX, and '+' for a space. 0, or -EBADMSG for
 * a broken escape or %00. */
int uri_decode(char *text);

struct uri_param {
    const char *name, *value; /* not encoded; value "" for a parameter without one */
};

/* Appends "a=1&b=2", encoded and in the order that signatures want. At most URI_PARAMS_MAX
 * parameters. 0, -ENOMEM or -EMSGSIZE. */
int uri_query(struct buf *dst, const struct uri_param *param, size_t params);

struct uri_endpoint {
    bool tls;
    bool aws;                 /* AWS's own for a region, not one that the user named */
    char host[URI_HOST_SIZE]; /* as in a Host header: lower case, no port that the scheme implies */
    char path[URI_PATH_SIZE]; /* "" or "/base/path", encoded, without a '/' at the end */
};

/* "https://host[:port][/path]". 0, or -EINVAL with the reason. */
int uri_endpoint_parse(const char *url, struct uri_endpoint *ret, struct err *err);

/* AWS's endpoint of a region. 0, or -EINVAL when `region` cannot be one. */
int uri_endpoint_aws(const char *region, struct uri_endpoint *ret, struct err *err);

enum uri_style {
    URI_STYLE_AUTO,    /* virtual on AWS where the bucket's name allows it, else path */
    URI_STYLE_PATH,    /* https://host/bucket/key */
    URI_STYLE_VIRTUAL, /* https://bucket.host/key */
};

/* Where the keys of a bucket are: scheme://host + path + "/" + key, in the struct of an endpoint.
 * 0, or -EINVAL when the names are too long. */
int uri_bucket(const struct uri_endpoint *endpoint, const char *bucket, enum uri_style style,
               struct uri_endpoint *ret, struct err *err);

#endif
