#ifndef BMFS_FS_STAGE_H
#define BMFS_FS_STAGE_H

/* The bytes of one file that is being written, on their way to the store.
 *
 * A stage starts from nothing or from a version of an object. It takes a private file of the cache
 * with the first byte that changes something; until then it reads through to that version and costs
 * nothing. Which bytes were written is recorded, so that "every byte is there" can be told from
 * "the size is right".
 *
 *   state     own file   reads               writes
 *   BASE      no         from the base       LOADING first, if there is a base
 *   LOADING   filling    from the base       wait
 *   OWN       yes        from the file       to the file
 *   HELD      yes        from the file       wait: the bytes are being sent
 *   FROZEN    published  from the file       LOADING first: a copy; the file is a version of the
 *                                            cache now. Wait while still held
 *
 * Writes that must wait are kept with their data and done in order. Callbacks are called once, on
 * the caller's thread or one of the pool's.
 *
 * Threads: all functions, any thread. "Blocks" marks those that wait. */

#include "fs/extent.h"
#include "fs/journal.h"
#include "fs/object.h"

struct stage;

struct stage_conf {
    struct cache *cache;
    struct pool *load; /* for loading alone: its jobs wait for the pool of the objects */
};

typedef void stage_fn(void *arg, int code);

/* `base` (may be NULL) is referenced. `conf` must outlive the stage. 0 or -ENOMEM. */
int stage_new(const struct stage_conf *conf, struct object *base, struct stage **ret);

struct stage *stage_ref(struct stage *s);
void stage_unref(struct stage *s);

/* Writes `len` bytes at `off`, growing the file as needed. `mapped`: the bytes come from a shared
 * mapping, whose writer the kernel does not name. */
void stage_write(struct stage *s, const void *data, size_t len, uint64_t off, bool mapped,
                 stage_fn *fn, void *arg);

void stage_truncate(struct stage *s, uint64_t size, stage_fn *fn, void *arg);

/* Asks the file system for room, so that later writes do not meet a full disk; with `grow` the file
 * becomes at least off + len long. */
void stage_allocate(struct stage *s, uint64_t off, uint64_t len, bool grow, stage_fn *fn,
                    void *arg);

/* Reads; bytes never written within the size are zero. See fill_read(). */
void stage_read(struct stage *s, uint64_t off, size_t len, fill_read_fn *fn, void *arg);

uint64_t stage_size(struct stage *s);
int64_t stage_mtime_ns(struct stage *s);

/* True when something changed since the start, the last stage_settle() or stage_set_clean(). */
bool stage_is_dirty(struct stage *s);

/* Why a change failed for the first time since the file was last made empty: 0 or -errno. What was
 * written is then not what its writer meant. */
int stage_error(struct stage *s);

/* A change that was asked for could not even be begun. */
void stage_note_failure(struct stage *s, int code);

/* The failure has been told. Forgets it, if no change was made beside it: the bytes are as they
 * were and nobody's update is half done. */
void stage_forgive(struct stage *s);

/* Whether making it empty changes anything: it holds bytes, or has failed. */
bool stage_can_be_cut(struct stage *s);

/* True when bytes came from a shared mapping since then. */
bool stage_is_mapped_dirty(struct stage *s);

void stage_set_clean(struct stage *s);

/* From now on the journal of the stage's own file says this about it: see fs/journal.h. A stage
 * that nobody has described keeps none: its bytes do not outlive the daemon. 0 or -ENOMEM. */
int stage_describe(struct stage *s, const struct journal_about *about);

/* Marks the stage as changed though no byte is: a new empty file must come to be. */
void stage_set_dirty(struct stage *s);

/* What is being sent. The bytes do not change until stage_settle(). */
struct stage_view {
    int fd; /* borrowed; -1 when the size is 0 */
    uint64_t size;
    bool whole; /* every byte of the size was written (or came from the base) */
    bool cut;   /* the size was set by a truncation and nothing was written since */
};

/* Holds writes back and shows the bytes. Blocks until writes and loads under way are done; a stage
 * that has no file of its own gets one. 0 or -errno, then nothing is held. */
int stage_hold(struct stage *s, struct stage_view *ret);

/* Ends a hold. `sent`: the bytes are in the store, the stage is clean; else all is as before. */
void stage_settle(struct stage *s, bool sent);

bool stage_is_held(struct stage *s);

/* Waits while the bytes are held. Blocks. */
void stage_wait_settled(struct stage *s);

/* Lets go of all bytes; only size and time stay, for those who ask. Nobody has it open any more:
 * who would change it all the same is told -ESTALE. */
void stage_retire(struct stage *s);

/* The private file, for objects_adopt() or for moving it away; only while held. What is published
 * must be told with stage_set_frozen(). */
struct cache_file *stage_file(struct stage *s);
void stage_set_frozen(struct stage *s);

/* The write id that the stage was last described with, if nothing changed since; else "". */
void stage_write_id(struct stage *s, char ret[STORE_WRITE_ID_SIZE]);

/* Lets go of the private file and its journal without removing them: nobody could take the bytes,
 * so they wait for the next mount, and who goes on writing gets a copy. Only while nobody writes.
 */
void stage_abandon(struct stage *s);

#endif
