#ifndef BMFS_OPS_GEMM_H
#define BMFS_OPS_GEMM_H

/* C := alpha op(A) op(B) + beta D, block by block.
 *
 * The blocks of op(A) and op(B) must meet: along the inner dimension both are cut alike. C is cut
 * as op(A) is along its rows and op(B) along its columns. Each block of C is summed over ascending
 * k, in chunks where C is small and k is long (ops/sum.h), and written once. NaN and infinities go
 * through as IEEE arithmetic has it, except that operands with a factor of 0 are not read at all.
 *
 * As many blocks of C stay in memory as fit, a super-block, while A and B stream past it: that
 * moves the fewest bytes. One more line of A's or B's blocks stays with them, and one block of the
 * other: p q + q + 1 blocks for a super-block of p x q. */

#include "ops/run.h"

#include <complex.h>

struct gemm {
    char transa, transb; /* 'n', 't', 'c' */
    double complex alpha, beta;
    const struct matdir *a, *b;                          /* borrowed */
    const struct matdir *d;                              /* borrowed, or NULL: nothing is added */
    const struct stamps *stamps_a, *stamps_b, *stamps_d; /* borrowed, or NULL: see ops/stamps.h */
    uint64_t memory;                                     /* bytes of tiles */
};

/* Checks types, shapes and blocks of the operands, and says what C will be. 0, or -EINVAL with
 * what does not fit. *ret_c owns nothing. */
int gemm_plan(const struct gemm *g, struct header *ret_c, struct err *err);

/* 0 when all blocks are there that will be read; else -ENOENT, naming one. */
int gemm_check_inputs(const struct gemm *g, struct err *err);

/* How C is cut into super-blocks. */
struct gemm_layout {
    int64_t parts_m, parts_n; /* super-blocks along C's rows and columns */
    bool keeps_a; /* a column of A's blocks stays, B's stream; else the other way round */
};

/* The layout that reads the fewest bytes with g->memory. -EINVAL when not even one block of C, A
 * and B fit. */
int gemm_layout(const struct gemm *g, struct gemm_layout *ret, struct err *err);

/* Bytes of two blocks of A and B and one of C, with what is summed apart: the least memory. */
uint64_t gemm_memory_min(const struct gemm *g);

/* Bytes that any order of the products must read with that memory S (in elements):
 * 2 m n k / sqrt(S), but at least each operand once. */
uint64_t gemm_bound(const struct gemm *g);

/* Blocks that numpywren's task graph for the product A B moves: all partial products are stored,
 * and added by fours. */
struct run_traffic gemm_numpywren(const struct gemm *g);

/* The loop nest. *g has a layout and outlives it. */
struct run_algorithm gemm_algorithm(const struct gemm *g);

#endif
