#ifndef BMFS_FS_PLACE_H
#define BMFS_FS_PLACE_H

/* What a file name in a directory stands for: the rules of names, and nothing else.
 *
 * Pure: depends on the name and on what is known of the directory, asks nobody. */

#include "matrix/header.h"
#include "matrix/name.h"

enum place_kind {
    PLACE_PLAIN,   /* an ordinary object of that name, or a directory; also a block whose matrix has
                      no header yet, see fs/early.h */
    PLACE_HEADER,  /* header.json of a matrix, or of one to be */
    PLACE_BLOCK,   /* a block of a matrix, in one of its views */
    PLACE_SCRATCH, /* a temporary file of some program, in a matrix; of bmfs's own tools, and
                      rsync's of blocks and headers, anywhere: local to this mount */
};

struct place {
    enum place_kind kind;
    enum name_view view;          /* of a block */
    int ndim;                     /* of a block */
    int64_t index[GRID_NDIM_MAX]; /* of a block */
    bool inside;                  /* a block: the index is within the grid */
    char obj[NAME_OBJECT_SIZE > 256 ? NAME_OBJECT_SIZE : 256]; /* object name below the
                                          directory; "" for scratch */
};

/* Finds the place that `name` has in a directory. `matrix`: its header, or NULL when the directory
 * is no matrix. `make`: the name is to be created, so that names that can never be stored are
 * refused:
 *   -EINVAL    in a matrix: neither block, header nor temporary; or a block outside the grid, or
 *              with another number of axes
 *   -ENAMETOOLONG
 * Without `make`, -ENOENT for names that no object can have. */
int place_find(const struct header *matrix, const char *name, bool make, struct place *ret,
               struct err *err);

/* True for names that programs are known to give to temporary files: rsync, sed, editors, Python's
 * tempfile, mktemp, zarr, bmfs's own tools. */
bool place_is_scratch(const char *name);

/* True for those of bmfs's own tools. They are scratch in every directory: a matrix is made by
 * linking its header.json from one, in a directory that is no matrix yet. */
bool place_is_own_scratch(const char *name);

/* The file name of an object in a matrix's directory: "block_0_1" for a block under its one true
 * name, else the object's own name; NULL when it has none ("header", or a name that means something
 * else as a file name). `dst` is where a block's name is written. */
const char *place_file_name(const struct header *matrix, const char *obj, char dst[NAME_FILE_SIZE]);

#endif
