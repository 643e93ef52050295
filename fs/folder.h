#ifndef BMFS_FS_FOLDER_H
#define BMFS_FS_FOLDER_H

/* What the mount knows of its directories.
 *
 * A directory is a key prefix. What it is (a matrix, a plain directory) and what is in it comes
 * from the store and is trusted for a second; a whole listing is trusted for twice the time that it
 * took, if that is longer. Whatever this mount changes itself is taken into account at once.
 * Counted. */

#include "fs/fs.h"
#include "fs/head.h"
#include "fs/listing.h"

enum folder_kind {
    FOLDER_UNKNOWN,  /* nobody has looked yet */
    FOLDER_PLAIN,    /* no header and no blocks */
    FOLDER_MATRIX,   /* has a header, good or bad: `head` is set */
    FOLDER_HEADLESS, /* has blocks and no header: `head` is set once it was inferred */
};

struct folder {
    struct fs *fs;
    char *path; /* below the mount's prefix: "" for the root, else ends in '/' */
    uint64_t ino;

    /* guarded by fs->mu: */
    struct folder *next;       /* in its bucket */
    struct folder *next_local; /* among those made here */
    int refs;
    struct node *node; /* the kernel's, or NULL */
    enum folder_kind kind;
    bool
        local; /* made here and not removed: it exists whatever the store says; holds a reference */
    struct head *head;  /* a reference, or NULL */
    int64_t seen_ms;    /* when something proved last that it exists; 0: never */
    int64_t head_ms;    /* when `head` (or that there is none) was last known to be current */
    unsigned head_sets; /* how often this mount has stored or removed the header: what the store
                           said before that is void */
    struct listing *listing; /* the latest complete one, a reference, or NULL */
    struct folder_run *runs; /* listings under way */
    unsigned plus_count;     /* replies to READDIRPLUS, see struct node */
    struct writer *writers;  /* what is being written here, scratch files included */
    int writer_count;
};

int folder_table_init(struct fs *fs);
void folder_table_fini(struct fs *fs);

/* The directory of this path, made when unknown, with a new reference; NULL when memory is short.
 */
struct folder *folder_get_locked(struct fs *fs, const char *path);
struct folder *folder_get_child_locked(struct folder *parent, const char *name);
/* The same without making one; borrowed, or NULL. */
struct folder *folder_find_child_locked(struct folder *parent, const char *name);
struct folder *folder_ref_locked(struct folder *d);
void folder_unref_locked(struct folder *d);
void folder_unref(struct folder *d);

/* Marks as made here (mkdir, or emptied by this mount), or as removed. */
void folder_set_local_locked(struct folder *d, bool local);

/* Calls fn for the name of each directory that was made below `d` here. */
void folder_each_local_locked(struct folder *d,
                              void (*fn)(void *arg, const char *name, struct folder *child),
                              void *arg);

/* Something in the directory was just seen in the store: it exists. */
void folder_seen_locked(struct folder *d);

/* Whether it is known to exist without asking. */
bool folder_is_fresh_locked(const struct folder *d);

/* The header that names in this directory go by, or NULL; borrowed while the lock is held. */
const struct header *folder_header_locked(const struct folder *d);

/* As an age: asks whatever is known, also in a mount that takes nothing to change. */
#define FOLDER_ANEW INT64_MIN

/* Asks the store what the directory is, unless that was known `age_ms` ago. Blocks. 0; -ENOENT when
 * nothing is there; an error of the store. */
int folder_load(struct folder *d, int64_t age_ms, struct err *err);

/* As folder_load(), and infers the header of a headless matrix. Blocks. On success *ret_head is a
 * reference, or NULL for a plain directory. */
int folder_load_head(struct folder *d, int64_t age_ms, struct head **ret_head, struct err *err);

/* This mount has just stored, or removed, the header; `head` may be NULL. */
void folder_set_head(struct folder *d, struct head *head);

/* The directory has gone, or is another one: nothing is known of it any more. */
void folder_drop_head_locked(struct folder *d);

/* Lists the directory into `l`, which is ended whatever happens. Blocks. 0 or -errno. */
int folder_run(struct folder *d, struct listing *l, struct err *err);

/* Lists the directory and concludes from what is there what it is; infers the header of a headless
 * matrix. Blocks. 0 with a reference to the listing; -ENOENT when nothing is there and nobody made
 * it here. */
int folder_scan(struct folder *d, struct listing **ret, struct err *err);

/* Begins a listing on the pool and returns a reference to it; readers follow it as it grows. 0 or
 * -errno. */
int folder_list(struct folder *d, struct listing **ret);

/* The name of an object in the latest listing, while that is still to be trusted. */
bool folder_listed_locked(struct folder *d, const char *obj, struct listing_entry *ret);

/* How long the kernel may trust what a listing said, in seconds. */
double folder_hold(struct listing *l);

/* This mount has changed an object (or directory) here, or found it gone: listings do not vouch
 * for it. */
void folder_changed_locked(struct folder *d, const char *obj);

/* Whether any key exists below. Blocks. 1, 0 or -errno. */
int folder_has_keys(struct folder *d, struct err *err);

#endif
