#ifndef BMFS_OPS_TRSM_H
#define BMFS_OPS_TRSM_H

/* Triangular systems, block by block: op(T) X = B, or with side 'r' X op(T) = B.
 *
 * T is square in square blocks, and only its triangle is read; B is cut along T's dimension as T
 * is, and X as B. Left-looking: each block of X is made at once, from its block of B and the blocks
 * of X before it, and written once. A super-block stays in memory while T's blocks stream past it,
 * with one line of X's finished blocks where not all of them are in it. */

#include "ops/run.h"

struct trsm {
    char side;                  /* 'l', 'r' */
    char uplo;                  /* which triangle T is: 'l', 'u' */
    char trans;                 /* 'n', 't', 'c' */
    char diag;                  /* 'n', or 'u': T's diagonal counts as ones and is not read */
    const struct matdir *t, *b; /* borrowed */
    const struct stamps *stamps_t, *stamps_b; /* borrowed, or NULL: see ops/stamps.h */
    uint64_t memory;                          /* bytes of tiles */
};

/* Checks types, shapes and blocks, and says what X will be. 0, or -EINVAL with what does not fit.
 * *ret owns nothing. */
int trsm_plan(const struct trsm *x, struct header *ret, struct err *err);

/* 0 when all blocks are there that will be read; else -ENOENT, naming one. */
int trsm_check_inputs(const struct trsm *x, struct err *err);

/* How X is cut into super-blocks. */
struct trsm_layout {
    int64_t parts_m; /* along T's dimension */
    int64_t parts_n; /* across */
};

/* The layout that reads the fewest bytes. -EINVAL when not even three blocks fit. */
int trsm_layout(const struct trsm *x, struct trsm_layout *ret, struct err *err);

uint64_t trsm_memory_min(const struct trsm *x);

/* Bytes that any order of the m^2 n / 2 multiplications must read with that memory S (in elements):
 * m^2 n / sqrt(S), but at least T's triangle and B once. */
uint64_t trsm_bound(const struct trsm *x);

/* The loop nest. *x has a layout and outlives it. */
struct run_algorithm trsm_algorithm(const struct trsm *x);

#endif
