#ifndef BMFS_FS_CACHE_DIR_H
#define BMFS_FS_CACHE_DIR_H

/* The folder that several mounts share as their cache: making and checking it, one mount's private
 * folder in it, what is used, what to evict. Works on descriptors; knows nothing of objects. */

#include "fs/cache.h"

enum {
    CACHE_DIR_ID_DIGITS = 64,    /* of a version's id, in hex */
    CACHE_DIR_FAN_DIGITS = 3,    /* of them, the name of its folder: 4,096 folders of versions */
    CACHE_DIR_MOUNT_DIGITS = 32, /* of a mount's random id */
};

/* Opens a folder that is this user's alone: another one could put into it what is stored or read in
 * our name. -EACCES when it is not, or when it is reached by somebody else's symbolic link. */
int cache_dir_open(const char *path, int *ret_fd, struct err *err);

/* The same, making it with mode 0700 (parents must exist). -EMEDIUMTYPE for a network file system
 * unless `any_fs`. */
int cache_dir_make(const char *path, bool any_fs, int *ret_fd, struct err *err);

/* Marks the folder as a cache, so that backups may leave it out (bford.info/cachedir). */
int cache_dir_tag(int dir_fd);

/* Opens the folder `name` below, making it. 0 or -errno. */
int cache_dir_sub(int dir_fd, const char *name, int *ret_fd);

/* Who saves what must outlive a mount. */
struct cache_dir_salvage {
    cache_salvage_fn *fn; /* NULL: nothing need be saved */
    void *arg;
};

/* Makes mounts/<random id>, locked for as long as *ret_lock_fd is open, and salvages and removes
 * the folders of mounts whose lock nobody holds. `ret_id` holds CACHE_DIR_MOUNT_DIGITS + 1 bytes.
 * Returns the number of other mounts that live, or -errno. */
int cache_dir_claim_mount(int dir_fd, const struct cache_dir_salvage *salvage, char *ret_id,
                          int *ret_fd, int *ret_lock_fd);

/* Salvages and removes the folders of mounts that died. Returns the number of those that live, or
 * -errno. */
int cache_dir_clear_mounts(int dir_fd, const struct cache_dir_salvage *salvage);

/* Salvages and removes mounts/<id> with its files; its mount holds the lock, or nobody. */
void cache_dir_drop_mount(int dir_fd, const struct cache_dir_salvage *salvage, const char *id);

/* Fills in what the user left at 0. `used`: bytes in the folder, which are as good as free. */
void cache_dir_limits(int dir_fd, uint64_t used, uint64_t *size_max, uint64_t *free_min);

/* Bytes that the file system still gives to this user; 0 when it cannot say. */
uint64_t cache_dir_free(int dir_fd);

/* Bytes on disk of all files in the folder; of running mounts, what they have reserved if that is
 * more. A mount keeps that sum as a uint64_t at the beginning of its lock. */
uint64_t cache_dir_usage(int dir_fd);

struct cache_dir_goal {
    uint64_t used_max;    /* evict until no more bytes than this are used */
    uint64_t free_min;    /* and no fewer than these are free */
    const char *mount_id; /* NULL, or the mount whose private files are not counted: it knows what
                             it has reserved for them, written or not */
};

/* Unlinks versions, the longest unused first, until the goal is reached or nothing is left that is
 * not open somewhere. Returns the bytes then counted. One process at a time (DIR/lock): while
 * another one has the lock for longer than some seconds, nothing is unlinked. */
uint64_t cache_dir_evict(int dir_fd, const struct cache_dir_goal *goal);

#endif
