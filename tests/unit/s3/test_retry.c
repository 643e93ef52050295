#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/fault.h"
#include "s3/retry.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_PAUSES_MAX = 256 };

/* A world in which time passes in pauses only. */
struct retry_world {
    int64_t now_ms;
    int64_t pause_ms[RETRY_PAUSES_MAX];
    int pauses;
    uint64_t random; /* what the generator gives */
};

static int64_t retry_world_now(void *arg)
{
    const struct retry_world *w = arg;
    return w->now_ms;
}

static void retry_world_pause(void *arg, int64_t ms)
{
    struct retry_world *w = arg;
    assert_true(w->pauses < RETRY_PAUSES_MAX);
    w->pause_ms[w->pauses++] = ms;
    w->now_ms += ms;
}

static uint64_t retry_world_random(void *arg)
{
    const struct retry_world *w = arg;
    return w->random;
}

/* retry > fault > dir, in that world. */
struct retry_case {
    struct scratch s;
    struct retry_world world;
    struct retry_env env;
    struct store *st;
    struct store *fault; /* borrowed */
    struct buf b;
    struct err err;
    struct store_stat stat;
};

static void retry_case_init(struct retry_case *c, const struct retry_conf *conf)
{
    struct retry_conf own = *conf;
    struct store *st = NULL;
    *c = (struct retry_case){.b = TEXTS_BUF};
    scratch_init(&c->s);
    assert_int_equal(dir_new(c->s.path, false, &st, NULL), 0);
    assert_int_equal(fault_new(&st, &c->fault), 0);
    st = c->fault;
    c->env = (struct retry_env){retry_world_now, retry_world_pause, retry_world_random, &c->world};
    own.env = &c->env;
    assert_int_equal(retry_new(&st, &own, &c->st), 0);
    assert_null(st);
}

static void retry_case_fini(struct retry_case *c)
{
    store_free(c->st);
    buf_fini(&c->b);
    scratch_fini(&c->s);
}

/* With a configuration of these fields, 0 for the default. */
#define RETRY_CASE(c, ...)                              \
    CLEANUP(retry_case_fini) struct retry_case c = {0}; \
    retry_case_init(&(c), &(struct retry_conf){__VA_ARGS__})

static void retry_fault(struct retry_case *c, const char *text)
{
    fault_clear(c->fault);
    assert_int_equal(fault_parse(c->fault, text, NULL), 0);
}

static int retry_head_of(struct retry_case *c, const char *key)
{
    return store_head(c->st, key, &c->stat, &c->err);
}

static void retry_tries_again_until_it_works(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    retry_fault(&c, "head:1:refused,head:1:lost,head:1:refused,head:1:lost");
    assert_int_equal(retry_head_of(&c, "k"), 0);
    assert_int_equal(fault_hits(c.fault), 4);
    assert_int_equal(c.world.pauses, 4);
    struct store_counters n;
    store_count(c.st, &n);
    assert_int_equal(n.retries, 4);
    assert_int_equal(n.failures, 0);
    assert_int_equal(n.heads, 3); /* what was refused never arrived */
}

static void retry_gives_up_after_tries_max(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 3);
    retry_fault(&c, "any:1+:refused");
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_string_equal(c.err.msg, "gave up after 3 tries: fault: refused");
    assert_int_equal(fault_hits(c.fault), 3);
    struct store_counters n;
    store_count(c.st, &n);
    assert_int_equal(n.retries, 2);
    assert_int_equal(n.failures, 1);
}

static void retry_of_one_try_is_none(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 1);
    retry_fault(&c, "any:1+:refused");
    assert_int_equal(store_del(c.st, "k", NULL, &c.err), -EIO);
    assert_string_equal(c.err.msg, "gave up after 1 try: fault: refused");
    assert_int_equal(c.world.pauses, 0);
}

static void retry_leaves_other_failures_alone(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(retry_head_of(&c, "none"), -ENOENT);
    assert_string_equal(c.err.msg, "head none: no such key");
    retry_fault(&c, "any:1+:broken");
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_string_equal(c.err.msg, "fault: broken");
    assert_int_equal(fault_hits(c.fault), 1);
    assert_int_equal(texts_put(c.st, "k", "text"), -EIO);
    assert_int_equal(fault_hits(c.fault), 2);
    assert_int_equal(c.world.pauses, 0);
}

static void retry_doubles_the_longest_pause(void **state)
{
    (void)state;
    static const int64_t want[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    RETRY_CASE(c, .tries_max = 9, .total_ms_max = 1000000);
    retry_fault(&c, "any:1+:refused");
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        /* The largest multiple that the modulus lets through as its own limit. */
        c.world.pauses = 0;
        c.world.random = (uint64_t)want[i];
        assert_int_equal(retry_head_of(&c, "k"), -EIO);
        assert_int_equal(c.world.pauses, 8);
        assert_int_equal(c.world.pause_ms[i], want[i]);
        for (size_t k = 0; k < ARRAY_SIZE(want); k++)
            assert_true(c.world.pause_ms[k] >= 0 && c.world.pause_ms[k] <= want[k]);
    }
    c.world.pauses = 0;
    c.world.random = 0;
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(c.world.pause_ms[7], 0); /* full jitter may mean at once */
}

static void retry_obeys_its_configuration_of_pauses(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 4, .pause_ms_min = 10, .pause_ms_max = 15);
    retry_fault(&c, "any:1+:refused");
    c.world.random = 15;
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(c.world.pause_ms[0], 15 % 11);
    assert_int_equal(c.world.pause_ms[1], 15);
    assert_int_equal(c.world.pause_ms[2], 15);
}

static void retry_stops_when_the_time_is_over(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 100, .total_ms_max = 750, .budget_max = 1000);
    retry_fault(&c, "any:1+:refused");
    c.world.random = 100; /* 100, 100, ...: the modulus is larger from the second on */
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(c.world.pauses, 7);
    assert_string_equal(c.err.msg, "gave up after 8 tries, out of time: fault: refused");
}

static void retry_budget_is_shared_and_refilled_by_success(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 4, .budget_max = 5);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    retry_fault(&c, "any:1+:refused");
    assert_int_equal(retry_head_of(&c, "k"), -EIO);     /* takes 3 */
    assert_int_equal(texts_get(c.st, "k", &c.b), -EIO); /* takes 2 */
    assert_int_equal(fault_hits(c.fault), 4 + 3);
    assert_int_equal(store_del(c.st, "k", NULL, &c.err), -EIO);
    assert_int_equal(fault_hits(c.fault), 4 + 3 + 1);
    assert_string_equal(c.err.msg,
                        "gave up after 1 try, as the store keeps failing: fault: refused");
    fault_clear(c.fault);
    assert_int_equal(retry_head_of(&c, "k"), 0);
    assert_int_equal(retry_head_of(&c, "none"), -ENOENT); /* an answer, too */
    retry_fault(&c, "any:1+:refused");
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(fault_hits(c.fault), 3);
    /* It never holds more than its maximum. */
    fault_clear(c.fault);
    for (int i = 0; i < 20; i++)
        assert_int_equal(retry_head_of(&c, "k"), 0);
    retry_fault(&c, "any:1+:refused");
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(retry_head_of(&c, "k"), -EIO);
    assert_int_equal(fault_hits(c.fault), 4 + 3);
}

static void retry_get_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    struct store_get get = {.off = 2, .len = 6};
    assert_int_equal(texts_put(c.st, "k", "0123456789"), 0);
    retry_fault(&c, "get:1:cut=1,get:2:cut=2,get:3:refused,get:4:cut");
    assert_int_equal(texts_get_range(c.st, "k", &get, &c.b, &c.stat, NULL), 0);
    assert_string_equal(buf_text(&c.b), "234567");
    assert_int_equal(c.stat.size, 10);
    assert_int_equal(fault_hits(c.fault), 4);
}

static void retry_get_counts_tries_since_the_last_byte(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 2, .total_ms_max = 150);
    assert_int_equal(texts_put(c.st, "k", "0123456789"), 0);
    c.world.random = 100;
    retry_fault(&c, "get:1+:cut=1");
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "0123456789");
    assert_int_equal(fault_hits(c.fault), 10); /* the last one had nothing left to ask for */
    retry_fault(&c, "get:1:cut=3,get:2+:cut");
    assert_int_equal(texts_get_range(c.st, "k", &(struct store_get){0}, &c.b, NULL, &c.err), -EIO);
    assert_string_equal(buf_text(&c.b), "012");
    assert_int_equal(fault_hits(c.fault), 2);
}

static void retry_get_of_an_empty_object_asks_again(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put(c.st, "k", ""), 0);
    retry_fault(&c, "get:1:lost");
    assert_int_equal(texts_get_range(c.st, "k", &(struct store_get){0}, &c.b, &c.stat, NULL), 0);
    assert_true(c.stat.etag[0] != '\0');
    assert_int_equal(fault_hits(c.fault), 1);
}

/* Puts another version below when the first bytes arrive. */
static int retry_sink_changes(void *arg, const struct store_stat *stat, uint64_t off,
                              const void *data, size_t len)
{
    struct retry_case *c = arg;
    (void)stat;
    (void)data;
    (void)len;
    return off == 0 ? texts_put(c->fault->below, "k", "another") : 0;
}

static int retry_sink_deletes(void *arg, const struct store_stat *stat, uint64_t off,
                              const void *data, size_t len)
{
    struct retry_case *c = arg;
    (void)stat;
    (void)data;
    (void)len;
    return off == 0 ? store_del(c->fault->below, "k", NULL, NULL) : 0;
}

static void retry_get_never_joins_two_versions(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put(c.st, "k", "0123456789"), 0);
    retry_fault(&c, "get:1:cut=4");
    struct store_get get = {0};
    assert_int_equal(store_get(c.st, "k", &get, retry_sink_changes, &c, NULL, &c.err), -ESTALE);
    assert_string_equal(c.err.msg, "get k: the object is another version");
    assert_int_equal(texts_put(c.st, "k", "0123456789"), 0);
    retry_fault(&c, "get:1:cut=4");
    assert_int_equal(store_get(c.st, "k", &get, retry_sink_deletes, &c, NULL, &c.err), -ESTALE);
    assert_string_equal(c.err.msg, "get k: the object went while it was read");
    assert_int_equal(fault_hits(c.fault), 1);
}

static int retry_sink_wants_no_more(void *arg, const struct store_stat *stat, uint64_t off,
                                    const void *data, size_t len)
{
    int *calls = arg;
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    ++*calls;
    return -EAGAIN;
}

static int retry_entry_wants_no_more(void *arg, const char *key, const struct store_stat *stat)
{
    int *calls = arg;
    (void)key;
    (void)stat;
    ++*calls;
    return -EAGAIN;
}

static void retry_takes_no_callback_for_the_store(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    int calls = 0;
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    (void)err_set(&c.err, 0, "the caller's own");
    assert_int_equal(store_get(c.st, "k", &(struct store_get){0}, retry_sink_wants_no_more, &calls,
                               NULL, &c.err),
                     -EAGAIN);
    assert_int_equal(store_list(c.st, &list, retry_entry_wants_no_more, &calls, &c.err), -EAGAIN);
    assert_int_equal(calls, 2);
    assert_int_equal(c.world.pauses, 0);
    assert_string_equal(c.err.msg, "the caller's own");
}

static void retry_list_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 3);
    static const char *const key[] = {"a/1", "a/2", "b", "c/1", "d"};
    for (size_t i = 0; i < ARRAY_SIZE(key); i++)
        assert_int_equal(texts_put(c.st, key[i], ""), 0);
    struct store_list list = {.prefix = "", .delimiter = '/'};
    retry_fault(&c, "list:1+:cut=1");
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), -EIO); /* the end itself is never seen */
    assert_string_equal(buf_text(&c.b), "a/ b c/ d");
    retry_fault(&c, "list:1:cut=2,list:2:refused,list:3:lost");
    list.delimiter = 0;
    list.start_after = "a/1";
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), 0);
    assert_string_equal(buf_text(&c.b), "a/2 b c/1 d");
    assert_int_equal(fault_hits(c.fault), 3);
}

static void retry_put_is_settled_by_its_write_id(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    struct store_stat first;
    /* The reply of an exclusive put is lost: the next try meets our own object. */
    retry_fault(&c, "put:1:lost");
    assert_int_equal(texts_put_if(c.st, "k", "one", STORE_ABSENT, &first, &c.err), 0);
    assert_int_equal(fault_hits(c.fault), 1);
    assert_int_equal(retry_head_of(&c, "k"), 0);
    assert_string_equal(c.stat.etag, first.etag);
    /* And of one that replaces a version: the next try meets its successor. */
    retry_fault(&c, "put:1:lost,head:1:refused,put:1:refused");
    assert_int_equal(texts_put_if(c.st, "k", "two", first.etag, &c.stat, &c.err), 0);
    assert_int_equal(fault_hits(c.fault), 3);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "two");
}

static void retry_put_does_not_claim_what_others_wrote(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put_if(c.fault->below, "k", "theirs", NULL, &c.stat, NULL), 0);
    retry_fault(&c, "put:1:refused");
    assert_int_equal(texts_put_if(c.st, "k", "ours", STORE_ABSENT, NULL, &c.err), -EEXIST);
    assert_string_equal(c.err.msg, "put k: the key exists");
    retry_fault(&c, "put:1:refused");
    assert_int_equal(texts_put_if(c.st, "k", "ours", "etag", NULL, &c.err), -ESTALE);
    retry_fault(&c, "put:1:refused");
    assert_int_equal(texts_put_if(c.st, "none", "ours", "etag", NULL, &c.err), -ESTALE);
    struct store_counters before;
    struct store_counters after;
    store_count(c.st, &before);
    fault_clear(c.fault);
    assert_int_equal(texts_put_if(c.st, "k", "ours", STORE_ABSENT, NULL, &c.err), -EEXIST);
    store_count(c.st, &after);
    assert_int_equal(after.heads, before.heads); /* nothing was unknown */
}

static void retry_put_that_gave_up_may_have_worked(void **state)
{
    (void)state;
    RETRY_CASE(c, .tries_max = 2);
    retry_fault(&c, "put:1+:lost");
    assert_int_equal(texts_put_if(c.st, "k", "one", NULL, &c.stat, &c.err), 0);
    assert_int_equal(fault_hits(c.fault), 2);
    retry_fault(&c, "put:1+:refused");
    assert_int_equal(texts_put_if(c.st, "k", "two", NULL, NULL, &c.err), -EIO);
    assert_string_equal(c.err.msg, "gave up after 2 tries: fault: refused");
    retry_fault(&c, "any:1+:lost");
    assert_int_equal(texts_put_if(c.st, "k", "three", NULL, NULL, &c.err), -EIO);
    retry_fault(&c, "put:1:lost,put:1:broken");
    assert_int_equal(texts_put_if(c.st, "k", "four", NULL, NULL, &c.err), 0);
    retry_fault(&c, "put:1:lost,head:1:broken");
    assert_int_equal(texts_put_if(c.st, "new", "five", STORE_ABSENT, NULL, &c.err), -EIO);
    assert_string_equal(c.err.msg, "put new: its reply was lost: fault: broken");
}

static void retry_put_keeps_the_write_id_of_the_caller(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    struct store_body body = {.fd = -1};
    struct store_put put = {.write_id = "0123456789abcdef0123456789abcdef"};
    assert_int_equal(store_put(c.st, "k", &body, &put, NULL, NULL), 0);
    assert_int_equal(retry_head_of(&c, "k"), 0);
    assert_string_equal(c.stat.write_id, put.write_id);
    put.write_id = NULL;
    assert_int_equal(store_put(c.st, "k", &body, &put, &c.stat, NULL), 0);
    assert_int_equal(strlen(c.stat.write_id), 32);
    assert_null(put.write_id);
}

static void retry_del_is_settled_by_absence(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put_if(c.st, "k", "text", NULL, &c.stat, NULL), 0);
    retry_fault(&c, "del:1:lost,head:1:lost,del:2:refused");
    assert_int_equal(store_del(c.st, "k", c.stat.etag, &c.err), 0);
    assert_int_equal(fault_hits(c.fault), 3);
    assert_int_equal(texts_put_if(c.st, "k", "text", NULL, &c.stat, NULL), 0);
    assert_int_equal(store_del(c.st, "k", "etag", &c.err), -ESTALE);
    assert_string_equal(c.err.msg, "delete k: the object is another version");
    retry_fault(&c, "del:1:refused"); /* it may have come after that try */
    assert_int_equal(store_del(c.st, "k", "etag", &c.err), -EIO);
    assert_string_equal(c.err.msg, "delete k: its reply was lost, and another version is there");
    retry_fault(&c, "del:1:lost,head:1+:refused");
    assert_int_equal(store_del(c.st, "k", c.stat.etag, &c.err), -EIO);
    fault_clear(c.fault);
    assert_int_equal(texts_get(c.st, "k", &c.b), -ENOENT);
    assert_int_equal(store_del(c.st, "none", "etag", &c.err), -ESTALE);
}

static void retry_opens_local_files_through(void **state)
{
    (void)state;
    RETRY_CASE(c, 0);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    int fd = store_open_local(c.st, "k", &c.stat, &c.err);
    assert_true(fd >= 0);
    closep(&fd);
    assert_int_equal(store_open_local(c.st, "none", &c.stat, &c.err), -ENOENT);
}

/* --- a store below that says what no honest one does --- */

struct retry_odd {
    struct store base;
    int call;
    int (*get)(struct retry_odd *o, store_sink_fn *sink, void *arg);
    const char *listed;
    int64_t retry_after_ms;
};

static int retry_odd_get(struct store *st, const char *key, const struct store_get *get,
                         store_sink_fn *sink, void *arg, struct store_stat *ret_stat,
                         struct err *err)
{
    struct retry_odd *o = (struct retry_odd *)st;
    (void)key;
    (void)get;
    (void)ret_stat;
    int r = o->get(o, sink, arg);
    return r == -EAGAIN ? err_set(err, r, "cut") : r;
}

static int retry_odd_head(struct store *st, const char *key, struct store_stat *ret_stat,
                          struct err *err)
{
    const struct retry_odd *o = (struct retry_odd *)st;
    (void)key;
    (void)ret_stat;
    (void)err_set(err, -EAGAIN, "busy");
    err->retry_after_ms = o->retry_after_ms;
    return -EAGAIN;
}

static int retry_odd_list(struct store *st, const struct store_list *list, store_list_fn *fn,
                          void *arg, struct err *err)
{
    const struct retry_odd *o = (struct retry_odd *)st;
    (void)list;
    (void)err;
    return fn(arg, o->listed, NULL);
}

static void retry_odd_free(struct store *st)
{
    (void)st;
}

static const struct store_ops retry_odd_ops = {
    .name = "odd",
    .get = retry_odd_get,
    .head = retry_odd_head,
    .list = retry_odd_list,
    .free = retry_odd_free,
};

static struct store *retry_odd_new(struct retry_odd *o, const struct retry_conf *conf)
{
    struct store *st = &o->base;
    struct store *ret = NULL;
    o->base.ops = &retry_odd_ops;
    assert_int_equal(retry_new(&st, conf, &ret), 0);
    return ret;
}

static int retry_odd_other_version(struct retry_odd *o, store_sink_fn *sink, void *arg)
{
    struct store_stat stat = {.size = 4, .etag = "one"};
    stat.etag[0] = (char)('1' + o->call);
    int r = sink(arg, &stat, (uint64_t)o->call, "x", 1);
    return o->call++ == 0 ? -EAGAIN : r;
}

static int retry_odd_out_of_order(struct retry_odd *o, store_sink_fn *sink, void *arg)
{
    struct store_stat stat = {.size = 4, .etag = "one"};
    (void)o;
    (void)sink(arg, &stat, 0, "x", 1);
    return sink(arg, &stat, 2, "x", 1);
}

static void retry_does_not_trust_the_store_below(void **state)
{
    (void)state;
    struct retry_world world = {0};
    struct retry_env env = {retry_world_now, retry_world_pause, retry_world_random, &world};
    struct retry_odd odd = {.get = retry_odd_other_version};
    CLEANUP(store_freep) struct store *st = retry_odd_new(&odd, &(struct retry_conf){.env = &env});
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    struct err err = {0};
    struct store_get get = {0};
    assert_int_equal(texts_get_range(st, "k", &get, &b, NULL, &err), -ESTALE);
    assert_int_equal(odd.call, 2);
    odd.get = retry_odd_out_of_order;
    assert_int_equal(texts_get_range(st, "k", &get, &b, NULL, &err), -EBADMSG);
    assert_string_equal(err.msg, "the store sent bytes out of order");
    char key[STORE_KEY_MAX + 2];
    memset(key, 'x', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    odd.listed = key;
    assert_int_equal(texts_list(st, &(struct store_list){.prefix = ""}, &b, &err), -EBADMSG);
}

static void retry_waits_as_long_as_the_store_asks(void **state)
{
    (void)state;
    struct retry_world world = {.random = 50};
    struct retry_env env = {retry_world_now, retry_world_pause, retry_world_random, &world};
    struct retry_odd odd = {.retry_after_ms = 7000};
    CLEANUP(store_freep)
    struct store *st = retry_odd_new(&odd, &(struct retry_conf){.tries_max = 3, .env = &env});
    struct store_stat stat;
    struct err err = {0};
    assert_int_equal(store_head(st, "k", &stat, &err), -EIO);
    assert_int_equal(world.pauses, 2);
    assert_int_equal(world.pause_ms[0], 7000);
    assert_int_equal(world.pause_ms[1], 7000);
    odd.retry_after_ms = 10;
    assert_int_equal(store_head(st, "k", &stat, &err), -EIO);
    assert_int_equal(world.pause_ms[2], 50);
    odd.retry_after_ms = INT64_MAX; /* longer than the call may take: it ends now */
    assert_int_equal(store_head(st, "k", &stat, &err), -EIO);
    assert_int_equal(world.pauses, 4);
    assert_string_equal(err.msg, "gave up after 1 try, out of time: busy");
    assert_int_equal(store_open_local(st, "k", &stat, &err), -EOPNOTSUPP);
}

/* --- the real clock --- */

static void *retry_head_thread(void *arg)
{
    struct store *st = arg;
    static int r;
    struct store_stat stat;
    r = store_head(st, "k", &stat, NULL);
    return &r;
}

static void retry_pause_ends_at_shutdown(void **state)
{
    (void)state;
    struct retry_odd odd = {.retry_after_ms = 50000};
    CLEANUP(store_freep) struct store *st = retry_odd_new(&odd, NULL);
    pthread_t thread;
    void *r = NULL;
    assert_int_equal(pthread_create(&thread, NULL, retry_head_thread, st), 0);
    struct store_counters n;
    do {
        (void)sched_yield();
        store_count(st, &n);
    } while (n.retries == 0); /* the pause begins */
    int64_t begin_ms = clock_ms();
    store_shutdown(st);
    assert_int_equal(pthread_join(thread, &r), 0);
    assert_int_equal(*(int *)r, -ECANCELED);
    assert_true(clock_ms() - begin_ms < 10000);
    store_shutdown(st);
    struct store_stat stat;
    struct err err;
    assert_int_equal(store_head(st, "k", &stat, &err), -ECANCELED);
    assert_string_equal(err.msg, "the store is shut down");
}

static void retry_really_pauses(void **state)
{
    (void)state;
    struct retry_odd odd = {.retry_after_ms = 30};
    CLEANUP(store_freep)
    struct store *st =
        retry_odd_new(&odd, &(struct retry_conf){.tries_max = 3, .pause_ms_max = 30});
    struct store_stat stat;
    int64_t begin_ms = clock_ms();
    assert_int_equal(store_head(st, "k", &stat, NULL), -EIO);
    assert_true(clock_ms() - begin_ms >= 60);
}

/* "method number code bytes ms" of each event. */
static void retry_note_event(void *arg, const struct store_event *e)
{
    assert_string_equal(e->key, "k");
    assert_string_equal(e->request_id, "");
    assert_true(e->code == 0 || e->reason[0]);
    (void)buf_printf(arg, "%s %d %d %llu %lld, ", e->method, e->number, e->code,
                     (unsigned long long)e->bytes, (long long)e->ms);
}

static void retry_tells_of_each_try(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf seen = BUF_INIT(1000);
    RETRY_CASE(c, .watch = retry_note_event, .watch_arg = &seen);
    retry_fault(&c, "put:1:lost");
    assert_int_equal(texts_put_if(c.st, "k", "text", STORE_ABSENT, &c.stat, &c.err), 0);
    assert_int_equal(retry_head_of(&c, "k"), 0);
    char want[200];
    (void)snprintf(want, sizeof(want), "put 1 %d 4 0, put 2 %d 4 0, head 2 0 0 0, head 1 0 0 0, ",
                   -EAGAIN, -EEXIST);
    assert_string_equal(buf_text(&seen), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_tries_again_until_it_works),
        cmocka_unit_test(retry_gives_up_after_tries_max),
        cmocka_unit_test(retry_of_one_try_is_none),
        cmocka_unit_test(retry_leaves_other_failures_alone),
        cmocka_unit_test(retry_doubles_the_longest_pause),
        cmocka_unit_test(retry_obeys_its_configuration_of_pauses),
        cmocka_unit_test(retry_stops_when_the_time_is_over),
        cmocka_unit_test(retry_budget_is_shared_and_refilled_by_success),
        cmocka_unit_test(retry_get_goes_on_where_it_was_cut),
        cmocka_unit_test(retry_get_counts_tries_since_the_last_byte),
        cmocka_unit_test(retry_get_of_an_empty_object_asks_again),
        cmocka_unit_test(retry_get_never_joins_two_versions),
        cmocka_unit_test(retry_takes_no_callback_for_the_store),
        cmocka_unit_test(retry_list_goes_on_where_it_was_cut),
        cmocka_unit_test(retry_put_is_settled_by_its_write_id),
        cmocka_unit_test(retry_put_does_not_claim_what_others_wrote),
        cmocka_unit_test(retry_put_that_gave_up_may_have_worked),
        cmocka_unit_test(retry_put_keeps_the_write_id_of_the_caller),
        cmocka_unit_test(retry_del_is_settled_by_absence),
        cmocka_unit_test(retry_opens_local_files_through),
        cmocka_unit_test(retry_does_not_trust_the_store_below),
        cmocka_unit_test(retry_waits_as_long_as_the_store_asks),
        cmocka_unit_test(retry_pause_ends_at_shutdown),
        cmocka_unit_test(retry_really_pauses),
        cmocka_unit_test(retry_tells_of_each_try),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
