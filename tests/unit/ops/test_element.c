#include "tests/unit/unit.h"

#include "matrix/json.h"
#include "ops/element.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <string.h>

static struct dtype element_type(const char *name)
{
    struct dtype t;
    assert_int_equal(dtype_from_name(name, strlen(name), &t, NULL), 0);
    return t;
}

static void element_parse_takes_real_and_complex_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double re, im;
    } good[] = {{"2.5", 2.5, 0}, {"-3j", 0, -3}, {"1+2j", 1, 2},         {"1e3-2e-1j", 1e3, -2e-1},
                {"0.1", 0.1, 0}, {"0", 0, 0},    {"-inf", -HUGE_VAL, 0}, {"1+infj", 1, HUGE_VAL},
                {".5", .5, 0},   {"+4", 4, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct number v;
        assert_int_equal(element_parse(good[i].text, &v, NULL), 0);
        assert_true(v.re == (long double)good[i].re && v.im == (long double)good[i].im);
    }
    struct number v;
    assert_int_equal(element_parse("nan", &v, NULL), 0);
    assert_true(isnan(v.re));
    assert_int_equal(element_parse("18446744073709551615", &v, NULL), 0);
    assert_true(v.re == 18446744073709551615.0L);
}

static void element_parse_refuses_everything_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "j",     "1j2", "1+2",  "1 + 2j", " 1",
                                      "1+ 2j", "1+2jj", "x",   "1+2i", "1,5",    "--1"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct number v = {7, 7};
        struct err err = {0};
        assert_int_equal(element_parse(bad[i], &v, &err), -EINVAL);
        assert_non_null(strstr(err.msg, "is not a number"));
        assert_true(err.hint[0] != '\0');
        assert_true(v.re == 7 && v.im == 7);
    }
}

static int element_of_json(const char *text, struct number *v)
{
    CLEANUP(json_freep) struct cJSON *item = NULL;
    assert_int_equal(json_parse(text, strlen(text), &item, NULL), 0);
    return element_from_json(item, v, NULL);
}

static void element_from_json_knows_what_json_cannot_say(void **state)
{
    (void)state;
    struct number v;
    assert_int_equal(element_of_json("-2.5", &v), 0);
    assert_true(v.re == -2.5L && v.im == 0);
    assert_int_equal(element_of_json("\"NaN\"", &v), 0);
    assert_true(isnan(v.re));
    assert_int_equal(element_of_json("\"-Infinity\"", &v), 0);
    assert_true(v.re == -HUGE_VALL);
    assert_int_equal(element_of_json("[1, \"Infinity\"]", &v), 0);
    assert_true(v.re == 1 && v.im == HUGE_VALL);
    assert_int_equal(element_of_json("true", &v), 0);
    assert_true(v.re == 1);
    assert_int_equal(element_of_json("\"zero\"", &v), -EINVAL);
    assert_int_equal(element_of_json("[1]", &v), -EINVAL);
    assert_int_equal(element_of_json("{}", &v), -EINVAL);
}

static void element_set_and_widen_agree_for_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        long double least, most;
    } range[] = {{"?", 0, 1},
                 {"i1", -128, 127},
                 {"u1", 0, 255},
                 {"i2", -32768, 32767},
                 {"u2", 0, 65535},
                 {"i4", -2147483648.0L, 2147483647.0L},
                 {"u4", 0, 4294967295.0L},
                 {"i8", -0x1p63L, 0x1p63L - 1},
                 {"u8", 0, 0x1p64L - 1},
                 {"f2", -65504, 65504},
                 {"f4", -0x1.fffffep127L, 0x1.fffffep127L},
                 {"f8", -0x1.fffffffffffffp1023L, 0x1.fffffffffffffp1023L},
                 {"c8", -0x1.fffffep127L, 0x1.fffffep127L},
                 {"c16", -0x1.fffffffffffffp1023L, 0x1.fffffffffffffp1023L}};
    for (size_t i = 0; i < ARRAY_SIZE(range); i++) {
        struct dtype t = element_type(range[i].type);
        const long double value[] = {range[i].least, range[i].most, 0, 1};
        for (size_t k = 0; k < ARRAY_SIZE(value); k++) {
            _Alignas(16) unsigned char element[16];
            long double wide[2] = {7, 7};
            struct number v = {value[k], t.kind == 'c' ? 0.5L : 0};
            assert_int_equal(element_set(t, v, element, NULL), 0);
            element_widen(t, element, 1, 2, wide);
            assert_true(wide[0] == v.re && wide[1] == v.im);
        }
        _Alignas(16) unsigned char element[16];
        bool whole = strchr("biu", t.kind) != NULL;
        struct number beyond = {whole ? range[i].most + 1 : range[i].most * 2, 0};
        assert_int_equal(element_set(t, beyond, element, NULL), -EINVAL);
        beyond.re = whole ? range[i].least - 1 : range[i].least * 2;
        assert_int_equal(element_set(t, beyond, element, NULL), -EINVAL);
    }
}

static void element_set_refuses_what_a_type_does_not_have(void **state)
{
    (void)state;
    unsigned char element[16];
    struct err err = {0};
    const struct number half = {0.5L, 0};
    const struct number nan = {(long double)NAN, 0};
    const struct number imaginary = {1, 1};
    assert_int_equal(element_set(element_type("i4"), half, element, &err), -EINVAL);
    assert_string_equal(err.msg, "0.5 is no value of type int32");
    assert_int_equal(element_set(element_type("u8"), nan, element, &err), -EINVAL);
    assert_int_equal(element_set(element_type("?"), half, element, &err), -EINVAL);
    assert_int_equal(element_set(element_type("f8"), imaginary, element, &err), -EINVAL);
    assert_string_equal(err.msg, "a complex number, where the type is float64");
    assert_int_equal(element_set(element_type("c8"), imaginary, element, &err), 0);
    assert_int_equal(element_set(element_type("f2"), nan, element, &err), 0);
}

/* Every number of half precision goes to double and back. */
static void element_halves_survive_the_round_trip(void **state)
{
    (void)state;
    struct dtype t = element_type("f2");
    for (unsigned bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        uint16_t back = 0;
        long double wide = 0;
        element_widen(t, &half, 1, 1, &wide);
        assert_int_equal(element_set(t, (struct number){wide, 0}, &back, NULL), 0);
        if (isnan(wide))
            assert_true((back & 0x7fff) > 0x7c00);
        else
            assert_int_equal(back, half);
    }
}

static void element_halves_round_to_even(void **state)
{
    (void)state;
    static const struct {
        long double v;
        unsigned bits;
    } round[] = {{2049, 0x6800},       {2051, 0x6802},         {0x1p-25L, 0x0000},
                 {0x1.8p-24L, 0x0002}, {0x1.ff8p-15L, 0x03ff}, {0x1.ffcp-15L, 0x0400},
                 {65519, 0x7bff},      {-0x1p-26L, 0x8000}};
    for (size_t i = 0; i < ARRAY_SIZE(round); i++) {
        uint16_t half = 0;
        assert_int_equal(
            element_set(element_type("f2"), (struct number){round[i].v, 0}, &half, NULL), 0);
        assert_int_equal(half, round[i].bits);
    }
    uint16_t half = 0;
    assert_int_equal(element_set(element_type("f2"), (struct number){65520, 0}, &half, NULL),
                     -EINVAL);
}

static void element_swap_turns_each_part_of_big_endian_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        unsigned char before[16], after[16];
    } swap[] = {{">i2", {1, 2, 3, 4}, {2, 1, 4, 3}},
                {">f4", {1, 2, 3, 4, 5, 6, 7, 8}, {4, 3, 2, 1, 8, 7, 6, 5}},
                {">c8", {1, 2, 3, 4, 5, 6, 7, 8}, {4, 3, 2, 1, 8, 7, 6, 5}},
                {">f8", {1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}},
                {"<f8", {1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}},
                {"|u1", {1, 2, 3, 4}, {1, 2, 3, 4}}};
    for (size_t i = 0; i < ARRAY_SIZE(swap); i++) {
        _Alignas(16) unsigned char bytes[16];
        struct dtype t = element_type(swap[i].type);
        memcpy(bytes, swap[i].before, sizeof(bytes));
        element_swap(t, bytes, 8 / t.size);
        assert_memory_equal(bytes, swap[i].after, sizeof(bytes));
        assert_true(element_native(t).order != '>');
    }
}

static void element_has_nan_finds_it_in_every_float_type(void **state)
{
    (void)state;
    static const char *const types[] = {"f2", "f4", "f8", "c8", "c16"};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        struct dtype t = element_type(types[i]);
        _Alignas(16) unsigned char many[16 * 9];
        unsigned char element[16];
        const struct number inf = {HUGE_VALL, 0};
        const struct number nan = {t.kind == 'c' ? 0 : (long double)NAN,
                                   t.kind == 'c' ? (long double)NAN : 0};
        assert_int_equal(element_set(t, inf, element, NULL), 0);
        element_fill(t, element, 9, many);
        assert_false(element_has_nan(t, many, 9));
        assert_int_equal(element_set(t, nan, many + 8 * t.size, NULL), 0);
        assert_true(element_has_nan(t, many, 9));
        assert_false(element_has_nan(t, many, 8));
    }
    assert_false(element_has_nan(element_type("i8"), "\xff\xff\xff\xff\xff\xff\xff\xff", 1));
}

static void element_to_json_is_read_back_the_same(void **state)
{
    (void)state;
    static const char *const text[] = {
        "2.5", "nan", "-inf", "1-2j", "inf+nanj", "0", "9007199254740991"};
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        struct number v;
        struct number back;
        assert_int_equal(element_parse(text[i], &v, NULL), 0);
        CLEANUP(json_freep) struct cJSON *item = element_to_json(v);
        assert_int_equal(element_from_json(item, &back, NULL), 0);
        assert_true(v.re == back.re || (isnan(v.re) && isnan(back.re)));
        assert_true(v.im == back.im || (isnan(v.im) && isnan(back.im)));
    }
}

static void element_conjugate_turns_complex_types_only(void **state)
{
    (void)state;
    float single[] = {1, 2, 3, -4};
    double whole[] = {1, 2, 3, -4};
    element_conjugate(element_type("c8"), single, 2);
    assert_true(single[0] == 1 && single[1] == -2 && single[2] == 3 && single[3] == 4);
    element_conjugate(element_type("c16"), whole, 2);
    assert_true(whole[0] == 1 && whole[1] == -2 && whole[2] == 3 && whole[3] == 4);
    element_conjugate(element_type("f8"), whole, 4);
    assert_true(whole[0] == 1 && whole[1] == -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(element_parse_takes_real_and_complex_numbers),
        cmocka_unit_test(element_parse_refuses_everything_else),
        cmocka_unit_test(element_from_json_knows_what_json_cannot_say),
        cmocka_unit_test(element_set_and_widen_agree_for_every_type),
        cmocka_unit_test(element_set_refuses_what_a_type_does_not_have),
        cmocka_unit_test(element_halves_survive_the_round_trip),
        cmocka_unit_test(element_halves_round_to_even),
        cmocka_unit_test(element_swap_turns_each_part_of_big_endian_types),
        cmocka_unit_test(element_to_json_is_read_back_the_same),
        cmocka_unit_test(element_conjugate_turns_complex_types_only),
        cmocka_unit_test(element_has_nan_finds_it_in_every_float_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
