#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/fault.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct fault_case {
    struct scratch s;
    struct store *st;
    struct buf b;
    struct err err;
};

static void fault_case_init(struct fault_case *c)
{
    *c = (struct fault_case){.b = TEXTS_BUF};
    scratch_init(&c->s);
    struct store *dir = NULL;
    assert_int_equal(dir_new(c->s.path, false, &dir, NULL), 0);
    assert_int_equal(fault_new(&dir, &c->st), 0);
    assert_null(dir);
}

static void fault_case_fini(struct fault_case *c)
{
    store_free(c->st);
    buf_fini(&c->b);
    scratch_fini(&c->s);
}

#define FAULT_CASE(c)                                   \
    CLEANUP(fault_case_fini) struct fault_case c = {0}; \
    fault_case_init(&(c))

static int fault_head(struct fault_case *c, const char *key)
{
    struct store_stat stat;
    return store_head(c->st, key, &stat, &c->err);
}

static void fault_strikes_the_nth_call_once(void **state)
{
    (void)state;
    FAULT_CASE(c);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    assert_int_equal(fault_parse(c.st, "head:3:refused", NULL), 0);
    assert_int_equal(fault_head(&c, "k"), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0); /* of another kind */
    assert_int_equal(fault_head(&c, "k"), 0);
    assert_int_equal(fault_hits(c.st), 0);
    assert_int_equal(fault_head(&c, "k"), -EAGAIN);
    assert_string_equal(c.err.msg, "fault: refused");
    assert_int_equal(fault_hits(c.st), 1);
    assert_int_equal(fault_head(&c, "k"), 0);
    assert_int_equal(fault_hits(c.st), 1);
}

static void fault_strikes_for_ever_until_it_is_cleared(void **state)
{
    (void)state;
    FAULT_CASE(c);
    assert_int_equal(fault_parse(c.st, "any:2+:broken", NULL), 0);
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fault_head(&c, "k"), -EIO);
    assert_int_equal(texts_put(c.st, "k", "x"), -EIO);
    assert_int_equal(store_del(c.st, "k", NULL, NULL), -EIO);
    assert_int_equal(fault_hits(c.st), 5);
    fault_clear(c.st);
    assert_int_equal(fault_hits(c.st), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_string_equal(buf_text(&c.b), "text");
}

static void fault_loses_the_reply_of_what_took_effect(void **state)
{
    (void)state;
    FAULT_CASE(c);
    assert_int_equal(fault_parse(c.st, "put:1:lost,del:1:lost,head:1:lost", NULL), 0);
    assert_int_equal(texts_put(c.st, "k", "text"), -EAGAIN);
    assert_int_equal(texts_get(c.st, "k", &c.b), 0);
    assert_int_equal(fault_head(&c, "k"), -EAGAIN);
    assert_int_equal(store_del(c.st, "k", NULL, NULL), -EAGAIN);
    assert_int_equal(fault_head(&c, "k"), -ENOENT);
    assert_int_equal(fault_hits(c.st), 3);
    assert_int_equal(fault_parse(c.st, "get:1:lost", NULL), 0);
    assert_int_equal(texts_get(c.st, "k", &c.b), -EAGAIN); /* the refusal is lost as well */
}

static void fault_cuts_a_body_and_a_listing(void **state)
{
    (void)state;
    FAULT_CASE(c);
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_put(c.st, "a", "0123456789"), 0);
    assert_int_equal(texts_put(c.st, "b", ""), 0);
    assert_int_equal(fault_parse(c.st, "get:1:cut=4,get:2:cut,get:3:cut=10,list:1:cut=1", NULL), 0);
    assert_int_equal(texts_get(c.st, "a", &c.b), -EAGAIN);
    assert_string_equal(buf_text(&c.b), "0123");
    assert_int_equal(texts_get(c.st, "a", &c.b), -EAGAIN);
    assert_string_equal(buf_text(&c.b), "");
    assert_int_equal(texts_get(c.st, "a", &c.b), -EAGAIN);
    assert_string_equal(buf_text(&c.b), "0123456789");
    assert_int_equal(texts_list(c.st, &list, &c.b, NULL), -EAGAIN);
    assert_string_equal(buf_text(&c.b), "a");
    assert_int_equal(fault_hits(c.st), 4);
    assert_int_equal(texts_get(c.st, "a", &c.b), 0);
}

static int fault_sink_fails(void *arg, const struct store_stat *stat, uint64_t off,
                            const void *data, size_t len)
{
    (void)arg;
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    return -EDOM;
}

static int fault_entry_ends(void *arg, const char *key, const struct store_stat *stat)
{
    (void)arg;
    (void)key;
    (void)stat;
    return 5;
}

static void fault_is_no_excuse_for_what_the_caller_decided(void **state)
{
    (void)state;
    FAULT_CASE(c);
    struct store_list list = {.prefix = ""};
    assert_int_equal(texts_put(c.st, "a", "text"), 0);
    assert_int_equal(fault_parse(c.st, "get:1:lost,list:1:lost", NULL), 0);
    assert_int_equal(
        store_get(c.st, "a", &(struct store_get){0}, fault_sink_fails, NULL, NULL, NULL), -EDOM);
    assert_int_equal(store_list(c.st, &list, fault_entry_ends, NULL, NULL), 5);
    assert_int_equal(fault_hits(c.st), 2);
}

static void fault_leaves_other_results_as_they_are(void **state)
{
    (void)state;
    FAULT_CASE(c);
    struct store_stat stat;
    struct store_stat got;
    struct err err;
    assert_int_equal(fault_parse(c.st, "any:1+:delay=1", NULL), 0);
    assert_int_equal(texts_put_if(c.st, "k", "text", STORE_ABSENT, &stat, &err), 0);
    assert_int_equal(texts_put_if(c.st, "k", "text", STORE_ABSENT, &stat, &err), -EEXIST);
    struct store_get get = {.if_none_match = stat.etag};
    assert_int_equal(texts_get_range(c.st, "k", &get, &c.b, &got, &err), STORE_SAME);
    assert_int_equal(store_head(c.st, "k", &got, &err), 0);
    assert_string_equal(got.etag, stat.etag);
    assert_int_equal(store_del(c.st, "k", NULL, &err), 0);
    assert_int_equal(fault_hits(c.st), 5);
    assert_int_equal(strncmp(store_id(c.st), "file://", 7), 0);
}

static void *fault_delayed(void *arg)
{
    static int r;
    r = fault_head(arg, "k");
    return &r;
}

static void fault_delay_ends_at_shutdown(void **state)
{
    (void)state;
    FAULT_CASE(c);
    assert_int_equal(fault_parse(c.st, "head:1:delay=600000", NULL), 0);
    pthread_t thread;
    void *r = NULL;
    assert_int_equal(pthread_create(&thread, NULL, fault_delayed, &c), 0);
    while (fault_hits(c.st) == 0)
        (void)sched_yield();
    store_shutdown(c.st);
    assert_int_equal(pthread_join(thread, &r), 0);
    assert_int_equal(*(int *)r, -ECANCELED);
}

static void fault_counts_for_all_and_strikes_for_one(void **state)
{
    (void)state;
    FAULT_CASE(c);
    /* All are due on the second call; the first takes it, the others those after. */
    assert_int_equal(fault_parse(c.st, "head:2:broken,any:2:refused,head:2:lost", NULL), 0);
    assert_int_equal(fault_head(&c, "k"), -ENOENT);
    assert_int_equal(fault_head(&c, "k"), -EIO);
    assert_int_equal(fault_head(&c, "k"), -EAGAIN);
    assert_string_equal(c.err.msg, "fault: refused");
    assert_int_equal(fault_head(&c, "k"), -EAGAIN);
    assert_string_equal(c.err.msg, "fault: the reply was lost");
    assert_int_equal(fault_head(&c, "k"), -ENOENT);
}

static void fault_refuses_text_that_makes_no_sense(void **state)
{
    (void)state;
    FAULT_CASE(c);
    static const char *const bad[] = {
        "",
        "put",
        "put:",
        "put:1",
        "put:1:",
        "put:0:lost",
        "put:x:lost",
        "put:-1:lost",
        "put:1:loss",
        "put:1:lost=",
        "put:1:lost=x",
        "puts:1:lost",
        "put:1:lost,",
        ",put:1:lost",
        "put:1:lost;put:2:lost",
        "put:1++:lost",
        "put 1:lost",
        "put:99999999999999999999:lost",
        "put:1:cut=99999999999999999999",
        "put:1:lost=1x",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (fault_parse(c.st, bad[i], &c.err) != -EINVAL)
            fail_msg("%s was accepted", bad[i]);
        assert_non_null(strstr(c.err.msg, "OP:N[+]:KIND[=AMOUNT]"));
    }
    assert_int_equal(texts_put(c.st, "k", "text"), 0);
    assert_int_equal(fault_hits(c.st), 0);
}

static void fault_holds_so_many_and_no_more(void **state)
{
    (void)state;
    FAULT_CASE(c);
    struct fault fault = {.op = FAULT_PUT, .kind = FAULT_LOST, .nth = 1};
    CLEANUP(buf_fini) struct buf text = TEXTS_BUF;
    for (int i = 0; i < FAULTS_MAX + 1; i++)
        assert_int_equal(buf_printf(&text, "%sput:1:lost", i > 0 ? "," : ""), 0);
    assert_int_equal(fault_parse(c.st, buf_text(&text), &c.err), -ENOSPC);
    for (int i = 0; i < FAULTS_MAX - 1; i++)
        assert_int_equal(fault_add(c.st, &fault), 0);
    assert_int_equal(fault_parse(c.st, "put:1:lost,put:2:lost", &c.err), -ENOSPC);
    assert_int_equal(fault_add(c.st, &fault), 0);
    assert_int_equal(fault_add(c.st, &fault), -ENOSPC);
    assert_int_equal(fault_parse(c.st, "put:1:lost", &c.err), -ENOSPC);
    fault_clear(c.st);
    assert_int_equal(fault_add(c.st, &fault), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fault_strikes_the_nth_call_once),
        cmocka_unit_test(fault_strikes_for_ever_until_it_is_cleared),
        cmocka_unit_test(fault_loses_the_reply_of_what_took_effect),
        cmocka_unit_test(fault_cuts_a_body_and_a_listing),
        cmocka_unit_test(fault_is_no_excuse_for_what_the_caller_decided),
        cmocka_unit_test(fault_leaves_other_results_as_they_are),
        cmocka_unit_test(fault_delay_ends_at_shutdown),
        cmocka_unit_test(fault_counts_for_all_and_strikes_for_one),
        cmocka_unit_test(fault_refuses_text_that_makes_no_sense),
        cmocka_unit_test(fault_holds_so_many_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
