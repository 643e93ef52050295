#ifndef BMFS_OPS_TRI_H
#define BMFS_OPS_TRI_H

/* BLAS and LAPACK on tiles of triangular and Hermitian matrices, as ops/kernel.h: no I/O, no
 * allocation, no locks, BLAS in the caller's thread alone. All tiles of a call are of one type and
 * one order (row- or column-major). Of a triangular matrix the other triangle is neither read nor
 * written. */

#include "ops/tile.h"

#include <complex.h>

/* The lower triangle: c := c + alpha a a^H, or with trans 'c' c + alpha a^H a. */
void tri_herk(char trans, double alpha, struct tile a, struct tile c);

/* b := op(t)^-1 b with side 'l', b op(t)^-1 with 'r', where t is triangular ('l' or 'u'), op is
 * 'n', 't' or 'c', and t has a diagonal of its own ('n') or of ones ('u'). */
void tri_trsm(char side, char uplo, char trans, char diag, struct tile t, struct tile b);

/* c := a^H. */
void tri_turn(struct tile a, struct tile c);

/* The other triangle as the lower one has it: a(j, i) := conj(a(i, j)). */
void tri_mirror(struct tile a);

/* The lower triangle: a := L with L L^H = a. 0, or k > 0: the k-th leading minor is not positive
 * definite (also when it is NaN or infinite, which OpenBLAS takes for a success). */
int tri_potrf(struct tile a);

#endif
