#ifndef BMFS_BASE_LOCK_H
#define BMFS_BASE_LOCK_H

/* A mutex held for the rest of a scope:
 *
 *     LOCK_SCOPE(&pool->mu);
 */

#include "base/util.h"

#include <pthread.h>

static inline pthread_mutex_t *lock_take(pthread_mutex_t *mu)
{
    (void)pthread_mutex_lock(mu); /* fails only for a mutex that was never initialised */
    return mu;
}

static inline void lock_dropp(pthread_mutex_t *const *mu)
{
    (void)pthread_mutex_unlock(*mu);
}

#define LOCK_SCOPE(mu) \
    CLEANUP(lock_dropp) __attribute__((unused)) pthread_mutex_t *lock_scope_ = lock_take(mu)

/* Initialises a condition variable whose timed waits follow the clock of clock_ms(). */
void lock_cond_init(pthread_cond_t *cond);

/* Waits with `mu` held until signalled or until clock_ms() reaches `until_ms`. False: too late. */
bool lock_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mu, int64_t until_ms);

#endif
