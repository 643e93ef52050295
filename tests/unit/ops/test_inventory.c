#include "tests/unit/unit.h"

#include "ops/inventory.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct scratch scratch;
    struct matdir m; /* A: 10 x 7 in blocks of 4 x 3: a grid of 3 x 3 */
};

static int inventory_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    scratch_init(&f->scratch);
    f->m = matrices_empty(&f->scratch, &spec);
    *state = f;
    return 0;
}

static int inventory_teardown(void **state)
{
    struct fixture *f = *state;
    matdir_close(&f->m);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

struct missing {
    int64_t rank[9];
    int n, stop_at;
};

static int inventory_note(void *arg, int64_t rank)
{
    struct missing *m = arg;
    m->rank[m->n++] = rank;
    return m->n == m->stop_at ? 77 : 0;
}

static void inventory_sorts_names_into_kinds(void **state)
{
    struct fixture *f = *state;
    CLEANUP(inventory_fini) struct inventory in = {0};
    static const char *const files[] = {
        "A/block_2_2", "A/block_0_1",     "A/block_0_10", "A/block_-1_0",      "A/block_0",
        "A/.bm-12",    "A/block_0_1.npy", "A/notes",      "A/block_1_1.F.raw", "A/block_01_1"};
    static const int64_t ranks[] = {1, 8};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        scratch_write(&f->scratch, files[i], "12345");
    assert_int_equal(inventory_load(&f->m, true, &in, NULL), 0);
    assert_int_equal(in.count, 2);
    assert_memory_equal(in.rank, ranks, sizeof(ranks));
    assert_int_equal(in.total, 9);
    assert_int_equal(in.bytes, 10);
    assert_int_equal(in.outside, 3);
    assert_int_equal(in.scratch, 1);
    assert_int_equal(in.others, 3);
    assert_int_equal(in.misnamed, 1);
    assert_true(inventory_has(&in, 8) && !inventory_has(&in, 0));
}

static void inventory_names_each_missing_block_once(void **state)
{
    struct fixture *f = *state;
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct missing all = {0};
    struct missing some = {.stop_at = 2};
    static const int64_t ranks[] = {1, 2, 4, 5, 6, 7};
    scratch_write(&f->scratch, "A/block_0_0", "");
    scratch_write(&f->scratch, "A/block_1_0", "");
    scratch_write(&f->scratch, "A/block_2_2", "");
    assert_int_equal(inventory_load(&f->m, false, &in, NULL), 0);
    assert_int_equal(inventory_each_missing(&in, inventory_note, &all), 0);
    assert_int_equal(all.n, 6);
    assert_memory_equal(all.rank, ranks, sizeof(ranks));
    assert_int_equal(inventory_each_missing(&in, inventory_note, &some), 77);
    assert_int_equal(some.n, 2);
}

static void inventory_of_an_empty_directory_misses_everything(void **state)
{
    struct fixture *f = *state;
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct missing all = {0};
    assert_int_equal(inventory_load(&f->m, true, &in, NULL), 0);
    assert_int_equal(in.count, 0);
    assert_false(inventory_has(&in, 0));
    assert_int_equal(inventory_each_missing(&in, inventory_note, &all), 0);
    assert_int_equal(all.n, 9);
}

static void inventory_check_whole_names_the_first_missing_block(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    scratch_write(&f->scratch, "A/block_0_0", "");
    assert_int_equal(inventory_check_whole(&f->m, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/A/block_0_1: the block is missing (8 of 9 are)"));
    assert_int_equal(matdir_set_fill(&f->m, (struct number){0, 0}, NULL), 0);
    assert_int_equal(inventory_check_whole(&f->m, NULL), 0);
}

/* 3 x 3 blocks of 4 x 3: rows 0-3, 4-7, 8-9; columns 0-2, 3-5, 6. */
static void inventory_expects_the_blocks_that_touch_a_triangle(void **state)
{
    struct fixture *f = *state;
    static const char header[] =
        "{\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"<f8\", \"fill_value\": 0,"
        " \"triangular\": \"%s\"}";
    static const struct {
        const char *says, *first;
        int64_t missing;
    } good[] = {{"lower", "/A/block_0_1", 7}, {"upper", "/A/block_0_1", 4}};
    scratch_write(&f->scratch, "A/block_0_0", "");
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        char text[256];
        char path[PATH_MAX];
        struct err err = {0};
        CLEANUP(inventory_fini) struct inventory in = {0};
        CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
        (void)snprintf(text, sizeof(text), header, good[i].says);
        scratch_write(&f->scratch, "A/header.json", text);
        (void)snprintf(path, sizeof(path), "%s", f->m.path);
        assert_int_equal(matdir_open(path, &m, NULL), 0);
        assert_int_equal(inventory_load(&m, false, &in, NULL), 0);
        assert_int_equal(in.missing, good[i].missing);
        assert_int_equal(inventory_check_whole(&m, &err), -ENOENT);
        assert_non_null(strstr(err.msg, good[i].first));
        assert_string_equal(err.hint, "bm ls --missing lists them");
    }
}

static void inventory_of_nothing_is_whole(void **state)
{
    struct fixture *f = *state;
    const struct matrices_spec spec = {
        .name = "N", .dtype = "f8", .shape = {0, 7}, .shard = {4, 3}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
    assert_int_equal(inventory_check_whole(&m, NULL), 0);
}

/* A grid may be far larger than any memory. */
static void inventory_takes_memory_for_what_is_there_only(void **state)
{
    struct fixture *f = *state;
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct missing some = {.stop_at = 3};
    const struct matrices_spec spec = {
        .name = "H", .dtype = "f8", .shape = {INT64_C(1) << 29, INT64_C(1) << 29}, .shard = {1, 1}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
    scratch_write(&f->scratch, "H/block_0_1", "");
    scratch_write(&f->scratch, "H/block_536870911_536870911", "");
    assert_int_equal(inventory_load(&m, false, &in, NULL), 0);
    assert_int_equal(in.count, 2);
    assert_int_equal(in.total, INT64_C(1) << 58);
    assert_int_equal(inventory_each_missing(&in, inventory_note, &some), 77);
    assert_int_equal(some.rank[1], 2);
}

int main(void)
{
#define INVENTORY_TEST(fn) cmocka_unit_test_setup_teardown(fn, inventory_setup, inventory_teardown)
    const struct CMUnitTest tests[] = {
        INVENTORY_TEST(inventory_sorts_names_into_kinds),
        INVENTORY_TEST(inventory_names_each_missing_block_once),
        INVENTORY_TEST(inventory_of_an_empty_directory_misses_everything),
        INVENTORY_TEST(inventory_check_whole_names_the_first_missing_block),
        INVENTORY_TEST(inventory_expects_the_blocks_that_touch_a_triangle),
        INVENTORY_TEST(inventory_of_nothing_is_whole),
        INVENTORY_TEST(inventory_takes_memory_for_what_is_there_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
