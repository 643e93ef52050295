#ifndef BMFS_OPS_HERMITIAN_H
#define BMFS_OPS_HERMITIAN_H

/* Whether the diagonal blocks of a square matrix in square blocks are Hermitian, up to rounding:
 * elements across the diagonal may differ by sqrt(eps) times the largest one on it. NaN is not for
 * this check. Reads these blocks, some at a time, within that memory, which holds one at least.
 *
 * 0; -EINVAL with two elements that do not agree; or another -errno. */

#include "ops/run.h"

int hermitian_check(const struct matdir *m, const struct run_conf *conf, struct err *err);

#endif
