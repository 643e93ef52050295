#ifndef BMFS_OPS_LOGDET_H
#define BMFS_OPS_LOGDET_H

/* The logarithm of the determinant of A = L L^H, from its factor: 2 sum log L(i, i). */

#include "ops/matdir.h"

/* Reads the diagonal blocks. 0; -EINVAL: not square in shape and blocks, or of a type that has no
 * factors; -EDOM: a diagonal element that no factor has, with its place; or another -errno. */
int logdet_run(const struct matdir *l, double *ret, struct err *err);

#endif
