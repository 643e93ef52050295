#ifndef BMFS_FS_EARLY_H
#define BMFS_FS_EARLY_H

/* Blocks that come before their header, as `rsync -a`, `cp -r` and `tar` may bring them.
 *
 * Until a directory has a header nobody can say which part of a matrix "block_0_1" is, nor whether
 * it is one. So it is stored as what it is by then, an ordinary object of that name: close and
 * fsync tell the truth, and every mount sees it. When the header is stored, each such object is
 * checked, put under the key of its block and deleted. A note in .bmfs/early/ outlives a daemon
 * that dies between the two: the next mount that may write does what is left.
 *
 * Another mount may store an early block while the header is on its way. Each side looks for the
 * other after it has stored its own, so at least one of them sees both. */

#include "fs/writer.h"

enum {
    EARLY_THREADS = 4,                /* blocks that are moved at a time */
    EARLY_NOTES_MAX = 1000,           /* directories that a mount looks after when it starts */
    EARLY_NOTE_MS = 24 * 3600 * 1000, /* a note without a header is dropped after a day */
    EARLY_NOTE_SIZE = 33,             /* of the object name of a note */
};

/* True for the place of an ordinary file with the name of a block. */
bool early_is(const struct place *place);

/* Whether all early blocks of a directory are blocks of the matrix that `h` is to describe. Blocks.
 * Their number; -EINVAL naming one that is not; -EPERM when the mount may not move them; or what
 * the store says. */
int early_check(struct folder *d, const struct header *h, struct err *err);

/* Notes in the store that blocks of the directory are about to be moved; or that they were. Block.
 * early_note() returns 0 or what the store says. */
int early_note(struct folder *d, char ret_note[EARLY_NOTE_SIZE], struct err *err);
void early_forget(struct folder *d, const char *note);

/* Moves the early blocks of a directory that has a header now. Blocks. 0, or the first failure:
 * what could not be moved stays where it is. */
int early_settle(struct folder *d, struct err *err);

/* Whether the directory of an early block that was just stored has a header after all. Blocks. 1,
 * 0, or what the store says. */
int early_is_late(struct folder *d, const struct place *place, struct err *err);

/* Whether the object of a key holds these bytes: another one has moved the same block there.
 * Blocks. 1 with the version, or 0. */
bool early_is_there(struct fs *fs, const char *key, uint64_t size, uint32_t crc,
                    struct store_stat *ret);

/* Deletes an early block that is in its place. Blocks. 0, also when it is gone; or -errno. */
int early_remove(struct folder *d, const char *obj, const char *etag, struct err *err);

/* Does what mounts that died have left to do. Blocks; for a mount that may write. */
void early_resume(struct fs *fs);

#endif
