#include "ops/transpose.h"

#include "ops/block.h"
#include "ops/box.h"
#include "ops/derive.h"

#include <errno.h>
#include <string.h>

static void transpose_reverse(int ndim, const int64_t *from, int64_t *to)
{
    for (int a = 0; a < ndim; a++)
        to[a] = from[ndim - 1 - a];
}

static int transpose_fields(const struct matdir *a, bool conjugate, struct header *b,
                            struct err *err)
{
    _Alignas(ELEMENT_SIZE_MAX) unsigned char fill[ELEMENT_SIZE_MAX];
    int r = derive_set_triangle(b, derive_flip(derive_triangle(&a->header)), err);
    if (r < 0 || !a->has_fill)
        return r;
    memcpy(fill, a->fill, sizeof(fill));
    if (conjugate)
        element_conjugate(b->dtype, fill, 1);
    return derive_set_fill(b, fill, err);
}

int transpose_plan(const struct matdir *a, bool conjugate, struct header *ret_b, struct err *err)
{
    const struct grid *g = &a->header.grid;
    struct header b = {.grid.ndim = g->ndim, .dtype = a->header.dtype};
    transpose_reverse(g->ndim, g->shape, b.grid.shape);
    transpose_reverse(g->ndim, g->shard, b.grid.shard);
    int r = transpose_fields(a, conjugate, &b, err);
    if (r < 0) {
        header_fini(&b);
        return err_prefix(err, r, "%s", a->path);
    }
    *ret_b = b;
    return 0;
}

/* From a block of A, in the order it is stored in, to one of B. */
static void transpose_turn(const struct grid *b, size_t element, const int64_t *index, bool fortran,
                           const void *src, void *dst)
{
    int64_t to[GRID_NDIM_MAX];   /* sizes of B's block */
    int64_t from[GRID_NDIM_MAX]; /* of A's */
    int64_t dst_stride[GRID_NDIM_MAX];
    int64_t own_stride[GRID_NDIM_MAX];
    int64_t src_stride[GRID_NDIM_MAX];
    for (int a = 0; a < b->ndim; a++)
        to[a] = grid_block_extent(b, a, index[a]);
    transpose_reverse(b->ndim, to, from);
    box_strides(b->ndim, to, element, false, dst_stride);
    box_strides(b->ndim, from, element, fortran, own_stride);
    transpose_reverse(b->ndim, own_stride, src_stride);
    box_copy(&(struct box_copy){.ndim = b->ndim,
                                .extent = to,
                                .element = element,
                                .dst = dst,
                                .dst_stride = dst_stride,
                                .src = src,
                                .src_stride = src_stride});
}

static int transpose_block(const struct matdir *a, bool conjugate, const struct matdir *b,
                           const int64_t *index, void *const memory[2], struct err *err)
{
    int64_t from[GRID_NDIM_MAX];
    bool fortran = false;
    const struct grid *g = &b->header.grid;
    struct dtype t = b->header.dtype;
    transpose_reverse(g->ndim, index, from);
    int r = block_load_if_there(a, from, memory[0], &fortran, err);
    if (r <= 0)
        return r;
    transpose_turn(g, t.size, index, fortran, memory[0], memory[1]);
    if (conjugate)
        element_conjugate(t, memory[1], (size_t)grid_block_elements(g, index));
    return block_store(b, index, memory[1], err);
}

int transpose_run(const struct matdir *a, bool conjugate, const struct matdir *b, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &b->header.grid;
    CLEANUP(freep) void *in = block_alloc(a, block_elements_max(a), err);
    CLEANUP(freep) void *out = in ? block_alloc(b, block_elements_max(b), err) : NULL;
    int r = out ? 0 : -ENOMEM;
    watch_steps(b->watch, grid_blocks(g));
    for (bool more = grid_first(g, index); r == 0 && more; more = grid_next(g, index)) {
        r = transpose_block(a, conjugate, b, index, (void *const[2]){in, out}, err);
        watch_done(b->watch, 1);
    }
    return r < 0 ? r : matdir_sync(b, err);
}
