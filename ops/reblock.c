#include "ops/reblock.h"

#include "ops/block.h"
#include "ops/box.h"
#include "ops/derive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- what B is --- */

int reblock_plan(const struct matdir *a, const int64_t *shard, struct header *ret_b,
                 struct err *err)
{
    struct header b = {.grid = a->header.grid, .dtype = a->header.dtype};
    memcpy(b.grid.shard, shard, sizeof(*shard) * (size_t)b.grid.ndim);
    int r = grid_check(&b.grid, err);
    if (r == 0)
        r = derive_set_triangle(&b, derive_triangle(&a->header), err);
    if (r == 0 && a->has_fill)
        r = derive_set_fill(&b, a->fill, err);
    if (r < 0) {
        header_fini(&b);
        return err_prefix(err, r, "%s", a->path);
    }
    *ret_b = b;
    return 0;
}

/* --- regions --- */

/* A box of elements. */
struct reblock_box {
    int64_t start[GRID_NDIM_MAX], extent[GRID_NDIM_MAX];
};

/* A run under way. */
struct reblock {
    const struct matdir *a, *b;
    struct grid regions;          /* of B's blocks: the shape of this grid is that of B's */
    struct reblock_box region;    /* the one in memory, in elements of the matrix */
    struct grid blocks;           /* its blocks of B, each as one element */
    int64_t first[GRID_NDIM_MAX]; /* the first of them */
    char *elements;               /* owned: the region, last index fastest */
    bool *filled;                 /* owned: which of its blocks something was read for */
    void *bounce;                 /* owned: a block of A */
    char *out;                    /* owned: a block of B */
};

static void reblock_fini(struct reblock *x)
{
    free(x->elements);
    free(x->filled);
    free(x->bounce);
    free(x->out);
}

static int64_t reblock_gcd(int64_t a, int64_t b)
{
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Of `all` blocks along an axis as many as fit; if not all, then preferably such a number that the
 * region ends where a block of A does. */
static int64_t reblock_fit(int64_t all, int64_t fits, int64_t shard_a, int64_t shard_b)
{
    int64_t step = shard_a / reblock_gcd(shard_a, shard_b);
    if (fits >= all)
        return all;
    if (fits < 1)
        return 1;
    return fits >= step ? fits - fits % step : fits;
}

/* Chooses the size of regions and returns the elements of one. */
static int64_t reblock_choose(struct reblock *x, uint64_t memory)
{
    const struct grid *g = &x->a->header.grid;
    const struct grid *h = &x->b->header.grid;
    int64_t elements = block_elements_max(x->b);
    uint64_t most = memory / x->b->header.dtype.size; /* elements */
    x->regions.ndim = h->ndim;
    for (int a = h->ndim - 1; a >= 0; a--) {
        int64_t all = grid_axis_blocks(h, a);
        int64_t fits = (int64_t)(most / (uint64_t)elements);
        int64_t n = reblock_fit(all, fits, g->shard[a], h->shard[a]);
        x->regions.shape[a] = all;
        x->regions.shard[a] = n;
        elements *= n;
        if (n < all)
            most = 0; /* for the axes that are left: regions are boxes */
    }
    return elements;
}

static int reblock_init(struct reblock *x, uint64_t memory, struct err *err)
{
    int64_t blocks = 1;
    int64_t elements = reblock_choose(x, memory);
    for (int a = 0; a < x->regions.ndim; a++)
        blocks *= x->regions.shard[a];
    x->elements = block_alloc(x->b, elements, err);
    if (x->elements)
        x->bounce = block_alloc(x->a, block_elements_max(x->a), err);
    if (x->bounce)
        x->out = block_alloc(x->b, block_elements_max(x->b), err);
    if (!x->out)
        return -ENOMEM;
    x->filled = calloc((size_t)blocks, sizeof(*x->filled));
    return x->filled ? 0 : err_set(err, -ENOMEM, "%s: out of memory", x->b->path);
}

/* Makes region `index` the one in memory. */
static void reblock_enter(struct reblock *x, const int64_t *index)
{
    const struct grid *h = &x->b->header.grid;
    x->blocks.ndim = h->ndim;
    for (int a = 0; a < h->ndim; a++) {
        int64_t n = grid_block_extent(&x->regions, a, index[a]);
        x->first[a] = grid_block_start(&x->regions, a, index[a]);
        x->blocks.shape[a] = n;
        x->blocks.shard[a] = 1;
        x->region.start[a] = x->first[a] * h->shard[a];
        x->region.extent[a] = MIN(n * h->shard[a], h->shape[a] - x->region.start[a]);
    }
    memset(x->filled, 0, sizeof(*x->filled) * (size_t)grid_blocks(&x->blocks));
}

/* The blocks of `g` that a box meets, as a grid of single elements from *ret_low on. */
static void reblock_meet(const struct grid *g, const struct reblock_box *box, int64_t *ret_low,
                         struct grid *ret)
{
    ret->ndim = g->ndim;
    for (int a = 0; a < g->ndim; a++) {
        int64_t end = box->start[a] + box->extent[a];
        ret_low[a] = box->start[a] / g->shard[a];
        ret->shape[a] = (end - 1) / g->shard[a] + 1 - ret_low[a];
        ret->shard[a] = 1;
    }
}

/* --- reading --- */

/* Fills a part of the region. */
static void reblock_fill(const struct reblock *x, const int64_t *extent, char *dst,
                         const int64_t *stride)
{
    int64_t at[GRID_NDIM_MAX] = {0};
    const struct grid *g = &x->a->header.grid;
    do {
        element_fill(x->a->header.dtype, x->a->fill, (size_t)extent[g->ndim - 1],
                     dst + box_offset(g->ndim, at, stride));
    } while (box_next_line(g->ndim, extent, at));
}

/* Notes that something was read for the blocks of B that a box meets. */
static void reblock_mark(struct reblock *x, const struct reblock_box *box)
{
    int64_t low[GRID_NDIM_MAX];
    int64_t at[GRID_NDIM_MAX];
    int64_t own[GRID_NDIM_MAX];
    struct grid met;
    int ndim = x->b->header.grid.ndim;
    reblock_meet(&x->b->header.grid, box, low, &met);
    for (bool more = grid_first(&met, at); more; more = grid_next(&met, at)) {
        for (int a = 0; a < ndim; a++)
            own[a] = low[a] + at[a] - x->first[a];
        x->filled[grid_rank(&x->blocks, own)] = true;
    }
}

/* Brings what a block of A has in the region. */
static int reblock_gather_one(struct reblock *x, const int64_t *index, struct err *err)
{
    const struct grid *g = &x->a->header.grid;
    struct reblock_box common = {0};
    int64_t in_block[GRID_NDIM_MAX];
    int64_t in_region[GRID_NDIM_MAX];
    int64_t stride[GRID_NDIM_MAX];
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    for (int a = 0; a < g->ndim; a++) {
        int64_t start = grid_block_start(g, a, index[a]);
        int64_t end = start + grid_block_extent(g, a, index[a]);
        common.start[a] = MAX(start, x->region.start[a]);
        common.extent[a] = MIN(end, x->region.start[a] + x->region.extent[a]) - common.start[a];
        in_block[a] = common.start[a] - start;
        in_region[a] = common.start[a] - x->region.start[a];
    }
    box_strides(g->ndim, x->region.extent, x->a->header.dtype.size, false, stride);
    char *dst = x->elements + box_offset(g->ndim, in_region, stride);
    int r = block_open_if_there(x->a, index, &b, err);
    if (r == 0)
        reblock_fill(x, common.extent, dst, stride);
    if (r <= 0)
        return r;
    reblock_mark(x, &common);
    const struct block_box box = {.start = in_block,
                                  .extent = common.extent,
                                  .dst = dst,
                                  .stride = stride,
                                  .bounce = x->bounce};
    return block_read_box(&b, &box, err);
}

static int reblock_gather(struct reblock *x, struct err *err)
{
    int64_t low[GRID_NDIM_MAX];
    int64_t at[GRID_NDIM_MAX];
    int64_t index[GRID_NDIM_MAX] = {0};
    struct grid met;
    int r = 0;
    reblock_meet(&x->a->header.grid, &x->region, low, &met);
    for (bool more = grid_first(&met, at); r == 0 && more; more = grid_next(&met, at)) {
        for (int a = 0; a < met.ndim; a++)
            index[a] = low[a] + at[a];
        r = reblock_gather_one(x, index, err);
    }
    return r;
}

/* --- writing --- */

/* Cuts a block of B, `at` blocks from the region's first, out of the region. */
static int reblock_store(const struct reblock *x, const int64_t *at, struct err *err)
{
    const struct grid *h = &x->b->header.grid;
    size_t element = x->b->header.dtype.size;
    int64_t index[GRID_NDIM_MAX];
    int64_t start[GRID_NDIM_MAX];
    int64_t extent[GRID_NDIM_MAX];
    int64_t src_stride[GRID_NDIM_MAX];
    int64_t dst_stride[GRID_NDIM_MAX];
    for (int a = 0; a < h->ndim; a++) {
        index[a] = x->first[a] + at[a];
        start[a] = at[a] * h->shard[a];
        extent[a] = grid_block_extent(h, a, index[a]);
    }
    box_strides(h->ndim, x->region.extent, element, false, src_stride);
    box_strides(h->ndim, extent, element, false, dst_stride);
    box_copy(&(struct box_copy){.ndim = h->ndim,
                                .extent = extent,
                                .element = element,
                                .dst = x->out,
                                .dst_stride = dst_stride,
                                .src = x->elements + box_offset(h->ndim, start, src_stride),
                                .src_stride = src_stride});
    return block_store(x->b, index, x->out, err);
}

static int reblock_scatter(const struct reblock *x, struct err *err)
{
    int64_t at[GRID_NDIM_MAX];
    int r = 0;
    for (bool more = grid_first(&x->blocks, at); r == 0 && more; more = grid_next(&x->blocks, at)) {
        if (x->filled[grid_rank(&x->blocks, at)])
            r = reblock_store(x, at, err);
        watch_done(x->b->watch, 1);
    }
    return r;
}

int reblock_run(const struct matdir *a, const struct matdir *b, uint64_t memory, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    CLEANUP(reblock_fini) struct reblock x = {.a = a, .b = b};
    watch_steps(b->watch, grid_blocks(&b->header.grid));
    if (grid_elements(&b->header.grid) == 0)
        return matdir_sync(b, err);
    int r = reblock_init(&x, memory, err);
    for (bool more = r == 0 && grid_first(&x.regions, index); r == 0 && more;
         more = grid_next(&x.regions, index)) {
        reblock_enter(&x, index);
        r = reblock_gather(&x, err);
        if (r == 0)
            r = reblock_scatter(&x, err);
    }
    return r < 0 ? r : matdir_sync(b, err);
}
