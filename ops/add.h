#ifndef BMFS_OPS_ADD_H
#define BMFS_OPS_ADD_H

/* C := alpha A + beta B, or alpha A, block by block: matrices of one shape, in the same blocks, of
 * any number of axes; float32, float64, complex64 or complex128.
 *
 * Single precision is computed in double and rounded once. A real factor of a complex matrix
 * multiplies both parts by themselves. NaN and infinities go through as IEEE arithmetic has it,
 * except that an operand with a factor of 0 is not read at all. A block that each operand read
 * lacks is lacking in C too, whose fill value is what theirs make. Memory: one block of each
 * operand. */

#include "ops/matdir.h"

#include <complex.h>

struct add {
    double complex alpha, beta;
    const struct matdir *a;
    const struct matdir *b; /* NULL: alpha A */
};

/* Checks the operands, and says what C will be: in A's blocks. 0, or -EINVAL with what does not
 * fit. The caller frees *ret_c with header_fini(). */
int add_plan(const struct add *x, struct header *ret_c, struct err *err);

/* 0 when all blocks are there that will be read; else -ENOENT, naming one. */
int add_check_inputs(const struct add *x, struct err *err);

/* Writes every block of C, which was made with the header of add_plan(). */
int add_run(const struct add *x, const struct matdir *c, struct err *err);

#endif
