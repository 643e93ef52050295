#ifndef BMFS_FS_JOURNAL_H
#define BMFS_FS_JOURNAL_H

/* What is known of the bytes of a file being written, kept beside them so that it outlives the
 * daemon: where they belong, what they are to replace, which of them were written.
 *
 *   DIR/mounts/<id>/<n>        the bytes: a private file of the cache
 *   DIR/mounts/<id>/<n>.note   their journal, as long as the file is being written
 *   DIR/mounts/<id>/store      which store the keys are of
 *
 * A journal is a mapped file of fixed size, on disk space taken when it is made: keeping it costs
 * no system call. What it says changes by writing the half that does not count and then one word
 * that makes it count. So a daemon that is killed at any moment leaves a journal that held before
 * or after its latest change. A change of the bytes is noted after it was made and before it is
 * acknowledged: the journal never says of a byte that it was written when it was not.
 *
 * Threads: the caller's lock (a stage's) guards a journal. */

#include "fs/cache.h"
#include "fs/extent.h"
#include "s3/store.h"

enum {
    JOURNAL_RANGES_MAX = 256, /* of written bytes; with more it is not known which they are */
    JOURNAL_HEAD_MAX = 512,
};

enum journal_kind {
    JOURNAL_PLAIN,  /* an ordinary file */
    JOURNAL_HEADER, /* a header.json, not yet in the form in which it is stored */
    JOURNAL_BLOCK,  /* a block, npy */
    JOURNAL_RAW,    /* the elements of one; `head` goes before them */
};

struct journal_about {
    char key[STORE_KEY_MAX + 1];
    char if_match[STORE_ETAG_SIZE]; /* as in struct store_put */
    char
        write_id[STORE_WRITE_ID_SIZE]; /* of the latest try to store these very bytes; "" if none */
    uint32_t kind;                     /* enum journal_kind */
    uint32_t head_len;
    char head[JOURNAL_HEAD_MAX];
};

struct journal;

/* Says once for a mount of which store its keys are. 0 or -errno. */
int journal_begin(struct cache *c, const char *store_id);

/* Begins the journal of a private file. It is clean, and no byte was written. 0 or -errno. */
int journal_new(struct cache *c, const struct cache_file *f, const struct journal_about *about,
                struct journal **ret);

void journal_set_about(struct journal *j, const struct journal_about *about);

/* The file has changed: these are its written bytes now. */
void journal_set_dirty(struct journal *j, const struct extent *written);

/* All of it is stored, or nothing of it is worth keeping. */
void journal_set_clean(struct journal *j);

/* Ends and removes it. NULL is fine. */
void journal_free(struct journal *j);

/* Ends it and leaves it where it is, for who comes after this mount. */
void journal_abandon(struct journal *j);

/* What a journal says, after the daemon that kept it has gone. */
struct journal_note {
    struct journal_about about;
    bool dirty;
    struct extent written; /* gave up when that is not known; owned */
};

/* Bytes of every journal. */
size_t journal_file_size(void);

/* 0, -EBADMSG for a file that is no journal, or -errno. */
int journal_read(int fd, struct journal_note *ret);

#endif
