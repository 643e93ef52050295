#ifndef BMFS_OPS_WATCH_H
#define BMFS_OPS_WATCH_H

/* How far a long operation is: written by the operation, read at any time by whoever shows it.
 * Totals are set before the first step. Every function takes NULL for nobody watches. */

#include "base/util.h"

#include <stdatomic.h>

struct watch {
    _Atomic int64_t steps, steps_done; /* steps of about equal work */
    _Atomic uint64_t bytes_read, bytes_written;
    _Atomic int64_t flops;
};

static inline void watch_steps(struct watch *w, int64_t steps)
{
    if (w)
        atomic_store(&w->steps, steps);
}

static inline void watch_done(struct watch *w, int64_t steps)
{
    if (w)
        (void)atomic_fetch_add(&w->steps_done, steps);
}

static inline int64_t watch_so_far(const struct watch *w)
{
    return w ? atomic_load(&w->steps_done) : 0;
}

static inline void watch_flops(struct watch *w, int64_t flops)
{
    if (w)
        (void)atomic_fetch_add(&w->flops, flops);
}

static inline void watch_read(struct watch *w, uint64_t bytes)
{
    if (w)
        (void)atomic_fetch_add(&w->bytes_read, bytes);
}

static inline void watch_written(struct watch *w, uint64_t bytes)
{
    if (w)
        (void)atomic_fetch_add(&w->bytes_written, bytes);
}

#endif
