#include "ops/add.h"

#include "ops/block.h"
#include "ops/derive.h"
#include "ops/inventory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- checks --- */

static char add_type(const struct matdir *m)
{
    return dtype_blas(element_native(m->header.dtype));
}

static int add_check_one(const struct matdir *m, struct err *err)
{
    if (add_type(m))
        return 0;
    return err_set(err, -EINVAL,
                   "%s: type %s; this is for float32, float64, complex64 and complex128", m->path,
                   dtype_name(m->header.dtype));
}

/* The size of the blocks. One that is longer than the matrix is as good as one that fits. */
static int64_t add_shard(const struct grid *g, int axis)
{
    return MIN(g->shard[axis], MAX(g->shape[axis], (int64_t)1));
}

static int add_check_blocks(const struct matdir *a, const struct matdir *b, struct err *err)
{
    const struct grid *g = &a->header.grid;
    char sizes[21 * GRID_NDIM_MAX];
    size_t at = 0;
    bool same = true;
    for (int k = 0; k < g->ndim; k++) {
        same = same && add_shard(g, k) == add_shard(&b->header.grid, k);
        at += (size_t)snprintf(sizes + at, sizeof(sizes) - at, "%s%lld", k > 0 ? "x" : "",
                               (long long)add_shard(g, k));
    }
    if (same)
        return 0;
    (void)err_set(err, -EINVAL, "%s: it is cut into other blocks than %s", b->path, a->path);
    err_hint(err, "bm reblock %s NEW --block %s makes one that fits", b->path, sizes);
    return -EINVAL;
}

static int add_check_two(const struct matdir *a, const struct matdir *b, struct err *err)
{
    const struct grid *g = &a->header.grid;
    const struct grid *h = &b->header.grid;
    if (g->ndim != h->ndim)
        return err_set(err, -EINVAL, "%s: %d axes, where %s has %d", b->path, h->ndim, a->path,
                       g->ndim);
    for (int k = 0; k < g->ndim; k++) {
        if (g->shape[k] != h->shape[k])
            return err_set(err, -EINVAL, "%s: shapes differ: axis %d is %lld, in %s %lld", b->path,
                           k, (long long)h->shape[k], a->path, (long long)g->shape[k]);
    }
    if (add_type(a) != add_type(b))
        return err_set(err, -EINVAL, "%s: types differ: %s is %s, %s is %s", b->path, a->path,
                       dtype_name(a->header.dtype), b->path, dtype_name(b->header.dtype));
    return add_check_blocks(a, b, err);
}

static int add_check(const struct add *x, struct err *err)
{
    int r = add_check_one(x->a, err);
    if (r == 0 && x->b)
        r = add_check_one(x->b, err);
    if (r == 0 && x->b)
        r = add_check_two(x->a, x->b, err);
    bool real = r == 0 && x->a->header.dtype.kind == 'f';
    if (real && (cimag(x->alpha) != 0 || cimag(x->beta) != 0))
        r = err_set(err, -EINVAL, "%s: a complex factor, where the type is %s", x->a->path,
                    dtype_name(x->a->header.dtype));
    return r;
}

/* --- the terms --- */

/* What is read: the operands whose factor is not 0. */
struct add_terms {
    int count;
    const struct matdir *m[2];
    double complex factor[2];
};

static struct add_terms add_terms(const struct add *x)
{
    struct add_terms t = {0};
    if (x->alpha != 0) {
        t.m[t.count] = x->a;
        t.factor[t.count++] = x->alpha;
    }
    if (x->b && x->beta != 0) {
        t.m[t.count] = x->b;
        t.factor[t.count++] = x->beta;
    }
    return t;
}

/* x := p x + q y; y may be NULL. */
static void add_line_single(double p, double q, float *x, const float *y, size_t n)
{
    for (size_t i = 0; !y && i < n; i++)
        x[i] = (float)(p * (double)x[i]);
    for (size_t i = 0; y && i < n; i++)
        x[i] = (float)(p * (double)x[i] + q * (double)y[i]);
}

static void add_line_double(double p, double q, double *x, const double *y, size_t n)
{
    for (size_t i = 0; !y && i < n; i++)
        x[i] = p * x[i];
    for (size_t i = 0; y && i < n; i++)
        x[i] = p * x[i] + q * y[i];
}

/* A real factor multiplies the parts by themselves: 2 (inf + 0i) is inf + 0i. */
static double complex add_product(double complex p, double complex v)
{
    return cimag(p) == 0 ? __builtin_complex(creal(p) * creal(v), creal(p) * cimag(v)) : p * v;
}

static void add_line_complex(const double complex factor[2], bool single, void *dst,
                             const void *other, size_t n)
{
    float complex *c = dst;
    double complex *z = dst;
    const float complex *cy = other;
    const double complex *zy = other;
    for (size_t i = 0; i < n; i++) {
        double complex v = add_product(factor[0], single ? (double complex)c[i] : z[i]);
        if (other)
            v += add_product(factor[1], single ? (double complex)cy[i] : zy[i]);
        if (single)
            c[i] = (float complex)v;
        else
            z[i] = v;
    }
}

/* `n` elements: dst := factor[0] dst + factor[1] other. Without `other` the first alone. */
static void add_line(char type, const double complex factor[2], void *dst, const void *other,
                     size_t n)
{
    bool single = type == 's' || type == 'c';
    bool parts = type == 'c' || type == 'z';
    if (parts && (cimag(factor[0]) != 0 || cimag(factor[1]) != 0))
        add_line_complex(factor, single, dst, other, n);
    else if (single)
        add_line_single(creal(factor[0]), creal(factor[1]), dst, other, parts ? 2 * n : n);
    else
        add_line_double(creal(factor[0]), creal(factor[1]), dst, other, parts ? 2 * n : n);
}

/* --- what C is --- */

/* Where all operands have a fill value, C has one. */
static int add_fields(const struct add *x, struct header *c, struct err *err)
{
    const struct add_terms t = add_terms(x);
    _Alignas(ELEMENT_SIZE_MAX) unsigned char fill[2][ELEMENT_SIZE_MAX] = {{0}};
    enum derive_triangle triangle = t.count > 0 ? derive_triangle(&t.m[0]->header) : DERIVE_NONE;
    if (t.count == 0 || !t.m[0]->has_fill || (t.count == 2 && !t.m[1]->has_fill))
        return 0;
    for (int k = 0; k < t.count; k++)
        memcpy(fill[k], t.m[k]->fill, sizeof(fill[k]));
    add_line(add_type(x->a), t.factor, fill[0], t.count == 2 ? fill[1] : NULL, 1);
    if (t.count == 2 && derive_triangle(&t.m[1]->header) != triangle)
        triangle = DERIVE_NONE;
    int r = derive_set_triangle(c, triangle, err);
    return r < 0 ? r : derive_set_fill(c, fill[0], err);
}

int add_plan(const struct add *x, struct header *ret_c, struct err *err)
{
    int r = add_check(x, err);
    if (r < 0)
        return r;
    struct header c = {.grid = x->a->header.grid, .dtype = element_native(x->a->header.dtype)};
    r = add_fields(x, &c, err);
    if (r < 0)
        header_fini(&c);
    else
        *ret_c = c;
    return r;
}

int add_check_inputs(const struct add *x, struct err *err)
{
    const struct add_terms t = add_terms(x);
    int r = 0;
    for (int k = 0; r == 0 && k < t.count; k++)
        r = inventory_check_whole(t.m[k], err);
    return r;
}

/* --- the sum --- */

struct add_job {
    struct add_terms t;
    const struct matdir *c;
    void *block[2]; /* owned: a block of each term */
};

static void add_job_fini(struct add_job *job)
{
    free(job->block[0]);
    free(job->block[1]);
}

/* 1; or 0 when the block is missing and a fill value stands for it, which is then in memory. */
static int add_load(const struct add_job *job, int k, const int64_t *index, struct err *err)
{
    const struct matdir *m = job->t.m[k];
    int r = block_load_rows_if_there(m, index, job->block[k], err);
    if (r == 0)
        element_fill(m->header.dtype, m->fill, (size_t)grid_block_elements(&m->header.grid, index),
                     job->block[k]);
    return r;
}

static int add_block(const struct add_job *job, const int64_t *index, struct err *err)
{
    size_t n = (size_t)grid_block_elements(&job->c->header.grid, index);
    int there = job->t.count == 0;
    for (int k = 0; k < job->t.count; k++) {
        int r = add_load(job, k, index, err);
        if (r < 0)
            return r;
        there += r;
    }
    if (there == 0 && job->c->has_fill)
        return 0;
    if (job->t.count == 0)
        memset(job->block[0], 0, n * job->c->header.dtype.size);
    else
        add_line(add_type(job->c), job->t.factor, job->block[0], job->block[1], n);
    return block_store(job->c, index, job->block[0], err);
}

int add_run(const struct add *x, const struct matdir *c, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &c->header.grid;
    CLEANUP(add_job_fini) struct add_job job = {.t = add_terms(x), .c = c};
    int r = 0;
    for (int k = 0; r == 0 && k < MAX(job.t.count, 1); k++) {
        job.block[k] = block_alloc(c, block_elements_max(c), err);
        r = job.block[k] ? 0 : -ENOMEM;
    }
    watch_steps(c->watch, grid_blocks(g));
    for (bool more = grid_first(g, index); r == 0 && more; more = grid_next(g, index)) {
        r = add_block(&job, index, err);
        watch_done(c->watch, 1);
    }
    return r < 0 ? r : matdir_sync(c, err);
}
