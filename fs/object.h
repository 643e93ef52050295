#ifndef BMFS_FS_OBJECT_H
#define BMFS_FS_OBJECT_H

/* Versions of objects that this mount has open, wherever their bytes are: complete in the disk
 * cache, on their way there (fs/fill.h), or in a store that keeps objects as local files.
 *
 * A version never changes, so what is read through one `struct object` is always one snapshot. The
 * same version opened twice is the same object. Versions that nobody has open any more are kept for
 * a while, so that a lookup, an open and the next open share what the first of them fetched.
 *
 * Threads: all functions, any thread. "Blocks" marks those that wait for the disk or the store. */

#include "fs/fill.h"

struct object;
struct objects;

struct objects_conf {
    struct store *store;
    struct cache *cache;
    struct pool *pool; /* for GETs: see struct fill_conf */
};

enum { OBJECT_SAME = 1 };

/* `conf`'s parts must outlive it. 0 or -ENOMEM. */
int objects_new(const struct objects_conf *conf, struct objects **ret);

/* No object may be referenced any more. NULL is fine. */
void objects_free(struct objects *os);

/* What is known of the store's ETags; borrowed. */
struct proof_etags *objects_etags(struct objects *os);

/* Opens the version that `stat` names. Asks the store nothing unless it is local. Blocks. 0, or
 * -ESTALE when a local store has another version, or -errno. */
int objects_open(struct objects *os, const char *key, const struct store_stat *stat,
                 struct object **ret, struct err *err);

/* Opens the current version with one request, which brings its first chunk along. With `known`, an
 * ETag, OBJECT_SAME when that is current: nothing was fetched and *ret is not set. Blocks. */
int objects_current(struct objects *os, const char *key, const char *known, struct object **ret,
                    struct err *err);

/* Writes the bytes of a derived version into an empty file. 0 or -errno. */
typedef int object_make_fn(void *arg, int fd, struct err *err);

/* Opens a version that is made from another one here and never stored: `stat` names it with an ETag
 * and a size of its own. It is made when it is not in the cache. Blocks. 0 or -errno. */
int objects_derived(struct objects *os, const char *key, const struct store_stat *stat,
                    object_make_fn *make, void *arg, struct object **ret, struct err *err);

/* Takes a private file that holds all of a version that this mount has just written, so that it
 * need not be fetched. The file is published or, when that fails, dropped. */
void objects_adopt(struct objects *os, const char *key, const struct store_stat *stat, uint32_t crc,
                   struct cache_file *file);

/* The version of a key that this mount last learnt or made, as far as remembered. False: none. */
bool objects_latest(struct objects *os, const char *key, struct store_stat *ret);

/* Remembers a version that this mount has just stored; NULL: it has deleted the key. */
void objects_note_latest(struct objects *os, const char *key, const struct store_stat *stat);

/* The version of a key that this mount has stored, if nothing else has been heard of it since. */
bool objects_stored(struct objects *os, const char *key, struct store_stat *ret);

/* The store has answered that there is no such key, to a question that was asked at `asked_ns`. */
void objects_note_absent(struct objects *os, const char *key, int64_t asked_ns);

/* True when objects_open() would find bytes of this version at hand. Looks at the disk. */
bool objects_has(struct objects *os, const char *key, const char *etag);

/* For versions that were found damaged before: fetches and checks all of it before anything is
 * read, for the kernel may have parts of it that were read before the check. Blocks; not on the
 * pool of the conf. 0, -EIO when it still is, or -errno. */
int object_check(struct object *o, struct err *err);

void object_ref(struct object *o);
void object_unref(struct object *o);

const struct store_stat *object_stat(const struct object *o);

/* Reads; see fill_read(). */
void object_read(struct object *o, uint64_t off, size_t len, fill_read_fn *fn, void *arg);

/* Reads up to `len` bytes at `off` into `dst` and waits. Blocks; not on the pool of the conf. The
 * number of bytes, or -errno. */
int64_t object_pread(struct object *o, void *dst, size_t len, uint64_t off);

/* Fetches all that is missing. Blocks; not on the pool of the conf. 0 or -errno. */
int object_all(struct object *o, struct err *err);

/* A descriptor of the complete version, borrowed, or -1 while something is missing. */
int object_fd(struct object *o);

/* Tells one struct object from another of the same version, also from one that is gone: never 0. */
uint64_t object_serial(const struct object *o);

#endif
