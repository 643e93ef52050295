#ifndef BMFS_FS_LISTING_H
#define BMFS_FS_LISTING_H

/* What one LIST of a directory brought: the names below a prefix, with size and version.
 *
 * A listing grows while its pages arrive and never changes afterwards; readers may follow it as it
 * grows. Entries are in ascending order of their bytes, as the store gives them. Counted. Packed
 * for directories of a million blocks: about 80 bytes an entry.
 *
 * Threads: one writer (the job that runs the LIST), any readers. */

#include "base/err.h"
#include "s3/store.h"

struct listing;

struct listing_entry {
    const char *name; /* object name below the prefix; a directory's without its slash */
    bool is_dir;
    uint64_t size;
    int64_t mtime_ns;
    const char *etag; /* "" for a directory */
};

/* Called when the listing has grown or ended, on the writer's thread. */
typedef void listing_fn(void *arg);

/* 0 or -ENOMEM. Holds one reference. */
int listing_new(struct listing **ret);
struct listing *listing_ref(struct listing *l);
void listing_unref(struct listing *l);

/* Lists `prefix` of the store into `l` and ends it. Blocks. 0, or -errno, which later readers of
 * the listing get too. */
int listing_run(struct listing *l, struct store *st, const char *prefix, struct err *err);

/* Ends a listing that will not run. */
void listing_fail(struct listing *l, int code);

/* The entry at `at`. 1: *ret is set (borrowed from the listing); 0: the end; -EAGAIN: not there
 * yet; else the error that ended the listing. */
int listing_at(struct listing *l, size_t at, struct listing_entry *ret);

/* Entries so far. */
size_t listing_count(struct listing *l);

/* Calls fn(arg) once, when entry `at` has come or the listing has ended; at once if that is so
 * already. 0 or -ENOMEM (fn is not called). */
int listing_wait(struct listing *l, size_t at, listing_fn *fn, void *arg);

/* Notes that this mount has changed a name since the listing was begun: listing_find() does not
 * vouch for it any more. */
void listing_note_change(struct listing *l, const char *name);

/* Finds a name in a complete listing; a directory before a file. False also for a name that has
 * changed since. */
bool listing_find(struct listing *l, const char *name, struct listing_entry *ret);

/* True when there is an object whose key is the prefix itself: other programs make such markers for
 * empty directories. It is no entry. */
bool listing_is_marked(struct listing *l);

/* True once the listing has ended without an error. */
bool listing_done(struct listing *l);

/* When it was begun, in clock_ms() milliseconds. */
int64_t listing_begun_ms(const struct listing *l);

/* Until when what it says is trusted: a second after it was last read, or twice as long as fetching
 * and reading it has taken. So a program that lists a large directory and then looks at each name
 * does not ask the store about each. */
int64_t listing_good_until_ms(struct listing *l);

/* Notes that somebody reads it now. */
void listing_note_use(struct listing *l);

size_t listing_bytes(struct listing *l);

#endif
