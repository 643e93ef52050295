#include "tests/unit/unit.h"

#include "s3/uri.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

static void uri_encodes_what_keys_are_made_of(void **state)
{
    (void)state;
    static const struct {
        const char *key, *encoded;
    } name[] = {
        {"", ""},
        {"AZaz09-._~/", "AZaz09-._~/"},
        {"a b+c%d", "a%20b%2Bc%25d"},
        {"numpywren.objects/matmul_test_Temp(gA,gB)/4_8_4_4_8_4_0_1_1_0_1_1_",
         "numpywren.objects/matmul_test_Temp%28gA%2CgB%29/4_8_4_4_8_4_0_1_1_0_1_1_"},
        {"Cholesky.Intermediate(chol_A)/1_2_1_8_10_4_8_10_4_",
         "Cholesky.Intermediate%28chol_A%29/1_2_1_8_10_4_8_10_4_"},
        {"gemm(BigMatrix(X), BigMatrix(X))/header",
         "gemm%28BigMatrix%28X%29%2C%20BigMatrix%28X%29%29/header"},
        {"//./..//", "//./..//"},
        {"!\"#$&'*:;<=>?@[\\]^`{|}",
         "%21%22%23%24%26%27%2A%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D"},
        {"\x01\x7f\xc3\xa9\xff", "%01%7F%C3%A9%FF"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        CLEANUP(buf_fini) struct buf b = BUF_INIT(1000);
        char back[200];
        assert_int_equal(uri_encode(&b, name[i].key, "/"), 0);
        assert_string_equal(buf_text(&b), name[i].encoded);
        (void)stpcpy(back, buf_text(&b));
        assert_int_equal(uri_decode(back), 0);
        assert_string_equal(back, name[i].key);
    }
    struct buf small = BUF_INIT(5);
    assert_int_equal(uri_encode(&small, "a b c", ""), -EMSGSIZE);
    buf_fini(&small);
}

static const char *fixtures_dir; /* the first argument */
static int fixtures_seen;

/* The fixtures' files are named after their keys, which Python has encoded. */
static int uri_check_fixture(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    if (type != FTW_F || !strstr(path, "/objects/"))
        return 0;
    CLEANUP(buf_fini) struct buf b = BUF_INIT(4096);
    char key[1025];
    (void)snprintf(key, sizeof(key), "%s", path + at->base);
    assert_int_equal(uri_decode(key), 0);
    assert_int_equal(uri_encode(&b, key, ""), 0);
    assert_string_equal(buf_text(&b), path + at->base);
    fixtures_seen++;
    return 0;
}

static void uri_encodes_every_key_of_the_fixtures(void **state)
{
    (void)state;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): it would change the working directory only if asked */
    assert_int_equal(nftw(fixtures_dir, uri_check_fixture, 8, FTW_PHYS), 0);
    assert_true(fixtures_seen > 50);
}

static void uri_decodes_only_whole_escapes(void **state)
{
    (void)state;
    static const char *const bad[] = {"%", "a%2", "%zz", "%2x", "%00", "a%00b", "%%41"};
    char text[16];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        (void)stpcpy(text, bad[i]);
        assert_int_equal(uri_decode(text), -EBADMSG);
    }
    (void)stpcpy(text, "a+b%2B%2f");
    assert_int_equal(uri_decode(text), 0);
    assert_string_equal(text, "a b+/");
}

static void uri_sorts_a_query_by_encoded_name_then_value(void **state)
{
    (void)state;
    static const struct uri_param param[] = {
        {"prefix", "a b/+"}, {"list-type", "2"}, {"a-b", "1"},   {"a", "2"},
        {"a", "10"},         {"list", ""},       {"~", "x&y=z"},
    };
    CLEANUP(buf_fini) struct buf b = BUF_INIT(1000);
    assert_int_equal(uri_query(&b, param, ARRAY_SIZE(param)), 0);
    assert_string_equal(buf_text(&b),
                        "a=10&a=2&a-b=1&list=&list-type=2&prefix=a%20b%2F%2B&~=x%26y%3Dz");
    buf_clear(&b);
    assert_int_equal(uri_query(&b, NULL, 0), 0);
    assert_string_equal(buf_text(&b), "");
    static const struct uri_param many[URI_PARAMS_MAX + 1];
    assert_int_equal(uri_query(&b, many, ARRAY_SIZE(many)), -EMSGSIZE);
}

static void uri_reads_endpoints(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *path; /* host NULL: refused */
        bool tls;
    } endpoint[] = {
        {"http://127.0.0.1:9000", "127.0.0.1:9000", "", false},
        {"https://S3.Example.COM", "s3.example.com", "", true},
        {"HTTPS://s3.example.com:443/", "s3.example.com", "", true},
        {"http://h:443", "h:443", "", false},
        {"http://h:80//", "h", "", false},
        {"https://h/base/path%20x/", "h", "/base/path%20x", true},
        {"http://[::1]:8000", "[::1]:8000", "", false},
        {"http://[fe80::1]/x", "[fe80::1]", "/x", false},
        {"h:9000", NULL, NULL, false},
        {"ftp://h", NULL, NULL, false},
        {"http://", NULL, NULL, false},
        {"http://:80", NULL, NULL, false},
        {"http://h:", NULL, NULL, false},
        {"http://h:0", NULL, NULL, false},
        {"http://h:65536", NULL, NULL, false},
        {"http://h:99999999999999999999", NULL, NULL, false},
        {"http://h:8a", NULL, NULL, false},
        {"http://user:hunter2@h", NULL, NULL, false},
        {"http://h?x", NULL, NULL, false},
        {"http://h/p?x", NULL, NULL, false},
        {"http://h/p#x", NULL, NULL, false},
        {"http://h/a b", NULL, NULL, false},
        {"http://h/%2", NULL, NULL, false},
        {"http://a b", NULL, NULL, false},
        {"http://[]:80", NULL, NULL, false},
        {"http://[::1", NULL, NULL, false},
        {"http://h\r\nX: y", NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(endpoint); i++) {
        struct uri_endpoint ep;
        struct err err = {0};
        int r = uri_endpoint_parse(endpoint[i].url, &ep, &err);
        if (!endpoint[i].host) {
            if (r != -EINVAL || !err.msg[0])
                fail_msg("%s was taken", endpoint[i].url);
            assert_null(strstr(err.msg, "hunter2"));
            continue;
        }
        if (r < 0)
            fail_msg("%s: %s", endpoint[i].url, err.msg);
        assert_string_equal(ep.host, endpoint[i].host);
        assert_string_equal(ep.path, endpoint[i].path);
        assert_int_equal(ep.tls, endpoint[i].tls);
        assert_false(ep.aws);
    }
}

static void uri_puts_the_bucket_in_path_or_host(void **state)
{
    (void)state;
    static const struct {
        const char *url; /* NULL: AWS in eu-west-1 */
        const char *bucket;
        enum uri_style style;
        const char *host, *path;
    } at[] = {
        {NULL, "lab", URI_STYLE_AUTO, "lab.s3.eu-west-1.amazonaws.com", ""},
        {NULL, "my.lab", URI_STYLE_AUTO, "s3.eu-west-1.amazonaws.com", "/my.lab"},
        {NULL, "MyLab", URI_STYLE_AUTO, "s3.eu-west-1.amazonaws.com", "/MyLab"},
        {NULL, "lab", URI_STYLE_PATH, "s3.eu-west-1.amazonaws.com", "/lab"},
        {"http://h:9000", "lab", URI_STYLE_AUTO, "h:9000", "/lab"},
        {"http://h:9000", "lab", URI_STYLE_VIRTUAL, "lab.h:9000", ""},
        {"https://h/base", "lab", URI_STYLE_AUTO, "h", "/base/lab"},
        {"https://h/base", "lab", URI_STYLE_VIRTUAL, "lab.h", "/base"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct uri_endpoint ep;
        struct uri_endpoint bucket;
        int r = at[i].url ? uri_endpoint_parse(at[i].url, &ep, NULL)
                          : uri_endpoint_aws("eu-west-1", &ep, NULL);
        assert_int_equal(r, 0);
        assert_int_equal(uri_bucket(&ep, at[i].bucket, at[i].style, &bucket, NULL), 0);
        assert_string_equal(bucket.host, at[i].host);
        assert_string_equal(bucket.path, at[i].path);
    }
}

static void uri_knows_the_hosts_of_aws(void **state)
{
    (void)state;
    struct uri_endpoint ep;
    assert_int_equal(uri_endpoint_aws("cn-north-1", &ep, NULL), 0);
    assert_string_equal(ep.host, "s3.cn-north-1.amazonaws.com.cn");
    assert_true(ep.aws && ep.tls);
    assert_int_equal(uri_endpoint_aws("", &ep, NULL), -EINVAL);
    assert_int_equal(uri_endpoint_aws("evil.example/", &ep, NULL), -EINVAL);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    fixtures_dir = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uri_encodes_what_keys_are_made_of),
        cmocka_unit_test(uri_encodes_every_key_of_the_fixtures),
        cmocka_unit_test(uri_decodes_only_whole_escapes),
        cmocka_unit_test(uri_sorts_a_query_by_encoded_name_then_value),
        cmocka_unit_test(uri_reads_endpoints),
        cmocka_unit_test(uri_puts_the_bucket_in_path_or_host),
        cmocka_unit_test(uri_knows_the_hosts_of_aws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
