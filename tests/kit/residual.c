#include "tests/kit/residual.h"

#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <float.h>
#include <math.h>

static double complex *residual_alloc(int64_t n)
{
    double complex *x = calloc((size_t)MAX(n, (int64_t)1), sizeof(*x));
    if (!x)
        abort();
    return x;
}

/* A matrix in memory, seen through op(). */
struct residual_view {
    double complex *a; /* owned */
    int64_t m, n;      /* of op(a) */
    char trans;
};

static struct residual_view residual_view(const struct matdir *m, char trans)
{
    const int64_t *shape = m->header.grid.shape;
    return (struct residual_view){.a = matrices_load(m),
                                  .m = shape[trans == 'n' ? 0 : 1],
                                  .n = shape[trans == 'n' ? 1 : 0],
                                  .trans = trans};
}

static double complex residual_at(const struct residual_view *v, int64_t i, int64_t j)
{
    if (v->trans == 'n')
        return v->a[i * v->n + j];
    double complex x = v->a[j * v->m + i];
    return v->trans == 'c' ? conj(x) : x;
}

/* y += factor op(a) x */
static void residual_multiply(const struct residual_view *v, double complex factor,
                              const double complex *x, double complex *y)
{
    for (int64_t i = 0; i < v->m; i++) {
        double complex sum = 0;
        for (int64_t j = 0; j < v->n; j++)
            sum += residual_at(v, i, j) * x[j];
        y[i] += factor * sum;
    }
}

static double residual_norm(const double complex *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += creal(x[i]) * creal(x[i]) + cimag(x[i]) * cimag(x[i]);
    return sqrt(sum);
}

double residual_gemm(const struct gemm *g, const struct matdir *c, uint64_t seed)
{
    struct residual_view va = residual_view(g->a, g->transa);
    struct residual_view vb = residual_view(g->b, g->transb);
    struct residual_view vc = residual_view(c, 'n');
    struct rng rng = {.state = seed};
    CLEANUP(freep) double complex *x = residual_alloc(vc.n);
    CLEANUP(freep) double complex *bx = residual_alloc(vb.m);
    CLEANUP(freep) double complex *y = residual_alloc(vc.m);
    for (int64_t j = 0; j < vc.n; j++)
        x[j] = (double)(rng_next(&rng) >> 11) * 0x1p-52 - 1;
    double scale =
        cabs(g->alpha) * residual_norm(va.a, va.m * va.n) * residual_norm(vb.a, vb.m * vb.n);
    residual_multiply(&vb, 1, x, bx);
    residual_multiply(&va, g->alpha, bx, y);
    if (g->d) {
        struct residual_view vd = residual_view(g->d, 'n');
        residual_multiply(&vd, g->beta, x, y);
        scale += cabs(g->beta) * residual_norm(vd.a, vd.m * vd.n);
        free(vd.a);
    }
    residual_multiply(&vc, -1, x, y);
    char type = dtype_blas(c->header.dtype);
    double eps = type == 's' || type == 'c' ? (double)FLT_EPSILON : DBL_EPSILON;
    double residual = residual_norm(y, vc.m);
    double unit = scale * residual_norm(x, vc.n) * eps * (double)MAX(va.n, (int64_t)1);
    free(va.a);
    free(vb.a);
    free(vc.a);
    return residual == 0 ? 0 : residual / unit;
}
