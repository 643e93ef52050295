#include "tests/unit/unit.h"

#include "matrix/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int json_try(const char *text, size_t len, struct cJSON **ret, struct err *err)
{
    CLEANUP(freep) char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, text, len); /* flush with the end of its memory */
    return json_parse(copy + 1, len, ret, err);
}

static void json_prints_what_it_reads(void **state)
{
    (void)state;
    static const struct {
        const char *text, *printed;
    } pair[] = {
        {"null", "null"},
        {" [1,2 ,\t3]\r\n", "[1, 2, 3]"},
        {"{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}",
         "{\"a\": {\"b\": [true, false, null]}, \"c\": \"\"}"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"[0.1, 0.30000000000000004, 1e22, 1e-7, 5e-324, 1.7976931348623157e308, -0.0]",
         "[0.1, 0.30000000000000004, 1e+22, 1e-07, 4.94065645841247e-324, 1.7976931348623157e+308, "
         "-0]"},
        {"[9007199254740991, -9007199254740991, 100000000000000000000.0]",
         "[9007199254740991, -9007199254740991, 1e+20]"},
        {"[9007199254741000.0, 1e16, 14444444444444392.304e9, 1.234567890123456e16]",
         "[9.007199254741e+15, 1e+16, 1.4444444444444392e+25, 1.234567890123456e+16]"},
        {"[14444444444444392.304, -9007199254740994.0, 9.007199254740993e15, 9007199254740991.0]",
         "[1.4444444444444392e+16, -9.007199254740994e+15, 9.007199254740992e+15, "
         "9007199254740991]"},
        {"\"\\u00e9\\ud83d\\ude00\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"",
         "\"\u00e9\U0001f600/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\""},
        {"\"\u00e9\U0001f600\xf4\x8f\xbf\xbf\xed\x9f\xbf\xe0\xa0\x80\x7f\"",
         "\"\u00e9\U0001f600\xf4\x8f\xbf\xbf\xed\x9f\xbf\xe0\xa0\x80\x7f\""},
        {"\xef\xbb\xbf[1]", "[1]"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(pair); i++) {
        CLEANUP(json_freep) struct cJSON *item = NULL;
        CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
        struct err err = {0};
        if (json_try(pair[i].text, strlen(pair[i].text), &item, &err) < 0)
            fail_msg("%s: %s", pair[i].text, err.msg);
        assert_int_equal(json_print(item, &out), 0);
        assert_string_equal(buf_text(&out), pair[i].printed);
        for (size_t max = 0; max < out.len; max++) {
            CLEANUP(buf_fini) struct buf small = BUF_INIT(max);
            assert_int_equal(json_print(item, &small), -EMSGSIZE);
        }
    }
}

static void json_refuses_what_it_could_not_keep_and_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"", "byte 0: not what may stand here"},
        {"nul", "not what may stand here"},
        {"[1 2]", "byte 3: not what may stand here"},
        {"[1,]", "not what may stand here"},
        {"{\"a\" 1}", "not what may stand here"},
        {"{a: 1}", "not what may stand here"},
        {"[NaN]", "not what may stand here"},
        {"[Infinity]", "not what may stand here"},
        {"[1] x", "byte 4: text behind the value"},
        {"{}{}", "byte 2: text behind the value"},
        {"]", "not what may stand here"},
        {"[01]", "byte 1: not a number"},
        {"[-]", "byte 1: not a number"},
        {"[1.]", "byte 1: not a number"},
        {"[1e]", "byte 1: not a number"},
        {"[1e+]", "byte 1: not a number"},
        {"[1.5.5]", "byte 1: not a number"},
        {"[1-2]", "byte 1: not a number"},
        {"[0x10]", "not what may stand here"},
        {"[1e400]", "byte 1: a number too large for a double"},
        {"[-1e400]", "too large for a double"},
        {"[9007199254740992]", "byte 1: an integer above 2^53 - 1"},
        {"[9007199254740993]", "an integer above 2^53 - 1"},
        {"[-18446744073709551615]", "an integer above 2^53 - 1"},
        {"[1111111111111111111111111111111111111111111111111111111111111111]",
         "a number of too many characters"},
        {"\"abc", "byte 4: a string without end"},
        {"\"abc\\\"", "a string without end"},
        {"\"abc\\", "a string without end"},
        {"\"a\nb\"", "byte 2: a control character in a string"},
        {"\"a\\u0000b\"", "byte 2: a string with a NUL"},
        {"\"\\x41\"", "not what may stand here"},
        {"\"\\ud800\"", "not what may stand here"},
        {"[\v1]", "byte 1: a control character"},
        /* UTF-8: stray, cut off, overlong, surrogate, beyond the last character */
        {"\"\x80\"", "byte 1: not UTF-8"},
        {"\"\xc3\"", "byte 1: not UTF-8"},
        {"\"\xc3", "byte 1: not UTF-8"},
        {"\"\xc0\xaf\"", "not UTF-8"},
        {"\"\xe0\x9f\xbf\"", "not UTF-8"},
        {"\"\xe2\x82\"", "not UTF-8"},
        {"\"\xe2\x82\xff\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xf0\x8f\xbf\xbf\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xf5\x80\x80\x80\"", "not UTF-8"},
        {"[\xc3\xa9]", "not what may stand here"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct cJSON *item = NULL;
        struct err err = {0};
        assert_int_equal(json_try(bad[i].text, strlen(bad[i].text), &item, &err), -EBADMSG);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s: %s", bad[i].text, err.msg);
        assert_int_equal(strncmp(err.msg, "JSON: byte ", 11), 0);
        assert_null(item);
    }
    static const char nul[] = "[1]\0[2]";
    struct cJSON *item = NULL;
    struct err err = {0};
    assert_int_equal(json_try(nul, sizeof(nul) - 1, &item, &err), -EBADMSG);
    assert_string_equal(err.msg, "JSON: byte 3: a NUL byte");
}

static void json_nests_so_deep_and_no_deeper(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1)];
    memset(text, '[', sizeof(text) / 2);
    memset(text + sizeof(text) / 2, ']', sizeof(text) / 2);
    CLEANUP(json_freep) struct cJSON *item = NULL;
    struct err err = {0};
    assert_int_equal(json_try(text, sizeof(text), &item, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "byte 32: nested too deep"));
    assert_int_equal(json_try(text + 1, sizeof(text) - 2, &item, &err), 0);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
    assert_int_equal(json_print(item, &out), 0);

    CLEANUP(json_freep) struct cJSON *deeper = cJSON_CreateArray();
    assert_true(cJSON_AddItemToArray(deeper, TAKE(item)));
    assert_int_equal(json_print(deeper, &out), -EINVAL);
}

static void json_does_not_print_what_json_cannot_say(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
    CLEANUP(json_freep) struct cJSON *nan_item = cJSON_CreateNumber((double)NAN);
    CLEANUP(json_freep) struct cJSON *inf_item = cJSON_CreateNumber((double)INFINITY);
    CLEANUP(json_freep) struct cJSON *raw_item = cJSON_CreateRaw("}");
    assert_int_equal(json_print(nan_item, &out), -EINVAL);
    assert_int_equal(json_print(inf_item, &out), -EINVAL);
    assert_int_equal(json_print(raw_item, &out), -EINVAL);
    assert_int_equal(out.len, 0);
}

static void json_int_takes_whole_numbers_only(void **state)
{
    (void)state;
    static const struct {
        double number;
        bool whole;
    } form[] = {
        {0, true},
        {-4, true},
        {1e4, true},
        {9007199254740991.0, true},
        {9007199254740992.0, false},
        {-9007199254740992.0, false},
        {4.5, false},
        {1e300, false},
        {(double)NAN, false},
        {-(double)INFINITY, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
        CLEANUP(json_freep) struct cJSON *item = cJSON_CreateNumber(form[i].number);
        int64_t v = 42;
        assert_int_equal(json_int(item, &v), form[i].whole);
        assert_true(v == (form[i].whole ? (int64_t)form[i].number : 42));
    }
    CLEANUP(json_freep) struct cJSON *text = cJSON_CreateString("4");
    int64_t v = 42;
    assert_false(json_int(text, &v));
    assert_false(json_int(NULL, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_prints_what_it_reads),
        cmocka_unit_test(json_refuses_what_it_could_not_keep_and_says_where),
        cmocka_unit_test(json_nests_so_deep_and_no_deeper),
        cmocka_unit_test(json_does_not_print_what_json_cannot_say),
        cmocka_unit_test(json_int_takes_whole_numbers_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
