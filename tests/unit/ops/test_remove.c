#include "tests/unit/unit.h"

#include "ops/remove.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int remove_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    scratch_init(s);
    struct matdir m = matrices_random(s, &spec, 1);
    matdir_close(&m);
    *state = s;
    return 0;
}

static int remove_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

static bool remove_is_there(const struct scratch *s, const char *name)
{
    return access(scratch_at(s, name), F_OK) == 0;
}

static void remove_blocks_keeps_the_header(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    struct watch watch = {0};
    scratch_write(s, "A/block_-1_0", "12345"); /* outside the grid, but a block */
    assert_int_equal(remove_blocks(scratch_at(s, "A"), false, &watch, &n, NULL), 0);
    assert_int_equal(n.blocks, 10);
    assert_int_equal(n.bytes, 9 * 128 + 70 * 8 + 5);
    assert_int_equal(watch.steps, 10);
    assert_int_equal(watch.steps_done, 10);
    assert_true(remove_is_there(s, "A/header.json"));
    assert_false(remove_is_there(s, "A/block_0_0"));
    assert_int_equal(remove_blocks(scratch_at(s, "A"), false, NULL, &n, NULL), 0);
    assert_int_equal(n.blocks, 0);
}

static void remove_dry_run_counts_and_removes_nothing(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    assert_int_equal(remove_blocks(scratch_at(s, "A"), true, NULL, &n, NULL), 0);
    assert_int_equal(n.blocks, 9);
    assert_int_equal(remove_matrix(scratch_at(s, "A"), true, NULL, &n, NULL), 0);
    assert_int_equal(n.blocks, 9);
    assert_true(remove_is_there(s, "A/block_2_2"));
}

static void remove_matrix_removes_all_of_it(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    char path[PATH_MAX + 8];
    scratch_write(s, "A/.bm-0123", "left by a killed program");
    (void)snprintf(path, sizeof(path), "%s///", scratch_at(s, "A"));
    assert_int_equal(remove_matrix(path, false, NULL, &n, NULL), 0);
    assert_int_equal(n.blocks, 9);
    assert_int_equal(n.scratch, 1);
    assert_false(remove_is_there(s, "A"));
}

static void remove_matrix_takes_a_broken_header(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    scratch_write(s, "A/header.json", "{");
    assert_int_equal(remove_matrix(scratch_at(s, "A"), false, NULL, &n, NULL), 0);
    assert_false(remove_is_there(s, "A"));
}

static void remove_matrix_leaves_what_is_none(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    struct err err = {0};
    scratch_write(s, "dir/file", "x");
    assert_int_equal(remove_matrix(scratch_at(s, "dir"), false, NULL, &n, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not a matrix"));
    assert_int_equal(remove_matrix(scratch_at(s, "dir/file"), false, NULL, &n, &err), -EINVAL);
    assert_int_equal(remove_matrix(scratch_at(s, "none"), false, NULL, &n, &err), -ENOENT);
    assert_int_equal(remove_blocks(scratch_at(s, "dir"), false, NULL, &n, &err), -EINVAL);
    assert_true(remove_is_there(s, "dir/file"));
}

static void remove_matrix_touches_nothing_when_other_files_are_there(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    struct err err = {0};
    scratch_write(s, "A/notes.txt", "mine");
    assert_int_equal(remove_matrix(scratch_at(s, "A"), false, NULL, &n, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "('notes.txt')"));
    assert_true(err.hint[0] != '\0');
    assert_true(remove_is_there(s, "A/block_0_0"));
}

static void remove_matrix_does_not_follow_a_link(void **state)
{
    const struct scratch *s = *state;
    struct remove_count n;
    struct err err = {0};
    char path[PATH_MAX + 8];
    assert_int_equal(symlink("A", scratch_at(s, "link")), 0);
    (void)snprintf(path, sizeof(path), "%s/", scratch_at(s, "link"));
    assert_int_equal(remove_matrix(path, false, NULL, &n, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "a symbolic link"));
    assert_true(remove_is_there(s, "A/block_0_0"));
}

int main(void)
{
#define REMOVE_TEST(fn) cmocka_unit_test_setup_teardown(fn, remove_setup, remove_teardown)
    const struct CMUnitTest tests[] = {
        REMOVE_TEST(remove_blocks_keeps_the_header),
        REMOVE_TEST(remove_dry_run_counts_and_removes_nothing),
        REMOVE_TEST(remove_matrix_removes_all_of_it),
        REMOVE_TEST(remove_matrix_takes_a_broken_header),
        REMOVE_TEST(remove_matrix_leaves_what_is_none),
        REMOVE_TEST(remove_matrix_touches_nothing_when_other_files_are_there),
        REMOVE_TEST(remove_matrix_does_not_follow_a_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
