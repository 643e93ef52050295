#ifndef BMFS_OPS_RESULT_H
#define BMFS_OPS_RESULT_H

/* The matrix that a run makes: which of its blocks are there. Blocks are never changed once they
 * have their name, so what is there is done. */

#include "ops/record.h"

struct result {
    const struct matdir *m; /* borrowed */
    bool turned;            /* the algorithm's block (i, j) is stored transposed as (j, i) */
    bool ordered; /* blocks are computed from others: they appear in the order of their making, and
                     one that another run was quicker to publish, with other bits, replaces what
                     was computed here: the run ends with ENGINE_AGAIN and begins again behind it */
    bool finite;  /* a number that is none is an error, -EDOM */
    bool scratch; /* a help on the way: where a block of it cannot be read the run ends with
                     ENGINE_AGAIN and begins again without it */
    _Atomic bool absent; /* of scratch: nothing can be stored in it, and nothing need be */
    struct result *sums; /* borrowed: sums of spans of k by number, see ops/sum.h; or NULL */
    bool *had;           /* owned: by rank, blocks that were there when the run began */
    struct record
        record;    /* owned: what blocks were or are; each is for the thread that stores it */
    bool *there;   /* owned: blocks that are there now; guarded by the engine's lock */
    bool *follows; /* borrowed, for an engine that only counts, or NULL: by rank, grows by the
                      blocks that are computed from those in it */
};

/* Lists what is there. 0 or -errno. The caller sets the flags. */
int result_init(const struct matdir *m, struct result *ret, struct err *err);

/* One of which nothing is there yet, to plan with; needs no directory. */
int result_init_empty(const struct matdir *m, struct result *ret, struct err *err);

/* Rank of the algorithm's block (i, j). */
static inline int64_t result_rank(const struct result *r, int64_t i, int64_t j)
{
    const int64_t index[] = {r->turned ? j : i, r->turned ? i : j};
    return grid_rank(&r->m->header.grid, index);
}

static inline bool result_had(const struct result *r, int64_t i, int64_t j)
{
    return r->had[result_rank(r, i, j)];
}

/* Fits CLEANUP. */
void result_fini(struct result *r);

#endif
