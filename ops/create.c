#include "ops/create.h"

#include "ops/block.h"
#include "ops/box.h"

#include <errno.h>
#include <string.h>

int create_check(const struct header *h, const struct create *c, struct err *err)
{
    unsigned char element[ELEMENT_SIZE_MAX];
    if (c->what == CREATE_RAND)
        return rand_check(h->dtype, err);
    if (c->what == CREATE_EYE && h->grid.ndim != 2)
        return err_set(err, -EINVAL, "only a matrix of 2 axes has a diagonal, this one has %d",
                       h->grid.ndim);
    return element_set(h->dtype, c->value, element, err);
}

/* Calls out the block line by line: `at` is the line's first element in the block, `x` in the
 * matrix's row-major order. */
static void create_fill_rand(const struct grid *g, struct dtype t, const int64_t *index,
                             const struct create *c, char *dst)
{
    int64_t at[GRID_NDIM_MAX] = {0};
    int64_t extent[GRID_NDIM_MAX];
    int64_t stride[GRID_NDIM_MAX];
    int64_t start[GRID_NDIM_MAX];
    int last = g->ndim - 1;
    box_strides(g->ndim, g->shape, 1, false, stride);
    for (int a = 0; a < g->ndim; a++) {
        extent[a] = grid_block_extent(g, a, index[a]);
        start[a] = grid_block_start(g, a, index[a]);
    }
    int64_t first = box_offset(g->ndim, start, stride);
    do {
        rand_fill(c->rand, c->seed, first + box_offset(g->ndim, at, stride), (size_t)extent[last],
                  t, dst);
        dst += (size_t)extent[last] * t.size;
    } while (box_next_line(g->ndim, extent, at));
}

static void create_fill_eye(const struct grid *g, struct dtype t, const int64_t *index,
                            const void *element, char *dst)
{
    int64_t rows = grid_block_extent(g, 0, index[0]);
    int64_t columns = grid_block_extent(g, 1, index[1]);
    int64_t row = grid_block_start(g, 0, index[0]);
    int64_t column = grid_block_start(g, 1, index[1]);
    memset(dst, 0, (size_t)(rows * columns) * t.size);
    for (int64_t i = MAX((int64_t)0, column - row); i < MIN(rows, column + columns - row); i++)
        memcpy(dst + (size_t)(i * columns + row + i - column) * t.size, element, t.size);
}

static int create_fill(const struct matdir *m, const int64_t *index, const struct create *c,
                       void *dst, struct err *err)
{
    const struct grid *g = &m->header.grid;
    struct dtype t = m->header.dtype;
    unsigned char element[ELEMENT_SIZE_MAX];
    int r = c->what == CREATE_RAND ? 0 : element_set(t, c->value, element, err);
    if (r < 0)
        return r;
    if (c->what == CREATE_RAND)
        create_fill_rand(g, t, index, c, dst);
    else if (c->what == CREATE_EYE)
        create_fill_eye(g, t, index, element, dst);
    else
        element_fill(t, element, (size_t)grid_block_elements(g, index), dst);
    return 0;
}

int create_run(const struct matdir *m, const struct create *c, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    int r = create_check(&m->header, c, err);
    if (r < 0)
        return err_prefix(err, r, "%s", m->path);
    CLEANUP(freep) void *block = block_alloc(m, block_elements_max(m), err);
    if (!block)
        return -ENOMEM;
    watch_steps(m->watch, grid_blocks(g));
    for (bool more = grid_first(g, index); more; more = grid_next(g, index)) {
        r = create_fill(m, index, c, block, err);
        if (r == 0)
            r = block_store(m, index, block, err);
        if (r < 0)
            return r;
        watch_done(m->watch, 1);
    }
    return matdir_sync(m, err);
}
