#include "base/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

void lock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0 ||
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(cond, &attr) != 0)
        abort(); /* glibc has no way to fail here */
    (void)pthread_condattr_destroy(&attr);
}

bool lock_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mu, int64_t until_ms)
{
    struct timespec ts = {.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, mu, &ts) != ETIMEDOUT;
}
