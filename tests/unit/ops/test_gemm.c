#include "tests/unit/unit.h"

#include "ops/create.h"
#include "ops/gemm.h"
#include "ops/kernel.h"
#include "tests/kit/matrices.h"
#include "tests/kit/residual.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GEMM_RESIDUAL_MAX = 30 };

static struct rng rng;

static int gemm_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int gemm_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

/* Makes every block of C that is not there, with two threads and little memory: three blocks, up to
 * as many more as chance has it. */
static int gemm_do(struct gemm *g, const struct matdir *c, struct err *err)
{
    struct gemm_layout layout;
    struct engine_count n;
    g->memory = gemm_memory_min(g) + 1 + rng_below(&rng, 4 * gemm_memory_min(g) + 1);
    assert_int_equal(gemm_layout(g, &layout, NULL), 0);
    const struct run_algorithm algorithm = gemm_algorithm(g);
    const struct run_conf conf = {.memory = g->memory, .threads = 2, .watch = c->watch};
    int r = run_do(&algorithm, c, &conf, &n, err);
    assert_true(n.memory_peak <= g->memory && n.memory_held <= g->memory);
    return r;
}

/* A product: op(A) is m x k in blocks of bm x bk, op(B) k x n in blocks of bk x bn. */
struct product {
    int64_t m, n, k, bm, bn, bk;
    const char *dtype;
    char transa, transb;
    bool add, fortran;
    double complex alpha, beta;
};

static struct matrices_spec gemm_spec(const char *name, const char *dtype, bool turned,
                                      const int64_t *size)
{
    struct matrices_spec s = {.name = name, .dtype = dtype};
    s.shape[turned] = size[0];
    s.shape[!turned] = size[1];
    s.shard[turned] = size[2];
    s.shard[!turned] = size[3];
    return s;
}

static struct matdir gemm_operand(const struct scratch *s, const struct product *p,
                                  const struct matrices_spec *spec)
{
    struct matdir m = matrices_random(s, spec, rng_next(&rng));
    CLEANUP(freep) double complex *all = matrices_load(&m);
    if (p->fortran)
        matrices_store(&m, all, true);
    return m;
}

/* Computes it and returns the residual. */
static double gemm_try(const struct product *p)
{
    CLEANUP(scratch_fini) struct scratch s;
    scratch_init(&s);
    struct matrices_spec a =
        gemm_spec("A", p->dtype, p->transa != 'n', (int64_t[]){p->m, p->k, p->bm, p->bk});
    struct matrices_spec b =
        gemm_spec("B", p->dtype, p->transb != 'n', (int64_t[]){p->k, p->n, p->bk, p->bn});
    struct matrices_spec d = gemm_spec("D", p->dtype, false, (int64_t[]){p->m, p->n, p->bm, p->bn});
    CLEANUP(matdir_close) struct matdir ma = gemm_operand(&s, p, &a);
    CLEANUP(matdir_close) struct matdir mb = gemm_operand(&s, p, &b);
    CLEANUP(matdir_close) struct matdir md = gemm_operand(&s, p, &d);
    CLEANUP(matdir_close) struct matdir mc = MATDIR_NONE;
    struct watch watch = {0};
    struct gemm g = {.transa = p->transa,
                     .transb = p->transb,
                     .alpha = p->alpha,
                     .beta = p->beta,
                     .a = &ma,
                     .b = &mb,
                     .d = p->add ? &md : NULL};
    struct header h = {0};
    assert_int_equal(gemm_plan(&g, &h, NULL), 0);
    assert_int_equal(gemm_check_inputs(&g, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(&s, "C"), &h, &mc, NULL), 0);
    mc.watch = &watch;
    assert_int_equal(gemm_do(&g, &mc, NULL), 0);
    assert_int_equal(watch.steps_done, watch.steps);
    assert_int_equal(mc.header.grid.shape[0], p->m);
    assert_int_equal(mc.header.grid.shape[1], p->n);
    assert_int_equal(mc.header.grid.shard[0], p->bm);
    assert_int_equal(mc.header.grid.shard[1], p->bn);
    return residual_gemm(&g, &mc, 1);
}

static void gemm_of_every_type_transpose_and_shape_is_right(void **state)
{
    (void)state;
    static const char *const types[] = {"<f4", "<f8", "<c8", "<c16", ">f4", ">c16"};
    static const int64_t size[][6] = {
        {1, 1, 1, 1, 1, 1},       {1, 1, 1, 5, 6, 7},       {20, 20, 20, 10, 10, 10},
        {13, 9, 17, 5, 4, 6},     {31, 1, 7, 8, 1, 3},      {1, 40, 33, 1, 16, 16},
        {64, 65, 63, 32, 32, 32}, {10, 12, 100, 10, 12, 7},
    };
    for (int round = 0; round < 200; round++) {
        const int64_t *x = size[(size_t)round % ARRAY_SIZE(size)];
        struct product p = {.m = x[0],
                            .n = x[1],
                            .k = x[2],
                            .bm = x[3],
                            .bn = x[4],
                            .bk = x[5],
                            .dtype = types[rng_below(&rng, ARRAY_SIZE(types))],
                            .transa = "ntc"[rng_below(&rng, 3)],
                            .transb = "ntc"[rng_below(&rng, 3)],
                            .add = rng_below(&rng, 2),
                            .fortran = rng_below(&rng, 2),
                            .alpha = -1.5,
                            .beta = 0.75};
        if (p.dtype[1] == 'c' && rng_below(&rng, 2)) {
            p.alpha += 2 * I;
            p.beta -= 0.5 * I;
        }
        assert_true(gemm_try(&p) < GEMM_RESIDUAL_MAX);
    }
}

/* The check itself must be able to fail: one element off by 1e-6. */
static void gemm_residual_sees_one_wrong_element(void **state)
{
    const struct scratch *s = *state;
    struct matrices_spec spec = {.name = "A", .dtype = "f8", .shape = {40, 40}, .shard = {16, 16}};
    CLEANUP(matdir_close) struct matdir a = matrices_random(s, &spec, 1);
    spec.name = "C";
    CLEANUP(matdir_close) struct matdir c = matrices_empty(s, &spec);
    struct gemm g = {.transa = 'n', .transb = 'n', .alpha = 1, .a = &a, .b = &a};
    assert_int_equal(gemm_do(&g, &c, NULL), 0);
    assert_true(residual_gemm(&g, &c, 7) < GEMM_RESIDUAL_MAX);
    CLEANUP(freep) double complex *all = matrices_load(&c);
    all[1234] += 1e-6;
    matrices_store(&c, all, false);
    assert_true(residual_gemm(&g, &c, 7) > 1000);
}

/* Whole numbers: exact in any order, so that every byte is known. */
static void gemm_of_whole_numbers_is_exact(void **state)
{
    const struct scratch *s = *state;
    struct matrices_spec spec = {.name = "A", .dtype = "f4", .shape = {9, 8}, .shard = {4, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_empty(s, &spec);
    double complex x[72];
    for (int i = 0; i < 72; i++)
        x[i] = (double)rng_below(&rng, 201) - 100;
    matrices_store(&a, x, false);
    CLEANUP(matdir_close) struct matdir c = MATDIR_NONE;
    struct gemm g = {.transa = 'n', .transb = 't', .alpha = 3, .a = &a, .b = &a};
    struct header h = {0};
    assert_int_equal(gemm_plan(&g, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, "C"), &h, &c, NULL), 0);
    assert_int_equal(gemm_do(&g, &c, NULL), 0);
    CLEANUP(freep) double complex *got = matrices_load(&c);
    for (int i = 0; i < 9; i++) {
        for (int j = 0; j < 9; j++) {
            double complex want = 0;
            for (int k = 0; k < 8; k++)
                want += 3 * x[8 * i + k] * x[8 * j + k];
            assert_true(got[9 * i + j] == want);
        }
    }
}

/* A pair of 4 x 4 matrices, and D, for the rules of what is read. */
struct square {
    struct matdir a, b, d, c;
    struct gemm g;
};

static void gemm_square(const struct scratch *s, struct square *q)
{
    struct matrices_spec spec = {.name = "A", .dtype = "f8", .shape = {4, 4}, .shard = {2, 2}};
    q->a = matrices_random(s, &spec, 1);
    spec.name = "B";
    q->b = matrices_random(s, &spec, 2);
    spec.name = "D";
    q->d = matrices_random(s, &spec, 3);
    spec.name = "C";
    q->c = matrices_empty(s, &spec);
    q->g = (struct gemm){
        .transa = 'n', .transb = 'n', .alpha = 1, .beta = 1, .a = &q->a, .b = &q->b, .d = &q->d};
}

static void gemm_square_fini(struct square *q)
{
    matdir_close(&q->a);
    matdir_close(&q->b);
    matdir_close(&q->c);
    matdir_close(&q->d);
}

static void gemm_poison(const struct matdir *m)
{
    CLEANUP(freep) double complex *all = matrices_load(m);
    for (int i = 0; i < 16; i++)
        all[i] = (double)NAN;
    matrices_store(m, all, false);
}

static void gemm_with_alpha_0_reads_neither_a_nor_b(void **state)
{
    struct square q;
    gemm_square(*state, &q);
    q.g.alpha = 0;
    q.g.beta = 2;
    gemm_poison(&q.a);
    assert_int_equal(unlinkat(q.b.fd, "block_0_0", 0), 0);
    assert_int_equal(gemm_check_inputs(&q.g, NULL), 0);
    assert_int_equal(gemm_do(&q.g, &q.c, NULL), 0);
    CLEANUP(freep) double complex *c = matrices_load(&q.c);
    CLEANUP(freep) double complex *d = matrices_load(&q.d);
    for (int i = 0; i < 16; i++)
        assert_true(c[i] == 2 * d[i]);
    gemm_square_fini(&q);
}

static void gemm_with_beta_0_does_not_read_d(void **state)
{
    struct square q;
    gemm_square(*state, &q);
    q.g.beta = 0;
    assert_int_equal(unlinkat(q.d.fd, "block_1_1", 0), 0);
    gemm_poison(&q.b); /* to see that NaN goes through where it is read */
    assert_int_equal(gemm_check_inputs(&q.g, NULL), 0);
    assert_int_equal(gemm_do(&q.g, &q.c, NULL), 0);
    CLEANUP(freep) double complex *c = matrices_load(&q.c);
    for (int i = 0; i < 16; i++)
        assert_true(isnan(creal(c[i])));
    gemm_square_fini(&q);
}

static void gemm_names_a_missing_block(void **state)
{
    struct square q;
    struct err err = {0};
    gemm_square(*state, &q);
    assert_int_equal(unlinkat(q.b.fd, "block_1_0", 0), 0);
    assert_int_equal(gemm_check_inputs(&q.g, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/B/block_1_0: the block is missing (1 of 4 are)"));
    assert_int_equal(gemm_do(&q.g, &q.c, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/B/block_1_0: "));
    gemm_square_fini(&q);
}

static void gemm_takes_fill_values_for_missing_blocks(void **state)
{
    struct square q;
    gemm_square(*state, &q);
    assert_int_equal(unlinkat(q.b.fd, "block_1_0", 0), 0);
    assert_int_equal(unlinkat(q.d.fd, "block_0_1", 0), 0);
    assert_int_equal(matdir_set_fill(&q.b, (struct number){0, 0}, NULL), 0);
    assert_int_equal(matdir_set_fill(&q.d, (struct number){-2, 0}, NULL), 0);
    assert_int_equal(gemm_check_inputs(&q.g, NULL), 0);
    assert_int_equal(gemm_do(&q.g, &q.c, NULL), 0);
    assert_true(residual_gemm(&q.g, &q.c, 3) < GEMM_RESIDUAL_MAX);
    gemm_square_fini(&q);
}

static void gemm_makes_what_is_missing_and_leaves_the_rest(void **state)
{
    struct square q;
    gemm_square(*state, &q);
    assert_int_equal(gemm_do(&q.g, &q.c, NULL), 0);
    CLEANUP(freep) double complex *c = matrices_load(&q.c);
    gemm_poison(&q.c);
    assert_int_equal(unlinkat(q.c.fd, "block_0_1", 0), 0);
    assert_int_equal(gemm_do(&q.g, &q.c, NULL), 0);
    CLEANUP(freep) double complex *again = matrices_load(&q.c);
    for (int i = 0; i < 16; i++) {
        bool made = i / 4 < 2 && i % 4 >= 2;
        assert_true(made ? again[i] == c[i] : isnan(creal(again[i])));
    }
    gemm_square_fini(&q);
}

static void gemm_of_an_empty_inner_dimension_is_what_is_added(void **state)
{
    const struct scratch *s = *state;
    struct matrices_spec a = {.name = "A", .dtype = "f8", .shape = {3, 0}, .shard = {2, 2}};
    struct matrices_spec b = {.name = "B", .dtype = "f8", .shape = {0, 4}, .shard = {2, 2}};
    CLEANUP(matdir_close) struct matdir ma = matrices_empty(s, &a);
    CLEANUP(matdir_close) struct matdir mb = matrices_empty(s, &b);
    CLEANUP(matdir_close) struct matdir mc = MATDIR_NONE;
    struct gemm g = {.transa = 'n', .transb = 'n', .alpha = 1, .a = &ma, .b = &mb};
    struct header h = {0};
    assert_int_equal(gemm_plan(&g, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, "C"), &h, &mc, NULL), 0);
    assert_int_equal(gemm_do(&g, &mc, NULL), 0);
    CLEANUP(freep) double complex *c = matrices_load(&mc);
    for (int i = 0; i < 12; i++)
        assert_true(c[i] == 0);
}

static void gemm_refuses(const struct scratch *s, const struct matrices_spec *bad, char role,
                         const char *says)
{
    struct square q;
    struct err err = {0};
    struct header h = {0};
    gemm_square(s, &q);
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, bad);
    if (role == 'a')
        q.g.a = &m;
    else if (role == 'b')
        q.g.b = &m;
    else
        q.g.d = &m;
    assert_int_equal(gemm_plan(&q.g, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, says));
    gemm_square_fini(&q);
}

static void gemm_plan_refuses_what_cannot_be(void **state)
{
    static const struct {
        struct matrices_spec spec;
        char role;
        const char *says;
    } bad[] = {
        {{.dtype = "f8", .shape = {5, 4}, .shard = {2, 2}}, 'b', "inner dimensions differ: "},
        {{.dtype = "f8", .shape = {4, 4}, .shard = {3, 2}}, 'b', "is cut every 2 columns, "},
        {{.dtype = "f4", .shape = {4, 4}, .shard = {2, 2}}, 'b', "types differ: "},
        {{.dtype = "i8", .shape = {4, 4}, .shard = {2, 2}}, 'a', "type int64; products are of"},
        {{.dtype = "f8", .ndim = 3, .shape = {4, 4, 1}, .shard = {2, 2, 1}}, 'a', "3 axes"},
        {{.dtype = "f8", .ndim = 1, .shape = {4}, .shard = {2}}, 'b', "1 axes"},
        {{.dtype = "f8", .shape = {4, 5}, .shard = {2, 2}}, 'd', "shapes differ: "},
        {{.dtype = "f8", .shape = {4, 4}, .shard = {2, 4}}, 'd', "blocks differ: "},
        {{.dtype = "f8", .shape = {INT64_C(1) << 40, 4}, .shard = {INT64_C(1) << 39, 2}},
         'a',
         "more than 2147483647 rows"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(scratch_fini) struct scratch s;
        struct matrices_spec spec = bad[i].spec;
        spec.name = "X";
        scratch_init(&s);
        gemm_refuses(&s, &spec, bad[i].role, bad[i].says);
    }
}

static void gemm_plan_refuses_a_complex_factor_of_real_matrices(void **state)
{
    struct square q;
    struct err err = {0};
    struct header h = {0};
    gemm_square(*state, &q);
    q.g.beta = I;
    assert_int_equal(gemm_plan(&q.g, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "a complex factor"));
    gemm_square_fini(&q);
}

/* A block that is longer than its matrix is as good as one that fits. */
static void gemm_takes_blocks_that_are_larger_than_the_matrix(void **state)
{
    const struct scratch *s = *state;
    struct matrices_spec a = {.name = "A", .dtype = "f8", .shape = {3, 5}, .shard = {64, 64}};
    struct matrices_spec b = {.name = "B", .dtype = "f8", .shape = {5, 4}, .shard = {5, 4}};
    CLEANUP(matdir_close) struct matdir ma = matrices_random(s, &a, 1);
    CLEANUP(matdir_close) struct matdir mb = matrices_random(s, &b, 2);
    CLEANUP(matdir_close) struct matdir mc = MATDIR_NONE;
    struct gemm g = {.transa = 'n', .transb = 'n', .alpha = 1, .a = &ma, .b = &mb};
    struct header h = {0};
    assert_int_equal(gemm_plan(&g, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, "C"), &h, &mc, NULL), 0);
    assert_int_equal(gemm_do(&g, &mc, NULL), 0);
    assert_true(residual_gemm(&g, &mc, 3) < GEMM_RESIDUAL_MAX);
}

int main(void)
{
#define GEMM_TEST(fn) cmocka_unit_test_setup_teardown(fn, gemm_setup, gemm_teardown)
    const struct CMUnitTest tests[] = {
        GEMM_TEST(gemm_of_every_type_transpose_and_shape_is_right),
        GEMM_TEST(gemm_residual_sees_one_wrong_element),
        GEMM_TEST(gemm_of_whole_numbers_is_exact),
        GEMM_TEST(gemm_with_alpha_0_reads_neither_a_nor_b),
        GEMM_TEST(gemm_with_beta_0_does_not_read_d),
        GEMM_TEST(gemm_names_a_missing_block),
        GEMM_TEST(gemm_takes_fill_values_for_missing_blocks),
        GEMM_TEST(gemm_makes_what_is_missing_and_leaves_the_rest),
        GEMM_TEST(gemm_of_an_empty_inner_dimension_is_what_is_added),
        GEMM_TEST(gemm_plan_refuses_what_cannot_be),
        GEMM_TEST(gemm_plan_refuses_a_complex_factor_of_real_matrices),
        GEMM_TEST(gemm_takes_blocks_that_are_larger_than_the_matrix),
    };
    kernel_init();
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
