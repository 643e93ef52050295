#ifndef BMFS_OPS_CREATE_H
#define BMFS_OPS_CREATE_H

/* Filling a new matrix block by block. Memory: one block. */

#include "ops/matdir.h"
#include "ops/rand.h"

enum create_what { CREATE_VALUE, CREATE_EYE, CREATE_RAND };

struct create {
    enum create_what what;
    struct number value; /* of every element, or of those on the diagonal; the rest are 0 */
    enum rand_kind rand;
    uint64_t seed;
};

/* Whether such a matrix can be: 0 or -EINVAL. */
int create_check(const struct header *h, const struct create *c, struct err *err);

/* Publishes every block. */
int create_run(const struct matdir *m, const struct create *c, struct err *err);

#endif
