#ifndef BMFS_OPS_CHOL_H
#define BMFS_OPS_CHOL_H

/* A = L L^H, block by block; or with `upper` A = U^H U.
 *
 * Left-looking: each block of the factor is made at once, from its block of A and the finished
 * blocks to its left, and written once; nothing in between is ever stored. Only one triangle of A
 * is read. A super-block of p columns of blocks and q rows stays in memory while the factor streams
 * past it: p q + p + 1 blocks. */

#include "ops/run.h"

struct chol {
    const struct matdir *a;      /* borrowed */
    bool upper;                  /* A's upper triangle is read, U is made */
    double reg;                  /* added to A's diagonal */
    const struct stamps *stamps; /* borrowed, or NULL: see ops/stamps.h */
    uint64_t memory;             /* bytes of tiles */
};

/* Whether A can have a factor, by its type, shape and blocks; and the factor's header. 0 or
 * -EINVAL. The caller frees the header. */
int chol_plan(const struct chol *c, struct header *ret, struct err *err);

/* 0 when all blocks are there that will be read; else -ENOENT, naming one. */
int chol_check_inputs(const struct chol *c, struct err *err);

/* How the factor is cut. */
struct chol_layout {
    int64_t parts;   /* super-blocks along the columns */
    int64_t columns; /* blocks of the widest */
    int64_t rows;    /* at most, of a super-block below the diagonal */
};

/* The layout that reads the fewest bytes. -EINVAL when not even three blocks fit. */
int chol_layout(const struct chol *c, struct chol_layout *ret, struct err *err);

/* The least memory. */
uint64_t chol_memory_min(const struct chol *c);

/* Bytes that any order of the operations must read with that memory S (in elements):
 * n^3 / (3 sqrt(2) sqrt(S)) (Beaumont, Eyraud-Dubois, Verite, Langou, SPAA'22), but at least the
 * triangle once. */
uint64_t chol_bound(const struct chol *c);

/* Blocks that numpywren's task graph moves: each update of a block is stored. */
struct run_traffic chol_numpywren(const struct chol *c);

/* The loop nest. *c has a layout and outlives it. */
struct run_algorithm chol_algorithm(const struct chol *c);

#endif
