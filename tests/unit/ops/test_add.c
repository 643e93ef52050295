#include "tests/unit/unit.h"

#include "ops/add.h"
#include "ops/derive.h"
#include "ops/inventory.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int add_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

static struct matdir add_operand(const struct scratch *s, const char *name, const char *dtype)
{
    const struct matrices_spec spec = {
        .name = name, .dtype = dtype, .shape = {5, 4}, .shard = {2, 3}};
    return matrices_random(s, &spec, (uint64_t)name[0]);
}

/* Adds into a new matrix at `name`, which the caller closes. */
static struct matdir add_of(const struct scratch *s, const struct add *x, const char *name)
{
    struct matdir c = MATDIR_NONE;
    CLEANUP(header_fini) struct header h = {0};
    assert_int_equal(add_plan(x, &h, NULL), 0);
    assert_int_equal(matdir_create(scratch_at(s, name), &h, &c, NULL), 0);
    assert_int_equal(add_run(x, &c, NULL), 0);
    return c;
}

static void add_agrees_with_arithmetic_for_each_type_and_factor(void **state)
{
    const struct scratch *s = *state;
    static const char *const types[] = {"f4", ">f8", "c8", "c16"};
    const double complex factor[] = {1, -1, 0.1, 0, 2 - 0.5 * I};
    int made = 0;
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        char name[3][24];
        (void)snprintf(name[0], sizeof(name[0]), "A%zu", t);
        (void)snprintf(name[1], sizeof(name[1]), "B%zu", t);
        CLEANUP(matdir_close) struct matdir a = add_operand(s, name[0], types[t]);
        CLEANUP(matdir_close) struct matdir b = add_operand(s, name[1], types[t]);
        CLEANUP(freep) double complex *x = matrices_load(&a);
        CLEANUP(freep) double complex *y = matrices_load(&b);
        matrices_store(&b, y, true);
        double eps = t % 2 == 0 ? (double)FLT_EPSILON : DBL_EPSILON;
        size_t factors = t < 2 ? 4 : 5;
        for (size_t k = 0; k < factors * factors; k++) {
            const struct add sum = {
                .alpha = factor[k % factors], .beta = factor[k / factors], .a = &a, .b = &b};
            (void)snprintf(name[2], sizeof(name[2]), "C%d", made++);
            CLEANUP(matdir_close) struct matdir c = add_of(s, &sum, name[2]);
            CLEANUP(freep) double complex *z = matrices_load(&c);
            for (int i = 0; i < 20; i++)
                assert_true(cabs(z[i] - (sum.alpha * x[i] + sum.beta * y[i])) <=
                            4 * eps * (cabs(x[i]) + cabs(y[i])) * 3);
        }
    }
}

static void add_of_one_operand_scales_it(void **state)
{
    const struct scratch *s = *state;
    CLEANUP(matdir_close) struct matdir a = add_operand(s, "A", "f8");
    const struct add scale = {.alpha = -3, .a = &a};
    CLEANUP(matdir_close) struct matdir c = add_of(s, &scale, "C");
    CLEANUP(freep) double complex *x = matrices_load(&a);
    CLEANUP(freep) double complex *z = matrices_load(&c);
    for (int i = 0; i < 20; i++)
        assert_true(z[i] == -3 * creal(x[i]));
}

static void add_does_not_read_what_a_factor_of_0_multiplies(void **state)
{
    const struct scratch *s = *state;
    CLEANUP(matdir_close) struct matdir a = add_operand(s, "A", "f8");
    CLEANUP(matdir_close) struct matdir b = add_operand(s, "B", "f8");
    assert_int_equal(unlinkat(b.fd, "block_0_0", 0), 0);
    const struct add half = {.alpha = 1, .beta = 0, .a = &a, .b = &b};
    assert_int_equal(add_check_inputs(&half, NULL), 0);
    CLEANUP(matdir_close) struct matdir c = add_of(s, &half, "C");
    const struct add none = {.alpha = 0, .beta = 0, .a = &b, .b = &b};
    assert_int_equal(add_check_inputs(&none, NULL), 0);
    CLEANUP(matdir_close) struct matdir d = add_of(s, &none, "D");
    CLEANUP(freep) double complex *x = matrices_load(&a);
    CLEANUP(freep) double complex *y = matrices_load(&c);
    CLEANUP(freep) double complex *z = matrices_load(&d);
    for (int i = 0; i < 20; i++)
        assert_true(y[i] == x[i] && z[i] == 0);
    const struct add both = {.alpha = 1, .beta = 1, .a = &a, .b = &b};
    assert_int_equal(add_check_inputs(&both, NULL), -ENOENT);
}

static void add_passes_on_infinities_part_by_part(void **state)
{
    const struct scratch *s = *state;
    CLEANUP(matdir_close) struct matdir a = add_operand(s, "A", "c16");
    double complex x[20] = {__builtin_complex(HUGE_VAL, 1.0), __builtin_complex((double)NAN, 2.0)};
    matrices_store(&a, x, false);
    const struct add scale = {.alpha = 2, .a = &a};
    CLEANUP(matdir_close) struct matdir c = add_of(s, &scale, "C");
    unsigned char bytes[16];
    double part[2];
    CLEANUP(closep) int fd = openat(c.fd, "block_0_0", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread_full(fd, bytes, sizeof(bytes), 128), 0);
    memcpy(part, bytes, sizeof(part));
    assert_true(isinf(part[0]) && part[1] == 2);
    assert_int_equal(pread_full(fd, bytes, sizeof(bytes), 128 + 16), 0);
    memcpy(part, bytes, sizeof(part));
    assert_true(isnan(part[0]) && part[1] == 4);
}

static void add_computes_the_fill_value_and_keeps_blocks_missing(void **state)
{
    const struct scratch *s = *state;
    struct inventory in;
    CLEANUP(matdir_close) struct matdir a = add_operand(s, "A", "f4");
    CLEANUP(matdir_close) struct matdir b = add_operand(s, "B", "f4");
    assert_int_equal(unlinkat(a.fd, "block_0_1", 0), 0);
    assert_int_equal(unlinkat(a.fd, "block_1_1", 0), 0);
    assert_int_equal(unlinkat(b.fd, "block_0_1", 0), 0);
    assert_int_equal(matdir_set_fill(&a, (struct number){3, 0}, NULL), 0);
    assert_int_equal(matdir_set_fill(&b, (struct number){0.5L, 0}, NULL), 0);
    assert_int_equal(derive_set_triangle(&a.header, DERIVE_LOWER, NULL), 0);
    assert_int_equal(derive_set_triangle(&b.header, DERIVE_LOWER, NULL), 0);
    const struct add sum = {.alpha = 2, .beta = -1, .a = &a, .b = &b};
    CLEANUP(matdir_close) struct matdir c = add_of(s, &sum, "C");
    CLEANUP(freep) double complex *y = matrices_load(&b);
    CLEANUP(freep) double complex *z = matrices_load(&c);
    assert_int_equal(derive_triangle(&c.header), DERIVE_LOWER);
    assert_true(z[3] == 5.5);
    assert_true(z[2 * 4 + 3] == (double)(float)(6 - creal(y[2 * 4 + 3])));
    assert_int_equal(inventory_load(&c, false, &in, NULL), 0);
    assert_int_equal(in.count, 5);
    assert_false(inventory_has(&in, 1));
    inventory_fini(&in);
    assert_int_equal(derive_set_triangle(&b.header, DERIVE_UPPER, NULL), 0);
    CLEANUP(matdir_close) struct matdir d = add_of(s, &sum, "D");
    assert_int_equal(derive_triangle(&d.header), DERIVE_NONE);
}

static void add_plan_refuses_what_does_not_fit(void **state)
{
    const struct scratch *s = *state;
    static const struct {
        struct matrices_spec spec;
        const char *says;
    } bad[] = {
        {{.name = "N", .dtype = "f8", .ndim = 1, .shape = {5}, .shard = {2}}, "1 axes"},
        {{.name = "S", .dtype = "f8", .shape = {4, 5}, .shard = {2, 3}}, "shapes differ: axis 0"},
        {{.name = "T", .dtype = "f4", .shape = {5, 4}, .shard = {2, 3}}, "types differ"},
        {{.name = "I", .dtype = "i4", .shape = {5, 4}, .shard = {2, 3}}, "type int32"},
        {{.name = "B", .dtype = "f8", .shape = {5, 4}, .shard = {2, 2}}, "other blocks than"},
    };
    CLEANUP(matdir_close) struct matdir a = add_operand(s, "A", "f8");
    struct header h = {0};
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(matdir_close) struct matdir b = matrices_empty(s, &bad[i].spec);
        const struct add x = {.alpha = 1, .beta = 1, .a = &a, .b = &b};
        assert_int_equal(add_plan(&x, &h, &err), -EINVAL);
        assert_non_null(strstr(err.msg, bad[i].says));
    }
    assert_non_null(strstr(err.hint, "bm reblock "));
    assert_non_null(strstr(err.hint, "/B NEW --block 2x3"));
    const struct add x = {.alpha = I, .a = &a};
    assert_int_equal(add_plan(&x, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "a complex factor"));
}

int main(void)
{
#define ADD_TEST(fn) cmocka_unit_test_setup_teardown(fn, add_setup, add_teardown)
    const struct CMUnitTest tests[] = {
        ADD_TEST(add_agrees_with_arithmetic_for_each_type_and_factor),
        ADD_TEST(add_of_one_operand_scales_it),
        ADD_TEST(add_does_not_read_what_a_factor_of_0_multiplies),
        ADD_TEST(add_passes_on_infinities_part_by_part),
        ADD_TEST(add_computes_the_fill_value_and_keeps_blocks_missing),
        ADD_TEST(add_plan_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
