#include "s3/http_pool.h"

#include "base/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct http_pool {
    CURLSH *share;
    pthread_mutex_t share_mu[CURL_LOCK_DATA_LAST]; /* taken by curl, innermost */
    _Atomic bool stopped;
    _Atomic int64_t moved_ms; /* when bytes last moved anywhere */
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t given;
    int slots_max;
    int slots;                                    /* slot[0..slots) have handles */
    struct http_slot slot[HTTP_CONNECTIONS_MAX];  /* handles of one in use are its user's */
    struct http_slot *idle[HTTP_CONNECTIONS_MAX]; /* a stack */
    int idles;
};

static void http_pool_share_lock(CURL *easy, curl_lock_data data, curl_lock_access access,
                                 void *arg)
{
    (void)easy;
    (void)access;
    struct http_pool *pool = arg;
    (void)pthread_mutex_lock(&pool->share_mu[data]);
}

static void http_pool_share_unlock(CURL *easy, curl_lock_data data, void *arg)
{
    (void)easy;
    struct http_pool *pool = arg;
    (void)pthread_mutex_unlock(&pool->share_mu[data]);
}

static CURLSH *http_pool_share(struct http_pool *pool)
{
    CURLSH *share = curl_share_init();
    if (!share)
        return NULL;
    bool ok =
        curl_share_setopt(share, CURLSHOPT_LOCKFUNC, http_pool_share_lock) == CURLSHE_OK &&
        curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, http_pool_share_unlock) == CURLSHE_OK &&
        curl_share_setopt(share, CURLSHOPT_USERDATA, pool) == CURLSHE_OK &&
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
    if (ok)
        return share;
    (void)curl_share_cleanup(share);
    return NULL;
}

int http_pool_new(int slots_max, struct http_pool **ret)
{
    struct http_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(pool->share_mu); i++)
        (void)pthread_mutex_init(&pool->share_mu[i], NULL);
    (void)pthread_mutex_init(&pool->mu, NULL);
    lock_cond_init(&pool->given);
    pool->slots_max = slots_max;
    pool->share = http_pool_share(pool);
    if (!pool->share) {
        http_pool_free(pool);
        return -ENOMEM;
    }
    *ret = pool;
    return 0;
}

static void http_pool_slot_fini(struct http_slot *slot)
{
    if (slot->multi)
        (void)curl_multi_cleanup(
            slot->multi); /* closes the connections, which the share outlives */
    curl_easy_cleanup(slot->easy);
}

static int http_pool_grow_locked(struct http_pool *pool, struct http_slot **ret)
{
    struct http_slot slot = {.easy = curl_easy_init(), .multi = curl_multi_init()};
    if (!slot.easy || !slot.multi ||
        curl_easy_setopt(slot.easy, CURLOPT_SHARE, pool->share) != CURLE_OK) {
        http_pool_slot_fini(&slot);
        return -ENOMEM;
    }
    pool->slot[pool->slots] = slot;
    *ret = &pool->slot[pool->slots++];
    return 0;
}

int http_pool_take(struct http_pool *pool, int64_t wait_ms, struct http_slot **ret)
{
    LOCK_SCOPE(&pool->mu);
    int64_t begun_ms = clock_ms();
    while (!http_pool_stopped(pool)) {
        if (pool->idles > 0) {
            *ret = pool->idle[--pool->idles];
            return 0;
        }
        if (pool->slots < pool->slots_max)
            return http_pool_grow_locked(pool, ret);
        int64_t until_ms = MAX(begun_ms, atomic_load(&pool->moved_ms)) + wait_ms;
        if (clock_ms() >= until_ms)
            return -EAGAIN;
        (void)lock_cond_wait_until(&pool->given, &pool->mu, until_ms);
    }
    return -ECANCELED;
}

void http_pool_give(struct http_pool *pool, struct http_slot *slot)
{
    LOCK_SCOPE(&pool->mu);
    pool->idle[pool->idles++] = slot;
    (void)pthread_cond_signal(&pool->given);
}

void http_pool_moved(struct http_pool *pool)
{
    atomic_store(&pool->moved_ms, clock_ms());
}

void http_pool_stop(struct http_pool *pool)
{
    atomic_store(&pool->stopped, true);
    LOCK_SCOPE(&pool->mu);
    (void)pthread_cond_broadcast(&pool->given);
    for (int i = 0; i < pool->slots; i++)
        (void)curl_multi_wakeup(pool->slot[i].multi); /* the one call that other threads may make */
}

bool http_pool_stopped(const struct http_pool *pool)
{
    return atomic_load(&pool->stopped);
}

void http_pool_free(struct http_pool *pool)
{
    if (!pool)
        return;
    for (int i = 0; i < pool->slots; i++)
        http_pool_slot_fini(&pool->slot[i]);
    if (pool->share)
        (void)curl_share_cleanup(pool->share);
    for (size_t i = 0; i < ARRAY_SIZE(pool->share_mu); i++)
        (void)pthread_mutex_destroy(&pool->share_mu[i]);
    (void)pthread_cond_destroy(&pool->given);
    (void)pthread_mutex_destroy(&pool->mu);
    free(pool);
}
