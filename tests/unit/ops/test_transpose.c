#include "tests/unit/unit.h"

#include "ops/derive.h"
#include "ops/inventory.h"
#include "ops/transpose.h"
#include "tests/kit/matrices.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int transpose_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int transpose_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

/* Transposes into a new matrix at `name`, which the caller closes. */
static struct matdir transpose_of(const struct scratch *s, const struct matdir *a, bool conjugate,
                                  const char *name)
{
    struct matdir b = MATDIR_NONE;
    CLEANUP(header_fini) struct header h = {0};
    assert_int_equal(transpose_plan(a, conjugate, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, name), &h, &b, NULL), 0);
    assert_int_equal(transpose_run(a, conjugate, &b, NULL), 0);
    return b;
}

static void transpose_turns_three_axes_of_both_orders(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = ">c8", .ndim = 3, .shape = {5, 4, 3}, .shard = {2, 3, 2}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    CLEANUP(freep) double complex *all = matrices_load(&a);
    for (int turn = 0; turn < 2; turn++) {
        bool conjugate = turn == 1;
        matrices_store(&a, all, turn == 0);
        CLEANUP(matdir_close) struct matdir b = transpose_of(s, &a, conjugate, turn ? "C" : "B");
        CLEANUP(freep) double complex *turned = matrices_load(&b);
        assert_int_equal(b.header.dtype.order, '>');
        assert_int_equal(b.header.grid.shape[0], 3);
        assert_int_equal(b.header.grid.shard[1], 3);
        for (int i = 0; i < 5 * 4 * 3; i++) {
            int to = (i % 3 * 4 + i / 3 % 4) * 5 + i / 12;
            assert_true(turned[to] == (conjugate ? conj(all[i]) : all[i]));
        }
    }
}

static void transpose_leaves_missing_blocks_missing(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "L", .dtype = "c16", .shape = {6, 6}, .shard = {3, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    struct inventory in;
    assert_int_equal(unlinkat(a.fd, "block_0_1", 0), 0);
    assert_int_equal(matdir_set_fill(&a, (struct number){1, 2}, NULL), 0);
    assert_int_equal(derive_set_triangle(&a.header, DERIVE_LOWER, NULL), 0);
    CLEANUP(matdir_close) struct matdir b = transpose_of(s, &a, true, "U");
    CLEANUP(freep) double complex *all = matrices_load(&b);
    assert_int_equal(derive_triangle(&b.header), DERIVE_UPPER);
    assert_true(b.has_fill);
    assert_true(all[3 * 6] == 1 - 2 * I);
    assert_int_equal(inventory_load(&b, false, &in, NULL), 0);
    assert_int_equal(in.count, 3);
    assert_false(inventory_has(&in, 2));
    inventory_fini(&in);
}

static void transpose_fails_at_a_missing_block(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {6, 6}, .shard = {3, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    CLEANUP(matdir_close) struct matdir b = MATDIR_NONE;
    struct err err = {0};
    assert_int_equal(unlinkat(a.fd, "block_0_1", 0), 0);
    assert_int_equal(matdir_create(scratch_at(s, "B"), &a.header, &b, NULL), 0);
    assert_true(transpose_run(&a, false, &b, &err) < 0);
    assert_non_null(strstr(err.msg, "A/block_0_1: the block is missing"));
}

int main(void)
{
#define TRANSPOSE_TEST(fn) cmocka_unit_test_setup_teardown(fn, transpose_setup, transpose_teardown)
    const struct CMUnitTest tests[] = {
        TRANSPOSE_TEST(transpose_turns_three_axes_of_both_orders),
        TRANSPOSE_TEST(transpose_leaves_missing_blocks_missing),
        TRANSPOSE_TEST(transpose_fails_at_a_missing_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
