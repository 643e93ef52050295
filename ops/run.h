#ifndef BMFS_OPS_RUN_H
#define BMFS_OPS_RUN_H

/* From an algorithm to its plan and to its result. */

#include "ops/engine.h"

struct run_conf {
    uint64_t memory; /* bytes of tiles */
    int threads;
    struct watch *watch; /* borrowed, or NULL */
    struct trace *trace; /* borrowed, or NULL */
    struct err *note;    /* borrowed, or NULL: set when all is done but something was left behind */
};

/* Rows, or columns, of blocks that algorithms look over before they begin. */
enum { RUN_LINES_MAX = 1 << 24 };

/* 0; -EINVAL for a matrix with two axes whose blocks are too large for BLAS, or too many. */
int run_check_grid(const struct matdir *m, struct err *err);

/* An algorithm: its loop nest, and how the result is to be treated. */
struct run_algorithm {
    /* `x` is the algorithm's own description. Must do the same each time. */
    void (*walk)(const void *x, struct result *out, struct engine *e);
    const void *x;
    bool turned, ordered, finite; /* see ops/result.h */
    int64_t spans; /* sums that are stored on the way for each block, see ops/sum.h; or 0 */
};

/* Counts what run_do() would do with the blocks of `out` that are not there yet; with `fresh` with
 * all of them, and needs no directory. 0 or -errno. */
int run_plan(const struct run_algorithm *a, const struct matdir *out, bool fresh,
             struct engine_count *ret, struct err *err);

/* Which blocks are computed from the one of that rank: *ret, by rank, for the caller to free. 0 or
 * -errno. */
int run_dependents(const struct run_algorithm *a, const struct matdir *out, int64_t rank,
                   bool **ret, struct err *err);

/* Makes every block of `out` that is not there. 0, or -errno; *ret is set in either case. Sets the
 * watch's total. */
int run_do(const struct run_algorithm *a, const struct matdir *out, const struct run_conf *conf,
           struct engine_count *ret, struct err *err);

/* Blocks that another way of computing moves. */
struct run_traffic {
    int64_t reads, writes;
};

/* Super-blocks along one axis: `total` blocks in `parts` of about equal size; part p begins here.
 */
static inline int64_t run_part(int64_t total, int64_t parts, int64_t p)
{
    return total / parts * p + total % parts * p / parts;
}

static inline int64_t run_ceil(int64_t n, int64_t d)
{
    return (n + d - 1) / d;
}

#endif
