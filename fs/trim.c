#include "fs/trim.h"

#include "base/lock.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

enum { TRIM_STACK_BYTES = 256 << 10 };

struct trim {
    pthread_t thread;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed;
    bool ended;
};

static void *trim_thread(void *arg)
{
    struct trim *t = arg;
    (void)pthread_setname_np(pthread_self(), "trim");
    LOCK_SCOPE(&t->mu);
    while (!t->ended) {
        int64_t next = clock_ms() + TRIM_EVERY_MS;
        while (!t->ended && lock_cond_wait_until(&t->changed, &t->mu, next))
            ;
        if (!t->ended)
            (void)malloc_trim(0);
    }
    return NULL;
}

static int trim_start_thread(struct trim *t)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    (void)pthread_attr_setstacksize(&attr, TRIM_STACK_BYTES);
    int r = pthread_create(&t->thread, &attr, trim_thread, t);
    (void)pthread_attr_destroy(&attr);
    return -r;
}

static void trim_free(struct trim *t)
{
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->mu);
    free(t);
}

struct trim *trim_start(void)
{
    struct trim *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    (void)pthread_mutex_init(&t->mu, NULL);
    lock_cond_init(&t->changed);
    if (trim_start_thread(t) == 0)
        return t;
    trim_free(t);
    return NULL;
}

void trim_stop(struct trim *t)
{
    if (!t)
        return;
    {
        LOCK_SCOPE(&t->mu);
        t->ended = true;
        (void)pthread_cond_signal(&t->changed);
    }
    (void)pthread_join(t->thread, NULL);
    trim_free(t);
}
