#ifndef BMFS_TESTS_KIT_MATRICES_H
#define BMFS_TESTS_KIT_MATRICES_H

/* Small matrices in a test's folder. Failures end the process: a test without its operands has
 * nothing to say. */

#include "ops/matdir.h"
#include "tests/kit/scratch.h"

#include <complex.h>

struct matrices_spec {
    const char *name; /* below the folder */
    const char *dtype;
    int ndim; /* 0: 2 */
    int64_t shape[4];
    int64_t shard[4];
};

/* Makes an empty matrix and opens it. The caller closes. */
struct matdir matrices_empty(const struct scratch *s, const struct matrices_spec *spec);

/* Makes one with normal random elements. */
struct matdir matrices_random(const struct scratch *s, const struct matrices_spec *spec,
                              uint64_t seed);

/* All elements of a float or complex matrix, last index fastest; freed with free(). */
double complex *matrices_load(const struct matdir *m);

/* Stores all blocks of a float or complex matrix from such elements; blocks that are there are
 * replaced. With `fortran` each block is stored with its first index fastest. */
void matrices_store(const struct matdir *m, const double complex *from, bool fortran);

#endif
