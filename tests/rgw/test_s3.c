/* The S3 store against a real server: tests/rgw/with starts one and says in the environment where.
 * The store stands alone here, without the layer that repeats calls. */

#include "tests/unit/unit.h"

#include "base/lock.h"
#include "s3/aws_conf.h"
#include "s3/location.h"
#include "s3/s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How a test wants its store; zeroed, as everybody would have it. */
struct rgw_conf {
    const char *bucket, *prefix, *endpoint_url, *ca_bundle;
    const char *access_key, *secret_key;
    enum uri_style style;
    int connections_max;
    int64_t call_time_ms, clock_ahead_s;
    bool read_only;
};

/* A provider of given keys. */
struct rgw_provider {
    struct creds_provider base;
    const char *access_key, *secret_key;
};

static int rgw_provider_fetch(struct creds_provider *provider, struct creds **ret, struct err *err)
{
    (void)err;
    const struct rgw_provider *p = (const struct rgw_provider *)provider;
    return creds_new(p->access_key, p->secret_key, NULL, 0, ret);
}

static void rgw_provider_free(struct creds_provider *provider)
{
    free(provider);
}

static const struct creds_provider_ops rgw_provider_ops = {
    .name = "test",
    .fetch = rgw_provider_fetch,
    .free = rgw_provider_free,
};

static const char *rgw_env(const char *name)
{
    const char *value = aws_conf_getenv(environ, name);
    assert_non_null(value);
    return value;
}

static struct creds_source *rgw_creds(const struct rgw_conf *conf)
{
    struct rgw_provider *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->base.ops = &rgw_provider_ops;
    p->access_key = conf->access_key ? conf->access_key : rgw_env("AWS_ACCESS_KEY_ID");
    p->secret_key = conf->secret_key ? conf->secret_key : rgw_env("AWS_SECRET_ACCESS_KEY");
    struct creds_provider *provider = &p->base;
    struct creds_source *creds = NULL;
    assert_int_equal(creds_source_new(&provider, &creds), 0);
    return creds;
}

static struct store *rgw_open(const struct rgw_conf *conf)
{
    struct creds_source *creds = rgw_creds(conf);
    const struct s3_conf s3 = {
        .client =
            {
                .bucket = conf->bucket ? conf->bucket : rgw_env("BMFS_TEST_BUCKET"),
                .endpoint_url =
                    conf->endpoint_url ? conf->endpoint_url : rgw_env("AWS_ENDPOINT_URL"),
                .region = "us-east-1",
                .style = conf->style,
                .http =
                    {
                        .ca_bundle = conf->ca_bundle,
                        .connections_max = conf->connections_max ? conf->connections_max : 16,
                        .call_time_ms = conf->call_time_ms ? conf->call_time_ms : 30000,
                    },
                .clock_ahead_s = conf->clock_ahead_s,
            },
        .prefix = conf->prefix ? conf->prefix : "",
        .read_only = conf->read_only,
    };
    struct store *st = NULL;
    struct err err = {0};
    int r = s3_new(&s3, &creds, &st, &err);
    if (r < 0)
        fail_msg("%s", err.msg);
    return st;
}

static struct store *rgw_open_default(void)
{
    return rgw_open(&(struct rgw_conf){0});
}

/* What a get delivered. */
struct rgw_got {
    char *data;
    uint64_t first, end; /* of the bytes delivered */
    size_t calls;
    struct store_stat stat; /* at the first byte */
};

static int rgw_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                    size_t len)
{
    struct rgw_got *got = arg;
    if (got->calls++ == 0) {
        got->first = got->end = off;
        got->stat = *stat;
    }
    assert_int_equal(off, got->end);
    got->data = realloc(got->data, (size_t)(off - got->first) + len + 1);
    assert_non_null(got->data);
    memcpy(got->data + (off - got->first), data, len);
    got->end += len;
    return 0;
}

static void rgw_got_fini(struct rgw_got *got)
{
    free(got->data);
    *got = (struct rgw_got){0};
}

static void rgw_put_text(struct store *st, const char *key, const char *text,
                         struct store_stat *ret_stat)
{
    struct err err = {0};
    const struct store_body body = {.head = text, .head_len = strlen(text), .fd = -1};
    if (store_put(st, key, &body, &(struct store_put){0}, ret_stat, &err) < 0)
        fail_msg("%s", err.msg);
}

static int rgw_put_if(struct store *st, const char *key, const char *text, const char *if_match,
                      struct store_stat *ret_stat)
{
    const struct store_body body = {.head = text, .head_len = strlen(text), .fd = -1};
    return store_put(st, key, &body, &(struct store_put){.if_match = if_match}, ret_stat, NULL);
}

/* Gets and expects exactly these bytes. */
static void rgw_expect(struct store *st, const char *key, const struct store_get *get,
                       const char *want, size_t len)
{
    struct rgw_got got = {0};
    struct err err = {0};
    if (store_get(st, key, get, rgw_sink, &got, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(got.end - got.first, len);
    if (len > 0) {
        assert_int_equal(got.first, get->off);
        assert_memory_equal(got.data, want, len);
    }
    rgw_got_fini(&got);
}

/* A file of pseudo-random bytes that is gone with its descriptor. */
static int rgw_file(size_t len, char **ret_data)
{
    int fd = memfd_create("body", MFD_CLOEXEC);
    assert_true(fd >= 0);
    uint32_t x = 1;
    *ret_data = malloc(len);
    assert_non_null(*ret_data);
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        (*ret_data)[i] = (char)(x >> 24);
    }
    assert_int_equal(pwrite_full(fd, *ret_data, len, 0), 0);
    return fd;
}

static void s3_gets_the_ranges_of_what_was_put(void **state)
{
    (void)state;
    static const char head[] = "a head in memory, then a file:";
    enum { FILE_LEN = 3 * 1024 * 1024 + 17, SKIP = 1000, HEAD = sizeof(head) - 1 };
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    CLEANUP(freep) char *data = NULL;
    CLEANUP(closep) int fd = rgw_file(FILE_LEN, &data);
    const size_t len = HEAD + FILE_LEN - SKIP;
    CLEANUP(freep) char *want = malloc(len);
    assert_non_null(want);
    memcpy(want, head, HEAD);
    memcpy(want + HEAD, data + SKIP, FILE_LEN - SKIP);

    const struct store_body body = {head, HEAD, fd, SKIP, FILE_LEN - SKIP};
    const struct store_put put = {
        .write_id = "0123456789abcdef0123456789abcdef", .has_crc32c = true, .crc32c = 0xabc};
    struct store_stat stat;
    assert_int_equal(store_put(st, "ranges", &body, &put, &stat, NULL), 0);
    assert_int_equal(stat.size, len);

    static const struct store_get get[] = {
        {0, 0, NULL, NULL},          {0, 1, NULL, NULL},
        {1, 1, NULL, NULL},          {100000, 2000000, NULL, NULL},
        {3000000, 0, NULL, NULL},    {0, UINT64_MAX, NULL, NULL},
        {7, UINT64_MAX, NULL, NULL}, {3140000, 1000000000, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(get); i++) {
        uint64_t room = len - get[i].off;
        size_t n = (size_t)(get[i].len ? MIN(get[i].len, room) : room);
        rgw_expect(st, "ranges", &get[i], want + get[i].off, n);
    }

    struct rgw_got got = {0};
    struct store_stat same;
    const struct store_get byte = {.off = 5, .len = 3, .if_match = stat.etag};
    assert_int_equal(store_get(st, "ranges", &byte, rgw_sink, &got, &same, NULL), 0);
    assert_int_equal(got.stat.size, len); /* known before the first byte */
    assert_string_equal(got.stat.etag, stat.etag);
    assert_string_equal(got.stat.write_id, put.write_id);
    assert_true(got.stat.has_crc32c);
    assert_int_equal(got.stat.crc32c, 0xabc);
    assert_memory_equal(&got.stat, &same, sizeof(same));
    rgw_got_fini(&got);

    assert_int_equal(store_head(st, "ranges", &same, NULL), 0);
    assert_string_equal(same.etag, stat.etag);
    assert_int_equal(same.size, len);
    assert_string_equal(same.write_id, put.write_id);
    assert_true(same.mtime_ns / 1000000000 - stat.mtime_ns / 1000000000 <= 1);
    assert_int_equal(
        store_get(st, "ranges", &(struct store_get){.off = len}, rgw_sink, &got, NULL, NULL),
        -ERANGE);
    assert_int_equal(got.calls, 0);
}

static void s3_get_of_an_empty_object_succeeds_without_a_byte(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    struct store_stat put;
    struct store_stat got;
    rgw_put_text(st, "empty", "", &put);
    for (uint64_t len = 0; len < 2; len++) {
        const struct store_get get = {.len = len, .if_match = put.etag};
        assert_int_equal(store_get(st, "empty", &get, rgw_sink, NULL, &got, NULL), 0);
        assert_int_equal(got.size, 0);
        assert_string_equal(got.etag, put.etag);
    }
    assert_int_equal(
        store_get(st, "empty", &(struct store_get){.off = 1}, rgw_sink, NULL, NULL, NULL), -ERANGE);
}

static void s3_get_honours_its_conditions(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    struct store_stat old;
    struct store_stat now;
    rgw_put_text(st, "condition", "one", &old);
    rgw_put_text(st, "condition", "two", &now);
    assert_string_not_equal(old.etag, now.etag);
    static const struct store_get plain;
    struct store_get get = plain;
    get.if_none_match = now.etag;
    assert_int_equal(store_get(st, "condition", &get, rgw_sink, NULL, NULL, NULL), STORE_SAME);
    get.if_none_match = old.etag;
    rgw_expect(st, "condition", &get, "two", 3);
    get = plain;
    get.if_match = now.etag;
    rgw_expect(st, "condition", &get, "two", 3);
    get.if_match = old.etag;
    assert_int_equal(store_get(st, "condition", &get, rgw_sink, NULL, NULL, NULL), -ESTALE);
    assert_int_equal(store_get(st, "nowhere", &plain, rgw_sink, NULL, NULL, NULL), -ENOENT);
    assert_int_equal(store_head(st, "nowhere", NULL, NULL), -ENOENT);
    get.if_match = "bad\r\nX-Header: 1";
    assert_int_equal(store_get(st, "condition", &get, rgw_sink, NULL, NULL, NULL), -EINVAL);
}

static void s3_put_honours_its_conditions(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    struct store_stat one;
    struct store_stat two;
    assert_int_equal(rgw_put_if(st, "fresh", "one", "0123456789abcdef0123456789abcdef", NULL),
                     -ESTALE);
    assert_int_equal(rgw_put_if(st, "fresh", "one", STORE_ABSENT, &one), 0);
    assert_int_equal(rgw_put_if(st, "fresh", "other", STORE_ABSENT, NULL), -EEXIST);
    assert_int_equal(rgw_put_if(st, "fresh", "two", one.etag, &two), 0);
    assert_int_equal(rgw_put_if(st, "fresh", "three", one.etag, NULL), -ESTALE);
    rgw_expect(st, "fresh", &(struct store_get){0}, "two", 3);
    assert_null(store_note(st));
}

static void s3_del_honours_its_condition(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    struct store_stat one;
    struct store_stat two;
    rgw_put_text(st, "gone", "one", &one);
    rgw_put_text(st, "gone", "two", &two);
    assert_int_equal(store_del(st, "gone", one.etag, NULL), -ESTALE);
    assert_int_equal(store_del(st, "gone", two.etag, NULL), 0);
    assert_int_equal(store_del(st, "gone", two.etag, NULL), -ESTALE);
    assert_int_equal(store_del(st, "gone", NULL, NULL), 0);
    assert_int_equal(store_head(st, "gone", NULL, NULL), -ENOENT);
}

/* Eight threads that write one key at the same moment. Each writes bytes that nobody wrote before,
 * for equal bytes have equal ETags, and a condition on them would hold again. */
struct rgw_race {
    struct store *st;
    int number;
    const char *if_match;
    char key[32];
    pthread_barrier_t start;
};

struct rgw_racer {
    struct rgw_race *race;
    pthread_t thread;
    int number;
    int code;
};

static void *rgw_racer_run(void *arg)
{
    struct rgw_racer *racer = arg;
    char text[32];
    (void)snprintf(text, sizeof(text), "race %d racer %d", racer->race->number, racer->number);
    (void)pthread_barrier_wait(&racer->race->start);
    racer->code = rgw_put_if(racer->race->st, racer->race->key, text, racer->race->if_match, NULL);
    return NULL;
}

/* Returns how many won; `lost`, or -EAGAIN where the server has an internal error, is what the
 * others got. */
static int rgw_race(struct store *st, const char *key, const char *if_match, int lost)
{
    static int races;
    struct rgw_race race = {.st = st, .if_match = if_match, .number = races++};
    struct rgw_racer racer[8];
    int winner = -1;
    int winners = 0;
    (void)snprintf(race.key, sizeof(race.key), "%s", key);
    assert_int_equal(pthread_barrier_init(&race.start, NULL, ARRAY_SIZE(racer)), 0);
    for (size_t i = 0; i < ARRAY_SIZE(racer); i++) {
        racer[i] = (struct rgw_racer){.race = &race, .number = (int)i};
        assert_int_equal(pthread_create(&racer[i].thread, NULL, rgw_racer_run, &racer[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(racer); i++) {
        assert_int_equal(pthread_join(racer[i].thread, NULL), 0);
        if (racer[i].code == 0) {
            winners++;
            winner = (int)i;
        } else {
            assert_true(racer[i].code == lost || racer[i].code == -EAGAIN);
        }
    }
    (void)pthread_barrier_destroy(&race.start);
    char want[32];
    (void)snprintf(want, sizeof(want), "race %d racer %d", race.number, winner);
    rgw_expect(st, key, &(struct store_get){0}, want, strlen(want));
    return winners;
}

static void s3_one_of_many_writers_wins(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    for (int i = 0; i < 10; i++) {
        char key[32];
        struct store_stat stat;
        (void)snprintf(key, sizeof(key), "race-%d", i);
        assert_int_equal(rgw_race(st, key, STORE_ABSENT, -EEXIST), 1);
        assert_int_equal(store_head(st, key, &stat, NULL), 0);
        assert_int_equal(rgw_race(st, key, stat.etag, -ESTALE), 1);
    }
}

static void s3_a_large_exclusive_put_looks_before_it_sends(void **state)
{
    (void)state;
    enum { LEN = 4 * 1024 * 1024 };
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    CLEANUP(freep) char *data = NULL;
    CLEANUP(closep) int fd = rgw_file(LEN, &data);
    const struct store_body body = {.fd = fd, .len = LEN};
    const struct store_put put = {.if_match = STORE_ABSENT};
    assert_int_equal(store_put(st, "large", &body, &put, NULL, NULL), 0);
    struct store_counters before;
    struct store_counters after;
    store_count(st, &before);
    assert_int_equal(store_put(st, "large", &body, &put, NULL, NULL), -EEXIST);
    store_count(st, &after);
    assert_int_equal(after.bytes_out - before.bytes_out, 0);
    assert_int_equal(after.heads - before.heads, 1);
    assert_int_equal(after.puts - before.puts, 0);
}

/* Gathers a listing. */
struct rgw_listed {
    char **key; /* common prefixes have a '>' before them */
    size_t keys;
    size_t most; /* stop after so many; 0: never */
};

static int rgw_list_fn(void *arg, const char *key, const struct store_stat *stat)
{
    struct rgw_listed *l = arg;
    if (stat) {
        assert_true(stat->etag[0] && stat->etag[0] != '"');
        assert_int_equal(stat->size, strlen("x"));
        assert_true(stat->mtime_ns > INT64_C(1600000000) * 1000000000);
    }
    l->key = reallocarray(l->key, l->keys + 1, sizeof(*l->key));
    assert_non_null(l->key);
    assert_true(asprintf(&l->key[l->keys++], "%s%s", stat ? "" : ">", key) > 0);
    return l->keys == l->most ? 1 : 0;
}

static void rgw_listed_fini(struct rgw_listed *l)
{
    for (size_t i = 0; i < l->keys; i++)
        free(l->key[i]);
    free(l->key);
    *l = (struct rgw_listed){0};
}

static void rgw_list_expect(struct store *st, const struct store_list *list,
                            const char *const *want, size_t wants)
{
    struct rgw_listed l = {0};
    struct err err = {0};
    int r = store_list(st, list, rgw_list_fn, &l, &err);
    if (r != 0)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < MIN(wants, l.keys); i++)
        assert_string_equal(l.key[i], want[i]);
    assert_int_equal(l.keys, wants);
    rgw_listed_fini(&l);
}

/* In the order of their bytes. */
static const char *const odd_key[] = {
    "odd/\x01\x1f\x7f control\t\r\n",
    "odd/ starts with a blank",
    "odd/!'()*",
    "odd/%2F percent %",
    "odd/&amp; <tag> \"quoted\" &",
    "odd/+plus+ and blank",
    "odd/./..//x",
    "odd/=equals?&query#hash",
    "odd/Cholesky(chol_A)/8_10_4_4_8_4_",
    "odd/gemm(BigMatrix(X), BigMatrix(X))/0_4_4_0_4_4_",
    "odd/tilde~ back\\slash {brace} |pipe| ^`[]",
    "odd/\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
};

static void s3_lists_odd_keys_and_reads_them_back(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    for (size_t i = 0; i < ARRAY_SIZE(odd_key); i++)
        rgw_put_text(st, odd_key[i], "x", NULL);
    for (int page = 0; page < 4; page++) {
        const struct store_list list = {.prefix = "odd/", .page_max = page};
        rgw_list_expect(st, &list, odd_key, ARRAY_SIZE(odd_key));
    }
    for (size_t i = 0; i < ARRAY_SIZE(odd_key); i++) {
        const struct store_list after = {
            .prefix = "odd/", .start_after = odd_key[i], .page_max = 2};
        rgw_list_expect(st, &after, odd_key + i + 1, ARRAY_SIZE(odd_key) - i - 1);
        rgw_expect(st, odd_key[i], &(struct store_get){0}, "x", 1);
        rgw_list_expect(st, &(struct store_list){.prefix = odd_key[i]}, &odd_key[i], 1);
        assert_int_equal(store_del(st, odd_key[i], NULL, NULL), 0);
    }
    rgw_list_expect(st, &(struct store_list){.prefix = "odd/"}, NULL, 0);
}

static void s3_merges_keys_and_common_prefixes_in_order(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    static const char *const key[] = {"d/a", "d/b", "d/b!", "d/b/1", "d/b/2", "d/b0", "d/c/1/2"};
    static const char *const want[] = {"d/a", "d/b", "d/b!", ">d/b/", "d/b0", ">d/c/"};
    for (size_t i = 0; i < ARRAY_SIZE(key); i++)
        rgw_put_text(st, key[i], "x", NULL);
    for (int page = 0; page < 4; page++) {
        const struct store_list list = {.prefix = "d/", .delimiter = '/', .page_max = page};
        rgw_list_expect(st, &list, want, ARRAY_SIZE(want));
        for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
            struct store_list after = list;
            after.start_after = want[i] + (want[i][0] == '>');
            rgw_list_expect(st, &after, want + i + 1, ARRAY_SIZE(want) - i - 1);
        }
    }
    struct rgw_listed l = {.most = 2};
    const struct store_list all = {.prefix = "d/"};
    assert_int_equal(store_list(st, &all, rgw_list_fn, &l, NULL), 1);
    assert_int_equal(l.keys, 2);
    rgw_listed_fini(&l);
}

struct rgw_filler {
    struct store *st;
    pthread_t thread;
    int first, end;
};

static void *rgw_filler_run(void *arg)
{
    const struct rgw_filler *f = arg;
    for (int i = f->first; i < f->end; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "many/block %05d+", i);
        rgw_put_text(f->st, key, "x", NULL);
    }
    return NULL;
}

static void s3_lists_more_keys_than_one_page_holds(void **state)
{
    (void)state;
    enum { KEYS = 2100, THREADS = 6 };
    CLEANUP(store_freep) struct store *st = rgw_open_default();
    struct rgw_filler filler[THREADS];
    for (int i = 0; i < THREADS; i++) {
        filler[i] = (struct rgw_filler){
            .st = st, .first = KEYS / THREADS * i, .end = KEYS / THREADS * (i + 1)};
        assert_int_equal(pthread_create(&filler[i].thread, NULL, rgw_filler_run, &filler[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(filler[i].thread, NULL), 0);
    struct rgw_listed l = {0};
    struct store_counters before;
    struct store_counters after;
    const struct store_list list = {.prefix = "many/"};
    store_count(st, &before);
    assert_int_equal(store_list(st, &list, rgw_list_fn, &l, NULL), 0);
    store_count(st, &after);
    assert_int_equal(after.lists - before.lists, 3);
    assert_int_equal(l.keys, KEYS);
    for (int i = 0; i < KEYS; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "many/block %05d+", i);
        assert_string_equal(l.key[i], key);
    }
    rgw_listed_fini(&l);
}

static void s3_says_what_is_wrong_with_the_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *access_key, *secret_key, *code;
    } bad[] = {
        {NULL, "not-the-secret", "HTTP 403 SignatureDoesNotMatch"},
        {"nobody", NULL, "HTTP 403 InvalidAccessKeyId"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        CLEANUP(store_freep)
        struct store *st = rgw_open(
            &(struct rgw_conf){.access_key = bad[i].access_key, .secret_key = bad[i].secret_key});
        struct err err = {0};
        assert_int_equal(store_head(st, "key", NULL, &err), -EACCES); /* a HEAD has no body */
        assert_non_null(strstr(err.msg, bad[i].code));
        assert_true(err.hint[0]);
        err_clear(&err);
        const struct store_get get = {0};
        assert_int_equal(store_get(st, "key", &get, rgw_sink, NULL, NULL, &err), -EACCES);
        assert_non_null(strstr(err.msg, bad[i].code));
        assert_null(strstr(err.msg, "not-the-secret"));
    }
}

static void s3_signs_by_the_servers_clock_when_its_own_is_wrong(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        CLEANUP(store_freep)
        struct store *st = rgw_open(&(struct rgw_conf){.clock_ahead_s = sign * INT64_C(7200)});
        struct store_counters before;
        struct store_counters after;
        rgw_put_text(st, "skewed", "on time", NULL);
        rgw_expect(st, "skewed", &(struct store_get){0}, "on time", 7);
        store_count(st, &before);
        assert_int_equal(store_head(st, "skewed", NULL, NULL), 0);
        store_count(st, &after);
        assert_int_equal(after.heads - before.heads, 1); /* learnt once */
    }
}

static void s3_tells_a_missing_bucket_from_a_missing_key(void **state)
{
    (void)state;
    CLEANUP(store_freep) struct store *st = rgw_open(&(struct rgw_conf){.bucket = "no-such"});
    const struct store_get get = {0};
    const struct store_list list = {.prefix = ""};
    struct err err = {0};
    assert_int_equal(store_head(st, "key", NULL, &err), -ENXIO);
    assert_ptr_equal(strstr(err.msg, "head key: bucket no-such: HTTP 404 NoSuchBucket"), err.msg);
    assert_int_equal(store_get(st, "key", &get, rgw_sink, NULL, NULL, NULL), -ENXIO);
    assert_int_equal(store_list(st, &list, rgw_list_fn, NULL, NULL), -ENXIO);
    assert_int_equal(rgw_put_if(st, "key", "x", NULL, NULL), -ENXIO);
    assert_int_equal(rgw_put_if(st, "key", "x", STORE_ABSENT, NULL), -ENXIO);
    assert_int_equal(store_del(st, "key", NULL, NULL), -ENXIO);
}

static void s3_trusts_only_certificates_of_the_given_authority(void **state)
{
    (void)state;
    const char *url = rgw_env("BMFS_RGW_TLS_URL");
    struct rgw_conf conf = {.endpoint_url = url, .ca_bundle = rgw_env("BMFS_RGW_CA")};
    enum { LEN = 2 * 1024 * 1024 };
    CLEANUP(freep) char *data = NULL;
    CLEANUP(closep) int fd = rgw_file(LEN, &data);
    {
        CLEANUP(store_freep) struct store *st = rgw_open(&conf);
        const struct store_body body = {.fd = fd, .len = LEN};
        assert_int_equal(store_put(st, "tls", &body, &(struct store_put){0}, NULL, NULL), 0);
        rgw_expect(st, "tls", &(struct store_get){.off = 9}, data + 9, LEN - 9);
    }
    struct err err = {0};
    conf.ca_bundle = NULL;
    CLEANUP(store_freep) struct store *st = rgw_open(&conf);
    assert_int_equal(store_head(st, "tls", NULL, &err), -EIO);
    assert_non_null(strstr(err.hint, "--ca-bundle"));
}

static void s3_speaks_to_a_bucket_by_its_own_host_name(void **state)
{
    (void)state;
    const char *port = strrchr(rgw_env("AWS_ENDPOINT_URL"), ':');
    char url[64];
    (void)snprintf(url, sizeof(url), "http://localhost%s", port);
    CLEANUP(store_freep)
    struct store *st =
        rgw_open(&(struct rgw_conf){.endpoint_url = url, .style = URI_STYLE_VIRTUAL});
    rgw_put_text(st, "virtual/host a+b", "x", NULL);
    rgw_expect(st, "virtual/host a+b", &(struct store_get){0}, "x", 1);
    static const char *const want[] = {"virtual/host a+b"};
    rgw_list_expect(st, &(struct store_list){.prefix = "virtual/"}, want, 1);
}

static void s3_keeps_the_verdict_about_the_endpoint(void **state)
{
    (void)state;
    struct rgw_conf conf = {.prefix = "verdict/"};
    struct store_counters c;
    struct rgw_got got = {0};
    {
        CLEANUP(store_freep) struct store *st = rgw_open(&conf);
        assert_int_equal(rgw_put_if(st, "verdict/a", "x", STORE_ABSENT, NULL), 0);
        store_count(st, &c);
        assert_true(c.puts > 2);
    }
    CLEANUP(store_freep) struct store *st = rgw_open(&conf);
    assert_int_equal(rgw_put_if(st, "verdict/b", "x", STORE_ABSENT, NULL), 0);
    store_count(st, &c);
    assert_int_equal(c.gets, 1);
    assert_int_equal(c.puts, 1);
    static const char *const want[] = {"verdict/a", "verdict/b"}; /* and no trial object */
    rgw_list_expect(st, &(struct store_list){.prefix = "verdict/", .start_after = "verdict/0"},
                    want, 2);
    const struct store_get get = {0};
    assert_int_equal(store_get(st, "verdict/.bmfs/endpoint", &get, rgw_sink, &got, NULL, NULL), 0);
    got.data[got.end] = '\0';
    assert_non_null(strstr(got.data, "put-if-none-match honoured\nput-if-match unquoted\n"
                                     "delete-if-match ignored\n"));
    rgw_got_fini(&got);
}

static void s3_read_only_writes_nothing(void **state)
{
    (void)state;
    CLEANUP(store_freep)
    struct store *st = rgw_open(&(struct rgw_conf){.prefix = "ro/", .read_only = true});
    struct store_counters c;
    assert_int_equal(rgw_put_if(st, "ro/a", "x", STORE_ABSENT, NULL), -EROFS);
    assert_int_equal(store_del(st, "ro/a", NULL, NULL), -EROFS);
    assert_int_equal(store_head(st, "ro/a", NULL, NULL), -ENOENT);
    store_count(st, &c);
    assert_int_equal(c.puts + c.dels, 0);
    CLEANUP(store_freep) struct store *other = rgw_open_default();
    rgw_list_expect(other, &(struct store_list){.prefix = "ro/"}, NULL, 0);
}

/* The whole stack, as a mount opens it: settings from the environment, calls repeated. */
static void location_opens_a_bucket(void **state)
{
    (void)state;
    char text[128];
    CLEANUP(location_fini) struct location loc = {0};
    CLEANUP(store_freep) struct store *st = NULL;
    struct err err = {0};
    struct store_stat stat;
    (void)snprintf(text, sizeof(text), "s3://%s/loc", rgw_env("BMFS_TEST_BUCKET"));
    assert_int_equal(location_parse(text, &loc, &err), 0);
    if (location_open(&loc, &(struct location_conf){0}, &st, &err) < 0)
        fail_msg("%s", err.msg);
    rgw_put_text(st, "loc/a", "base", &stat);
    assert_int_equal(rgw_race(st, "loc/a", stat.etag, -ESTALE), 1);
    store_shutdown(st);
    assert_int_equal(store_head(st, "loc/a", NULL, NULL), -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s3_gets_the_ranges_of_what_was_put),
        cmocka_unit_test(s3_get_of_an_empty_object_succeeds_without_a_byte),
        cmocka_unit_test(s3_get_honours_its_conditions),
        cmocka_unit_test(s3_put_honours_its_conditions),
        cmocka_unit_test(s3_del_honours_its_condition),
        cmocka_unit_test(s3_one_of_many_writers_wins),
        cmocka_unit_test(s3_a_large_exclusive_put_looks_before_it_sends),
        cmocka_unit_test(s3_lists_odd_keys_and_reads_them_back),
        cmocka_unit_test(s3_merges_keys_and_common_prefixes_in_order),
        cmocka_unit_test(s3_lists_more_keys_than_one_page_holds),
        cmocka_unit_test(s3_says_what_is_wrong_with_the_credentials),
        cmocka_unit_test(s3_signs_by_the_servers_clock_when_its_own_is_wrong),
        cmocka_unit_test(s3_tells_a_missing_bucket_from_a_missing_key),
        cmocka_unit_test(s3_trusts_only_certificates_of_the_given_authority),
        cmocka_unit_test(s3_speaks_to_a_bucket_by_its_own_host_name),
        cmocka_unit_test(s3_keeps_the_verdict_about_the_endpoint),
        cmocka_unit_test(s3_read_only_writes_nothing),
        cmocka_unit_test(location_opens_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
