#ifndef BMFS_BASE_POOL_H
#define BMFS_BASE_POOL_H

/* A bounded pool of threads for work that waits: requests to the store, large copies.
 *
 * Threads are started as work arrives, up to the maximum, and live until pool_stop(). Jobs start in
 * the order of submission. A job may submit further jobs, but must not wait for one. */

#include "base/util.h"

struct pool;

typedef void pool_fn(void *arg);

/* `name` (at most 15 bytes, copied) is what top and gdb show. 0 or -ENOMEM. */
int pool_new(const char *name, int threads_max, int queue_max, struct pool **ret);

/* Queues fn(arg); any thread. 0, -EAGAIN when `queue_max` jobs wait, -ESHUTDOWN after pool_close,
 * -ENOMEM when not even one thread could be started. On failure fn is never called. */
int pool_submit(struct pool *pool, pool_fn *fn, void *arg);

/* Refuses new jobs; those that were accepted still run. */
void pool_close(struct pool *pool);

/* pool_close(), then waits until every accepted job has returned. Not from one of its jobs. */
void pool_stop(struct pool *pool);

/* Stops and frees. NULL is fine. */
void pool_free(struct pool *pool);

#endif
