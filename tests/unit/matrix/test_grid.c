#include "tests/unit/unit.h"

#include "matrix/grid.h"

#include <errno.h>
#include <string.h>

static const struct grid grid_10x7 = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}};

static void grid_cuts_blocks_at_the_far_edges(void **state)
{
    (void)state;
    const struct grid *g = &grid_10x7;
    assert_int_equal(grid_check(g, NULL), 0);
    assert_int_equal(grid_axis_blocks(g, 0), 3);
    assert_int_equal(grid_axis_blocks(g, 1), 3);
    assert_int_equal(grid_blocks(g), 9);
    assert_int_equal(grid_elements(g), 70);
    assert_int_equal(grid_block_start(g, 0, 2), 8);
    assert_int_equal(grid_block_extent(g, 0, 1), 4);
    assert_int_equal(grid_block_extent(g, 0, 2), 2);
    assert_int_equal(grid_block_extent(g, 1, 2), 1);
    assert_int_equal(grid_block_elements(g, (const int64_t[]){2, 2}), 2);
    assert_int_equal(grid_block_elements(g, (const int64_t[]){0, 0}), 12);
}

static void grid_holds_less_than_a_shard_and_whole_shards(void **state)
{
    (void)state;
    const struct grid small = {.ndim = 1, .shape = {3}, .shard = {INT64_MAX}};
    assert_int_equal(grid_check(&small, NULL), 0);
    assert_int_equal(grid_blocks(&small), 1);
    assert_int_equal(grid_block_extent(&small, 0, 0), 3);
    const struct grid whole = {.ndim = 1, .shape = {12}, .shard = {4}};
    assert_int_equal(grid_blocks(&whole), 3);
    assert_int_equal(grid_block_extent(&whole, 0, 2), 4);
}

static void grid_contains_only_blocks_inside(void **state)
{
    (void)state;
    assert_true(grid_contains(&grid_10x7, (const int64_t[]){0, 0}));
    assert_true(grid_contains(&grid_10x7, (const int64_t[]){2, 2}));
    assert_false(grid_contains(&grid_10x7, (const int64_t[]){3, 0}));
    assert_false(grid_contains(&grid_10x7, (const int64_t[]){0, 3}));
    assert_false(grid_contains(&grid_10x7, (const int64_t[]){-1, 0}));
    assert_false(grid_contains(&grid_10x7, (const int64_t[]){0, INT64_MIN}));
}

static void grid_walks_in_row_major_order(void **state)
{
    (void)state;
    const struct grid g = {.ndim = 3, .shape = {5, 4, 3}, .shard = {2, 4, 2}};
    int64_t index[GRID_NDIM_MAX];
    int64_t n = 0;
    int64_t elements = 0;
    for (bool more = grid_first(&g, index); more; more = grid_next(&g, index)) {
        int64_t back[GRID_NDIM_MAX];
        assert_int_equal(grid_rank(&g, index), n);
        grid_unrank(&g, n, back);
        assert_memory_equal(back, index, sizeof(index[0]) * 3);
        elements += grid_block_elements(&g, index);
        n++;
    }
    assert_int_equal(n, 6);
    assert_int_equal(n, grid_blocks(&g));
    assert_int_equal(elements, grid_elements(&g));
}

static void grid_of_an_empty_matrix_has_no_blocks(void **state)
{
    (void)state;
    const struct grid g = {.ndim = 2, .shape = {5, 0}, .shard = {2, 2}};
    int64_t index[GRID_NDIM_MAX];
    assert_int_equal(grid_check(&g, NULL), 0);
    assert_int_equal(grid_blocks(&g), 0);
    assert_int_equal(grid_elements(&g), 0);
    assert_false(grid_first(&g, index));
}

static void grid_refuses_what_cannot_be(void **state)
{
    (void)state;
    static const struct {
        struct grid g;
        const char *msg;
    } bad[] = {
        {{.ndim = 0}, "0 axes: a matrix has 1 to 32"},
        {{.ndim = 33}, "33 axes: a matrix has 1 to 32"},
        {{.ndim = -1}, "-1 axes: a matrix has 1 to 32"},
        {{.ndim = 2, .shape = {1, -1}, .shard = {1, 1}}, "axis 1: size -1 is negative"},
        {{.ndim = 1, .shape = {1}, .shard = {0}}, "axis 0: shard size 0 is below 1"},
        {{.ndim = 1, .shape = {1}, .shard = {-5}}, "axis 0: shard size -5 is below 1"},
        {{.ndim = 1, .shape = {INT64_MAX / 16 + 1}, .shard = {1}}, "too many elements"},
        {{.ndim = 2, .shape = {INT64_C(1) << 30, INT64_C(1) << 30}, .shard = {1, 1}},
         "too many elements"},
        {{.ndim = 3, .shape = {0, INT64_C(1) << 40, INT64_C(1) << 40}, .shard = {1, 1, 1}},
         "too many elements"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct err err = {0};
        assert_int_equal(grid_check(&bad[i].g, &err), -EINVAL);
        assert_non_null(strstr(err.msg, bad[i].msg));
    }
    const struct grid largest = {.ndim = 1, .shape = {INT64_MAX / 16}, .shard = {1}};
    assert_int_equal(grid_check(&largest, NULL), 0);
}

static void grid_equal_compares_only_the_axes_there_are(void **state)
{
    (void)state;
    struct grid g = grid_10x7;
    g.shape[2] = 99;
    assert_true(grid_equal(&g, &grid_10x7));
    g.shard[1] = 2;
    assert_false(grid_equal(&g, &grid_10x7));
    g = grid_10x7;
    g.shape[0] = 11;
    assert_false(grid_equal(&g, &grid_10x7));
    g = grid_10x7;
    g.ndim = 1;
    assert_false(grid_equal(&g, &grid_10x7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_cuts_blocks_at_the_far_edges),
        cmocka_unit_test(grid_holds_less_than_a_shard_and_whole_shards),
        cmocka_unit_test(grid_contains_only_blocks_inside),
        cmocka_unit_test(grid_walks_in_row_major_order),
        cmocka_unit_test(grid_of_an_empty_matrix_has_no_blocks),
        cmocka_unit_test(grid_refuses_what_cannot_be),
        cmocka_unit_test(grid_equal_compares_only_the_axes_there_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
