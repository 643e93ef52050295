#ifndef BMFS_TOOLS_WALK_H
#define BMFS_TOOLS_WALK_H

/* Finding the matrices below a directory. */

#include "base/err.h"

enum { WALK_DEPTH_MAX = 64, WALK_NAMES_MAX = 1 << 28 /* bytes of names of one directory */ };

struct walk {
    /* Called for each matrix, with its path and the part of it below the start, in the order of
     * names; a value below 0 ends the walk. */
    int (*matrix)(void *arg, const char *path, const char *name);
    /* Called for each directory that cannot be read; the walk goes on. */
    void (*trouble)(void *arg, int code, const struct err *err);
    void *arg;
};

/* Walks the tree below `path`. Names that start with a dot are left out, links are followed to a
 * matrix and no further, and nothing within a matrix is looked at. 0, what matrix() returned, or
 * -errno when `path` itself cannot be read. */
int walk_run(const struct walk *w, const char *path, struct err *err);

#endif
