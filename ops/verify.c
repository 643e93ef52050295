#include "ops/verify.h"

#include "ops/block.h"
#include "ops/kernel.h"
#include "ops/rand.h"
#include "ops/tri.h"

#include <assert.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VERIFY_SEED = 20181014 };

/* A column of numbers. */
struct verify_vector {
    char *x; /* owned */
    int64_t n;
    char type;
};

static int verify_vector_init(struct verify_vector *v, char type, int64_t n, struct err *err)
{
    *v = (struct verify_vector){.n = n, .type = type};
    v->x = calloc((size_t)MAX(n, (int64_t)1), tile_element(type));
    return v->x ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static void verify_vector_fini(struct verify_vector *v)
{
    freep(&v->x);
}

static struct tile verify_part(const struct verify_vector *v, int64_t first, int64_t n)
{
    return (struct tile){.a = v->x + (size_t)first * tile_element(v->type),
                         .m = (int)n,
                         .n = 1,
                         .ld = 1,
                         .type = v->type};
}

/* The sum of squares of a tile's elements. */
static double verify_squares(struct tile t)
{
    double sum = 0;
    bool single = t.type == 's' || t.type == 'c';
    size_t n = (size_t)t.m * (size_t)t.n * tile_element(t.type) / (single ? 4 : 8);
    const float *s = t.a;
    const double *d = t.a;
    assert(t.a);
    for (size_t i = 0; i < n; i++) {
        double x = single ? (double)s[i] : d[i];
        sum += x * x;
    }
    return sum;
}

static double verify_norm(const struct verify_vector *v)
{
    double sum = 0;
    for (int64_t at = 0; at < v->n; at += INT32_MAX)
        sum += verify_squares(verify_part(v, at, MIN(v->n - at, (int64_t)INT32_MAX)));
    return sqrt(sum);
}

static double verify_eps(char type)
{
    return type == 's' || type == 'c' ? (double)FLT_EPSILON : DBL_EPSILON;
}

/* A matrix that passes block by block. */
struct verify_pass {
    const struct matdir *m;
    bool turned; /* see verify_load() */
    int64_t i, j;
    struct tile tile; /* owns its memory */
};

static int verify_pass_init(struct verify_pass *p, const struct matdir *m, struct err *err)
{
    *p = (struct verify_pass){.m = m};
    p->tile.type = dtype_blas(element_native(m->header.dtype));
    p->tile.a = block_alloc(m, block_elements_max(m), err);
    return p->tile.a ? 0 : -ENOMEM;
}

static void verify_pass_fini(struct verify_pass *p)
{
    freep(&p->tile.a);
}

static int64_t verify_start(const struct verify_pass *p, int axis, int64_t index)
{
    return grid_block_start(&p->m->header.grid, p->turned ? 1 - axis : axis, index);
}

static int64_t verify_blocks(const struct verify_pass *p, int axis)
{
    return grid_axis_blocks(&p->m->header.grid, p->turned ? 1 - axis : axis);
}

/* Block (i, j), which with `turned` is the matrix's (j, i) transposed. */
static int verify_load(struct verify_pass *p, int64_t i, int64_t j, struct err *err)
{
    bool fortran = false;
    const int64_t index[] = {p->turned ? j : i, p->turned ? i : j};
    const struct grid *g = &p->m->header.grid;
    int r = block_load(p->m, index, p->tile.a, &fortran, err);
    p->i = i;
    p->j = j;
    p->tile.fortran = fortran;
    p->tile.m = (int)grid_block_extent(g, 0, index[0]);
    p->tile.n = (int)grid_block_extent(g, 1, index[1]);
    p->tile.ld = MAX(fortran ? p->tile.m : p->tile.n, 1);
    if (p->turned)
        p->tile = tile_turn(p->tile);
    return r;
}

/* y += alpha op(block) x, for the parts of x and y that meet the block. */
static void verify_multiply(const struct verify_pass *p, char trans, double complex alpha,
                            const struct verify_vector *x, const struct verify_vector *y)
{
    int64_t row = verify_start(p, 0, p->i);
    int64_t column = verify_start(p, 1, p->j);
    if (trans == 'n')
        kernel_gemm('n', 'n', alpha, p->tile, verify_part(x, column, p->tile.n),
                    verify_part(y, row, p->tile.m));
    else
        kernel_gemm(trans, 'n', alpha, p->tile, verify_part(x, row, p->tile.m),
                    verify_part(y, column, p->tile.n));
}

/* --- products --- */

/* y += alpha op(M) x; and M's norm. */
static int verify_apply(const struct matdir *m, char trans, double complex alpha,
                        const struct verify_vector *x, const struct verify_vector *y,
                        double *ret_norm, struct err *err)
{
    struct verify_pass p;
    double sum = 0;
    int r = verify_pass_init(&p, m, err);
    for (int64_t i = 0; r == 0 && i < verify_blocks(&p, 0); i++) {
        for (int64_t j = 0; r == 0 && j < verify_blocks(&p, 1); j++) {
            r = verify_load(&p, i, j, err);
            if (r < 0)
                break;
            verify_multiply(&p, trans, alpha, x, y);
            sum += verify_squares(p.tile);
        }
    }
    verify_pass_fini(&p);
    *ret_norm = sqrt(sum);
    return r;
}

struct verify_product {
    struct verify_vector x, bx, y;
};

static void verify_product_fini(struct verify_product *v)
{
    verify_vector_fini(&v->x);
    verify_vector_fini(&v->bx);
    verify_vector_fini(&v->y);
}

/* Random x for a result's columns; bx and y of zeros, as long as what is between and its rows. */
static int verify_product_init(struct verify_product *v, const struct matdir *out, int64_t between,
                               struct err *err)
{
    struct dtype t = element_native(out->header.dtype);
    int64_t n = out->header.grid.shape[1];
    int r = verify_vector_init(&v->x, dtype_blas(t), n, err);
    if (r == 0)
        r = verify_vector_init(&v->bx, dtype_blas(t), between, err);
    if (r == 0)
        r = verify_vector_init(&v->y, dtype_blas(t), out->header.grid.shape[0], err);
    if (r == 0)
        rand_fill(RAND_UNIFORM, VERIFY_SEED, 0, (size_t)n, t, v->x.x);
    return r;
}

/* y := alpha op(A) (op(B) x) + beta D x - C x; and what |y| is to be measured by. */
static int verify_difference(const struct gemm *g, const struct matdir *c, struct verify_product *v,
                             double *ret_scale, struct err *err)
{
    double a = 0;
    double b = 0;
    double d = 0;
    double ignored = 0;
    int r = 0;
    if (g->alpha != 0)
        r = verify_apply(g->b, g->transb, 1, &v->x, &v->bx, &b, err);
    if (r == 0 && g->alpha != 0)
        r = verify_apply(g->a, g->transa, g->alpha, &v->bx, &v->y, &a, err);
    if (r == 0 && g->d && g->beta != 0)
        r = verify_apply(g->d, 'n', g->beta, &v->x, &v->y, &d, err);
    if (r == 0)
        r = verify_apply(c, 'n', -1, &v->x, &v->y, &ignored, err);
    *ret_scale = (cabs(g->alpha) * a * b + cabs(g->beta) * d) * verify_norm(&v->x);
    return r;
}

/* 0 / 0 is a right answer: everything is 0. */
static double verify_ratio(double difference, double unit)
{
    return difference == 0 ? 0 : difference / unit;
}

int verify_gemm(const void *x, const struct matdir *c, double *ret, struct err *err)
{
    const struct gemm *g = x;
    char type = dtype_blas(element_native(c->header.dtype));
    double scale = 0;
    int64_t k = g->a->header.grid.shape[g->transa == 'n' ? 1 : 0];
    CLEANUP(verify_product_fini) struct verify_product v = {0};
    int r = verify_product_init(&v, c, k, err);
    if (r < 0)
        return r;
    r = verify_difference(g, c, &v, &scale, err);
    *ret = verify_ratio(verify_norm(&v.y), scale * verify_eps(type) * (double)MAX(k, (int64_t)1));
    return r;
}

/* --- factors --- */

/* y += alpha A x, where A's lower triangle, or its upper one, stands for all; and A's norm. */
static int verify_hermitian(const struct matdir *a, bool upper, double alpha,
                            const struct verify_vector *x, const struct verify_vector *y,
                            double *ret_norm, struct err *err)
{
    struct verify_pass p;
    double sum = 0;
    int r = verify_pass_init(&p, a, err);
    p.turned = upper;
    for (int64_t i = 0; r == 0 && i < verify_blocks(&p, 0); i++) {
        for (int64_t j = 0; r == 0 && j <= i; j++) {
            r = verify_load(&p, i, j, err);
            if (r < 0)
                break;
            if (i == j)
                tri_mirror(p.tile);
            verify_multiply(&p, 'n', alpha, x, y);
            if (i != j)
                verify_multiply(&p, 'c', alpha, x, y);
            sum += verify_squares(p.tile) * (i == j ? 1 : 2);
        }
    }
    verify_pass_fini(&p);
    *ret_norm = sqrt(sum);
    return r;
}

/* y += alpha op(L) x, where L is the factor. */
static int verify_factor(const struct chol *c, const struct matdir *l, char trans, double alpha,
                         const struct verify_vector *x, const struct verify_vector *y,
                         struct err *err)
{
    struct verify_pass p;
    int r = verify_pass_init(&p, l, err);
    p.turned = c->upper;
    for (int64_t i = 0; r == 0 && i < verify_blocks(&p, 0); i++) {
        for (int64_t j = 0; r == 0 && j <= i; j++) {
            r = verify_load(&p, i, j, err);
            if (r == 0)
                verify_multiply(&p, trans, alpha, x, y);
        }
    }
    verify_pass_fini(&p);
    return r;
}

/* y += alpha x */
static void verify_add(double alpha, const struct verify_vector *x, const struct verify_vector *y)
{
    bool single = x->type == 's' || x->type == 'c';
    size_t n = (size_t)x->n * tile_element(x->type) / (single ? 4 : 8);
    const float *from_s = (const float *)(const void *)x->x;
    const double *from_d = (const double *)(const void *)x->x;
    float *s = (float *)(void *)y->x;
    double *d = (double *)(void *)y->x;
    assert(x->x && y->x);
    for (size_t i = 0; single && i < n; i++)
        s[i] += (float)alpha * from_s[i];
    for (size_t i = 0; !single && i < n; i++)
        d[i] += alpha * from_d[i];
}

/* y := (A + reg I) x - L (L^H x) */
static int verify_chol_difference(const struct chol *c, const struct matdir *l,
                                  struct verify_product *v, double *ret_norm, struct err *err)
{
    int r = verify_hermitian(c->a, c->upper, 1, &v->x, &v->y, ret_norm, err);
    if (r == 0)
        r = verify_factor(c, l, 'c', 1, &v->x, &v->bx, err);
    if (r == 0)
        r = verify_factor(c, l, 'n', -1, &v->bx, &v->y, err);
    if (r == 0)
        verify_add(c->reg, &v->x, &v->y);
    return r;
}

int verify_chol(const void *x, const struct matdir *l, double *ret, struct err *err)
{
    const struct chol *c = x;
    char type = dtype_blas(element_native(l->header.dtype));
    int64_t n = l->header.grid.shape[0];
    double norm = 0;
    CLEANUP(verify_product_fini) struct verify_product v = {0};
    int r = verify_product_init(&v, l, n, err);
    if (r < 0)
        return r;
    r = verify_chol_difference(c, l, &v, &norm, err);
    *ret = verify_ratio(verify_norm(&v.y), (norm + fabs(c->reg)) * verify_norm(&v.x) *
                                               verify_eps(type) * (double)MAX(n, (int64_t)1));
    return r;
}

/* --- triangular systems --- */

/* Makes the other triangle of a diagonal block 0, and the diagonal 1 where it does not count. */
static void verify_mask(const struct trsm *x, struct tile t)
{
    static const double complex zero; /* of every type */
    for (int i = 0; i < t.m; i++) {
        for (int j = 0; j < t.n; j++) {
            bool other = x->uplo == 'l' ? j > i : j < i;
            if (other || (i == j && x->diag == 'u'))
                memcpy(tile_part(t, i, j, 1, 1).a, &zero, tile_element(t.type));
        }
    }
    if (x->diag == 'u')
        kernel_shift(1, t);
}

/* y += alpha op(T) x; and T's norm. */
static int verify_triangle(const struct trsm *t, char trans, double alpha,
                           const struct verify_vector *x, const struct verify_vector *y,
                           double *ret_norm, struct err *err)
{
    struct verify_pass p;
    double sum = 0;
    int r = verify_pass_init(&p, t->t, err);
    for (int64_t i = 0; r == 0 && i < verify_blocks(&p, 0); i++) {
        for (int64_t j = 0; r == 0 && j < verify_blocks(&p, 1); j++) {
            if (t->uplo == 'l' ? j > i : j < i)
                continue;
            r = verify_load(&p, i, j, err);
            if (r < 0)
                break;
            if (i == j)
                verify_mask(t, p.tile);
            verify_multiply(&p, trans, alpha, x, y);
            sum += verify_squares(p.tile);
        }
    }
    verify_pass_fini(&p);
    *ret_norm = sqrt(sum);
    return r;
}

/* y := op(T) (X x) - B x, or X (op(T) x) - B x. */
static int verify_trsm_difference(const struct trsm *t, const struct matdir *out,
                                  struct verify_product *v, double *ret_scale, struct err *err)
{
    double norm_t = 0;
    double norm_x = 0;
    double norm_b = 0;
    bool left = t->side == 'l';
    int r = left ? verify_apply(out, 'n', 1, &v->x, &v->bx, &norm_x, err)
                 : verify_triangle(t, t->trans, 1, &v->x, &v->bx, &norm_t, err);
    if (r == 0)
        r = left ? verify_triangle(t, t->trans, 1, &v->bx, &v->y, &norm_t, err)
                 : verify_apply(out, 'n', 1, &v->bx, &v->y, &norm_x, err);
    if (r == 0)
        r = verify_apply(t->b, 'n', -1, &v->x, &v->y, &norm_b, err);
    *ret_scale = (norm_t * norm_x + norm_b) * verify_norm(&v->x);
    return r;
}

int verify_trsm(const void *x, const struct matdir *out, double *ret, struct err *err)
{
    const struct trsm *t = x;
    int64_t n = t->t->header.grid.shape[0];
    double scale = 0;
    CLEANUP(verify_product_fini) struct verify_product v = {0};
    int r = verify_product_init(&v, out, n, err);
    if (r == 0)
        r = verify_trsm_difference(t, out, &v, &scale, err);
    if (r == 0)
        *ret = verify_ratio(verify_norm(&v.y),
                            scale * verify_eps(v.x.type) * (double)MAX(n, (int64_t)1));
    return r;
}

/* y := L (L^H (X x)) - B x */
static int verify_solve_difference(const struct solve *s, const struct matdir *out,
                                   struct verify_product *v, const struct verify_vector *between,
                                   double *ret_scale, struct err *err)
{
    double norm_l = 0;
    double norm_x = 0;
    double norm_b = 0;
    char first = s->forward.trans == 'n' ? 'c' : 'n';
    int r = verify_apply(out, 'n', 1, &v->x, &v->bx, &norm_x, err);
    if (r == 0)
        r = verify_triangle(&s->forward, first, 1, &v->bx, between, &norm_l, err);
    if (r == 0)
        r = verify_triangle(&s->forward, s->forward.trans, 1, between, &v->y, &norm_l, err);
    if (r == 0)
        r = verify_apply(s->forward.b, 'n', -1, &v->x, &v->y, &norm_b, err);
    *ret_scale = (norm_l * norm_l * norm_x + norm_b) * verify_norm(&v->x);
    return r;
}

int verify_solve(const void *x, const struct matdir *out, double *ret, struct err *err)
{
    const struct solve *s = x;
    int64_t n = out->header.grid.shape[0];
    double scale = 0;
    CLEANUP(verify_product_fini) struct verify_product v = {0};
    CLEANUP(verify_vector_fini) struct verify_vector between = {0};
    int r = verify_product_init(&v, out, n, err);
    if (r == 0)
        r = verify_vector_init(&between, v.x.type, n, err);
    if (r == 0)
        r = verify_solve_difference(s, out, &v, &between, &scale, err);
    if (r == 0)
        *ret = verify_ratio(verify_norm(&v.y),
                            scale * verify_eps(v.x.type) * (double)MAX(n, (int64_t)1));
    return r;
}

/* --- a matrix times its transpose --- */

int verify_syrk(const void *x, const struct matdir *c, double *ret, struct err *err)
{
    const struct syrk *s = x;
    int64_t k = s->a->header.grid.shape[s->trans == 'n' ? 1 : 0];
    char first = s->trans == 'n' ? 'c' : 'n';
    double norm = 0;
    double ignored = 0;
    CLEANUP(verify_product_fini) struct verify_product v = {0};
    int r = verify_product_init(&v, c, k, err);
    if (r == 0)
        r = verify_apply(s->a, first, 1, &v.x, &v.bx, &norm, err);
    if (r == 0)
        r = verify_apply(s->a, s->trans, 1, &v.bx, &v.y, &norm, err);
    if (r == 0)
        r = verify_hermitian(c, false, -1, &v.x, &v.y, &ignored, err);
    if (r == 0)
        *ret =
            verify_ratio(verify_norm(&v.y), norm * norm * verify_norm(&v.x) * verify_eps(v.x.type) *
                                                (double)MAX(k, (int64_t)1));
    return r;
}
