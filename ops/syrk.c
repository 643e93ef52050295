#include "ops/syrk.h"

#include "ops/grain.h"
#include "ops/sum.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* --- checks --- */

/* A's axis that is C's rows (0), or k (1). */
static int syrk_axis(const struct syrk *s, int axis)
{
    return s->trans == 'n' ? axis : 1 - axis;
}

static int64_t syrk_shape(const struct syrk *s, int axis)
{
    return s->a->header.grid.shape[syrk_axis(s, axis)];
}

static int64_t syrk_shard(const struct syrk *s, int axis)
{
    return MIN(s->a->header.grid.shard[syrk_axis(s, axis)], MAX(syrk_shape(s, axis), (int64_t)1));
}

int syrk_plan(const struct syrk *s, struct header *ret, struct err *err)
{
    const struct grid *g = &s->a->header.grid;
    if (g->ndim != 2)
        return err_set(err, -EINVAL, "%s: %d axes, where a product needs 2", s->a->path, g->ndim);
    if (!dtype_blas(element_native(s->a->header.dtype)))
        return err_set(err, -EINVAL,
                       "%s: type %s; products are of float32, float64, complex64 or complex128",
                       s->a->path, dtype_name(s->a->header.dtype));
    if (run_check_grid(s->a, err) < 0)
        return -EINVAL;
    struct header c = {.grid.ndim = 2, .dtype = element_native(s->a->header.dtype)};
    for (int axis = 0; axis < 2; axis++) {
        c.grid.shape[axis] = syrk_shape(s, 0);
        c.grid.shard[axis] = g->shard[syrk_axis(s, 0)];
    }
    int r = grid_check(&c.grid, err);
    if (r == 0)
        *ret = c;
    return r;
}

/* --- the layout --- */

static int64_t syrk_blocks(const struct syrk *s)
{
    return run_ceil(syrk_shape(s, 0), syrk_shard(s, 0));
}

static struct sum_cut syrk_cut(const struct syrk *s)
{
    return sum_cut_of(syrk_shape(s, 0), syrk_shape(s, 0),
                      run_ceil(syrk_shape(s, 1), syrk_shard(s, 1)), syrk_shard(s, 1));
}

/* Bytes that a super-block of p x p blocks holds: while it is summed, or, with a block's transpose,
 * while it is published. */
static double syrk_held(const struct syrk *s, int64_t p)
{
    double element = (double)s->a->header.dtype.size;
    double rows = (double)syrk_shard(s, 0);
    double a = rows * (double)syrk_shard(s, 1) * element;
    double c = rows * rows * element;
    double blocks = (double)p * (double)p;
    struct sum_cut cut = syrk_cut(s);
    return fmax(blocks * c * sum_tiles(&cut) + (double)(p + 1) * a, (blocks + 1) * c);
}

int syrk_parts(const struct syrk *s, int64_t *ret, struct err *err)
{
    int64_t blocks = syrk_blocks(s);
    for (int64_t parts = 1; parts <= blocks; parts++) {
        *ret = parts;
        if (syrk_held(s, run_ceil(blocks, parts)) <= (double)s->memory)
            return 0;
    }
    *ret = 0;
    if (blocks == 0)
        return 0;
    (void)err_set(err, -EINVAL, "%llu bytes of memory do not hold three blocks",
                  (unsigned long long)s->memory);
    err_hint(err, "these blocks need --memory %.0f or more", syrk_held(s, 1));
    return -EINVAL;
}

uint64_t syrk_bound(const struct syrk *s)
{
    double element = (double)s->a->header.dtype.size;
    double n = (double)syrk_shape(s, 0);
    double k = (double)syrk_shape(s, 1);
    double flow = n * n * k / (sqrt(2) * sqrt((double)s->memory / element));
    return (uint64_t)(MAX(n * k, flow) * element);
}

/* --- the loop nest --- */

/* One walk. A(i, k) is A's block, or with trans its conjugate transpose's. */
struct syrk_walk {
    const struct syrk *x;
    struct result *out;
    struct engine *e;
    struct source a;
    struct sum_cut cut;
    bool coarse;         /* see ops/grain.h */
    int64_t i0, i1;      /* the super-block's rows of blocks */
    int64_t j0, j1;      /* and columns */
    struct sum *c;       /* owned: its blocks, row by row; above C's diagonal there is nothing */
    struct slot **panel; /* owned: A(j0 ... j1 - 1, k) */
};

static struct sum *syrk_at(struct syrk_walk *w, int64_t i, int64_t j)
{
    return &w->c[(i - w->i0) * (w->j1 - w->j0) + j - w->j0];
}

static struct slot *syrk_load(struct syrk_walk *w, int64_t i, int64_t k)
{
    bool turned = w->x->trans != 'n';
    return engine_load(w->e, &w->a, turned ? k : i, turned ? i : k, ENGINE_ROWS);
}

/* Whether C(i, j) is there, and what mirrors it. */
static bool syrk_had(const struct syrk_walk *w, int64_t i, int64_t j)
{
    return result_had(w->out, i, j) && (w->x->lower || result_had(w->out, j, i));
}

/* C(i, j) += a b^H, where for i = j the two are one. */
static void syrk_product(struct syrk_walk *w, const int64_t index[2], int64_t k, struct slot *a,
                         struct slot *b)
{
    bool turned = w->x->trans != 'n';
    const struct step_args args = {
        .transa = turned ? 'c' : 'n', .transb = turned ? 'n' : 'c', .alpha = 1};
    struct sum *s = syrk_at(w, index[0], index[1]);
    if (syrk_had(w, index[0], index[1]))
        return;
    if (k == 0)
        s->c = engine_blank(w->e, w->out, index[0], index[1]);
    struct slot *to = sum_target(s, &w->cut, k, w->e, w->out, index);
    if (index[0] == index[1])
        engine_step(w->e, &grain_herk, &args, to, a, NULL);
    else
        engine_step(w->e, &grain_gemm, &args, to, a, b);
    sum_added(s, &w->cut, k, w->e, w->out, index);
}

static void syrk_publish_mirrored(struct syrk_walk *w, int64_t i, int64_t j, struct slot *c)
{
    static const struct step_args none = {.alpha = 1};
    struct slot *mirrored = engine_blank(w->e, w->out, j, i);
    engine_step(w->e, &grain_turn, &none, mirrored, c, NULL);
    engine_publish(w->e, w->out, j, i, mirrored);
    engine_drop(w->e, mirrored);
}

static void syrk_publish(struct syrk_walk *w, int64_t i, int64_t j)
{
    static const struct step_args none = {.alpha = 1};
    struct sum *s = syrk_at(w, i, j);
    if (syrk_had(w, i, j))
        return;
    if (w->cut.inner == 0)
        s->c = engine_blank(w->e, w->out, i, j);
    if (i == j)
        engine_step(w->e, &grain_mirror, &none, s->c, NULL, NULL);
    if (!result_had(w->out, i, j))
        engine_publish(w->e, w->out, i, j, s->c);
    if (i != j && !w->x->lower && !result_had(w->out, j, i))
        syrk_publish_mirrored(w, i, j, s->c);
    engine_drop(w->e, s->c);
    s->c = NULL;
}

/* Whether product k of C(i, j) need not be computed. */
static bool syrk_has(const struct syrk_walk *w, int64_t i, int64_t j, int64_t k)
{
    return syrk_had(w, i, j) || sum_had(&w->cut, w->out, k, i, j);
}

/* Whether none of row i of the super-block need be, up to C's diagonal. */
static bool syrk_row_is_done(const struct syrk_walk *w, int64_t i, int64_t k)
{
    bool done = true;
    for (int64_t j = w->j0; done && j < w->j1 && j <= i; j++)
        done = syrk_has(w, i, j, k);
    return done;
}

/* A(j, k) of the panel, loaded when it is needed first: see chol_panel(). */
static struct slot *syrk_panel(struct syrk_walk *w, int64_t j, int64_t k)
{
    struct slot **a = &w->panel[j - w->j0];
    if (!*a)
        *a = syrk_load(w, j, k);
    return *a;
}

/* Adds A(:, k) A(:, k)^H. On the diagonal all of A(:, k) is in the panel. */
static void syrk_rank(struct syrk_walk *w, int64_t k)
{
    bool diagonal = w->i0 == w->j0;
    for (int64_t i = w->i0; i < w->i1; i++) {
        bool done = syrk_row_is_done(w, i, k);
        struct slot *passing = done || diagonal ? NULL : syrk_load(w, i, k);
        for (int64_t j = w->j0; j < w->j1 && j <= i; j++) {
            bool has = syrk_has(w, i, j, k);
            struct slot *a = has || !diagonal ? passing : syrk_panel(w, i, k);
            struct slot *b = has ? NULL : syrk_panel(w, j, k);
            syrk_product(w, (const int64_t[]){i, j}, k, a, b);
        }
        engine_drop(w->e, passing);
    }
    for (int64_t j = w->j0; j < w->j1; j++) {
        engine_drop(w->e, w->panel[j - w->j0]);
        w->panel[j - w->j0] = NULL;
    }
}

static void syrk_super_block(struct syrk_walk *w)
{
    bool done = true;
    for (int64_t i = w->i0; done && i < w->i1; i++) {
        for (int64_t j = w->j0; done && j < w->j1 && j <= i; j++)
            done = syrk_had(w, i, j);
    }
    if (done || !engine_goes_on(w->e))
        return;
    engine_task(w->e);
    for (int64_t k = 0; k < w->cut.inner; k++)
        syrk_rank(w, k);
    for (int64_t i = w->i0; i < w->i1; i++) {
        for (int64_t j = w->j0; j < w->j1 && j <= i; j++)
            syrk_publish(w, i, j);
    }
}

static void syrk_super_blocks(struct syrk_walk *w, int64_t parts)
{
    int64_t blocks = syrk_blocks(w->x);
    for (int64_t p = 0; p < parts; p++) {
        for (int64_t q = 0; q <= p; q++) {
            w->i0 = run_part(blocks, parts, p);
            w->i1 = run_part(blocks, parts, p + 1);
            w->j0 = run_part(blocks, parts, q);
            w->j1 = run_part(blocks, parts, q + 1);
            syrk_super_block(w);
        }
    }
}

static void syrk_walk(const void *arg, struct result *out, struct engine *e)
{
    const struct syrk *x = arg;
    int64_t parts = 0;
    struct syrk_walk w = {.x = x,
                          .out = out,
                          .e = e,
                          .a = {.m = x->a, .stamps = x->stamps},
                          .cut = syrk_cut(x),
                          .coarse = grain_is_coarse(syrk_shape(x, 0), syrk_shape(x, 0) / 2)};
    if (syrk_parts(x, &parts, NULL) < 0 || parts == 0)
        return; /* the caller has asked before */
    size_t most = (size_t)run_ceil(syrk_blocks(x), parts);
    w.c = calloc(most * most + 1, sizeof(*w.c));
    w.panel = calloc(most + 1, sizeof(struct slot *));
    if (w.c && w.panel)
        syrk_super_blocks(&w, parts);
    else
        engine_stop(e, -ENOMEM, "out of memory");
    free(w.c);
    free(w.panel);
}

struct run_algorithm syrk_algorithm(const struct syrk *s)
{
    struct sum_cut cut = syrk_cut(s);
    return (struct run_algorithm){.walk = syrk_walk, .x = s, .spans = sum_spans(&cut)};
}
