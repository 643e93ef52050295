#include "ops/hermitian.h"

#include "ops/kernel.h"

#include <errno.h>
#include <math.h>

enum {
    HERMITIAN_STRIP = 128, /* rows of a piece */
    HERMITIAN_PATCH = 32,  /* rows and columns: both sides of the diagonal stay in a cache */
};

/* What rounding may make of two elements that are each other's conjugates: products that were
 * summed in another order differ by a few units in the last place of the largest terms. */
static double hermitian_tolerance(struct tile t)
{
    double largest = 0;
    double eps = t.type == 's' || t.type == 'c' ? 0x1p-23 : 0x1p-52;
    for (int i = 0; i < t.m; i++)
        largest = fmax(largest, fabs(kernel_real(t, i, i)));
    return sqrt(eps) * largest;
}

/* Elements (i, j) and (j, i) of the block do not agree. */
static int hermitian_refuse(const struct step_args *x, int i, int j, struct err *err)
{
    const struct matdir *m = x->matrix;
    double complex a = kernel_element(x->out, i, j);
    double complex b = kernel_element(x->out, j, i);
    long long row = (long long)x->row + i;
    long long column = (long long)x->row + j;
    if (m->header.dtype.kind != 'c')
        return err_set(err, -EINVAL,
                       "%s: not symmetric: (%lld, %lld) is %.6g, (%lld, %lld) is %.6g", m->path,
                       row, column, creal(a), column, row, creal(b));
    return err_set(err, -EINVAL,
                   "%s: not Hermitian: (%lld, %lld) is %.6g%+.6gi, (%lld, %lld) is %.6g%+.6gi",
                   m->path, row, column, creal(a), cimag(a), column, row, creal(b), cimag(b));
}

/* Rows `top` ... `end` - 1 left of and on the diagonal, of the columns from `left` on. */
static int hermitian_patch(const struct step_args *x, int top, int end, int left, double most,
                           struct err *err)
{
    for (int i = top; i < end; i++) {
        for (int j = left; j < left + HERMITIAN_PATCH && j <= i; j++) {
            double complex d = kernel_element(x->out, i, j) - conj(kernel_element(x->out, j, i));
            if (fabs(creal(d)) > most || fabs(cimag(d)) > most) /* NaN: no */
                return hermitian_refuse(x, i, j, err);
        }
    }
    return 0;
}

static int hermitian_pieces(const struct step_args *x, int phase)
{
    (void)phase;
    return (int)run_ceil(x->out.m, HERMITIAN_STRIP);
}

static int hermitian_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    int r = 0;
    int first = piece * HERMITIAN_STRIP;
    int last = MIN(first + HERMITIAN_STRIP, x->out.m);
    double most = hermitian_tolerance(x->out);
    (void)phase;
    for (int top = first; r == 0 && top < last; top += HERMITIAN_PATCH) {
        int end = MIN(top + HERMITIAN_PATCH, last);
        for (int left = 0; r == 0 && left < end; left += HERMITIAN_PATCH)
            r = hermitian_patch(x, top, end, left, most, err);
    }
    return r;
}

static int64_t hermitian_flops(const struct step_args *x)
{
    (void)x;
    return 0;
}

static const struct step_kind hermitian_step = {
    .name = "check",
    .pieces = hermitian_pieces,
    .run = hermitian_run,
    .flops = hermitian_flops,
};

int hermitian_check(const struct matdir *m, const struct run_conf *conf, struct err *err)
{
    const struct engine_conf engine = {.memory = conf->memory, .threads = conf->threads};
    const struct source from = {.m = m};
    struct engine *e = NULL;
    int r = engine_new(&engine, &e, err);
    if (r < 0)
        return r;
    for (int64_t i = 0; i < grid_axis_blocks(&m->header.grid, 0) && engine_goes_on(e); i++) {
        const struct step_args at = {.matrix = m, .row = grid_block_start(&m->header.grid, 0, i)};
        struct slot *block = engine_load(e, &from, i, i, 0);
        engine_step(e, &hermitian_step, &at, block, NULL, NULL);
        engine_drop(e, block);
    }
    return engine_finish(e, NULL, err);
}
