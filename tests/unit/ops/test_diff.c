#include "tests/unit/unit.h"

#include "ops/create.h"
#include "ops/diff.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct matdir a, b; /* the same 10 x 7 numbers in blocks of 4 x 3 and of 3 x 7 */
    double complex *all;
};

static int diff_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    static const struct matrices_spec a = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    static const struct matrices_spec b = {
        .name = "B", .dtype = ">f8", .shape = {10, 7}, .shard = {3, 7}};
    scratch_init(&f->scratch);
    f->a = matrices_random(&f->scratch, &a, 5);
    f->b = matrices_random(&f->scratch, &b, 5);
    f->all = matrices_load(&f->a);
    *state = f;
    return 0;
}

static int diff_teardown(void **state)
{
    struct fixture *f = *state;
    matdir_close(&f->a);
    matdir_close(&f->b);
    scratch_fini(&f->scratch);
    free(f->all);
    free(f);
    return 0;
}

static struct diff_result diff_of(struct fixture *f, struct diff d)
{
    struct diff_result r;
    assert_int_equal(diff_run(&f->a, &f->b, &d, &r, NULL), 0);
    return r;
}

static void diff_of_other_blocks_and_byte_order_is_none(void **state)
{
    struct fixture *f = *state;
    struct diff_result r = diff_of(f, (struct diff){0});
    assert_true(diff_is_same(&r));
    assert_int_equal(r.compared, 70);
    assert_true(r.max_abs == 0 && r.max_rel == 0);
    matrices_store(&f->b, f->all, true);
    r = diff_of(f, (struct diff){0});
    assert_true(diff_is_same(&r));
}

static void diff_finds_each_changed_element(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 70; k++) {
        double complex was = f->all[k];
        f->all[k] += 0.5;
        matrices_store(&f->b, f->all, false);
        struct diff_result r = diff_of(f, (struct diff){0});
        assert_int_equal(r.different, 1);
        assert_int_equal(r.first.index[0], k / 7);
        assert_int_equal(r.first.index[1], k % 7);
        assert_true(r.first.a.re == (long double)creal(was));
        assert_true(r.first.b.re == (long double)creal(f->all[k]));
        assert_true(fabsl(r.worst.abs_error - 0.5L) < 1e-15L);
        assert_memory_equal(r.worst.index, r.first.index, 2 * sizeof(int64_t));
        f->all[k] = was;
    }
}

static void diff_tells_first_and_worst(void **state)
{
    struct fixture *f = *state;
    f->all[8] += 0.25;  /* (1, 1): in a's first block */
    f->all[33] = 100;   /* (4, 5) */
    f->all[34] += 1e-9; /* (4, 6) */
    matrices_store(&f->b, f->all, false);
    struct diff_result r = diff_of(f, (struct diff){.atol = 1e-6});
    assert_int_equal(r.different, 2);
    assert_int_equal(r.first.index[0], 1);
    assert_int_equal(r.worst.index[0], 4);
    assert_int_equal(r.worst.index[1], 5);
    assert_true(r.max_abs == r.worst.abs_error);
    assert_true(r.max_rel >= r.worst.rel_error && r.max_rel < 3);
}

static void diff_tolerates_what_it_is_told_to(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 70; k++)
        f->all[k] *= 1 + 1e-7;
    matrices_store(&f->b, f->all, false);
    assert_int_equal(diff_of(f, (struct diff){.rtol = 0.9e-7}).different, 70);
    struct diff_result r = diff_of(f, (struct diff){.rtol = 1.1e-7});
    assert_true(diff_is_same(&r));
    assert_true(fabsl(r.max_rel - 1e-7L) < 1e-9L); /* tolerated, but told */
    assert_int_equal(diff_of(f, (struct diff){.atol = 1e-5}).different, 0);
}

static void diff_compares_nan_and_infinity_by_what_they_are(void **state)
{
    struct fixture *f = *state;
    const double nan = (double)NAN;
    const double inf = HUGE_VAL;
    static const double complex zero;
    double complex here[70];
    double complex there[70];
    for (int k = 0; k < 70; k++)
        here[k] = there[k] = zero;
    here[0] = there[0] = nan;
    here[1] = there[1] = inf;
    here[2] = inf, there[2] = -inf;
    here[3] = nan, there[3] = 1;
    here[4] = 1, there[4] = inf;
    there[5] = -0.0;
    matrices_store(&f->a, here, false);
    matrices_store(&f->b, there, false);
    assert_int_equal(diff_of(f, (struct diff){0}).different, 4);
    struct diff_result r =
        diff_of(f, (struct diff){.equal_nan = true, .rtol = 1e300, .atol = 1e300});
    assert_int_equal(r.different, 3);
    assert_true(isinf(r.max_abs) && isinf(r.worst.rel_error));
}

/* What is infinite or no number in one part must not hide the other one. */
static void diff_compares_both_parts_of_complex_numbers(void **state)
{
    struct fixture *f = *state;
    const double nan = (double)NAN;
    const double inf = HUGE_VAL;
    const struct matrices_spec spec = {
        .name = "X", .dtype = "c16", .shape = {1, 4}, .shard = {1, 4}};
    const struct matrices_spec other = {
        .name = "Y", .dtype = "c16", .shape = {1, 4}, .shard = {1, 4}};
    const double complex here[] = {__builtin_complex(inf, 1.0), __builtin_complex(1.0, nan),
                                   __builtin_complex(inf, 3.0), __builtin_complex(nan, 4.0)};
    const double complex there[] = {__builtin_complex(inf, 2.0), __builtin_complex(2.0, nan),
                                    __builtin_complex(inf, 3.0), __builtin_complex(nan, 4.0)};
    static const struct {
        struct diff how;
        int64_t different;
    } want[] = {{{.equal_nan = true}, 2},
                {{.equal_nan = true, .rtol = 0.4}, 2},
                {{.equal_nan = true, .rtol = 0.6}, 0}, /* of the part that differs */
                {{.equal_nan = true, .atol = 1}, 0}};
    CLEANUP(matdir_close) struct matdir x = matrices_empty(&f->scratch, &spec);
    CLEANUP(matdir_close) struct matdir y = matrices_empty(&f->scratch, &other);
    matrices_store(&x, here, false);
    matrices_store(&y, there, false);
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        struct diff_result r;
        assert_int_equal(diff_run(&x, &y, &want[i].how, &r, NULL), 0);
        assert_int_equal(r.different, want[i].different);
        assert_true(r.max_abs == 1 && r.max_rel == 0.5L);
    }
}

static void diff_compares_types_by_value(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"f4", "c8", "c16", "f2"};
    for (int k = 0; k < 70; k++)
        f->all[k] = (double)k / 8;
    matrices_store(&f->a, f->all, false);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        char name[8];
        struct diff_result r;
        (void)snprintf(name, sizeof(name), "T%zu", i);
        const struct matrices_spec spec = {
            .name = name, .dtype = types[i], .shape = {10, 7}, .shard = {5, 5}};
        CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
        matrices_store(&m, f->all, false);
        assert_int_equal(diff_run(&f->a, &m, &(struct diff){0}, &r, NULL), 0);
        assert_true(diff_is_same(&r));
        assert_int_equal(diff_run(&m, &f->a, &(struct diff){0}, &r, NULL), 0);
        assert_true(diff_is_same(&r));
    }
}

static void diff_sees_an_imaginary_part(void **state)
{
    struct fixture *f = *state;
    struct diff_result r;
    const struct matrices_spec spec = {
        .name = "Z", .dtype = "c16", .shape = {10, 7}, .shard = {5, 5}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
    f->all[69] += 4 * I;
    matrices_store(&m, f->all, false);
    assert_int_equal(diff_run(&f->a, &m, &(struct diff){0}, &r, NULL), 0);
    assert_int_equal(r.different, 1);
    assert_int_equal(r.first.index[0], 9);
    assert_true(r.first.abs_error == 4 && r.first.b.im == 4 && r.first.a.im == 0);
}

/* Doubles would take them for equal. */
static void diff_tells_large_integers_apart(void **state)
{
    struct fixture *f = *state;
    const struct matrices_spec spec[] = {
        {.name = "I", .dtype = "u8", .ndim = 1, .shape = {1}, .shard = {1}},
        {.name = "J", .dtype = "u8", .ndim = 1, .shape = {1}, .shard = {1}}};
    const struct create one = {.what = CREATE_VALUE, .value = {0x1p64L - 1, 0}};
    const struct create two = {.what = CREATE_VALUE, .value = {0x1p64L - 2, 0}};
    struct diff_result r;
    CLEANUP(matdir_close) struct matdir i = matrices_empty(&f->scratch, &spec[0]);
    CLEANUP(matdir_close) struct matdir j = matrices_empty(&f->scratch, &spec[1]);
    assert_int_equal(create_run(&i, &one, NULL), 0);
    assert_int_equal(create_run(&j, &two, NULL), 0);
    assert_int_equal(diff_run(&i, &j, &(struct diff){0}, &r, NULL), 0);
    assert_int_equal(r.different, 1);
    assert_true(r.max_abs == 1);
}

static void diff_counts_what_only_one_has(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlinkat(f->a.fd, "block_0_0", 0), 0); /* rows 0 to 3, columns 0 to 2 */
    struct diff_result r = diff_of(f, (struct diff){0});
    assert_int_equal(r.only_b, 12);
    assert_int_equal(r.compared, 58);
    assert_false(diff_is_same(&r));
    assert_int_equal(unlinkat(f->b.fd, "block_0_0", 0), 0); /* rows 0 to 2 */
    r = diff_of(f, (struct diff){0});
    assert_int_equal(r.neither, 9);
    assert_int_equal(r.only_b, 3);
    assert_int_equal(r.only_a, 12);
    assert_int_equal(r.compared, 46);
}

static void diff_takes_fill_values_for_missing_blocks(void **state)
{
    struct fixture *f = *state;
    for (int k = 0; k < 70; k++)
        f->all[k] = k < 28 && k % 7 < 3 ? 2 : k;
    matrices_store(&f->a, f->all, false);
    matrices_store(&f->b, f->all, false);
    assert_int_equal(unlinkat(f->a.fd, "block_0_0", 0), 0);
    assert_int_equal(matdir_set_fill(&f->a, (struct number){2, 0}, NULL), 0);
    struct diff_result r = diff_of(f, (struct diff){0});
    assert_true(diff_is_same(&r));
    assert_int_equal(r.compared, 70);
}

static void diff_check_refuses_what_cannot_be_compared(void **state)
{
    struct fixture *f = *state;
    static const struct matrices_spec spec[] = {
        {.name = "X", .dtype = "f8", .shape = {7, 10}, .shard = {5, 5}},
        {.name = "Y", .dtype = "f8", .ndim = 3, .shape = {10, 7, 1}, .shard = {5, 5, 1}},
        {.name = "Z", .dtype = "i8", .shape = {10, 7}, .shard = {5, 5}}};
    static const char *const says[] = {"shapes differ: axis 0 is 7, in ", "3 axes, where ",
                                       "type int64 cannot be compared with float64 of "};
    for (size_t i = 0; i < ARRAY_SIZE(spec); i++) {
        struct err err = {0};
        CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec[i]);
        assert_int_equal(diff_check(&f->a, &m, &err), -EINVAL);
        assert_non_null(strstr(err.msg, says[i]));
    }
}

static void diff_of_a_bad_block_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct diff_result r;
    struct err err = {0};
    scratch_write(&f->scratch, "B/block_1_0", "not npy");
    assert_int_equal(diff_run(&f->a, &f->b, &(struct diff){0}, &r, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "/B/block_1_0: "));
}

int main(void)
{
#define DIFF_TEST(fn) cmocka_unit_test_setup_teardown(fn, diff_setup, diff_teardown)
    const struct CMUnitTest tests[] = {
        DIFF_TEST(diff_of_other_blocks_and_byte_order_is_none),
        DIFF_TEST(diff_finds_each_changed_element),
        DIFF_TEST(diff_tells_first_and_worst),
        DIFF_TEST(diff_tolerates_what_it_is_told_to),
        DIFF_TEST(diff_compares_nan_and_infinity_by_what_they_are),
        DIFF_TEST(diff_compares_both_parts_of_complex_numbers),
        DIFF_TEST(diff_compares_types_by_value),
        DIFF_TEST(diff_sees_an_imaginary_part),
        DIFF_TEST(diff_tells_large_integers_apart),
        DIFF_TEST(diff_counts_what_only_one_has),
        DIFF_TEST(diff_takes_fill_values_for_missing_blocks),
        DIFF_TEST(diff_check_refuses_what_cannot_be_compared),
        DIFF_TEST(diff_of_a_bad_block_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
