#ifndef BMFS_S3_HTTP_REPLY_H
#define BMFS_S3_HTTP_REPLY_H

/* What came back for an HTTP request. Pure. */

#include "base/buf.h"

enum { HTTP_HEAD_MAX = 64 * 1024 }; /* bytes of all headers of a reply */

struct http_reply {
    int status;      /* 0 until a reply came */
    struct buf head; /* "name NUL value NUL" for each header: see http_reply_header() */
    struct buf body; /* what was collected */
    uint64_t bytes_in, bytes_out; /* of bodies */
};

/* The value of a header (lower-case name), or NULL. Borrowed from the reply. */
const char *http_reply_header(const struct http_reply *reply, const char *name);

void http_reply_fini(struct http_reply *reply);

/* Reads a date of HTTP: seconds since 1970. */
bool http_reply_date(const char *text, int64_t *ret_s);

/* Takes a line of a reply's head as it came, its end included. A status line begins a new reply:
 * what came before it was an interim one. 0, -ENOMEM, -EMSGSIZE. */
int http_reply_line(struct http_reply *reply, const char *line, size_t len);

#endif
