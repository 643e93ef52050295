#ifndef BMFS_OPS_REMOVE_H
#define BMFS_OPS_REMOVE_H

/* Deleting blocks and matrices. The header may be a broken one: names alone decide. */

#include "base/err.h"
#include "ops/watch.h"

struct remove_count {
    int64_t blocks; /* deleted, or with dry_run: to be deleted */
    uint64_t bytes; /* of their files */
    int64_t scratch;
};

/* Deletes all blocks, also those outside the grid; keeps the header. 0; -ENOENT, -EINVAL: no matrix
 * there; or another -errno with what was deleted so far in *ret. */
int remove_blocks(const char *path, bool dry_run, struct watch *watch, struct remove_count *ret,
                  struct err *err);

/* Deletes blocks, scratch files that killed programs left, header and directory, in this order.
 * -EINVAL, with nothing deleted, when the directory holds anything else. */
int remove_matrix(const char *path, bool dry_run, struct watch *watch, struct remove_count *ret,
                  struct err *err);

/* The same where the header may be gone, and while others store and delete there, too: what is gone
 * is no error. For what the caller has made himself. */
int remove_remains(const char *path, struct err *err);

#endif
