#ifndef BMFS_OPS_SOLVE_H
#define BMFS_OPS_SOLVE_H

/* A X = B, where A's Cholesky factor is there: A = L L^H, or U^H U.
 *
 * Columns of X are independent: as many blocks of columns as fit stay in memory, whole, while the
 * factor passes twice, forwards and backwards. Nothing in between is stored and each block of X is
 * written once. Least memory: one column of B's blocks, and a block of the factor. */

#include "ops/trsm.h"

struct solve {
    struct trsm forward; /* side 'l', the factor, B and the memory */
};

/* Fills in a description; `l` says in its header which triangle it is. -EINVAL when it does not. */
int solve_init(struct solve *x, const struct matdir *l, const struct matdir *b, struct err *err);

/* Parts of X's columns that fit. -EINVAL when not one column of blocks does. */
int solve_parts(const struct solve *x, int64_t *ret, struct err *err);

/* Bytes that any order of the m^2 n multiplications must read with that memory S (in elements):
 * 2 m^2 n / sqrt(S), but at least the factor's triangle and B once. */
uint64_t solve_bound(const struct solve *x);

/* The loop nest. *x has parts and outlives it. */
struct run_algorithm solve_algorithm(const struct solve *x);

#endif
