#include "ops/logdet.h"

#include "ops/block.h"
#include "ops/kernel.h"

#include <errno.h>
#include <math.h>

static int logdet_check(const struct matdir *l, struct err *err)
{
    const struct grid *g = &l->header.grid;
    if (g->ndim != 2 || g->shape[0] != g->shape[1])
        return err_set(err, -EINVAL, "%s: not square", l->path);
    if (MIN(g->shard[0], g->shape[0]) != MIN(g->shard[1], g->shape[1]))
        return err_set(err, -EINVAL, "%s: its blocks are not square", l->path);
    if (!dtype_blas(element_native(l->header.dtype)))
        return err_set(err, -EINVAL, "%s: type %s; factors are of floats or complex numbers",
                       l->path, dtype_name(l->header.dtype));
    if (matdir_triangle(l))
        return 0;
    (void)err_set(err, -EINVAL, "%s: not a factor: its header does not say \"triangular\"",
                  l->path);
    err_hint(err, "bm chol makes the factor of a positive definite matrix");
    return -EINVAL;
}

/* Adds the logarithms of a diagonal block. */
static int logdet_block(const struct matdir *l, int64_t block, struct tile t, long double *sum,
                        struct err *err)
{
    long long first = (long long)grid_block_start(&l->header.grid, 0, block);
    for (int i = 0; i < t.m; i++) {
        double d = kernel_real(t, i, i);
        if (!(d > 0) || !isfinite(d))
            return err_set(err, -EDOM, "%s: not a factor: element (%lld, %lld) is %.6g", l->path,
                           first + i, first + i, d);
        *sum += logl((long double)d);
    }
    return 0;
}

int logdet_run(const struct matdir *l, double *ret, struct err *err)
{
    long double sum = 0;
    int r = logdet_check(l, err);
    if (r < 0)
        return r;
    CLEANUP(freep) void *block = block_alloc(l, block_elements_max(l), err);
    if (!block)
        return -ENOMEM;
    watch_steps(l->watch, grid_axis_blocks(&l->header.grid, 0));
    for (int64_t i = 0; r == 0 && i < grid_axis_blocks(&l->header.grid, 0); i++) {
        int n = (int)grid_block_extent(&l->header.grid, 0, i);
        struct tile t = {.a = block,
                         .m = n,
                         .n = n,
                         .ld = n,
                         .type = dtype_blas(element_native(l->header.dtype))};
        r = block_load(l, (const int64_t[]){i, i}, block, &t.fortran, err);
        if (r == 0)
            r = logdet_block(l, i, t, &sum, err);
        watch_done(l->watch, 1);
    }
    *ret = (double)(2 * sum);
    return r;
}
