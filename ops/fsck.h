#ifndef BMFS_OPS_FSCK_H
#define BMFS_OPS_FSCK_H

/* Whether what a matrix's directory holds can be the matrix that its header describes. */

#include "ops/matdir.h"

/* Called for each thing that is wrong, with one line about it that names it. */
typedef void fsck_fn(void *arg, const char *what);

struct fsck {
    bool deep; /* read every block: its npy header, all its bytes, and their CRC-32C */
    fsck_fn *fn;
    void *arg;
};

struct fsck_result {
    int64_t blocks;    /* that are there */
    int64_t missing;   /* of the grid: no fault, a matrix may be incomplete */
    int64_t wrong;     /* things that are */
    int64_t unchecked; /* blocks that nothing is known of to hold their bytes against */
    int64_t scratch;   /* files of tools that run or were killed: no fault */
};

/* Checks one matrix: the names in its directory and the sizes of its blocks; with `deep` the blocks
 * themselves. Where the CRC-32C that was stored with a block can be had (on a mount, as the
 * extended attribute user.bmfs.crc32c), the bytes are held against it; where the header says what a
 * run made (ops/record.h), the elements against that. 0 whatever was found, or
 * -errno when the check could not go on. */
int fsck_matrix(const struct matdir *m, const struct fsck *how, struct fsck_result *ret,
                struct err *err);

#endif
