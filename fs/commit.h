#ifndef BMFS_FS_COMMIT_H
#define BMFS_FS_COMMIT_H

/* From written bytes to a stored object: when, what is checked, and what becomes of a failure.
 *
 * The kernel says "flush" at every close of every copy of a descriptor, also of a child's that
 * never wrote a byte, and numpy's memory maps flush a file of the right size and the wrong content.
 * So what is stored follows from the bytes, not from the flush alone:
 *
 *   bytes                             flush     fsync, rename, link   last close, unmount
 *   every byte of the file written    store     store                 store
 *   right size, some never written    nothing   store (zeros)         store (zeros)
 *   nothing, or only the npy header   nothing   EINVAL                wait to be opened again
 *   what was cut down to that         EINVAL    EINVAL                dropped: close has said so
 *   anything else                     EINVAL    EINVAL                dropped: close has said so
 *   a block, without a usable header  EBADMSG   EBADMSG               kept, for fs/salvage.h
 *
 * What is not whole when the mount ends goes to the folder of fs/lost.h, marked as incomplete.
 *
 * An ordinary file is whole whatever it holds. A store is one conditional PUT. What cannot be
 * stored for good goes to the folder of fs/lost.h. All functions block and belong on the pool
 * `work`, or on `names` where they decide what a name is. */

#include "fs/writer.h"

enum commit_cause { COMMIT_FLUSH, COMMIT_SYNC, COMMIT_CLOSE, COMMIT_UNMOUNT };

/* Nothing was stored because the bytes are not complete; they may still become so. */
enum { COMMIT_WAITS = 1 };

/* Stores what a writer holds under its own name, if its time has come. 0: stored, or nothing new;
 * COMMIT_WAITS; or -errno: -EINVAL for bytes that are no block of the matrix, -EBADMSG for those of
 * a matrix without a usable header, -ESTALE or -EEXIST when somebody else has written the name,
 * -EPERM for a header that does not fit the blocks, or what the store says. The reason is in `err`
 * and, once, in the log. */
int commit(struct writer *w, enum commit_cause cause, struct err *err);

/* Stores what somebody has left behind, interrupted or done, under a name that `process` is about
 * to write: what comes of that decides what the name is. The job of the last close may not have
 * begun, so nobody waits for it; what cannot be stored it will keep or drop, and not store later if
 * somebody else has the name by then. False: there was nothing. */
bool commit_left_behind(struct folder *d, const char *name, const struct place *place,
                        pid_t process);

/* The same for all names of a directory that is about to be removed. */
void commit_all_left_behind(struct folder *d, pid_t process);

/* Another name for the bytes of a writer. */
struct commit_target {
    struct folder *dir;
    const char *name;
    const struct place *place;
    const char *if_match; /* of what is there; NULL for whatever is */
    bool or_same;         /* the same bytes are there already: as good as stored */
    uint64_t *ret_size;   /* NULL, or receives the size of the file whose bytes were stored */
};

/* Stores what a writer holds under another name, for link: the writer goes on as if nothing had
 * happened. Errors as commit(), which the caller logs. On success *ret_stat is the new version. */
int commit_to(struct writer *w, const struct commit_target *to, struct store_stat *ret_stat,
              struct err *err);

/* The same for rename: what the writer holds from now on belongs under the new name. */
int commit_move(struct writer *w, const struct commit_target *to, struct store_stat *ret_stat,
                struct err *err);

/* Gives up one of w->handles and the reference that belongs to it. The last one lets the writer be
 * stored or forgotten, on the pool `work`. Does not block. */
void commit_release_locked(struct writer *w);

/* The last handle was closed, or the mount ends: stores, keeps waiting, or gives up what a writer
 * holds; nothing is left that only this function could still save. */
void commit_finish(struct writer *w, bool unmounting);

#endif
