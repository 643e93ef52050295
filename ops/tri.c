#include "ops/tri.h"

#include "ops/kernel.h"

#include <assert.h>
#include <cblas.h>
#include <lapack.h>
#include <math.h>
#include <string.h>

/* A triangle is halved until it is no larger, so that most of the work is products: OpenBLAS solves
 * with large ones at half their speed. The halving ends after 25 turns, whatever the int. */
enum { TRI_LEAF = 64 };

/* OpenBLAS solves with a small triangle two to three times as fast where the right-hand sides lie
 * beside each other: else so many of them are turned at a time. */
enum { TRI_STRIP = 64 };

static CBLAS_ORDER tri_order(struct tile t)
{
    return t.fortran ? CblasColMajor : CblasRowMajor;
}

/* How BLAS is to take an operand; flipped: one that is stored in the other order. */
static CBLAS_TRANSPOSE tri_op(char trans, bool flipped)
{
    if (!flipped)
        return trans == 'n' ? CblasNoTrans : trans == 't' ? CblasTrans : CblasConjTrans;
    return trans == 'n' ? CblasTrans : trans == 't' ? CblasNoTrans : CblasConjNoTrans;
}

void tri_herk(char trans, double alpha, struct tile a, struct tile c)
{
    CBLAS_ORDER order = tri_order(c);
    CBLAS_TRANSPOSE op = tri_op(trans, false);
    int k = trans == 'n' ? a.n : a.m;
    assert(a.type == c.type && a.fortran == c.fortran && c.m == c.n);
    assert(c.m == (trans == 'n' ? a.m : a.n));
    if (c.m == 0 || k == 0)
        return;
    if (c.type == 's')
        cblas_ssyrk(order, CblasLower, op, c.m, k, (float)alpha, a.a, a.ld, 1, c.a, c.ld);
    else if (c.type == 'd')
        cblas_dsyrk(order, CblasLower, op, c.m, k, alpha, a.a, a.ld, 1, c.a, c.ld);
    else if (c.type == 'c')
        cblas_cherk(order, CblasLower, op, c.m, k, (float)alpha, a.a, a.ld, 1, c.a, c.ld);
    else
        cblas_zherk(order, CblasLower, op, c.m, k, alpha, a.a, a.ld, 1, c.a, c.ld);
}

/* One call of BLAS; t and b may differ in their order. */
static void tri_trsm_call(char side, char uplo, char trans, char diag, struct tile t, struct tile b)
{
    CBLAS_ORDER order = tri_order(b);
    CBLAS_SIDE left = side == 'l' ? CblasLeft : CblasRight;
    bool flipped = t.fortran != b.fortran;
    CBLAS_UPLO lower = (uplo == 'l') != flipped ? CblasLower : CblasUpper;
    CBLAS_TRANSPOSE op = tri_op(trans, flipped);
    CBLAS_DIAG unit = diag == 'u' ? CblasUnit : CblasNonUnit;
    const float complex one_c = 1;
    const double complex one_z = 1;
    assert(t.type == b.type && t.m == t.n);
    assert(t.m == (side == 'l' ? b.m : b.n));
    if (b.m == 0 || b.n == 0)
        return;
    if (b.type == 's')
        cblas_strsm(order, left, lower, op, unit, b.m, b.n, 1, t.a, t.ld, b.a, b.ld);
    else if (b.type == 'd')
        cblas_dtrsm(order, left, lower, op, unit, b.m, b.n, 1, t.a, t.ld, b.a, b.ld);
    else if (b.type == 'c')
        cblas_ctrsm(order, left, lower, op, unit, b.m, b.n, &one_c, t.a, t.ld, b.a, b.ld);
    else
        cblas_ztrsm(order, left, lower, op, unit, b.m, b.n, &one_z, t.a, t.ld, b.a, b.ld);
}

/* `n` rows or columns of the right-hand side from `first` on, as op(t) meets them. */
static struct tile tri_lines(char side, struct tile b, int first, int n)
{
    return side == 'l' ? tile_part(b, first, 0, n, b.n) : tile_part(b, 0, first, b.m, n);
}

/* Copies a tile into one of the other order, elements of a size that the compiler knows. */
static inline __attribute__((always_inline)) void tri_reorder_sized(struct tile from,
                                                                    struct tile to, size_t element)
{
    enum { PATCH = 8 }; /* lines that are read side by side, so that each is written whole */
    int lines = from.fortran ? from.n : from.m;
    int length = from.fortran ? from.m : from.n;
    for (int first = 0; first < lines; first += PATCH) {
        for (int at = 0; at < length; at++) {
            for (int line = first; line < MIN(first + PATCH, lines); line++)
                memcpy((char *)to.a + ((size_t)at * (size_t)to.ld + (size_t)line) * element,
                       (char *)from.a + ((size_t)line * (size_t)from.ld + (size_t)at) * element,
                       element);
        }
    }
}

static void tri_reorder(struct tile from, struct tile to)
{
    assert(from.type == to.type && from.fortran != to.fortran);
    assert(from.m == to.m && from.n == to.n);
    if (tile_element(from.type) == sizeof(float))
        tri_reorder_sized(from, to, sizeof(float));
    else if (tile_element(from.type) == sizeof(double))
        tri_reorder_sized(from, to, sizeof(double));
    else
        tri_reorder_sized(from, to, sizeof(double complex));
}

/* A small triangle. */
static void tri_trsm_leaf(char side, char uplo, char trans, char diag, struct tile t, struct tile b)
{
    double complex space[TRI_STRIP * TRI_LEAF];
    bool left = side == 'l';
    if (left != b.fortran) { /* the right-hand sides lie beside each other */
        tri_trsm_call(side, uplo, trans, diag, t, b);
        return;
    }
    int count = left ? b.n : b.m;
    for (int i = 0; i < count; i += TRI_STRIP) {
        int n = MIN(TRI_STRIP, count - i);
        struct tile strip = left ? tile_part(b, 0, i, b.m, n) : tile_part(b, i, 0, n, b.n);
        struct tile turned = strip;
        turned.a = space;
        turned.ld = TRI_STRIP;
        turned.fortran = !strip.fortran;
        tri_reorder(strip, turned);
        tri_trsm_call(side, uplo, trans, diag, t, turned);
        tri_reorder(turned, strip);
    }
}

/* Takes from lines y what lines x have solved. */
static void tri_trsm_update(char side, char trans, struct tile off, struct tile x, struct tile y)
{
    if (side == 'l')
        kernel_gemm(trans, 'n', -1, off, x, y);
    else
        kernel_gemm('n', trans, -1, x, off, y);
}

void tri_trsm(char side, char uplo, char trans, char diag, struct tile t, struct tile b)
{
    if (t.m <= TRI_LEAF) {
        tri_trsm_leaf(side, uplo, trans, diag, t, b);
        return;
    }
    bool lower = (uplo == 'l') == (trans == 'n'); /* op(t) */
    bool forward = lower == (side == 'l');
    int top = (t.m / 2 + TRI_LEAF - 1) / TRI_LEAF * TRI_LEAF; /* less than t.m */
    int low = t.m - top;
    struct tile off = uplo == 'l' ? tile_part(t, top, 0, low, top) : tile_part(t, 0, top, top, low);
    struct tile half[] = {tile_part(t, 0, 0, top, top), tile_part(t, top, top, low, low)};
    struct tile x[] = {tri_lines(side, b, 0, top), tri_lines(side, b, top, low)};
    int first = forward ? 0 : 1;
    tri_trsm(side, uplo, trans, diag, half[first], x[first]);
    tri_trsm_update(side, trans, off, x[first], x[1 - first]);
    tri_trsm(side, uplo, trans, diag, half[1 - first], x[1 - first]);
}

/* c(j, i) := conj(a(i, j)) */
static void tri_turn_element(struct tile a, int i, int j, struct tile c)
{
    char *to = tile_part(c, j, i, 1, 1).a;
    memcpy(to, tile_part(a, i, j, 1, 1).a, tile_element(a.type));
    if (a.type == 'c')
        *(float *)(void *)(to + sizeof(float)) *= -1;
    if (a.type == 'z')
        *(double *)(void *)(to + sizeof(double)) *= -1;
}

void tri_turn(struct tile a, struct tile c)
{
    enum { PATCH = 32 }; /* of both that a cache holds */
    assert(a.type == c.type && a.m == c.n && a.n == c.m);
    for (int from = 0; from < a.m; from += PATCH) {
        for (int j = 0; j < a.n; j++) {
            for (int i = from; i < MIN(from + PATCH, a.m); i++)
                tri_turn_element(a, i, j, c);
        }
    }
}

void tri_mirror(struct tile a)
{
    for (int i = 0; i < a.m; i++) {
        for (int j = 0; j < i; j++)
            tri_turn_element(a, i, j, a);
    }
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
