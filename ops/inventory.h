#ifndef BMFS_OPS_INVENTORY_H
#define BMFS_OPS_INVENTORY_H

/* What a matrix's directory holds: one listing, no file is opened. Memory follows from the number
 * of blocks that are there, not from the grid. */

#include "ops/matdir.h"

enum { INVENTORY_BLOCKS_MAX = 1 << 28 }; /* 2 GiB of numbers */

struct inventory {
    int64_t *rank;    /* owned: the blocks that are there, ascending; see grid_rank() */
    size_t count;     /* of them */
    size_t cap;       /* of `rank` */
    int64_t total;    /* blocks of the grid */
    int64_t missing;  /* of them, those that matdir_expects() and are not there */
    uint64_t bytes;   /* of the files of those blocks, when they were asked for */
    int64_t outside;  /* blocks outside the grid, or with another number of axes */
    int64_t scratch;  /* scratch files of bmfs's tools: being written, or left by killed ones */
    int64_t misnamed; /* block_I_J.npy, which names a block on mounts only */
    int64_t others;   /* other names */
};

/* Lists the directory; with `sizes`, asks for each block's size too. 0, -EMSGSIZE for too many
 * blocks, or another -errno. */
int inventory_load(const struct matdir *m, bool sizes, struct inventory *ret, struct err *err);

/* Fits CLEANUP. */
void inventory_fini(struct inventory *in);

bool inventory_has(const struct inventory *in, int64_t rank);

/* Calls fn for each block that is not there in ascending order, until it returns other than 0: that
 * is returned. */
typedef int inventory_fn(void *arg, int64_t rank);
int inventory_each_missing(const struct inventory *in, inventory_fn *fn, void *arg);

/* 0 when nothing is missing or the matrix has a fill value, which for a triangular matrix stands
 * for the other triangle only; else -ENOENT, naming a missing block. */
int inventory_check_whole(const struct matdir *m, struct err *err);

/* The same for the blocks of one triangle. */
int inventory_check_triangle(const struct matdir *m, bool upper, struct err *err);

#endif
