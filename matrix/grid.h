#ifndef BMFS_MATRIX_GRID_H
#define BMFS_MATRIX_GRID_H

/* A matrix of any number of axes cut into blocks: block (i, j, ...) holds along axis a the elements
 * [index[a] * shard[a], min((index[a] + 1) * shard[a], shape[a])). Blocks at the far edges are
 * smaller; nothing is padded. Plain values, no I/O. */

#include "base/err.h"

enum { GRID_NDIM_MAX = 32 }; /* numpy's own limit before 2.0 */

struct grid {
    int ndim;                     /* axes, 1 to GRID_NDIM_MAX */
    int64_t shape[GRID_NDIM_MAX]; /* elements, >= 0 */
    int64_t shard[GRID_NDIM_MAX]; /* elements of a whole block, >= 1 */
};

/* 0, or -EINVAL: number of axes, a negative size, a shard below 1, or so many elements or blocks
 * that their number, or an offset in bytes for elements of 16 bytes, passes INT64_MAX. */
int grid_check(const struct grid *g, struct err *err);

/* Blocks along one axis: ceil(shape / shard). */
int64_t grid_axis_blocks(const struct grid *g, int axis);

/* Blocks of the whole grid. The grid has passed grid_check(). */
int64_t grid_blocks(const struct grid *g);

/* Elements of the whole matrix, and of one block (which must be inside). */
int64_t grid_elements(const struct grid *g);
int64_t grid_block_elements(const struct grid *g, const int64_t *index);

/* True when each index is >= 0 and below its axis's number of blocks. */
bool grid_contains(const struct grid *g, const int64_t *index);

/* First element, and number of elements, of a block (which must be inside) along one axis. */
int64_t grid_block_start(const struct grid *g, int axis, int64_t index);
int64_t grid_block_extent(const struct grid *g, int axis, int64_t index);

/* Iterates in row-major order (last axis fastest):
 *
 *     int64_t index[GRID_NDIM_MAX];
 *     for (bool more = grid_first(&g, index); more; more = grid_next(&g, index))
 */
bool grid_first(const struct grid *g, int64_t *index);
bool grid_next(const struct grid *g, int64_t *index);

/* The position of a block in that order, and back. */
int64_t grid_rank(const struct grid *g, const int64_t *index);
void grid_unrank(const struct grid *g, int64_t rank, int64_t *index);

bool grid_equal(const struct grid *a, const struct grid *b);

#endif
