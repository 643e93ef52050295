#include "tests/unit/unit.h"

#include "ops/rand.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RAND_MANY = 200000 };

static struct dtype rand_type(const char *name)
{
    struct dtype t;
    assert_int_equal(dtype_from_name(name, strlen(name), &t, NULL), 0);
    return t;
}

/* The known answers of Random123, the generator's authors' own library. */
static void rand_philox_gives_its_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint64_t counter[4], key[2], want[4];
    } known[] = {
        {{0, 0, 0, 0},
         {0, 0},
         {0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b}},
        {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX},
         {UINT64_MAX, UINT64_MAX},
         {0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6, 0xa09caebf594f0ba0}},
        {{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89},
         {0x452821e638d01377, 0xbe5466cf34e90c6c},
         {0xa528f45403e61d95, 0x38c72dbd566e9788, 0xa5a1610e72fd18b5, 0x57bd43b5e52b7fe6}}};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        uint64_t word[4];
        rand_philox(known[i].counter, known[i].key, word);
        assert_memory_equal(word, known[i].want, sizeof(word));
    }
}

static void rand_fill_gives_each_element_its_own_value(void **state)
{
    (void)state;
    static const char *const types[] = {"f4", "f8", "c8", "c16"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct dtype t = rand_type(types[i]);
        _Alignas(16) unsigned char whole[16 * 100];
        _Alignas(16) unsigned char part[16 * 100];
        rand_fill(RAND_NORMAL, 7, 1000, 100, t, whole);
        for (int64_t k = 0; k < 100; k += 20)
            rand_fill(RAND_NORMAL, 7, 1000 + k, 20, t, part + (size_t)k * t.size);
        assert_memory_equal(part, whole, 100 * (size_t)t.size);
        rand_fill(RAND_NORMAL, 8, 1000, 100, t, part);
        assert_memory_not_equal(part, whole, 100 * (size_t)t.size);
    }
}

/* Mean, variance, skewness and kurtosis, each within five standard errors. */
static void rand_check_moments(const double *x, size_t n, double mean, double variance,
                               double kurtosis)
{
    double m = 0;
    double m2 = 0;
    double m3 = 0;
    double m4 = 0;
    for (size_t i = 0; i < n; i++)
        m += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - mean;
        m2 += d * d / (double)n;
        m3 += d * d * d / (double)n;
        m4 += d * d * d * d / (double)n;
    }
    double error = 5 / sqrt((double)n);
    assert_true(fabs(m - mean) < error * sqrt(variance));
    assert_true(fabs(m2 / variance - 1) < error * sqrt(kurtosis - 1));
    assert_true(fabs(m3) / pow(variance, 1.5) < error * 4);
    assert_true(fabs(m4 / (variance * variance) - kurtosis) < error * 10);
}

static void rand_values_have_the_moments_of_their_distribution(void **state)
{
    (void)state;
    static double x[2 * RAND_MANY];
    rand_fill(RAND_NORMAL, 1, 0, RAND_MANY, rand_type("f8"), x);
    rand_check_moments(x, RAND_MANY, 0, 1, 3);
    rand_fill(RAND_UNIFORM, 1, 0, RAND_MANY, rand_type("f8"), x);
    rand_check_moments(x, RAND_MANY, 0.5, 1.0 / 12, 1.8);
    rand_fill(RAND_NORMAL, 1, 0, RAND_MANY, rand_type("c16"), x);
    rand_check_moments(x, (size_t)2 * RAND_MANY, 0, 1, 3);
}

/* Neighbours, and both parts of a complex number, have nothing to do with each other. */
static void rand_values_are_uncorrelated(void **state)
{
    (void)state;
    static double x[2 * RAND_MANY];
    double neighbour = 0;
    double parts = 0;
    rand_fill(RAND_NORMAL, 3, 0, RAND_MANY, rand_type("c16"), x);
    for (size_t i = 0; i + 2 < (size_t)2 * RAND_MANY; i += 2) {
        neighbour += x[i] * x[i + 2] / RAND_MANY;
        parts += x[i] * x[i + 1] / RAND_MANY;
    }
    assert_true(fabs(neighbour) < 5 / sqrt(RAND_MANY));
    assert_true(fabs(parts) < 5 / sqrt(RAND_MANY));
}

static void rand_uniform_stays_below_1_in_single_precision(void **state)
{
    (void)state;
    static float x[RAND_MANY];
    rand_fill(RAND_UNIFORM, 5, 0, RAND_MANY, rand_type("f4"), x);
    for (size_t i = 0; i < RAND_MANY; i++)
        assert_true(x[i] >= 0 && x[i] < 1);
}

static void rand_check_refuses_types_without_fractions(void **state)
{
    (void)state;
    static const char *const bad[] = {"?", "i4", "u8", "f2"};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(rand_check(rand_type(bad[i]), &err), -EINVAL);
    assert_non_null(strstr(err.msg, "not float16"));
    assert_int_equal(rand_check(rand_type(">c8"), NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rand_philox_gives_its_known_answers),
        cmocka_unit_test(rand_fill_gives_each_element_its_own_value),
        cmocka_unit_test(rand_values_have_the_moments_of_their_distribution),
        cmocka_unit_test(rand_values_are_uncorrelated),
        cmocka_unit_test(rand_uniform_stays_below_1_in_single_precision),
        cmocka_unit_test(rand_check_refuses_types_without_fractions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
