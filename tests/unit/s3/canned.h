#ifndef BMFS_TESTS_UNIT_S3_CANNED_H
#define BMFS_TESTS_UNIT_S3_CANNED_H

/* A server on loopback that answers from a list, one reply for each request that arrives, and keeps
 * what it was asked. One connection at a time. */

#include <stddef.h>

struct canned_reply {
    const char *text; /* sent as it is, headers and body */
    enum {
        CANNED_KEEP,  /* the connection stays open for the next request */
        CANNED_CLOSE, /* closed after the reply */
        CANNED_HANG,  /* nothing more is said until the client gives up */
    } then;
    size_t zeros; /* so many NUL bytes are sent after the text */
};

struct canned;

struct canned *canned_new(const struct canned_reply *reply, size_t replies);

/* "http://127.0.0.1:PORT" */
const char *canned_url(const struct canned *c);

/* Request number i with its body, or NULL when no more than i have come. Borrowed. */
const char *canned_request(struct canned *c, size_t i);

/* How many connections were opened. */
size_t canned_connections(struct canned *c);

void canned_free(struct canned *c);
void canned_freep(struct canned *const *c);

#endif
