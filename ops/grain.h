#ifndef BMFS_OPS_GRAIN_H
#define BMFS_OPS_GRAIN_H

/* The kinds of steps, cut at the grain: every call of BLAS is by one thread on at most GRAIN rows
 * and columns of what it writes, or in a product on two or four grains along one or both.
 * OpenBLAS's bits depend on how a product is cut, so the grain is part of a result's description
 * and never changes with threads or memory. */

#include "ops/step.h"

enum {
    GRAIN = 512,
    GRAIN_CUT = 3, /* how steps are cut at it, and sums: another number for each change of bits */
};

/* out += alpha op(in[0]) op(in[1]). In pieces of 1024, or when they are coarse of 2048. */
extern const struct step_kind grain_gemm;

/* Whether a result of so many rows and columns keeps threads busy in coarse pieces. */
bool grain_is_coarse(int64_t rows, int64_t columns);

/* The same in smaller pieces, for where threads wait for each other's results. */
extern const struct step_kind grain_update;

/* out *= alpha */
extern const struct step_kind grain_scale;

/* out += in[0] */
extern const struct step_kind grain_add;

/* The diagonal of out += alpha */
extern const struct step_kind grain_shift;

/* The lower triangle of out += alpha in[0] in[0]^H, or alpha in[0]^H in[0] with transa 'c'; alpha
 * is real */
extern const struct step_kind grain_herk;

/* out := op(in[0])^-1 out, or out op(in[0])^-1; see tri_trsm(). -EDOM: singular; says where. */
extern const struct step_kind grain_trsm;

/* out := in[0]^H */
extern const struct step_kind grain_turn;

/* Makes out, of which the lower triangle counts, Hermitian. */
extern const struct step_kind grain_mirror;

/* The lower triangle of out := L with L L^H = out. -EDOM: not positive definite; says where. */
extern const struct step_kind grain_potrf;

#endif
