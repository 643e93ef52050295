#ifndef BMFS_TOOLS_FACTOR_H
#define BMFS_TOOLS_FACTOR_H

/* The Cholesky factor of an operand: all of bm-chol, and the first half of bm-solve. */

#include "ops/chol.h"
#include "tools/compute.h"

/* The first member of such a command's options. */
struct factor_conf {
    struct compute_conf compute;
    const char *uplo; /* NULL: "l" */
    double reg;
};

#define FACTOR_AT(field) offsetof(struct factor_conf, field)
#define FACTOR_ITEMS                                                                             \
    {"uplo",                                                                                     \
     0,                                                                                          \
     OPTS_STRING,                                                                                \
     FACTOR_AT(uplo),                                                                            \
     "l|u",                                                                                      \
     "A = L L^H from A's lower triangle, or A = U^H U from its upper one (default: l)"},         \
        {"reg", 0, OPTS_DOUBLE, FACTOR_AT(reg), "X", "add X to the diagonal of A (default: 0)"}, \
        COMPUTE_ITEMS

struct factor {
    struct chol chol;
    struct stamps stamps;   /* owned: of A */
    struct compute compute; /* owned */
};

/* Settles what is to be made of A, which is borrowed: a factor at `path`, with the memory and the
 * threads that compute_begin() has settled. Checks the options and A's header. 0 or -errno. */
int factor_init(const struct factor_conf *conf, struct matdir *a, const char *path,
                const struct compute *begun, struct factor *ret, struct err *err);

/* Checks that the factor can be made: its place, the memory, A's blocks and, unless it is only
 * planned, that they are Hermitian. 0 or -errno. */
int factor_look(struct cmd_call *call, struct factor *f, struct err *err);

/* Plans it or makes it: as compute_run(). */
int factor_run(struct cmd_call *call, struct factor *f, struct err *err);

/* Whether what is at its path was begun as this factor is, after factor_look(): 1, 0 (also when
 * nothing is there), or -errno. */
int factor_is_ours(struct factor *f, struct err *err);

/* The options as a job's parameters, for the caller to free. */
struct cJSON *factor_parameters(const struct factor *f);

/* Fits CLEANUP. */
void factor_fini(struct factor *f);

#endif
