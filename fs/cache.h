#ifndef BMFS_FS_CACHE_H
#define BMFS_FS_CACHE_H

/* The disk cache: whole versions of objects as local files, and the private files of one mount.
 *
 *   DIR/objects/3fa/<rest of the id>.<crc32c>   one complete version; never changed, only unlinked
 *   DIR/mounts/<id>/                            files of a running mount: versions being filled,
 *                                               bytes being written and their journals (see
 *                                               fs/journal.h); locked as long as it lives
 *   DIR/lost/                                   see fs/lost.h
 *   DIR/usage                                   bytes in use by all mounts, a shared counter
 *   DIR/lock                                    held while evicting
 *
 * Several mounts and processes may share one folder. A version's id is the SHA-256 of store, key
 * and ETag, so what a file holds never goes stale; its CRC-32C is part of its name and is checked
 * once after each start. Eviction unlinks what was used longest ago and is not open anywhere.
 *
 * Threads: every function may be called from any thread. */

#include "base/err.h"

enum { CACHE_ID_SIZE = 65, CACHE_NAME_SIZE = 32 };

struct cache;

/* Saves what must outlive a mount that is no more: `mount_fd` is its folder within `dir_fd`, both
 * borrowed. Returns whether the rest may be removed; else the folder stays as it is. */
typedef bool cache_salvage_fn(void *arg, int dir_fd, int mount_fd);

struct cache_conf {
    const char *dir;   /* made with mode 0700 when absent */
    bool any_fs;       /* the user named the folder: take it even on a network file system */
    uint64_t size_max; /* bytes for all mounts together; 0: the smaller of 20 GiB and half of what
                          is free now or in the folder already */
    uint64_t free_min; /* bytes that stay free on the file system; 0: a twentieth of it, at most
                          4 GiB */
    cache_salvage_fn *salvage; /* NULL: nothing need be saved */
    void *salvage_arg;         /* must outlive the cache */
};

/* A private file of this mount. */
struct cache_file {
    int fd; /* owned, read-write; -1: none yet */
    char name[CACHE_NAME_SIZE];
    uint64_t reserved; /* bytes that its owner got from cache_reserve() for it */
};

/* What the environment suggests: $SLURM_TMPDIR, $TMPDIR, else /var/tmp, each with a folder of the
 * user's own. Returns a new string or NULL (out of memory). */
char *cache_default_dir(void);

/* Opens a cache folder without a mount, with the same checks: -EACCES when it is not this user's
 * alone. */
int cache_open_folder(const char *dir, int *ret_fd, struct err *err);

/* 0; -EMEDIUMTYPE for a network file system that was not named; -EACCES when the folder is another
 * user's or open to others; -errno of the file system. The private files of mounts that died are
 * salvaged, then removed. */
int cache_open(const struct cache_conf *conf, struct cache **ret, struct err *err);

/* Salvages and removes this mount's private folder. NULL is fine. */
void cache_close(struct cache *c);

const char *cache_dir(const struct cache *c);
int cache_dir_fd(const struct cache *c); /* borrowed */
uint64_t cache_size_max(const struct cache *c);

/* The id of one version of one object. 0 or -ENOMEM. */
int cache_id(const char *store_id, const char *key, const char *etag, char ret[CACHE_ID_SIZE]);

/* Opens a complete version of `size` bytes for reading: a descriptor that also keeps the file from
 * being evicted; -ENOENT when it is not there. A file that fails its check is removed and is
 * -ENOENT too, with the reason in `err`. May read the whole file: not on a thread that must not
 * wait. */
int cache_get(struct cache *c, const char *id, uint64_t size, uint32_t *ret_crc, struct err *err);

/* Whether cache_get() would find the version, its check aside. */
bool cache_has(struct cache *c, const char *id);

/* Makes a private file; what is reserved already stays. 0 or -errno. */
int cache_file_new(struct cache *c, struct cache_file *ret, struct err *err);

/* Turns a complete private file into version `id`; it keeps its descriptor, which must not be
 * written to any more, and its name is cleared. What was reserved for it and is not needed is given
 * back. 0, or -errno: the file is still private. */
int cache_file_publish(struct cache *c, struct cache_file *f, const char *id, uint32_t crc);

/* Closes, removes the file unless it was published, and gives back what was reserved for it. */
void cache_file_drop(struct cache *c, struct cache_file *f);

/* The folder of this mount's private files; borrowed. */
int cache_mount_fd(const struct cache *c);

/* The path of a private file, for renames to other folders. */
void cache_file_path(const struct cache *c, const struct cache_file *f, char *dst, size_t size);

/* What is called, without a lock held, when eviction does not make room: to let go of versions and
 * files that are kept open just in case. Returns whether there were any. One at a time, set while
 * no other thread uses the cache; NULL removes it. */
typedef bool cache_relief_fn(void *arg);
void cache_set_relief(struct cache *c, cache_relief_fn *fn, void *arg);

/* Asks for room for `bytes` more, evicting as needed. 0; -ENOSPC when the limit or the floor cannot
 * be kept: then a reader goes without the cache. With `must` only the floor counts: bytes that are
 * being written go before clean ones. */
int cache_reserve(struct cache *c, uint64_t bytes, bool must);

/* Gives back what was reserved and belongs to no file. */
void cache_release(struct cache *c, uint64_t bytes);

/* Bytes in use by all mounts, as far as known. */
uint64_t cache_usage(const struct cache *c);

#endif
