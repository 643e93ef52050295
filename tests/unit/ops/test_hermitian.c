#include "tests/unit/unit.h"

#include "ops/hermitian.h"
#include "ops/kernel.h"
#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HERMITIAN_N = 300, HERMITIAN_BLOCK = 200 }; /* more than a strip, and a ragged block */

static struct rng rng;

static const struct run_conf hermitian_conf = {
    .memory = (uint64_t)HERMITIAN_BLOCK * HERMITIAN_BLOCK * 16, .threads = 2};

static struct matdir hermitian_matrix(const struct scratch *s, const char *dtype)
{
    struct matrices_spec spec = {.name = "A",
                                 .dtype = dtype,
                                 .shape = {HERMITIAN_N, HERMITIAN_N},
                                 .shard = {HERMITIAN_BLOCK, HERMITIAN_BLOCK}};
    return matrices_empty(s, &spec);
}

/* Elements of about 1; freed with free(). */
static double complex *hermitian_elements(bool complex_too)
{
    double complex *x = calloc((size_t)HERMITIAN_N * HERMITIAN_N, sizeof(*x));
    assert_non_null(x);
    for (int i = 0; i < HERMITIAN_N; i++) {
        for (int j = 0; j <= i; j++) {
            double im = complex_too && i != j ? sin(i * 31 + j) : 0;
            x[i * HERMITIAN_N + j] = cos(i * 17 + j) + im * I;
            x[j * HERMITIAN_N + i] = cos(i * 17 + j) - im * I;
        }
        x[i * HERMITIAN_N + i] = 1;
    }
    return x;
}

static void hermitian_is_what_it_should_be_in_every_type(void **state)
{
    static const char *const dtype[] = {"f4", "f8", "c8", "c16"};
    (void)state;
    for (size_t t = 0; t < ARRAY_SIZE(dtype); t++) {
        CLEANUP(scratch_fini) struct scratch s;
        scratch_init(&s);
        CLEANUP(matdir_close) struct matdir a = hermitian_matrix(&s, dtype[t]);
        CLEANUP(freep) double complex *x = hermitian_elements(*dtype[t] == 'c');
        matrices_store(&a, x, t % 2);
        assert_int_equal(hermitian_check(&a, &hermitian_conf, NULL), 0);
    }
}

/* A pair across the diagonal of one of the diagonal blocks, anywhere. */
static void hermitian_pick(int *ret_i, int *ret_j)
{
    do {
        *ret_i = (int)(rng_next(&rng) % HERMITIAN_N);
        *ret_j = (int)(rng_next(&rng) % HERMITIAN_N);
    } while (*ret_i <= *ret_j || *ret_i / HERMITIAN_BLOCK != *ret_j / HERMITIAN_BLOCK);
}

static void hermitian_finds_any_pair(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = hermitian_matrix(&s, "c16");
    for (int turn = 0; turn < 40; turn++) {
        CLEANUP(freep) double complex *x = hermitian_elements(true);
        struct err err = {0};
        char where[64];
        int i = 0;
        int j = 0;
        hermitian_pick(&i, &j);
        x[(turn % 2 ? i * HERMITIAN_N + j : j * HERMITIAN_N + i)] += turn % 4 < 2 ? 1e-3 : 1e-3 * I;
        matrices_store(&a, x, turn % 3 == 0);
        assert_int_equal(hermitian_check(&a, &hermitian_conf, &err), -EINVAL);
        (void)snprintf(where, sizeof(where), "/A: not Hermitian: (%d, %d) is ", i, j);
        assert_non_null(strstr(err.msg, where));
    }
}

static void hermitian_allows_rounding_and_leaves_nan_to_others(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct err err = {0};
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = hermitian_matrix(&s, "f8");
    CLEANUP(freep) double complex *x = hermitian_elements(false);
    x[150 * HERMITIAN_N + 3] += 1e-9; /* of a diagonal of ones */
    x[150 * HERMITIAN_N + 4] = NAN;
    x[250 * HERMITIAN_N + 3] = 9; /* not in a diagonal block */
    matrices_store(&a, x, false);
    assert_int_equal(hermitian_check(&a, &hermitian_conf, NULL), 0);
    x[150 * HERMITIAN_N + 3] += 1e-7;
    matrices_store(&a, x, false);
    assert_int_equal(hermitian_check(&a, &hermitian_conf, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "/A: not symmetric: (150, 3) is "));
}

static void hermitian_says_which_block_it_cannot_read(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct err err = {0};
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = hermitian_matrix(&s, "f8");
    assert_int_equal(hermitian_check(&a, &hermitian_conf, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/A/block_"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hermitian_is_what_it_should_be_in_every_type),
        cmocka_unit_test(hermitian_finds_any_pair),
        cmocka_unit_test(hermitian_allows_rounding_and_leaves_nan_to_others),
        cmocka_unit_test(hermitian_says_which_block_it_cannot_read),
    };
    kernel_init();
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
