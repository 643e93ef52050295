#include "tests/unit/unit.h"

#include "fs/extent.h"

#include "tests/kit/rng.h"

#include <string.h>

#define EXTENT(e) CLEANUP(extent_clear) struct extent e = {0}

static void extent_covers_nothing_at_first(void **state)
{
    (void)state;
    EXTENT(e);
    assert_true(extent_covers(&e, 0, 0));
    assert_true(extent_covers(&e, 7, 7));
    assert_true(extent_covers(&e, 7, 3));
    assert_false(extent_covers(&e, 0, 1));
    assert_int_equal(extent_add(&e, 5, 5), 0);
    assert_int_equal(extent_add(&e, 6, 4), 0);
    assert_int_equal(e.count, 0);
}

static void extent_merges_what_touches_or_overlaps(void **state)
{
    (void)state;
    EXTENT(e);
    assert_int_equal(extent_add(&e, 10, 20), 0);
    assert_int_equal(extent_add(&e, 30, 40), 0);
    assert_int_equal(extent_add(&e, 50, 60), 0);
    assert_int_equal(e.count, 3);
    assert_false(extent_covers(&e, 10, 21));
    assert_false(extent_covers(&e, 19, 31));
    assert_int_equal(extent_add(&e, 20, 30), 0); /* touches both of its neighbours */
    assert_int_equal(e.count, 2);
    assert_true(extent_covers(&e, 10, 40));
    assert_int_equal(extent_add(&e, 0, 100), 0); /* swallows all */
    assert_int_equal(e.count, 1);
    assert_true(extent_covers(&e, 0, 100));
    assert_int_equal(extent_add(&e, 20, 30), 0); /* within */
    assert_int_equal(e.count, 1);
    assert_false(extent_covers(&e, 0, 101));
}

static void extent_costs_one_range_going_forward(void **state)
{
    (void)state;
    EXTENT(e);
    for (uint64_t at = 0; at < 100000; at += 7)
        assert_int_equal(extent_add(&e, at, at + 7), 0);
    assert_int_equal(e.count, 1);
    assert_true(extent_covers(&e, 0, 100000));
}

static void extent_cut_forgets_what_lies_behind(void **state)
{
    (void)state;
    EXTENT(e);
    assert_int_equal(extent_add(&e, 0, 10), 0);
    assert_int_equal(extent_add(&e, 20, 30), 0);
    assert_int_equal(extent_add(&e, 40, 50), 0);
    extent_cut(&e, 60);
    assert_int_equal(e.count, 3);
    extent_cut(&e, 40);
    assert_int_equal(e.count, 2);
    extent_cut(&e, 25);
    assert_true(extent_covers(&e, 20, 25));
    assert_false(extent_covers(&e, 20, 26));
    extent_cut(&e, 0);
    assert_int_equal(e.count, 0);
    extent_cut(&e, 0);
}

static void extent_reaches_the_last_byte_there_is(void **state)
{
    (void)state;
    EXTENT(e);
    assert_int_equal(extent_add(&e, UINT64_MAX - 10, UINT64_MAX), 0);
    assert_true(extent_covers(&e, UINT64_MAX - 10, UINT64_MAX));
    assert_false(extent_covers(&e, UINT64_MAX - 11, UINT64_MAX));
}

static void extent_gives_up_beyond_its_ranges_until_it_is_cleared(void **state)
{
    (void)state;
    EXTENT(e);
    for (uint64_t i = 0; i < EXTENT_RANGES_MAX; i++)
        assert_int_equal(extent_add(&e, 4 * i, 4 * i + 1), 0);
    assert_false(e.lost);
    assert_int_equal(e.count, EXTENT_RANGES_MAX);
    assert_int_equal(extent_add(&e, 0, 2), 0); /* grows one that is there */
    assert_false(e.lost);
    assert_int_equal(extent_add(&e, 4ULL * EXTENT_RANGES_MAX, 4ULL * EXTENT_RANGES_MAX + 1), 0);
    assert_true(e.lost);
    assert_int_equal(e.count, 0);
    assert_int_equal(extent_add(&e, 0, UINT64_MAX), 0);
    assert_false(extent_covers(&e, 0, 1));
    extent_clear(&e);
    assert_int_equal(extent_add(&e, 0, 1), 0);
    assert_true(extent_covers(&e, 0, 1));
}

/* The same as a set of bytes, one bool each. */
static void extent_agrees_with_a_set_of_bytes(void **state)
{
    (void)state;
    enum { BYTES = 200 };
    struct rng rng;
    rng_init(&rng);
    for (int round = 0; round < 300; round++) {
        EXTENT(e);
        bool set[BYTES] = {0};
        for (int step = 0; step < 40; step++) {
            size_t from = rng_below(&rng, BYTES);
            size_t to = from + rng_below(&rng, BYTES / 8);
            to = MIN(to, (size_t)BYTES);
            if (rng_below(&rng, 8) == 0) {
                extent_cut(&e, from);
                memset(set + from, 0, BYTES - from);
            } else {
                assert_int_equal(extent_add(&e, from, to), 0);
                memset(set + from, 1, to - from);
            }
            size_t at = rng_below(&rng, BYTES);
            size_t end = MIN(at + rng_below(&rng, BYTES), (size_t)BYTES);
            bool all = true;
            for (size_t i = at; i < end; i++)
                all &= set[i];
            assert_int_equal(extent_covers(&e, at, end), all);
        }
        for (size_t i = 0; i + 1 < e.count; i++)
            assert_true(e.range[i].to < e.range[i + 1].from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extent_covers_nothing_at_first),
        cmocka_unit_test(extent_merges_what_touches_or_overlaps),
        cmocka_unit_test(extent_costs_one_range_going_forward),
        cmocka_unit_test(extent_cut_forgets_what_lies_behind),
        cmocka_unit_test(extent_reaches_the_last_byte_there_is),
        cmocka_unit_test(extent_gives_up_beyond_its_ranges_until_it_is_cleared),
        cmocka_unit_test(extent_agrees_with_a_set_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
