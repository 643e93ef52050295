#include "tests/unit/unit.h"

#include "matrix/header.h"
#include "matrix/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F8 "gANjbnVtcHkKZmxvYXQ2NApxAC4="
#define STORED(further) \
    "{\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"" F8 "\"" further "}"

/* Allocations that may still be made; below 0 for any number. */
static int header_allocations = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    if (header_allocations == 0)
        return NULL;
    header_allocations -= header_allocations > 0;
    return __real_malloc(size);
}

static void header_of(const char *text, struct header *ret)
{
    struct err err = {0};
    if (header_parse(text, strlen(text), ret, &err) < 0)
        fail_msg("%s: %s", text, err.msg);
}

static void header_reads_and_writes_the_stored_form(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    header_of(STORED(""), &h);
    assert_int_equal(h.grid.ndim, 2);
    assert_int_equal(h.grid.shape[1], 7);
    assert_int_equal(h.grid.shard[0], 4);
    assert_int_equal(h.dtype.kind, 'f');
    assert_false(h.inferred);
    assert_null(h.extra);
    assert_null(header_extra(&h, "fill_value"));
    assert_int_equal(header_store(&h, &out), 0);
    assert_string_equal(buf_text(&out), STORED(""));
}

static void header_keeps_further_fields_to_the_last_bit(void **state)
{
    (void)state;
    static const char further[] =
        ", \"fill_value\": 0.30000000000000004, \"run\": {\"id\": \"x\\\"\u00e9\", \"n\": "
        "[9007199254740991, -1e-300, null, true, {}]}, \"\": [], \"order\": 3";
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(HEADER_BYTES_MAX);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    assert_int_equal(buf_printf(&text, STORED("%s"), further), 0);
    header_of(buf_text(&text), &h);
    assert_true(cJSON_IsNumber(header_extra(&h, "fill_value")));
    assert_null(header_extra(&h, "Fill_value"));
    assert_int_equal(header_store(&h, &out), 0);
    assert_string_equal(buf_text(&out), buf_text(&text));
}

static const char header_presented[] = "{\n"
                                       "  \"shape\": [10, 7],\n"
                                       "  \"shard_sizes\": [4, 3],\n"
                                       "  \"dtype\": \"<f8\",\n"
                                       "  \"order\": \"C\",\n"
                                       "  \"grid\": [3, 3],\n"
                                       "  \"block_name\": \"block_{i}_{j}\",\n"
                                       "  \"block_encoding\": \"npy\",\n"
                                       "  \"fill_value\": null,\n"
                                       "  \"inferred\": false,\n"
                                       "  \"format\": \"bmfs-header/1\",\n"
                                       "  \"views\": {\"raw\": \"block_{i}_{j}.raw\", "
                                       "\"column_major\": \"block_{i}_{j}.F.raw\"},\n"
                                       "  \"note\": \"mine\"\n"
                                       "}\n";

static void header_presents_itself_to_people(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    header_of(STORED(", \"note\": \"mine\", \"grid\": \"hidden\", \"fill_value\": null"), &h);
    assert_int_equal(header_present(&h, &out), 0);
    assert_string_equal(buf_text(&out), header_presented);

    buf_clear(&out);
    h.inferred = true;
    h.grid.ndim = 1;
    assert_int_equal(header_present(&h, &out), 0);
    assert_non_null(strstr(buf_text(&out), "  \"inferred\": true,\n"));
    assert_non_null(strstr(buf_text(&out), "\"block_name\": \"block_{i}\",\n"));
}

static void header_names_every_axis(void **state)
{
    (void)state;
    static const struct {
        int ndim;
        const char *name;
    } form[] = {
        {3, "\"block_{i}_{j}_{k}\""},
        {18, "_{y}_{z}\""},
        {19, "\"block_{i0}_{i1}_{i2}"},
        {32, "_{i30}_{i31}\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
        struct header h = {.grid.ndim = form[i].ndim, .dtype = {'f', 8, '<'}};
        for (int a = 0; a < h.grid.ndim; a++)
            h.grid.shape[a] = h.grid.shard[a] = 1;
        CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
        assert_int_equal(header_present(&h, &out), 0);
        assert_non_null(strstr(buf_text(&out), form[i].name));
    }
}

static void header_reads_the_presented_form_and_drops_what_follows_from_it(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    header_of(header_presented, &h);
    assert_int_equal(header_store(&h, &out), 0);
    assert_string_equal(buf_text(&out), STORED(", \"fill_value\": null, \"note\": \"mine\""));
}

static void header_takes_what_people_write(void **state)
{
    (void)state;
    static const char *const text[] = {
        "{\"shape\":[10,7],\"shard_sizes\":[4,3],\"dtype\":\"float64\"}",
        "\xef\xbb\xbf{\"dtype\":\"d\",\"shard_sizes\":[4.0,3e0],\"shape\":[1e1,7]}\r\n",
        "{\"shape\":[10,7],\"shard_sizes\":[4,3],\"dtype\":\"f8\",\"grid\":7,\"views\":null}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        CLEANUP(header_fini) struct header h = {0};
        CLEANUP(header_fini) struct header want = {0};
        header_of(text[i], &h);
        header_of(STORED(""), &want);
        assert_true(header_equal(&h, &want));
        assert_null(h.extra);
    }
}

#define FIELDS(shape, shards, dtype) \
    "{\"shape\": " shape ", \"shard_sizes\": " shards ", \"dtype\": " dtype "}"
#define ONES_33 "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"

static void header_refuses_hostile_text_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"", "JSON: byte 0"},
        {"{", "JSON: byte"},
        {"[]", "no JSON object"},
        {"null", "no JSON object"},
        {"{}", "field 'shape' is missing"},
        {"{\"Shape\": [1]}", "field 'shape' is missing"},
        {"{\"shape\": [1]}", "field 'shard_sizes' is missing"},
        {"{\"shape\": [1], \"shard_sizes\": [1]}", "field 'dtype' is missing"},
        {FIELDS("[1]", "[1]", "7"), "field 'dtype' is no text"},
        {FIELDS("[1]", "[1]", "\"flaot64\""),
         "field 'dtype' ('flaot64') is neither a type's name nor its pickle: base64"},
        {FIELDS("[1]", "[1]", "\"Y29zCnN5c3RlbQou\""), "global 'os.system'"},
        {FIELDS("[1]", "[1]", "\"<f16\""), "field 'dtype' ('<f16')"},
        {FIELDS("7", "[1]", "\"<f8\""), "field 'shape' is no array"},
        {FIELDS("[1]", "{}", "\"<f8\""), "field 'shard_sizes' is no array"},
        {FIELDS("[]", "[]", "\"<f8\""), "0 axes"},
        {FIELDS("[1, 2]", "[1]", "\"<f8\""), "'shape' has 2 axes, 'shard_sizes' 1"},
        {FIELDS("[4.5]", "[1]", "\"<f8\""), "field 'shape': axis 0 is no whole number"},
        {FIELDS("[4, \"5\"]", "[1, 1]", "\"<f8\""), "field 'shape': axis 1 is no whole number"},
        {FIELDS("[[4]]", "[1]", "\"<f8\""), "field 'shape': axis 0 is no whole number"},
        {FIELDS("[true]", "[1]", "\"<f8\""), "field 'shape': axis 0 is no whole number"},
        {FIELDS("[4]", "[null]", "\"<f8\""), "field 'shard_sizes': axis 0 is no whole number"},
        {FIELDS("[-1]", "[1]", "\"<f8\""), "axis 0: size -1 is negative"},
        {FIELDS("[4]", "[0]", "\"<f8\""), "axis 0: shard size 0 is below 1"},
        {FIELDS("[4]", "[-3]", "\"<f8\""), "axis 0: shard size -3 is below 1"},
        {FIELDS("[9007199254740993]", "[1]", "\"<f8\""), "an integer above 2^53 - 1"},
        {FIELDS("[1e300]", "[1]", "\"<f8\""), "axis 0 is no whole number"},
        {FIELDS("[9007199254740991, 9007199254740991]", "[1, 1]", "\"<f8\""), "too many elements"},
        {FIELDS(ONES_33, ONES_33, "\"<f8\""), "field 'shape' has more than 32 axes"},
        {FIELDS("[1]", ONES_33, "\"<f8\""), "field 'shard_sizes' has more than 32 axes"},
        {STORED(", \"shape\": [10, 7]"), "field 'shape' is there twice"},
        {STORED(", \"a\": 1, \"a\": 1"), "field 'a' is there twice"},
        {STORED("") "x", "text behind the value"},
        {FIELDS("[1]", "[1]", "\"<f8\", \"order\": \"F\""), "field 'order' can only be \"C\""},
        {FIELDS("[1]", "[1]", "\"<f8\", \"order\": 1"), "field 'order' can only be \"C\""},
        {FIELDS("[1]", "[1]", "\"<f8\", \"block_encoding\": \"raw\""), "can only be \"npy\""},
        {FIELDS("[1]", "[1]", "\"<f8\", \"format\": \"bmfs-header/2\""),
         "can only be \"bmfs-header/1\""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct header h = {.grid.ndim = 42};
        struct err err = {0};
        assert_int_equal(header_parse(bad[i].text, strlen(bad[i].text), &h, &err), -EBADMSG);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s: %s", bad[i].text, err.msg);
        assert_int_equal(h.grid.ndim, 42);
    }
}

static void header_is_bounded(void **state)
{
    (void)state;
    struct header h = {0};
    struct err err = {0};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(HEADER_BYTES_MAX + 1);
    assert_int_equal(buf_puts(&text, STORED("")), 0);
    while (text.len < HEADER_BYTES_MAX)
        assert_int_equal(buf_puts(&text, " "), 0);
    assert_int_equal(header_parse(text.data, text.len, &h, &err), 0);
    assert_int_equal(buf_puts(&text, " "), 0);
    assert_int_equal(header_parse(text.data, text.len, &h, &err), -EBADMSG);
    assert_string_equal(err.msg, "a header of 1048577 bytes is longer than 1048576");

    buf_clear(&text);
    assert_int_equal(buf_puts(&text, "{"), 0);
    for (int i = 0; i < 1025; i++)
        assert_int_equal(buf_printf(&text, "%s\"%d\":0", i > 0 ? "," : "", i), 0);
    assert_int_equal(buf_puts(&text, "}"), 0);
    assert_int_equal(header_parse(text.data, text.len, &h, &err), -EBADMSG);
    assert_string_equal(err.msg, "more than 1024 fields");

    buf_clear(&text);
    for (int i = 0; i < HEADER_BYTES_MAX; i++)
        assert_int_equal(buf_puts(&text, "["), 0);
    assert_int_equal(header_parse(text.data, text.len, &h, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "nested too deep"));
}

static void header_set_extra_replaces_a_field(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    header_of(STORED(""), &h);
    struct cJSON *one = cJSON_CreateNumber(1);
    struct cJSON *two = cJSON_CreateNumber(2);
    assert_int_equal(header_set_extra(&h, "run", &one), 0);
    assert_null(one);
    assert_int_equal(header_set_extra(&h, "run", &two), 0);
    assert_int_equal(header_store(&h, &out), 0);
    assert_string_equal(buf_text(&out), STORED(", \"run\": 2"));
}

static void header_set_extra_refuses_fields_with_a_meaning(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(json_freep) struct cJSON *one = cJSON_CreateNumber(1);
    header_of(STORED(""), &h);
    static const char *const name[] = {"shape", "shard_sizes", "dtype",
                                       "order", "inferred",    "views"};
    for (size_t i = 0; i < ARRAY_SIZE(name); i++)
        assert_int_equal(header_set_extra(&h, name[i], &one), -EINVAL);
    assert_non_null(one);
    assert_null(h.extra);
}

static void header_copy_is_deep(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header copy = {0};
    CLEANUP(header_fini) struct header plain = {0};
    {
        CLEANUP(header_fini) struct header h = {0};
        header_of(STORED(", \"a\": [1, {\"b\": 2}]"), &h);
        assert_int_equal(header_copy(&h, &copy), 0);
        assert_true(header_equal(&h, &copy));
        copy.dtype.order = '>';
        assert_false(header_equal(&h, &copy));
        copy.grid.shape[0]++;
        assert_false(header_equal(&h, &copy));
        header_fini(&h);
        assert_null(h.extra);
        header_of(STORED(""), &h);
        assert_int_equal(header_copy(&h, &plain), 0);
        assert_null(plain.extra);
    }
    CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
    assert_int_equal(json_print(header_extra(&copy, "a"), &out), 0);
    assert_string_equal(buf_text(&out), "[1, {\"b\": 2}]");
}

static void header_writes_all_or_says_that_it_did_not(void **state)
{
    (void)state;
    CLEANUP(header_fini) struct header h = {0};
    CLEANUP(buf_fini) struct buf stored = BUF_INIT(HEADER_BYTES_MAX);
    CLEANUP(buf_fini) struct buf presented = BUF_INIT(HEADER_BYTES_MAX);
    header_of(STORED(", \"a\": {\"b\": [1, \"\\n\"]}, \"fill_value\": 0"), &h);
    assert_int_equal(header_store(&h, &stored), 0);
    assert_int_equal(header_present(&h, &presented), 0);
    for (size_t max = 0; max < presented.len; max++) {
        CLEANUP(buf_fini) struct buf small = BUF_INIT(max);
        assert_int_equal(header_present(&h, &small), -EMSGSIZE);
        CLEANUP(buf_fini) struct buf other = BUF_INIT(max);
        assert_int_equal(header_store(&h, &other), max < stored.len ? -EMSGSIZE : 0);
    }
}

static void header_survives_every_failed_allocation(void **state)
{
    (void)state;
    static const char text[] = STORED(", \"a\": {\"b\": [1, \"x\"]}");
    int fail_at = 0;
    int r = -1;
    for (; r < 0; fail_at++) {
        CLEANUP(header_fini) struct header h = {0};
        CLEANUP(header_fini) struct header copy = {0};
        header_allocations = fail_at;
        r = header_parse(text, strlen(text), &h, NULL);
        assert_true(r == 0 || r == -ENOMEM);
        if (r == 0) {
            r = header_copy(&h, &copy);
            assert_true(r == 0 || r == -ENOMEM);
        }
        header_allocations = -1;
        CLEANUP(json_freep) struct cJSON *value = cJSON_CreateNull();
        header_allocations = fail_at % 4;
        int set = header_set_extra(&copy, "c", &value);
        assert_true(set == 0 ? !value : set == -ENOMEM && value);
    }
    header_allocations = -1;
    assert_true(fail_at > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_reads_and_writes_the_stored_form),
        cmocka_unit_test(header_keeps_further_fields_to_the_last_bit),
        cmocka_unit_test(header_presents_itself_to_people),
        cmocka_unit_test(header_names_every_axis),
        cmocka_unit_test(header_reads_the_presented_form_and_drops_what_follows_from_it),
        cmocka_unit_test(header_takes_what_people_write),
        cmocka_unit_test(header_refuses_hostile_text_and_says_why),
        cmocka_unit_test(header_is_bounded),
        cmocka_unit_test(header_set_extra_replaces_a_field),
        cmocka_unit_test(header_set_extra_refuses_fields_with_a_meaning),
        cmocka_unit_test(header_copy_is_deep),
        cmocka_unit_test(header_writes_all_or_says_that_it_did_not),
        cmocka_unit_test(header_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
