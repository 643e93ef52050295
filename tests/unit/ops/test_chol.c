#include "tests/unit/unit.h"

#include "ops/chol.h"
#include "ops/kernel.h"
#include "ops/verify.h"
#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHOL_N = 60, CHOL_BLOCK = 10, CHOL_RESIDUAL_MAX = 30 };

static struct rng rng;

/* A Gaussian kernel, whose condition is about n / jitter, with noise of a few roundings. */
static struct matdir chol_kernel(const struct scratch *s, const char *name, double jitter,
                                 double noise)
{
    struct matrices_spec spec = {
        .name = name, .dtype = "f8", .shape = {CHOL_N, CHOL_N}, .shard = {CHOL_BLOCK, CHOL_BLOCK}};
    struct matdir m = matrices_empty(s, &spec);
    CLEANUP(freep) double complex *x = calloc((size_t)CHOL_N * CHOL_N, sizeof(*x));
    assert_non_null(x);
    for (int i = 0; i < CHOL_N; i++) {
        for (int j = 0; j <= i; j++) {
            double d = (double)(i - j) / CHOL_N;
            double r = (double)(rng_next(&rng) >> 11) * 0x1p-52 - 1;
            double v = exp(-d * d / 0.02) * (1 + noise * r) + (i == j ? jitter : 0);
            x[i * CHOL_N + j] = x[j * CHOL_N + i] = v;
        }
    }
    matrices_store(&m, x, false);
    return m;
}

static struct chol chol_of(const struct matdir *a, int64_t tiles)
{
    return (struct chol){.a = a, .memory = (uint64_t)tiles * CHOL_BLOCK * CHOL_BLOCK * 8};
}

static struct matdir chol_output(const struct scratch *s, const struct chol *c, const char *name)
{
    struct header h = {0};
    struct matdir l = MATDIR_NONE;
    assert_int_equal(chol_plan(c, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, name), &h, &l, NULL), 0);
    header_fini(&h);
    return l;
}

static int chol_do(const struct chol *c, const struct matdir *l, struct err *err)
{
    const struct run_algorithm algorithm = chol_algorithm(c);
    const struct run_conf conf = {.memory = c->memory, .threads = 2};
    struct engine_count n;
    int r = run_do(&algorithm, l, &conf, &n, err);
    assert_true(n.memory_peak <= c->memory && n.memory_held <= c->memory);
    return r;
}

static void chol_is_right_with_any_memory(void **state)
{
    (void)state;
    for (int64_t tiles = 3; tiles < 40; tiles += 3) {
        CLEANUP(scratch_fini) struct scratch s;
        double residual = NAN;
        scratch_init(&s);
        CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1e-6, 0);
        struct chol c = chol_of(&a, tiles);
        c.upper = tiles % 2;
        CLEANUP(matdir_close) struct matdir l = chol_output(&s, &c, "L");
        assert_int_equal(chol_do(&c, &l, NULL), 0);
        assert_int_equal(verify_chol(&c, &l, &residual, NULL), 0);
        assert_true(residual < CHOL_RESIDUAL_MAX);
    }
}

static void chol_verify_sees_one_wrong_element(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    double residual = NAN;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1, 0);
    struct chol c = chol_of(&a, 9);
    CLEANUP(matdir_close) struct matdir l = chol_output(&s, &c, "L");
    assert_int_equal(chol_do(&c, &l, NULL), 0);
    assert_int_equal(matdir_set_fill(&l, (struct number){0, 0}, NULL), 0);
    CLEANUP(freep) double complex *x = matrices_load(&l);
    x[33 * CHOL_N + 12] += 1e-6;
    matrices_store(&l, x, false);
    assert_int_equal(verify_chol(&c, &l, &residual, NULL), 0);
    assert_true(residual > 100);
}

/* Two runs on one output whose inputs differ by roundings, as two processors' results do. A factor
 * of blocks of both would be wrong by the condition: see linalg's residuals of mixed runs. */
struct chol_rival {
    struct chol c;
    struct matdir l;
    pthread_t thread;
    int code;
};

static void *chol_run_rival(void *arg)
{
    struct chol_rival *r = arg;
    r->code = chol_do(&r->c, &r->l, NULL);
    return NULL;
}

static void chol_of_two_runs_that_differ_is_one_of_them(void **state)
{
    (void)state;
    for (int turn = 0; turn < 20; turn++) {
        CLEANUP(scratch_fini) struct scratch s;
        struct chol_rival rival[2];
        double residual = NAN;
        scratch_init(&s);
        CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1e-9, 0);
        CLEANUP(matdir_close) struct matdir b = chol_kernel(&s, "B", 1e-9, 4e-16);
        const struct matdir *of[] = {&a, &b};
        for (int i = 0; i < 2; i++) {
            rival[i].c = chol_of(of[i], 5 + turn);
            rival[i].l = i == 0 ? chol_output(&s, &rival[0].c, "L") : MATDIR_NONE;
        }
        assert_int_equal(matdir_open(scratch_at(&s, "L"), &rival[1].l, NULL), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&rival[i].thread, NULL, chol_run_rival, &rival[i]), 0);
        for (int i = 0; i < 2; i++)
            (void)pthread_join(rival[i].thread, NULL);
        assert_int_equal(rival[0].code, 0);
        assert_int_equal(rival[1].code, 0);
        assert_int_equal(verify_chol(&rival[0].c, &rival[0].l, &residual, NULL), 0);
        assert_true(residual < CHOL_RESIDUAL_MAX);
        matdir_close(&rival[0].l);
        matdir_close(&rival[1].l);
    }
}

static void chol_takes_up_what_is_there(void **state)
{
    static const char *const gone[] = {"block_0_0", "block_3_2", "block_5_5", "block_5_0"};
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1e-6, 0);
    struct chol c = chol_of(&a, 8);
    CLEANUP(matdir_close) struct matdir l = chol_output(&s, &c, "L");
    assert_int_equal(chol_do(&c, &l, NULL), 0);
    assert_int_equal(matdir_set_fill(&l, (struct number){0, 0}, NULL), 0);
    CLEANUP(freep) double complex *first = matrices_load(&l);
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        assert_int_equal(unlinkat(l.fd, gone[i], 0), 0);
        assert_int_equal(chol_do(&c, &l, NULL), 0);
        CLEANUP(freep) double complex *again = matrices_load(&l);
        assert_memory_equal(first, again, sizeof(*first) * CHOL_N * CHOL_N);
    }
}

/* A block goes into those to its right; those below its row's place on the diagonal; and all that
 * follows from these. */
static bool chol_follows(int64_t i, int64_t j, const int64_t lost[2])
{
    bool is_it = i == lost[0] && j == lost[1];
    return j <= i && !is_it && ((i == lost[0] && j >= lost[1]) || j >= lost[0]);
}

static void chol_knows_what_is_computed_from_a_block(void **state)
{
    static const int64_t lost[][2] = {{0, 0}, {3, 1}, {5, 0}, {5, 5}, {4, 3}};
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1, 0);
    for (int64_t tiles = 3; tiles < 40; tiles += 6) {
        struct chol c = chol_of(&a, tiles);
        const struct run_algorithm algorithm = chol_algorithm(&c);
        for (size_t at = 0; at < ARRAY_SIZE(lost); at++) {
            CLEANUP(freep) bool *follows = NULL;
            int64_t rank = grid_rank(&a.header.grid, lost[at]);
            assert_int_equal(run_dependents(&algorithm, &a, rank, &follows, NULL), 0);
            for (int64_t i = 0; i < 6; i++) {
                for (int64_t j = 0; j < 6; j++)
                    assert_int_equal(follows[i * 6 + j], chol_follows(i, j, lost[at]));
            }
        }
    }
}

static void chol_says_where_it_fails(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct err err = {0};
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1, 0);
    CLEANUP(freep) double complex *x = matrices_load(&a);
    x[47 * CHOL_N + 47] = -1;
    matrices_store(&a, x, false);
    struct chol c = chol_of(&a, 8);
    CLEANUP(matdir_close) struct matdir l = chol_output(&s, &c, "L");
    assert_int_equal(chol_do(&c, &l, &err), -EDOM);
    assert_non_null(strstr(err.msg, "/A: leading minor of order 48 is not positive definite"));
    x[47 * CHOL_N + 47] = (double)INFINITY;
    matrices_store(&a, x, false);
    assert_int_equal(chol_do(&c, &l, &err), -EDOM);
    assert_non_null(strstr(err.msg, "/A: element (47, 47) is NaN or infinite (block 4,4)"));
}

static void chol_needs_three_blocks_of_memory(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct chol_layout layout;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = chol_kernel(&s, "A", 1, 0);
    struct chol c = chol_of(&a, 3);
    assert_int_equal(chol_memory_min(&c), c.memory);
    assert_int_equal(chol_layout(&c, &layout, NULL), 0);
    c.memory--;
    assert_int_equal(chol_layout(&c, &layout, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chol_is_right_with_any_memory),
        cmocka_unit_test(chol_verify_sees_one_wrong_element),
        cmocka_unit_test(chol_of_two_runs_that_differ_is_one_of_them),
        cmocka_unit_test(chol_takes_up_what_is_there),
        cmocka_unit_test(chol_knows_what_is_computed_from_a_block),
        cmocka_unit_test(chol_says_where_it_fails),
        cmocka_unit_test(chol_needs_three_blocks_of_memory),
    };
    kernel_init();
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
