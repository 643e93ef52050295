#ifndef BMFS_MATRIX_NAME_H
#define BMFS_MATRIX_NAME_H

/* The two names of a block, and the way between them.
 *
 *   object   "8_10_4_6_7_3_"   numpywren's: start_end_shard_ for each axis
 *   file     "block_2_2"       bmfs's: the block's index on each axis
 *
 * numpywren's own programs store blocks outside their grid ("9_6_3_", "-4_0_4_"), so an object name
 * is read without knowing the grid: its index is start / shard. Such blocks have file names with
 * an index outside the grid ("block_3", "block_-1") and can be read, not made. No I/O. */

#include "matrix/grid.h"

enum {
    NAME_OBJECT_SIZE = 63 * GRID_NDIM_MAX + 1,
    NAME_FILE_SIZE = 21 * GRID_NDIM_MAX + 16,
};

/* How a file name wants the block's bytes. */
enum name_view {
    NAME_OBJECT, /* block_0_0, block_0_0.npy: the stored object, byte for byte */
    NAME_RAW,    /* block_0_0.raw: elements only, little-endian, last index fastest */
    NAME_RAW_F,  /* block_0_0.F.raw: elements only, little-endian, first index fastest */
};

struct name_block {
    int ndim;
    int64_t index[GRID_NDIM_MAX];
    enum name_view view;
    bool npy_suffix; /* ".npy" was there */
};

/* One axis of an object name. */
struct name_axis {
    int64_t start, end, shard;
};

/* "block_2_2", "block_0.F.raw". Canonical decimals only: no '+', no leading zeros, "-0" refused, so
 * that each block has one name. 0 or -EINVAL. */
int name_file_parse(const char *name, struct name_block *ret);

/* Writes "block_2_2". Returns `dst`. */
const char *name_file(int ndim, const int64_t *index, char dst[NAME_FILE_SIZE]);

/* "8_10_4_6_7_3_": three canonical decimals an axis and an underscore after each. Only the form is
 * checked. 0 and the number of axes in *ret_ndim, or -EINVAL. */
int name_object_parse(const char *name, struct name_axis axis[GRID_NDIM_MAX], int *ret_ndim);

/* The index that an object name stands for: start / shard on each axis. -EINVAL when a shard is
 * below 1 or does not divide its start. */
int name_object_index(const struct name_axis *axis, int ndim, int64_t *ret_index);

/* Writes the object name of a block. The index may lie outside the grid; the name is then what
 * numpywren itself would compute. 0, or -ERANGE when a start overflows. */
int name_object(const struct grid *g, const int64_t *index, char dst[NAME_OBJECT_SIZE]);

/* A name that looks like a block's file name, well-formed or not ("block_x"): such names are never
 * ordinary files, so that a typing error cannot create one. */
bool name_is_block_like(const char *name);

#endif
