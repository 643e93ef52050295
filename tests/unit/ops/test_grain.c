#include "tests/unit/unit.h"

#include "ops/grain.h"
#include "ops/kernel.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps against sums written out, on tiles beyond a grain in both orders. */

static struct rng rng;

static struct tile grain_new(char type, int m, int n, bool fortran)
{
    size_t element = tile_element(type);
    size_t parts = (size_t)m * (size_t)n * element / (type == 's' || type == 'c' ? 4 : 8);
    struct tile t = {.a = calloc((size_t)m * (size_t)n + 1, element),
                     .m = m,
                     .n = n,
                     .ld = fortran ? m : n,
                     .type = type,
                     .fortran = fortran};
    float *s = t.a;
    double *d = t.a;
    assert_non_null(t.a);
    for (size_t i = 0; i < parts; i++) {
        double x = (double)(rng_next(&rng) >> 11) * 0x1p-52 - 1;
        if (type == 's' || type == 'c')
            s[i] = (float)x;
        else
            d[i] = x;
    }
    return t;
}

static double complex grain_element(struct tile t, int i, int j)
{
    const void *at = tile_part(t, i, j, 1, 1).a;
    if (t.type == 's')
        return (double)*(const float *)at;
    if (t.type == 'd')
        return *(const double *)at;
    return t.type == 'c' ? (double complex) * (const float complex *)at
                         : *(const double complex *)at;
}

static struct tile grain_copy(struct tile t)
{
    size_t size = (size_t)t.m * (size_t)t.n * tile_element(t.type);
    struct tile copy = t;
    copy.a = malloc(size + 1);
    assert_non_null(copy.a);
    memcpy(copy.a, t.a, size);
    return copy;
}

static int grain_do(const struct step_kind *kind, const struct step_args *x, struct err *err)
{
    int r = 0;
    int phases = kind->phases ? kind->phases(x) : 1;
    for (int phase = 0; r == 0 && phase < phases; phase++) {
        for (int piece = kind->pieces(x, phase); r == 0 && piece > 0; piece--) /* in any order */
            r = kind->run(x, phase, piece - 1, err);
    }
    assert_true(kind->flops(x) >= 0);
    return r;
}

static double grain_eps(char type)
{
    return type == 's' || type == 'c' ? 0x1p-23 : 0x1p-52;
}

/* One of each type and order; sizes that leave a small grain at the edge. */
static const struct {
    char type;
    bool fortran;
    int m, n;
} grain_case[] = {
    {'d', false, 515, 530}, {'d', true, 530, 515}, {'s', false, 40, 514}, {'s', true, 514, 3},
    {'c', false, 513, 20},  {'c', true, 20, 513},  {'z', false, 9, 11},   {'z', true, 513, 514},
};

static void grain_check_product(const struct step_kind *kind, char type, int m, int n, bool fortran,
                                bool coarse)
{
    enum { K = 9 };
    struct tile out = grain_new(type, m, n, fortran);
    struct tile before = grain_copy(out);
    struct step_args x = {.in = {grain_new(type, K, m, true), grain_new(type, K, n, false)},
                          .out = out,
                          .transa = 'c',
                          .transb = 'n',
                          .coarse = coarse,
                          .alpha = 2};
    assert_int_equal(grain_do(kind, &x, NULL), 0);
    for (int i = 0; i < m; i += 7) {
        for (int j = n - 1; j >= 0; j -= 5) {
            double complex want = grain_element(before, i, j);
            for (int k = 0; k < K; k++)
                want += 2 * conj(grain_element(x.in[0], k, i)) * grain_element(x.in[1], k, j);
            assert_true(cabs(want - grain_element(out, i, j)) < 100 * grain_eps(type));
        }
    }
    free(x.in[0].a);
    free(x.in[1].a);
    free(out.a);
    free(before.a);
}

static void grain_gemm_adds_a_product(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(grain_case); c++) {
        char type = grain_case[c].type;
        int m = 2 * grain_case[c].m; /* beyond two grains */
        int n = 2 * grain_case[c].n;
        bool fortran = grain_case[c].fortran;
        grain_check_product(&grain_gemm, type, m, n, fortran, false);
        grain_check_product(&grain_gemm, type, 2 * m, n, fortran, true);
        grain_check_product(&grain_update, type, m, n, fortran, false);
        grain_check_product(&grain_update, type, n, m, !fortran, false);
    }
}

static void grain_is_coarse_where_there_are_many_pieces(void **state)
{
    (void)state;
    assert_true(grain_is_coarse(8192, 8192));
    assert_true(grain_is_coarse(6145, 6145));
    assert_false(grain_is_coarse(6144, 6144));
    assert_true(grain_is_coarse(1, 30721));
    assert_false(grain_is_coarse(30720, 1));
    assert_false(grain_is_coarse(0, 1000000));
    assert_true(grain_is_coarse(INT64_MAX / 2, INT64_MAX / 2));
}

/* A Hermitian tile with a strong diagonal, and its factor; what is above the diagonal stays. */
static void grain_potrf_factors_the_lower_triangle(void **state)
{
    static const char types[] = "sdcz";
    (void)state;
    for (int c = 0; c < 8; c++) {
        enum { N = 530 };
        char type = types[c / 2];
        struct tile a = grain_new(type, N, N, c % 2);
        kernel_shift(N, a);
        for (int i = 0; i < N && c >= 4; i++) { /* complex: its diagonal is real */
            void *at = tile_part(a, i, i, 1, 1).a;
            if (type == 'c')
                *(float complex *)at = crealf(*(float complex *)at);
            else
                *(double complex *)at = creal(*(double complex *)at);
        }
        struct step_args x = {.out = grain_copy(a)};
        struct tile l = x.out;
        assert_int_equal(grain_do(&grain_potrf, &x, NULL), 0);
        for (int i = 0; i < N; i += 23) {
            for (int j = 0; j < N; j += 19) {
                double complex sum = 0;
                for (int k = 0; k <= MIN(i, j); k++)
                    sum += grain_element(l, i, k) * conj(grain_element(l, j, k));
                double complex want = grain_element(a, i, j);
                if (j > i)
                    assert_true(grain_element(l, i, j) == want);
                else
                    assert_true(cabs(sum - want) < N * 10 * grain_eps(type));
            }
        }
        free(a.a);
        free(l.a);
    }
}

static void grain_potrf_says_which_minor_failed(void **state)
{
    enum { N = 600 };
    struct err err = {0};
    (void)state;
    for (int bad = 0; bad < N; bad += 299) {
        struct tile a = grain_new('d', N, N, bad % 2);
        struct step_args x = {.out = a, .block = 2, .row = 2000};
        double *at = tile_part(a, bad, bad, 1, 1).a;
        char says[64];
        memset(a.a, 0, sizeof(double) * N * N);
        kernel_shift(1, a);
        *at = bad == 299 ? (double)NAN : -4;
        assert_int_equal(grain_do(&grain_potrf, &x, &err), -EDOM);
        (void)snprintf(says, sizeof(says), "order %d is not positive definite (block 2,2 row %d,",
                       2000 + bad + 1, bad);
        assert_non_null(strstr(err.msg, says));
        free(a.a);
    }
}

/* Element (i, j) of op(t), of which one triangle counts. */
static double complex grain_op(struct tile t, char uplo, char trans, int i, int j)
{
    int row = trans == 'n' ? i : j;
    int column = trans == 'n' ? j : i;
    if (uplo == 'l' ? column > row : column < row)
        return 0;
    return trans == 'c' ? conj(grain_element(t, row, column)) : grain_element(t, row, column);
}

/* x op(t) = b, or op(t) x = b. */
static void grain_check_solution(const struct step_args *x, struct tile b)
{
    int n = x->in[0].n;
    int others = x->side == 'l' ? b.n : b.m;
    for (int other = 0; other < others; other += 23) {
        for (int i = 0; i < n; i++) {
            bool left = x->side == 'l';
            double complex sum = 0;
            for (int k = 0; k < n; k++)
                sum += left ? grain_op(x->in[0], x->uplo, x->transa, i, k) *
                                  grain_element(x->out, k, other)
                            : grain_element(x->out, other, k) *
                                  grain_op(x->in[0], x->uplo, x->transa, k, i);
            double complex want = left ? grain_element(b, i, other) : grain_element(b, other, i);
            assert_true(cabs(sum - want) < 500 * grain_eps(b.type));
        }
    }
}

static void grain_check_trsm(char side, char uplo, char trans, char type, bool fortran)
{
    enum { N = 150, OTHERS = 530 }; /* beyond the halving, and a grain */
    struct step_args x = {.in = {grain_new(type, N, N, fortran)},
                          .out = side == 'l' ? grain_new(type, N, OTHERS, fortran)
                                             : grain_new(type, OTHERS, N, fortran),
                          .side = side,
                          .uplo = uplo,
                          .transa = trans,
                          .diag = 'n'};
    struct tile b = grain_copy(x.out);
    kernel_shift(N, x.in[0]);
    assert_int_equal(grain_do(&grain_trsm, &x, NULL), 0);
    grain_check_solution(&x, b);
    free(x.in[0].a);
    free(x.out.a);
    free(b.a);
}

static void grain_trsm_solves(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 2 * 2 * 3 * 4 * 2; c++) {
        char side = "lr"[c % 2];
        char uplo = "lu"[c / 2 % 2];
        char trans = "ntc"[c / 4 % 3];
        char type = "sdcz"[c / 12 % 4];
        grain_check_trsm(side, uplo, trans, type, c / 48 % 2);
    }
}

static void grain_herk_changes_the_lower_triangle_only(void **state)
{
    enum { N = 520, K = 7 };
    static const char types[] = "sdcz";
    (void)state;
    for (int c = 0; c < 16; c++) {
        char type = types[c / 4];
        bool turned = c / 2 % 2;
        struct step_args x = {.in = {grain_new(type, turned ? K : N, turned ? N : K, c % 2)},
                              .out = grain_new(type, N, N, c % 2),
                              .transa = turned ? 'c' : 'n',
                              .alpha = -1};
        struct tile before = grain_copy(x.out);
        assert_int_equal(grain_do(&grain_herk, &x, NULL), 0);
        for (int i = 0; i < N; i += 3) {
            for (int j = 0; j < N; j += 17) {
                double complex want = grain_element(before, i, j);
                struct tile a = turned ? tile_turn(x.in[0]) : x.in[0];
                for (int k = 0; k < K && j <= i; k++) {
                    double complex p = grain_element(a, i, k) * conj(grain_element(a, j, k));
                    want -= turned ? conj(p) : p;
                }
                if (i == j)
                    want = creal(want); /* BLAS takes a Hermitian diagonal for real */
                assert_true(cabs(want - grain_element(x.out, i, j)) < 100 * grain_eps(type));
            }
        }
        free(x.in[0].a);
        free(x.out.a);
        free(before.a);
    }
}

static void grain_scale_add_and_shift_go_through_all(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(grain_case); c++) {
        char type = grain_case[c].type;
        int m = grain_case[c].m;
        int n = grain_case[c].n;
        struct step_args x = {.in = {grain_new(type, m, n, grain_case[c].fortran)},
                              .out = grain_new(type, m, n, grain_case[c].fortran),
                              .alpha = -3};
        struct tile before = grain_copy(x.out);
        assert_int_equal(grain_do(&grain_scale, &x, NULL), 0);
        assert_int_equal(grain_do(&grain_add, &x, NULL), 0);
        assert_int_equal(grain_do(&grain_shift, &x, NULL), 0);
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j += 3) {
                double complex want = -3 * grain_element(before, i, j) +
                                      grain_element(x.in[0], i, j) - (i == j ? 3 : 0);
                assert_true(cabs(want - grain_element(x.out, i, j)) < 20 * grain_eps(type));
            }
        }
        free(x.in[0].a);
        free(x.out.a);
        free(before.a);
    }
}

static void kernel_is_finite_finds_the_first_that_is_not(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_SIZE(grain_case); c++) {
        int i = -1;
        int j = -1;
        struct tile t = grain_new(grain_case[c].type, 33, 20, grain_case[c].fortran);
        bool single = t.type == 's' || t.type == 'c';
        assert_true(kernel_is_finite(t, false, &i, &j));
        void *at = tile_part(t, 5, 17, 1, 1).a;
        if (single)
            *(float *)at = c % 2 ? INFINITY : NAN;
        else
            *(double *)at = c % 2 ? (double)-INFINITY : (double)NAN;
        assert_false(kernel_is_finite(t, false, &i, &j));
        assert_int_equal(i, 5);
        assert_int_equal(j, 17);
        assert_true(kernel_is_finite(t, true, &i, &j)); /* above the diagonal */
        free(t.a);
    }
}

static void grain_turn_and_mirror_conjugate(void **state)
{
    static const char types[] = "sdcz";
    (void)state;
    for (int c = 0; c < 8; c++) {
        struct step_args turn = {.in = {grain_new(types[c / 2], 600, 37, c % 2)},
                                 .out = grain_new(types[c / 2], 37, 600, false)};
        struct step_args mirror = {.out = grain_new(types[c / 2], 41, 41, c % 2)};
        assert_int_equal(grain_do(&grain_turn, &turn, NULL), 0);
        for (int i = 0; i < 37; i++) {
            for (int j = 0; j < 600; j++)
                assert_true(grain_element(turn.out, i, j) == conj(grain_element(turn.in[0], j, i)));
        }
        struct tile before = grain_copy(mirror.out);
        assert_int_equal(grain_do(&grain_mirror, &mirror, NULL), 0);
        for (int i = 0; i < 41; i++) {
            for (int j = 0; j < 41; j++)
                assert_true(
                    grain_element(mirror.out, i, j) ==
                    (i >= j ? grain_element(before, i, j) : conj(grain_element(before, j, i))));
        }
        free(turn.in[0].a);
        free(turn.out.a);
        free(mirror.out.a);
        free(before.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grain_gemm_adds_a_product),
        cmocka_unit_test(grain_is_coarse_where_there_are_many_pieces),
        cmocka_unit_test(grain_potrf_factors_the_lower_triangle),
        cmocka_unit_test(grain_potrf_says_which_minor_failed),
        cmocka_unit_test(grain_trsm_solves),
        cmocka_unit_test(grain_herk_changes_the_lower_triangle_only),
        cmocka_unit_test(grain_turn_and_mirror_conjugate),
        cmocka_unit_test(grain_scale_add_and_shift_go_through_all),
        cmocka_unit_test(kernel_is_finite_finds_the_first_that_is_not),
    };
    kernel_init();
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
