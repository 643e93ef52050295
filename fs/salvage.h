#ifndef BMFS_FS_SALVAGE_H
#define BMFS_FS_SALVAGE_H

/* From the folder of a mount that died to the recovery folder: what its journals say was being
 * written and is not known to be stored. Nothing is uploaded. */

#include "fs/cache.h"

/* What was done, added up over all mounts. */
struct salvage {
    int files;      /* now in the recovery folder */
    int incomplete; /* of them */
    uint64_t bytes; /* of them */
    int left;       /* could not be moved: they wait where they are */
    struct err err; /* why */
};

/* A cache_salvage_fn; `arg` is a struct salvage. */
bool salvage_mount(void *arg, int cache_fd, int mount_fd);

/* Salvages all dead mounts of a cache folder that is not used by this process. 0 or -errno; a
 * folder without mounts is fine. */
int salvage_all(int cache_fd, struct salvage *ret);

#endif
