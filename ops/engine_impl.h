#ifndef BMFS_OPS_ENGINE_IMPL_H
#define BMFS_OPS_ENGINE_IMPL_H

/* Shared by engine.c, what the loop nest calls, and engine_run.c, the threads that do it.
 *
 * A tile's versions: every load or step that is asked for makes one more `wanted`; when it is done,
 * `made` follows. A step may begin when each of its tiles has reached the version that it had when
 * the step was asked for. Steps of one tile therefore run in order, and nothing else orders them.
 */

#include "ops/arena.h"
#include "ops/engine.h"

#include <pthread.h>

enum {
    ENGINE_WINDOW = 8192, /* steps that wait or run */
    ENGINE_LOOK = 512,    /* of them, looked at for one that can run */
    ENGINE_READERS = 4,
    ENGINE_AHEAD = ENGINE_READERS, /* loads that wait for memory */
    ENGINE_WRITERS = 2,
    ENGINE_COPY = 1, /* bytes in a nanosecond: about what a copy makes, with all readers at it */
    ENGINE_WHAT_SIZE = 64, /* a block in a trace */
};

struct slot {
    struct tile tile;
    size_t bytes;
    int refs;         /* the loop nest's, and of what is under way */
    int wanted, made; /* versions, see above */
    bool follows;     /* see ops/result.h */
};

struct engine_step {
    const struct step_kind *kind;
    struct step_args args;
    struct slot *out, *in[STEP_INPUTS_MAX];
    int out_version, in_version[STEP_INPUTS_MAX]; /* that they must have reached */
    bool ready, finished;
    int phase, phases;        /* -1 before the first */
    int pieces, begun, ended; /* of the phase */
};

/* A block on its way in or out. */
struct engine_move {
    struct engine_move *next;
    struct slot *slot;
    struct source source;  /* of a load from elsewhere */
    struct result *result; /* of a load from the result, or of a store; else NULL */
    int64_t i, j;
    int flags;
    int version;     /* of a store: what the tile must have reached */
    int64_t ordinal; /* of a load among loads, of a store among stores: from 0 */
    uint32_t crc;    /* of a store, once it is prepared */
};

struct engine_queue {
    struct engine_move *head, **tail;
};

struct engine_thread {
    struct engine *e;
    pthread_t thread;
    int row; /* in the trace */
};

struct engine {
    struct engine_conf conf;
    struct engine_thread *threads; /* owned */
    int started;

    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed; /* a tile has a new version, a step or a move is there, or the end */
    pthread_cond_t room;    /* memory was given back, a step has ended, or all is done */
    struct arena *arena;    /* NULL when it only counts */
    uint64_t held;          /* bytes that the loop nest holds */
    struct engine_count count;
    struct engine_step *step; /* owned: a ring; steps `first` ... `last` - 1, modulo its size */
    int64_t first, last;
    struct engine_queue loads, stores;
    int64_t pending;       /* steps, loads and stores that have not ended */
    int64_t loads_asked;   /* ordinals given */
    int64_t loads_granted; /* loads that have got memory, in their order */
    bool is_slow;          /* the latest load that was not expected came slower than a copy */
    int64_t stores_asked;  /* ordinals given */
    int64_t stores_linked; /* stores that have got their name, for ordered results */
    bool ending;           /* nothing more will be asked for */
    bool halted; /* and nothing more is published. Where the numbers do not allow it, -EDOM, what
                    was computed before still is: it is right */
    bool failed; /* `code` and `err` say why */
    int code;
    struct err err;
};

/* Starts the threads; those that were started are stopped by engine_run_stop(). 0 or -errno. */
int engine_run_start(struct engine *e, struct err *err);

/* Waits until all is done or something failed, and ends the threads. */
void engine_run_stop(struct engine *e);

/* Records the first failure and wakes everyone. */
void engine_fail_locked(struct engine *e, int code, const struct err *err);

/* Memory for a slot. 1; 0 when others must give it back first: to be asked for again after `room`;
 * or a negative number after a failure. */
int engine_take_locked(struct engine *e, struct slot *slot);

/* One holder less; frees the slot when it was the last. */
void engine_unref_locked(struct engine *e, struct slot *slot);

#endif
