#ifndef BMFS_FS_VIRTUAL_H
#define BMFS_FS_VIRTUAL_H

/* Files of the mount's own: .bmfs/errors, .bmfs/stats.json, .bmfs/README. The folder is not
 * listed, so that copies of the mount leave it out; they are. What they hold is made when they are
 * opened. */

#include "base/buf.h"
#include "fs/fs.h"

enum virtual_id { VIRTUAL_NONE, VIRTUAL_README, VIRTUAL_ERRORS, VIRTUAL_STATS };

/* The file of this name in the directory with this path; VIRTUAL_NONE for all others. */
enum virtual_id virtual_find(const char *dir_path, const char *name);

/* The name of the file number `i` in that directory; NULL past the last, and in all others. */
const char *virtual_name(const char *dir_path, size_t i);

/* Appends what the file holds now. 0 or -errno. */
int virtual_render(struct fs *fs, enum virtual_id id, struct buf *out);

/* How long that is, for stat. */
uint64_t virtual_size(struct fs *fs, int id);

/* Starts and stops collecting the latest warnings and errors of the log for .bmfs/errors. */
void virtual_watch_log(bool on);

#endif
