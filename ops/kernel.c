#include "ops/kernel.h"

#include <assert.h>
#include <cblas.h>
#include <stdio.h>
#include <string.h>

void kernel_init(void)
{
    openblas_set_num_threads(1);
}

void kernel_library(char *dst, size_t size)
{
    /* The configuration may end with the name of the core that the library was built for; the one
     * it runs on is another matter. */
    (void)snprintf(dst, size, "%s, running on %s", openblas_get_config(), openblas_get_corename());
}

/* How BLAS is to take an operand: one that is stored in the other order is its own transpose. */
static CBLAS_TRANSPOSE kernel_op(char trans, bool flipped)
{
    if (!flipped)
        return trans == 'n' ? CblasNoTrans : trans == 't' ? CblasTrans : CblasConjTrans;
    return trans == 'n' ? CblasTrans : trans == 't' ? CblasNoTrans : CblasConjNoTrans;
}

/* The arguments that all four types share. */
struct kernel_call {
    CBLAS_ORDER order;
    CBLAS_TRANSPOSE opa, opb;
    int m, n, k;
};

static void kernel_gemm_s(const struct kernel_call *x, float alpha, struct tile a, struct tile b,
                          struct tile c)
{
    cblas_sgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, alpha, a.a, a.ld, b.a, b.ld, 1, c.a,
                c.ld);
}

static void kernel_gemm_d(const struct kernel_call *x, double alpha, struct tile a, struct tile b,
                          struct tile c)
{
    cblas_dgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, alpha, a.a, a.ld, b.a, b.ld, 1, c.a,
                c.ld);
}

static void kernel_gemm_c(const struct kernel_call *x, float complex alpha, struct tile a,
                          struct tile b, struct tile c)
{
    const float complex one = 1;
    cblas_cgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, &alpha, a.a, a.ld, b.a, b.ld, &one, c.a,
                c.ld);
}

static void kernel_gemm_z(const struct kernel_call *x, double complex alpha, struct tile a,
                          struct tile b, struct tile c)
{
    const double complex one = 1;
    cblas_zgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, &alpha, a.a, a.ld, b.a, b.ld, &one, c.a,
                c.ld);
}

/* Whether op(a) is m x n. */
static bool kernel_fits(struct tile a, char trans, int m, int n)
{
    return trans == 'n' ? a.m == m && a.n == n : a.n == m && a.m == n;
}

void kernel_gemm(char transa, char transb, double complex alpha, struct tile a, struct tile b,
                 struct tile c)
{
    struct kernel_call x = {.order = c.fortran ? CblasColMajor : CblasRowMajor,
                            .opa = kernel_op(transa, a.fortran != c.fortran),
                            .opb = kernel_op(transb, b.fortran != c.fortran),
                            .m = c.m,
                            .n = c.n,
                            .k = transa == 'n' ? a.n : a.m};
    assert(a.type == c.type && b.type == c.type);
    assert(kernel_fits(a, transa, x.m, x.k) && kernel_fits(b, transb, x.k, x.n));
    if (alpha == 0 || x.m == 0 || x.n == 0 || x.k == 0)
        return;
    if (c.type == 's')
        kernel_gemm_s(&x, (float)creal(alpha), a, b, c);
    else if (c.type == 'd')
        kernel_gemm_d(&x, creal(alpha), a, b, c);
    else if (c.type == 'c')
        kernel_gemm_c(&x, (float complex)alpha, a, b, c);
    else
        kernel_gemm_z(&x, alpha, a, b, c);
}

/* x := beta x, a line of n numbers. */
static void kernel_scale_line(char type, double complex beta, void *x, size_t n)
{
    float *s = x;
    double *d = x;
    float complex *c = x;
    double complex *z = x;
    for (size_t i = 0; type == 's' && i < n; i++)
        s[i] *= (float)creal(beta);
    for (size_t i = 0; type == 'd' && i < n; i++)
        d[i] *= creal(beta);
    for (size_t i = 0; type == 'c' && i < n; i++)
        c[i] *= (float complex)beta;
    for (size_t i = 0; type == 'z' && i < n; i++)
        z[i] *= beta;
}

void kernel_scale(double complex beta, struct tile c)
{
    int lines = c.fortran ? c.n : c.m;
    size_t n = (size_t)(c.fortran ? c.m : c.n);
    size_t element = tile_element(c.type);
    bool parts = cimag(beta) == 0; /* then each part by itself: 2 (inf + 0i) is inf + 0i */
    char type = c.type;
    if (parts && type == 'c')
        type = 's';
    if (parts && type == 'z')
        type = 'd';
    if (beta == 1)
        return;
    for (int i = 0; i < lines; i++) {
        void *line = (char *)c.a + (size_t)i * (size_t)c.ld * element;
        if (beta == 0)
            memset(line, 0, n * element);
        else
            kernel_scale_line(type, beta, line, n * element / tile_element(type));
    }
}
