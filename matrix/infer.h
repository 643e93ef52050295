#ifndef BMFS_MATRIX_INFER_H
#define BMFS_MATRIX_INFER_H

/* The header of a matrix that was stored without one, from the names of its blocks and the first
 * bytes of one of them: numpywren writes a header only when asked to. No I/O. */

#include "matrix/header.h"
#include "matrix/npy.h"

struct infer {
    int ndim;                     /* 0 until the first name */
    int64_t end[GRID_NDIM_MAX];   /* largest end seen */
    int64_t shard[GRID_NDIM_MAX]; /* shard size of the first name */
    int64_t names;                /* blocks taken into account */
    int64_t others;               /* blocks left out: other shard sizes or number of axes, or in
                                     no grid (empty, negative, off the shards, longer than one) */
};

void infer_init(struct infer *in);

/* Takes one object name (without the matrix's key) into account. Names that are no block's are
 * ignored. Returns true when the name fits what was seen so far. */
bool infer_add(struct infer *in, const char *name);

/* 0 with `inferred` set; -ENOENT when no block was seen; -EINVAL when grid_check() refuses what the
 * names say. `npy` is the header of any block. */
int infer_finish(const struct infer *in, const struct npy *npy, struct header *ret,
                 struct err *err);

#endif
