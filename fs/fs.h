#ifndef BMFS_FS_FS_H
#define BMFS_FS_FS_H

/* The daemon's inside: one `struct fs` a mount, shared by the files of this room.
 *
 * One mutex, fs->mu, guards all that has to do with names: nodes, directories, writers. It is held
 * for look-ups in memory only, never across a request, a file or a reply. Below it, in this order,
 * may be taken: the mutexes of a listing, an object, a fill, a stage. Functions that end in _locked
 * want fs->mu held.
 *
 * Pools, each for jobs that wait for different things, so that none can be starved by another:
 *   names   look-ups and listings: wait for the store
 *   data    ranged GETs of blocks: wait for the store
 *   load    copies of old contents into stages: wait for jobs of `data`
 *   work    commits, renames, views: wait for the store, for `data` and for `load` */

#define FUSE_USE_VERSION 312

#include "base/lock.h"
#include "fs/cache.h"
#include "fs/object.h"
#include "fs/stage.h"
#include "fs/wire.h"

struct broker;
struct folder;
struct handle;
struct node;
struct reservation;
struct writer;

enum {
    FS_FRESH_MS = 1000, /* how old an answer about names may be */
};

/* What a mount is told. Strings are borrowed for the mount's life. */
struct fs_conf {
    const char *prefix; /* of all keys: "" or ends in '/' */
    bool read_only;
    bool no_delete;
    bool immutable; /* what was seen once is never asked for again */
    uid_t uid;
    gid_t gid;
    mode_t umask;
    uint64_t memory; /* bytes for listings and whatever else grows with use */
};

struct fs {
    struct wire *wire; /* first: see wire_attach() */
    struct wire wire_state;
    struct fs_conf conf;
    struct store *store;   /* borrowed */
    struct cache *cache;   /* borrowed */
    struct broker *broker; /* borrowed; NULL without the privilege */
    struct objects *objects;
    struct pool *names, *data, *load, *work;
    struct stage_conf stage_conf;
    bool local;       /* the store keeps objects as local files: no copies in the cache */
    int64_t begun_ns; /* wall clock: the time of directories that have none */

    pthread_mutex_t backing_mu; /* how nodes are read, see struct node; never with another */

    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t released; /* a writer has no handle any more, or a removal has ended */
    struct node_table *nodes;
    struct folder_table *dirs;
    struct writer_table *writers;
    struct handle *handles;           /* all that are open */
    struct reservation *reservations; /* see fs/resolve.h */
    struct removal *removals;         /* see fs/removal.h */
    bool closing;                     /* no new commits are started by requests */
};

/* 0 or -errno. The store and the cache must outlive it. */
int fs_new(const struct fs_conf *conf, struct store *store, struct cache *cache, struct fs **ret,
           struct err *err);

/* After the session has ended: stops the pools and frees everything. */
void fs_free(struct fs *fs);

/* The object key of `obj` in the directory with this path: a new string, or NULL. */
char *fs_key(const struct fs *fs, const char *dir_path, const char *obj);

/* Says in the log why a request was refused, once, with the hint. Returns `code`. */
int fs_refuse(int code, const char *what, const char *path, const struct err *err);

/* What the user's program gets for an error of the store or of our own. */
int fs_errno(int code);

#endif
