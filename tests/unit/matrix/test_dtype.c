#include "tests/unit/unit.h"

#include "matrix/dtype.h"

#include <errno.h>
#include <string.h>

/* The types with numpy's own spelling and BLAS's letter. */
static const struct {
    const char *descr, *name;
    char blas;
    size_t swap_unit;
} dtype_all[] = {
    {"|b1", "bool", 0, 1},        {"|i1", "int8", 0, 1},          {"|u1", "uint8", 0, 1},
    {"<i2", "int16", 0, 2},       {"<u2", "uint16", 0, 2},        {"<i4", "int32", 0, 4},
    {"<u4", "uint32", 0, 4},      {"<i8", "int64", 0, 8},         {"<u8", "uint64", 0, 8},
    {"<f2", "float16", 0, 2},     {"<f4", "float32", 's', 4},     {"<f8", "float64", 'd', 8},
    {"<c8", "complex64", 'c', 4}, {"<c16", "complex128", 'z', 8},
};

static struct dtype dtype_of(const char *text)
{
    struct dtype t = {0};
    assert_int_equal(dtype_from_name(text, strlen(text), &t, NULL), 0);
    return t;
}

static void dtype_knows_all_types_by_descr_and_by_name(void **state)
{
    (void)state;
    char descr[DTYPE_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(dtype_all); i++) {
        struct dtype t = {0};
        assert_int_equal(dtype_from_descr(dtype_all[i].descr, strlen(dtype_all[i].descr), &t, NULL),
                         0);
        assert_string_equal(dtype_descr(t, descr), dtype_all[i].descr);
        assert_string_equal(dtype_name(t), dtype_all[i].name);
        assert_int_equal(dtype_blas(t), dtype_all[i].blas);
        assert_int_equal(dtype_swap_unit(t), dtype_all[i].swap_unit);
        assert_true(dtype_equal(dtype_of(dtype_all[i].name), t));
    }
}

static void dtype_normalises_the_byte_order(void **state)
{
    (void)state;
    static const struct {
        const char *text, *descr;
    } pair[] = {
        {"f8", "<f8"},  {"=f8", "<f8"},   {"|f8", "<f8"},    {"<f8", "<f8"}, {">f8", ">f8"},
        {"u1", "|u1"},  {">u1", "|u1"},   {"<b1", "|b1"},    {"=i1", "|i1"}, {">d", ">f8"},
        {"=d", "<f8"},  {">?", "|b1"},    {">c16", ">c16"},  {"D", "<c16"},  {"float", "<f8"},
        {"int", "<i8"}, {"bool_", "|b1"}, {"single", "<f4"},
    };
    char descr[DTYPE_TEXT_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(pair); i++)
        assert_string_equal(dtype_descr(dtype_of(pair[i].text), descr), pair[i].descr);
}

static void dtype_tells_byte_orders_apart(void **state)
{
    (void)state;
    assert_false(dtype_equal(dtype_of("<f8"), dtype_of(">f8")));
    assert_false(dtype_equal(dtype_of("f8"), dtype_of("i8")));
    assert_false(dtype_equal(dtype_of("f8"), dtype_of("f4")));
    assert_string_equal(dtype_name(dtype_of(">f8")), "float64");
    assert_int_equal(dtype_blas(dtype_of(">f8")), 0);
    assert_int_equal(dtype_swap_unit(dtype_of(">c16")), 8);
    assert_string_equal(dtype_name((struct dtype){0}), "unknown");
}

static void dtype_refuses_what_is_no_number(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "<",
        "<<f8",
        "f",
        "f0",
        "f1",
        "f3",
        "f16",
        "c4",
        "c32",
        "b2",
        "i16",
        "u3",
        "f08",
        "f8 ",
        " f8",
        "O",
        "|O",
        "S5",
        "<U3",
        "V8",
        "M8",
        "<m8",
        "3f8",
        "f8,f4",
        "(2,)f8",
        "F8",
        "<",
        "longer than the forty bytes that a message shows of it",
        "i1616",
        "<i",
        "\xff\xfe",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct dtype t = {0};
        struct err err = {0};
        assert_int_equal(dtype_from_descr(bad[i], strlen(bad[i]), &t, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "' is none of bool, int8 to int64"));
        assert_int_equal(t.size, 0);
    }
    static const char *const bad_name[] = {"",        "float128", "longdouble", "str", "<float64",
                                           "Float64", "object",   "d8",         "<<d", "float64 "};
    for (size_t i = 0; i < ARRAY_SIZE(bad_name); i++) {
        struct dtype t = {0};
        struct err err = {0};
        assert_int_equal(dtype_from_name(bad_name[i], strlen(bad_name[i]), &t, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "' is none of bool, int8 to int64"));
    }
}

static void dtype_does_not_need_a_nul(void **state)
{
    (void)state;
    struct dtype t = {0};
    assert_int_equal(dtype_from_descr("<f8xxx", 3, &t, NULL), 0);
    assert_int_equal(dtype_from_name("float64xxx", 7, &t, NULL), 0);
    assert_int_equal(t.size, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dtype_knows_all_types_by_descr_and_by_name),
        cmocka_unit_test(dtype_normalises_the_byte_order),
        cmocka_unit_test(dtype_tells_byte_orders_apart),
        cmocka_unit_test(dtype_refuses_what_is_no_number),
        cmocka_unit_test(dtype_does_not_need_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
