#ifndef BMFS_OPS_DERIVE_H
#define BMFS_OPS_DERIVE_H

/* What the header of a result takes over from those of its operands: the fields that speak of
 * elements. Others say how the operand came to be, and stay behind.
 *
 *   fill_value   what a missing block stands for
 *   triangular   "lower" or "upper": the other triangle is 0, whether its blocks are there or not
 */

#include "ops/matdir.h"

enum derive_triangle { DERIVE_NONE, DERIVE_LOWER, DERIVE_UPPER };

/* What a header says; DERIVE_NONE also for what is no word of ours. */
enum derive_triangle derive_triangle(const struct header *h);

enum derive_triangle derive_flip(enum derive_triangle t);

/* Sets the field, or leaves it out for DERIVE_NONE. 0 or -ENOMEM. */
int derive_set_triangle(struct header *h, enum derive_triangle t, struct err *err);

/* Makes `element`, one of the header's type in the machine's byte order and at any address, its
 * fill value. 0; -EINVAL for one that a header cannot say (integers beyond 2^53); or -ENOMEM. */
int derive_set_fill(struct header *h, const void *element, struct err *err);

#endif
