#ifndef BMFS_TESTS_KIT_RESIDUAL_H
#define BMFS_TESTS_KIT_RESIDUAL_H

#include "ops/gemm.h"

/* How far C is from alpha op(A) op(B) + beta D, in O(n^2): both are multiplied with a random vector
 * x, and the difference is divided by n eps (|alpha| |A| |B| + |beta| |D|) |x|. Below 30 for a
 * right product; one wrong element of normal size makes it about 1 / (n eps). */
double residual_gemm(const struct gemm *g, const struct matdir *c, uint64_t seed);

#endif
