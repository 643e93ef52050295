/* Memory runs out at every place of every request, once: each call says so, or does its work. */

#include "tests/unit/unit.h"

#include "tests/unit/s3/canned.h"

#include "s3/s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_CALLS_MAX = 5000 };

/* The allocation of this thread that fails, counted down; 0: none. */
static _Thread_local int memory_nth;

static bool memory_fails(void)
{
    return memory_nth > 0 && --memory_nth == 0;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return memory_fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return memory_fails() ? NULL : __real_calloc(n, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return memory_fails() ? NULL : __real_realloc(old, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return memory_fails() ? NULL : __real_strdup(text);
}

static int memory_fetch(struct creds_provider *provider, struct creds **ret, struct err *err)
{
    (void)provider;
    (void)err;
    return creds_new("key", "secret", "token", 0, ret);
}

static void memory_free(struct creds_provider *provider)
{
    (void)provider;
}

static int memory_open(const char *url, struct store **ret)
{
    static const struct creds_provider_ops ops = {"test", memory_fetch, memory_free};
    static struct creds_provider keys = {.ops = &ops};
    struct creds_provider *provider = &keys;
    struct creds_source *creds = NULL;
    const struct s3_conf conf = {.client = {.bucket = "lab",
                                            .endpoint_url = url,
                                            .region = "us-east-1",
                                            .http = {.connections_max = 2, .call_time_ms = 5000}},
                                 .prefix = "p/"};
    int r = creds_source_new(&provider, &creds);
    if (r == 0)
        r = s3_new(&conf, &creds, ret, NULL);
    creds_source_free(creds);
    return r;
}

static int memory_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                       size_t len)
{
    static const char bytes[] = "bytes";
    size_t *got = arg;
    (void)stat;
    assert_int_equal(off, *got);
    assert_true(*got + len < sizeof(bytes));
    assert_memory_equal(data, bytes + *got, len);
    *got += len;
    return 0;
}

static int memory_get(struct store *st, struct err *err)
{
    size_t got = 0;
    const struct store_get get = {.len = 5};
    int r = store_get(st, "a key/with %", &get, memory_sink, &got, NULL, err);
    assert_true(r < 0 || got == 5);
    return r;
}

static int memory_see(void *arg, const char *key, const struct store_stat *stat)
{
    int *seen = arg;
    assert_non_null(stat);
    assert_string_equal(key, *seen == 0 ? "p/a" : "p/b");
    ++*seen;
    return 0;
}

static int memory_list(struct store *st, struct err *err)
{
    int seen = 0;
    struct store_list list = {.prefix = "p/", .delimiter = '/'};
    int r = store_list(st, &list, memory_see, &seen, err);
    assert_true(r < 0 || seen == 2);
    return r;
}

static int memory_head(struct store *st, struct err *err)
{
    struct store_stat stat;
    int r = store_head(st, "k", &stat, err);
    assert_true(r < 0 || stat.size == 5);
    return r;
}

static int memory_del(struct store *st, struct err *err)
{
    return store_del(st, "k", NULL, err);
}

static int memory_put(struct store *st, struct err *err)
{
    const struct store_body body = {.head = "body", .head_len = 4, .fd = -1};
    const struct store_put put = {.write_id = "0123456789abcdef0123456789abcdef",
                                  .has_crc32c = true};
    return store_put(st, "k", &body, &put, NULL, err);
}

#define MEMORY_ENTRY(key)                                              \
    "<Contents><Key>p%2F" key "</Key><Size>1</Size><ETag>\"e\"</ETag>" \
    "<LastModified>2020-01-01T00:00:00.000Z</LastModified></Contents>"

static const struct {
    const char *name;
    int (*call)(struct store *st, struct err *err);
    struct canned_reply reply;
} memory_row[] = {
    {"get",
     memory_get,
     {"HTTP/1.1 206 Partial\r\nETag: \"e\"\r\nContent-Range: bytes 0-4/5\r\nContent-Length: 5\r\n"
      "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\nx-amz-meta-a: b\r\n\r\nbytes",
      CANNED_CLOSE, 0}},
    {"head",
     memory_head,
     {"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 5\r\n"
      "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT\r\n\r\n",
      CANNED_CLOSE, 0}},
    {"list",
     memory_list,
     {"HTTP/1.1 200 OK\r\n\r\n<ListBucketResult><Name>lab</Name><EncodingType>url</EncodingType>"
      "<IsTruncated>false</IsTruncated>" MEMORY_ENTRY("a") MEMORY_ENTRY("b") "</ListBucketResult>",
      CANNED_CLOSE, 0}},
    {"put",
     memory_put,
     {"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n", CANNED_CLOSE, 0}},
    {"delete", memory_del, {"HTTP/1.1 204 Gone\r\n\r\n", CANNED_CLOSE, 0}},
};

static void every_request_says_when_there_is_no_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(memory_row); i++) {
        bool failed = true;
        int nth = 0;
        while (failed) {
            CLEANUP(canned_freep) struct canned *server = canned_new(&memory_row[i].reply, 1);
            CLEANUP(store_freep) struct store *st = NULL;
            struct err err = {0};
            memory_nth = ++nth;
            int r = memory_open(canned_url(server), &st);
            if (r == 0)
                r = memory_row[i].call(st, &err);
            failed = memory_nth == 0;
            memory_nth = 0;
            if (!failed && r != 0)
                fail_msg("%s: %d, %s", memory_row[i].name, r, err.msg);
            assert_true(r <= 0 && nth < MEMORY_CALLS_MAX);
        }
        assert_true(nth > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_says_when_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
