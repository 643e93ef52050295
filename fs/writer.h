#ifndef BMFS_FS_WRITER_H
#define BMFS_FS_WRITER_H

/* A name that is being written: the stage with its bytes, and what is to become of them.
 *
 * All who write a name through one mount share one writer. It is found by its name as long as it is
 * linked; until its bytes have been stored it is shown only to the processes that write it, for
 * nobody else may take half a block for a block. See fs/commit.h for how it reaches the store.
 *
 * A writer lives while it has a handle, unsaved bytes that somebody may still complete, or the
 * kernel's node. Guarded by fs->mu unless said otherwise. */

#include "fs/folder.h"
#include "fs/place.h"

enum {
    WRITER_OWNERS_MAX = 32,    /* processes remembered for one file; beyond, all count */
    WRITER_NAMES_MAX = 100000, /* names being written at a time, scratch files included */
    WRITER_UNDECIDED_MAX = 4,  /* tries to store remembered of which nobody knows the outcome */
};

struct writer {
    struct fs *fs;
    struct stage *stage; /* fixed; has its own lock */
    uint64_t ino;        /* fixed */

    /* guarded by fs->mu: */
    struct writer *next;  /* in its directory */
    struct writer *older; /* in the mount */
    struct writer *newer;
    struct folder *dir; /* a reference */
    char *name;         /* the file's name as created, for messages and for scratch files */
    struct place place; /* where the bytes belong */
    struct node *node;  /* the kernel's, or NULL */
    int refs;
    int handles;   /* open files, and creations that are about to be */
    bool linked;   /* found by its name */
    bool unseen;   /* no version of it is in the store yet */
    bool removing; /* its name is being removed: nothing is stored meanwhile */
    bool dropped;  /* unlinked or given up: nothing is stored any more */
    bool lingers;  /* a reference of its own: nobody has it open, and its bytes are nowhere else; a
                      scratch file, as long as it has its name */
    char if_match[STORE_ETAG_SIZE]; /* what is to be replaced; STORE_ABSENT: nothing */
    char undecided_id[WRITER_UNDECIDED_MAX][STORE_WRITE_ID_SIZE]; /* the latest, anywhere in it */
    int undecided;                        /* tries since the last one that succeeded */
    char sending_id[STORE_WRITE_ID_SIZE]; /* of the try under way under its own name, or "" */
    bool exclusive;                       /* O_EXCL: a lost race is EEXIST, not ESTALE */
    int error;                            /* a conflict that no retry can mend */
    uint32_t said; /* a hash of why it was not stored, as the log has it; 0: nothing to say yet */
    int64_t flushed_ms; /* a descriptor of it was closed, perhaps the last one ... */
    bool copied;        /* ... but another one was still open: till the last close */
    unsigned changes;   /* grows with the last close, or a truncation of what nobody has open */
    unsigned tried; /* the last of these after which commit_left_behind() has tried to store it */
    bool in_vain;   /* that failed, and the bytes are worth keeping */
    uint64_t owner[WRITER_OWNERS_MAX]; /* lock owners that wrote since the last commit */
    int owners;
    pid_t process[WRITER_OWNERS_MAX]; /* that have or had it open */
    int processes;
};

int writer_table_init(struct fs *fs);
void writer_table_fini(struct fs *fs);

/* What a new writer starts from. */
struct writer_start {
    struct folder *dir;
    const char *name;
    const struct place *place;
    struct object *base;  /* the bytes it starts with, or NULL: empty */
    const char *if_match; /* see struct writer */
    bool exclusive;
};

/* Makes a linked writer with one reference. 0, -ENOMEM, -ENFILE when too many names are being
 * written, or -ENAMETOOLONG for what no key can be. */
int writer_new_locked(struct fs *fs, const struct writer_start *start, struct writer **ret);

/* Makes a writer that carries the bytes of a stored object to another name, and is found by none
 * itself. Blocks. 0 with the version, -ENOENT, or what the store says. */
int writer_carry(struct folder *d, const char *name, const struct place *place, struct writer **ret,
                 struct store_stat *ret_stat, struct err *err);

/* Tells the journal of the bytes where they belong, and the write id of the try to store them that
 * is about to be made ("" for none). 0 or -ENOMEM. */
int writer_describe_locked(struct writer *w, const char *write_id);

void writer_ref_locked(struct writer *w);
void writer_unref_locked(struct writer *w);
void writer_unref(struct writer *w);

/* The linked writer of a place, or NULL. Scratch files are found by name, the others by place. */
struct writer *writer_find_locked(struct folder *d, const char *name, const struct place *place);

/* Whether a writer, linked or not, belongs at a place of its directory. */
bool writer_is_at_locked(const struct writer *w, const char *name, const struct place *place);

/* No longer found by its name. With `drop`, nothing of it is stored any more. */
void writer_unlink_locked(struct writer *w, bool drop);

/* Waits while its name is being removed. Blocks, no longer than the store is waited for. */
void writer_wait_removed(struct writer *w);

/* The same for whichever writer has a place: true when there was one to wait for. */
bool writer_wait_place(struct folder *d, const char *name, const struct place *place);

/* Keeps the writer although nobody has it open, for its bytes are nowhere else; or lets it go. */
void writer_linger_locked(struct writer *w, bool on);

/* One more open file, of somebody who has a reference. What waited to be completed waits no more:
 * the last close decides anew. */
void writer_open_locked(struct writer *w);

/* Another name and place, after a rename; the node keeps its number. 0 or -ENOMEM. */
int writer_move_locked(struct writer *w, struct folder *dir, const char *name,
                       const struct place *place);

/* A process opened it, a lock owner wrote to it. */
void writer_note_process_locked(struct writer *w, pid_t process);
void writer_note_owner_locked(struct writer *w, uint64_t owner);

/* Nobody could say what became of a try to store with that write id. */
void writer_note_undecided_locked(struct writer *w, const char *write_id);

/* Whether it was one of those; with NULL, whether there are any. */
bool writer_has_undecided_locked(const struct writer *w, const char *write_id);

bool writer_has_process_locked(const struct writer *w, pid_t process);
bool writer_has_owner_locked(const struct writer *w, uint64_t owner);

/* Whether a process may know of the file: it is in the store, it is scratch, or it writes it. */
bool writer_is_visible_locked(const struct writer *w, pid_t process);

/* Whether a writer is only what has been left behind: nobody has it open, and it is somebody else's
 * and incomplete, or stored, perhaps as a version that is none any more. A process that asks for
 * the name may have it. */
bool writer_is_abandoned_locked(const struct writer *w, pid_t process);

/* Makes room in place of such a writer (NULL: there is none). 0 with *w NULL, or as it was when it
 * is to be shared; WRITER_AGAIN when it holds bytes that nobody has tried to store, which is for
 * commit_left_behind(), or when it has stored them, perhaps after the caller looked. */
enum { WRITER_AGAIN = 1 };
int writer_make_way_locked(struct writer **w, pid_t process);

/* The first such writer of a directory that holds such bytes; a reference, or NULL. */
struct writer *writer_untried_locked(struct folder *d, pid_t process);

/* Whether a directory can be removed, for nothing in it is being written; and, once it is, makes
 * room there. */
bool writer_may_clear_locked(struct folder *d, pid_t process);
void writer_clear_locked(struct folder *d, pid_t process);

/* Calls fn for each writer, linked or not, with a reference held and without the lock. */
void writer_each(struct fs *fs, void (*fn)(struct writer *w, void *arg), void *arg);

/* The process that a thread belongs to; 0 when it has gone, or the system does not tell this mount
 * of it; or -errno when it could not be asked: nothing ought to be done then that depends on it. */
pid_t writer_process(pid_t tid);

#endif
