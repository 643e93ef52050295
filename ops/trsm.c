#include "ops/trsm.h"

#include "ops/grain.h"
#include "ops/inventory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* --- checks --- */

static char trsm_type(const struct matdir *m)
{
    return dtype_blas(element_native(m->header.dtype));
}

/* X's axis along T's dimension. */
static int trsm_axis(const struct trsm *x)
{
    return x->side == 'l' ? 0 : 1;
}

/* The size of the blocks. One that is longer than the matrix is as good as one that fits. */
static int64_t trsm_shard(const struct matdir *m, int axis)
{
    const struct grid *g = &m->header.grid;
    return MIN(g->shard[axis], MAX(g->shape[axis], (int64_t)1));
}

static int trsm_check_one(const struct matdir *m, struct err *err)
{
    const struct grid *g = &m->header.grid;
    if (g->ndim != 2)
        return err_set(err, -EINVAL, "%s: %d axes, where a system needs 2", m->path, g->ndim);
    if (!trsm_type(m))
        return err_set(err, -EINVAL,
                       "%s: type %s; systems are of float32, float64, complex64 or complex128",
                       m->path, dtype_name(m->header.dtype));
    return run_check_grid(m, err);
}

static int trsm_check_triangle(const struct matdir *t, struct err *err)
{
    const struct grid *g = &t->header.grid;
    if (g->shape[0] != g->shape[1])
        return err_set(err, -EINVAL, "%s: not square", t->path);
    if (trsm_shard(t, 0) == trsm_shard(t, 1))
        return 0;
    (void)err_set(err, -EINVAL, "%s: its blocks are %lldx%lld, not square", t->path,
                  (long long)g->shard[0], (long long)g->shard[1]);
    err_hint(err, "bm reblock %s NEW --block %lld", t->path,
             (long long)MIN(g->shard[0], g->shard[1]));
    return -EINVAL;
}

static int trsm_check_fit(const struct trsm *x, struct err *err)
{
    int axis = trsm_axis(x);
    int64_t block[2] = {trsm_shard(x->b, 0), trsm_shard(x->b, 1)};
    const char *what = axis == 0 ? "rows" : "columns";
    if (trsm_type(x->t) != trsm_type(x->b))
        return err_set(err, -EINVAL, "%s: types differ: %s is %s, %s is %s", x->b->path, x->t->path,
                       dtype_name(x->t->header.dtype), x->b->path, dtype_name(x->b->header.dtype));
    if (x->t->header.grid.shape[0] != x->b->header.grid.shape[axis])
        return err_set(err, -EINVAL, "%s: %lld %s, where %s has %lld", x->b->path,
                       (long long)x->b->header.grid.shape[axis], what, x->t->path,
                       (long long)x->t->header.grid.shape[0]);
    if (block[axis] == trsm_shard(x->t, 0))
        return 0;
    (void)err_set(err, -EINVAL, "%s: it is cut every %lld %s, %s every %lld", x->b->path,
                  (long long)block[axis], what, x->t->path, (long long)trsm_shard(x->t, 0));
    block[axis] = trsm_shard(x->t, 0);
    err_hint(err, "bm reblock %s NEW --block %lldx%lld", x->b->path, (long long)block[0],
             (long long)block[1]);
    return -EINVAL;
}

int trsm_plan(const struct trsm *x, struct header *ret, struct err *err)
{
    int r = trsm_check_one(x->t, err);
    if (r == 0)
        r = trsm_check_one(x->b, err);
    if (r == 0)
        r = trsm_check_triangle(x->t, err);
    if (r == 0)
        r = trsm_check_fit(x, err);
    if (r == 0)
        *ret =
            (struct header){.grid = x->b->header.grid, .dtype = element_native(x->b->header.dtype)};
    return r;
}

int trsm_check_inputs(const struct trsm *x, struct err *err)
{
    int r = inventory_check_triangle(x->t, x->uplo == 'u', err);
    return r < 0 ? r : inventory_check_whole(x->b, err);
}

/* --- the layout --- */

/* Sizes in blocks, and bytes of one. */
struct trsm_size {
    int64_t m, n; /* of X along T's dimension, and across */
    uint64_t t, x;
};

static struct trsm_size trsm_sizes(const struct trsm *x)
{
    int axis = trsm_axis(x);
    uint64_t element = x->b->header.dtype.size;
    uint64_t along = (uint64_t)trsm_shard(x->t, 0);
    uint64_t across = (uint64_t)trsm_shard(x->b, 1 - axis);
    return (struct trsm_size){.m = grid_axis_blocks(&x->b->header.grid, axis),
                              .n = grid_axis_blocks(&x->b->header.grid, 1 - axis),
                              .t = along * along * element,
                              .x = along * across * element};
}

uint64_t trsm_memory_min(const struct trsm *x)
{
    struct trsm_size s = trsm_sizes(x);
    return s.t + (s.m > 1 ? 2 : 1) * s.x;
}

/* Bytes read of T and X: T passes once for each part across, and each part of X along T passes
 * those behind it. */
static double trsm_cost(const struct trsm_size *s, const struct trsm_layout *l)
{
    double before = 0;
    for (int64_t p = 0; p < l->parts_m; p++)
        before += (double)run_part(s->m, l->parts_m, p);
    return (double)s->m * (double)(s->m + 1) / 2 * (double)s->t * (double)l->parts_n +
           before * (double)s->n * (double)s->x;
}

/* Super-blocks of at most p blocks along T; false when none fits. */
static bool trsm_try(const struct trsm_size *s, uint64_t memory, int64_t p, struct trsm_layout *ret)
{
    int64_t parts = run_ceil(s->m, p);
    uint64_t held = (uint64_t)run_ceil(s->m, parts) + (parts > 1); /* X's blocks for each across */
    if (memory < s->t + held * s->x)
        return false;
    uint64_t columns = s->x > 0 ? (memory - s->t) / (held * s->x) : (uint64_t)s->n;
    int64_t each = MAX((int64_t)MIN(columns, (uint64_t)s->n), (int64_t)1);
    *ret = (struct trsm_layout){.parts_m = parts, .parts_n = run_ceil(s->n, each)};
    return true;
}

int trsm_layout(const struct trsm *x, struct trsm_layout *ret, struct err *err)
{
    double least = INFINITY;
    struct trsm_size s = trsm_sizes(x);
    struct trsm_layout best = {.parts_m = s.m > 0, .parts_n = s.n > 0}; /* of nothing */
    for (int64_t p = 1; p <= s.m; p++) {
        struct trsm_layout l;
        bool fits = trsm_try(&s, x->memory, p, &l);
        if (fits && trsm_cost(&s, &l) < least) {
            least = trsm_cost(&s, &l);
            best = l;
        }
    }
    *ret = best;
    if (isfinite(least) || s.m == 0)
        return 0;
    (void)err_set(err, -EINVAL, "%llu bytes of memory do not hold three blocks",
                  (unsigned long long)x->memory);
    err_hint(err, "these blocks need --memory %llu or more",
             (unsigned long long)trsm_memory_min(x));
    return -EINVAL;
}

uint64_t trsm_bound(const struct trsm *x)
{
    double element = (double)x->b->header.dtype.size;
    double m = (double)x->t->header.grid.shape[0];
    double n = (double)x->b->header.grid.shape[1 - trsm_axis(x)];
    double flow = m * m * n / sqrt((double)x->memory / element);
    return (uint64_t)(MAX(flow, m * (m + 1) / 2 + m * n) * element);
}

/* --- the loop nest --- */

/* One walk. X(i, j) is its i-th line of blocks in the order of solving, place j across; and T(i, k)
 * what ties X(i, :) to X(k, :). */
struct trsm_walk {
    const struct trsm *x;
    struct result *out;
    struct engine *e;
    struct source t, b;
    int64_t m;
    int64_t i0, i1;      /* the super-block along T */
    int64_t j0, j1;      /* and across */
    struct slot **c;     /* owned: its blocks, line by line; NULL: not yet begun */
    struct slot **panel; /* owned: X(k, j0 ... j1 - 1) */
};

/* Whether X's first line is solved first, not its last. */
static bool trsm_goes_forward(const struct trsm *x)
{
    bool lower = (x->uplo == 'l') == (x->trans == 'n'); /* op(T) */
    return lower == (x->side == 'l');
}

/* The i-th line solved, in the matrix. */
static int64_t trsm_line(const struct trsm_walk *w, int64_t i)
{
    return trsm_goes_forward(w->x) ? i : w->m - 1 - i;
}

static int64_t trsm_row(const struct trsm_walk *w, int64_t i, int64_t j)
{
    return w->x->side == 'l' ? trsm_line(w, i) : j;
}

static int64_t trsm_column(const struct trsm_walk *w, int64_t i, int64_t j)
{
    return w->x->side == 'l' ? j : trsm_line(w, i);
}

static bool trsm_had(const struct trsm_walk *w, int64_t i, int64_t j)
{
    return result_had(w->out, trsm_row(w, i, j), trsm_column(w, i, j));
}

static struct slot *trsm_reload(struct trsm_walk *w, int64_t i, int64_t j)
{
    return engine_reload(w->e, w->out, trsm_row(w, i, j), trsm_column(w, i, j));
}

/* T(i, k). Where X is on the left a line of it belongs to a row of op(T), else to a column. */
static struct slot *trsm_load(struct trsm_walk *w, int64_t i, int64_t k)
{
    bool turned = (w->x->side == 'r') != (w->x->trans != 'n');
    int64_t row = trsm_line(w, turned ? k : i);
    int64_t column = trsm_line(w, turned ? i : k);
    return engine_load(w->e, &w->t, row, column, i == k ? ENGINE_ROWS : ENGINE_FINITE);
}

/* X(k, j) of the panel, loaded when it is needed first: see chol_panel(). */
static struct slot *trsm_panel(struct trsm_walk *w, int64_t k, int64_t j)
{
    struct slot **x = &w->panel[j - w->j0];
    if (!*x)
        *x = trsm_reload(w, k, j);
    return *x;
}

static struct slot **trsm_at(struct trsm_walk *w, int64_t i, int64_t j)
{
    return &w->c[(i - w->i0) * (w->j1 - w->j0) + j - w->j0];
}

/* At first B(i, j); or X(i, j), when an earlier run has made it. */
static struct slot *trsm_tile(struct trsm_walk *w, int64_t i, int64_t j)
{
    struct slot **c = trsm_at(w, i, j);
    if (!*c && trsm_had(w, i, j))
        *c = trsm_reload(w, i, j);
    else if (!*c)
        *c = engine_load(w->e, &w->b, trsm_row(w, i, j), trsm_column(w, i, j),
                         ENGINE_ROWS | ENGINE_FINITE);
    return *c;
}

/* X(i, j) -= T(i, k) X(k, j) */
static void trsm_update(struct trsm_walk *w, int64_t i, int64_t j, struct slot *t, struct slot *x)
{
    const struct step_args left = {.transa = w->x->trans, .transb = 'n', .alpha = -1};
    const struct step_args right = {.transa = 'n', .transb = w->x->trans, .alpha = -1};
    if (trsm_had(w, i, j))
        return;
    if (w->x->side == 'l')
        engine_step(w->e, &grain_update, &left, trsm_tile(w, i, j), t, x);
    else
        engine_step(w->e, &grain_update, &right, trsm_tile(w, i, j), x, t);
}

/* X(i, j) := T(i, i)^-1 X(i, j) */
static void trsm_solve(struct trsm_walk *w, int64_t i, int64_t j, struct slot *t)
{
    const struct step_args solve = {.side = w->x->side,
                                    .uplo = w->x->uplo,
                                    .transa = w->x->trans,
                                    .diag = w->x->diag,
                                    .matrix = w->x->t,
                                    .row = trsm_line(w, i) * trsm_shard(w->x->t, 0)};
    if (trsm_had(w, i, j))
        return;
    engine_step(w->e, &grain_trsm, &solve, trsm_tile(w, i, j), t, NULL);
    engine_publish(w->e, w->out, trsm_row(w, i, j), trsm_column(w, i, j), trsm_tile(w, i, j));
}

static bool trsm_line_is_done(const struct trsm_walk *w, int64_t i)
{
    bool done = true;
    for (int64_t j = w->j0; done && j < w->j1; j++)
        done = trsm_had(w, i, j);
    return done;
}

/* Takes what lines 0 ... i0 - 1 have solved from the super-block. */
static void trsm_update_all(struct trsm_walk *w)
{
    for (int64_t k = 0; k < w->i0; k++) {
        for (int64_t i = w->i0; i < w->i1; i++) {
            struct slot *t = trsm_line_is_done(w, i) ? NULL : trsm_load(w, i, k);
            for (int64_t j = w->j0; j < w->j1; j++) {
                if (!trsm_had(w, i, j))
                    trsm_update(w, i, j, t, trsm_panel(w, k, j));
            }
            engine_drop(w->e, t);
        }
        for (int64_t j = w->j0; j < w->j1; j++) {
            engine_drop(w->e, w->panel[j - w->j0]);
            w->panel[j - w->j0] = NULL;
        }
    }
}

static void trsm_solve_all(struct trsm_walk *w)
{
    for (int64_t i = w->i0; i < w->i1; i++) {
        for (int64_t k = w->i0; k <= i && !trsm_line_is_done(w, i); k++) {
            struct slot *t = trsm_load(w, i, k);
            for (int64_t j = w->j0; j < w->j1; j++) {
                if (k < i)
                    trsm_update(w, i, j, t, trsm_tile(w, k, j));
                else
                    trsm_solve(w, i, j, t);
            }
            engine_drop(w->e, t);
        }
    }
}

static void trsm_super_block(struct trsm_walk *w)
{
    bool done = true;
    for (int64_t i = w->i0; done && i < w->i1; i++)
        done = trsm_line_is_done(w, i);
    if (done || !engine_goes_on(w->e))
        return;
    engine_task(w->e);
    trsm_update_all(w);
    trsm_solve_all(w);
    for (int64_t at = 0; at < (w->i1 - w->i0) * (w->j1 - w->j0); at++) {
        engine_drop(w->e, w->c[at]);
        w->c[at] = NULL;
    }
}

static void trsm_super_blocks(struct trsm_walk *w, int64_t n, const struct trsm_layout *l)
{
    for (int64_t q = 0; q < l->parts_n; q++) {
        for (int64_t p = 0; p < l->parts_m; p++) {
            w->i0 = run_part(w->m, l->parts_m, p);
            w->i1 = run_part(w->m, l->parts_m, p + 1);
            w->j0 = run_part(n, l->parts_n, q);
            w->j1 = run_part(n, l->parts_n, q + 1);
            trsm_super_block(w);
        }
    }
}

static void trsm_walk(const void *arg, struct result *out, struct engine *e)
{
    const struct trsm *x = arg;
    struct trsm_layout l;
    struct trsm_size s = trsm_sizes(x);
    struct trsm_walk w = {.x = x,
                          .out = out,
                          .e = e,
                          .t = {.m = x->t, .stamps = x->stamps_t},
                          .b = {.m = x->b, .stamps = x->stamps_b},
                          .m = s.m};
    if (trsm_layout(x, &l, NULL) < 0 || l.parts_m == 0 || l.parts_n == 0)
        return; /* the caller has asked before */
    size_t rows = (size_t)run_ceil(s.m, l.parts_m);
    size_t columns = (size_t)run_ceil(s.n, l.parts_n);
    w.c = calloc(rows * columns + 1, sizeof(struct slot *));
    w.panel = calloc(columns + 1, sizeof(struct slot *));
    if (w.c && w.panel)
        trsm_super_blocks(&w, s.n, &l);
    else
        engine_stop(e, -ENOMEM, "out of memory");
    free(w.c);
    free(w.panel);
}

struct run_algorithm trsm_algorithm(const struct trsm *x)
{
    return (struct run_algorithm){.walk = trsm_walk, .x = x, .ordered = true, .finite = true};
}
