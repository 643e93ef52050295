#include "tests/unit/unit.h"

#include "s3/s3_xml.h"

#include "base/buf.h"

#include <errno.h>
#include <string.h>

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"
#define OPEN \
    HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
#define CLOSE "</ListBucketResult>"
#define KEY(key)                                                                          \
    "<Contents><Key>" key "</Key><LastModified>2009-10-12T17:50:30.123Z</LastModified>"   \
    "<ETag>&quot;fba9dede5f27731c9771645a39863328&quot;</ETag><Size>434234</Size><Owner>" \
    "<ID>7</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>\n"
#define PREFIX(prefix) "<CommonPrefixes><Prefix>" prefix "</Prefix></CommonPrefixes>"

static void xml_reads_a_page_of_a_listing(void **state)
{
    (void)state;
    static const char text[] =
        OPEN "<IsTruncated>true</IsTruncated><NextContinuationToken>1+/=&amp;</"
             "NextContinuationToken>\n" KEY("a b+c%2F&lt;&#38;") KEY("b") PREFIX("p/") CLOSE;
    struct s3_xml_page page = {0};
    assert_int_equal(s3_xml_list(text, strlen(text), &page, NULL), 0);
    assert_int_equal(page.entries, 3);
    assert_true(page.truncated);
    assert_string_equal(page.next_token, "1+/=&");
    assert_null(page.next_marker);
    assert_string_equal(page.entry[0].key, "a b+c%2F<&"); /* nobody said that it is encoded */
    assert_false(page.entry[0].is_prefix);
    assert_string_equal(page.entry[0].stat.etag, "fba9dede5f27731c9771645a39863328");
    assert_int_equal(page.entry[0].stat.size, 434234);
    assert_true(page.entry[0].stat.mtime_ns == INT64_C(1255369830) * 1000000000);
    assert_string_equal(page.entry[2].key, "p/");
    assert_true(page.entry[2].is_prefix);
    s3_xml_page_fini(&page);
}

static void xml_decodes_keys_when_the_reply_says_so(void **state)
{
    (void)state;
    static const char text[] = OPEN KEY("a+b%2Bc%25")
        PREFIX("p+q%2F") "<EncodingType>url</EncodingType><NextMarker>m%20n</NextMarker>" CLOSE;
    struct s3_xml_page page = {0};
    assert_int_equal(s3_xml_list(text, strlen(text), &page, NULL), 0);
    assert_string_equal(page.entry[0].key, "a b+c%");
    assert_string_equal(page.entry[1].key, "p q/");
    assert_string_equal(page.next_marker, "m n");
    assert_false(page.truncated);
    s3_xml_page_fini(&page);
}

/* One server writes its own <Prefix> so although keys are encoded. */
static void xml_bears_control_characters_beside_encoded_keys(void **state)
{
    (void)state;
    static const char echo[] = "<Prefix>a&#x01;&#31;&#x7f;&#9;&amp;</Prefix>";
    for (int url = 0; url <= 1; url++) {
        CLEANUP(buf_fini) struct buf b = BUF_INIT(4096);
        struct s3_xml_page page = {0};
        assert_int_equal(buf_printf(&b, "%s%s%s%s%s", OPEN, echo,
                                    url ? "<EncodingType>url</EncodingType>" : "",
                                    KEY("a%01%1F%7F"), CLOSE),
                         0);
        assert_int_equal(s3_xml_list(b.data, b.len, &page, NULL), url ? 0 : -EBADMSG);
        if (url)
            assert_string_equal(page.entry[0].key, "a\x01\x1f\x7f");
        s3_xml_page_fini(&page);
    }
}

static void xml_reads_names_in_a_namespace(void **state)
{
    (void)state;
    static const char text[] =
        "<ns2:ListBucketResult xmlns:ns2=\"x\"><ns2:CommonPrefixes><ns2:Prefix>p/</ns2:Prefix>"
        "</ns2:CommonPrefixes></ns2:ListBucketResult>";
    struct s3_xml_page page = {0};
    assert_int_equal(s3_xml_list(text, strlen(text), &page, NULL), 0);
    assert_int_equal(page.entries, 1);
    assert_string_equal(page.entry[0].key, "p/");
    s3_xml_page_fini(&page);
}

static void xml_refuses_listings_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "not xml",
        HEAD,
        "<html><body>200 OK</body></html>",
        "<Error><Code>NoSuchKey</Code></Error>",
        OPEN,
        OPEN "<Contents></Contents>" CLOSE,
        OPEN "<Contents><Key>k</Key><ETag>e</ETag></Contents>" CLOSE,
        OPEN "<Contents><Key>k</Key><Size>1</Size></Contents>" CLOSE,
        OPEN "<Contents><Key>k</Key><ETag>\"\"</ETag><Size>1</Size></Contents>" CLOSE,
        OPEN "<Contents><Key>k</Key><ETag>e\ne</ETag><Size>1</Size></Contents>" CLOSE,
        OPEN "<Contents><Key>k</Key><ETag>e</ETag><Size>-1</Size></Contents>" CLOSE,
        OPEN
        "<Contents><Key>k</Key><ETag>e</ETag><Size>9223372036854775808</Size></Contents>" CLOSE,
        OPEN
        "<Contents><Key>k</Key><ETag>e</ETag><Size>99999999999999999999</Size></Contents>" CLOSE,
        OPEN "<Contents><LastModified>yesterday</LastModified></Contents>" CLOSE,
        OPEN "<Contents><Key></Key><ETag>e</ETag><Size>1</Size></Contents>" CLOSE,
        OPEN PREFIX("") CLOSE,
        OPEN "<EncodingType>url</EncodingType>" KEY("%zz") CLOSE,
        OPEN "<EncodingType>url</EncodingType>" KEY("a%00b") CLOSE,
        "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>" OPEN KEY("&b;") CLOSE,
        "<a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a></a>",
        OPEN KEY("k") CLOSE "<ListBucketResult/>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct s3_xml_page page = {0};
        struct err err = {0};
        if (s3_xml_list(bad[i], strlen(bad[i]), &page, &err) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(err.msg, "the listing makes no sense");
        assert_int_equal(page.entries, 0);
    }
}

static void xml_refuses_keys_that_are_too_long(void **state)
{
    (void)state;
    for (int over = 0; over <= 1; over++) {
        CLEANUP(buf_fini) struct buf b = BUF_INIT(100000);
        struct s3_xml_page page = {0};
        assert_int_equal(buf_puts(&b, OPEN "<CommonPrefixes><Prefix>"), 0);
        for (int i = 0; i < STORE_KEY_MAX + over; i++)
            assert_int_equal(buf_puts(&b, "k"), 0);
        assert_int_equal(buf_puts(&b, "</Prefix></CommonPrefixes>" CLOSE), 0);
        assert_int_equal(s3_xml_list(b.data, b.len, &page, NULL), over ? -EBADMSG : 0);
        s3_xml_page_fini(&page);
    }
}

static void xml_reads_errors(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong\nregion</Message>"
             "<Region>eu-west-1</Region><RequestId>4442587FB7D0A2F9</RequestId></Error>";
    struct s3_xml_error e;
    s3_xml_error(text, strlen(text), &e);
    assert_string_equal(e.code, "AuthorizationHeaderMalformed");
    assert_string_equal(e.message, "wrong\nregion");
    assert_string_equal(e.region, "eu-west-1");
    assert_string_equal(e.request_id, "4442587FB7D0A2F9");
}

static void xml_reads_no_error_from_what_is_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "<html><h1>403</h1></html>",
        "{\"Code\":\"x\"}",
        "<!DOCTYPE x><Error><Code>NoSuchKey</Code></Error>",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct s3_xml_error e;
        s3_xml_error(bad[i], strlen(bad[i]), &e);
        assert_string_equal(e.code, "");
        assert_string_equal(e.message, "");
    }
    struct s3_xml_error cut; /* an error that was cut off still has its code */
    static const char text[] = "<Error><Code>SlowDown</Code><Mess";
    s3_xml_error(text, strlen(text), &cut);
    assert_string_equal(cut.code, "SlowDown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xml_reads_a_page_of_a_listing),
        cmocka_unit_test(xml_decodes_keys_when_the_reply_says_so),
        cmocka_unit_test(xml_bears_control_characters_beside_encoded_keys),
        cmocka_unit_test(xml_reads_names_in_a_namespace),
        cmocka_unit_test(xml_refuses_listings_that_make_no_sense),
        cmocka_unit_test(xml_refuses_keys_that_are_too_long),
        cmocka_unit_test(xml_reads_errors),
        cmocka_unit_test(xml_reads_no_error_from_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
