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

/* "OpenBLAS 0.3.21", and what it takes the processor for: "SkylakeX". Bits depend on both. */
const char *kernel_version(void);
const char *kernel_core(void);

/* The best core that this processor can run and OpenBLAS has, when it is better than the one it
 * took: releases older than a processor fall back to one of 2004. NULL: all is well. */
const char *kernel_better_core(void);

/* Whether this processor can run the code for a core; one that it cannot would end the process. */
bool kernel_can_run(const char *core);

/* c := c + alpha op(a) op(b), where op is 'n' as it is, 't' transposed, 'c' conjugate-transposed,
 * and op(a) is c.m x k, op(b) k x c.n. */
void kernel_gemm(char transa, char transb, double complex alpha, struct tile a, struct tile b,
                 struct tile c);

/* c := beta c. */
void kernel_scale(double complex beta, struct tile c);

/* c := c + a, of one order. */
void kernel_add(struct tile a, struct tile c);

/* c := c + alpha I. */
void kernel_shift(double complex alpha, struct tile c);

double complex kernel_element(struct tile t, int i, int j);

/* The real part of an element. */
double kernel_real(struct tile t, int i, int j);

/* Whether all elements are finite, or with `lower` all of the lower triangle; else the first one
 * that is not, in the tile's order. */
bool kernel_is_finite(struct tile t, bool lower, int *ret_i, int *ret_j);

#endif
