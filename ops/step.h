#ifndef BMFS_OPS_STEP_H
#define BMFS_OPS_STEP_H

/* One step of an algorithm: tiles in, one tile changed. A kind of step says how the work is cut
 * into pieces, each of which one thread does alone. Pieces of a phase may run at the same time;
 * phases follow each other. How a step is cut depends on its tiles' sizes and on nothing else, so
 * the bits of the result do not depend on the number of threads. */

#include "base/err.h"
#include "ops/tile.h"

#include <complex.h>

struct matdir;

enum { STEP_INPUTS_MAX = 2 };

struct step_args {
    struct tile in[STEP_INPUTS_MAX];
    struct tile out;
    char transa, transb;
    char side, uplo, diag; /* of triangular systems, as BLAS has them */
    bool coarse;           /* of products: in large pieces, for the result has many of them */
    double complex alpha;
    /* For messages: the matrix that `out`, or a triangular `in`, belongs to, its place on the
     * diagonal and its first row. */
    const struct matdir *matrix;
    int64_t block, row;
};

struct step_kind {
    const char *name;
    int inputs;
    bool counts;                              /* in what is shown of the progress */
    int (*phases)(const struct step_args *x); /* NULL: one */
    int (*pieces)(const struct step_args *x, int phase);
    /* 0, or -EDOM: the numbers do not allow it. */
    int (*run)(const struct step_args *x, int phase, int piece, struct err *err);
    int64_t (*flops)(const struct step_args *x);
};

#endif
