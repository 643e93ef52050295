#include "tests/unit/unit.h"

#include "ops/norm.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int norm_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int norm_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

static long double norm_of(const struct matdir *m, enum norm_kind kind)
{
    long double v = -1;
    assert_int_equal(norm_run(m, kind, &v, NULL), 0);
    return v;
}

static bool norm_is_near(long double a, long double b)
{
    return fabsl(a - b) <= 1e-15L * fabsl(b);
}

/* The four norms by their definitions, of 10 x 7 elements. */
static void norm_define(const double complex *x, long double ret[4])
{
    long double column[7] = {0};
    memset(ret, 0, 4 * sizeof(*ret));
    for (int i = 0; i < 10; i++) {
        long double row = 0;
        for (int j = 0; j < 7; j++) {
            long double v = hypotl(creal(x[7 * i + j]), cimag(x[7 * i + j]));
            row += v;
            column[j] += v;
            ret[NORM_FRO] += v * v;
            ret[NORM_MAX] = fmaxl(ret[NORM_MAX], v);
            ret[NORM_ONE] = fmaxl(ret[NORM_ONE], column[j]);
        }
        ret[NORM_INF] = fmaxl(ret[NORM_INF], row);
    }
    ret[NORM_FRO] = sqrtl(ret[NORM_FRO]);
}

static void norm_agrees_with_its_definition(void **state)
{
    const struct scratch *s = *state;
    static const char *const types[] = {"f8", ">f4", "c16", "c8"};
    static const char *const names[] = {"A", "B", "C", "D"};
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        const struct matrices_spec spec = {
            .name = names[t], .dtype = types[t], .shape = {10, 7}, .shard = {4, 3}};
        CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec, t);
        CLEANUP(freep) double complex *x = matrices_load(&m);
        long double want[4];
        norm_define(x, want);
        for (int turn = 0; turn < 2; turn++) {
            for (int kind = 0; kind < 4; kind++)
                assert_true(norm_is_near(norm_of(&m, (enum norm_kind)kind), want[kind]));
            matrices_store(&m, x, true);
        }
    }
}

static void norm_neither_overflows_nor_underflows(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    static const double scale[] = {1e200, 1e-200, 1e300, 0x1p-1074};
    for (size_t k = 0; k < ARRAY_SIZE(scale); k++) {
        double complex x[70];
        for (int i = 0; i < 70; i++)
            x[i] = scale[k];
        matrices_store(&m, x, false);
        assert_true(norm_is_near(norm_of(&m, NORM_FRO), sqrtl(70) * scale[k]));
        assert_true(norm_is_near(norm_of(&m, NORM_ONE), 10.0L * scale[k]));
    }
    double complex mixed[70] = {[3] = 1e200, [9] = 1e-200};
    matrices_store(&m, mixed, false);
    assert_true(norm_is_near(norm_of(&m, NORM_FRO), 1e200L));
}

static void norm_shows_nan_and_infinity(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    for (int place = 0; place < 70; place += 23) {
        double complex x[70] = {[35] = -HUGE_VAL, [36] = 5};
        matrices_store(&m, x, false);
        for (int kind = 0; kind < 4; kind++)
            assert_true(isinf(norm_of(&m, (enum norm_kind)kind)));
        x[place] = (double)NAN;
        matrices_store(&m, x, false);
        for (int kind = 0; kind < 4; kind++)
            assert_true(isnan(norm_of(&m, (enum norm_kind)kind)));
    }
}

static void norm_takes_integers_vectors_and_many_axes(void **state)
{
    const struct scratch *s = *state;
    double complex x[24] = {-3, 4};
    const struct matrices_spec vector = {
        .name = "V", .dtype = "i8", .ndim = 1, .shape = {24}, .shard = {5}};
    const struct matrices_spec cube = {
        .name = "C", .dtype = "i1", .ndim = 3, .shape = {2, 3, 4}, .shard = {2, 2, 3}};
    const struct matrices_spec empty = {
        .name = "E", .dtype = "f8", .shape = {0, 3}, .shard = {2, 2}};
    CLEANUP(matdir_close) struct matdir v = matrices_empty(s, &vector);
    CLEANUP(matdir_close) struct matdir c = matrices_empty(s, &cube);
    CLEANUP(matdir_close) struct matdir e = matrices_empty(s, &empty);
    long double ignored = 0;
    matrices_store(&v, x, false);
    matrices_store(&c, x, false);
    assert_true(norm_of(&v, NORM_FRO) == 5 && norm_of(&v, NORM_MAX) == 4);
    assert_true(norm_of(&v, NORM_ONE) == 7 && norm_of(&v, NORM_INF) == 4);
    assert_true(norm_of(&c, NORM_FRO) == 5 && norm_of(&c, NORM_MAX) == 4);
    assert_int_equal(norm_run(&c, NORM_ONE, &ignored, NULL), -EINVAL);
    assert_true(norm_of(&e, NORM_FRO) == 0 && norm_of(&e, NORM_INF) == 0);
}

static void norm_counts_missing_blocks_as_what_stands_for_them(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {5, 5}, .shard = {2, 2}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    struct number trace;
    struct err err = {0};
    long double ignored = 0;
    assert_int_equal(norm_run(&m, NORM_FRO, &ignored, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "A/block_0_0: the block is missing"));
    assert_int_equal(norm_trace(&m, &trace, &err), -ENOENT);
    assert_int_equal(matdir_set_fill(&m, (struct number){-2, 0}, NULL), 0);
    assert_true(norm_of(&m, NORM_FRO) == 10 && norm_of(&m, NORM_INF) == 10);
    assert_int_equal(norm_trace(&m, &trace, NULL), 0);
    assert_true(trace.re == -10);
}

static void norm_trace_sums_the_diagonal_of_any_blocks(void **state)
{
    const struct scratch *s = *state;
    static const int64_t shard[][2] = {{4, 4}, {3, 5}, {10, 1}, {1, 10}, {7, 3}};
    static const char *const names[] = {"A", "B", "C", "D", "E"};
    for (size_t k = 0; k < ARRAY_SIZE(shard); k++) {
        struct matrices_spec spec = {.name = names[k], .dtype = "c16", .shape = {10, 10}};
        memcpy(spec.shard, shard[k], sizeof(shard[k]));
        CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec, 1);
        CLEANUP(freep) double complex *x = matrices_load(&m);
        double complex want = 0;
        struct number trace;
        for (int i = 0; i < 10; i++)
            want += x[11 * i];
        for (int turn = 0; turn < 2; turn++) {
            assert_int_equal(norm_trace(&m, &trace, NULL), 0);
            assert_true(fabsl(trace.re - creal(want)) < 1e-14L);
            assert_true(fabsl(trace.im - cimag(want)) < 1e-14L);
            matrices_store(&m, x, true);
        }
    }
}

static void norm_trace_needs_a_square_matrix(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec wide = {
        .name = "W", .dtype = "f8", .shape = {5, 6}, .shard = {2, 2}};
    const struct matrices_spec cube = {
        .name = "C", .dtype = "f8", .ndim = 3, .shape = {2, 2, 2}, .shard = {2, 2, 3}};
    CLEANUP(matdir_close) struct matdir w = matrices_empty(s, &wide);
    CLEANUP(matdir_close) struct matdir c = matrices_empty(s, &cube);
    struct err err = {0};
    assert_int_equal(norm_trace_check(&w, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "5x6"));
    assert_int_equal(norm_trace_check(&c, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "3 axes"));
}

int main(void)
{
#define NORM_TEST(fn) cmocka_unit_test_setup_teardown(fn, norm_setup, norm_teardown)
    const struct CMUnitTest tests[] = {
        NORM_TEST(norm_agrees_with_its_definition),
        NORM_TEST(norm_neither_overflows_nor_underflows),
        NORM_TEST(norm_shows_nan_and_infinity),
        NORM_TEST(norm_takes_integers_vectors_and_many_axes),
        NORM_TEST(norm_counts_missing_blocks_as_what_stands_for_them),
        NORM_TEST(norm_trace_sums_the_diagonal_of_any_blocks),
        NORM_TEST(norm_trace_needs_a_square_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
