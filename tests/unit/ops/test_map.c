#include "tests/unit/unit.h"

#include "ops/inventory.h"
#include "ops/map.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct matdir a, b; /* 10 x 7 in blocks of 4 x 3; b is empty */
    struct map_result result;
    struct err err;
};

static int map_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    static const struct matrices_spec a = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    static const struct matrices_spec b = {
        .name = "B", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    scratch_init(&f->scratch);
    f->a = matrices_random(&f->scratch, &a, 5);
    f->b = matrices_empty(&f->scratch, &b);
    *state = f;
    return 0;
}

static int map_teardown(void **state)
{
    struct fixture *f = *state;
    matdir_close(&f->a);
    matdir_close(&f->b);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* Maps with a shell script, whose $D is the test's folder. */
static int map_shell(struct fixture *f, const char *script, int jobs, int retries)
{
    char text[2 * PATH_MAX];
    char sh[] = "sh";
    char option[] = "-c";
    char *argv[] = {sh, option, text, NULL};
    const struct map map = {.argv = argv, .jobs = jobs, .retries = retries};
    (void)snprintf(text, sizeof(text), "D='%s'; %s", f->scratch.path, script);
    err_clear(&f->err);
    return map_run(&f->a, &map, &f->b, &f->result, &f->err);
}

static size_t map_blocks(const struct matdir *m, int64_t *ret_scratch)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    assert_int_equal(inventory_load(m, false, &in, NULL), 0);
    *ret_scratch = in.scratch;
    return in.count;
}

static void map_runs_the_program_over_every_block(void **state)
{
    struct fixture *f = *state;
    int64_t scratch = 0;
    assert_int_equal(map_shell(f, "cat", 3, 0), 0);
    CLEANUP(freep) double complex *x = matrices_load(&f->a);
    CLEANUP(freep) double complex *y = matrices_load(&f->b);
    assert_memory_equal(x, y, 70 * sizeof(*x));
    assert_int_equal(f->result.done, 9);
    assert_int_equal(f->result.failed + f->result.retried, 0);
    assert_int_equal(map_blocks(&f->b, &scratch), 9);
    assert_int_equal(scratch, 0);
}

static void map_tells_the_program_which_block_it_has(void **state)
{
    struct fixture *f = *state;
    CLEANUP(closep) int fd = -1;
    char text[256] = "";
    (void)setenv("BM_INDEX", "of somebody else", 1);
    assert_int_equal(
        map_shell(f, "cat; [ $BM_BLOCK != block_2_1 ] || env | grep ^BM_ | sort > $D/env", 1, 0),
        0);
    (void)unsetenv("BM_INDEX");
    fd = open(scratch_at(&f->scratch, "env"), O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "BM_BLOCK=block_2_1\nBM_I=2\nBM_INDEX=2 1\nBM_J=1\nBM_SHAPE=10 7\n"
                              "BM_START=8 3\n");
}

static void map_gives_a_missing_block_as_its_fill_value(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(unlinkat(f->a.fd, "block_2_2", 0), 0);
    assert_int_equal(map_shell(f, "cat", 1, 0), -ENOENT);
    assert_non_null(strstr(f->err.msg, "A/block_2_2: the block is missing"));
    assert_int_equal(matdir_set_fill(&f->a, (struct number){6, 0}, NULL), 0);
    matdir_close(&f->b);
    const struct matrices_spec c = {.name = "C", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    f->b = matrices_empty(&f->scratch, &c);
    assert_int_equal(map_shell(f, "cat", 1, 0), 0);
    CLEANUP(freep) double complex *y = matrices_load(&f->b);
    assert_true(y[69] == 6 && y[62] == 6 && y[68] != 6);
}

static void map_names_the_block_that_failed_and_what_was_said(void **state)
{
    struct fixture *f = *state;
    int64_t scratch = 0;
    assert_int_equal(
        map_shell(f,
                  "cat; [ $BM_BLOCK != block_1_1 ] || { printf 'a\\nit broke\\n\\n' >&2; exit 9; }",
                  1, 0),
        -ECHILD);
    assert_non_null(
        strstr(f->err.msg, "/A/block_1_1: the command ended with exit status 9: it broke"));
    assert_string_equal(f->result.tail, "a\nit broke\n\n");
    assert_int_equal(f->result.failed, 1);
    assert_int_equal(f->result.done, 4);
    assert_int_equal(map_blocks(&f->b, &scratch), 4); /* none after it was started */
    assert_int_equal(scratch, 0);
}

static void map_tries_again_as_often_as_wanted(void **state)
{
    struct fixture *f = *state;
    static const char script[] = "n=$D/tries_$BM_BLOCK; echo x >> $n; cat;"
                                 "[ $BM_BLOCK != block_0_1 ] || [ $(wc -l < $n) -gt 2 ]";
    assert_int_equal(map_shell(f, script, 2, 2), 0);
    assert_int_equal(f->result.retried, 2);
    assert_int_equal(f->result.done, 9);
}

static void map_gives_up_after_the_last_try(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(map_shell(f, "echo x >> $D/tries; exit 1", 1, 3), -ECHILD);
    assert_non_null(strstr(f->err.msg, "exit status 1 (try 4 of 4)"));
    assert_int_equal(f->result.retried, 3);
    struct stat st;
    assert_int_equal(stat(scratch_at(&f->scratch, "tries"), &st), 0);
    assert_int_equal(st.st_size, 4 * 2);
}

static void map_takes_nothing_that_is_no_block_of_the_output(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *script, *says;
    } bad[] = {
        {"true", "the command wrote nothing"},
        {"echo hello, this is no array", "the command's output: npy: "},
        {"cat $D/A/block_2_2", "the command's output: shape (2, 1), where the block has (4, 3)"},
        {"head -c 150", "the command's output: 150 bytes"},
        {"cat; echo", "the command's output: 225 bytes"},
        {"sed s/f8/i8/", "the command's output: type <i8, where the matrix has <f8"},
        {"cat /dev/zero", "more than the block can have"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int64_t scratch = 0;
        assert_int_equal(map_shell(f, bad[i].script, 1, 0), -ECHILD);
        if (!strstr(f->err.msg, bad[i].says))
            fail_msg("%s: %s", bad[i].script, f->err.msg);
        assert_non_null(strstr(f->err.msg, "A/block_0_0: "));
        assert_int_equal(map_blocks(&f->b, &scratch), 0);
        assert_int_equal(scratch, 0);
    }
}

static void map_takes_other_types_and_sizes_with_as_many_blocks(void **state)
{
    struct fixture *f = *state;
    struct header h = {.grid = {.ndim = 2, .shape = {3, 3}, .shard = {1, 1}},
                       .dtype = {'u', 1, '|'}};
    assert_int_equal(map_check(&f->a, &h, NULL), 0);
    matdir_close(&f->b);
    assert_int_equal(matdir_create(scratch_at(&f->scratch, "C"), &h, &f->b, NULL), 0);
    assert_int_equal(
        map_shell(
            f,
            "printf '\\223NUMPY\\001\\000\\072\\000"
            "{\"descr\": \"|u1\", \"fortran_order\": False, \"shape\": (1, 1)}\\n' | tr '\"' \"'\";"
            "printf \"\\\\00$BM_J\"",
            1, 0),
        0);
    unsigned char element = 0;
    CLEANUP(closep) int fd = openat(f->b.fd, "block_0_2", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread_full(fd, &element, 1, 10 + 58), 0);
    assert_int_equal(element, 2);
    h.grid.shape[1] = 4;
    assert_int_equal(map_check(&f->a, &h, &f->err), -EINVAL);
    assert_non_null(strstr(f->err.msg, "3 blocks along axis 1, where the output would have 4"));
    h.grid.ndim = 1;
    assert_int_equal(map_check(&f->a, &h, &f->err), -EINVAL);
}

static void map_find_looks_where_a_shell_would(void **state)
{
    struct fixture *f = *state;
    CLEANUP(freep) char *path = NULL;
    char *none = NULL;
    assert_int_equal(map_find("sh", &path, NULL), 0);
    assert_non_null(strstr(path, "/sh"));
    assert_int_equal(map_find("no-such-program", &none, &f->err), -EINVAL);
    assert_string_equal(f->err.msg, "no-such-program: no such program in PATH");
    assert_int_equal(map_find(scratch_at(&f->scratch, "A/header.json"), &none, NULL), -EINVAL);
    assert_int_equal(map_find("/", &none, NULL), -EINVAL);
}

int main(void)
{
#define MAP_TEST(fn) cmocka_unit_test_setup_teardown(fn, map_setup, map_teardown)
    const struct CMUnitTest tests[] = {
        MAP_TEST(map_runs_the_program_over_every_block),
        MAP_TEST(map_tells_the_program_which_block_it_has),
        MAP_TEST(map_gives_a_missing_block_as_its_fill_value),
        MAP_TEST(map_names_the_block_that_failed_and_what_was_said),
        MAP_TEST(map_tries_again_as_often_as_wanted),
        MAP_TEST(map_gives_up_after_the_last_try),
        MAP_TEST(map_takes_nothing_that_is_no_block_of_the_output),
        MAP_TEST(map_takes_other_types_and_sizes_with_as_many_blocks),
        MAP_TEST(map_find_looks_where_a_shell_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
