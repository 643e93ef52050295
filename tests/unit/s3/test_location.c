#include "tests/unit/unit.h"

#include "s3/location.h"

#include <errno.h>
#include <string.h>

static void location_reads_what_users_write(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_dir;
        const char *bucket, *prefix;
    } loc[] = {
        {"lab", false, "lab", "numpywren.objects/"},
        {"s3://lab", false, "lab", "numpywren.objects/"},
        {"lab/", false, "lab", ""},
        {"s3://lab/", false, "lab", ""},
        {"lab/P/", false, "lab", "P/"},
        {"s3://lab/P", false, "lab", "P/"},
        {"lab/a b/(c)//", false, "lab", "a b/(c)//"},
        {"My_Old.Bucket-1", false, "My_Old.Bucket-1", "numpywren.objects/"},
        {"file:///data/lab", true, "/data/lab", "numpywren.objects/"},
        {"file:///data/my lab/", true, "/data/my lab", ""},
        {"file:///data//", true, "/data", ""},
        {"file:///", true, "/", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(loc); i++) {
        CLEANUP(location_fini) struct location got = {0};
        struct err err = {0};
        if (location_parse(loc[i].text, &got, &err) < 0)
            fail_msg("%s: %s", loc[i].text, err.msg);
        assert_int_equal(got.is_dir, loc[i].is_dir);
        assert_string_equal(got.bucket, loc[i].bucket);
        assert_string_equal(got.prefix, loc[i].prefix);
    }
}

static void location_refuses_the_rest_with_a_hint(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "ab",         "s3://",     "s3:///x",      "/data/lab",    "./lab",
        "../x",    "-lab",       "lab name",  "lab@host",     "http://h/lab", "file://data",
        "file://", "file:/data", "l\xc3\xa4", "s3://lab?x=y",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct location got;
        struct err err = {0};
        if (location_parse(bad[i], &got, &err) != -EINVAL || !err.msg[0] || !err.hint[0])
            fail_msg("%s was taken", bad[i]);
    }
    char text[2000] = "lab/";
    memset(text + 4, 'p', 1000);
    assert_int_equal(location_parse(text, &(struct location){0}, NULL), -EINVAL);
}

static void location_open_refuses_settings_that_make_no_sense(void **state)
{
    (void)state;
    static const struct {
        struct location_conf conf;
        const char *msg;
    } bad[] = {
        {{.no_sign_request = true, .connections_max = 65},
         "the number of connections must be 1 to 64"},
        {{.no_sign_request = true, .connections_max = -1},
         "the number of connections must be 1 to 64"},
        {{.no_sign_request = true, .call_time_ms = -1}, "a call's time cannot be negative"},
        {{.no_sign_request = true, .endpoint_url = "h"},
         "the endpoint 'h' does not start with https:// or http://"},
        {{.no_sign_request = true, .region = "no where"},
         "'no where' is not the name of an AWS region"},
        {{.no_sign_request = true, .endpoint_url = "http://h", .region = "no where"},
         "'no where' is not the name of a region"},
        {{.no_sign_request = true, .profile = "no-such-profile"},
         "there is no profile 'no-such-profile'"},
    };
    CLEANUP(location_fini) struct location loc = {0};
    assert_int_equal(location_parse("lab", &loc, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct store *st = NULL;
        struct err err = {0};
        assert_int_equal(location_open(&loc, &bad[i].conf, &st, &err), -EINVAL);
        assert_string_equal(err.msg, bad[i].msg);
    }
}

static void location_open_asks_the_server_nothing(void **state)
{
    (void)state;
    CLEANUP(location_fini) struct location loc = {0};
    CLEANUP(store_freep) struct store *st = NULL;
    struct err err = {0};
    const struct location_conf conf = {.no_sign_request = true,
                                       .endpoint_url = "http://127.0.0.1:1"};
    assert_int_equal(location_parse("lab", &loc, NULL), 0);
    if (location_open(&loc, &conf, &st, &err) < 0)
        fail_msg("%s", err.msg);
    assert_string_equal(store_id(st), "s3://127.0.0.1:1/lab");
    assert_int_not_equal(store_head(st, "k", NULL, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(location_reads_what_users_write),
        cmocka_unit_test(location_refuses_the_rest_with_a_hint),
        cmocka_unit_test(location_open_refuses_settings_that_make_no_sense),
        cmocka_unit_test(location_open_asks_the_server_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
