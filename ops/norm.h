#ifndef BMFS_OPS_NORM_H
#define BMFS_OPS_NORM_H

/* Norms and the trace of a matrix of any type, in one pass over its blocks.
 *
 * Sums are kept as long doubles, whose exponents are so much wider than a double's that the square
 * of no element over- or underflows, and whose longer mantissa rounds sums less. NaN anywhere makes
 * the result NaN. Each element counts once, in the same order whatever it runs on: the same bits
 * each time. Memory: one block, and for NORM_ONE and NORM_INF a sum for each of its columns or
 * rows. */

#include "ops/matdir.h"

enum norm_kind {
    NORM_FRO, /* root of the sum of squares */
    NORM_ONE, /* largest sum of a column */
    NORM_INF, /* largest sum of a row */
    NORM_MAX, /* largest element: no norm in the strict sense, for products */
};

/* 0, or -EINVAL: NORM_ONE and NORM_INF are of one axis (a column) or two. */
int norm_check(const struct matdir *m, enum norm_kind kind, struct err *err);

/* -ENOENT for a missing block without fill value. */
int norm_run(const struct matdir *m, enum norm_kind kind, long double *ret, struct err *err);

/* The sum of the diagonal; of the blocks, only what lies around it is read. 0; -EINVAL unless the
 * matrix is square; or as norm_run(). */
int norm_trace_check(const struct matdir *m, struct err *err);
int norm_trace(const struct matdir *m, struct number *ret, struct err *err);

#endif
