#include "ops/norm.h"

#include "ops/block.h"
#include "ops/box.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

_Static_assert(LDBL_MAX_EXP > 2 * DBL_MAX_EXP + 64, "sums of squares must fit a long double");

enum { NORM_RUN = 256 }; /* elements widened at a time */

int norm_check(const struct matdir *m, enum norm_kind kind, struct err *err)
{
    bool lines = kind == NORM_ONE || kind == NORM_INF;
    if (!lines || m->header.grid.ndim <= 2)
        return 0;
    return err_set(err, -EINVAL, "%s: %d axes, where this norm needs rows and columns", m->path,
                   m->header.grid.ndim);
}

/* NaN wins, unlike with fmax(). */
static long double norm_max(long double a, long double b)
{
    return a > b || isnan(a) ? a : b;
}

/* |x| of n elements, or with `square` |x|^2. */
static void norm_widen(struct dtype t, const char *src, size_t n, bool square, long double *dst)
{
    long double part[2 * NORM_RUN];
    bool pairs = t.kind == 'c';
    element_widen(t, src, n, pairs ? 2 : 1, part);
    for (size_t i = 0; i < n; i++) {
        if (pairs)
            dst[i] = part[2 * i] * part[2 * i] + part[2 * i + 1] * part[2 * i + 1];
        else
            dst[i] = square ? part[i] * part[i] : fabsl(part[i]);
        if (pairs && !square)
            dst[i] = sqrtl(dst[i]);
    }
}

/* One line of a block, row by row: into `total`, or with `sums` each element into its column's. */
static void norm_line(struct dtype t, enum norm_kind kind, const char *src, size_t n,
                      long double *total, long double *sums)
{
    long double value[NORM_RUN];
    for (size_t i = 0; i < n; i += NORM_RUN) {
        size_t run = MIN(n - i, (size_t)NORM_RUN);
        long double sum = 0; /* of short sums: a long one rounds away more */
        norm_widen(t, src + i * t.size, run, kind == NORM_FRO, value);
        for (size_t k = 0; k < run; k++) {
            if (sums)
                sums[i + k] += value[k];
            else if (kind == NORM_MAX)
                *total = norm_max(*total, value[k]);
            else
                sum += value[k];
        }
        *total += sum;
    }
}

/* All elements of the blocks in any order: NORM_FRO (without its root) and NORM_MAX. */
static int norm_all(const struct matdir *m, enum norm_kind kind, void *block, long double *ret,
                    struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    bool fortran = false;
    const struct grid *g = &m->header.grid;
    for (bool more = grid_first(g, index); more; more = grid_next(g, index)) {
        long double part = 0;
        int r = block_load(m, index, block, &fortran, err);
        if (r < 0)
            return r;
        norm_line(m->header.dtype, kind, block, (size_t)grid_block_elements(g, index), &part, NULL);
        *ret = kind == NORM_MAX ? norm_max(*ret, part) : *ret + part;
        watch_done(m->watch, 1);
    }
    return 0;
}

/* Adds a block, in memory row by row, to the sums of its rows or columns. */
static void norm_add_block(const struct matdir *m, enum norm_kind kind, const int64_t *index,
                           const char *block, long double *sums)
{
    const struct grid *g = &m->header.grid;
    struct dtype t = m->header.dtype;
    int64_t rows = grid_block_extent(g, 0, index[0]);
    int64_t columns = g->ndim == 2 ? grid_block_extent(g, 1, index[1]) : 1;
    for (int64_t i = 0; i < rows; i++) {
        long double *at = kind == NORM_INF ? &sums[i] : NULL;
        long double none = 0;
        norm_line(t, kind, block + (size_t)(i * columns) * t.size, (size_t)columns, at ? at : &none,
                  at ? NULL : sums);
    }
}

/* The largest sum of the lines that cross the blocks of line `line`: rows of blocks for NORM_INF,
 * columns of them for NORM_ONE. */
static int norm_block_line(const struct matdir *m, enum norm_kind kind, int64_t line, char *block,
                           long double *sums, long double *ret, struct err *err)
{
    const struct grid *g = &m->header.grid;
    int along = kind == NORM_INF ? 1 : 0; /* the axis that is summed */
    int64_t blocks = along < g->ndim ? grid_axis_blocks(g, along) : 1;
    int64_t n = along == 0 && g->ndim == 1 ? 1 : grid_block_extent(g, 1 - along, line);
    for (int64_t k = 0; k < n; k++)
        sums[k] = 0;
    for (int64_t k = 0; k < blocks; k++) {
        const int64_t index[2] = {along == 0 ? k : line, along == 0 ? line : k};
        int r = block_load_rows(m, index, block, err);
        if (r < 0)
            return r;
        norm_add_block(m, kind, index, block, sums);
        watch_done(m->watch, 1);
    }
    for (int64_t k = 0; k < n; k++)
        *ret = norm_max(*ret, sums[k]);
    return 0;
}

static int norm_lines(const struct matdir *m, enum norm_kind kind, void *block, long double *ret,
                      struct err *err)
{
    const struct grid *g = &m->header.grid;
    int across = kind == NORM_INF ? 0 : 1;
    bool vector = across >= g->ndim; /* one column */
    int64_t lines = vector ? 1 : grid_axis_blocks(g, across);
    int64_t n = vector ? 1 : MIN(g->shard[across], g->shape[across]);
    CLEANUP(freep) long double *sums = calloc((size_t)MAX(n, (int64_t)1), sizeof(*sums));
    if (!sums)
        return err_set(err, -ENOMEM, "%s: no memory for the sums of %lld lines", m->path,
                       (long long)n);
    int r = 0;
    for (int64_t k = 0; r == 0 && k < lines; k++)
        r = norm_block_line(m, kind, k, block, sums, ret, err);
    return r;
}

int norm_run(const struct matdir *m, enum norm_kind kind, long double *ret, struct err *err)
{
    *ret = 0;
    int r = norm_check(m, kind, err);
    watch_steps(m->watch, grid_blocks(&m->header.grid));
    if (r < 0 || grid_elements(&m->header.grid) == 0)
        return r;
    CLEANUP(freep) void *block = block_alloc(m, block_elements_max(m), err);
    if (!block)
        return -ENOMEM;
    if (kind == NORM_FRO || kind == NORM_MAX)
        r = norm_all(m, kind, block, ret, err);
    else
        r = norm_lines(m, kind, block, ret, err);
    if (kind == NORM_FRO)
        *ret = sqrtl(*ret);
    return r;
}

/* --- the trace --- */

int norm_trace_check(const struct matdir *m, struct err *err)
{
    const struct grid *g = &m->header.grid;
    if (g->ndim != 2)
        return err_set(err, -EINVAL, "%s: %d axes, where a trace needs 2", m->path, g->ndim);
    if (g->shape[0] != g->shape[1])
        return err_set(err, -EINVAL, "%s: it is %lldx%lld, where a trace needs a square matrix",
                       m->path, (long long)g->shape[0], (long long)g->shape[1]);
    return 0;
}

/* A square of a block around the diagonal: elements first ... first + n - 1 of both axes. */
struct norm_square {
    int64_t index[2];
    int64_t first, n;
};

/* The square that starts at `first`; it ends where one of the two blocks around it does. */
static struct norm_square norm_square(const struct grid *g, int64_t first)
{
    struct norm_square s = {.first = first, .n = g->shape[0] - first};
    for (int a = 0; a < 2; a++) {
        s.index[a] = first / g->shard[a];
        int64_t end = grid_block_start(g, a, s.index[a]) + grid_block_extent(g, a, s.index[a]);
        s.n = MIN(s.n, end - first);
    }
    return s;
}

/* Reads a square into memory, row by row. */
static int norm_read_square(const struct matdir *m, const struct norm_square *s,
                            void *const memory[2], struct err *err)
{
    const struct grid *g = &m->header.grid;
    size_t element = m->header.dtype.size;
    const int64_t extent[2] = {s->n, s->n};
    int64_t start[2];
    int64_t stride[2];
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    for (int a = 0; a < 2; a++)
        start[a] = s->first - grid_block_start(g, a, s->index[a]);
    box_strides(2, extent, element, false, stride);
    int r = block_open_if_there(m, s->index, &b, err);
    if (r == 0)
        element_fill(m->header.dtype, m->fill, (size_t)(s->n * s->n), memory[0]);
    const struct block_box box = {
        .start = start, .extent = extent, .dst = memory[0], .stride = stride, .bounce = memory[1]};
    return r <= 0 ? r : block_read_box(&b, &box, err);
}

int norm_trace(const struct matdir *m, struct number *ret, struct err *err)
{
    const struct grid *g = &m->header.grid;
    struct dtype t = m->header.dtype;
    int r = norm_trace_check(m, err);
    *ret = (struct number){0};
    if (r < 0 || g->shape[0] == 0)
        return r;
    watch_steps(m->watch, g->shape[0]);
    CLEANUP(freep) char *square = block_alloc(m, block_elements_max(m), err);
    CLEANUP(freep) void *bounce = square ? block_alloc(m, block_elements_max(m), err) : NULL;
    if (!bounce)
        return -ENOMEM;
    for (int64_t first = 0; first < g->shape[0];) {
        struct norm_square s = norm_square(g, first);
        r = norm_read_square(m, &s, (void *const[2]){square, bounce}, err);
        for (int64_t i = 0; r == 0 && i < s.n; i++) {
            long double part[2];
            element_widen(t, square + (size_t)(i * s.n + i) * t.size, 1, 2, part);
            ret->re += part[0];
            ret->im += part[1];
        }
        if (r < 0)
            return r;
        watch_done(m->watch, s.n);
        first += s.n;
    }
    return 0;
}
