#ifndef BMFS_OPS_BLOCK_H
#define BMFS_OPS_BLOCK_H

/* Reading and publishing blocks. In memory elements have the machine's byte order, in files that of
 * the matrix's type. Messages name the matrix and the block. Thread-safe. */

#include "matrix/npy.h"
#include "ops/matdir.h"
#include "ops/publish.h"
#include "ops/stamps.h"

#include <sys/stat.h>

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

/* The same, but 1; or 0 when the block is missing and the matrix's fill value stands for it. It
 * does not stand for one that is there as block_I_J.npy, which names a block on mounts only:
 * -ENOENT. */
int block_open_if_there(const struct matdir *m, const int64_t *index, struct block *ret,
                        struct err *err);

/* Whether a file's size can be that of a block: its elements after some npy header. 0, or -EBADMSG
 * with what is wrong. */
int block_check_size(const struct matdir *m, const int64_t *index, const struct stat *st,
                     struct err *err);

/* Whether a missing block is there under such a name; then the hint says so. */
bool block_is_misnamed(const struct matdir *m, const int64_t *index, struct err *err);

/* Reads elements as they are stored (see npy.fortran): `n` of them from element `first` on. */
int block_read(const struct block *b, int64_t first, size_t n, void *dst, struct err *err);

/* Fits CLEANUP. */
void block_close(struct block *b);

/* Reads a box of the block: element (i, j, ...) of it goes to dst + i stride[0] + ..., strides in
 * bytes. `bounce` holds as many elements as the block. Only the bytes of the box are read, except
 * where they lie so scattered that the bytes between them cost less than asking again. */
struct block_box {
    const int64_t *start, *extent; /* within the block; no extent is 0 */
    void *dst;
    const int64_t *stride;
    void *bounce;
};
int block_read_box(const struct block *b, const struct block_box *box, struct err *err);

/* Reads a whole block, in the order it is stored in. 1; 0 when it is missing and the matrix's fill
 * value stands for it, with nothing in `dst`; -ENOENT when nothing does; or another -errno. */
int block_load_if_there(const struct matdir *m, const int64_t *index, void *dst, bool *ret_fortran,
                        struct err *err);

/* Reads a whole block, in the order it is stored in. A missing one is filled where the matrix has a
 * fill value, else -ENOENT. */
int block_load(const struct matdir *m, const int64_t *index, void *dst, bool *ret_fortran,
               struct err *err);

/* The same two, with the last index fastest. A block that is stored the other way takes as much
 * memory again. */
int block_load_rows_if_there(const struct matdir *m, const int64_t *index, void *dst,
                             struct err *err);
int block_load_rows(const struct matdir *m, const int64_t *index, void *dst, struct err *err);

/* Opens a block that will be loaded, and has the system begin to read it. Whatever is wrong with it
 * is left for the load to say: *ret is BLOCK_NONE then. */
void block_expect(const struct matdir *m, const int64_t *index, struct block *ret);

/* A load of an input of a run. Both may be NULL. */
struct block_source {
    const struct stamps *stamps;  /* the version that it must be: another one is -ESTALE */
    const struct block *expected; /* what block_expect() gave for this block; stays open */
};

/* As block_load() and block_load_rows(). */
int block_load_source(const struct matdir *m, const int64_t *index, const struct block_source *s,
                      void *dst, bool *ret_fortran, struct err *err);
int block_load_rows_source(const struct matdir *m, const int64_t *index,
                           const struct block_source *s, void *dst, struct err *err);

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

/* Writes a whole block, last index fastest, to a descriptor, as block_store() would. The message
 * names no block. */
int block_write(int fd, const struct matdir *m, const int64_t *index, const void *src,
                struct err *err);

/* Memory for `elements` elements of the matrix's type, at least one; freed with free(). NULL with a
 * message that says how much was asked for. */
void *block_alloc(const struct matdir *m, int64_t elements, struct err *err);

/* Elements of the matrix's largest block. */
int64_t block_elements_max(const struct matdir *m);

#endif
