#include "tests/unit/unit.h"

#include "ops/create.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int create_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int create_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

static void create_rand_is_the_same_matrix_in_any_blocks(void **state)
{
    const struct scratch *s = *state;
    static const struct matrices_spec spec[] = {
        {.name = "whole", .dtype = "f8", .ndim = 3, .shape = {7, 5, 6}, .shard = {7, 5, 6}},
        {.name = "rows", .dtype = "f8", .ndim = 3, .shape = {7, 5, 6}, .shard = {1, 5, 6}},
        {.name = "ragged", .dtype = "f8", .ndim = 3, .shape = {7, 5, 6}, .shard = {3, 2, 4}},
        {.name = "big", .dtype = ">f8", .ndim = 3, .shape = {7, 5, 6}, .shard = {3, 2, 4}}};
    CLEANUP(freep) double complex *first = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(spec); i++) {
        CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec[i], 42);
        CLEANUP(freep) double complex *all = matrices_load(&m);
        if (i == 0)
            first = TAKE(all);
        else
            assert_memory_equal(all, first, 7 * 5 * 6 * sizeof(*all));
    }
    CLEANUP(freep) double *want = malloc(210 * sizeof(*want));
    rand_fill(RAND_NORMAL, 42, 0, 210, (struct dtype){'f', 8, '<'}, want);
    for (int i = 0; i < 210; i++)
        assert_true(creal(first[i]) == want[i]);
}

static void create_eye_has_its_ones_on_the_diagonal_of_any_blocks(void **state)
{
    const struct scratch *s = *state;
    const struct create c = {.what = CREATE_EYE, .value = {1, 0}};
    static const int64_t shape[][4] = {{10, 7, 4, 3}, {7, 10, 3, 4}, {5, 5, 5, 5}, {1, 1, 9, 9}};
    for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "E%zu", i);
        const struct matrices_spec spec = {.name = name,
                                           .dtype = "c8",
                                           .shape = {shape[i][0], shape[i][1]},
                                           .shard = {shape[i][2], shape[i][3]}};
        CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
        assert_int_equal(create_run(&m, &c, NULL), 0);
        CLEANUP(freep) double complex *all = matrices_load(&m);
        for (int64_t k = 0; k < shape[i][0] * shape[i][1]; k++)
            assert_true(all[k] == (k / shape[i][1] == k % shape[i][1]));
    }
}

static void create_value_fills_every_block_and_counts_them(void **state)
{
    const struct scratch *s = *state;
    const struct create c = {.what = CREATE_VALUE, .value = {-3, 0.5L}};
    const struct matrices_spec spec = {
        .name = "V", .dtype = "c16", .shape = {5, 3}, .shard = {2, 2}};
    struct watch watch = {0};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    m.watch = &watch;
    assert_int_equal(create_run(&m, &c, NULL), 0);
    CLEANUP(freep) double complex *all = matrices_load(&m);
    for (int k = 0; k < 15; k++)
        assert_true(all[k] == -3 + 0.5 * I);
    assert_int_equal(watch.steps, 6);
    assert_int_equal(watch.steps_done, 6);
    assert_int_equal(watch.bytes_written, 15 * 16);
}

static void create_check_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct header h = {.grid = {.ndim = 3, .shape = {2, 2, 2}, .shard = {1, 1, 1}},
                       .dtype = {'i', 4, '<'}};
    struct err err = {0};
    assert_int_equal(create_check(&h, &(struct create){.what = CREATE_EYE}, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "2 axes"));
    assert_int_equal(create_check(&h, &(struct create){.what = CREATE_RAND}, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not int32"));
    assert_int_equal(
        create_check(&h, &(struct create){.what = CREATE_VALUE, .value = {0.5L, 0}}, &err),
        -EINVAL);
    assert_int_equal(
        create_check(&h, &(struct create){.what = CREATE_VALUE, .value = {7, 0}}, &err), 0);
}

static void create_of_an_empty_matrix_makes_no_block(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "N", .dtype = "f8", .shape = {0, 3}, .shard = {2, 2}};
    struct watch watch = {0};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    m.watch = &watch;
    assert_int_equal(create_run(&m, &(struct create){.what = CREATE_VALUE}, NULL), 0);
    assert_int_equal(watch.bytes_written, 0);
}

int main(void)
{
#define CREATE_TEST(fn) cmocka_unit_test_setup_teardown(fn, create_setup, create_teardown)
    const struct CMUnitTest tests[] = {
        CREATE_TEST(create_rand_is_the_same_matrix_in_any_blocks),
        CREATE_TEST(create_eye_has_its_ones_on_the_diagonal_of_any_blocks),
        CREATE_TEST(create_value_fills_every_block_and_counts_them),
        CREATE_TEST(create_check_refuses_what_cannot_be),
        CREATE_TEST(create_of_an_empty_matrix_makes_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
