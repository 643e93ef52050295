#ifndef BMFS_S3_FAULT_H
#define BMFS_S3_FAULT_H

/* A layer that makes the store below fail as told, for tests of what stands above.
 *
 * A fault is a countdown: it strikes the nth call of its kind after it was added, once or from then
 * on for ever, and counts its hits, so that a test can assert that the failure it is about took
 * place. When several are due on one call, the one that was added first strikes, and the others
 * wait for the calls after. Every function may be called from any thread at any time. */

#include "s3/store.h"

/* Which calls: one method, or any of those. open_local is left alone. */
enum fault_op { FAULT_GET, FAULT_PUT, FAULT_HEAD, FAULT_DEL, FAULT_LIST, FAULT_ANY };

enum fault_kind {
    FAULT_REFUSED, /* -EAGAIN; nothing reaches the store below */
    FAULT_LOST,    /* -EAGAIN after the call was carried out below, whatever came of it */
    FAULT_CUT,     /* -EAGAIN after `amount` bytes of a get or entries of a list, or as FAULT_LOST
                      when there are fewer and for the other methods */
    FAULT_BROKEN,  /* -EIO; nothing reaches the store below */
    FAULT_DELAY,   /* carried out after `amount` milliseconds, or -ECANCELED at shutdown */
};

struct fault {
    enum fault_op op;
    enum fault_kind kind;
    uint64_t nth; /* 1: the next call */
    bool for_ever;
    uint64_t amount;
};

enum { FAULTS_MAX = 16 };

/* 0 or -ENOMEM, with *below still the caller's. */
int fault_new(struct store **below, struct store **ret);

/* `st`, here and below, is what fault_new() gave. 0, or -ENOSPC with FAULTS_MAX in place. */
int fault_add(struct store *st, const struct fault *fault);

/* Adds what a text says: OP:N[+]:KIND[=AMOUNT], several with commas between. The names are those of
 * the enumerations in lower case; "+" is for ever.
 *
 *     put:3:lost                  the third put takes effect, but its reply never arrives
 *     get:1+:cut=4096,any:9:refused
 *
 * 0; -EINVAL or -ENOSPC with the reason and nothing added. */
int fault_parse(struct store *st, const char *text, struct err *err);

/* Removes all faults and sets the hits to zero. */
void fault_clear(struct store *st);

/* How often any fault struck since fault_new() or fault_clear(). */
uint64_t fault_hits(struct store *st);

#endif
