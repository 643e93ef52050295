#ifndef BMFS_OPS_KERNEL_H
#define BMFS_OPS_KERNEL_H

/* BLAS on tiles: no I/O, no allocation, no locks. Any mixture of row- and column-major tiles; all
 * of a call have one type. Factors are complex for every type; those of 's' and 'd' use the real
 * part.
 *
 * A factor of 0 never reaches BLAS: with alpha = 0 OpenBLAS's answer to a NaN depends on the size
 * of the matrix. Here 0 means that the operand is not looked at. */

#include "ops/tile.h"

#include <complex.h>

/* Makes BLAS run in the caller's thread alone, for the whole process: with another number of
 * threads it gives other bits. Before the first kernel and before other threads. */
void kernel_init(void);

/* What computes: "OpenBLAS 0.3.21 DYNAMIC_ARCH ... SkylakeX". Writes at most `size` bytes. */
void kernel_library(char *dst, size_t size);

/* c := c + alpha op(a) op(b), where op is 'n' as it is, 't' transposed, 'c' conjugate-transposed,
 * and op(a) is c.m x k, op(b) k x c.n. */
void kernel_gemm(char transa, char transb, double complex alpha, struct tile a, struct tile b,
                 struct tile c);

/* c := beta c. */
void kernel_scale(double complex beta, struct tile c);

#endif
