#ifndef BMFS_TOOLS_PROGRESS_H
#define BMFS_TOOLS_PROGRESS_H

/* Shows how far a long command is, and ends it on a signal.
 *
 * A thread of its own looks at the watch, so that the work is never interrupted: SIGINT, SIGTERM
 * and SIGUSR1 are blocked in the thread that works. SIGUSR1 prints a line at once. The first SIGINT
 * or SIGTERM removes the scratch files of ops/publish.h and ends the process with 130 or 143; a
 * second one ends it as it is. Nothing else needs to be undone: what has a name is complete.
 *
 *   bar   a line that is redrawn, on a terminal
 *   log   a plain line for every 10 %, but 5 to 30 seconds apart, and one at 100 %
 *   json  the same as objects
 *   auto  bar if standard error is a terminal that can, and CI is not set; else log. No bar in the
 *         first second, and no last line after a log that was empty. */

#include "base/err.h"
#include "ops/watch.h"

#include <pthread.h>
#include <signal.h>

enum progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_LOG, PROGRESS_JSON };

enum { PROGRESS_SIGNALS = 3 };

struct progress_conf {
    const char *tool;   /* "bm-gemm" */
    const char *label;  /* "gemm A B -> C" */
    const char *unit;   /* of the watch's steps: "blocks" */
    const char *how;    /* what --progress says; NULL: auto */
    bool quiet;         /* none, unless `how` says otherwise */
    const char *output; /* the matrix that is being made, or NULL: said when a signal ends it */
    bool resumable;     /* then --resume goes on */
    /* Called in the thread when a signal ends the process, which follows. `hint`: how to go on, or
     * "". */
    void (*interrupted)(void *arg, const char *signal, const char *hint);
    void *arg;
};

struct progress {
    struct progress_conf conf;
    struct watch *watch; /* borrowed until progress_stop() */
    enum progress_mode mode;
    int64_t quiet_until_ns; /* nothing is shown before */
    int64_t start_ns;
    bool started;
    struct sigaction before[PROGRESS_SIGNALS]; /* what signals did */
    pthread_t thread;
    int wake[2]; /* a pipe: the number of a signal, or 0 to end */

    /* The thread's own: */
    int64_t shown_ns;    /* when the last line was printed */
    int64_t shown_tenth; /* and how many tenths were done then */
    bool shown;          /* something was printed */
};

/* 0, or -EINVAL for a mode that does not exist. One at a time in a process. */
int progress_start(struct progress *p, const struct progress_conf *conf, struct watch *watch,
                   struct err *err);

/* Ends the thread, with a last line when one is due. Fine without a start. */
void progress_stop(struct progress *p, bool done);

#endif
