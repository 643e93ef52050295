#include "tests/unit/unit.h"

#include "base/lock.h"
#include "s3/creds.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A provider whose keys are numbered, so that a test sees how often it was asked. */
struct numbered {
    struct creds_provider base;
    _Atomic int fetches;
    int code;                /* what the next fetches return */
    int64_t expires_s;       /* of the next keys */
    bool same;               /* always the same keys */
    pthread_barrier_t *wait; /* NULL, or where a fetch waits */
};

static int numbered_fetch(struct creds_provider *provider, struct creds **ret, struct err *err)
{
    struct numbered *n = (struct numbered *)provider;
    char key[16];
    int number = atomic_fetch_add(&n->fetches, 1) + 1;
    if (n->wait)
        (void)pthread_barrier_wait(n->wait);
    if (n->code < 0)
        return err_set(err, n->code, "fetch %d failed", number);
    (void)snprintf(key, sizeof(key), "key-%d", n->same ? 0 : number);
    return creds_new(key, "secret", NULL, n->expires_s, ret);
}

static void numbered_free(struct creds_provider *provider)
{
    (void)provider; /* on the test's stack */
}

static const struct creds_provider_ops numbered_ops = {
    .name = "numbered",
    .fetch = numbered_fetch,
    .free = numbered_free,
};

static struct creds_source *numbered_source(struct numbered *n)
{
    n->base.ops = &numbered_ops;
    struct creds_provider *provider = &n->base;
    struct creds_source *source = NULL;
    assert_int_equal(creds_source_new(&provider, &source), 0);
    assert_null(provider);
    return source;
}

static void creds_are_fetched_once_and_kept(void **state)
{
    (void)state;
    struct numbered n = {.expires_s = (int64_t)time(NULL) + 3600};
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    for (int i = 0; i < 3; i++) {
        CLEANUP(creds_unrefp) struct creds *creds = NULL;
        assert_int_equal(creds_source_get(source, &creds, NULL), 0);
        assert_string_equal(creds->access_key, "key-1");
    }
    assert_int_equal(n.fetches, 1);
}

static void creds_that_are_about_to_expire_are_fetched_again(void **state)
{
    (void)state;
    struct numbered n = {.expires_s = (int64_t)time(NULL) + 60};
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    CLEANUP(creds_unrefp) struct creds *one = NULL;
    CLEANUP(creds_unrefp) struct creds *two = NULL;
    CLEANUP(creds_unrefp) struct creds *three = NULL;
    assert_int_equal(creds_source_get(source, &one, NULL), 0);
    n.code = -EIO;
    assert_int_equal(creds_source_get(source, &two, NULL), 0); /* they still hold */
    assert_string_equal(two->access_key, "key-1");
    n.code = 0;
    n.expires_s = 0;
    assert_int_equal(creds_source_get(source, &three, NULL), 0);
    assert_string_equal(three->access_key, "key-3");
    assert_string_equal(one->access_key, "key-1"); /* a reference outlives the change */
}

static void creds_source_says_why_there_are_none(void **state)
{
    (void)state;
    struct numbered n = {.code = -EACCES};
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    struct creds *creds = NULL;
    struct err err = {0};
    assert_int_equal(creds_source_get(source, &creds, &err), -EACCES);
    assert_string_equal(err.msg, "fetch 1 failed");
    n.code = 0;
    assert_int_equal(creds_source_get(source, &creds, &err), 0);
    creds_unref(creds);
}

static void creds_refresh_asks_once_for_what_many_had_refused(void **state)
{
    (void)state;
    struct numbered n = {0};
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    CLEANUP(creds_unrefp) struct creds *stale = NULL;
    CLEANUP(creds_unrefp) struct creds *fresh = NULL;
    assert_int_equal(creds_source_get(source, &stale, NULL), 0);
    assert_int_equal(creds_source_refresh(source, stale, NULL), 1);
    assert_int_equal(creds_source_refresh(source, stale, NULL), 1);
    assert_int_equal(n.fetches, 2);
    assert_int_equal(creds_source_get(source, &fresh, NULL), 0);
    assert_string_equal(fresh->access_key, "key-2");
    n.code = -EIO;
    assert_int_equal(creds_source_refresh(source, fresh, NULL), -EIO);
}

static void creds_refresh_sees_that_nothing_has_changed(void **state)
{
    (void)state;
    struct numbered n = {.same = true};
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    CLEANUP(creds_unrefp) struct creds *creds = NULL;
    assert_int_equal(creds_source_get(source, &creds, NULL), 0);
    assert_int_equal(creds_source_refresh(source, creds, NULL), 0);
    assert_int_equal(n.fetches, 2);
}

struct asker {
    struct creds_source *source;
    pthread_t thread;
    int code;
};

static void *asker_run(void *arg)
{
    struct asker *a = arg;
    struct creds *creds = NULL;
    a->code = creds_source_get(a->source, &creds, NULL);
    creds_unref(creds);
    return NULL;
}

static void creds_are_fetched_by_one_thread_for_all(void **state)
{
    (void)state;
    pthread_barrier_t wait;
    struct numbered n = {.wait = &wait};
    struct asker asker[8];
    CLEANUP(creds_source_freep) struct creds_source *source = numbered_source(&n);
    assert_int_equal(pthread_barrier_init(&wait, NULL, 2), 0);
    for (size_t i = 0; i < ARRAY_SIZE(asker); i++) {
        asker[i].source = source;
        assert_int_equal(pthread_create(&asker[i].thread, NULL, asker_run, &asker[i]), 0);
    }
    (void)pthread_barrier_wait(&wait); /* the one that asks may go on */
    for (size_t i = 0; i < ARRAY_SIZE(asker); i++) {
        assert_int_equal(pthread_join(asker[i].thread, NULL), 0);
        assert_int_equal(asker[i].code, 0);
    }
    assert_int_equal(n.fetches, 1);
    (void)pthread_barrier_destroy(&wait);
}

static void creds_refuse_texts_that_no_header_can_hold(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a\nb", "a\rb", "\x7f", "\xc3\xa9"};
    struct creds *creds = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(creds_new(bad[i], "s", NULL, 0, &creds), -EINVAL);
        assert_int_equal(creds_new("a", "s", bad[i], 0, &creds), -EINVAL);
    }
    assert_int_equal(creds_new("a", NULL, NULL, 0, &creds), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creds_are_fetched_once_and_kept),
        cmocka_unit_test(creds_that_are_about_to_expire_are_fetched_again),
        cmocka_unit_test(creds_source_says_why_there_are_none),
        cmocka_unit_test(creds_refresh_asks_once_for_what_many_had_refused),
        cmocka_unit_test(creds_refresh_sees_that_nothing_has_changed),
        cmocka_unit_test(creds_are_fetched_by_one_thread_for_all),
        cmocka_unit_test(creds_refuse_texts_that_no_header_can_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
