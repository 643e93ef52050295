#ifndef BMFS_FS_REMOVAL_H
#define BMFS_FS_REMOVAL_H

/* Keys that this mount is deleting right now. Who asked for it may have been interrupted and have
 * gone on; what is stored under such a key waits, or the request that is on its way could take away
 * what was acknowledged after it.
 *
 * Threads: all functions, any thread. */

#include "fs/fs.h"

/* One of them, on the stack of whoever deletes. */
struct removal {
    struct removal *next;
    struct fs *fs;
    const char *key; /* borrowed until removal_end() */
};

void removal_begin(struct removal *r, struct fs *fs, const char *key);
void removal_end(struct removal *r); /* fits CLEANUP */

/* Waits until nobody deletes the key: false when nobody did. Blocks, no longer than the store is
 * waited for. */
bool removal_wait(struct fs *fs, const char *key);

#endif
