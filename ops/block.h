#ifndef BMFS_OPS_BLOCK_H
#define BMFS_OPS_BLOCK_H

/* Reading and publishing blocks. In memory elements have the machine's byte order, in files that of
 * the matrix's type. Messages name the matrix and the block. Thread-safe. */

#include "matrix/npy.h"
#include "ops/matdir.h"
#include "ops/publish.h"

/* A block that is open for reading. */
struct block {
    const struct matdir *matrix; /* borrowed */
    int64_t index[GRID_NDIM_MAX];
    int fd;
    struct npy npy; /* fits the matrix's header: shape, type and length */
};

#define BLOCK_NONE ((struct block){.fd = -1})

/* Opens a block inside the grid. 0; -ENOENT: missing; -EBADMSG: it is none of this matrix's blocks,
 * with what differs; or another -errno. */
int block_open(const struct matdir *m, const int64_t *index, struct block *ret, struct err *err);

/* Reads elements as they are stored (see npy.fortran): `n` of them from element `first` on. */
int block_read(const struct block *b, int64_t first, size_t n, void *dst, struct err *err);

/* Fits CLEANUP. */
void block_close(struct block *b);

/* Reads a whole block, in the order it is stored in. A missing one is filled where the matrix has a
 * fill value, else -ENOENT. */
int block_load(const struct matdir *m, const int64_t *index, void *dst, bool *ret_fortran,
               struct err *err);

/* The same, with the last index fastest. One that is stored the other way takes as much memory
 * again. */
int block_load_rows(const struct matdir *m, const int64_t *index, void *dst, struct err *err);

/* Publishes a whole block, last index fastest. 0; -EEXIST when the matrix has it already; or
 * another -errno. */
int block_store(const struct matdir *m, const int64_t *index, const void *src, struct err *err);

/* The two halves of block_store(): the block as a scratch file, synced, and its name. *p begins as
 * PUBLISH_NONE and ends with publish_drop(), whatever happened. */
int block_prepare(const struct matdir *m, const int64_t *index, const void *src, struct publish *p,
                  struct err *err);
int block_commit(const struct matdir *m, const int64_t *index, struct publish *p, struct err *err);

/* Whether a block is there with exactly these elements, last index fastest: 1, 0 or -errno. Takes
 * the memory of a block. */
int block_is(const struct matdir *m, const int64_t *index, const void *src, struct err *err);

/* Memory for `elements` elements of the matrix's type, at least one; freed with free(). NULL with a
 * message that says how much was asked for. */
void *block_alloc(const struct matdir *m, int64_t elements, struct err *err);

/* Elements of the matrix's largest block. */
int64_t block_elements_max(const struct matdir *m);

#endif
