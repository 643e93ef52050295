#include "ops/tri.h"

#include "ops/kernel.h"

#include <assert.h>
#include <cblas.h>
#include <lapack.h>
#include <math.h>

static CBLAS_ORDER tri_order(struct tile t)
{
    return t.fortran ? CblasColMajor : CblasRowMajor;
}

void tri_herk(struct tile a, struct tile c)
{
    CBLAS_ORDER order = tri_order(c);
    assert(a.type == c.type && a.fortran == c.fortran && c.m == c.n && a.m == c.m);
    if (c.m == 0 || a.n == 0)
        return;
    if (c.type == 's')
        cblas_ssyrk(order, CblasLower, CblasNoTrans, c.m, a.n, -1, a.a, a.ld, 1, c.a, c.ld);
    else if (c.type == 'd')
        cblas_dsyrk(order, CblasLower, CblasNoTrans, c.m, a.n, -1, a.a, a.ld, 1, c.a, c.ld);
    else if (c.type == 'c')
        cblas_cherk(order, CblasLower, CblasNoTrans, c.m, a.n, -1, a.a, a.ld, 1, c.a, c.ld);
    else
        cblas_zherk(order, CblasLower, CblasNoTrans, c.m, a.n, -1, a.a, a.ld, 1, c.a, c.ld);
}

static void tri_trsm(CBLAS_SIDE side, CBLAS_TRANSPOSE op, struct tile l, struct tile b)
{
    CBLAS_ORDER order = tri_order(b);
    const float complex one_c = 1;
    const double complex one_z = 1;
    assert(l.type == b.type && l.fortran == b.fortran && l.m == l.n);
    if (b.m == 0 || b.n == 0)
        return;
    if (b.type == 's')
        cblas_strsm(order, side, CblasLower, op, CblasNonUnit, b.m, b.n, 1, l.a, l.ld, b.a, b.ld);
    else if (b.type == 'd')
        cblas_dtrsm(order, side, CblasLower, op, CblasNonUnit, b.m, b.n, 1, l.a, l.ld, b.a, b.ld);
    else if (b.type == 'c')
        cblas_ctrsm(order, side, CblasLower, op, CblasNonUnit, b.m, b.n, &one_c, l.a, l.ld, b.a,
                    b.ld);
    else
        cblas_ztrsm(order, side, CblasLower, op, CblasNonUnit, b.m, b.n, &one_z, l.a, l.ld, b.a,
                    b.ld);
}

void tri_trsm_right(struct tile l, struct tile b)
{
    assert(b.n == l.m);
    tri_trsm(CblasRight, CblasConjTrans, l, b);
}

void tri_trsm_left(char trans, struct tile l, struct tile b)
{
    assert(b.m == l.m);
    tri_trsm(CblasLeft,
             trans == 'n'   ? CblasNoTrans
             : trans == 't' ? CblasTrans
                            : CblasConjTrans,
             l, b);
}

int tri_potrf(struct tile a)
{
    /* A row-major lower triangle is the upper one of the transpose: A = L L^H is A^T = U^H U with
     * U = L^T. */
    char uplo = a.fortran ? 'L' : 'U';
    lapack_int n = a.n;
    lapack_int ld = a.ld;
    lapack_int info = 0;
    assert(a.m == a.n);
    if (n == 0)
        return 0;
    if (a.type == 's')
        LAPACK_spotrf(&uplo, &n, a.a, &ld, &info);
    else if (a.type == 'd')
        LAPACK_dpotrf(&uplo, &n, a.a, &ld, &info);
    else if (a.type == 'c')
        LAPACK_cpotrf(&uplo, &n, a.a, &ld, &info);
    else
        LAPACK_zpotrf(&uplo, &n, a.a, &ld, &info);
    assert(info >= 0);
    int good = info > 0 ? info - 1 : n;
    for (int i = 0; i < good; i++) {
        double d = kernel_real(a, i, i);
        if (!(d > 0) || !isfinite(d))
            return i + 1;
    }
    return info;
}
