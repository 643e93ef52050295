#ifndef BMFS_FS_NODE_H
#define BMFS_FS_NODE_H

/* What the kernel knows files by.
 *
 * A node is not a name but a (key, version, way of opening): the page cache hangs on it, and so one
 * node never shows two contents. When a name gets new contents it gets a new node; those who have
 * the old one open keep it. An OPEN that meets a node which cannot serve it is answered with
 * ESTALE; the kernel then looks the name up again, and finds the right node. All nodes of one name
 * have one inode number, which is a hash of the key.
 *
 * A node lives as long as the kernel has looked it up more often than forgotten, or a handle uses
 * it. Guarded by fs->mu. */

#include "fs/folder.h"
#include "matrix/name.h"

enum { NODE_MOVED_MAX = 64 };

enum node_kind {
    NODE_DIR,
    NODE_OBJECT,  /* one version of an object, to be read */
    NODE_HEADER,  /* one version of header.json, to be read */
    NODE_WRITER,  /* a file that is being written */
    NODE_VIRTUAL, /* a file of the mount's own, see fs/virtual.h */
};

struct node {
    struct fs *fs;
    struct node *next;  /* in its bucket */
    struct folder *dir; /* a reference: its own directory, or the one that it is in */
    enum node_kind kind;
    uint64_t ino;
    uint64_t lookups; /* the kernel's count */
    int refs;         /* handles and reservations */

    uint64_t size; /* what stat says, for NODE_OBJECT and NODE_HEADER */
    int64_t mtime_ns;
    enum name_view view;  /* NODE_OBJECT */
    uint64_t object_size; /* NODE_OBJECT: of the object; `size` is of the view */
    int virtual_id;       /* NODE_VIRTUAL */
    struct head *head;    /* NODE_HEADER: a reference */
    bool looked;          /* NODE_OBJECT: its first bytes were held against the header */
    char *mismatch;       /* NODE_OBJECT: how a block differs from its matrix, or NULL; owned */

    /* NODE_OBJECT: the name that a rename of this mount gave to what was here, or NULL. The kernel
     * moves its entry along, and may trust it for a while (see folder_hold()). */
    struct folder *moved_dir; /* a reference */
    char *moved_name;         /* owned */
    unsigned moved_slot;      /* in the table's ring of such nodes */

    struct writer *writer; /* NODE_WRITER: a reference */

    /* When the store last said that this is the current version, for answers from memory; and which
     * thread's look-up asked, so that the open it belongs to need not ask again. Such a token holds
     * while every path walk asks us: it is void once the kernel may have been told by a READDIRPLUS
     * to trust the name for a while. */
    int64_t checked_ms;
    pid_t token_tid; /* 0: none */
    int64_t token_ms;
    unsigned token_plus;

    /* guarded by fs->backing_mu: */
    int cached_opens;  /* handles that read through the page cache */
    int backing_opens; /* handles that read straight from a local file: never both */
    int32_t backing;   /* its backing id while backing_opens > 0 */
    uint64_t unproved; /* serial of the object that gave pages before all of it was checked; or 0 */

    const char *etag; /* NODE_OBJECT: within `text` */
    char text[];      /* object name, NUL, ETag, NUL */
};

int node_table_init(struct fs *fs);
void node_table_fini(struct fs *fs);

/* The node that a nodeid of the kernel means. */
struct node *node_of(struct fs *fs, fuse_ino_t ino);
fuse_ino_t node_id(const struct node *n);

/* Each returns the one node for what it is given, made when there is none; NULL when memory is
 * short. The caller counts it (lookups or refs) before it lets go of the lock. */
struct node *node_dir_locked(struct folder *d);
struct node *node_object_locked(struct folder *d, const char *obj, enum name_view view,
                                const struct store_stat *stat, uint64_t view_size);
struct node *node_header_locked(struct folder *d, struct head *head);
struct node *node_writer_locked(struct writer *w);
struct node *node_virtual_locked(struct folder *d, int virtual_id, const char *name);

/* The version of a name that was current last and at most `age_ms` ago, or NULL. */
struct node *node_recent_locked(struct folder *d, const char *obj, enum name_view view,
                                int64_t age_ms);

/* The version with this ETag, or with any when it is NULL: the one that was current last. NULL when
 * the kernel knows none. */
struct node *node_version_locked(struct folder *d, const char *obj, enum name_view view,
                                 const char *etag);

/* The stored version that a NODE_OBJECT is of. */
struct store_stat node_object_stat(const struct node *n);

/* Forgets that versions of this name were current. */
void node_unsettle_locked(struct folder *d, const char *obj);

/* A rename has taken `name`, the file of an object, to another name. The latest NODE_MOVED_MAX such
 * nodes are remembered. */
struct node_move {
    struct folder *dir;
    const char *obj, *name;
    struct folder *to_dir;
    const char *to_name;
};
void node_moved_locked(const struct node_move *move);

/* The kernel is given the node for its own name, again or for the first time. */
void node_stays_locked(struct node *n);

/* The store has just said that the node is current; `tid` (0: nobody) asked for it. */
void node_checked_locked(struct node *n, pid_t tid);

/* Uses up the token of this thread, if it has one. */
bool node_use_token_locked(struct node *n, pid_t tid);

/* Frees a node that nobody counts any more. */
void node_drop_locked(struct node *n);
void node_forget(struct fs *fs, fuse_ino_t ino, uint64_t count);
void node_unref(struct node *n);

/* A node's attributes. */
void node_stat_locked(struct node *n, struct stat *st);

/* The inode number of a key, the same in every mount of a bucket; `lowest` for header.json, which
 * programs that sort by inode number must meet first. */
uint64_t node_ino(struct fs *fs, const char *dir_path, const char *name, bool lowest);

#endif
