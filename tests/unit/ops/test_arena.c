#include "tests/unit/unit.h"

#include "ops/arena.h"

#include <errno.h>
#include <string.h>

static void arena_keeps_to_its_budget(void **state)
{
    struct arena *a = NULL;
    void *p[3] = {NULL};
    (void)state;
    assert_int_equal(arena_new(300, &a), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(arena_take(a, 100, &p[i]), 0);
    assert_int_equal(arena_take(a, 1, &p[0]), -EAGAIN);
    assert_int_equal(arena_take(a, 301, &p[0]), -EDQUOT);
    assert_int_equal(arena_peak(a), 300);
    arena_free(a); /* what was not given back, too */
    arena_free(NULL);
}

static void arena_gives_the_same_memory_again(void **state)
{
    struct arena *a = NULL;
    void *p = NULL;
    void *q = NULL;
    (void)state;
    assert_int_equal(arena_new(1000, &a), 0);
    assert_int_equal(arena_take(a, 640, &p), 0);
    arena_give(a, p);
    assert_int_equal(arena_take(a, 640, &q), 0);
    assert_ptr_equal(p, q);
    assert_int_equal(arena_peak(a), 640);
    arena_free(a);
}

static void arena_frees_what_is_spare_for_another_size(void **state)
{
    struct arena *a = NULL;
    void *p[2] = {NULL};
    (void)state;
    assert_int_equal(arena_new(1000, &a), 0);
    assert_int_equal(arena_take(a, 500, &p[0]), 0);
    assert_int_equal(arena_take(a, 500, &p[1]), 0);
    arena_give(a, p[0]);
    arena_give(a, p[1]);
    assert_int_equal(arena_take(a, 1000, &p[0]), 0);
    memset(p[0], 1, 1000);
    arena_free(a);
}

static void arena_aligns_for_vectors_and_huge_pages(void **state)
{
    struct arena *a = NULL;
    void *p = NULL;
    (void)state;
    assert_int_equal(arena_new(8 << 20, &a), 0);
    assert_int_equal(arena_take(a, 7, &p), 0);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_int_equal(arena_take(a, (2 << 20) + 8, &p), 0);
    assert_int_equal((uintptr_t)p % (2 << 20), 0);
    memset(p, 1, (2 << 20) + 8);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_keeps_to_its_budget),
        cmocka_unit_test(arena_gives_the_same_memory_again),
        cmocka_unit_test(arena_frees_what_is_spare_for_another_size),
        cmocka_unit_test(arena_aligns_for_vectors_and_huge_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
