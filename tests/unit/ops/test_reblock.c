#include "tests/unit/unit.h"

#include "ops/derive.h"
#include "ops/diff.h"
#include "ops/inventory.h"
#include "ops/reblock.h"
#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reblock_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int reblock_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

/* Cuts anew into a matrix at `name`, which the caller closes. */
static struct matdir reblock_of(const struct scratch *s, const struct matdir *a,
                                const int64_t *shard, uint64_t memory, const char *name)
{
    struct matdir b = MATDIR_NONE;
    CLEANUP(header_fini) struct header h = {0};
    struct err err = {0};
    assert_int_equal(reblock_plan(a, shard, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, name), &h, &b, NULL), 0);
    if (reblock_run(a, &b, memory, &err) < 0)
        fail_msg("%s", err.msg);
    return b;
}

static void reblock_keeps_every_element_for_any_blocks_and_memory(void **state)
{
    const struct scratch *s = *state;
    struct rng rng;
    rng_init(&rng);
    for (int turn = 0; turn < 60; turn++) {
        struct matrices_spec spec = {.name = "A", .dtype = turn % 2 ? "f4" : ">c16"};
        struct diff_result result;
        char name[2][16];
        int64_t shard[4];
        (void)snprintf(name[0], sizeof(name[0]), "A%d", turn);
        (void)snprintf(name[1], sizeof(name[1]), "B%d", turn);
        spec.name = name[0];
        spec.ndim = 1 + turn % 4;
        for (int a = 0; a < spec.ndim; a++) {
            spec.shape[a] = (int64_t)rng_below(&rng, 9);
            spec.shard[a] = 1 + (int64_t)rng_below(&rng, 11);
            shard[a] = 1 + (int64_t)rng_below(&rng, 11);
        }
        CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 1);
        CLEANUP(freep) double complex *all = matrices_load(&a);
        if (turn % 3 == 0)
            matrices_store(&a, all, true);
        CLEANUP(matdir_close)
        struct matdir b = reblock_of(s, &a, shard, rng_below(&rng, 3000), name[1]);
        assert_true(dtype_equal(a.header.dtype, b.header.dtype));
        assert_int_equal(diff_run(&a, &b, &(struct diff){0}, &result, NULL), 0);
        assert_true(diff_is_same(&result) && result.neither == 0);
    }
}

static void reblock_reads_each_byte_once(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {40, 5000}, .shard = {16, 3000}};
    const int64_t shard[] = {10, 1000};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 1);
    struct watch watch = {0};
    a.watch = &watch;
    /* One block of B, a row of them, more than all: runs of 1000 elements and more. */
    static const uint64_t memory[] = {0, 400000, 1 << 30};
    static const char *const name[] = {"B", "C", "D"};
    for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
        watch.bytes_read = 0;
        CLEANUP(matdir_close) struct matdir b = reblock_of(s, &a, shard, memory[i], name[i]);
        assert_int_equal(watch.bytes_read, 40 * 5000 * 8);
        assert_int_equal(grid_blocks(&b.header.grid), 20);
    }
}

static void reblock_leaves_out_what_is_missing_everywhere(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "L", .dtype = "f8", .shape = {8, 8}, .shard = {4, 4}};
    const int64_t shard[] = {2, 3};
    struct inventory in;
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    assert_int_equal(unlinkat(a.fd, "block_0_1", 0), 0);
    assert_int_equal(matdir_set_fill(&a, (struct number){7, 0}, NULL), 0);
    assert_int_equal(derive_set_triangle(&a.header, DERIVE_LOWER, NULL), 0);
    CLEANUP(matdir_close) struct matdir b = reblock_of(s, &a, shard, 1 << 20, "B");
    CLEANUP(freep) double complex *was = matrices_load(&a);
    CLEANUP(freep) double complex *is = matrices_load(&b);
    assert_int_equal(derive_triangle(&b.header), DERIVE_LOWER);
    assert_int_equal(inventory_load(&b, false, &in, NULL), 0);
    assert_int_equal(in.count, 12 - 2); /* the last of the first two rows lie in block_0_1 */
    assert_false(inventory_has(&in, 2) || inventory_has(&in, 5));
    assert_true(inventory_has(&in, 1));
    inventory_fini(&in);
    for (int i = 0; i < 64; i++)
        assert_true(was[i] == is[i]);
    assert_true(is[7] == 7);
}

static void reblock_fails_at_a_missing_block(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {6, 6}, .shard = {3, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    CLEANUP(matdir_close) struct matdir b = MATDIR_NONE;
    struct err err = {0};
    assert_int_equal(unlinkat(a.fd, "block_1_1", 0), 0);
    assert_int_equal(matdir_create(scratch_at(s, "B"), &a.header, &b, NULL), 0);
    assert_int_equal(reblock_run(&a, &b, 0, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "A/block_1_1: the block is missing"));
}

static void reblock_plan_refuses_impossible_blocks(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {6, 6}, .shard = {3, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 3);
    struct header h = {0};
    assert_int_equal(reblock_plan(&a, (const int64_t[]){3, 0}, &h, NULL), -EINVAL);
}

int main(void)
{
#define REBLOCK_TEST(fn) cmocka_unit_test_setup_teardown(fn, reblock_setup, reblock_teardown)
    const struct CMUnitTest tests[] = {
        REBLOCK_TEST(reblock_keeps_every_element_for_any_blocks_and_memory),
        REBLOCK_TEST(reblock_reads_each_byte_once),
        REBLOCK_TEST(reblock_leaves_out_what_is_missing_everywhere),
        REBLOCK_TEST(reblock_fails_at_a_missing_block),
        REBLOCK_TEST(reblock_plan_refuses_impossible_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
