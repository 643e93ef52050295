#include "ops/gemm.h"

#include "ops/block.h"
#include "ops/inventory.h"
#include "ops/kernel.h"

#include <errno.h>
#include <limits.h>

/* --- checks --- */

/* BLAS's letter, whatever the byte order in the files; 0 for other types. */
static char gemm_type(const struct matdir *m)
{
    return dtype_blas(element_native(m->header.dtype));
}

/* Axis of a matrix that is the rows (0) or columns (1) of op(matrix). */
static int gemm_axis(char trans, int axis)
{
    return trans == 'n' ? axis : 1 - axis;
}

static int64_t gemm_shape(const struct matdir *m, char trans, int axis)
{
    return m->header.grid.shape[gemm_axis(trans, axis)];
}

/* The size of the blocks. One that is longer than the matrix is as good as one that fits. */
static int64_t gemm_shard(const struct matdir *m, char trans, int axis)
{
    const struct grid *g = &m->header.grid;
    int a = gemm_axis(trans, axis);
    return MIN(g->shard[a], MAX(g->shape[a], (int64_t)1));
}

static int gemm_check_one(const struct matdir *m, const struct matdir *first, struct err *err)
{
    const struct grid *g = &m->header.grid;
    if (g->ndim != 2)
        return err_set(err, -EINVAL, "%s: %d axes, where a product needs 2", m->path, g->ndim);
    if (!gemm_type(m))
        return err_set(err, -EINVAL,
                       "%s: type %s; products are of float32, float64, complex64 or complex128",
                       m->path, dtype_name(m->header.dtype));
    if (gemm_type(m) != gemm_type(first))
        return err_set(err, -EINVAL, "%s: types differ: %s is %s, %s is %s", m->path, first->path,
                       dtype_name(first->header.dtype), m->path, dtype_name(m->header.dtype));
    if (MIN(g->shard[0], g->shape[0]) > INT_MAX || MIN(g->shard[1], g->shape[1]) > INT_MAX)
        return err_set(err, -EINVAL, "%s: blocks of more than %d rows or columns", m->path,
                       INT_MAX);
    return 0;
}

/* "A" or "A transposed" in a message. */
static const char *gemm_said(char trans)
{
    return trans == 'n' ? "" : " transposed";
}

static int gemm_check_inner(const struct gemm *g, struct err *err)
{
    const struct matdir *a = g->a;
    const struct matdir *b = g->b;
    if (gemm_shape(a, g->transa, 1) != gemm_shape(b, g->transb, 0))
        return err_set(
            err, -EINVAL, "%s: inner dimensions differ: %s%s is %lldx%lld, %s%s is %lldx%lld",
            b->path, a->path, gemm_said(g->transa), (long long)gemm_shape(a, g->transa, 0),
            (long long)gemm_shape(a, g->transa, 1), b->path, gemm_said(g->transb),
            (long long)gemm_shape(b, g->transb, 0), (long long)gemm_shape(b, g->transb, 1));
    if (gemm_shard(a, g->transa, 1) != gemm_shard(b, g->transb, 0))
        return err_set(
            err, -EINVAL,
            "%s: inner blocks differ: %s%s is cut every %lld columns, %s%s every %lld rows",
            b->path, a->path, gemm_said(g->transa), (long long)gemm_shard(a, g->transa, 1), b->path,
            gemm_said(g->transb), (long long)gemm_shard(b, g->transb, 0));
    return 0;
}

static int gemm_check_added(const struct gemm *g, const struct grid *c, struct err *err)
{
    const struct grid *d = &g->d->header.grid;
    if (d->shape[0] != c->shape[0] || d->shape[1] != c->shape[1])
        return err_set(err, -EINVAL, "%s: shapes differ: the product is %lldx%lld, %s is %lldx%lld",
                       g->d->path, (long long)c->shape[0], (long long)c->shape[1], g->d->path,
                       (long long)d->shape[0], (long long)d->shape[1]);
    if (gemm_shard(g->d, 'n', 0) != gemm_shard(g->a, g->transa, 0) ||
        gemm_shard(g->d, 'n', 1) != gemm_shard(g->b, g->transb, 1))
        return err_set(
            err, -EINVAL,
            "%s: blocks differ: those of the product are %lldx%lld, those of %s %lldx%lld",
            g->d->path, (long long)gemm_shard(g->a, g->transa, 0),
            (long long)gemm_shard(g->b, g->transb, 1), g->d->path,
            (long long)gemm_shard(g->d, 'n', 0), (long long)gemm_shard(g->d, 'n', 1));
    return 0;
}

static int gemm_check_factors(const struct gemm *g, struct err *err)
{
    bool real = gemm_type(g->a) == 's' || gemm_type(g->a) == 'd';
    if (real && (cimag(g->alpha) != 0 || cimag(g->beta) != 0))
        return err_set(err, -EINVAL, "%s: a complex factor, where the type is %s", g->a->path,
                       dtype_name(g->a->header.dtype));
    return 0;
}

int gemm_plan(const struct gemm *g, struct header *ret_c, struct err *err)
{
    struct header c = {.grid.ndim = 2, .dtype = element_native(g->a->header.dtype)};
    int r = gemm_check_one(g->a, g->a, err);
    if (r == 0)
        r = gemm_check_one(g->b, g->a, err);
    if (r == 0 && g->d)
        r = gemm_check_one(g->d, g->a, err);
    if (r == 0)
        r = gemm_check_factors(g, err);
    if (r == 0)
        r = gemm_check_inner(g, err);
    if (r < 0)
        return r;
    c.grid.shape[0] = gemm_shape(g->a, g->transa, 0);
    c.grid.shape[1] = gemm_shape(g->b, g->transb, 1);
    c.grid.shard[0] = g->a->header.grid.shard[gemm_axis(g->transa, 0)];
    c.grid.shard[1] = g->b->header.grid.shard[gemm_axis(g->transb, 1)];
    if (g->d)
        r = gemm_check_added(g, &c.grid, err);
    if (r == 0)
        r = grid_check(&c.grid, err);
    if (r == 0)
        *ret_c = c;
    return r;
}

int gemm_check_inputs(const struct gemm *g, struct err *err)
{
    int r = g->alpha != 0 ? inventory_check_whole(g->a, err) : 0;
    if (r == 0 && g->alpha != 0)
        r = inventory_check_whole(g->b, err);
    if (r == 0 && g->d && g->beta != 0)
        r = inventory_check_whole(g->d, err);
    return r;
}

/* --- the product --- */

/* A matrix with one of its blocks in memory. */
struct gemm_side {
    const struct matdir *m;
    struct tile tile; /* owns its memory */
    int64_t rank;     /* of the block, or -1 */
};

static int gemm_side_init(struct gemm_side *s, const struct matdir *m, struct err *err)
{
    s->m = m;
    s->rank = -1;
    s->tile.type = gemm_type(m);
    s->tile.a = block_alloc(m, block_elements_max(m), err);
    return s->tile.a ? 0 : -ENOMEM;
}

static void gemm_side_fini(struct gemm_side *s)
{
    freep(&s->tile.a);
}

static void gemm_side_size(struct gemm_side *s, const int64_t *index)
{
    const struct grid *g = &s->m->header.grid;
    s->tile.m = (int)grid_block_extent(g, 0, index[0]);
    s->tile.n = (int)grid_block_extent(g, 1, index[1]);
}

/* Loads block (i, j) of op(matrix), unless it is there from the step before. */
static int gemm_side_load(struct gemm_side *s, char trans, int64_t i, int64_t j, struct err *err)
{
    const int64_t index[] = {trans == 'n' ? i : j, trans == 'n' ? j : i};
    int64_t rank = grid_rank(&s->m->header.grid, index);
    if (rank == s->rank)
        return 0;
    s->rank = -1;
    int r = block_load(s->m, index, s->tile.a, &s->tile.fortran, err);
    if (r < 0)
        return r;
    gemm_side_size(s, index);
    s->tile.ld = s->tile.fortran ? s->tile.m : s->tile.n;
    s->rank = rank;
    return 0;
}

/* c := beta D(i, j), or 0 without one. Blocks of D that have the other order are turned, for C is
 * written row by row. */
static int gemm_start(const struct gemm *g, const int64_t *index, struct tile c, struct err *err)
{
    bool adds = g->d && g->beta != 0;
    int r = adds ? block_load_rows(g->d, index, c.a, err) : 0;
    if (r == 0)
        kernel_scale(adds ? g->beta : 0, c);
    return r;
}

static int64_t gemm_flops(struct tile c, int k)
{
    int64_t each = c.type == 's' || c.type == 'd' ? 2 : 8;
    return each * c.m * c.n * k;
}

/* Block (i, j) of C. */
static int gemm_block(const struct gemm *g, struct gemm_side *a, struct gemm_side *b,
                      struct gemm_side *c, const int64_t *index, struct err *err)
{
    int64_t inner = grid_axis_blocks(&a->m->header.grid, gemm_axis(g->transa, 1));
    gemm_side_size(c, index);
    c->tile.ld = c->tile.n;
    int r = gemm_start(g, index, c->tile, err);
    for (int64_t k = 0; r == 0 && g->alpha != 0 && k < inner; k++) {
        r = gemm_side_load(a, g->transa, index[0], k, err);
        if (r == 0)
            r = gemm_side_load(b, g->transb, k, index[1], err);
        if (r < 0)
            break;
        kernel_gemm(g->transa, g->transb, g->alpha, a->tile, b->tile, c->tile);
        watch_flops(c->m->watch, gemm_flops(c->tile, g->transa == 'n' ? a->tile.n : a->tile.m));
        watch_done(c->m->watch, 1);
    }
    return r < 0 ? r : block_store(c->m, index, c->tile.a, err);
}

static int gemm_blocks(const struct gemm *g, struct gemm_side *a, struct gemm_side *b,
                       struct gemm_side *c, struct err *err)
{
    int64_t index[2];
    const struct grid *grid = &c->m->header.grid;
    int64_t inner = grid_axis_blocks(&a->m->header.grid, gemm_axis(g->transa, 1));
    int r = 0;
    watch_steps(c->m->watch, g->alpha != 0 ? grid_blocks(grid) * inner : 0);
    for (bool more = grid_first(grid, index); r == 0 && more; more = grid_next(grid, index))
        r = gemm_block(g, a, b, c, index, err);
    return r;
}

int gemm_run(const struct gemm *g, const struct matdir *c, struct err *err)
{
    struct gemm_side side_a = {0};
    struct gemm_side side_b = {0};
    struct gemm_side side_c = {0};
    int r = gemm_side_init(&side_a, g->a, err);
    if (r == 0)
        r = gemm_side_init(&side_b, g->b, err);
    if (r == 0)
        r = gemm_side_init(&side_c, c, err);
    if (r == 0)
        r = gemm_blocks(g, &side_a, &side_b, &side_c, err);
    gemm_side_fini(&side_a);
    gemm_side_fini(&side_b);
    gemm_side_fini(&side_c);
    return r < 0 ? r : matdir_sync(c, err);
}
