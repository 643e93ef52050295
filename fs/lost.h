#ifndef BMFS_FS_LOST_H
#define BMFS_FS_LOST_H

/* Where bytes go that were written but could not be stored: DIR/lost of the cache folder.
 *
 *   DIR/lost/<time>-<random>.data   the bytes, as they would have been put
 *   DIR/lost/<time>-<random>.json   store, key, what it was to replace, why it failed
 *
 * Kept until somebody takes them out, up to a number of files; beyond that a write that fails is
 * said to be lost. */

#include "fs/cache.h"

enum { LOST_FILES_MAX = 10000 };

struct lost_note {
    const char *store_id;
    const char *key;
    const char *if_match; /* as in struct store_put; NULL: nothing was asked for */
    const char *write_id; /* "" if none */
    const char *reason;   /* one line */
    const char *head;     /* bytes that go before those of the file, or NULL */
    size_t head_len;
};

/* Moves a private file of the cache there; one that was published already, or that a head goes
 * before, is copied and stays. `ret_name` receives the name without its suffix (may be NULL). 0,
 * -EDQUOT when the folder is full, or -errno; then the file is where it was. */
int lost_keep(struct cache *c, struct cache_file *f, const struct lost_note *note, char *ret_name,
              size_t size, struct err *err);

#endif
