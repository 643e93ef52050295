#include "base/pool.h"

#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Enough for curl, OpenSSL and the sanitizers; only touched pages cost memory. */
enum { POOL_STACK_BYTES = 1 << 20 };

struct pool_job {
    pool_fn *fn;
    void *arg;
};

struct pool {
    char name[16];
    int threads_max;
    size_t queue_max;
    struct pool_job *job; /* ring of queue_max jobs */
    pthread_t *thread;    /* threads_max of them */

    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t work; /* a job was queued, or the pool closed */
    size_t head;         /* next job to start */
    size_t count;        /* jobs that wait */
    int threads;         /* started */
    int idle;            /* of them, waiting for work */
    bool closed;
    bool joined;
};

int pool_new(const char *name, int threads_max, int queue_max, struct pool **ret)
{
    struct pool *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->threads_max = threads_max;
    p->queue_max = (size_t)queue_max;
    p->job = calloc(p->queue_max, sizeof(*p->job));
    p->thread = calloc((size_t)threads_max, sizeof(*p->thread));
    if (!p->job || !p->thread) {
        free(p->job);
        free(p->thread);
        free(p);
        return -ENOMEM;
    }
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    (void)pthread_mutex_init(&p->mu, NULL);
    lock_cond_init(&p->work);
    *ret = p;
    return 0;
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    (void)pthread_setname_np(pthread_self(), p->name);
    (void)pthread_mutex_lock(&p->mu);
    for (;;) {
        while (p->count == 0 && !p->closed) {
            p->idle++;
            (void)pthread_cond_wait(&p->work, &p->mu);
            p->idle--;
        }
        if (p->count == 0)
            break;
        struct pool_job job = p->job[p->head];
        p->count--;
        p->head =
            p->count == 0 ? 0 : (p->head + 1) % p->queue_max; /* few of its pages are touched */
        (void)pthread_mutex_unlock(&p->mu);
        job.fn(job.arg);
        (void)pthread_mutex_lock(&p->mu);
    }
    (void)pthread_mutex_unlock(&p->mu);
    return NULL;
}

/* Starts one more thread if the queue is longer than the threads that wait for it. */
static int pool_grow_locked(struct pool *p)
{
    if (p->threads == p->threads_max || (size_t)p->idle > p->count)
        return 0;
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    (void)pthread_attr_setstacksize(&attr, POOL_STACK_BYTES);
    int r = pthread_create(&p->thread[p->threads], &attr, pool_thread, p);
    (void)pthread_attr_destroy(&attr);
    if (r == 0)
        p->threads++;
    return p->threads > 0 ? 0 : -ENOMEM; /* fewer threads than wished still do the work */
}

int pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
    LOCK_SCOPE(&p->mu);
    if (p->closed)
        return -ESHUTDOWN;
    if (p->count == p->queue_max)
        return -EAGAIN;
    int r = pool_grow_locked(p);
    if (r < 0)
        return r;
    p->job[(p->head + p->count) % p->queue_max] = (struct pool_job){fn, arg};
    p->count++;
    (void)pthread_cond_signal(&p->work);
    return 0;
}

void pool_close(struct pool *p)
{
    LOCK_SCOPE(&p->mu);
    p->closed = true;
    (void)pthread_cond_broadcast(&p->work);
}

void pool_stop(struct pool *p)
{
    pool_close(p);
    (void)pthread_mutex_lock(&p->mu);
    int threads = p->joined ? 0 : p->threads;
    p->joined = true;
    (void)pthread_mutex_unlock(&p->mu);
    for (int i = 0; i < threads; i++)
        (void)pthread_join(p->thread[i], NULL);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pool_stop(p);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->mu);
    free(p->thread);
    free(p->job);
    free(p);
}
