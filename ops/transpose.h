#ifndef BMFS_OPS_TRANSPOSE_H
#define BMFS_OPS_TRANSPOSE_H

/* B(..., j, i) := A(i, j, ...), block by block: the axes in reverse order, as numpy's A.T has them.
 * Any type and number of axes. What A lacks, B lacks. Memory: two blocks. */

#include "ops/matdir.h"

/* What B will be. The caller frees *ret_b with header_fini(). */
int transpose_plan(const struct matdir *a, bool conjugate, struct header *ret_b, struct err *err);

/* Writes every block of B, which was made with the header of transpose_plan(). */
int transpose_run(const struct matdir *a, bool conjugate, const struct matdir *b, struct err *err);

#endif
