#include "tests/unit/unit.h"

#include "s3/s3_etag.h"
#include "s3/s3_stat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Feeds the lines of a reply's head, which are split by '|'. */
static void stat_feed(struct http_reply *reply, const char *lines)
{
    while (*lines) {
        char line[512];
        size_t len = strcspn(lines, "|");
        int n = snprintf(line, sizeof(line), "%.*s\r\n", (int)len, lines);
        assert_int_equal(http_reply_line(reply, line, (size_t)n), 0);
        lines += len + (lines[len] == '|');
    }
}

static void reply_keeps_the_headers_of_the_last_reply(void **state)
{
    (void)state;
    CLEANUP(http_reply_fini) struct http_reply reply = {0};
    stat_feed(&reply, "HTTP/1.1 100 Continue|X-Old: 1||HTTP/1.1 206 Partial Content|"
                      "ETag:  \"abc\" \t|Empty:|no colon|UPPER-Case: Value: with colon|");
    assert_int_equal(reply.status, 206);
    assert_string_equal(http_reply_header(&reply, "etag"), "\"abc\"");
    assert_string_equal(http_reply_header(&reply, "empty"), "");
    assert_string_equal(http_reply_header(&reply, "upper-case"), "Value: with colon");
    assert_null(http_reply_header(&reply, "x-old"));
    assert_null(http_reply_header(&reply, "value"));
}

static void reply_bounds_the_headers(void **state)
{
    (void)state;
    CLEANUP(http_reply_fini) struct http_reply reply = {0};
    char line[1024] = "Long: ";
    memset(line + 6, 'x', sizeof(line) - 6);
    stat_feed(&reply, "HTTP/1.1 200 OK");
    int r = 0;
    for (int i = 0; i < 100 && r == 0; i++)
        r = http_reply_line(&reply, line, sizeof(line));
    assert_int_equal(r, -EMSGSIZE);
}

static void reply_reads_dates(void **state)
{
    (void)state;
    int64_t s = 0;
    assert_true(http_reply_date("Sun, 06 Nov 1994 08:49:37 GMT", &s));
    assert_int_equal(s, 784111777);
    assert_false(http_reply_date("soon", &s));
}

static void stat_reads_whole_objects_and_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        uint64_t size, first, end;
    } reply[] = {
        {"HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: 7", 7, 0, 7},
        {"HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: 0", 0, 0, 0},
        {"HTTP/1.1 206 Partial|ETag: e|Content-Length: 3|Content-Range: bytes 2-4/9", 9, 2, 5},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply r = {0};
        struct store_stat stat;
        struct s3_stat_range range;
        stat_feed(&r, reply[i].head);
        assert_int_equal(s3_stat_reply(&r, &stat, &range, NULL), 0);
        assert_string_equal(stat.etag, "e");
        assert_int_equal(stat.size, reply[i].size);
        assert_int_equal(range.first, reply[i].first);
        assert_int_equal(range.end, reply[i].end);
        assert_int_equal(stat.mtime_ns, 0);
    }
}

static void stat_reads_what_bmfs_keeps_with_an_object(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool has_crc32c;
        uint32_t crc32c;
        const char *write_id;
    } reply[] = {
        {"x-amz-meta-bmfs-crc32c: e3069283|"
         "x-amz-meta-bmfs-write-id: 0123456789abcdef0123456789abcdef",
         true, 0xe3069283, "0123456789abcdef0123456789abcdef"},
        {"x-amz-meta-bmfs-crc32c: e306928|x-amz-meta-bmfs-write-id: 0123", false, 0, ""},
        {"x-amz-meta-bmfs-crc32c: 0xe30692|x-amz-meta-other: 1", false, 0, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply r = {0};
        struct store_stat stat;
        stat_feed(&r, "HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: 7|"
                      "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT");
        stat_feed(&r, reply[i].head);
        assert_int_equal(s3_stat_reply(&r, &stat, NULL, NULL), 0);
        assert_int_equal(stat.has_crc32c, reply[i].has_crc32c);
        assert_int_equal(stat.crc32c, reply[i].crc32c);
        assert_string_equal(stat.write_id, reply[i].write_id);
        assert_true(stat.mtime_ns == INT64_C(784111777) * 1000000000);
    }
}

static void stat_tells_which_etags_may_be_md5_sums(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        bool md5;
    } reply[] = {
        {"ETag: \"25f9e794323b453885f5181f1b624d0b\"", true},
        {"ETag: 25f9e794323b453885f5181f1b624d0b|x-amz-server-side-encryption: AES256", true},
        {"ETag: \"25f9e794323b453885f5181f1b624d0b-2\"", false}, /* came in parts */
        {"ETag: \"25F9E794323B453885F5181F1B624D0B\"", false},
        {"ETag: W/\"25f9e794323b453885f5181f1b624d0b\"", false},
        {"ETag: \"25f9e794323b453885f5181f1b624d0b\"|x-amz-server-side-encryption: aws:kms", false},
        {"ETag: \"25f9e794323b453885f5181f1b624d0b\"|x-amz-server-side-encryption: aws:kms:dsse",
         false},
        {"ETag: \"25f9e794323b453885f5181f1b624d0b\"|"
         "x-amz-server-side-encryption-customer-algorithm: AES256",
         false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply r = {0};
        struct store_stat stat;
        stat_feed(&r, "HTTP/1.1 200 OK|Content-Length: 7");
        stat_feed(&r, reply[i].head);
        assert_int_equal(s3_stat_reply(&r, &stat, NULL, NULL), 0);
        if (stat.md5_etag != reply[i].md5)
            fail_msg("%s", reply[i].head);
    }
}

static void stat_refuses_replies_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HTTP/1.1 200 OK|Content-Length: 7",
        "HTTP/1.1 200 OK|ETag: \"\"|Content-Length: 7",
        "HTTP/1.1 200 OK|ETag: \"e\"",
        "HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: -7",
        "HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: 7x",
        "HTTP/1.1 200 OK|ETag: \"e\"|Content-Length: 9223372036854775808",
        "HTTP/1.1 206 Partial|ETag: \"e\"|Content-Length: 7",
        "HTTP/1.1 206 Partial|ETag: \"e\"|Content-Range: bytes 2-4/*",
        "HTTP/1.1 206 Partial|ETag: \"e\"|Content-Range: bytes 4-2/9",
        "HTTP/1.1 206 Partial|ETag: \"e\"|Content-Range: bytes 2-9/9",
        "HTTP/1.1 206 Partial|ETag: \"e\"|Content-Range: 2-4/9",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(http_reply_fini) struct http_reply r = {0};
        struct store_stat stat;
        struct err err = {0};
        stat_feed(&r, bad[i]);
        if (s3_stat_reply(&r, &stat, NULL, &err) != -EBADMSG || !err.msg[0])
            fail_msg("taken: %s", bad[i]);
    }
}

static void etag_is_one_text_wherever_it_came_from(void **state)
{
    (void)state;
    static const struct {
        const char *text, *etag, *quoted, *bare; /* etag NULL: refused */
    } tag[] = {
        {"\"abc\"", "abc", "\"abc\"", "abc"},
        {"abc", "abc", "\"abc\"", "abc"},
        {"\"d41d-12\"", "d41d-12", "\"d41d-12\"", "d41d-12"},
        {"W/\"abc\"", "W/\"abc\"", "W/\"abc\"", "W/\"abc\""},
        {"", NULL, NULL, NULL},
        {"\"\"", NULL, NULL, NULL},
        {"a b", NULL, NULL, NULL},
        {"a\r\nb", NULL, NULL, NULL},
        {"\xc3\xa9", NULL, NULL, NULL},
    };
    char etag[STORE_ETAG_SIZE];
    char header[S3_ETAG_HEADER_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(tag); i++) {
        assert_int_equal(s3_etag_read(tag[i].text, etag), tag[i].etag ? 0 : -EBADMSG);
        if (!tag[i].etag) {
            continue;
        }
        assert_string_equal(etag, tag[i].etag);
        assert_int_equal(s3_etag_write(etag, true, header), 0);
        assert_string_equal(header, tag[i].quoted);
        assert_int_equal(s3_etag_write(etag, false, header), 0);
        assert_string_equal(header, tag[i].bare);
    }
    assert_int_equal(s3_etag_write("a\r\nX: b", true, header), -EINVAL);
    char longest[STORE_ETAG_SIZE + 1];
    memset(longest, 'x', sizeof(longest));
    longest[STORE_ETAG_SIZE] = '\0';
    assert_int_equal(s3_etag_read(longest, etag), -EBADMSG);
    assert_int_equal(s3_etag_read(longest + 1, etag), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reply_keeps_the_headers_of_the_last_reply),
        cmocka_unit_test(reply_bounds_the_headers),
        cmocka_unit_test(reply_reads_dates),
        cmocka_unit_test(stat_reads_whole_objects_and_ranges),
        cmocka_unit_test(stat_reads_what_bmfs_keeps_with_an_object),
        cmocka_unit_test(stat_tells_which_etags_may_be_md5_sums),
        cmocka_unit_test(stat_refuses_replies_that_make_no_sense),
        cmocka_unit_test(etag_is_one_text_wherever_it_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
