#ifndef BMFS_FS_LOST_H
#define BMFS_FS_LOST_H

/* Where bytes go that were written but could not be stored: DIR/lost of the cache folder.
 *
 *   DIR/lost/<time>-<random>.data   the bytes, as they would have been put
 *   DIR/lost/<time>-<random>.json   store, key, what it was to replace, why it failed
 *
 * Kept until somebody takes them out (bm recover), up to a number of files. Beyond that nothing is
 * taken in, and nothing thrown away: what a mount cannot bring here stays in the mount's own folder
 * until there is room. */

#include "fs/cache.h"

enum { LOST_FILES_MAX = 10000, LOST_NAME_SIZE = 48 };

struct lost_note {
    const char *store_id;
    const char *key;
    const char *if_match; /* as in struct store_put; NULL: nothing was asked for */
    const char *write_id; /* "" if none */
    const char *reason;   /* one line */
    const char *head;     /* bytes that go before those of the file, or NULL */
    size_t head_len;
    bool incomplete; /* not all bytes of the file were written */
};

/* The bytes: a file. */
struct lost_bytes {
    int fd;           /* borrowed; -1: none but those of the note's head */
    int dir_fd;       /* borrowed: the folder that it is in */
    const char *name; /* its name there; NULL: it is somebody else's too, and is copied */
};

/* Keeps bytes in the recovery folder of the cache folder `cache_fd`: by moving the file, or by
 * copying it when a head goes before it. `ret_name` receives the name without its suffix. 0,
 * -EDQUOT when the folder is full, or -errno; then the file is where it was. */
int lost_keep_bytes(int cache_fd, const struct lost_bytes *bytes, const struct lost_note *note,
                    char ret_name[LOST_NAME_SIZE], struct err *err);

/* Moves a private file of the cache there; one that was published already, or that a head goes
 * before, is copied and stays. `ret_name` receives the name without its suffix (may be NULL). 0,
 * -EDQUOT when the folder is full, or -errno; then the file is where it was. */
int lost_keep(struct cache *c, struct cache_file *f, const struct lost_note *note, char *ret_name,
              size_t size, struct err *err);

/* What is known of one that is kept. */
struct lost_entry {
    char name[LOST_NAME_SIZE];
    char *store_id, *key, *reason; /* owned, as are the next two */
    char *if_match;                /* NULL: whatever is there */
    char *write_id;                /* "" if none */
    bool incomplete;
    uint64_t size;
    int64_t time_s; /* since 1970: when it was kept */
};

void lost_entry_fini(struct lost_entry *e);

/* Calls fn for each, the oldest first, until it returns other than 0, and returns that. 0 also when
 * there is no folder, or no cache folder (-1). What is no entry is passed over; so is one that
 * cannot be read, of which the return value then is -errno, unless fn's is not 0. */
typedef int lost_fn(void *arg, const struct lost_entry *e);
int lost_each(int cache_fd, lost_fn *fn, void *arg);

/* Opens one: a descriptor of its bytes, -ENOENT, or -EINVAL for what is no name of one. */
int lost_open(int cache_fd, const char *name, struct lost_entry *ret);

/* Removes one. 0, -ENOENT or -errno. */
int lost_drop(int cache_fd, const char *name);

#endif
