#include "ops/export.h"

#include "ops/block.h"
#include "ops/box.h"

#include <errno.h>
#include <string.h>

/* An export under way. */
struct export
{
    const struct matdir *m;
    int fd;
    int64_t rows_max; /* steps along the first axis that a slab holds */
    char *slab;       /* owned */
    char *part;       /* owned: what one block has in it, or a whole block */
    int64_t first;    /* the slab's first step */
    int64_t rows;     /* and how many it has */
};

static void export_fini(struct export *x)
{
    freep(&x->slab);
    freep(&x->part);
}

/* Elements of one step along the first axis of a box. */
static int64_t export_step(int ndim, const int64_t *extent)
{
    int64_t n = 1;
    for (int a = 1; a < ndim; a++)
        n *= extent[a];
    return n;
}

/* Reads the rows that a block has in the slab into x->part, last index fastest. */
static int export_read(const struct export *x, const int64_t *index, const int64_t *extent,
                       struct err *err)
{
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    const struct grid *g = &x->m->header.grid;
    struct dtype t = x->m->header.dtype;
    int64_t step = export_step(g->ndim, extent);
    int64_t skip = (x->first - grid_block_start(g, 0, index[0])) * step;
    size_t n = (size_t)(x->rows * step);
    int r = block_open_if_there(x->m, index, &b, err);
    if (r == 0)
        element_fill(t, x->m->fill, n, x->part);
    if (r <= 0)
        return r;
    if (!b.npy.fortran)
        return block_read(&b, skip, n, x->part, err);
    CLEANUP(freep) char *block = block_alloc(x->m, grid_block_elements(g, index), err);
    r = block ? block_load_rows(x->m, index, block, err) : -ENOMEM;
    if (r == 0)
        memcpy(x->part, block + (size_t)skip * t.size, n * t.size);
    return r;
}

static int export_place(const struct export *x, const int64_t *index, struct err *err)
{
    const struct grid *g = &x->m->header.grid;
    size_t element = x->m->header.dtype.size;
    int64_t extent[GRID_NDIM_MAX];
    int64_t slab[GRID_NDIM_MAX];
    int64_t start[GRID_NDIM_MAX];
    int64_t slab_stride[GRID_NDIM_MAX];
    int64_t part_stride[GRID_NDIM_MAX];
    for (int a = 0; a < g->ndim; a++) {
        extent[a] = a == 0 ? x->rows : grid_block_extent(g, a, index[a]);
        slab[a] = a == 0 ? x->rows : g->shape[a];
        start[a] = a == 0 ? 0 : grid_block_start(g, a, index[a]);
    }
    box_strides(g->ndim, extent, element, false, part_stride);
    box_strides(g->ndim, slab, element, false, slab_stride);
    int r = export_read(x, index, extent, err);
    if (r < 0)
        return r;
    box_copy(&(struct box_copy){.ndim = g->ndim,
                                .extent = extent,
                                .element = element,
                                .dst = x->slab + box_offset(g->ndim, start, slab_stride),
                                .dst_stride = slab_stride,
                                .src = x->part,
                                .src_stride = part_stride});
    return 0;
}

static int export_slab(const struct export *x, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &x->m->header.grid;
    struct grid one = *g; /* the same grid, one row long */
    int r = 0;
    one.shape[0] = 1;
    for (bool more = grid_first(&one, index); r == 0 && more; more = grid_next(&one, index)) {
        index[0] = x->first / g->shard[0];
        r = export_place(x, index, err);
        index[0] = 0;
    }
    if (r < 0)
        return r;
    size_t bytes = (size_t)(x->rows * export_step(g->ndim, g->shape)) * x->m->header.dtype.size;
    r = write_full(x->fd, x->slab, bytes);
    watch_written(x->m->watch, bytes);
    return r < 0 ? err_errno(err, r, "cannot write") : 0;
}

static int export_head(const struct export *x, struct err *err)
{
    const struct header *h = &x->m->header;
    struct npy npy = {.dtype = element_native(h->dtype), .ndim = h->grid.ndim};
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    memcpy(npy.shape, h->grid.shape, sizeof(npy.shape));
    int r = npy_format(&npy, &head);
    if (r == 0)
        r = write_full(x->fd, head.data, head.len);
    return r < 0 ? err_errno(err, r, "cannot write") : 0;
}

/* Steps along the first axis of a slab, and the memory. */
static int export_init(struct export *x, const struct matdir *m, uint64_t memory, struct err *err)
{
    const struct grid *g = &m->header.grid;
    int64_t step = export_step(g->ndim, g->shape);
    int64_t part = 1;
    for (int a = 1; a < g->ndim; a++)
        part *= MIN(g->shard[a], g->shape[a]);
    uint64_t fits = memory / ((uint64_t)step * m->header.dtype.size);
    x->rows_max = MIN(g->shard[0], g->shape[0]);
    if (fits < (uint64_t)x->rows_max)
        x->rows_max = MAX((int64_t)fits, (int64_t)1);
    x->slab = block_alloc(m, x->rows_max * step, err);
    if (x->slab)
        x->part = block_alloc(m, x->rows_max * part, err);
    return x->part ? 0 : -ENOMEM;
}

static int export_slabs(struct export *x, struct err *err)
{
    const struct grid *g = &x->m->header.grid;
    watch_steps(x->m->watch, g->shape[0]);
    while (x->first < g->shape[0]) {
        int64_t block_end = (x->first / g->shard[0] + 1) * g->shard[0];
        int64_t end = MIN(block_end, g->shape[0]);
        x->rows = MIN(x->rows_max, end - x->first);
        int r = export_slab(x, err);
        if (r < 0)
            return r;
        x->first += x->rows;
        watch_done(x->m->watch, x->rows);
    }
    return 0;
}

int export_run(const struct matdir *m, int fd, enum export_format format, uint64_t memory,
               struct err *err)
{
    CLEANUP(export_fini) struct export x = {.m = m, .fd = fd};
    int r = format == EXPORT_NPY ? export_head(&x, err) : 0;
    if (r < 0 || grid_elements(&m->header.grid) == 0)
        return r;
    r = export_init(&x, m, memory, err);
    return r < 0 ? r : export_slabs(&x, err);
}
