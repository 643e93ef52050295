#ifndef BMFS_OPS_EXPORT_H
#define BMFS_OPS_EXPORT_H

/* From the blocks of a matrix to one stream of its elements, last index fastest, little-endian. The
 * matrix is read in slabs: as many steps along the first axis as fit into the memory given, within
 * one row of blocks. A block that is stored with its first index fastest is read whole for each
 * slab. */

#include "ops/matdir.h"

enum export_format { EXPORT_NPY, EXPORT_RAW };

/* Writes to `fd` in order. `memory`: bytes for a slab, of which one step along the first axis is
 * the least; a block's part of it comes on top. -ENOENT for a missing block without fill value. */
int export_run(const struct matdir *m, int fd, enum export_format format, uint64_t memory,
               struct err *err);

#endif
