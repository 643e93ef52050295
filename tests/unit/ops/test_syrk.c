#include "tests/unit/unit.h"

#include "ops/kernel.h"
#include "ops/syrk.h"
#include "ops/verify.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { SYRK_N = 43, SYRK_K = 31, SYRK_BLOCK = 10, SYRK_TILE = 1600, SYRK_RESIDUAL_MAX = 30 };

static struct matdir syrk_operand(const struct scratch *s, char trans, int64_t k)
{
    struct matrices_spec a = {
        .name = "A", .dtype = "c16", .shape = {SYRK_N, k}, .shard = {SYRK_BLOCK, SYRK_BLOCK}};
    if (trans != 'n') {
        a.shape[0] = k;
        a.shape[1] = SYRK_N;
    }
    return matrices_random(s, &a, 1);
}

static struct matdir syrk_output(const struct scratch *s, const struct syrk *x)
{
    struct header h = {0};
    struct matdir out = MATDIR_NONE;
    assert_int_equal(syrk_plan(x, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, "C"), &h, &out, NULL), 0);
    return out;
}

static void syrk_do(const struct syrk *x, const struct matdir *out)
{
    const struct run_algorithm a = syrk_algorithm(x);
    const struct run_conf conf = {.memory = x->memory, .threads = 2};
    struct engine_count n;
    assert_int_equal(run_do(&a, out, &conf, &n, NULL), 0);
    assert_true(n.memory_peak <= x->memory && n.memory_held <= x->memory);
}

static void syrk_is_right_and_hermitian_with_any_memory(void **state)
{
    (void)state;
    for (int64_t tiles = 3; tiles < 40; tiles += 2) {
        CLEANUP(scratch_fini) struct scratch s;
        double residual = NAN;
        char trans = tiles % 4 == 1 ? 'n' : 'c';
        scratch_init(&s);
        CLEANUP(matdir_close) struct matdir a = syrk_operand(&s, trans, SYRK_K);
        struct syrk x = {.trans = trans, .a = &a, .memory = (uint64_t)tiles * SYRK_TILE};
        CLEANUP(matdir_close) struct matdir c = syrk_output(&s, &x);
        syrk_do(&x, &c);
        assert_int_equal(verify_syrk(&x, &c, &residual, NULL), 0);
        assert_true(residual < SYRK_RESIDUAL_MAX);
        CLEANUP(freep) double complex *all = matrices_load(&c);
        for (int i = 0; i < SYRK_N; i++) {
            for (int j = 0; j <= i; j++)
                assert_true(all[i * SYRK_N + j] == conj(all[j * SYRK_N + i]));
        }
        all[40 * SYRK_N + 3] += 1e-6;
        matrices_store(&c, all, false);
        assert_int_equal(verify_syrk(&x, &c, &residual, NULL), 0);
        assert_true(residual > 100);
    }
}

static void syrk_leaves_the_upper_blocks_out_when_told_to(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = syrk_operand(&s, 'n', SYRK_K);
    struct syrk x = {.trans = 'n', .lower = true, .a = &a, .memory = UINT64_C(9) * SYRK_TILE};
    CLEANUP(matdir_close) struct matdir c = syrk_output(&s, &x);
    syrk_do(&x, &c);
    assert_int_equal(faccessat(c.fd, "block_3_2", F_OK, 0), 0);
    assert_int_equal(faccessat(c.fd, "block_2_3", F_OK, 0), -1);
}

static void syrk_over_no_k_is_zero(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = syrk_operand(&s, 'n', 0);
    struct syrk x = {.trans = 'n', .a = &a, .memory = UINT64_C(9) * SYRK_TILE};
    CLEANUP(matdir_close) struct matdir c = syrk_output(&s, &x);
    syrk_do(&x, &c);
    CLEANUP(freep) double complex *all = matrices_load(&c);
    for (int i = 0; i < SYRK_N * SYRK_N; i++)
        assert_true(all[i] == 0);
}

static void syrk_needs_three_blocks_of_memory(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    int64_t parts = 0;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = syrk_operand(&s, 'n', SYRK_K);
    struct syrk x = {.trans = 'n', .a = &a, .memory = UINT64_C(3) * SYRK_TILE};
    assert_int_equal(syrk_parts(&x, &parts, NULL), 0);
    assert_int_equal(parts, 5);
    x.memory--;
    assert_int_equal(syrk_parts(&x, &parts, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syrk_is_right_and_hermitian_with_any_memory),
        cmocka_unit_test(syrk_leaves_the_upper_blocks_out_when_told_to),
        cmocka_unit_test(syrk_over_no_k_is_zero),
        cmocka_unit_test(syrk_needs_three_blocks_of_memory),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
