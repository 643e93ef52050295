#ifndef BMFS_FS_SURVEY_H
#define BMFS_FS_SURVEY_H

/* A first look at a bucket before it is mounted: whether it answers at all, and how many matrices
 * there are. */

#include "fs/fs.h"

struct survey {
    int matrices;
    bool empty; /* nothing at all is stored */
    bool more;  /* there may be more: the look was cut short */
};

/* Lists the root; then looks into its directories, and theirs, for as long as a user likes to wait
 * for a mount. Only the first listing can fail. Blocks. 0 or -errno. */
int survey(struct fs *fs, struct survey *ret, struct err *err);

#endif
