#ifndef BMFS_OPS_STAMPS_H
#define BMFS_OPS_STAMPS_H

/* Which version of each block of a matrix a run works on, so that a change on the way is noticed:
 * on a mount its ETag, elsewhere its size and time of modification. */

#include "ops/matdir.h"

struct stamps {
    const struct matdir *m; /* borrowed */
    uint64_t *of;           /* owned: for each block by rank a hash of its version; 0: missing */
    uint64_t digest;        /* of all of them, and of what the header says of those missing */
};

/* Looks at every block, or with `lower` (`upper`: turned) at those of one triangle; the others
 * count as missing. 0 or -errno. */
enum stamps_part { STAMPS_ALL, STAMPS_LOWER, STAMPS_UPPER };
int stamps_take(const struct matdir *m, enum stamps_part part, struct stamps *ret, struct err *err);

bool stamps_has(const struct stamps *s, const int64_t *index);

/* 0 when an open block (-1: it is missing) is what it was; else -ESTALE with a message that names
 * it. On a mount a descriptor is of one version for ever: nobody is asked. */
int stamps_check(const struct stamps *s, const int64_t *index, int fd, struct err *err);

/* Fits CLEANUP. */
void stamps_fini(struct stamps *s);

#endif
