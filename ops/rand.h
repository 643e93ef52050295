#ifndef BMFS_OPS_RAND_H
#define BMFS_OPS_RAND_H

/* Random matrices whose every element follows from the seed and its own place: element x, counted
 * in row-major order over the whole matrix, comes from
 *
 *     w0 w1 w2 w3 = Philox4x64-10(counter = (x, 0, 0, 0), key = (seed, 0))
 *
 * (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC'11). So a matrix has
 * the same values however it is cut into blocks, and in whichever order they are made.
 *
 *   uniform  [0, 1): the highest bits of w0, as many as the type has (53, 24 for single); the
 *            imaginary part from w1
 *   normal   Box-Muller: r = sqrt(-2 ln u), u = ((w0 >> 11) + 1) 2^-53, v = (w1 >> 11) 2^-53;
 *            r cos(2 pi v), and r sin(2 pi v) as the imaginary part: each of variance 1 */

#include "matrix/dtype.h"

enum rand_kind { RAND_UNIFORM, RAND_NORMAL };

/* 0, or -EINVAL for a type that is neither single nor double, real or complex. */
int rand_check(struct dtype t, struct err *err);

/* The elements x = first ... first + n - 1, in the machine's byte order. */
void rand_fill(enum rand_kind kind, uint64_t seed, int64_t first, size_t n, struct dtype t,
               void *dst);

/* The generator itself. */
void rand_philox(const uint64_t counter[4], const uint64_t key[2], uint64_t ret[4]);

#endif
