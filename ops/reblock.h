#ifndef BMFS_OPS_REBLOCK_H
#define BMFS_OPS_REBLOCK_H

/* The same elements in other blocks; any type and number of axes.
 *
 * B is made region by region. A region is a box of whole blocks of B: as many as fit into the
 * memory given, along the last axis first, so that what is read lies in long runs; where it can, it
 * ends where blocks of A end. Of each block of A that it meets, the part within it is read, and no
 * other: every byte of A is read once (a few times where the blocks of A meet regions in strips
 * narrower than a page), every block of A is opened once for each region that it reaches into. With
 * memory for one row of B's blocks that is mostly once, with less more often.
 *
 * A block of B is left out when all that it would hold is missing in A and stands for A's fill
 * value, which B then has too. */

#include "ops/matdir.h"

/* What B will be: A in blocks of `shard`. 0, or -EINVAL as grid_check(). The caller frees *ret_b
 * with header_fini(). */
int reblock_plan(const struct matdir *a, const int64_t *shard, struct header *ret_b,
                 struct err *err);

/* Writes every block of B, which was made with the header of reblock_plan(). `memory`: bytes for a
 * region, of which one block of B is the least; a block of A and one of B come on top. */
int reblock_run(const struct matdir *a, const struct matdir *b, uint64_t memory, struct err *err);

#endif
