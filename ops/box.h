#ifndef BMFS_OPS_BOX_H
#define BMFS_OPS_BOX_H

/* Boxes of elements that lie in memory with a stride on each axis. Strides are in bytes. No I/O. */

#include "matrix/grid.h"

/* The strides of a dense array: last index fastest, or first with `fortran`. */
void box_strides(int ndim, const int64_t *extent, size_t element, bool fortran, int64_t *ret);

/* Copies a box of ndim >= 1 axes; the two do not overlap. `element`: bytes, 1 to 16. */
struct box_copy {
    int ndim;
    const int64_t *extent;
    size_t element;
    void *dst;
    const int64_t *dst_stride;
    const void *src;
    const int64_t *src_stride;
};
void box_copy(const struct box_copy *c);

/* Goes through a box in row-major order, leaving out its last axis:
 *
 *     int64_t at[GRID_NDIM_MAX] = {0};
 *     if (no extent is 0)
 *         do {
 *             a line of the last axis starts at box_offset(ndim, at, stride)
 *         } while (box_next_line(ndim, extent, at));
 */
bool box_next_line(int ndim, const int64_t *extent, int64_t *at);
int64_t box_offset(int ndim, const int64_t *at, const int64_t *stride);

#endif
