#ifndef BMFS_S3_HTTP_H
#define BMFS_S3_HTTP_H

/* One HTTP request at a time per caller, over a bounded pool of connections that are kept.
 *
 * Everything a server sends is bounded: the head of a reply, bodies that are collected, and time.
 * A request ends when nothing moved for `call_time_ms`, when it has taken twice that time and more
 * than HTTP_RATE_MIN allows for what did move, or when http_stop() was called. Redirects are not
 * followed, and a PUT or DELETE is never sent twice behind the caller's back. Thread-safe; a call
 * blocks its thread. */

#include "s3/http_reply.h"
#include "s3/store.h"

enum {
    HTTP_CONNECTIONS_MAX = 64,
    HTTP_CONNECT_MS = 10 * 1000,   /* to be connected, all addresses and TLS included */
    HTTP_RATE_MIN = 16 * 1024,     /* bytes a second, on average after the first moments */
    HTTP_ERROR_MAX = 64 * 1024,    /* bytes kept of the body of an error */
    HTTP_EXPECT_MIN = 1024 * 1024, /* bodies from this size on wait for "100 Continue" */
};

struct http;

struct http_conf {
    const char *ca_bundle; /* file of certificates; NULL: the system's */
    int connections_max;   /* 1 to HTTP_CONNECTIONS_MAX */
    int64_t call_time_ms;
};

struct http_header {
    const char *name, *value;
};

/* Receives the body of a 2xx reply, piece by piece; status and headers are complete by then. A
 * negative return ends the call with that code; `err` may say why. */
typedef int http_sink_fn(void *arg, const struct http_reply *reply, const void *data, size_t len,
                         struct err *err);

struct http_request {
    const char *method;               /* GET, HEAD, PUT or DELETE */
    const char *url;                  /* encoded */
    const struct http_header *header; /* all that matter; values of one line */
    size_t headers;
    const struct store_body *body; /* of a PUT; NULL for the other methods */
    http_sink_fn *sink;            /* NULL: a 2xx body is collected in reply->body */
    void *arg;
    size_t body_max; /* a longer body to be collected is -EBADMSG; of errors the rest is dropped */
};

/* 0; -EOPNOTSUPP for a libcurl that is known to corrupt data; -ENOMEM. */
int http_new(const struct http_conf *conf, struct http **ret, struct err *err);

/* 0 when a reply came, whatever its status; *reply is the caller's, to be freed with
 * http_reply_fini() in any case, and zeroed before. -EAGAIN: no reply, and whether the server acted
 * on the request is unknown. -ECANCELED after http_stop(). -EBADMSG, -EIO, -ENOMEM; or
 * what the sink returned. */
int http_call(struct http *http, const struct http_request *req, struct http_reply *reply,
              struct err *err);

/* Makes calls under way and later ones return -ECANCELED at once. Any thread, any time. */
void http_stop(struct http *http);

/* No call may be under way. NULL is fine. */
void http_free(struct http *http);
void http_freep(struct http *const *http);

#endif
