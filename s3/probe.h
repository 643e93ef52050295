#ifndef BMFS_S3_PROBE_H
#define BMFS_S3_PROBE_H

/* What an endpoint does with conditional writes, found out by asking.
 *
 * Servers differ: some ignore the conditions and overwrite, and one refuses the quoted ETag that
 * another wants. The first conditional write asks, with a few small requests to keys under
 * "<prefix>.bmfs/", and keeps the verdict there in an object of its own, so that later mounts ask
 * with one GET. A verdict is good for one endpoint and for a week, for servers are upgraded. */

#include "s3/client.h"

enum probe_match {
    PROBE_IGNORED,  /* the condition is not looked at, or refused */
    PROBE_QUOTED,   /* "If-Match: "etag"", as the standard has it */
    PROBE_UNQUOTED, /* "If-Match: etag" */
};

struct probe_verdict {
    bool absent;             /* a PUT with "If-None-Match: *" never overwrites */
    enum probe_match put;    /* how a PUT takes If-Match */
    enum probe_match remove; /* how a DELETE takes If-Match */
};

enum { PROBE_TEXT_MAX = 4096 };

struct probe;

/* Borrows the client; copies the prefix. 0, -ENOMEM, or -ENAMETOOLONG. */
int probe_new(struct client *client, const char *prefix, struct probe **ret);

/* The verdict; asks the server if nobody did so far. One thread asks, the others wait for it. */
int probe_get(struct probe *p, struct probe_verdict *ret, struct err *err);

/* True and the verdict when it is known already. Asks nothing. */
bool probe_known(struct probe *p, struct probe_verdict *ret);

void probe_free(struct probe *p);

/* The text of the object that keeps a verdict, and back. Reading gives -ENOENT for a text that is
 * not one, is about another endpoint, or was written more than a week before `now_s`. */
int probe_write(const struct probe_verdict *v, const char *id, int64_t now_s, struct buf *ret);
int probe_read(const char *text, const char *id, int64_t now_s, struct probe_verdict *ret);

#endif
