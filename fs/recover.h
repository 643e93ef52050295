#ifndef BMFS_FS_RECOVER_H
#define BMFS_FS_RECOVER_H

/* From the recovery folder back to the store. */

#include "fs/lost.h"
#include "s3/store.h"

/* Whether the very bytes of an entry are what the store has: a put that nobody saw the reply of
 * took effect after all. 1, 0 or -errno. */
int recover_is_stored(struct store *st, const struct lost_entry *e, struct err *err);

/* Stores an entry under its key, on the condition that it was written on, or with `force` whatever
 * is there, and removes it from the folder. 0; -ESTALE or -EEXIST when the condition does not hold;
 * -EINVAL for incomplete bytes, and for another store than it was written to; or what the store
 * says. Then the entry stays. */
int recover_retry(struct store *st, int cache_fd, const char *name, bool force, struct err *err);

/* Removes the entries of this store that are stored after all. Blocks for a request an entry, at
 * most RECOVER_ASKS_MAX of them. Returns how many were removed. */
enum { RECOVER_ASKS_MAX = 256 };
int recover_settle(struct store *st, int cache_fd);

/* Entries in the folder. */
int recover_count(int cache_fd);

#endif
