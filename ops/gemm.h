#ifndef BMFS_OPS_GEMM_H
#define BMFS_OPS_GEMM_H

/* C := alpha op(A) op(B) + beta D, block by block.
 *
 * The blocks of op(A) and op(B) must meet: along the inner dimension both are cut alike. C is cut
 * as op(A) is along its rows and op(B) along its columns. Each block of C is summed over ascending
 * k and written once. NaN and infinities go through as IEEE arithmetic has it, except that operands
 * with a factor of 0 are not read at all. Memory: one block each of A, B and C. */

#include "ops/matdir.h"

#include <complex.h>

struct gemm {
    char transa, transb; /* 'n', 't', 'c' */
    double complex alpha, beta;
    const struct matdir *a, *b; /* borrowed */
    const struct matdir *d;     /* borrowed, or NULL: nothing is added */
};

/* Checks types, shapes and blocks of the operands, and says what C will be. 0, or -EINVAL with
 * what does not fit. *ret_c owns nothing. */
int gemm_plan(const struct gemm *g, struct header *ret_c, struct err *err);

/* 0 when all blocks are there that will be read; else -ENOENT, naming one. */
int gemm_check_inputs(const struct gemm *g, struct err *err);

/* Writes every block of C, which was made with the header of gemm_plan(). */
int gemm_run(const struct gemm *g, const struct matdir *c, struct err *err);

#endif
