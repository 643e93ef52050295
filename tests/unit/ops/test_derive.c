#include "tests/unit/unit.h"

#include "matrix/json.h"
#include "ops/derive.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct header derive_header(const char *dtype)
{
    struct header h = {.grid = {.ndim = 1, .shape = {4}, .shard = {2}}};
    assert_int_equal(dtype_from_name(dtype, strlen(dtype), &h.dtype, NULL), 0);
    return h;
}

static void derive_triangle_is_what_was_set(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = derive_header("f8");
    assert_int_equal(derive_triangle(&h), DERIVE_NONE);
    assert_int_equal(derive_set_triangle(&h, DERIVE_NONE, NULL), 0);
    assert_null(header_extra(&h, "triangular"));
    assert_int_equal(derive_set_triangle(&h, DERIVE_LOWER, NULL), 0);
    assert_int_equal(derive_triangle(&h), DERIVE_LOWER);
    assert_int_equal(derive_set_triangle(&h, derive_flip(DERIVE_LOWER), NULL), 0);
    assert_int_equal(derive_triangle(&h), DERIVE_UPPER);
    assert_int_equal(derive_flip(DERIVE_UPPER), DERIVE_LOWER);
    assert_int_equal(derive_flip(DERIVE_NONE), DERIVE_NONE);
}

static void derive_triangle_takes_no_other_word(void **state)
{
    (void)state;
    static const char *const text[] = {"{\"triangular\": \"Lower\"", "{\"triangular\": 1"};
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        char json[256] = "";
        CLEANUP(header_fini) struct header h = {0};
        (void)snprintf(json, sizeof(json),
                       "%s, \"shape\": [4], \"shard_sizes\": [2], \"dtype\": \"<f8\"}", text[i]);
        assert_int_equal(header_parse(json, strlen(json), &h, NULL), 0);
        assert_int_equal(derive_triangle(&h), DERIVE_NONE);
    }
}

static void derive_fill_is_said_as_headers_say_it(void **state)
{
    (void)state;
    static const struct {
        const char *dtype, *value, *text;
    } good[] = {
        {"f8", "2.5", "2.5"},
        {"f4", "nan", "\"NaN\""},
        {"c8", "1-2j", "[1, -2]"},
        {"i8", "-9007199254740991", "-9007199254740991"},
        {"?", "1", "1"},
        {">f8", "0.1", "0.1"},
        {"c16", "-inf", "\"-Infinity\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        unsigned char element[2 * ELEMENT_SIZE_MAX];
        struct number v;
        CLEANUP(header_fini) struct header h = derive_header(good[i].dtype);
        assert_int_equal(element_parse(good[i].value, &v, NULL), 0);
        assert_int_equal(element_set(h.dtype, v, element + 1, NULL), 0); /* at an odd address */
        assert_int_equal(derive_set_fill(&h, element + 1, NULL), 0);
        CLEANUP(buf_fini) struct buf text = BUF_INIT(64);
        assert_int_equal(json_print(header_extra(&h, "fill_value"), &text), 0);
        assert_string_equal(buf_text(&text), good[i].text);
    }
}

static void derive_fill_refuses_what_json_cannot_hold(void **state)
{
    (void)state;
    const int64_t element = INT64_C(1) << 53;
    struct err err = {0};
    CLEANUP(header_fini) struct header h = derive_header("i8");
    assert_int_equal(derive_set_fill(&h, &element, &err), -EINVAL);
    assert_string_equal(err.msg, "a header cannot say the fill value 9007199254740992");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derive_triangle_is_what_was_set),
        cmocka_unit_test(derive_triangle_takes_no_other_word),
        cmocka_unit_test(derive_fill_is_said_as_headers_say_it),
        cmocka_unit_test(derive_fill_refuses_what_json_cannot_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
