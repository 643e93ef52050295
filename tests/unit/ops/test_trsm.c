#include "tests/unit/unit.h"

#include "ops/kernel.h"
#include "ops/solve.h"
#include "ops/verify.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRSM_N = 37, TRSM_K = 23, TRSM_BLOCK = 10, TRSM_TILE = 800, TRSM_RESIDUAL_MAX = 30 };

/* A matrix whose triangles are well conditioned, and right-hand sides. */
struct trsm_operands {
    struct scratch s;
    struct matdir t, b;
};

static void trsm_setup(struct trsm_operands *o, bool left)
{
    struct matrices_spec t = {
        .name = "T", .dtype = "f8", .shape = {TRSM_N, TRSM_N}, .shard = {TRSM_BLOCK, TRSM_BLOCK}};
    struct matrices_spec b = t;
    scratch_init(&o->s);
    o->t = matrices_random(&o->s, &t, 1);
    b.name = "B";
    b.shape[left ? 1 : 0] = TRSM_K;
    o->b = matrices_random(&o->s, &b, 2);
    CLEANUP(freep) double complex *x = matrices_load(&o->t);
    for (int i = 0; i < TRSM_N; i++)
        x[i * TRSM_N + i] += 4 * TRSM_N;
    matrices_store(&o->t, x, false);
}

static void trsm_teardown(struct trsm_operands *o)
{
    matdir_close(&o->t);
    matdir_close(&o->b);
    scratch_fini(&o->s);
}

static struct trsm trsm_of(const struct trsm_operands *o, const char *letters, int64_t tiles)
{
    return (struct trsm){.side = letters[0],
                         .uplo = letters[1],
                         .trans = letters[2],
                         .diag = letters[3],
                         .t = &o->t,
                         .b = &o->b,
                         .memory = (uint64_t)tiles * TRSM_TILE};
}

static struct matdir trsm_output(const struct trsm_operands *o, const struct trsm *x)
{
    struct header h = {0};
    struct matdir out = MATDIR_NONE;
    assert_int_equal(trsm_plan(x, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(&o->s, "X"), &h, &out, NULL), 0);
    return out;
}

static int trsm_do(const struct run_algorithm *a, uint64_t memory, const struct matdir *out,
                   struct err *err)
{
    const struct run_conf conf = {.memory = memory, .threads = 2};
    struct engine_count n;
    int r = run_do(a, out, &conf, &n, err);
    assert_true(n.memory_peak <= memory && n.memory_held <= memory);
    return r;
}

static void trsm_of_every_kind_is_right_with_any_memory(void **state)
{
    static const char *const kinds[] = {"llnn", "lltn", "lunn", "lucn", "rlnn",
                                        "rltn", "runn", "rucn", "llnu", "rucu"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds) * 3; i++) {
        struct trsm_operands o;
        double residual = NAN;
        const char *letters = kinds[i / 3];
        trsm_setup(&o, letters[0] == 'l');
        struct trsm x = trsm_of(&o, letters, 3 + (int64_t)i);
        struct run_algorithm a = trsm_algorithm(&x);
        CLEANUP(matdir_close) struct matdir out = trsm_output(&o, &x);
        assert_int_equal(trsm_do(&a, x.memory, &out, NULL), 0);
        assert_int_equal(verify_trsm(&x, &out, &residual, NULL), 0);
        /* With ones for a diagonal that was large the solution grows beyond what is checked. */
        assert_true(letters[3] == 'u' || residual < TRSM_RESIDUAL_MAX);
        trsm_teardown(&o);
    }
}

static void trsm_verify_sees_one_wrong_element(void **state)
{
    struct trsm_operands o;
    double residual = NAN;
    (void)state;
    trsm_setup(&o, true);
    struct trsm x = trsm_of(&o, "llnn", 9);
    struct run_algorithm a = trsm_algorithm(&x);
    CLEANUP(matdir_close) struct matdir out = trsm_output(&o, &x);
    assert_int_equal(trsm_do(&a, x.memory, &out, NULL), 0);
    CLEANUP(freep) double complex *all = matrices_load(&out);
    all[11 * TRSM_K + 12] += 1e-8;
    matrices_store(&out, all, false);
    assert_int_equal(verify_trsm(&x, &out, &residual, NULL), 0);
    assert_true(residual > 100);
    trsm_teardown(&o);
}

static void trsm_makes_a_lost_block_again(void **state)
{
    static const char *const gone[] = {"block_0_0", "block_3_2", "block_1_1"};
    struct trsm_operands o;
    (void)state;
    trsm_setup(&o, true);
    struct trsm x = trsm_of(&o, "lunn", 4);
    struct run_algorithm a = trsm_algorithm(&x);
    CLEANUP(matdir_close) struct matdir out = trsm_output(&o, &x);
    assert_int_equal(trsm_do(&a, x.memory, &out, NULL), 0);
    CLEANUP(freep) double complex *first = matrices_load(&out);
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        assert_int_equal(unlinkat(out.fd, gone[i], 0), 0);
        assert_int_equal(trsm_do(&a, x.memory, &out, NULL), 0);
        CLEANUP(freep) double complex *again = matrices_load(&out);
        assert_memory_equal(first, again, sizeof(*first) * TRSM_N * TRSM_K);
    }
    trsm_teardown(&o);
}

static void trsm_names_a_zero_on_the_diagonal(void **state)
{
    struct trsm_operands o;
    struct err err = {0};
    (void)state;
    trsm_setup(&o, true);
    CLEANUP(freep) double complex *t = matrices_load(&o.t);
    t[21 * TRSM_N + 21] = 0;
    matrices_store(&o.t, t, false);
    struct trsm x = trsm_of(&o, "lltn", 5);
    struct run_algorithm a = trsm_algorithm(&x);
    CLEANUP(matdir_close) struct matdir out = trsm_output(&o, &x);
    assert_int_equal(trsm_do(&a, x.memory, &out, &err), -EDOM);
    assert_non_null(strstr(err.msg, "/T: singular: element (21, 21) is 0"));
    trsm_teardown(&o);
}

static void trsm_needs_three_blocks_of_memory(void **state)
{
    struct trsm_operands o;
    struct trsm_layout layout;
    (void)state;
    trsm_setup(&o, true);
    struct trsm x = trsm_of(&o, "llnn", 3);
    assert_int_equal(trsm_memory_min(&x), x.memory);
    assert_int_equal(trsm_layout(&x, &layout, NULL), 0);
    x.memory--;
    assert_int_equal(trsm_layout(&x, &layout, NULL), -EINVAL);
    trsm_teardown(&o);
}

/* With a lower factor, and with its transpose for an upper one. */
static void trsm_solve_undoes_a_factor(void **state)
{
    (void)state;
    for (int64_t columns = 1; columns <= 3; columns++) {
        struct trsm_operands o;
        struct solve x = {.forward.trans = 'n'};
        double residual = NAN;
        trsm_setup(&o, true);
        assert_int_equal(solve_init(&x, &o.t, &o.b, NULL), -EINVAL); /* no triangle */
        x.forward = trsm_of(&o, columns % 2 ? "llnn" : "lucn", 0);
        x.forward.memory = (uint64_t)(columns * TRSM_N * TRSM_BLOCK * 8 + TRSM_TILE);
        struct run_algorithm a = solve_algorithm(&x);
        CLEANUP(matdir_close) struct matdir out = trsm_output(&o, &x.forward);
        assert_int_equal(trsm_do(&a, x.forward.memory, &out, NULL), 0);
        assert_int_equal(verify_solve(&x, &out, &residual, NULL), 0);
        assert_true(residual < TRSM_RESIDUAL_MAX);
        CLEANUP(freep) double complex *all = matrices_load(&out);
        all[17 * TRSM_K + 2] *= 1 + 1e-6;
        matrices_store(&out, all, false);
        assert_int_equal(verify_solve(&x, &out, &residual, NULL), 0);
        assert_true(residual > 100);
        trsm_teardown(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trsm_of_every_kind_is_right_with_any_memory),
        cmocka_unit_test(trsm_verify_sees_one_wrong_element),
        cmocka_unit_test(trsm_makes_a_lost_block_again),
        cmocka_unit_test(trsm_names_a_zero_on_the_diagonal),
        cmocka_unit_test(trsm_needs_three_blocks_of_memory),
        cmocka_unit_test(trsm_solve_undoes_a_factor),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
