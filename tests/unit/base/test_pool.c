#include "tests/unit/unit.h"

#include "base/pool.h"

#include "base/lock.h"

#include <errno.h>

struct pool_state {
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed;
    int started, finished;
    bool go;
};

static void pool_state_init(struct pool_state *s)
{
    *s = (struct pool_state){0};
    assert_int_equal(pthread_mutex_init(&s->mu, NULL), 0);
    lock_cond_init(&s->changed);
}

static void pool_job_waits_for_go(void *arg)
{
    struct pool_state *s = arg;
    LOCK_SCOPE(&s->mu);
    s->started++;
    (void)pthread_cond_broadcast(&s->changed);
    while (!s->go)
        (void)pthread_cond_wait(&s->changed, &s->mu);
    s->finished++;
}

static void pool_wait_started(struct pool_state *s, int n)
{
    LOCK_SCOPE(&s->mu);
    while (s->started < n)
        assert_true(lock_cond_wait_until(&s->changed, &s->mu, clock_ms() + 10000));
}

static void pool_let_go(struct pool_state *s)
{
    LOCK_SCOPE(&s->mu);
    s->go = true;
    (void)pthread_cond_broadcast(&s->changed);
}

static void pool_runs_as_many_at_once_as_it_has_threads(void **state)
{
    (void)state;
    struct pool_state s;
    pool_state_init(&s);
    struct pool *pool = NULL;
    assert_int_equal(pool_new("test", 4, 16, &pool), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), 0);
    pool_wait_started(&s, 4);
    pool_let_go(&s);
    pool_free(pool);
    assert_int_equal(s.finished, 4);
}

static void pool_refuses_when_its_queue_is_full(void **state)
{
    (void)state;
    struct pool_state s;
    pool_state_init(&s);
    struct pool *pool = NULL;
    assert_int_equal(pool_new("test", 1, 2, &pool), 0);
    assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), 0);
    pool_wait_started(&s, 1);
    assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), 0);
    assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), 0);
    assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), -EAGAIN);
    pool_let_go(&s);
    pool_free(pool);
    assert_int_equal(s.finished, 3);
}

static void pool_stop_runs_what_was_accepted_and_refuses_the_rest(void **state)
{
    (void)state;
    struct pool_state s;
    pool_state_init(&s);
    s.go = true;
    struct pool *pool = NULL;
    assert_int_equal(pool_new("test", 2, 1000, &pool), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), 0);
    pool_stop(pool);
    assert_int_equal(s.finished, 1000);
    assert_int_equal(pool_submit(pool, pool_job_waits_for_go, &s), -ESHUTDOWN);
    pool_free(pool);
    pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_as_many_at_once_as_it_has_threads),
        cmocka_unit_test(pool_refuses_when_its_queue_is_full),
        cmocka_unit_test(pool_stop_runs_what_was_accepted_and_refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
