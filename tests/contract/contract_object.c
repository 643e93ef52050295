#include "tests/contract/contract.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include "base/crc32c.h"
#include "s3/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

static const char CONTRACT_ID[] = "00112233445566778899aabbccddeeff";

static void contract_object_get(struct contract *c, const char *key, const char *want)
{
    struct store_get get = {0};
    struct store_stat stat;
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &stat, &c->err), 0);
    assert_string_equal(buf_text(&c->b), want);
    assert_int_equal(stat.size, strlen(want));
}

static void contract_put_gives_the_bytes_back(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat put;
    struct store_stat head;
    contract_expect(c, texts_put_if(c->st, key, "hello", NULL, &put, &c->err), 0);
    contract_object_get(c, key, "hello");
    contract_expect(c, store_head(c->st, key, &head, &c->err), 0);
    assert_int_equal(head.size, 5);
    assert_string_equal(head.etag, put.etag);
    assert_true(head.etag[0] != '\0');
    int64_t age_s = (int64_t)time(NULL) - head.mtime_ns / 1000000000;
    assert_true(age_s > -900 && age_s < 900);
}

static void contract_put_replaces_the_whole_object(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat first;
    struct store_stat second;
    contract_expect(c, texts_put_if(c->st, key, "a longer text", NULL, &first, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "short", NULL, &second, &c->err), 0);
    assert_string_not_equal(first.etag, second.etag);
    contract_object_get(c, key, "short");
}

static void contract_put_takes_no_result(struct contract *c)
{
    const char *key = contract_key(c, "k");
    contract_expect(c, texts_put(c->st, key, "text"), 0);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    assert_string_equal(buf_text(&c->b), "text");
}

static void contract_empty_object_is_an_object(struct contract *c)
{
    const char *key = contract_key(c, "empty");
    struct store_stat stat;
    contract_expect(c, texts_put_if(c->st, key, "", NULL, &stat, &c->err), 0);
    assert_int_equal(stat.size, 0);
    contract_object_get(c, key, "");
    struct store_get get = {.len = 10};
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &stat, &c->err), 0);
    assert_int_equal(c->b.len, 0);
    get.off = 1;
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, NULL, &c->err), -ERANGE);
    contract_expect(c, store_head(c->st, key, &stat, &c->err), 0);
    assert_int_equal(stat.size, 0);
}

static void contract_get_delivers_the_range_that_is_there(struct contract *c)
{
    static const struct {
        uint64_t off, len;
        int code;
        const char *want;
    } range[] = {
        {0, 0, 0, "0123456789"},
        {0, 10, 0, "0123456789"},
        {0, 11, 0, "0123456789"},
        {0, 1, 0, "0"},
        {3, 4, 0, "3456"},
        {9, 1, 0, "9"},
        {9, 100, 0, "9"},
        {5, 0, 0, "56789"},
        {10, 0, -ERANGE, ""},
        {10, 1, -ERANGE, ""},
        {11, 1, -ERANGE, ""},
        {UINT32_MAX, 0, -ERANGE, ""},
        {3, UINT64_MAX - 3, 0, "3456789"},
    };
    const char *key = contract_key(c, "k");
    contract_expect(c, texts_put(c->st, key, "0123456789"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(range); i++) {
        struct store_get get = {.off = range[i].off, .len = range[i].len};
        struct store_stat stat = {.size = 10};
        contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &stat, &c->err), range[i].code);
        assert_string_equal(buf_text(&c->b), range[i].want);
        assert_int_equal(stat.size, 10);
    }
}

static void contract_missing_key_is_enoent(struct contract *c)
{
    const char *key = contract_key(c, "none");
    struct store_stat stat;
    struct store_get get = {0};
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, NULL, &c->err), -ENOENT);
    assert_non_null(strstr(c->err.msg, key));
    contract_expect(c, store_head(c->st, key, &stat, &c->err), -ENOENT);
    assert_non_null(strstr(c->err.msg, key));
    contract_expect(c, store_head(c->st, contract_key(c, "none/below"), &stat, &c->err), -ENOENT);
    contract_expect(c, store_del(c->st, key, NULL, &c->err), 0);
    contract_expect(c, store_head(c->st, key, &stat, NULL), -ENOENT);
}

static void contract_del_removes_the_object(struct contract *c)
{
    const char *key = contract_key(c, "a/b/k");
    struct store_stat stat;
    struct store_list list = {.prefix = c->prefix};
    contract_expect(c, texts_put(c->st, key, "text"), 0);
    contract_expect(c, store_del(c->st, key, NULL, &c->err), 0);
    contract_expect(c, store_head(c->st, key, &stat, &c->err), -ENOENT);
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    assert_string_equal(buf_text(&c->b), "");
    contract_expect(c, texts_put(c->st, contract_key(c, "a"), "text"), 0);
}

static void contract_get_can_ask_whether_it_changed(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat;
    struct store_stat got = {.size = 77};
    contract_expect(c, texts_put_if(c->st, key, "text", NULL, &stat, &c->err), 0);
    struct store_get get = {.if_none_match = stat.etag};
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &got, &c->err), STORE_SAME);
    assert_int_equal(c->b.len, 0);
    assert_int_equal(got.size, 77);
    contract_expect(c, texts_put(c->st, key, "other"), 0);
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &got, &c->err), 0);
    assert_string_equal(buf_text(&c->b), "other");
    assert_string_not_equal(got.etag, stat.etag);
}

static void contract_get_can_insist_on_a_version(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat;
    contract_expect(c, texts_put_if(c->st, key, "text", NULL, &stat, &c->err), 0);
    struct store_get get = {.off = 1, .if_match = stat.etag};
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, NULL, &c->err), 0);
    assert_string_equal(buf_text(&c->b), "ext");
    contract_expect(c, texts_put(c->st, key, "other"), 0);
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, NULL, &c->err), -ESTALE);
    assert_int_equal(c->b.len, 0);
}

static void contract_metadata_survives(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat[3];
    struct store_body body = {.head = "text", .head_len = 4, .fd = -1};
    struct store_put put = {.write_id = CONTRACT_ID, .has_crc32c = true};
    struct store_get get = {0};
    put.crc32c = crc32c(0, "text", 4); /* a server may check it */
    if (!c->keeps_metadata)
        skip();
    contract_expect(c, store_put(c->st, key, &body, &put, &stat[0], &c->err), 0);
    contract_expect(c, store_head(c->st, key, &stat[1], &c->err), 0);
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, &stat[2], &c->err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(stat); i++) {
        assert_true(stat[i].has_crc32c);
        assert_int_equal(stat[i].crc32c, put.crc32c);
        assert_string_equal(stat[i].write_id, CONTRACT_ID);
    }
    contract_expect(c, texts_put(c->st, key, "plain"), 0);
    contract_expect(c, store_head(c->st, key, &stat[1], &c->err), 0);
    assert_string_not_equal(stat[1].write_id, CONTRACT_ID);
}

static void contract_body_comes_from_memory_and_file(struct contract *c)
{
    CLEANUP(scratch_fini) struct scratch s = {0};
    CLEANUP(buf_fini) struct buf big = TEXTS_BUF;
    scratch_init(&s);
    while (big.len < 3 << 20)
        assert_int_equal(buf_printf(&big, "%zu;", big.len), 0);
    scratch_write(&s, "big", big.data);
    CLEANUP(closep) int fd = open(scratch_at(&s, "big"), O_RDONLY | O_CLOEXEC);
    struct store_body body = {.head = "head", .head_len = 4, .fd = fd, .off = 7};
    body.len = big.len - 20;
    struct store_put put = {0};
    struct store_stat stat;
    const char *key = contract_key(c, "big");
    contract_expect(c, store_put(c->st, key, &body, &put, &stat, &c->err), 0);
    assert_int_equal(stat.size, body.head_len + body.len);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    assert_int_equal(c->b.len, stat.size);
    assert_memory_equal(c->b.data, "head", 4);
    assert_memory_equal(c->b.data + 4, big.data + 7, body.len);
    struct store_get get = {.off = 2000000, .len = 1000};
    contract_expect(c, texts_get_range(c->st, key, &get, &c->b, NULL, &c->err), 0);
    assert_int_equal(c->b.len, 1000);
    assert_memory_equal(c->b.data, big.data + 7 - 4 + 2000000, 1000);
}

static int contract_object_sink_ends(void *arg, const struct store_stat *stat, uint64_t off,
                                     const void *data, size_t len)
{
    int *calls = arg;
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    ++*calls;
    return -EDOM;
}

static void contract_sink_ends_the_get(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_get get = {0};
    int calls = 0;
    contract_expect(c, texts_put(c->st, key, "text"), 0);
    contract_expect(
        c, store_get(c->st, key, &get, contract_object_sink_ends, &calls, NULL, &c->err), -EDOM);
    assert_int_equal(calls, 1);
}

static void contract_put_if_absent(struct contract *c)
{
    const char *key = contract_key(c, "a/k");
    contract_expect(c, texts_put_if(c->st, key, "one", STORE_ABSENT, NULL, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "two", STORE_ABSENT, NULL, &c->err), -EEXIST);
    contract_object_get(c, key, "one");
    contract_expect(c, store_del(c->st, key, NULL, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "three", STORE_ABSENT, NULL, &c->err), 0);
    contract_object_get(c, key, "three");
}

static void contract_put_if_match(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat first;
    struct store_stat second;
    contract_expect(c, texts_put_if(c->st, key, "one", NULL, &first, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "two", first.etag, &second, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "three", first.etag, NULL, &c->err), -ESTALE);
    contract_object_get(c, key, "two");
    contract_expect(c, store_del(c->st, key, NULL, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "four", second.etag, NULL, &c->err), -ESTALE);
    contract_expect(c, texts_get(c->st, key, &c->b), -ENOENT);
}

static void contract_del_if_match(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat first;
    struct store_stat second;
    contract_expect(c, texts_put_if(c->st, key, "one", NULL, &first, &c->err), 0);
    contract_expect(c, texts_put_if(c->st, key, "two", NULL, &second, &c->err), 0);
    int r = store_del(c->st, key, first.etag, &c->err);
    if (!c->sweep || r != -EIO) /* after a lost reply: "one" may have gone with it, before "two" */
        contract_expect(c, r, -ESTALE);
    contract_object_get(c, key, "two");
    contract_expect(c, store_del(c->st, key, second.etag, &c->err), 0);
    contract_expect(c, texts_get(c->st, key, &c->b), -ENOENT);
}

/* Not swept: after a lost reply nobody can tell who deleted it. */
static void contract_del_if_match_wants_an_object(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat;
    contract_expect(c, texts_put_if(c->st, key, "one", NULL, &stat, &c->err), 0);
    contract_expect(c, store_del(c->st, key, stat.etag, &c->err), 0);
    contract_expect(c, store_del(c->st, key, stat.etag, &c->err), -ESTALE);
}

static void contract_local_file_is_the_object(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat put;
    struct store_stat stat;
    char text[8] = "";
    contract_expect(c, texts_put_if(c->st, key, "text", NULL, &put, &c->err), 0);
    CLEANUP(closep) int fd = store_open_local(c->st, key, &stat, &c->err);
    if (fd == -EOPNOTSUPP)
        return;
    assert_true(fd >= 0);
    assert_string_equal(stat.etag, put.etag);
    contract_expect(c, texts_put(c->st, key, "next"), 0);
    assert_int_equal(pread_full(fd, text, 4, 0), 0);
    assert_string_equal(text, "text");
}

static void contract_counters_count(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_counters before;
    struct store_counters after;
    struct store_list list = {.prefix = c->prefix};
    store_count(c->st, &before);
    contract_expect(c, texts_put(c->st, key, "text"), 0);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    contract_expect(c, store_del(c->st, key, NULL, &c->err), 0);
    store_count(c->st, &after);
    assert_true(after.puts > before.puts);
    assert_true(after.gets > before.gets);
    assert_true(after.lists > before.lists);
    assert_true(after.dels > before.dels);
    assert_true(after.bytes_in >= before.bytes_in + 4);
    assert_true(after.bytes_out >= before.bytes_out + 4);
}

/* A call on another thread. */
struct contract_waiter {
    struct store *st;
    const char *key;
    int r;
};

static void *contract_object_wait(void *arg)
{
    struct contract_waiter *w = arg;
    struct store_stat stat;
    w->r = store_head(w->st, w->key, &stat, NULL);
    return NULL;
}

static void contract_shutdown_ends_all_calls(struct contract *c)
{
    char prefix[32];
    struct store *below = NULL;
    struct store *fault = NULL;
    const char *key = contract_key(c, "k");
    contract_expect(c, contract_open(c->location, &below, prefix, sizeof(prefix), &c->err), 0);
    assert_int_equal(fault_new(&below, &fault), 0);
    CLEANUP(store_freep) struct store *st = fault;
    assert_int_equal(fault_parse(fault, "head:1:delay=600000", NULL), 0);
    struct contract_waiter w = {.st = st, .key = key};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, contract_object_wait, &w), 0);
    while (fault_hits(fault) == 0)
        (void)sched_yield();
    store_shutdown(st);
    store_shutdown(st);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.r, -ECANCELED);
    struct store_list list = {.prefix = c->prefix};
    assert_int_equal(texts_put(st, key, "text"), -ECANCELED);
    assert_int_equal(texts_get(st, key, &c->b), -ECANCELED);
    assert_int_equal(store_del(st, key, NULL, NULL), -ECANCELED);
    assert_int_equal(texts_list(st, &list, &c->b, NULL), -ECANCELED);
    assert_int_equal(texts_get(c->st, key, &c->b), -ENOENT); /* the other store lives */
}

const struct contract_case contract_object_cases[] = {
    {.name = "put_gives_the_bytes_back", .run = contract_put_gives_the_bytes_back},
    {.name = "put_replaces_the_whole_object", .run = contract_put_replaces_the_whole_object},
    {.name = "put_takes_no_result", .run = contract_put_takes_no_result},
    {.name = "empty_object_is_an_object", .run = contract_empty_object_is_an_object},
    {.name = "get_delivers_the_range_that_is_there",
     .run = contract_get_delivers_the_range_that_is_there},
    {.name = "missing_key_is_enoent", .run = contract_missing_key_is_enoent},
    {.name = "del_removes_the_object", .run = contract_del_removes_the_object},
    {.name = "get_can_ask_whether_it_changed", .run = contract_get_can_ask_whether_it_changed},
    {.name = "get_can_insist_on_a_version", .run = contract_get_can_insist_on_a_version},
    {.name = "metadata_survives", .run = contract_metadata_survives},
    {.name = "body_comes_from_memory_and_file", .run = contract_body_comes_from_memory_and_file},
    {.name = "sink_ends_the_get", .run = contract_sink_ends_the_get},
    {.name = "put_if_absent", .run = contract_put_if_absent},
    {.name = "put_if_match", .run = contract_put_if_match},
    {.name = "del_if_match", .run = contract_del_if_match},
    {.name = "del_if_match_wants_an_object",
     .run = contract_del_if_match_wants_an_object,
     .once = true},
    {.name = "local_file_is_the_object", .run = contract_local_file_is_the_object},
    {.name = "counters_count", .run = contract_counters_count, .once = true},
    {.name = "shutdown_ends_all_calls", .run = contract_shutdown_ends_all_calls, .once = true},
    {.name = NULL},
};
