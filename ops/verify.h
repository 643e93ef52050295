#ifndef BMFS_OPS_VERIFY_H
#define BMFS_OPS_VERIFY_H

/* Whether a result is right, in one or two passes over the matrices: both sides of its equation are
 * multiplied with a random vector x, and their difference is divided by what rounding allows. A
 * right result is far below 30; one wrong element of normal size makes it about 1 / (n eps).
 * Memory: one block, and vectors. */

#include "ops/chol.h"
#include "ops/gemm.h"
#include "ops/solve.h"
#include "ops/syrk.h"

/* |C x - (alpha op(A) (op(B) x) + beta D x)| over
 * k eps (|alpha| |A| |B| + |beta| |D|) |x|; `x` is a struct gemm. NaN when NaN is met. */
int verify_gemm(const void *x, const struct matdir *c, double *ret, struct err *err);

/* |(A + reg I) x - L (L^H x)| over n eps |A| |x|; `x` is a struct chol. */
int verify_chol(const void *x, const struct matdir *l, double *ret, struct err *err);

/* |C x - A (A^H x)| over k eps |A|^2 |x|, where C's lower triangle stands for all; `x` is a struct
 * syrk. NaN when NaN is met. */
int verify_syrk(const void *x, const struct matdir *c, double *ret, struct err *err);

/* |op(T) X x - B x|, or |X op(T) x - B x|, over n eps (|T| |X| + |B|) |x|; `x` is a struct trsm. */
int verify_trsm(const void *x, const struct matdir *out, double *ret, struct err *err);

/* |L L^H X x - B x| over n eps (|L|^2 |X| + |B|) |x|; `x` is a struct solve. */
int verify_solve(const void *x, const struct matdir *out, double *ret, struct err *err);

#endif
