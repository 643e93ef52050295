#ifndef BMFS_FS_HANDLE_H
#define BMFS_FS_HANDLE_H

/* An open file or directory: what fi->fh points to. */

#include "fs/node.h"
#include "fs/view.h"
#include "fs/writer.h"

#include <stdatomic.h>

enum handle_kind {
    HANDLE_SOURCE, /* one version of an object, or a view of it */
    HANDLE_TEXT,   /* bytes in memory: header.json, files of the mount's own */
    HANDLE_WRITER,
    HANDLE_DIR,
};

struct handle {
    enum handle_kind kind;
    struct node *node;            /* a reference */
    struct handle *newer, *older; /* in the list of all, guarded by fs->mu */
    int refs;                     /* the kernel's, and of reads of a directory; by fs->mu */

    struct view_source source; /* HANDLE_SOURCE: a reference */
    bool backed;               /* HANDLE_SOURCE: reads go straight to the local file */
    _Atomic bool drops;    /* HANDLE_SOURCE: the kernel was told to drop what it has of the node,
                              and has not read since */
    uint64_t dropped;      /* HANDLE_SOURCE: with it, what node->unproved was then */
    bool proved;           /* HANDLE_SOURCE: with it, all of the object was there and checked */
    struct buf text;       /* HANDLE_TEXT */
    struct writer *writer; /* HANDLE_WRITER: a reference, counted in `handles` */
    bool writes;           /* HANDLE_WRITER: opened for writing */
    pid_t process;         /* HANDLE_WRITER: that opened it */

    struct listing *listing; /* HANDLE_DIR: a reference */
    struct head *head;       /* HANDLE_DIR: a reference, or NULL */
    struct buf extra;        /* HANDLE_DIR: names only this mount knows, each with its NUL */
    bool extra_done;
    struct handle *again; /* HANDLE_DIR: a reference: what it reads since it last began anew */
    off_t read_to;        /* HANDLE_DIR: the position up to which it was read; -1: not at all */
};

/* A handle on a node, with a reference to it. Holds one reference. NULL when memory is short. */
struct handle *handle_new_locked(struct node *n, enum handle_kind kind);

void handle_ref(struct handle *h);

/* Lets go of one reference. The last one frees the handle and what it holds; not a writer, which
 * needs commit_finish(). */
void handle_free(struct handle *h);

/* Frees those that an unmount has cut off from their release. */
void handle_free_all(struct fs *fs);

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh; // NOLINT(performance-no-int-to-ptr)
}

#endif
