#ifndef BMFS_OPS_SYRK_H
#define BMFS_OPS_SYRK_H

/* C := A A^H, or A^H A, at half the work of a product: blocks on and below the diagonal are
 * computed, and the others are their conjugate transposes, so that C is exactly Hermitian. Each
 * block is summed over ascending k, in chunks where C is small and k is long (ops/sum.h), and
 * written once. NaN and infinities go through.
 *
 * A super-block of p x p blocks of C stays in memory with a line of A's blocks while others stream
 * past: p p + p + 1 blocks. */

#include "ops/run.h"

struct syrk {
    char trans;                  /* 'n': A A^H, 'c': A^H A */
    bool lower;                  /* the blocks above the diagonal are left out */
    const struct matdir *a;      /* borrowed */
    const struct stamps *stamps; /* borrowed, or NULL: see ops/stamps.h */
    uint64_t memory;             /* bytes of tiles */
};

/* Checks A, and says what C will be. 0 or -EINVAL. *ret owns nothing. */
int syrk_plan(const struct syrk *s, struct header *ret, struct err *err);

/* Super-blocks along C's rows, and columns: the fewest that fit. -EINVAL when not even one block
 * does. */
int syrk_parts(const struct syrk *s, int64_t *ret, struct err *err);

/* Bytes that any order of the products must read with that memory S (in elements):
 * n^2 k / (sqrt(2) sqrt(S)) (Beaumont, Eyraud-Dubois, Verite, Langou, SPAA'22), but at least A
 * once. */
uint64_t syrk_bound(const struct syrk *s);

/* The loop nest. *s has parts and outlives it. */
struct run_algorithm syrk_algorithm(const struct syrk *s);

#endif
