#ifndef BMFS_OPS_IMPORT_H
#define BMFS_OPS_IMPORT_H

/* From one file of elements (npy, or nothing but elements) to the blocks of a matrix.
 *
 * The file's slowest axis, which is the first one of a C-ordered file and the last one of a
 * Fortran-ordered one, is cut as the grid cuts it: one row of blocks is one contiguous part of the
 * file. Such a part is read at once when it fits into the memory given, and cut into blocks.
 * Otherwise a file that can seek is read block by block in the pieces that are contiguous. */

#include "matrix/npy.h"
#include "ops/matdir.h"

enum { IMPORT_HEAD_MAX = NPY_HEAD_MAX };

struct import {
    int fd;           /* owned */
    const char *name; /* borrowed, for messages */
    bool seeks;       /* a regular file */
    struct npy npy;   /* what the file holds; of one without header, as it was said to be */
    unsigned char head[IMPORT_HEAD_MAX]; /* bytes read while looking for the header */
    size_t head_len, head_at;            /* of them, and how many have been used */
};

#define IMPORT_NONE ((struct import){.fd = -1})

/* Opens a file, "-" for standard input, and reads its npy header, or with `raw` takes type, shape
 * and order from *raw (data_off 0). 0; -ENOENT; -EBADMSG for what is no such file or too short; or
 * another -errno. */
int import_open(const char *path, const struct npy *raw, struct import *ret, struct err *err);

/* Reads on and publishes every block. `memory`: bytes for a row of blocks; another block comes on
 * top. -EINVAL when the matrix's shape or type is not the file's, or a row of blocks needs more and
 * the file cannot seek. */
int import_run(struct import *im, const struct matdir *m, uint64_t memory, struct err *err);

/* Fits CLEANUP. */
void import_close(struct import *im);

#endif
