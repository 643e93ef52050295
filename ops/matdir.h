#ifndef BMFS_OPS_MATDIR_H
#define BMFS_OPS_MATDIR_H

/* A matrix as a directory: header.json in the presented form and block_I_J files, on a mount or
 * anywhere else.
 *
 * Codes of this room, which the tools turn into exit statuses:
 *   -ENOENT   a matrix or a block that is to be read is missing
 *   -EEXIST   what is to be made is there already
 *   -EINVAL   the operands cannot be used so; -EBADMSG: what was read is malformed
 *   others    what the file system says */

#include "matrix/header.h"
#include "ops/element.h"
#include "ops/watch.h"

#include <sys/types.h>

/* Which matrix a path leads to, by whatever way it is reached. */
struct matdir_id {
    char *uri; /* owned: the mount's name for it, the same on every mount of a store; or NULL */
    dev_t dev;
    ino_t ino;
};

struct matdir {
    char *path;           /* owned: as the user wrote it, for messages */
    int fd;               /* the directory; -1 when closed */
    struct header header; /* owned */
    bool inferred;        /* the mount guessed the header from the names of blocks */
    bool has_fill;        /* a missing block stands for elements of `fill`: see matdir_fills() */
    bool fills_all;       /* also where the header says that the matrix is triangular */
    unsigned char fill[ELEMENT_SIZE_MAX];
    struct matdir_id id;
    struct watch *watch; /* counts what is read and written here; borrowed, or NULL */
};

#define MATDIR_NONE ((struct matdir){.fd = -1})

/* Opens a matrix. 0; -ENOENT: nothing there; -EINVAL: not a matrix; -EBADMSG: a header that cannot
 * be read, or whose fill_value the type does not have; or another -errno. The message names the
 * path. The caller closes. */
int matdir_open(const char *path, struct matdir *ret, struct err *err);

/* Makes a directory, or takes one with nothing in it, writes the header and opens the matrix. 0;
 * -EEXIST when a matrix is there; -EINVAL when the place is taken by something else or has no
 * directory around it; or another -errno. Of several that make the same one, one succeeds. */
int matdir_create(const char *path, const struct header *header, struct matdir *ret,
                  struct err *err);

/* 0; -EINVAL when a matrix with this header could not be opened again, as for numbers that JSON
 * cannot keep. */
int matdir_check_header(const struct header *header, struct err *err);

/* Replaces the header in memory, where it says more than the one on the disk. 0 or -errno. */
int matdir_set_header(struct matdir *m, const struct header *header, struct err *err);

/* Replaces the header's file. 0 or -errno. */
int matdir_replace_header(const struct matdir *m, const struct header *header, struct err *err);

/* Lets missing blocks stand for `value`, whatever the header says. -EINVAL as element_set(). */
int matdir_set_fill(struct matdir *m, struct number value, struct err *err);

/* Which triangle the header says that the matrix is: 'l', 'u', or 0 when it says nothing. */
char matdir_triangle(const struct matdir *m);

/* Whether a block of a matrix with two axes has elements on or below the diagonal ('l'), or on or
 * above it ('u'). */
bool matdir_touches(const struct grid *g, char triangle, const int64_t *index);

/* Whether a matrix lacks something without this block: false for those of a triangular matrix that
 * lie in the other triangle as a whole, when a fill value stands for them. */
bool matdir_expects(const struct matdir *m, const int64_t *index);

/* Whether the fill value stands for a block that is missing: of a triangular matrix only for those
 * that lie in the other triangle as a whole. */
bool matdir_fills(const struct matdir *m, const int64_t *index);

/* Makes the names of what was published durable, where the file system knows how to. */
int matdir_sync(const struct matdir *m, struct err *err);

/* Fits CLEANUP. */
void matdir_close(struct matdir *m);

/* A name beside a matrix: "C.sums" for "C/" and ".sums". For the caller to free; NULL without
 * memory. */
char *matdir_beside(const char *path, const char *suffix);

/* Finds out what is at a path. 0; -ENOENT: nothing; -EINVAL: not a matrix; or another -errno. */
int matdir_identify(const char *path, struct matdir_id *ret, struct err *err);

bool matdir_same(const struct matdir_id *a, const struct matdir_id *b);

void matdir_id_fini(struct matdir_id *id);

#endif
