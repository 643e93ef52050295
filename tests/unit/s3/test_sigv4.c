#include "tests/unit/unit.h"

#include "s3/sigv4.h"

#include <string.h>

static struct creds *sigv4_creds(const char *secret)
{
    struct creds *creds = NULL;
    assert_int_equal(creds_new("AKIAIOSFODNN7EXAMPLE", secret, NULL, 0, &creds), 0);
    return creds;
}

/* The examples of AWS's page "Authenticating Requests: Using the Authorization Header". */
static const char secret[] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

static const struct sigv4_example {
    const char *method, *path, *query, *payload;
    struct http_header header[6];
    size_t headers;
    const char *authorization;
} example[] = {
    {"GET",
     "/test.txt",
     "",
     SIGV4_EMPTY,
     {{"range", "bytes=0-9"}},
     1,
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
     "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT",
     "/test%24file.text",
     "",
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     {{"x-amz-storage-class", "REDUCED_REDUNDANCY"}, {"date", "Fri, 24 May 2013 00:00:00 GMT"}},
     2,
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
     "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET",
     "/",
     "lifecycle=",
     SIGV4_EMPTY,
     {{NULL, NULL}},
     0,
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
     "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET",
     "/",
     "max-keys=2&prefix=J",
     SIGV4_EMPTY,
     {{NULL, NULL}},
     0,
     "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
     "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
     "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

/* Signs an example; the headers that all of them have are added to its own. */
static void sigv4_sign_example(const struct sigv4_example *e, const struct creds *creds,
                               const char *date, struct sigv4_key *key, struct buf *ret)
{
    struct http_header header[10];
    size_t n = e->headers;
    memcpy(header, e->header, n * sizeof(header[0]));
    header[n++] = (struct http_header){"host", "examplebucket.s3.amazonaws.com"};
    header[n++] = (struct http_header){"x-amz-date", date};
    header[n++] = (struct http_header){"x-amz-content-sha256", e->payload};
    const struct sigv4_request req = {
        .method = e->method,
        .path = e->path,
        .query = e->query,
        .header = header,
        .headers = n,
        .payload = e->payload,
        .date = date,
        .region = "us-east-1",
    };
    assert_int_equal(sigv4_sign(&req, creds, key, ret), 0);
}

static void sigv4_signs_the_published_examples(void **state)
{
    (void)state;
    CLEANUP(creds_unrefp) struct creds *creds = sigv4_creds(secret);
    struct sigv4_key key = {0}; /* one for all: the derived key serves again */
    for (size_t i = 0; i < ARRAY_SIZE(example); i++) {
        CLEANUP(buf_fini) struct buf got = BUF_INIT(4096);
        sigv4_sign_example(&example[i], creds, "20130524T000000Z", &key, &got);
        assert_string_equal(buf_text(&got), example[i].authorization);
    }
}

static void sigv4_derives_a_new_key_for_another_day_or_secret(void **state)
{
    (void)state;
    CLEANUP(creds_unrefp) struct creds *creds = sigv4_creds(secret);
    CLEANUP(creds_unrefp) struct creds *other = sigv4_creds("another");
    CLEANUP(buf_fini) struct buf first = BUF_INIT(4096);
    CLEANUP(buf_fini) struct buf got = BUF_INIT(4096);
    struct sigv4_key key = {0};
    sigv4_sign_example(&example[0], creds, "20130524T000000Z", &key, &first);
    sigv4_sign_example(&example[0], creds, "20130525T000000Z", &key, &got);
    assert_non_null(strstr(buf_text(&got), "/20130525/us-east-1/s3/"));
    assert_string_equal(key.scope, "20130525/us-east-1/s3/aws4_request");
    buf_clear(&got);
    sigv4_sign_example(&example[0], other, "20130524T000000Z", &key, &got);
    assert_string_not_equal(buf_text(&got), buf_text(&first));
    buf_clear(&got);
    sigv4_sign_example(&example[0], creds, "20130524T000000Z", &key, &got);
    assert_string_equal(buf_text(&got), buf_text(&first));
}

static void sigv4_canonical_text_is_what_aws_shows(void **state)
{
    (void)state;
    static const struct http_header header[] = {
        {"x-amz-meta-b", "  two   words "},
        {"host", "h:9000"},
        {"x-amz-meta-a", ""},
    };
    const struct sigv4_request req = {
        .method = "GET",
        .path = "/b/k",
        .query = "a=1",
        .header = header,
        .headers = ARRAY_SIZE(header),
        .payload = SIGV4_UNSIGNED,
    };
    CLEANUP(buf_fini) struct buf got = BUF_INIT(4096);
    assert_int_equal(sigv4_canonical(&req, &got), 0);
    assert_string_equal(buf_text(&got), "GET\n/b/k\na=1\n"
                                        "host:h:9000\nx-amz-meta-a:\nx-amz-meta-b:two words\n\n"
                                        "host;x-amz-meta-a;x-amz-meta-b\nUNSIGNED-PAYLOAD");
}

static void sigv4_writes_dates(void **state)
{
    (void)state;
    char date[SIGV4_DATE_SIZE];
    assert_true(sigv4_date(1369353600, date));
    assert_string_equal(date, "20130524T000000Z");
    assert_true(sigv4_date(0, date));
    assert_string_equal(date, "19700101T000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigv4_signs_the_published_examples),
        cmocka_unit_test(sigv4_derives_a_new_key_for_another_day_or_secret),
        cmocka_unit_test(sigv4_canonical_text_is_what_aws_shows),
        cmocka_unit_test(sigv4_writes_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
