#ifndef BMFS_OPS_DIFF_H
#define BMFS_OPS_DIFF_H

/* Comparing two matrices of one shape, element by element; they may be cut into different blocks.
 *
 * Elements are equal when |a - b| <= atol + rtol |b|; infinities only when they are the same; NaN
 * to NaN with equal_nan, else never. Types may differ among floats and complex numbers: values are
 * compared exactly, as long doubles. Where both matrices lack a block there is nothing to compare;
 * where one does, its elements count as different. Memory: one block of each, and the same again
 * for one that is stored with its first index fastest. */

#include "ops/matdir.h"

struct diff {
    double rtol, atol;
    bool equal_nan;
};

/* One pair of elements. */
struct diff_at {
    int64_t index[GRID_NDIM_MAX];
    struct number a, b;
    long double abs_error; /* |a - b|; infinite where one is NaN or infinite and the other is not */
    long double rel_error; /* that, over the larger of |a| and |b| */
};

struct diff_result {
    int64_t compared;  /* pairs of elements */
    int64_t different; /* of them */
    int64_t only_a;    /* elements that only one of them has */
    int64_t only_b;
    int64_t neither;      /* that both lack */
    struct diff_at first; /* of the pairs that differ, in the order of a's blocks */
    struct diff_at worst; /* by absolute error, among those that differ */
    long double max_abs;  /* over all pairs, also those within the tolerance */
    long double max_rel;
};

/* 0 when the two can be compared; else -EINVAL. */
int diff_check(const struct matdir *a, const struct matdir *b, struct err *err);

/* 0, whatever the result is, or -errno. */
int diff_run(const struct matdir *a, const struct matdir *b, const struct diff *d,
             struct diff_result *ret, struct err *err);

static inline bool diff_is_same(const struct diff_result *r)
{
    return r->different == 0 && r->only_a == 0 && r->only_b == 0;
}

#endif
