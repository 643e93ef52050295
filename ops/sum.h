#ifndef BMFS_OPS_SUM_H
#define BMFS_OPS_SUM_H

/* A block that is a sum of products over k. Where the result is small and k is long, k is cut into
 * chunks: their sums can be computed at the same time, and are added in ascending order. Where k is
 * very long, chunks are gathered into spans, whose sums are stored besides (ops/sums.h), so that a
 * run that died goes on behind them. How k is cut depends on shapes alone, never on threads or
 * memory, for it changes the bits; whether spans are stored does not. */

#include "ops/engine.h"

struct sum_cut {
    int64_t inner; /* blocks along k */
    int64_t span;  /* of a sum that is stored; inner: none is */
    int64_t chunk; /* of a sum in memory, which divides a span; span: there is only one */
};

/* For a result of so many rows and columns, and blocks of `block` along k. */
struct sum_cut sum_cut_of(int64_t rows, int64_t columns, int64_t inner, int64_t block);

/* Sums that are stored for each block: 0, or 2 to SUM_SPANS_MAX. */
enum { SUM_SPANS_MAX = 64 };
int64_t sum_spans(const struct sum_cut *cut);

/* Tiles that a block of the result takes at most while it is summed: 1 to 3. */
int sum_tiles(const struct sum_cut *cut);

struct sum {
    struct slot *c;    /* the block; the caller's */
    struct slot *span; /* the span's sum, where they are stored */
    struct slot *part; /* the chunk's sum, after the first of a span */
};

/* Whether product k of block (i, j) is in a sum that was stored before: it need not be computed. */
bool sum_had(const struct sum_cut *cut, const struct result *out, int64_t k, int64_t i, int64_t j);

/* What product k is to be added to; NULL when it need not be. For block (i, j) of the result; s->c
 * is there. For each k, ascending. */
struct slot *sum_target(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
                        const struct result *out, const int64_t index[2]);

/* Product k has been added, or need not be: what is complete goes to where it belongs. */
void sum_added(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
               const struct result *out, const int64_t index[2]);

#endif
