#include "ops/solve.h"

#include "ops/grain.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

int solve_init(struct solve *x, const struct matdir *l, const struct matdir *b, struct err *err)
{
    char uplo = matdir_triangle(l);
    if (!uplo) {
        (void)err_set(err, -EINVAL, "%s: not a factor: its header does not say triangular",
                      l->path);
        err_hint(err, "bm chol %s L makes one, bm solve L %s X solves with it", l->path, b->path);
        return -EINVAL;
    }
    x->forward = (struct trsm){
        .side = 'l', .uplo = uplo, .trans = uplo == 'l' ? 'n' : 'c', .diag = 'n', .t = l, .b = b};
    return 0;
}

/* Rows and columns of X's blocks. */
static int64_t solve_rows(const struct solve *x)
{
    return grid_axis_blocks(&x->forward.b->header.grid, 0);
}

static int64_t solve_columns(const struct solve *x)
{
    return grid_axis_blocks(&x->forward.b->header.grid, 1);
}

static int64_t solve_shard(const struct solve *x, int axis)
{
    const struct grid *g = &x->forward.b->header.grid;
    return MIN(g->shard[axis], MAX(g->shape[axis], (int64_t)1));
}

int solve_parts(const struct solve *x, int64_t *ret, struct err *err)
{
    uint64_t element = x->forward.b->header.dtype.size;
    uint64_t rows = (uint64_t)solve_shard(x, 0);
    uint64_t factor = rows * rows * element;
    uint64_t column =
        (uint64_t)x->forward.b->header.grid.shape[0] * element * (uint64_t)solve_shard(x, 1);
    uint64_t least = factor + column;
    if (x->forward.memory < least) {
        (void)err_set(err, -EINVAL, "%llu bytes of memory do not hold a column of B's blocks",
                      (unsigned long long)x->forward.memory);
        err_hint(err, "--memory %llu does; so do narrower blocks of B, and bm trsm, twice",
                 (unsigned long long)least);
        return -EINVAL;
    }
    uint64_t fit = column > 0 ? (x->forward.memory - factor) / column : UINT64_C(1);
    int64_t each = MAX((int64_t)MIN(fit, (uint64_t)solve_columns(x)), (int64_t)1);
    *ret = run_ceil(solve_columns(x), each);
    return 0;
}

uint64_t solve_bound(const struct solve *x)
{
    double element = (double)x->forward.b->header.dtype.size;
    double m = (double)x->forward.b->header.grid.shape[0];
    double n = (double)x->forward.b->header.grid.shape[1];
    double flow = 2 * m * m * n / sqrt((double)x->forward.memory / element);
    return (uint64_t)(MAX(flow, m * (m + 1) / 2 + m * n) * element);
}

/* --- the loop nest --- */

/* One walk. L is the factor, or U^H. */
struct solve_walk {
    const struct solve *x;
    struct result *out;
    struct engine *e;
    struct source l, b;
    int64_t m;
    int64_t j0, j1;  /* columns of blocks in memory */
    struct slot **c; /* owned: they, row by row; NULL in those that are done */
};

static struct slot **solve_at(struct solve_walk *w, int64_t i, int64_t j)
{
    return &w->c[i * (w->j1 - w->j0) + j - w->j0];
}

static bool solve_column_is_done(const struct solve_walk *w, int64_t j)
{
    bool done = true;
    for (int64_t i = 0; done && i < w->m; i++)
        done = result_had(w->out, i, j);
    return done;
}

/* L(i, k), i >= k, as it is stored: U(k, i) is its conjugate transpose. */
static struct slot *solve_load(struct solve_walk *w, int64_t i, int64_t k)
{
    int flags = i == k ? ENGINE_ROWS : ENGINE_FINITE;
    bool upper = w->x->forward.uplo == 'u';
    return engine_load(w->e, &w->l, upper ? k : i, upper ? i : k, flags);
}

/* How op(L(i, k)) is made from what is stored, for L itself and for L^H. */
static char solve_trans(const struct solve_walk *w, bool forward)
{
    return (w->x->forward.uplo == 'l') == forward ? 'n' : 'c';
}

/* X(to, :) -= op(l) X(from, :) */
static void solve_update(struct solve_walk *w, bool forward, int64_t to, int64_t from)
{
    const struct step_args minus = {.transa = solve_trans(w, forward), .transb = 'n', .alpha = -1};
    struct slot *l = forward ? solve_load(w, to, from) : solve_load(w, from, to);
    for (int64_t j = w->j0; j < w->j1; j++)
        engine_step(w->e, &grain_update, &minus, *solve_at(w, to, j), l, *solve_at(w, from, j));
    engine_drop(w->e, l);
}

/* X(i, :) := op(L(i, i))^-1 X(i, :) */
static void solve_diagonal(struct solve_walk *w, bool forward, int64_t i)
{
    const struct step_args solve = {.side = 'l',
                                    .uplo = w->x->forward.uplo,
                                    .transa = solve_trans(w, forward),
                                    .diag = 'n',
                                    .matrix = w->x->forward.t,
                                    .row = i * solve_shard(w->x, 0)};
    struct slot *l = solve_load(w, i, i);
    for (int64_t j = w->j0; j < w->j1; j++)
        engine_step(w->e, &grain_trsm, &solve, *solve_at(w, i, j), l, NULL);
    engine_drop(w->e, l);
}

static void solve_publish(struct solve_walk *w, int64_t i)
{
    for (int64_t j = w->j0; j < w->j1; j++) {
        struct slot **c = solve_at(w, i, j);
        if (*c && !result_had(w->out, i, j))
            engine_publish(w->e, w->out, i, j, *c);
    }
}

static void solve_drop(struct solve_walk *w, int64_t i)
{
    for (int64_t j = w->j0; j < w->j1; j++) {
        engine_drop(w->e, *solve_at(w, i, j));
        *solve_at(w, i, j) = NULL;
    }
}

/* L Y = B, row by row as they come. */
static void solve_forwards(struct solve_walk *w)
{
    for (int64_t i = 0; i < w->m; i++) {
        for (int64_t j = w->j0; j < w->j1; j++) {
            if (!solve_column_is_done(w, j))
                *solve_at(w, i, j) = engine_load(w->e, &w->b, i, j, ENGINE_ROWS | ENGINE_FINITE);
        }
        for (int64_t k = 0; k < i; k++)
            solve_update(w, true, i, k);
        solve_diagonal(w, true, i);
    }
}

/* L^H X = Y, from the last row on. */
static void solve_backwards(struct solve_walk *w)
{
    for (int64_t i = w->m - 1; i >= 0; i--) {
        for (int64_t k = w->m - 1; k > i; k--)
            solve_update(w, false, i, k);
        solve_diagonal(w, false, i);
        solve_publish(w, i);
    }
    for (int64_t i = 0; i < w->m; i++)
        solve_drop(w, i);
}

static void solve_walk(const void *arg, struct result *out, struct engine *e)
{
    const struct solve *x = arg;
    int64_t parts = 0;
    int64_t columns = solve_columns(x);
    struct solve_walk w = {.x = x,
                           .out = out,
                           .e = e,
                           .l = {.m = x->forward.t, .stamps = x->forward.stamps_t},
                           .b = {.m = x->forward.b, .stamps = x->forward.stamps_b},
                           .m = solve_rows(x)};
    if (solve_parts(x, &parts, NULL) < 0 || parts == 0)
        return; /* the caller has asked before */
    w.c = calloc((size_t)w.m * (size_t)run_ceil(columns, parts) + 1, sizeof(struct slot *));
    if (!w.c)
        engine_stop(e, -ENOMEM, "out of memory");
    for (int64_t p = 0; p < parts && engine_goes_on(e); p++) {
        bool done = true;
        w.j0 = run_part(columns, parts, p);
        w.j1 = run_part(columns, parts, p + 1);
        for (int64_t j = w.j0; done && j < w.j1; j++)
            done = solve_column_is_done(&w, j);
        if (done)
            continue;
        engine_task(e);
        solve_forwards(&w);
        solve_backwards(&w);
    }
    free(w.c);
}

struct run_algorithm solve_algorithm(const struct solve *x)
{
    return (struct run_algorithm){.walk = solve_walk, .x = x, .finite = true};
}
