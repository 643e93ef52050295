#ifndef BMFS_OPS_ARENA_H
#define BMFS_OPS_ARENA_H

/* Memory for tiles within a budget. What is given back is kept for the next taker: fresh pages cost
 * as much time as the arithmetic of a small tile. All that is held, in use or kept, counts. One
 * thread at a time: the engine's lock guards it. */

#include "base/util.h"

struct arena;

/* 0 or -ENOMEM. `budget`: bytes. */
int arena_new(uint64_t budget, struct arena **ret);

/* Memory of `bytes` > 0, aligned to 64 bytes or, when it is large, to huge pages. 0; -EAGAIN while
 * others must be given back first; -EDQUOT when the budget is smaller than that; -ENOMEM. */
int arena_take(struct arena *a, size_t bytes, void **ret);

void arena_give(struct arena *a, void *p);

/* The most bytes that were in use at one time. */
uint64_t arena_peak(const struct arena *a);

/* Frees all. NULL is fine. */
void arena_free(struct arena *a);

#endif
