#include "tests/unit/unit.h"

#include "matrix/infer.h"

#include <errno.h>
#include <string.h>

static const struct npy infer_npy = {.dtype = {'f', 4, '<'}, .ndim = 2, .shape = {4, 3}};

static void infer_finds_the_shape_whatever_the_order_of_names(void **state)
{
    (void)state;
    static const char *const name[] = {"8_10_4_0_3_3_", "0_4_4_6_7_3_", "0_4_4_0_3_3_",
                                       "4_8_4_3_6_3_"};
    for (size_t first = 0; first < ARRAY_SIZE(name); first++) {
        struct infer in;
        struct header h;
        infer_init(&in);
        for (size_t i = 0; i < ARRAY_SIZE(name); i++)
            assert_true(infer_add(&in, name[(first + i) % ARRAY_SIZE(name)]));
        assert_int_equal(infer_finish(&in, &infer_npy, &h, NULL), 0);
        const struct grid want = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}};
        assert_true(grid_equal(&h.grid, &want));
        assert_true(dtype_equal(h.dtype, infer_npy.dtype));
        assert_true(h.inferred);
        assert_null(h.extra);
        assert_int_equal(in.names, 4);
        assert_int_equal(in.others, 0);
    }
}

static void infer_needs_only_an_edge_block(void **state)
{
    (void)state;
    struct infer in;
    struct header h;
    infer_init(&in);
    assert_true(infer_add(&in, "8_10_4_6_7_3_"));
    assert_int_equal(infer_finish(&in, &infer_npy, &h, NULL), 0);
    const struct grid want = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}};
    assert_true(grid_equal(&h.grid, &want));
}

static void infer_leaves_out_blocks_of_no_grid(void **state)
{
    (void)state;
    static const char *const other[] = {
        "9_6_3_",  /* beyond the shape */
        "2_2_1_",  /* empty */
        "-4_0_4_", /* before the start */
        "0_9_4_",  /* longer than a shard */
        "1_4_4_",  /* off the grid */
        "0_3_0_",  /* no shard */
        "0_3_-3_",
    };
    struct infer in;
    infer_init(&in);
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_false(infer_add(&in, other[i]));
    assert_int_equal(in.others, ARRAY_SIZE(other));
    assert_int_equal(in.ndim, 0);
    assert_true(infer_add(&in, "0_4_4_")); /* none of them has settled anything */
    assert_false(infer_add(&in, "0_3_3_"));
    assert_false(infer_add(&in, "0_4_4_0_4_4_"));
    assert_int_equal(in.others, ARRAY_SIZE(other) + 2);
    assert_int_equal(in.names, 1);
}

static void infer_ignores_names_that_are_no_block(void **state)
{
    (void)state;
    struct infer in;
    struct err err = {0};
    struct header h;
    infer_init(&in);
    assert_false(infer_add(&in, "header"));
    assert_false(infer_add(&in, "block_0_0"));
    assert_false(infer_add(&in, ""));
    assert_int_equal(in.others, 0);
    assert_int_equal(infer_finish(&in, &infer_npy, &h, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "no block"));
}

static void infer_refuses_a_matrix_too_large_to_count(void **state)
{
    (void)state;
    struct infer in;
    struct err err = {0};
    struct header h;
    infer_init(&in);
    assert_true(infer_add(&in, "0_4611686018427387904_4611686018427387904_0_4_4_"));
    assert_int_equal(infer_finish(&in, &infer_npy, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "inferred from block names: the matrix has too many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(infer_finds_the_shape_whatever_the_order_of_names),
        cmocka_unit_test(infer_needs_only_an_edge_block),
        cmocka_unit_test(infer_leaves_out_blocks_of_no_grid),
        cmocka_unit_test(infer_ignores_names_that_are_no_block),
        cmocka_unit_test(infer_refuses_a_matrix_too_large_to_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
