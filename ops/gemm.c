#include "ops/gemm.h"

#include "ops/grain.h"
#include "ops/inventory.h"
#include "ops/sum.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

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
    return run_check_grid(m, err);
}

/* "A" or "A transposed" in a message. */
static const char *gemm_said(char trans)
{
    return trans == 'n' ? "" : " transposed";
}

/* The command that cuts B as A wants it. */
static void gemm_hint_reblock(const struct gemm *g, struct err *err)
{
    int64_t block[2];
    int inner = gemm_axis(g->transb, 0);
    block[inner] = gemm_shard(g->a, g->transa, 1);
    block[1 - inner] = gemm_shard(g->b, g->transb, 1);
    err_hint(err, "bm reblock %s NEW --block %lldx%lld", g->b->path, (long long)block[0],
             (long long)block[1]);
}

static char gemm_flip(char trans)
{
    return trans == 'n' ? 't' : 'n';
}

/* Whether one operand, or both, the other way round would fit. */
static void gemm_hint_trans(const struct gemm *g, struct err *err)
{
    const char a[] = {g->transa, gemm_flip(g->transa)};
    const char b[] = {g->transb, gemm_flip(g->transb)};
    for (unsigned flips = 1; flips < 4; flips++) {
        char ta = a[flips & 1U];
        char tb = b[flips >> 1U];
        if (gemm_shape(g->a, ta, 1) == gemm_shape(g->b, tb, 0)) {
            err_hint(err, "they fit with --transa %c --transb %c", ta, tb);
            return;
        }
    }
}

static int gemm_check_inner(const struct gemm *g, struct err *err)
{
    const struct matdir *a = g->a;
    const struct matdir *b = g->b;
    if (gemm_shape(a, g->transa, 1) != gemm_shape(b, g->transb, 0)) {
        (void)err_set(
            err, -EINVAL,
            "%s: inner dimensions differ: the first matrix, %s%s, has %lld columns (%lldx%lld), the "
            "second, %s%s, has %lld rows (%lldx%lld)",
            b->path, a->path, gemm_said(g->transa), (long long)gemm_shape(a, g->transa, 1),
            (long long)gemm_shape(a, g->transa, 0), (long long)gemm_shape(a, g->transa, 1), b->path,
            gemm_said(g->transb), (long long)gemm_shape(b, g->transb, 0),
            (long long)gemm_shape(b, g->transb, 0), (long long)gemm_shape(b, g->transb, 1));
        gemm_hint_trans(g, err);
        return -EINVAL;
    }
    if (gemm_shard(a, g->transa, 1) == gemm_shard(b, g->transb, 0))
        return 0;
    (void)err_set(err, -EINVAL,
                  "%s: inner blocks differ: %s%s is cut every %lld columns, %s%s every %lld rows",
                  b->path, a->path, gemm_said(g->transa), (long long)gemm_shard(a, g->transa, 1),
                  b->path, gemm_said(g->transb), (long long)gemm_shard(b, g->transb, 0));
    gemm_hint_reblock(g, err);
    return -EINVAL;
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

/* --- the layout --- */

/* Sizes in blocks, and bytes of one; of C's with what is summed apart. */
struct gemm_size {
    int64_t m, n, k;
    uint64_t a, b, c;
};

static struct sum_cut gemm_cut(const struct gemm *g)
{
    int64_t block = gemm_shard(g->a, g->transa, 1);
    return sum_cut_of(gemm_shape(g->a, g->transa, 0), gemm_shape(g->b, g->transb, 1),
                      run_ceil(gemm_shape(g->a, g->transa, 1), block), block);
}

static uint64_t gemm_bytes(const struct matdir *m, int64_t rows, int64_t columns)
{
    return (uint64_t)rows * (uint64_t)columns * m->header.dtype.size;
}

static struct gemm_size gemm_sizes(const struct gemm *g)
{
    int64_t bm = gemm_shard(g->a, g->transa, 0);
    int64_t bk = gemm_shard(g->a, g->transa, 1);
    int64_t bn = gemm_shard(g->b, g->transb, 1);
    struct sum_cut cut = gemm_cut(g);
    return (struct gemm_size){.m = run_ceil(gemm_shape(g->a, g->transa, 0), bm),
                              .n = run_ceil(gemm_shape(g->b, g->transb, 1), bn),
                              .k = run_ceil(gemm_shape(g->a, g->transa, 1), bk),
                              .a = gemm_bytes(g->a, bm, bk),
                              .b = gemm_bytes(g->b, bk, bn),
                              .c = gemm_bytes(g->a, bm, bn) * (uint64_t)sum_tiles(&cut)};
}

uint64_t gemm_memory_min(const struct gemm *g)
{
    struct gemm_size s = gemm_sizes(g);
    return s.a + s.b + s.c;
}

/* Bytes read of A and B. Each line of A's blocks passes once for each part of C's columns. */
static double gemm_cost(const struct gemm_size *s, int64_t parts_m, int64_t parts_n)
{
    return (double)s->k * ((double)s->m * (double)s->a * (double)parts_n +
                           (double)s->n * (double)s->b * (double)parts_m);
}

/* The longest super-block of `rows` blocks of C in each column; 0 when none fits. */
static int64_t gemm_columns(const struct gemm_size *s, uint64_t memory, int64_t rows, bool keeps_a)
{
    uint64_t fixed = keeps_a ? (uint64_t)rows * s->a + s->b : s->a;
    uint64_t each = (uint64_t)rows * s->c + (keeps_a ? 0 : s->b);
    if (memory < fixed + each)
        return 0;
    return each > 0 ? (int64_t)MIN((memory - fixed) / each, (uint64_t)s->n) : s->n;
}

/* Bytes that such a super-block holds: of two that read the same, the smaller one leaves more to
 * read ahead. */
static double gemm_held(const struct gemm_size *s, const struct gemm_layout *l)
{
    double rows = (double)run_ceil(s->m, l->parts_m);
    double columns = (double)run_ceil(s->n, l->parts_n);
    return rows * columns * (double)s->c +
           (l->keeps_a ? rows * (double)s->a : columns * (double)s->b);
}

static bool gemm_is_better(const struct gemm_size *s, const struct gemm_layout *x,
                           const struct gemm_layout *than)
{
    double cost = gemm_cost(s, x->parts_m, x->parts_n);
    double other = gemm_cost(s, than->parts_m, than->parts_n);
    return cost < other || (cost <= other && gemm_held(s, x) < gemm_held(s, than));
}

int gemm_layout(const struct gemm *g, struct gemm_layout *ret, struct err *err)
{
    struct gemm_layout best = {0};
    struct gemm_size s = gemm_sizes(g);
    if (s.m == 0 || s.n == 0) {
        *ret = (struct gemm_layout){.parts_m = 1, .parts_n = 1};
        return 0;
    }
    for (int64_t i = 0; i < 2 * s.m; i++) {
        struct gemm_layout x = {.keeps_a = i % 2};
        int64_t columns = gemm_columns(&s, g->memory, i / 2 + 1, x.keeps_a);
        if (columns == 0)
            continue;
        x.parts_m = run_ceil(s.m, i / 2 + 1);
        x.parts_n = run_ceil(s.n, columns);
        if (best.parts_m == 0 || gemm_is_better(&s, &x, &best))
            best = x;
    }
    *ret = best;
    if (best.parts_m > 0)
        return 0;
    (void)err_set(err, -EINVAL, "%llu bytes of memory do not hold three blocks",
                  (unsigned long long)g->memory);
    err_hint(err, "these blocks need --memory %llu or more",
             (unsigned long long)gemm_memory_min(g));
    return -EINVAL;
}

uint64_t gemm_bound(const struct gemm *g)
{
    double element = (double)g->a->header.dtype.size;
    double m = (double)gemm_shape(g->a, g->transa, 0);
    double k = (double)gemm_shape(g->a, g->transa, 1);
    double n = (double)gemm_shape(g->b, g->transb, 1);
    double once = m * k + k * n;
    double flow = 2 * m * n * k / sqrt((double)g->memory / element);
    if (g->alpha == 0)
        return 0;
    return (uint64_t)(MAX(once, flow) * element);
}

struct run_traffic gemm_numpywren(const struct gemm *g)
{
    struct gemm_size s = gemm_sizes(g);
    struct run_traffic each = {.reads = 2 * s.k + 1, .writes = s.k + 1}; /* of a block of C */
    for (int64_t left = s.k; left > 1; left = run_ceil(left, 4)) {
        each.reads += left;
        each.writes += run_ceil(left, 4);
    }
    return (struct run_traffic){.reads = s.m * s.n * each.reads, .writes = s.m * s.n * each.writes};
}

/* --- the loop nest --- */

/* One walk. */
struct gemm_walk {
    const struct gemm *g;
    struct result *out;
    struct engine *e;
    struct source a, b, d;
    struct sum_cut cut;  /* of k */
    bool coarse;         /* see ops/grain.h */
    int64_t i0, i1;      /* the super-block's rows of blocks */
    int64_t j0, j1;      /* and columns */
    struct sum *c;       /* owned: its blocks, row by row */
    struct slot **panel; /* owned: the line of A or B that stays */
};

static struct slot *gemm_load_a(struct gemm_walk *w, int64_t i, int64_t k)
{
    bool turned = w->g->transa != 'n';
    return engine_load(w->e, &w->a, turned ? k : i, turned ? i : k, 0);
}

static struct slot *gemm_load_b(struct gemm_walk *w, int64_t k, int64_t j)
{
    bool turned = w->g->transb != 'n';
    return engine_load(w->e, &w->b, turned ? j : k, turned ? k : j, 0);
}

/* Where block (i, j) of the super-block is. */
static struct sum *gemm_at(struct gemm_walk *w, int64_t i, int64_t j)
{
    return &w->c[(i - w->i0) * (w->j1 - w->j0) + j - w->j0];
}

/* c := beta D(i, j), or 0 without one. */
static struct slot *gemm_start(struct gemm_walk *w, int64_t i, int64_t j)
{
    const struct step_args scale = {.alpha = w->g->beta};
    if (!w->g->d || w->g->beta == 0)
        return engine_blank(w->e, w->out, i, j);
    struct slot *c = engine_load(w->e, &w->d, i, j, ENGINE_ROWS);
    if (w->g->beta != 1)
        engine_step(w->e, &grain_scale, &scale, c, NULL, NULL);
    return c;
}

static void gemm_end(struct gemm_walk *w, int64_t i, int64_t j)
{
    struct sum *s = gemm_at(w, i, j);
    engine_publish(w->e, w->out, i, j, s->c);
    engine_drop(w->e, s->c);
    s->c = NULL;
}

/* Whether product k of block (i, j) need not be computed. */
static bool gemm_has(const struct gemm_walk *w, int64_t i, int64_t j, int64_t k)
{
    return result_had(w->out, i, j) || sum_had(&w->cut, w->out, k, i, j);
}

/* c(i, j) += alpha a b, unless it is there. */
static void gemm_product(struct gemm_walk *w, int64_t i, int64_t j, int64_t k, struct slot *a,
                         struct slot *b)
{
    const struct step_args args = {
        .transa = w->g->transa, .transb = w->g->transb, .alpha = w->g->alpha, .coarse = w->coarse};
    const int64_t index[] = {i, j};
    struct sum *s = gemm_at(w, i, j);
    if (result_had(w->out, i, j))
        return;
    if (k == 0)
        s->c = gemm_start(w, i, j);
    engine_step(w->e, &grain_gemm, &args, sum_target(s, &w->cut, k, w->e, w->out, index), a, b);
    sum_added(s, &w->cut, k, w->e, w->out, index);
    if (k == w->cut.inner - 1)
        gemm_end(w, i, j);
}

static bool gemm_row_is_done(const struct gemm_walk *w, int64_t i, int64_t k)
{
    bool done = true;
    for (int64_t j = w->j0; done && j < w->j1; j++)
        done = gemm_has(w, i, j, k);
    return done;
}

static bool gemm_column_is_done(const struct gemm_walk *w, int64_t j, int64_t k)
{
    bool done = true;
    for (int64_t i = w->i0; done && i < w->i1; i++)
        done = gemm_has(w, i, j, k);
    return done;
}

/* Adds A(:, k) B(k, :): B's blocks stay while those of A pass. Each is loaded when it is needed
 * first, so that one product after the other can follow on those of the last k, as they give memory
 * back.
 */
static void gemm_rank_keeping_b(struct gemm_walk *w, int64_t k)
{
    for (int64_t i = w->i0; i < w->i1; i++) {
        struct slot *a = gemm_row_is_done(w, i, k) ? NULL : gemm_load_a(w, i, k);
        for (int64_t j = w->j0; j < w->j1; j++) {
            struct slot **b = &w->panel[j - w->j0];
            if (i == w->i0)
                *b = gemm_column_is_done(w, j, k) ? NULL : gemm_load_b(w, k, j);
            gemm_product(w, i, j, k, a, *b);
        }
        engine_drop(w->e, a);
    }
    for (int64_t j = w->j0; j < w->j1; j++)
        engine_drop(w->e, w->panel[j - w->j0]);
}

/* The same, the other way round. */
static void gemm_rank_keeping_a(struct gemm_walk *w, int64_t k)
{
    for (int64_t j = w->j0; j < w->j1; j++) {
        struct slot *b = gemm_column_is_done(w, j, k) ? NULL : gemm_load_b(w, k, j);
        for (int64_t i = w->i0; i < w->i1; i++) {
            struct slot **a = &w->panel[i - w->i0];
            if (j == w->j0)
                *a = gemm_row_is_done(w, i, k) ? NULL : gemm_load_a(w, i, k);
            gemm_product(w, i, j, k, *a, b);
        }
        engine_drop(w->e, b);
    }
    for (int64_t i = w->i0; i < w->i1; i++)
        engine_drop(w->e, w->panel[i - w->i0]);
}

/* Where nothing is multiplied. */
static void gemm_added(struct gemm_walk *w)
{
    for (int64_t i = w->i0; i < w->i1; i++) {
        for (int64_t j = w->j0; j < w->j1; j++) {
            if (result_had(w->out, i, j))
                continue;
            gemm_at(w, i, j)->c = gemm_start(w, i, j);
            gemm_end(w, i, j);
        }
    }
}

static void gemm_super_block(struct gemm_walk *w, bool keeps_a)
{
    bool done = true;
    for (int64_t i = w->i0; done && i < w->i1; i++) {
        for (int64_t j = w->j0; done && j < w->j1; j++)
            done = result_had(w->out, i, j);
    }
    if (done)
        return;
    engine_task(w->e);
    if (w->g->alpha == 0 || w->cut.inner == 0)
        gemm_added(w);
    for (int64_t k = 0; w->g->alpha != 0 && k < w->cut.inner; k++) {
        if (keeps_a)
            gemm_rank_keeping_a(w, k);
        else
            gemm_rank_keeping_b(w, k);
    }
}

static void gemm_super_blocks(struct gemm_walk *w, const struct gemm_size *s,
                              const struct gemm_layout *l)
{
    for (int64_t p = 0; p < l->parts_m; p++) {
        for (int64_t q = 0; q < l->parts_n && engine_goes_on(w->e); q++) {
            w->i0 = run_part(s->m, l->parts_m, p);
            w->i1 = run_part(s->m, l->parts_m, p + 1);
            w->j0 = run_part(s->n, l->parts_n, q);
            w->j1 = run_part(s->n, l->parts_n, q + 1);
            gemm_super_block(w, l->keeps_a);
        }
    }
}

static void gemm_walk(const void *x, struct result *out, struct engine *e)
{
    const struct gemm *g = x;
    struct gemm_layout l;
    struct gemm_size s = gemm_sizes(g);
    struct gemm_walk w = {
        .g = g,
        .out = out,
        .e = e,
        .a = {.m = g->a, .stamps = g->stamps_a},
        .b = {.m = g->b, .stamps = g->stamps_b},
        .d = {.m = g->d, .stamps = g->stamps_d},
        .cut = gemm_cut(g),
        .coarse = grain_is_coarse(gemm_shape(g->a, g->transa, 0), gemm_shape(g->b, g->transb, 1))};
    if (gemm_layout(g, &l, NULL) < 0)
        return; /* the caller has asked before */
    size_t rows = (size_t)run_ceil(s.m, l.parts_m);
    size_t columns = (size_t)run_ceil(s.n, l.parts_n);
    w.c = calloc(rows * columns + 1, sizeof(*w.c));
    w.panel = calloc(MAX(rows, columns) + 1, sizeof(struct slot *));
    if (w.c && w.panel)
        gemm_super_blocks(&w, &s, &l);
    else
        engine_stop(e, -ENOMEM, "out of memory");
    free(w.c);
    free(w.panel);
}

struct run_algorithm gemm_algorithm(const struct gemm *g)
{
    struct sum_cut cut = gemm_cut(g);
    return (struct run_algorithm){
        .walk = gemm_walk, .x = g, .spans = g->alpha != 0 ? sum_spans(&cut) : 0};
}
