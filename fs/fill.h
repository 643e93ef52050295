#ifndef BMFS_FS_FILL_H
#define BMFS_FS_FILL_H

/* One version of an object on its way from the store into the cache.
 *
 * The version is cut into chunks. A read asks for the chunks it needs, in ranged GETs of several
 * chunks that run in parallel and carry If-Match, and is answered as soon as they are there; reads
 * that go forward fetch ahead of themselves. What came is summed from the beginning on while the
 * rest comes. When that is all of it, the whole is checked (fs/proof.h) and becomes a version of
 * the cache; reads that wait at that moment wait for the check too, so that nobody who reads a
 * damaged object to its end gets through.
 *
 * Where the cache has no room, reads fetch just their own bytes into memory.
 *
 *   state      file          reads of present chunks   of missing chunks
 *   FILLING    private       from the file             fetch, wait
 *   CHECKING   private       wait                      (none missing)
 *   COMPLETE   published     from the file             (none missing)
 *   FAILED     dropped       the error                 the error
 *
 * Threads: all functions, any thread. Callbacks run on a thread of the pool or on the caller's. */

#include "base/err.h"
#include "base/pool.h"
#include "fs/cache.h"
#include "fs/proof.h"
#include "s3/store.h"

enum { FILL_CHUNK = 128 << 10 };

struct fill;

struct fill_conf {
    struct store *store;
    struct cache *cache;
    struct pool *pool;         /* where GETs run; its jobs wait for the store only */
    struct proof_etags *etags; /* what is known of the store's */
};

/* `data` is borrowed for the call. `len` is smaller than asked for at the end of the object. */
typedef void fill_read_fn(void *arg, int code, const void *data, size_t len);

/* Starts with nothing present; asks the store nothing. Holds one reference. `conf` must outlive it;
 * key and stat are copied. 0; -EFBIG for a size that no object has; -ENOMEM. */
int fill_new(const struct fill_conf *conf, const char *key, const struct store_stat *stat,
             struct fill **ret);

void fill_ref(struct fill *f);
void fill_unref(struct fill *f);

/* Gives bytes that came with another request, and what that said of them: from offset 0, at least
 * one chunk or the whole. */
void fill_give_head(struct fill *f, const struct store_stat *stat, const void *data, size_t len);

/* Reads; calls fn exactly once with 0, or -errno: -ESTALE when the store has another version now,
 * -EBADMSG when the object fails its check or the store sends something else, -EIO when it does not
 * answer. */
void fill_read(struct fill *f, uint64_t off, size_t len, fill_read_fn *fn, void *arg);

/* Fetches everything and waits for it. Not from a job of the fill's pool. 0 or -errno. */
int fill_all(struct fill *f, struct err *err);

/* True when a part of the object, however small, is in the file, and the rest can still go there:
 * worth keeping a while. */
bool fill_is_useful(struct fill *f);

/* True once what is missing can never be read: the version is gone from the store, or damaged. */
bool fill_has_failed(struct fill *f);

/* True when it has failed because what came is not what was stored. */
bool fill_is_damaged(struct fill *f);

/* A descriptor of the published file, borrowed from the fill, or -1 before it is complete. */
int fill_complete_fd(struct fill *f);

#endif
