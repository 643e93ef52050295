#ifndef BMFS_FS_DRAIN_H
#define BMFS_FS_DRAIN_H

/* The end of a mount: what was written and is not stored yet. */

#include "fs/fs.h"

enum { DRAIN_TIMEOUT_MS = 120000, DRAIN_SAY_MS = 5000 };

/* Stores what all writers hold, many at a time, and says every DRAIN_SAY_MS how much is left. After
 * `timeout_ms` (0: DRAIN_TIMEOUT_MS) the store is shut down, and what it did not take goes to the
 * recovery folder: see commit_finish(). Nobody asks for names or bytes any more. Blocks. */
void drain(struct fs *fs, int64_t timeout_ms);

#endif
