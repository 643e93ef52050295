#include "tests/unit/unit.h"

#include "matrix/name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void name_file_parse_knows_every_view(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int ndim;
        int64_t index[4];
        enum name_view view;
        bool npy_suffix;
    } good[] = {
        {"block_2", 1, {2}, NAME_OBJECT, false},
        {"block_2_3", 2, {2, 3}, NAME_OBJECT, false},
        {"block_0_0.npy", 2, {0, 0}, NAME_OBJECT, true},
        {"block_0_0.raw", 2, {0, 0}, NAME_RAW, false},
        {"block_10_0_7_1.F.raw", 4, {10, 0, 7, 1}, NAME_RAW_F, false},
        {"block_-1_3", 2, {-1, 3}, NAME_OBJECT, false},
        {"block_9223372036854775807_-9223372036854775808",
         2,
         {INT64_MAX, INT64_MIN},
         NAME_OBJECT,
         false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct name_block b = {0};
        assert_int_equal(name_file_parse(good[i].name, &b), 0);
        assert_int_equal(b.ndim, good[i].ndim);
        assert_memory_equal(b.index, good[i].index, sizeof(b.index[0]) * (size_t)b.ndim);
        assert_int_equal(b.view, good[i].view);
        assert_int_equal(b.npy_suffix, good[i].npy_suffix);
        char name[NAME_FILE_SIZE];
        (void)name_file(b.ndim, b.index, name);
        assert_int_equal(strncmp(name, good[i].name, strlen(name)), 0);
    }
}

static void name_file_parse_takes_one_name_a_block(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "block",
        "block_",
        "block_x",
        "block_1_",
        "block_01",
        "block_-0",
        "block_+1",
        "block_1__2",
        "block_1 ",
        "block_ 1",
        "block_1.NPY",
        "block_1.npy.",
        "block_1.f.raw",
        "block_1.raw.npy",
        "block_1.F",
        "block_1.npy.raw",
        "Block_1",
        "xblock_1",
        "block_1-2",
        "block_1_-",
        "block_0x1",
        "block_1.5",
        "block_1/2",
        "block_1\n",
        "block_9223372036854775808",
        "header.json",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct name_block b = {.ndim = 42};
        assert_int_equal(name_file_parse(bad[i], &b), -EINVAL);
        assert_int_equal(b.ndim, 42);
    }
}

static void name_file_parse_takes_32_axes_and_not_33(void **state)
{
    (void)state;
    char name[NAME_FILE_SIZE];
    int64_t index[GRID_NDIM_MAX];
    for (int a = 0; a < GRID_NDIM_MAX; a++)
        index[a] = INT64_MIN;
    (void)name_file(GRID_NDIM_MAX, index, name);
    struct name_block b = {0};
    assert_int_equal(name_file_parse(name, &b), 0);
    assert_int_equal(b.ndim, GRID_NDIM_MAX);
    assert_true(b.index[31] == INT64_MIN);
    (void)stpcpy(name + strlen(name), "_0");
    assert_int_equal(name_file_parse(name, &b), -EINVAL);
}

static void name_object_reads_and_writes_what_numpywren_does(void **state)
{
    (void)state;
    static const struct {
        struct grid g;
        int64_t index[3];
        const char *name;
    } good[] = {
        {{.ndim = 2, .shape = {10, 7}, .shard = {4, 3}}, {2, 2}, "8_10_4_6_7_3_"},
        {{.ndim = 2, .shape = {10, 7}, .shard = {4, 3}}, {0, 1}, "0_4_4_3_6_3_"},
        {{.ndim = 1, .shape = {7}, .shard = {3}}, {0}, "0_3_3_"},
        {{.ndim = 3, .shape = {5, 4, 3}, .shard = {2, 4, 2}}, {2, 0, 1}, "4_5_2_0_4_4_2_3_2_"},
        /* outside the grid */
        {{.ndim = 1, .shape = {6}, .shard = {3}}, {3}, "9_6_3_"},
        {{.ndim = 1, .shape = {2}, .shard = {1}}, {2}, "2_2_1_"},
        {{.ndim = 1, .shape = {6}, .shard = {4}}, {-1}, "-4_0_4_"},
        {{.ndim = 1, .shape = {6}, .shard = {1}}, {INT64_MAX}, "9223372036854775807_6_1_"},
        {{.ndim = 1, .shape = {6}, .shard = {1}},
         {INT64_MIN},
         "-9223372036854775808_-9223372036854775807_1_"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        char name[NAME_OBJECT_SIZE];
        struct name_axis axis[GRID_NDIM_MAX];
        int64_t index[GRID_NDIM_MAX];
        int ndim = 0;
        assert_int_equal(name_object(&good[i].g, good[i].index, name), 0);
        assert_string_equal(name, good[i].name);
        assert_int_equal(name_object_parse(name, axis, &ndim), 0);
        assert_int_equal(ndim, good[i].g.ndim);
        assert_int_equal(name_object_index(axis, ndim, index), 0);
        assert_memory_equal(index, good[i].index, sizeof(index[0]) * (size_t)ndim);
        for (int a = 0; a < ndim; a++)
            assert_int_equal(axis[a].shard, good[i].g.shard[a]);
    }
}

static void name_object_refuses_a_start_that_overflows(void **state)
{
    (void)state;
    const struct grid g = {.ndim = 1, .shape = {6}, .shard = {2}};
    char name[NAME_OBJECT_SIZE];
    assert_int_equal(name_object(&g, (const int64_t[]){INT64_MAX}, name), -ERANGE);
    assert_int_equal(name_object(&g, (const int64_t[]){INT64_MIN}, name), -ERANGE);
}

static void name_object_parse_refuses_other_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "header",
        "0",
        "0_",
        "0_3_",
        "0_3_3",
        "0_3_3_0_",
        "0_3_3__",
        "_0_3_3_",
        "00_3_3_",
        "0_03_3_",
        "0_3_3_x",
        "+0_3_3_",
        "-0_3_3_",
        "0 _3_3_",
        "0.0_3_3_",
        "0_3_3_\n",
        "a_b_c_",
        "0_3_9223372036854775808_",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct name_axis axis[GRID_NDIM_MAX];
        int ndim = 42;
        assert_int_equal(name_object_parse(bad[i], axis, &ndim), -EINVAL);
        assert_int_equal(ndim, 42);
    }
}

static void name_object_parse_takes_32_axes_and_not_33(void **state)
{
    (void)state;
    char name[33 * 6 + 1];
    char *end = name;
    struct name_axis axis[GRID_NDIM_MAX];
    int ndim = 0;
    for (int a = 0; a < GRID_NDIM_MAX; a++)
        end = stpcpy(end, "0_1_1_");
    assert_int_equal(name_object_parse(name, axis, &ndim), 0);
    assert_int_equal(ndim, GRID_NDIM_MAX);
    (void)stpcpy(end, "0_1_1_");
    assert_int_equal(name_object_parse(name, axis, &ndim), -EINVAL);
}

static void name_object_index_needs_a_shard_that_divides(void **state)
{
    (void)state;
    int64_t index = 42;
    assert_int_equal(name_object_index(&(const struct name_axis){1, 2, 0}, 1, &index), -EINVAL);
    assert_int_equal(name_object_index(&(const struct name_axis){4, 2, -2}, 1, &index), -EINVAL);
    assert_int_equal(name_object_index(&(const struct name_axis){5, 8, 4}, 1, &index), -EINVAL);
    assert_int_equal(name_object_index(&(const struct name_axis){-5, 8, 4}, 1, &index), -EINVAL);
    assert_int_equal(index, 42);
    assert_int_equal(name_object_index(&(const struct name_axis){-8, 0, 4}, 1, &index), 0);
    assert_int_equal(index, -2);
}

static void name_is_block_like_knows_typing_errors(void **state)
{
    (void)state;
    assert_true(name_is_block_like("block_0_0"));
    assert_true(name_is_block_like("block_x"));
    assert_true(name_is_block_like("block_"));
    assert_false(name_is_block_like("block"));
    assert_false(name_is_block_like("blocks"));
    assert_false(name_is_block_like("header.json"));
    assert_false(name_is_block_like(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_file_parse_knows_every_view),
        cmocka_unit_test(name_file_parse_takes_one_name_a_block),
        cmocka_unit_test(name_file_parse_takes_32_axes_and_not_33),
        cmocka_unit_test(name_object_reads_and_writes_what_numpywren_does),
        cmocka_unit_test(name_object_refuses_a_start_that_overflows),
        cmocka_unit_test(name_object_parse_refuses_other_names),
        cmocka_unit_test(name_object_parse_takes_32_axes_and_not_33),
        cmocka_unit_test(name_object_index_needs_a_shard_that_divides),
        cmocka_unit_test(name_is_block_like_knows_typing_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
