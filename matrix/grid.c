#include "matrix/grid.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { GRID_ELEMENT_MAX = 16 }; /* bytes of the largest type */

static int grid_check_axis(const struct grid *g, int axis, struct err *err)
{
    if (g->shape[axis] < 0)
        return err_set(err, -EINVAL, "axis %d: size %lld is negative", axis,
                       (long long)g->shape[axis]);
    if (g->shard[axis] < 1)
        return err_set(err, -EINVAL, "axis %d: shard size %lld is below 1", axis,
                       (long long)g->shard[axis]);
    return 0;
}

int grid_check(const struct grid *g, struct err *err)
{
    if (g->ndim < 1 || g->ndim > GRID_NDIM_MAX)
        return err_set(err, -EINVAL, "%d axes: a matrix has 1 to %d", g->ndim, GRID_NDIM_MAX);
    int64_t bytes = GRID_ELEMENT_MAX;
    for (int a = 0; a < g->ndim; a++) {
        int r = grid_check_axis(g, a, err);
        if (r < 0)
            return r;
        /* Empty axes count as 1: then no part of the product can overflow either. There are never
         * more blocks than elements, so their number needs no product of its own. */
        if (__builtin_mul_overflow(bytes, MAX(g->shape[a], (int64_t)1), &bytes))
            return err_set(err, -EINVAL, "the matrix has too many elements to count its bytes");
    }
    return 0;
}

int64_t grid_axis_blocks(const struct grid *g, int axis)
{
    return g->shape[axis] / g->shard[axis] + (g->shape[axis] % g->shard[axis] != 0);
}

int64_t grid_blocks(const struct grid *g)
{
    int64_t n = 1;
    for (int a = 0; a < g->ndim; a++)
        n *= grid_axis_blocks(g, a);
    return n;
}

int64_t grid_elements(const struct grid *g)
{
    int64_t n = 1;
    for (int a = 0; a < g->ndim; a++)
        n *= g->shape[a];
    return n;
}

int64_t grid_block_elements(const struct grid *g, const int64_t *index)
{
    int64_t n = 1;
    for (int a = 0; a < g->ndim; a++)
        n *= grid_block_extent(g, a, index[a]);
    return n;
}

bool grid_contains(const struct grid *g, const int64_t *index)
{
    for (int a = 0; a < g->ndim; a++) {
        if (index[a] < 0 || index[a] >= grid_axis_blocks(g, a))
            return false;
    }
    return true;
}

int64_t grid_block_start(const struct grid *g, int axis, int64_t index)
{
    assert(index >= 0 && index < grid_axis_blocks(g, axis));
    return index * g->shard[axis];
}

int64_t grid_block_extent(const struct grid *g, int axis, int64_t index)
{
    return MIN(g->shard[axis], g->shape[axis] - grid_block_start(g, axis, index));
}

bool grid_first(const struct grid *g, int64_t *index)
{
    memset(index, 0, sizeof(*index) * (size_t)g->ndim);
    return grid_contains(g, index);
}

bool grid_next(const struct grid *g, int64_t *index)
{
    for (int a = g->ndim - 1; a >= 0; a--) {
        if (++index[a] < grid_axis_blocks(g, a))
            return true;
        index[a] = 0;
    }
    return false;
}

int64_t grid_rank(const struct grid *g, const int64_t *index)
{
    int64_t rank = 0;
    for (int a = 0; a < g->ndim; a++)
        rank = rank * grid_axis_blocks(g, a) + index[a];
    return rank;
}

void grid_unrank(const struct grid *g, int64_t rank, int64_t *index)
{
    assert(rank >= 0 && rank < grid_blocks(g));
    for (int a = g->ndim - 1; a >= 0; a--) {
        int64_t n = grid_axis_blocks(g, a);
        index[a] = rank % n;
        rank /= n;
    }
}

bool grid_equal(const struct grid *a, const struct grid *b)
{
    size_t bytes = sizeof(a->shape[0]) * (size_t)a->ndim;
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, bytes) == 0 &&
           memcmp(a->shard, b->shard, bytes) == 0;
}
