#include "tests/unit/unit.h"

#include "ops/grain.h"
#include "ops/kernel.h"
#include "ops/run.h"
#include "ops/sum.h"
#include "tests/kit/matrices.h"

#include <stdlib.h>

static void sum_cuts_small_results_of_a_long_k(void **state)
{
    (void)state;
    struct sum_cut cut = sum_cut_of(1000, 1000, 1000, 1000); /* X'X of 10^6 rows */
    assert_int_equal(cut.inner, 1000);
    assert_int_equal(cut.chunk, 5); /* the blocks that reach 4096 rows */
    assert_int_equal(sum_tiles(&cut), 2);
}

static void sum_leaves_others_whole(void **state)
{
    static const int64_t shape[][4] = {
        {4096, 4096, 100, 512},   /* 64 grains: enough for every thread */
        {32768, 1, 100, 512},     /* in one direction */
        {1, 32768, 100, 512},     /* or the other */
        {10, 10, 1, 100000},      /* one block */
        {10, 10, 2, 2048},        /* no more than a chunk */
        {10, 10, 0, 5},           /* nothing to add */
        {INT64_C(1) << 40, 1, 3}, /* blocks of nothing */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
        struct sum_cut cut = sum_cut_of(shape[i][0], shape[i][1], shape[i][2], shape[i][3]);
        assert_int_equal(cut.chunk, cut.inner);
        assert_int_equal(sum_tiles(&cut), 1);
    }
}

/* A result of one element: the sum of the 1 x 1 blocks of A, a line of which is long. */
struct sum_case {
    struct matdir a, c;
    struct sum_cut cut;
};

static void sum_walk(const void *x, struct result *out, struct engine *e)
{
    static const struct step_args add = {.alpha = 1};
    static const int64_t index[] = {0, 0};
    const struct sum_case *p = x;
    const struct source a = {.m = &p->a};
    struct sum s = {.c = engine_blank(e, out, 0, 0)};
    engine_task(e);
    for (int64_t k = 0; k < p->cut.inner; k++) {
        struct slot *term = engine_load(e, &a, 0, k, 0);
        engine_step(e, &grain_add, &add, sum_target(&s, &p->cut, k, e, out, index), term, NULL);
        engine_drop(e, term);
        sum_added(&s, &p->cut, k, e);
    }
    assert_null(s.part);
    engine_publish(e, out, 0, 0, s.c);
    engine_drop(e, s.c);
}

enum { SUM_TERMS = 11 };

/* Terms of which every order of additions makes another sum. */
static double sum_term(int k)
{
    return 1.0 / (k + 3);
}

static double sum_run(int64_t chunk, int tiles)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {1, SUM_TERMS}, .shard = {1, 1}};
    double complex term[SUM_TERMS];
    struct engine_count n;
    scratch_init(&s);
    struct sum_case p = {.a = matrices_empty(&s, &spec),
                         .cut = {.inner = SUM_TERMS, .chunk = chunk}};
    for (int k = 0; k < SUM_TERMS; k++)
        term[k] = sum_term(k);
    matrices_store(&p.a, term, false);
    spec = (struct matrices_spec){.name = "C", .dtype = "f8", .shape = {1, 1}, .shard = {1, 1}};
    p.c = matrices_empty(&s, &spec);
    const struct run_algorithm algorithm = {.walk = sum_walk, .x = &p};
    const struct run_conf conf = {.memory = (uint64_t)tiles * sizeof(double), .threads = 3};
    assert_int_equal(run_do(&algorithm, &p.c, &conf, &n, NULL), 0);
    assert_true(n.memory_peak <= conf.memory);
    CLEANUP(freep) double complex *c = matrices_load(&p.c);
    matdir_close(&p.a);
    matdir_close(&p.c);
    return creal(c[0]);
}

/* The first chunk's sum, plus the second's, plus the third's. */
static double sum_expected(int chunk)
{
    double total = 0;
    for (int first = 0; first < SUM_TERMS; first += chunk) {
        double part = 0;
        for (int k = first; k < SUM_TERMS && k < first + chunk; k++)
            part += sum_term(k);
        total = first == 0 ? part : total + part;
    }
    return total;
}

static void sum_adds_chunks_in_ascending_order_with_any_memory(void **state)
{
    (void)state;
    for (int chunk = 1; chunk <= SUM_TERMS; chunk++) {
        double want = sum_expected(chunk);
        for (int tiles = chunk < SUM_TERMS ? 3 : 2; tiles < 6; tiles++)
            assert_true(sum_run(chunk, tiles) == want);
    }
    assert_true(sum_expected(3) != sum_expected(SUM_TERMS)); /* else nothing was shown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_cuts_small_results_of_a_long_k),
        cmocka_unit_test(sum_leaves_others_whole),
        cmocka_unit_test(sum_adds_chunks_in_ascending_order_with_any_memory),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
