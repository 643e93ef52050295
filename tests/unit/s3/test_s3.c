/* The S3 store against a server that answers from a list: what real servers do seldom. */

#include "tests/unit/unit.h"

#include "tests/unit/s3/canned.h"

#include "s3/probe.h"
#include "s3/s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Keys that are numbered by the fetch. */
struct keys {
    struct creds_provider base;
    int fetches;
};

static int keys_fetch(struct creds_provider *provider, struct creds **ret, struct err *err)
{
    (void)err;
    char key[16];
    (void)snprintf(key, sizeof(key), "key-%d", ++((struct keys *)provider)->fetches);
    return creds_new(key, "secret", NULL, 0, ret);
}

static void keys_free(struct creds_provider *provider)
{
    free(provider);
}

static struct store *s3_open_at(const char *url, const char *bucket)
{
    static const struct creds_provider_ops ops = {"test", keys_fetch, keys_free};
    struct keys *keys = calloc(1, sizeof(*keys));
    assert_non_null(keys);
    keys->base.ops = &ops;
    struct creds_provider *provider = &keys->base;
    struct creds_source *creds = NULL;
    assert_int_equal(creds_source_new(&provider, &creds), 0);
    const struct s3_conf conf = {
        .client = {.bucket = bucket,
                   .endpoint_url = url,
                   .region = "us-east-1",
                   .http = {.connections_max = 2, .call_time_ms = 5000}},
        .prefix = "p/",
    };
    struct store *st = NULL;
    assert_int_equal(s3_new(&conf, &creds, &st, NULL), 0);
    return st;
}

static struct store *s3_open(struct canned *server)
{
    return s3_open_at(canned_url(server), "lab");
}

/* Joins what arrives. */
struct s3_got {
    char data[64];
    size_t len;
};

static int s3_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                   size_t len)
{
    struct s3_got *got = arg;
    assert_true(stat->etag[0] != '\0');
    assert_true(off >= got->len && got->len + len < sizeof(got->data));
    memcpy(got->data + got->len, data, len);
    got->len += len;
    return 0;
}

static int s3_put_text(struct store *st, const char *if_match, struct err *err)
{
    const struct store_body body = {.head = "body", .head_len = 4, .fd = -1};
    return store_put(st, "k", &body, &(struct store_put){.if_match = if_match}, NULL, err);
}

#define OK(headers) "HTTP/1.1 200 OK\r\n" headers "Content-Length: 0\r\n\r\n"
#define ETAG        "ETag: \"e\"\r\n"
#define NO(status)  "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"
#define ERROR(status, headers, code) \
    "HTTP/1.1 " status "\r\n" headers "\r\n<Error><Code>" code "</Code></Error>"

static void s3_id_names_the_bucket_on_its_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *url, *bucket, *id;
    } at[] = {
        {"http://127.0.0.1:8000", "lab", "s3://127.0.0.1:8000/lab"},
        {"https://S3.example.com:443/base/", "lab", "s3://s3.example.com/base/lab"},
        {NULL, "lab", "s3://s3.amazonaws.com/lab"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        CLEANUP(store_freep) struct store *st = s3_open_at(at[i].url, at[i].bucket);
        assert_string_equal(store_id(st), at[i].id);
    }
}

static void s3_changes_the_region_once_and_remembers_it(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 400 Bad\r\n\r\n<Error><Code>AuthorizationHeaderMalformed</Code>"
         "<Region>eu-west-1</Region></Error>",
         CANNED_CLOSE, 0},
        {OK(ETAG), CANNED_KEEP, 0},
        {OK(ETAG), CANNED_KEEP, 0},
        {"HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\n\r\n",
         CANNED_KEEP, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_int_equal(s3_put_text(st, NULL, NULL), 0);
    assert_int_equal(s3_put_text(st, NULL, NULL), 0);
    assert_non_null(strstr(canned_request(server, 0), "/us-east-1/s3/aws4_request"));
    assert_non_null(strstr(canned_request(server, 1), "/eu-west-1/s3/aws4_request"));
    assert_non_null(strstr(canned_request(server, 1), "\r\n\r\nbody"));
    assert_non_null(strstr(canned_request(server, 2), "/eu-west-1/s3/aws4_request"));
    struct err err = {0};
    assert_int_equal(s3_put_text(st, NULL, &err), -EIO); /* it names the region in use */
    assert_string_equal(err.msg, "put k: HTTP 301 (region eu-west-1)");
    assert_string_equal(err.hint, "set the bucket's region or endpoint");
    assert_null(canned_request(server, 4));
}

static void s3_renews_expired_credentials_once(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {ERROR("400 Bad", "", "ExpiredToken"), CANNED_CLOSE, 0},
        {OK(ETAG), CANNED_KEEP, 0},
        {ERROR("400 Bad", "", "ExpiredToken"), CANNED_CLOSE, 0},
        {ERROR("400 Bad", "", "ExpiredToken"), CANNED_CLOSE, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_int_equal(s3_put_text(st, NULL, NULL), 0);
    assert_non_null(strstr(canned_request(server, 0), "Credential=key-1/"));
    assert_non_null(strstr(canned_request(server, 1), "Credential=key-2/"));
    struct err err = {0};
    assert_int_equal(s3_put_text(st, NULL, &err), -EACCES);
    assert_string_equal(err.msg, "put k: HTTP 400 ExpiredToken (region us-east-1)");
    assert_string_equal(err.hint, "the credentials have expired: renew them");
}

static void s3_says_by_how_much_the_clock_is_wrong(void **state)
{
    (void)state;
    char date[64];
    char text[256];
    time_t then = time(NULL) - 3600;
    struct tm tm;
    assert_true(strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &tm)));
    (void)snprintf(text, sizeof(text), ERROR("403 No", "Date: %s\r\n", "RequestTimeTooSkewed"),
                   date);
    const struct canned_reply reply[] = {{text, CANNED_CLOSE, 0}, {text, CANNED_CLOSE, 0}};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    struct err err = {0};
    assert_int_equal(s3_put_text(st, NULL, &err), -EACCES);
    assert_non_null(canned_request(server, 1)); /* it did try the server's time */
    assert_non_null(strstr(err.hint, "the clock of this machine is 360"));
    assert_non_null(strstr(err.hint, " s ahead of the server's"));
}

static void s3_passes_on_how_long_the_server_wants_to_rest(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        int64_t ms;
    } rest[] = {
        {ERROR("503 Busy", "Retry-After: 7\r\n", "SlowDown"), 7000},
        {ERROR("503 Busy", "", "SlowDown"), 0},
        {ERROR("429 Busy", "Retry-After: 99999999999999999999\r\n", ""), 300000},
        {ERROR("503 Busy", "Retry-After: soon\r\n", ""), 0},
        {ERROR("503 Busy",
               "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
               "Retry-After: Sun, 06 Nov 1994 08:49:49 GMT\r\n",
               ""),
         12000},
    };
    struct canned_reply reply[ARRAY_SIZE(rest)] = {{0}};
    for (size_t i = 0; i < ARRAY_SIZE(rest); i++)
        reply[i] = (struct canned_reply){rest[i].reply, CANNED_CLOSE, 0};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
        struct err err = {0};
        assert_int_equal(s3_put_text(st, NULL, &err), -EAGAIN);
        assert_int_equal(err.retry_after_ms, rest[i].ms);
    }
}

static void s3_asks_why_a_head_failed(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {NO("404 Not Found"), CANNED_KEEP, 0}, /* the bucket or the key? */
        {ERROR("404 Not Found", "", "NoSuchKey"), CANNED_CLOSE, 0},
        {NO("404 Not Found"), CANNED_KEEP, 0}, /* the key: the bucket is known now */
        {NO("403 No"), CANNED_KEEP, 0},
        {ERROR("403 No", "", "AccessDenied"), CANNED_CLOSE, 0},
        {NO("400 Bad"), CANNED_KEEP, 0}, /* a wrong region, which only the GET tells */
        {"HTTP/1.1 400 Bad\r\n\r\n<Error><Code>AuthorizationHeaderMalformed</Code>"
         "<Region>eu-west-1</Region></Error>",
         CANNED_CLOSE, 0},
        {"HTTP/1.1 206 Partial\r\n" ETAG "Content-Length: 1\r\n\r\nx", CANNED_KEEP, 0},
        {"HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 9\r\n\r\n", CANNED_KEEP, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    struct store_stat stat;
    struct err err = {0};
    assert_int_equal(store_head(st, "k", &stat, NULL), -ENOENT);
    assert_int_equal(store_head(st, "k", &stat, NULL), -ENOENT);
    assert_int_equal(store_head(st, "k", &stat, &err), -EACCES);
    assert_string_equal(err.msg, "head k: HTTP 403 AccessDenied (region us-east-1)");
    assert_int_equal(store_head(st, "k", &stat, NULL), 0);
    assert_int_equal(stat.size, 9);
}

static void s3_takes_a_404_that_is_not_from_s3_for_nonsense(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 404 Not Found\r\n\r\n<html>no such page</html>", CANNED_CLOSE, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    struct s3_got got = {.len = 0};
    struct err err = {0};
    assert_int_equal(store_get(st, "k", &(struct store_get){0}, s3_sink, &got, NULL, &err),
                     -EBADMSG);
    assert_string_equal(err.hint, "check that the endpoint is that of an S3 server");
}

static void s3_get_takes_the_bytes_that_it_asked_for_only(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        uint64_t off, len;
        int code;
        const char *got;
    } get[] = {
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-4/9\r\nContent-Length: 3\r\n\r\n234",
         2, 3, 0, "234"},
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-3/4\r\nContent-Length: 2\r\n\r\n23",
         2, 3, 0, "23"},
        {"HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 3\r\n\r\n012", 0, 3, 0, "012"},
        {"HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 4\r\n\r\n0123", 0, 3, -EBADMSG, ""},
        {"HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 3\r\n\r\n012", 1, 2, -EBADMSG, ""},
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 1-3/9\r\nContent-Length: 3\r\n\r\n123",
         2, 3, -EBADMSG, ""},
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-5/9\r\nContent-Length: 4\r\n\r\n2345",
         2, 3, -EBADMSG, ""},
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-4/9\r\nContent-Length: 4\r\n\r\n2345",
         2, 3, -EBADMSG, ""},
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-4/9\r\nContent-Length: 2\r\n\r\n23",
         2, 3, -EAGAIN, "23"},
        {"HTTP/1.1 206 Partial\r\n" ETAG "Content-Range: bytes 2-4/9\r\n\r\n2", 2, 3, -EAGAIN, "2"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n012", 0, 3, -EBADMSG, ""},
    };
    struct canned_reply reply[ARRAY_SIZE(get)] = {{0}};
    for (size_t i = 0; i < ARRAY_SIZE(get); i++)
        reply[i] = (struct canned_reply){get[i].reply, CANNED_CLOSE, 0};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    for (size_t i = 0; i < ARRAY_SIZE(get); i++) {
        struct s3_got got = {.len = 0};
        struct err err = {0};
        const struct store_get g = {.off = get[i].off, .len = get[i].len};
        int r = store_get(st, "k", &g, s3_sink, &got, NULL, &err);
        got.data[got.len] = '\0';
        if (r != get[i].code || (strcmp(got.data, get[i].got) != 0 && r != -EBADMSG))
            fail_msg("case %zu: %d, '%s', %s", i, r, got.data, err.msg);
    }
}

/* The replies to a probe: no verdict is kept; the trial object; then the four questions. */
#define NO_VERDICT                                               \
    {                                                            \
        ERROR("404 Not Found", "", "NoSuchKey"), CANNED_CLOSE, 0 \
    }
#define DONE                     \
    {                            \
        OK(ETAG), CANNED_KEEP, 0 \
    }
#define REFUSED                                       \
    {                                                 \
        NO("412 Precondition Failed"), CANNED_KEEP, 0 \
    }
#define UNKNOWN                                                             \
    {                                                                       \
        ERROR("501 Not Implemented", "", "NotImplemented"), CANNED_CLOSE, 0 \
    }
#define GONE                                              \
    {                                                     \
        "HTTP/1.1 204 No Content\r\n\r\n", CANNED_KEEP, 0 \
    }
#define HEAD_OF(it)                                                                        \
    {                                                                                      \
        "HTTP/1.1 200 OK\r\nETag: \"" it "\"\r\nContent-Length: 4\r\n\r\n", CANNED_KEEP, 0 \
    }
#define HEAD_NONE                           \
    {                                       \
        NO("404 Not Found"), CANNED_KEEP, 0 \
    }

static void s3_get_takes_no_other_version_from_a_server_that_ignores_if_match(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 206 Partial\r\n" ETAG
         "Content-Range: bytes 2-3/9\r\nContent-Length: 2\r\n\r\n23",
         CANNED_KEEP, 0}};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    const struct store_get get = {.off = 2, .len = 2, .if_match = "other"};
    struct s3_got got = {.len = 2};
    assert_int_equal(store_get(st, "k", &get, s3_sink, &got, NULL, NULL), -ESTALE);
    assert_int_equal(got.len, 2); /* nothing was handed on */
}

static void s3_quotes_etags_where_the_server_wants_it(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        NO_VERDICT, DONE,    REFUSED, REFUSED, DONE, /* if-match: wrong, then right, in quotes */
        REFUSED,    GONE,    GONE,    DONE, /* delete: wrong, right; clean up; keep the verdict */
        DONE,       REFUSED,
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_int_equal(s3_put_text(st, "abc", NULL), 0);
    assert_int_equal(store_del(st, "k", "abc", NULL), -ESTALE);
    assert_non_null(strstr(canned_request(server, 0), "GET /lab/p/.bmfs/endpoint "));
    assert_non_null(strstr(canned_request(server, 1), "PUT /lab/p/.bmfs/probe-"));
    assert_non_null(strstr(canned_request(server, 8), "PUT /lab/p/.bmfs/endpoint "));
    assert_non_null(strstr(canned_request(server, 8), "put-if-none-match honoured\n"
                                                      "put-if-match quoted\n"
                                                      "delete-if-match quoted\n"));
    assert_non_null(strstr(canned_request(server, 9), "\r\nif-match: \"abc\"\r\n"));
    assert_non_null(strstr(canned_request(server, 10), "\r\nif-match: \"abc\"\r\n"));
    assert_null(store_note(st));
}

static void s3_looks_itself_where_the_server_ignores_conditions(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        NO_VERDICT,
        DONE,
        DONE,
        DONE,
        DONE,
        GONE,
        GONE,
        DONE, /* everything is simply done */
        HEAD_NONE,
        DONE,
        HEAD_OF("now"), /* create; create again */
        HEAD_OF("now"),
        DONE,
        HEAD_OF("other"), /* overwrite; a stale one */
        HEAD_OF("other"),
        HEAD_OF("now"),
        GONE, /* delete a stale one; delete */
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_null(store_note(st));
    assert_int_equal(s3_put_text(st, STORE_ABSENT, NULL), 0);
    assert_non_null(store_note(st));
    assert_int_equal(s3_put_text(st, STORE_ABSENT, NULL), -EEXIST);
    assert_int_equal(s3_put_text(st, "now", NULL), 0);
    assert_int_equal(s3_put_text(st, "now", NULL), -ESTALE);
    assert_int_equal(store_del(st, "k", "now", NULL), -ESTALE);
    assert_int_equal(store_del(st, "k", "now", NULL), 0);
    assert_null(strstr(canned_request(server, 9), "if-none-match"));
    assert_null(strstr(canned_request(server, 12), "if-match"));
}

static void s3_never_sends_conditions_that_the_server_does_not_know(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        NO_VERDICT, DONE, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, GONE, DONE, HEAD_NONE, DONE,
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    struct err err = {0};
    if (s3_put_text(st, STORE_ABSENT, &err) < 0)
        fail_msg("%s", err.msg);
    assert_null(strstr(canned_request(server, 9), "if-none-match"));
}

#define FORBIDDEN                                                   \
    {                                                               \
        ERROR("403 Forbidden", "", "AccessDenied"), CANNED_CLOSE, 0 \
    }

static void s3_takes_the_most_careful_way_where_it_may_not_ask(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {FORBIDDEN, FORBIDDEN, HEAD_NONE, NO_VERDICT, DONE};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_int_equal(s3_put_text(st, STORE_ABSENT, NULL), 0);
    assert_non_null(store_note(st));
}

static void s3_asks_again_when_a_probe_was_cut_short(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        NO_VERDICT, DONE,       {ERROR("503 Busy", "", "SlowDown"), CANNED_CLOSE, 0},
        GONE,       NO_VERDICT, DONE,
        REFUSED,    REFUSED,    DONE,
        REFUSED,    GONE,       GONE,
        DONE,       DONE,
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    struct err err = {0};
    assert_int_equal(s3_put_text(st, STORE_ABSENT, &err), -EAGAIN);
    assert_non_null(strstr(err.msg, "find out how the endpoint takes conditional writes"));
    assert_int_equal(s3_put_text(st, STORE_ABSENT, NULL), 0);
}

/* The verdict that an earlier mount has left. */
static void s3_believes_a_verdict_that_was_kept(void **state)
{
    (void)state;
    static const struct probe_verdict verdict = {true, PROBE_UNQUOTED, PROBE_IGNORED};
    static char body[2 * 1024 * 1024];
    char kept[512] = "";
    const struct canned_reply reply[] = {
        {kept, CANNED_CLOSE, 0}, FORBIDDEN, FORBIDDEN, DONE, DONE,
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(sizeof(kept));
    assert_int_equal(buf_puts(&text, "HTTP/1.1 200 OK\r\n\r\n"), 0);
    assert_int_equal(probe_write(&verdict, store_id(st), time(NULL), &text), 0);
    (void)stpcpy(kept, buf_text(&text));
    /* who may write but not read cannot look first: the server will */
    const struct store_body large = {.head = body, .head_len = sizeof(body), .fd = -1};
    const struct store_put put = {.if_match = STORE_ABSENT};
    assert_int_equal(store_put(st, "k", &large, &put, NULL, NULL), 0);
    assert_non_null(strstr(canned_request(server, 3), "\r\nif-none-match: *\r\n"));
    assert_int_equal(s3_put_text(st, "abc", NULL), 0);
    assert_non_null(strstr(canned_request(server, 4), "\r\nif-match: abc\r\n"));
}

#define LIST(fields) "HTTP/1.1 200 OK\r\n\r\n<ListBucketResult>" fields "</ListBucketResult>"
#define KEY(key)     "<Contents><Key>" key "</Key><Size>1</Size><ETag>\"e\"</ETag></Contents>"
#define MORE         "<IsTruncated>true</IsTruncated>"

/* Joins the keys of a listing. */
static int s3_list_join(void *arg, const char *key, const struct store_stat *stat)
{
    char *end = (char *)arg + strlen(arg);
    assert_true(end - (char *)arg < 200);
    (void)snprintf(end, 100, "%s%s ", stat ? "" : ">", key);
    return 0;
}

static int s3_list_all(struct store *st, const char *start_after, char *ret, struct err *err)
{
    ret[0] = '\0';
    const struct store_list list = {.prefix = "", .delimiter = '/', .start_after = start_after};
    return store_list(st, &list, s3_list_join, ret, err);
}

static void s3_lists_by_the_older_way_where_there_is_no_other(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {LIST(MORE KEY("a") KEY("b+")), CANNED_CLOSE, 0},
        {LIST(MORE "<NextMarker>c/</NextMarker><CommonPrefixes><Prefix>c/</Prefix>"
                   "</CommonPrefixes>"),
         CANNED_CLOSE, 0},
        {LIST(KEY("d")), CANNED_CLOSE, 0},
        {LIST(KEY("a")), CANNED_CLOSE, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    char got[300];
    assert_int_equal(s3_list_all(st, NULL, got, NULL), 0);
    assert_string_equal(got, "a b+ >c/ d "); /* nobody said that keys are encoded */
    assert_non_null(strstr(canned_request(server, 0), "list-type=2"));
    assert_non_null(strstr(canned_request(server, 1), "marker=b%2B&"));
    assert_null(strstr(canned_request(server, 1), "list-type=2"));
    assert_non_null(strstr(canned_request(server, 2), "marker=c%2F&"));
    assert_int_equal(s3_list_all(st, NULL, got, NULL), 0);
    assert_null(strstr(canned_request(server, 3), "list-type=2")); /* it is remembered */
}

static void s3_lists_nothing_that_it_did_not_ask_for(void **state)
{
    (void)state;
#define TOKEN(t) "<NextContinuationToken>" t "</NextContinuationToken>"
    static const struct {
        const char *reply[2];
        int code;
        const char *got;
    } list[] = {
        {{LIST(KEY("c") KEY("a") KEY("b")), NULL}, 0, "b c "}, /* start_after is a */
        {{LIST(MORE TOKEN("1") KEY("c")), LIST(KEY("c") KEY("d"))}, 0, "c d "},
        {{LIST(MORE TOKEN("1") KEY("c")), LIST(KEY("b"))}, -EBADMSG, "c "},
        {{LIST(MORE TOKEN("1")), LIST(KEY("d"))}, 0, "d "}, /* an empty page is legal */
        {{LIST(MORE TOKEN("1") KEY("c")), LIST(MORE TOKEN("1") KEY("d"))}, -EBADMSG, "c d "},
        {{LIST("<CommonPrefixes><Prefix>x</Prefix></CommonPrefixes>"), NULL}, -EBADMSG, ""},
        {{"HTTP/1.1 200 OK\r\n\r\n<html></html>", NULL}, -EBADMSG, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
        const struct canned_reply reply[] = {{list[i].reply[0], CANNED_CLOSE, 0},
                                             {list[i].reply[1], CANNED_CLOSE, 0}};
        CLEANUP(canned_freep) struct canned *server = canned_new(reply, list[i].reply[1] ? 2 : 1);
        CLEANUP(store_freep) struct store *st = s3_open(server);
        struct err err = {0};
        char got[300];
        int r = s3_list_all(st, "a", got, &err);
        if (r != list[i].code || strcmp(got, list[i].got) != 0)
            fail_msg("case %zu: %d, '%s', %s", i, r, got, err.msg);
        assert_non_null(strstr(canned_request(server, 0), "&start-after=a "));
    }
}

#define WRITE_ID "0123456789abcdef0123456789abcdef"
#define HEAD_BY(write_id)                                                \
    {                                                                    \
        "HTTP/1.1 200 OK\r\n" ETAG "x-amz-meta-bmfs-write-id: " write_id \
        "\r\nContent-Length: 4\r\n\r\n",                                 \
            CANNED_KEEP, 0                                               \
    }

static void s3_takes_no_success_for_one_that_tells_of_an_error(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {ERROR("200 OK", ETAG, "InternalError"), CANNED_CLOSE, 0},
        {ERROR("200 OK", "", "AccessDenied"), CANNED_CLOSE, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    assert_int_equal(s3_put_text(st, NULL, NULL), -EAGAIN);
    assert_int_equal(store_del(st, "k", NULL, NULL), -EACCES);
}

/* What is there may be an older version, or somebody else's. */
static void s3_looks_for_its_write_id_when_a_put_names_no_version(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {OK(""), CANNED_KEEP, 0}, HEAD_BY(WRITE_ID),
        {OK(""), CANNED_KEEP, 0}, HEAD_BY("fedcba9876543210fedcba9876543210"),
        {OK(""), CANNED_KEEP, 0}, HEAD_OF("e"),
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(store_freep) struct store *st = s3_open(server);
    const struct store_body body = {.head = "body", .head_len = 4, .fd = -1};
    const struct store_put put = {.write_id = WRITE_ID};
    struct store_stat stat;
    assert_int_equal(store_put(st, "k", &body, &put, &stat, NULL), 0);
    assert_string_equal(stat.etag, "e");
    assert_int_equal(store_put(st, "k", &body, &put, &stat, NULL), -EAGAIN);
    assert_int_equal(store_put(st, "k", &body, &put, &stat, NULL), -EAGAIN);
}

static void s3_refuses_keys_that_cannot_be(void **state)
{
    (void)state;
    char key[STORE_KEY_MAX + 2];
    CLEANUP(store_freep) struct store *st = s3_open_at("http://127.0.0.1:1", "lab");
    memset(key, 'k', sizeof(key));
    key[STORE_KEY_MAX + 1] = '\0';
    assert_int_equal(store_head(st, key, NULL, NULL), -ENAMETOOLONG);
    assert_int_equal(store_head(st, key + 1, NULL, NULL), -EAGAIN); /* nobody listens there */
    assert_int_equal(store_del(st, "", NULL, NULL), -EINVAL);
    const struct store_body body = {.fd = -1, .len = (UINT64_C(5) << 30) + 1};
    assert_int_equal(store_put(st, "k", &body, &(struct store_put){0}, NULL, NULL), -EFBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s3_id_names_the_bucket_on_its_endpoint),
        cmocka_unit_test(s3_changes_the_region_once_and_remembers_it),
        cmocka_unit_test(s3_renews_expired_credentials_once),
        cmocka_unit_test(s3_says_by_how_much_the_clock_is_wrong),
        cmocka_unit_test(s3_passes_on_how_long_the_server_wants_to_rest),
        cmocka_unit_test(s3_asks_why_a_head_failed),
        cmocka_unit_test(s3_takes_a_404_that_is_not_from_s3_for_nonsense),
        cmocka_unit_test(s3_get_takes_the_bytes_that_it_asked_for_only),
        cmocka_unit_test(s3_get_takes_no_other_version_from_a_server_that_ignores_if_match),
        cmocka_unit_test(s3_quotes_etags_where_the_server_wants_it),
        cmocka_unit_test(s3_looks_itself_where_the_server_ignores_conditions),
        cmocka_unit_test(s3_never_sends_conditions_that_the_server_does_not_know),
        cmocka_unit_test(s3_takes_the_most_careful_way_where_it_may_not_ask),
        cmocka_unit_test(s3_asks_again_when_a_probe_was_cut_short),
        cmocka_unit_test(s3_believes_a_verdict_that_was_kept),
        cmocka_unit_test(s3_lists_by_the_older_way_where_there_is_no_other),
        cmocka_unit_test(s3_lists_nothing_that_it_did_not_ask_for),
        cmocka_unit_test(s3_takes_no_success_for_one_that_tells_of_an_error),
        cmocka_unit_test(s3_looks_for_its_write_id_when_a_put_names_no_version),
        cmocka_unit_test(s3_refuses_keys_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
