#include "tests/unit/unit.h"

#include "ops/kernel.h"
#include "tests/kit/rng.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Kernels against the definition, in double precision, for every type, transpose and layout. */

enum { KERNEL_ROOM = 80 * 80 };

static struct rng rng;

/* A tile with its memory, and with elements around it that no kernel may touch. */
struct box {
    struct tile t;
    double complex memory[KERNEL_ROOM];
};

static struct box box_a, box_b, box_c, box_was;

static size_t kernel_off(const struct tile *t, int i, int j)
{
    return t->fortran ? (size_t)i + (size_t)j * (size_t)t->ld
                      : (size_t)i * (size_t)t->ld + (size_t)j;
}

static double complex kernel_get(const struct tile *t, int i, int j)
{
    size_t at = kernel_off(t, i, j);
    if (t->type == 's')
        return ((const float *)t->a)[at];
    if (t->type == 'd')
        return ((const double *)t->a)[at];
    return t->type == 'c' ? ((const float complex *)t->a)[at] : ((const double complex *)t->a)[at];
}

static void kernel_set(const struct tile *t, int i, int j, double complex v)
{
    size_t at = kernel_off(t, i, j);
    if (t->type == 's')
        ((float *)t->a)[at] = (float)creal(v);
    else if (t->type == 'd')
        ((double *)t->a)[at] = creal(v);
    else if (t->type == 'c')
        ((float complex *)t->a)[at] = (float complex)v;
    else
        ((double complex *)t->a)[at] = v;
}

static double kernel_random(void)
{
    return (double)(rng_next(&rng) >> 11) * 0x1p-52 - 1;
}

/* A random tile whose lines are `pad` longer than they need to be. */
static void kernel_make(struct box *b, char type, int m, int n, bool fortran, int pad)
{
    b->t = (struct tile){.a = b->memory,
                         .m = m,
                         .n = n,
                         .ld = MAX((fortran ? m : n) + pad, 1),
                         .type = type,
                         .fortran = fortran};
    memset(b->memory, 0x5a, sizeof(b->memory));
    assert_true((size_t)(fortran ? n : m) * (size_t)b->t.ld <= KERNEL_ROOM);
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++)
            kernel_set(&b->t, i, j, kernel_random() + kernel_random() * I);
    }
}

static double complex kernel_op(const struct tile *t, char trans, int i, int j)
{
    if (trans == 'n')
        return kernel_get(t, i, j);
    double complex v = kernel_get(t, j, i);
    return trans == 'c' ? conj(v) : v;
}

/* Checks box_c against box_was + alpha op(a) op(b), and that nothing around it changed. */
static void kernel_check(char transa, char transb, double complex alpha, int k)
{
    struct tile *c = &box_c.t;
    bool single = c->type == 's' || c->type == 'c';
    double bound = (single ? (double)FLT_EPSILON : DBL_EPSILON) * 4 * (k + 2) * (cabs(alpha) + 1);
    for (int i = 0; i < c->m; i++) {
        for (int j = 0; j < c->n; j++) {
            double complex sum = 0;
            for (int l = 0; l < k; l++)
                sum += kernel_op(&box_a.t, transa, i, l) * kernel_op(&box_b.t, transb, l, j);
            double complex want = kernel_get(&box_was.t, i, j) + alpha * sum;
            assert_true(cabs(kernel_get(c, i, j) - want) <= bound);
            kernel_set(c, i, j, kernel_get(&box_was.t, i, j));
        }
    }
    assert_memory_equal(box_c.memory, box_was.memory, sizeof(box_was.memory));
}

struct kernel_case {
    int m, n, k, pad;
    char type;
};

static void kernel_try(const struct kernel_case *x, char transa, char transb, unsigned layout)
{
    bool real = x->type == 's' || x->type == 'd';
    double complex alpha = real ? -1.25 : -1.25 + 0.5 * I;
    kernel_make(&box_a, x->type, transa == 'n' ? x->m : x->k, transa == 'n' ? x->k : x->m,
                layout & 1, x->pad);
    kernel_make(&box_b, x->type, transb == 'n' ? x->k : x->n, transb == 'n' ? x->n : x->k,
                layout & 2, x->pad);
    kernel_make(&box_c, x->type, x->m, x->n, layout & 4, x->pad);
    memcpy(&box_was, &box_c, sizeof(box_was));
    box_was.t.a = box_was.memory;
    kernel_gemm(transa, transb, alpha, box_a.t, box_b.t, box_c.t);
    kernel_check(transa, transb, alpha, x->k);
}

static void kernel_gemm_is_right_for_every_type_transpose_and_layout(void **state)
{
    (void)state;
    static const int size[][3] = {{1, 1, 1}, {3, 5, 7}, {17, 16, 33}, {64, 1, 20}, {1, 65, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
        for (unsigned v = 0; v < 4 * 9 * 8 * 2; v++) {
            struct kernel_case x = {.m = size[i][0],
                                    .n = size[i][1],
                                    .k = size[i][2],
                                    .pad = v % 2 ? 5 : 0,
                                    .type = "sdcz"[v / 2 % 4]};
            kernel_try(&x, "ntc"[v / 8 % 3], "ntc"[v / 24 % 3], v / 72);
        }
    }
}

static void kernel_gemm_of_nothing_changes_nothing(void **state)
{
    (void)state;
    const struct kernel_case none[] = {
        {0, 5, 3, 0, 'd'}, {5, 0, 3, 0, 'd'}, {5, 3, 0, 0, 'd'}, {0, 0, 0, 0, 'z'}};
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        kernel_try(&none[i], 'n', 't', 0);
}

/* OpenBLAS answers this one way for small matrices, another for large ones. */
static void kernel_gemm_with_alpha_0_looks_at_nothing(void **state)
{
    (void)state;
    const int size[] = {4, 70};
    for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
        int n = size[i];
        kernel_make(&box_a, 'd', n, n, false, 0);
        kernel_make(&box_b, 'd', n, n, false, 0);
        kernel_make(&box_c, 'd', n, n, false, 0);
        kernel_set(&box_a.t, 1, 2, (double)NAN);
        memcpy(&box_was, &box_c, sizeof(box_was));
        kernel_gemm('n', 'n', 0, box_a.t, box_b.t, box_c.t);
        assert_memory_equal(box_c.memory, box_was.memory, sizeof(box_was.memory));
    }
}

static void kernel_gemm_lets_nan_and_infinity_through(void **state)
{
    (void)state;
    kernel_make(&box_a, 'd', 3, 3, false, 0);
    kernel_make(&box_b, 'd', 3, 3, false, 0);
    kernel_make(&box_c, 'd', 3, 3, false, 0);
    kernel_set(&box_a.t, 0, 1, (double)NAN);
    kernel_set(&box_a.t, 2, 2, (double)INFINITY);
    kernel_set(&box_b.t, 2, 0, 1);
    kernel_set(&box_b.t, 2, 1, 0);
    kernel_set(&box_b.t, 2, 2, -1);
    kernel_gemm('n', 'n', 1, box_a.t, box_b.t, box_c.t);
    for (int j = 0; j < 3; j++) {
        assert_true(isnan(creal(kernel_get(&box_c.t, 0, j))));
        assert_true(isfinite(creal(kernel_get(&box_c.t, 1, j))));
    }
    assert_true(creal(kernel_get(&box_c.t, 2, 0)) == HUGE_VAL);
    assert_true(isnan(creal(kernel_get(&box_c.t, 2, 1)))); /* infinity times 0 */
    assert_true(creal(kernel_get(&box_c.t, 2, 2)) == -HUGE_VAL);
}

static void kernel_scale_multiplies_the_tile_and_nothing_around_it(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 8; v++) {
        char type = "sdcz"[v % 4];
        bool real = type == 's' || type == 'd';
        double complex beta = real ? 2.5 : 2.5 - I;
        kernel_make(&box_c, type, 9, 7, v / 4, 3);
        memcpy(&box_was, &box_c, sizeof(box_was));
        box_was.t.a = box_was.memory;
        kernel_scale(beta, box_c.t);
        for (int i = 0; i < 9; i++) {
            for (int j = 0; j < 7; j++) {
                double complex want = beta * kernel_get(&box_was.t, i, j);
                assert_true(cabs(kernel_get(&box_c.t, i, j) - want) < 1e-6);
                kernel_set(&box_c.t, i, j, kernel_get(&box_was.t, i, j));
            }
        }
        assert_memory_equal(box_c.memory, box_was.memory, sizeof(box_was.memory));
    }
}

static void kernel_scale_with_0_forgets_nan(void **state)
{
    (void)state;
    kernel_make(&box_c, 'z', 4, 4, false, 1);
    kernel_set(&box_c.t, 2, 2, (double)NAN);
    kernel_scale(0, box_c.t);
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++)
            assert_true(kernel_get(&box_c.t, i, j) == 0);
    }
}

static void kernel_scale_with_a_real_factor_keeps_the_parts_apart(void **state)
{
    (void)state;
    kernel_make(&box_c, 'z', 1, 1, false, 0);
    double complex *z = box_c.t.a;
    ((double *)z)[0] = HUGE_VAL;
    ((double *)z)[1] = 0;
    kernel_scale(2, box_c.t);
    assert_true(creal(*z) == HUGE_VAL && cimag(*z) == 0);
}

static void kernel_names_its_library(void **state)
{
    (void)state;
    char text[256];
    kernel_library(text, sizeof(text));
    assert_non_null(strstr(text, "OpenBLAS"));
    assert_non_null(strstr(text, "running on "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernel_gemm_is_right_for_every_type_transpose_and_layout),
        cmocka_unit_test(kernel_gemm_of_nothing_changes_nothing),
        cmocka_unit_test(kernel_gemm_with_alpha_0_looks_at_nothing),
        cmocka_unit_test(kernel_gemm_lets_nan_and_infinity_through),
        cmocka_unit_test(kernel_scale_multiplies_the_tile_and_nothing_around_it),
        cmocka_unit_test(kernel_scale_with_0_forgets_nan),
        cmocka_unit_test(kernel_scale_with_a_real_factor_keeps_the_parts_apart),
        cmocka_unit_test(kernel_names_its_library),
    };
    kernel_init();
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
