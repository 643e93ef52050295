#ifndef BMFS_MATRIX_NPY_H
#define BMFS_MATRIX_NPY_H

/* The header of a .npy file: what one stored block says of itself.
 *
 * Versions 1.0, 2.0 and 3.0 are read; 1.0 is written, byte for byte as numpy.save does. Source:
 * numpy.lib.format. No I/O. */

#include "base/buf.h"
#include "matrix/dtype.h"
#include "matrix/grid.h"

enum {
    NPY_HEADER_MAX = 10000, /* numpy's own limit (max_header_size) on the text */
    NPY_HEAD_MAX = NPY_HEADER_MAX + 12,
    NPY_HEAD_MIN = 10, /* magic, version and a version 1 length */
};

struct npy {
    struct dtype dtype;
    bool fortran;                 /* first index fastest */
    int ndim;                     /* 0 for a scalar */
    int64_t shape[GRID_NDIM_MAX]; /* each >= 0 */
    size_t data_off;              /* bytes before the elements */
    uint64_t data_len;            /* bytes of the elements */
};

/* Reads a header from the first `len` bytes of a file. 0; -ENODATA when more bytes are needed (with
 * at least NPY_HEAD_MAX bytes that is final: never asked for again); -EBADMSG when it is no npy
 * header or holds what no matrix can (structured or object types, more than 32 axes), with the
 * reason. */
int npy_parse(const void *head, size_t len, struct npy *ret, struct err *err);

/* Appends the header (version 1.0) that numpy.save writes for dtype, fortran, ndim and shape, and
 * sets data_off and data_len of *npy; and fortran to false where both orders are the same, as numpy
 * does. 0; -EINVAL when the bytes cannot be counted; or as buf_append(). */
int npy_format(struct npy *npy, struct buf *out);

/* The npy header of block `index`, which is inside: `fortran` false, data_off and data_len 0. */
void npy_for_block(const struct grid *g, struct dtype dtype, const int64_t *index, struct npy *ret);

/* Whether a file with this header and `file_len` bytes is block `index` of the matrix, complete:
 * 0, or -EINVAL with what differs (shape, type, length). Either order of elements is right. */
int npy_check_block(const struct npy *npy, uint64_t file_len, const struct grid *g,
                    struct dtype dtype, const int64_t *index, struct err *err);

#endif
