#ifndef BMFS_FS_VIEW_H
#define BMFS_FS_VIEW_H

/* Blocks as other languages want them: bare elements, little-endian, with the last index fastest
 * (block_0_0.raw) or the first (block_0_0.F.raw).
 *
 * Where the stored block has that order already, a view is the object from its data on, read in
 * ranges like any other; otherwise its elements are put in order once, into the cache. Functions
 * block and belong on the pool `work` or `names`. */

#include "fs/object.h"
#include "matrix/name.h"
#include "matrix/npy.h"

/* Reads the npy header of a block. 0; -EBADMSG when it is none; or -errno. */
int view_header(struct object *block, struct npy *ret, struct err *err);

/* Where a view's bytes are. */
struct view_source {
    struct object *object; /* a reference */
    uint64_t off;          /* of the view's first byte in it */
    uint64_t size;         /* of the view */
};

/* Opens a view of a block. NAME_OBJECT is the block itself. 0 or -errno. */
int view_open(struct objects *os, const char *key, struct object *block, enum name_view view,
              struct view_source *ret, struct err *err);

/* The same as an object of its own, whose first byte is the view's, to be written over. */
int view_open_whole(struct objects *os, const char *key, struct object *block, enum name_view view,
                    struct object **ret, struct err *err);

#endif
