#include "ops/diff.h"

#include "ops/block.h"
#include "ops/box.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { DIFF_RUN = 256 }; /* elements widened at a time */

static bool diff_is_float(struct dtype t)
{
    return t.kind == 'f' || t.kind == 'c';
}

int diff_check(const struct matdir *a, const struct matdir *b, struct err *err)
{
    const struct grid *g = &a->header.grid;
    const struct grid *h = &b->header.grid;
    struct dtype s = a->header.dtype;
    struct dtype t = b->header.dtype;
    if (g->ndim != h->ndim)
        return err_set(err, -EINVAL, "%s: %d axes, where %s has %d", b->path, h->ndim, a->path,
                       g->ndim);
    for (int k = 0; k < g->ndim; k++) {
        if (g->shape[k] != h->shape[k])
            return err_set(err, -EINVAL, "%s: shapes differ: axis %d is %lld, in %s %lld", b->path,
                           k, (long long)h->shape[k], a->path, (long long)g->shape[k]);
    }
    if ((s.kind != t.kind || s.size != t.size) && !(diff_is_float(s) && diff_is_float(t)))
        return err_set(err, -EINVAL, "%s: type %s cannot be compared with %s of %s", b->path,
                       dtype_name(t), dtype_name(s), a->path);
    return 0;
}

/* One of the two, with its block in memory. */
struct diff_side {
    const struct matdir *m;
    char *block;    /* owned; last index fastest */
    int64_t rank;   /* of the block in `block`, or -1 */
    bool has_block; /* false: it is missing */
    int64_t index[GRID_NDIM_MAX];
    int64_t start[GRID_NDIM_MAX];  /* of the block in the matrix */
    int64_t stride[GRID_NDIM_MAX]; /* bytes */
};

static void diff_side_fini(struct diff_side *s)
{
    freep(&s->block);
}

static int diff_side_init(struct diff_side *s, const struct matdir *m, struct err *err)
{
    *s = (struct diff_side){.m = m, .rank = -1};
    s->block = block_alloc(m, block_elements_max(m), err);
    return s->block ? 0 : -ENOMEM;
}

static int diff_side_load(struct diff_side *s, const int64_t *index, struct err *err)
{
    const struct grid *g = &s->m->header.grid;
    int64_t extent[GRID_NDIM_MAX];
    int64_t rank = grid_rank(g, index);
    if (rank == s->rank)
        return 0;
    s->rank = -1;
    int r = block_load_rows(s->m, index, s->block, err);
    if (r < 0 && (r != -ENOENT || block_is_misnamed(s->m, index, NULL)))
        return r; /* with the hint */
    s->has_block = r == 0;
    s->rank = rank;
    for (int a = 0; a < g->ndim; a++) {
        s->index[a] = index[a];
        s->start[a] = grid_block_start(g, a, index[a]);
        extent[a] = grid_block_extent(g, a, index[a]);
    }
    box_strides(g->ndim, extent, s->m->header.dtype.size, false, s->stride);
    return 0;
}

/* A comparison under way. */
struct diff_job {
    const struct diff *d;
    struct diff_side a, b;
    int parts; /* numbers of an element: 1, or 2 when either is complex */
    struct diff_result *result;
};

/* |x - y| of one pair of real numbers; 0 for equal infinities and, if wanted, for NaNs. */
static long double diff_part_error(long double x, long double y, bool equal_nan)
{
    if (x == y || (equal_nan && isnan(x) && isnan(y)))
        return 0;
    long double error = fabsl(x - y);
    return isnan(error) ? HUGE_VALL : error;
}

static long double diff_abs(const long double *v, int parts)
{
    return parts == 1 ? fabsl(v[0]) : hypotl(v[0], v[1]);
}

/* The same, without the part that is equal where the other one differs: what is infinite or NaN in
 * both must neither hide nor magnify the rest. */
static long double diff_abs_of(const long double *v, const long double *error, int parts)
{
    if (parts == 2 && !isfinite(v[0]) && error[0] == 0)
        return fabsl(v[1]);
    if (parts == 2 && !isfinite(v[1]) && error[1] == 0)
        return fabsl(v[0]);
    return diff_abs(v, parts);
}

/* Compares one pair; true when it differs. Errors, also tolerated ones, are noted in *at. */
static bool diff_pair(const struct diff_job *job, const long double *x, const long double *y,
                      struct diff_at *at)
{
    long double error[2] = {0, 0};
    for (int k = 0; k < job->parts; k++)
        error[k] = diff_part_error(x[k], y[k], job->d->equal_nan);
    at->abs_error = diff_abs(error, job->parts);
    if (at->abs_error == 0) {
        at->rel_error = 0;
        return false;
    }
    long double abs_a = diff_abs_of(x, error, job->parts);
    long double abs_b = diff_abs_of(y, error, job->parts);
    at->rel_error = isinf(at->abs_error) ? HUGE_VALL : at->abs_error / MAX(abs_a, abs_b);
    /* An infinite |b| must not make its tolerance cover everything. */
    return isinf(at->abs_error) ||
           at->abs_error > (long double)job->d->atol + (long double)job->d->rtol * abs_b;
}

static void diff_note(struct diff_job *job, struct diff_at *at, const long double *x,
                      const long double *y, const int64_t *index)
{
    struct diff_result *r = job->result;
    int ndim = job->a.m->header.grid.ndim;
    bool first = r->different++ == 0;
    if (!first && !(at->abs_error > r->worst.abs_error))
        return;
    memcpy(at->index, index, sizeof(*index) * (size_t)ndim);
    at->a = (struct number){x[0], job->parts == 2 ? x[1] : 0};
    at->b = (struct number){y[0], job->parts == 2 ? y[1] : 0};
    r->worst = *at;
    if (first)
        r->first = *at;
}

/* Compares `n` elements along the last axis; `index` is the first one's, and is advanced. */
static void diff_run_pairs(struct diff_job *job, const char *x, const char *y, size_t n,
                           int64_t *index)
{
    long double wide_x[2 * DIFF_RUN];
    long double wide_y[2 * DIFF_RUN];
    struct diff_at at;
    struct diff_result *r = job->result;
    size_t parts = (size_t)job->parts;
    int last = job->a.m->header.grid.ndim - 1;
    element_widen(job->a.m->header.dtype, x, n, job->parts, wide_x);
    element_widen(job->b.m->header.dtype, y, n, job->parts, wide_y);
    for (size_t i = 0; i < n; i++, index[last]++) {
        bool differs = diff_pair(job, wide_x + parts * i, wide_y + parts * i, &at);
        r->max_abs = MAX(r->max_abs, at.abs_error);
        r->max_rel = MAX(r->max_rel, at.rel_error);
        if (differs)
            diff_note(job, &at, wide_x + parts * i, wide_y + parts * i, index);
    }
}

/* A line along the last axis. Equal bytes need no closer look, unless they may be NaN. */
static void diff_line(struct diff_job *job, const char *x, const char *y, size_t n,
                      const int64_t *index)
{
    struct dtype s = element_native(job->a.m->header.dtype);
    struct dtype t = element_native(job->b.m->header.dtype);
    int64_t at[GRID_NDIM_MAX];
    memcpy(at, index, sizeof(at));
    if (dtype_equal(s, t) && memcmp(x, y, n * s.size) == 0 &&
        (job->d->equal_nan || !element_has_nan(s, x, n)))
        return;
    for (size_t i = 0; i < n; i += DIFF_RUN)
        diff_run_pairs(job, x + i * s.size, y + i * t.size, MIN(n - i, (size_t)DIFF_RUN), at);
}

/* What the two loaded blocks have in common. */
static void diff_overlap(struct diff_job *job)
{
    const struct grid *g = &job->a.m->header.grid;
    const struct grid *h = &job->b.m->header.grid;
    struct diff_result *r = job->result;
    int64_t start[GRID_NDIM_MAX];
    int64_t extent[GRID_NDIM_MAX];
    int64_t at[GRID_NDIM_MAX] = {0};
    int64_t in_a[GRID_NDIM_MAX];
    int64_t in_b[GRID_NDIM_MAX];
    int64_t index[GRID_NDIM_MAX];
    int64_t elements = 1;
    for (int k = 0; k < g->ndim; k++) {
        int64_t end_a = job->a.start[k] + grid_block_extent(g, k, job->a.index[k]);
        int64_t end_b = job->b.start[k] + grid_block_extent(h, k, job->b.index[k]);
        start[k] = MAX(job->a.start[k], job->b.start[k]);
        extent[k] = MIN(end_a, end_b) - start[k];
        in_a[k] = start[k] - job->a.start[k];
        in_b[k] = start[k] - job->b.start[k];
        elements *= extent[k];
    }
    r->only_a += job->a.has_block && !job->b.has_block ? elements : 0;
    r->only_b += job->b.has_block && !job->a.has_block ? elements : 0;
    r->neither += !job->a.has_block && !job->b.has_block ? elements : 0;
    if (!job->a.has_block || !job->b.has_block)
        return;
    r->compared += elements;
    const char *x = job->a.block + box_offset(g->ndim, in_a, job->a.stride);
    const char *y = job->b.block + box_offset(g->ndim, in_b, job->b.stride);
    do {
        for (int k = 0; k < g->ndim; k++)
            index[k] = start[k] + at[k];
        diff_line(job, x + box_offset(g->ndim, at, job->a.stride),
                  y + box_offset(g->ndim, at, job->b.stride), (size_t)extent[g->ndim - 1], index);
    } while (box_next_line(g->ndim, extent, at));
}

/* All blocks of b that one block of a touches: a box of the grid of b. */
static int diff_block(struct diff_job *job, const int64_t *index, struct err *err)
{
    const struct grid *g = &job->a.m->header.grid;
    const struct grid *h = &job->b.m->header.grid;
    int64_t low[GRID_NDIM_MAX];
    int64_t other[GRID_NDIM_MAX];
    struct grid touched = {.ndim = h->ndim}; /* a grid of blocks of one element */
    int r = diff_side_load(&job->a, index, err);
    for (int k = 0; k < g->ndim; k++) {
        int64_t end = grid_block_start(g, k, index[k]) + grid_block_extent(g, k, index[k]);
        low[k] = grid_block_start(g, k, index[k]) / h->shard[k];
        touched.shape[k] = (end - 1) / h->shard[k] + 1 - low[k];
        touched.shard[k] = 1;
    }
    int64_t at[GRID_NDIM_MAX];
    for (bool more = grid_first(&touched, at); r == 0 && more; more = grid_next(&touched, at)) {
        for (int k = 0; k < g->ndim; k++)
            other[k] = low[k] + at[k];
        r = diff_side_load(&job->b, other, err);
        if (r == 0)
            diff_overlap(job);
    }
    return r;
}

static int diff_blocks(struct diff_job *job, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &job->a.m->header.grid;
    int r = 0;
    watch_steps(job->a.m->watch, grid_blocks(g));
    for (bool more = grid_first(g, index); r == 0 && more; more = grid_next(g, index)) {
        r = diff_block(job, index, err);
        watch_done(job->a.m->watch, 1);
    }
    return r;
}

int diff_run(const struct matdir *a, const struct matdir *b, const struct diff *d,
             struct diff_result *ret, struct err *err)
{
    struct diff_job job = {.d = d, .parts = 1, .result = ret};
    *ret = (struct diff_result){0};
    int r = diff_check(a, b, err);
    if (a->header.dtype.kind == 'c' || b->header.dtype.kind == 'c')
        job.parts = 2;
    if (r == 0)
        r = diff_side_init(&job.a, a, err);
    if (r == 0)
        r = diff_side_init(&job.b, b, err);
    if (r == 0)
        r = diff_blocks(&job, err);
    diff_side_fini(&job.a);
    diff_side_fini(&job.b);
    return r;
}
