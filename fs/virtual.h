#ifndef BMFS_FS_VIRTUAL_H
#define BMFS_FS_VIRTUAL_H

/* Files of the mount's own: .bmfs/errors, .bmfs/stats.json, .bmfs/README. They are found by their
 * names and not listed. What they hold is made when they are opened. */

#include "base/buf.h"
#include "fs/fs.h"

enum virtual_id { VIRTUAL_NONE, VIRTUAL_README, VIRTUAL_ERRORS, VIRTUAL_STATS };

/* The file of this name in the directory with this path; VIRTUAL_NONE for all others. */
enum virtual_id virtual_find(const char *dir_path, const char *name);

/* Appends what the file holds now. 0 or -errno. */
int virtual_render(struct fs *fs, enum virtual_id id, struct buf *out);

/* How long that is, for stat. */
uint64_t virtual_size(struct fs *fs, int id);

/* Starts and stops collecting the latest warnings and errors of the log for .bmfs/errors. */
void virtual_watch_log(bool on);

#endif
