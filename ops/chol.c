#include "ops/chol.h"

#include "ops/grain.h"
#include "ops/inventory.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* --- checks --- */

static char chol_type(const struct chol *c)
{
    return dtype_blas(element_native(c->a->header.dtype));
}

static int64_t chol_order(const struct chol *c)
{
    return c->a->header.grid.shape[0];
}

/* Rows of a block. */
static int64_t chol_block(const struct chol *c)
{
    const struct grid *g = &c->a->header.grid;
    return MIN(g->shard[0], MAX(g->shape[0], (int64_t)1));
}

static int64_t chol_blocks(const struct chol *c)
{
    return grid_axis_blocks(&c->a->header.grid, 0);
}

static int chol_check(const struct chol *c, struct err *err)
{
    const struct matdir *a = c->a;
    const struct grid *g = &a->header.grid;
    if (g->ndim != 2 || g->shape[0] != g->shape[1])
        return err_set(err, -EINVAL, "%s: not square", a->path);
    if (!chol_type(c))
        return err_set(err, -EINVAL,
                       "%s: type %s; factors are of float32, float64, complex64 or complex128",
                       a->path, dtype_name(a->header.dtype));
    if (MIN(g->shard[0], g->shape[0]) != MIN(g->shard[1], g->shape[1])) {
        (void)err_set(err, -EINVAL, "%s: its blocks are %lldx%lld, not square", a->path,
                      (long long)g->shard[0], (long long)g->shard[1]);
        err_hint(err, "bm reblock %s NEW --block %lld", a->path,
                 (long long)MIN(g->shard[0], g->shard[1]));
        return -EINVAL;
    }
    if (!isfinite(c->reg))
        return err_set(err, -EINVAL, "what is added must be a finite number");
    return run_check_grid(a, err);
}

static int chol_set_extra(struct header *h, const char *name, struct cJSON *value, struct err *err)
{
    int r = value ? header_set_extra(h, name, &value) : -ENOMEM;
    cJSON_Delete(value);
    return r < 0 ? err_errno(err, r, "%s", name) : 0;
}

int chol_plan(const struct chol *c, struct header *ret, struct err *err)
{
    int r = chol_check(c, err);
    if (r < 0)
        return r;
    struct header h = {.grid = c->a->header.grid, .dtype = element_native(c->a->header.dtype)};
    r = chol_set_extra(&h, "triangular", cJSON_CreateString(c->upper ? "upper" : "lower"), err);
    if (r == 0)
        r = chol_set_extra(&h, "fill_value", cJSON_CreateNumber(0), err);
    if (r < 0) {
        header_fini(&h);
        return r;
    }
    *ret = h;
    return 0;
}

int chol_check_inputs(const struct chol *c, struct err *err)
{
    return inventory_check_triangle(c->a, c->upper, err);
}

/* --- the layout --- */

static uint64_t chol_bytes(const struct chol *c)
{
    uint64_t n = (uint64_t)chol_block(c);
    return n * n * c->a->header.dtype.size;
}

uint64_t chol_memory_min(const struct chol *c)
{
    return 3 * chol_bytes(c);
}

/* Blocks read: for each super-block of columns the panels left of its diagonal task and of those
 * below, and the triangle that these solve with. The columns of A are read once, whatever. */
static double chol_cost(int64_t blocks, int64_t parts, int64_t rows)
{
    double cost = 0;
    for (int64_t p = 0; p < parts; p++) {
        int64_t left = run_part(blocks, parts, p);
        int64_t columns = run_part(blocks, parts, p + 1) - left;
        int64_t below = blocks - left - columns;
        double tasks = (double)run_ceil(below, rows);
        cost += (double)columns * (double)left * (1 + tasks) + (double)below * (double)left +
                tasks * (double)(columns * (columns + 1)) / 2;
    }
    return cost;
}

/* Blocks that memory holds. */
static int64_t chol_room(const struct chol *c)
{
    uint64_t bytes = chol_bytes(c);
    return (int64_t)MIN(bytes > 0 ? c->memory / bytes : c->memory, UINT64_C(1) << 40);
}

/* The layout with super-blocks of at most p columns, and what it costs; infinite when it does not
 * fit. */
static double chol_try(int64_t blocks, int64_t room, int64_t p, struct chol_layout *ret)
{
    int64_t parts = run_ceil(blocks, p);
    int64_t columns = run_ceil(blocks, parts);
    int64_t rows = MIN((room - columns - 1) / columns, blocks);
    if (rows < 1 && parts > 1)
        return INFINITY;
    rows = MAX(rows, (int64_t)1);
    *ret = (struct chol_layout){.parts = parts, .columns = columns, .rows = rows};
    return chol_cost(blocks, parts, rows);
}

int chol_layout(const struct chol *c, struct chol_layout *ret, struct err *err)
{
    double least = INFINITY;
    int64_t blocks = chol_blocks(c);
    int64_t room = chol_room(c);
    struct chol_layout best = {.parts = 1, .columns = blocks, .rows = 1}; /* of nothing */
    if (room < 3) {
        (void)err_set(err, -EINVAL, "%llu bytes of memory do not hold three blocks",
                      (unsigned long long)c->memory);
        err_hint(err, "these blocks need --memory %llu or more",
                 (unsigned long long)chol_memory_min(c));
        return -EINVAL;
    }
    for (int64_t p = 1; p <= blocks && p * (p + 3) / 2 <= room; p++) {
        struct chol_layout x;
        double cost = chol_try(blocks, room, p, &x);
        if (cost < least) {
            least = cost;
            best = x;
        }
    }
    *ret = best;
    return 0;
}

uint64_t chol_bound(const struct chol *c)
{
    double n = (double)chol_order(c);
    double element = (double)c->a->header.dtype.size;
    double flow = n * n * n / (3 * sqrt(2) * sqrt((double)c->memory / element));
    return (uint64_t)(MAX(flow, n * (n + 1) / 2) * element);
}

struct run_traffic chol_numpywren(const struct chol *c)
{
    int64_t n = chol_blocks(c);
    int64_t solves = n * (n - 1) / 2;
    int64_t updates = n * (n - 1) / 2 * (n + 1) / 3;
    return (struct run_traffic){.reads = n + 2 * solves + 3 * updates,
                                .writes = n + solves + updates};
}

/* --- the loop nest --- */

/* One walk. Below, L(i, j) is a block of the factor, and C(i, j) one of the super-block's on its
 * way from A(i, j) to L(i, j). */
struct chol_walk {
    const struct chol *x;
    struct result *out;
    struct engine *e;
    struct source a;
    int64_t i0, i1;      /* the super-block's rows of blocks */
    int64_t j0, j1;      /* and columns */
    struct slot **c;     /* owned: its blocks, row by row; NULL: not yet begun */
    struct slot **panel; /* owned: L(j0 ... j1 - 1, k) */
};

static struct slot **chol_at(struct chol_walk *w, int64_t i, int64_t j)
{
    return &w->c[(i - w->i0) * (w->j1 - w->j0) + j - w->j0];
}

/* C(i, j): at first A(i, j); or L(i, j), when an earlier run has made it. */
static struct slot *chol_tile(struct chol_walk *w, int64_t i, int64_t j)
{
    const struct step_args shift = {.alpha = w->x->reg};
    int flags = ENGINE_ROWS | ENGINE_FINITE | (i == j ? ENGINE_LOWER : 0);
    struct slot **c = chol_at(w, i, j);
    if (*c)
        return *c;
    if (result_had(w->out, i, j)) {
        *c = engine_reload(w->e, w->out, i, j);
        return *c;
    }
    *c = engine_load(w->e, &w->a, i, j, flags);
    if (i == j && w->x->reg != 0)
        engine_step(w->e, &grain_shift, &shift, *c, NULL, NULL);
    return *c;
}

/* C(i, j) -= a b^H, where for i = j the two are one. */
static void chol_update(struct chol_walk *w, int64_t i, int64_t j, struct slot *a, struct slot *b)
{
    static const struct step_args minus = {.transa = 'n', .transb = 'c', .alpha = -1};
    if (result_had(w->out, i, j))
        return;
    if (i == j)
        engine_step(w->e, &grain_herk, &minus, chol_tile(w, i, j), a, NULL);
    else
        engine_step(w->e, &grain_update, &minus, chol_tile(w, i, j), a, b);
}

/* L(j, j) := the factor of C(j, j). */
static void chol_factor(struct chol_walk *w, int64_t j)
{
    const struct step_args at = {.matrix = w->x->a, .block = j, .row = j * chol_block(w->x)};
    if (result_had(w->out, j, j))
        return;
    engine_step(w->e, &grain_potrf, &at, chol_tile(w, j, j), NULL, NULL);
    engine_publish(w->e, w->out, j, j, *chol_at(w, j, j));
}

/* L(i, j) := C(i, j) L(j, j)^-H. */
static void chol_solve(struct chol_walk *w, int64_t i, int64_t j, struct slot *l)
{
    const struct step_args solve = {.side = 'r',
                                    .uplo = 'l',
                                    .transa = 'c',
                                    .diag = 'n',
                                    .matrix = w->x->a,
                                    .row = j * chol_block(w->x)};
    if (result_had(w->out, i, j))
        return;
    engine_step(w->e, &grain_trsm, &solve, chol_tile(w, i, j), l, NULL);
    engine_publish(w->e, w->out, i, j, *chol_at(w, i, j));
}

static bool chol_row_is_done(const struct chol_walk *w, int64_t i)
{
    bool done = true;
    for (int64_t j = w->j0; done && j < w->j1 && j <= i; j++)
        done = result_had(w->out, i, j);
    return done;
}

static bool chol_rows_are_done(const struct chol_walk *w)
{
    bool done = true;
    for (int64_t i = w->i0; done && i < w->i1; i++)
        done = chol_row_is_done(w, i);
    return done;
}

static void chol_drop_all(struct chol_walk *w)
{
    for (int64_t at = 0; at < (w->i1 - w->i0) * (w->j1 - w->j0); at++) {
        engine_drop(w->e, w->c[at]);
        w->c[at] = NULL;
    }
}

/* L(j, k) of the panel. Each is loaded when it is needed first, so that one update after the other
 * can follow on those of the last k, as they give memory back. */
static struct slot *chol_panel(struct chol_walk *w, int64_t j, int64_t k)
{
    struct slot **l = &w->panel[j - w->j0];
    if (!*l)
        *l = engine_reload(w->e, w->out, j, k);
    return *l;
}

static void chol_drop_panel(struct chol_walk *w)
{
    for (int64_t j = w->j0; j < w->j1; j++) {
        engine_drop(w->e, w->panel[j - w->j0]);
        w->panel[j - w->j0] = NULL;
    }
}

/* The super-block on the diagonal: rows and columns j0 ... j1 - 1. */
static void chol_diagonal(struct chol_walk *w)
{
    for (int64_t k = 0; k < w->j0; k++) {
        for (int64_t i = w->i0; i < w->i1; i++) {
            for (int64_t j = w->j0; j <= i; j++) {
                if (!result_had(w->out, i, j))
                    chol_update(w, i, j, chol_panel(w, i, k), chol_panel(w, j, k));
            }
        }
        chol_drop_panel(w);
    }
    for (int64_t j = w->j0; j < w->j1; j++) {
        for (int64_t i = j; i < w->i1; i++) {
            for (int64_t k = w->j0; k < j; k++)
                chol_update(w, i, j, chol_tile(w, i, k), chol_tile(w, j, k));
            if (i == j)
                chol_factor(w, j);
            else
                chol_solve(w, i, j, chol_tile(w, j, j));
        }
    }
}

/* Solves with the triangle L(j0 ... j1 - 1, j0 ... j1 - 1), block by block. */
static void chol_solve_below(struct chol_walk *w)
{
    for (int64_t j = w->j0; j < w->j1; j++) {
        for (int64_t k = w->j0; k <= j; k++) {
            struct slot *l = engine_reload(w->e, w->out, j, k);
            for (int64_t i = w->i0; i < w->i1; i++) {
                if (chol_row_is_done(w, i))
                    continue;
                if (k < j)
                    chol_update(w, i, j, chol_tile(w, i, k), l);
                else
                    chol_solve(w, i, j, l);
            }
            engine_drop(w->e, l);
        }
    }
}

/* A super-block below the diagonal. */
static void chol_below(struct chol_walk *w)
{
    for (int64_t k = 0; k < w->j0; k++) {
        for (int64_t i = w->i0; i < w->i1; i++) {
            struct slot *l = chol_row_is_done(w, i) ? NULL : engine_reload(w->e, w->out, i, k);
            for (int64_t j = w->j0; j < w->j1; j++) {
                if (!result_had(w->out, i, j))
                    chol_update(w, i, j, l, chol_panel(w, j, k));
            }
            engine_drop(w->e, l);
        }
        chol_drop_panel(w);
    }
    chol_solve_below(w);
}

static void chol_task(struct chol_walk *w, int64_t i0, int64_t i1)
{
    w->i0 = i0;
    w->i1 = i1;
    if (chol_rows_are_done(w) || !engine_goes_on(w->e))
        return;
    engine_task(w->e);
    if (i0 == w->j0)
        chol_diagonal(w);
    else
        chol_below(w);
    chol_drop_all(w);
}

static void chol_tasks(struct chol_walk *w, int64_t blocks, const struct chol_layout *l)
{
    for (int64_t p = 0; p < l->parts; p++) {
        w->j0 = run_part(blocks, l->parts, p);
        w->j1 = run_part(blocks, l->parts, p + 1);
        chol_task(w, w->j0, w->j1);
        int64_t below = blocks - w->j1;
        int64_t tasks = run_ceil(below, l->rows);
        for (int64_t t = 0; t < tasks; t++)
            chol_task(w, w->j1 + run_part(below, tasks, t), w->j1 + run_part(below, tasks, t + 1));
    }
}

static void chol_walk(const void *x, struct result *out, struct engine *e)
{
    const struct chol *c = x;
    struct chol_layout l;
    struct chol_walk w = {
        .x = c, .out = out, .e = e, .a = {.m = c->a, .turned = c->upper, .stamps = c->stamps}};
    if (chol_layout(c, &l, NULL) < 0)
        return; /* the caller has asked before */
    size_t columns = (size_t)l.columns;
    w.c = calloc(columns * MAX(columns, (size_t)l.rows) + 1, sizeof(struct slot *));
    w.panel = calloc(columns + 1, sizeof(struct slot *));
    if (w.c && w.panel)
        chol_tasks(&w, chol_blocks(c), &l);
    else
        engine_stop(e, -ENOMEM, "out of memory");
    free(w.c);
    free(w.panel);
}

struct run_algorithm chol_algorithm(const struct chol *c)
{
    return (struct run_algorithm){
        .walk = chol_walk, .x = c, .turned = c->upper, .ordered = true, .finite = true};
}
