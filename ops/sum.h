#ifndef BMFS_OPS_SUM_H
#define BMFS_OPS_SUM_H

/* A block that is a sum of products over k. Where the result is small and k is long, k is cut into
 * chunks: their sums can be computed at the same time, and are added in ascending order. How it is
 * cut depends on shapes alone, never on threads or memory, for it changes the bits. */

#include "ops/engine.h"

struct sum_cut {
    int64_t inner; /* blocks along k */
    int64_t chunk; /* of a partial sum; inner: there is only one */
};

/* For a result of so many rows and columns, and blocks of `block` along k. */
struct sum_cut sum_cut_of(int64_t rows, int64_t columns, int64_t inner, int64_t block);

/* Tiles that a block of the result takes at most while it is summed: 1 or 2. */
int sum_tiles(const struct sum_cut *cut);

struct sum {
    struct slot *c;    /* the block; the caller's */
    struct slot *part; /* the chunk's sum, after the first */
};

/* What product k is to be added to. For block (i, j) of the result; s->c is there. */
struct slot *sum_target(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
                        const struct result *out, const int64_t index[2]);

/* Product k has been added: a chunk that is complete goes into the block. */
void sum_added(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e);

#endif
