#ifndef BMFS_OPS_ENGINE_H
#define BMFS_OPS_ENGINE_H

/* Runs an algorithm over blocks within a memory budget.
 *
 * An algorithm is a loop nest in one thread that says, in order, which blocks it loads, what is
 * computed from which tiles, and which tiles are published. Nothing of it happens at once: threads
 * that read fetch ahead as far as the memory allows, and have the kernel read a little further;
 * those that compute take whatever step has its tiles, those that write follow behind. The loop
 * nest waits only for memory. What a step sees does not depend on when it runs: a tile goes through
 * its versions in the order of the loop nest. But a tile that steps read is changed again only by a
 * step that needs what they made: no other waits for those that read.
 *
 *     c = engine_blank(e, c_matrix, i, j);
 *     for k: a = engine_load(e, a_source, i, k, 0); ...
 *            engine_step(e, &grain_gemm, &args, c, a, b); engine_drop(e, a); ...
 *     engine_publish(e, c_matrix, i, j, c);
 *
 * The same loop nest runs on an engine that only counts: that is the plan.
 *
 * What the loop nest holds at any time must fit into the budget: what it has loaded and not yet
 * dropped or published. All functions are for the loop nest's thread. After a failure they do
 * nothing, and return NULL where they return a slot; NULL is fine for every slot. */

#include "ops/result.h"
#include "ops/stamps.h"
#include "ops/step.h"
#include "ops/trace.h"
#include "ops/watch.h"

#include <errno.h>

struct engine;
struct slot; /* a tile in the engine's memory */

enum { ENGINE_THREADS_MAX = 1024 };

/* The run is to begin again, behind what is there by now. No file system returns this. */
#define ENGINE_AGAIN (-ERESTART)

struct engine_conf {
    uint64_t memory;     /* bytes of tiles */
    int threads;         /* that compute: 1 to ENGINE_THREADS_MAX */
    bool dry;            /* only count */
    struct watch *watch; /* borrowed, or NULL: one step for each step whose kind counts */
    struct trace *trace; /* borrowed, or NULL */
};

/* What was counted, or done. */
struct engine_count {
    int64_t tasks;
    int64_t products; /* steps whose kind counts: what takes the time */
    int64_t flops;
    int64_t reads, writes; /* blocks */
    uint64_t bytes_read, bytes_written;
    uint64_t memory_held; /* the most that the loop nest held */
    uint64_t memory_peak; /* the most tile memory in use; 0 when only counted */
    int64_t kernel_ns;    /* in which threads computed, added up */
};

/* A matrix that is read. */
struct source {
    const struct matdir *m;
    bool turned;                 /* block (i, j) is the matrix's (j, i) transposed */
    const struct stamps *stamps; /* borrowed: what it must still be; or NULL */
};

enum {
    ENGINE_ROWS = 1,   /* row-major as stored: one that is stored otherwise is turned */
    ENGINE_LOWER = 2,  /* the lower triangle only: the others become 0 */
    ENGINE_FINITE = 4, /* -EDOM for a number that is NaN or infinite */
};

/* 0 or -errno. Starts the threads. */
int engine_new(const struct engine_conf *conf, struct engine **ret, struct err *err);

/* A block of a source. */
struct slot *engine_load(struct engine *e, const struct source *s, int64_t i, int64_t j, int flags);

/* A block of the result, as soon as it is there: it was, or is published by an earlier step. */
struct slot *engine_reload(struct engine *e, struct result *r, int64_t i, int64_t j);

/* Memory for block (i, j) of the result, row-major as it is stored; all 0. */
struct slot *engine_blank(struct engine *e, const struct result *r, int64_t i, int64_t j);

/* Changes `out`. Of `args` the tiles are set here. */
void engine_step(struct engine *e, const struct step_kind *kind, const struct step_args *args,
                 struct slot *out, struct slot *in0, struct slot *in1);

/* Publishes a tile as block (i, j) of the result as it is after the steps so far. The loop nest may
 * go on reading it, not changing it. */
void engine_publish(struct engine *e, struct result *r, int64_t i, int64_t j, struct slot *slot);

/* The loop nest needs it no more. */
void engine_drop(struct engine *e, struct slot *slot);

/* A task begins: a super-block of the result. */
void engine_task(struct engine *e);

/* False once something failed: the loop nest may as well end. */
bool engine_goes_on(struct engine *e);

/* Makes the run fail. */
void engine_stop(struct engine *e, int code, const char *why);

/* Waits for all, ends the threads and frees. 0, or the first failure: ENGINE_AGAIN: see
 * result.ordered; or another -errno with its message. Counts are set in either case. */
int engine_finish(struct engine *e, struct engine_count *ret, struct err *err);

/* The dimensions of a slot's tile. */
int engine_rows(const struct slot *slot);
int engine_columns(const struct slot *slot);

#endif
