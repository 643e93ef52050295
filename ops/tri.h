#ifndef BMFS_OPS_TRI_H
#define BMFS_OPS_TRI_H

/* BLAS and LAPACK on tiles of triangular and Hermitian matrices, as ops/kernel.h: no I/O, no
 * allocation, no locks, BLAS in the caller's thread alone. All tiles of a call are of one type and
 * one order (row- or column-major). Triangles are lower ones; what is above a diagonal is neither
 * read nor written. */

#include "ops/tile.h"

#include <complex.h>

/* The lower triangle: c := c - a a^H. */
void tri_herk(struct tile a, struct tile c);

/* b := b l^-H. */
void tri_trsm_right(struct tile l, struct tile b);

/* b := op(l)^-1 b, where op is 'n', 't' or 'c'. */
void tri_trsm_left(char trans, struct tile l, struct tile b);

/* The lower triangle: a := L with L L^H = a. 0, or k > 0: the k-th leading minor is not positive
 * definite (also when it is NaN or infinite, which OpenBLAS takes for a success). */
int tri_potrf(struct tile a);

#endif
