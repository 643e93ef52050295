#include "tests/unit/unit.h"

#include "matrix/decimal.h"

#include <errno.h>
#include <string.h>

static int decimal_try(const char *text, int64_t *ret, const char **rest)
{
    *rest = text;
    return decimal_parse(rest, text + strlen(text), ret);
}

static void decimal_reads_every_int64(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0", 0},
        {"7", 7},
        {"-7", -7},
        {"10", 10},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        const char *rest = NULL;
        int64_t v = 42;
        assert_int_equal(decimal_try(good[i].text, &v, &rest), 0);
        assert_true(v == good[i].value);
        assert_string_equal(rest, "");
    }
}

static void decimal_refuses_a_second_way_to_write_a_number(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-", "+1", "00", "01", "-0", "-01", " 1", "x", "-x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *rest = NULL;
        int64_t v = 42;
        assert_int_equal(decimal_try(bad[i], &v, &rest), -EINVAL);
        assert_ptr_equal(rest, bad[i]);
        assert_int_equal(v, 42);
    }
}

static void decimal_refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const char *const bad[] = {"9223372036854775808", "-9223372036854775809",
                                      "92233720368547758070", "99999999999999999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *rest = NULL;
        int64_t v = 42;
        assert_int_equal(decimal_try(bad[i], &v, &rest), -ERANGE);
        assert_int_equal(v, 42);
    }
}

static void decimal_stops_at_the_end_and_at_the_first_other_byte(void **state)
{
    (void)state;
    const char *text = "123_4";
    const char *rest = text;
    int64_t v = 0;
    assert_int_equal(decimal_parse(&rest, text + 2, &v), 0);
    assert_int_equal(v, 12);
    assert_int_equal(decimal_parse(&rest, text + 5, &v), 0);
    assert_int_equal(v, 3);
    assert_string_equal(rest, "_4");
    assert_int_equal(decimal_parse(&rest, rest, &v), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_reads_every_int64),
        cmocka_unit_test(decimal_refuses_a_second_way_to_write_a_number),
        cmocka_unit_test(decimal_refuses_what_does_not_fit),
        cmocka_unit_test(decimal_stops_at_the_end_and_at_the_first_other_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
