#ifndef BMFS_TOOLS_COMPUTE_H
#define BMFS_TOOLS_COMPUTE_H

/* What the commands that run on the engine have in common: from an algorithm to its plan, or to its
 * result and a report. */

#include "ops/job.h"
#include "ops/run.h"
#include "tools/cmd.h"

/* The first member of such a command's options. */
struct compute_conf {
    struct cmd_common common;
    bool plan, resume, force, verify;
    uint64_t memory;   /* 0: by the machine; see compute_begin() */
    int64_t threads;   /* 0: the same */
    const char *trace; /* NULL: none */
};

#define COMPUTE_AT(field) offsetof(struct compute_conf, field)
#define COMPUTE_ITEMS                                                                                \
    {"memory",  0,                                                                                   \
     OPTS_SIZE, COMPUTE_AT(memory),                                                                  \
     "SIZE",    "memory for blocks (default: half of the machine's, or of the control group's)"},    \
        {"threads", 0,                                                                               \
         OPTS_INT,  COMPUTE_AT(threads),                                                             \
         "N",       "threads that compute (default: one for each processor we may use)"},            \
        {"plan", 0, OPTS_FLAG, COMPUTE_AT(plan), NULL, "only say what would be done"},               \
        {"resume", 0, OPTS_FLAG, COMPUTE_AT(resume), NULL, "go on with what an earlier run left"},   \
        {"force", 'f', OPTS_FLAG, COMPUTE_AT(force), NULL, "delete the output that is there first"}, \
        {"verify",  0,                                                                               \
         OPTS_FLAG, COMPUTE_AT(verify),                                                              \
         NULL,      "check the result against random vectors; right: a residual below 30"},          \
        {"trace",           0,      OPTS_STRING,                                                     \
         COMPUTE_AT(trace), "FILE", "write what each thread did when, as Chrome trace events"},      \
        CMD_PROGRESS, CMD_JSON, CMD_QUIET

/* The end of such a command's description. */
#define COMPUTE_TEXT                                                                                  \
    "\n\n"                                                                                            \
    "The more --memory, the less often inputs are read, but the larger the part of the result that\n" \
    "is computed at a time: its blocks are stored later, near the end when all of it fits.\n"         \
    "--verify multiplies both sides of the equation with random vectors. The residual is their\n"     \
    "difference in units of the rounding error to be expected: dimension x machine epsilon x the\n"   \
    "norms of the operands. Right results are far below 30, the limit; a wrong element of normal\n"   \
    "size gives about 1 / (dimension x epsilon)."

struct compute {
    const char *label;       /* "gemm" */
    const char *path;        /* of the output */
    struct matdir *input[4]; /* borrowed; NULL where there is none */
    struct job job;          /* owned parameters */
    struct header header;    /* owned: of the output */
    struct run_algorithm algorithm;
    uint64_t memory;
    int threads;
    uint64_t bound;               /* bytes that must be read with this memory */
    const char *bound_text;       /* its formula */
    struct run_traffic numpywren; /* of its task graph for the same; zeros: it has none */
    int64_t reads_checked;        /* blocks read before the algorithm begins, and their bytes */
    uint64_t bytes_checked;
    /* The residual of the result, below 30 for a right one. 0 or -errno. */
    int (*verify)(const void *x, const struct matdir *out, double *ret, struct err *err);
};

enum { COMPUTE_RESIDUAL_MAX = 30 };

/* Settles memory and threads, and the code that computes: may start the program again. First of
 * all. 0 or -EINVAL. */
int compute_begin(const struct cmd_call *call, struct compute *c, struct err *err);

/* Whether the output can be made: see tools/output.h. Before the inputs are looked at closely. */
int compute_check(const struct cmd_call *call, const struct compute *c, struct err *err);

/* With --resume: 1 when the output is complete, and made by the same job; 0 when there is something
 * to do. May start the program again. Or -errno. */
int compute_is_done(const struct cmd_call *call, struct compute *c, struct err *err);

/* Prints the plan, or makes the output, checks it and reports. Returns an exit status of 0 or 1, or
 * -errno. */
int compute_run(struct cmd_call *call, struct compute *c, struct err *err);

/* Fits CLEANUP. */
void compute_fini(struct compute *c);

#endif
