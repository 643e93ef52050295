#ifndef BMFS_S3_STORE_H
#define BMFS_S3_STORE_H

/* The object store as bmfs sees it: flat keys, whole objects, versions named by ETags.
 *
 * A store is a stack of layers, for example `retry > fault > s3` or `retry > dir`. Every layer
 * implements `struct store_ops`; a method that is NULL in a layer's table is passed to the layer
 * below. Callers use the functions at the end of this header, never the table.
 *
 * Threads: every call may be made from any thread, many at a time, and blocks until it is done.
 * Layers hold no lock while they call below. Time: each call is bounded; none waits for ever, and
 * after store_shutdown() calls under way and later ones end soon with -ECANCELED.
 *
 * Errors, with `err` naming the operation, the key and the cause:
 *   -ENOENT        no such key (the store said so; never a guess from lacking rights)
 *   -EEXIST        put: `if_match` is STORE_ABSENT and the key exists
 *   -ESTALE        `if_match` is an ETag and the object is another version, or gone (put, del)
 *   -ERANGE        get: the object ends at or before `off`
 *   -EACCES        the store refused the credentials or the right
 *   -ENXIO         no such bucket or directory
 *   -ENAMETOOLONG  the key is longer than a key can be here
 *   -EINVAL        the call makes no sense: an empty key, a write id that is none. Never what a
 *                  server says of a request
 *   -EFBIG         put: larger than the store takes in one piece
 *   -ENOSPC        put: the store is full or a quota is reached
 *   -EROFS         put, del: the store was opened read-only
 *   -EISDIR, -ENOTDIR        dir only: the key and another one need a file and a directory of the
 *                  same name
 *   -EBADMSG       the reply made no sense
 *   -EAGAIN        the same call may work later, not before err->retry_after_ms have passed. Only
 *                  the layer `retry` sees it: it tries again, and turns the last failure into -EIO
 *   -ECANCELED     after store_shutdown()
 *   -EIO           anything else */

#include "base/err.h"

enum {
    STORE_KEY_MAX = 1024, /* bytes, without NUL */
    STORE_ETAG_SIZE = 128,
    STORE_WRITE_ID_SIZE = 33, /* 32 hex digits and NUL */
};

/* As `if_match` of a put: only when the key does not exist. */
#define STORE_ABSENT ""

struct store_stat {
    uint64_t size;              /* bytes */
    int64_t mtime_ns;           /* since 1970; S3 knows whole seconds */
    char etag[STORE_ETAG_SIZE]; /* opaque version, never "": compare it, do not parse it */
    bool has_crc32c;            /* the two below are known to get, head and put, not to list */
    uint32_t crc32c;            /* of the whole body, as recorded by whoever wrote it */
    bool md5_etag; /* the ETag has the form of the body's MD5 sum, and nothing that the server says
                      speaks against it; known to get and head */
    char write_id[STORE_WRITE_ID_SIZE]; /* of the put that made this version; "" if none */
};

struct store_get {
    uint64_t off;
    uint64_t len;              /* 0: to the end */
    const char *if_match;      /* NULL, or an ETag: another version is -ESTALE */
    const char *if_none_match; /* NULL, or an ETag: this version is STORE_SAME */
};

/* get: `if_none_match` is the current version; nothing was delivered, *ret_stat is not set. */
enum { STORE_SAME = 1 };

/* Receives the bytes of a get, in ascending order, each byte once; `stat` is the version that they
 * belong to. Called on the thread of the get. A negative return ends the get with that code. */
typedef int store_sink_fn(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                          size_t len);

/* The body of a put: `head_len` bytes of memory, then `len` bytes of a file. Borrowed for the call;
 * the file's bytes must not change meanwhile, for they may be read more than once. */
struct store_body {
    const void *head;
    size_t head_len;
    int fd; /* -1 when len is 0; read with pread, its position is left alone */
    uint64_t off;
    uint64_t len;
};

struct store_put {
    const char *if_match; /* NULL: whatever is there; STORE_ABSENT; or an ETag */
    const char *write_id; /* NULL, or 32 hex digits, kept with the object */
    bool has_crc32c;      /* keep `crc32c`, of the whole body, with the object */
    uint32_t crc32c;
};

struct store_list {
    const char *prefix;      /* keys that start with this */
    char delimiter;          /* 0, or a byte: keys that hold it after the prefix are folded into
                                one common prefix that ends with it */
    const char *start_after; /* NULL, or only keys and common prefixes greater than this */
    int page_max;            /* 0, or the most entries to ask for at a time (1 to 1000) */
};

/* Receives entries in ascending order of their bytes. `stat` is NULL for a common prefix. A
 * positive return ends the list well, a negative one is an error; either is what list returns. */
typedef int store_list_fn(void *arg, const char *key, const struct store_stat *stat);

/* What has been asked of the outside so far; each try of a request counts. */
struct store_counters {
    uint64_t gets, puts, heads, dels, lists;
    uint64_t bytes_in, bytes_out; /* of bodies */
    uint64_t retries;             /* tries beyond the first */
    uint64_t failures;            /* calls that ended in -EIO */
};

struct store;

struct store_ops {
    const char *name; /* "retry": prefix of this layer's messages */
    int (*get)(struct store *st, const char *key, const struct store_get *get, store_sink_fn *sink,
               void *arg, struct store_stat *ret_stat, struct err *err);
    int (*put)(struct store *st, const char *key, const struct store_body *body,
               const struct store_put *put, struct store_stat *ret_stat, struct err *err);
    int (*head)(struct store *st, const char *key, struct store_stat *ret_stat, struct err *err);
    int (*del)(struct store *st, const char *key, const char *if_match, struct err *err);
    int (*list)(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
                struct err *err);
    int (*open_local)(struct store *st, const char *key, struct store_stat *ret_stat,
                      struct err *err);
    void (*count)(struct store *st, struct store_counters *sum); /* adds this layer's share */
    const char *(*note)(struct store *st);
    const char *(*request_id)(struct store *st);
    void (*shutdown)(struct store *st);
    void (*free)(struct store *st); /* this layer only; must not call below */
};

struct store {
    const struct store_ops *ops;
    struct store *below; /* owned; NULL in the lowest layer */
    char *id;            /* owned by the lowest layer, NULL in the others: see store_id() */
};

/* Reads a range. The stat (size of the whole object, ETag, ...) is complete before the first byte
 * is delivered. Bytes past the end are simply not there: `off` 0 of an empty object succeeds
 * without a byte. 0, STORE_SAME, or an error; after an error some bytes may have been delivered.
 * `ret_stat` may be NULL. */
int store_get(struct store *st, const char *key, const struct store_get *get, store_sink_fn *sink,
              void *arg, struct store_stat *ret_stat, struct err *err);

/* Writes a whole object in one atomic step: readers see the old version or the new one, and when
 * this returns 0 the new one is durable. `ret_stat` (may be NULL): the new version. */
int store_put(struct store *st, const char *key, const struct store_body *body,
              const struct store_put *put, struct store_stat *ret_stat, struct err *err);

int store_head(struct store *st, const char *key, struct store_stat *ret_stat, struct err *err);

/* Deletes. A key that is not there is no error unless `if_match` names a version. Some servers
 * cannot make a delete conditional; there `if_match` is compared just before. -EIO, too, when a
 * reply was lost and another version is there now: the one that was named may have gone before it
 * came. */
int store_del(struct store *st, const char *key, const char *if_match, struct err *err);

int store_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
               struct err *err);

/* Opens the object itself where the store keeps it as a local file that is never changed in place:
 * a descriptor for reading that stays this version for ever. -EOPNOTSUPP elsewhere. */
int store_open_local(struct store *st, const char *key, struct store_stat *ret_stat,
                     struct err *err);

/* Names the bucket on its endpoint or the directory, for example "s3://127.0.0.1:8000/lab" or
 * "file:///data/lab": the same text for the same place, without secrets. Borrowed. */
const char *store_id(const struct store *st);

/* What the user should be told once about this store, for example that it cannot make writes
 * conditional; NULL while there is nothing to say. It is learnt with the first conditional write
 * and does not change afterwards. Borrowed; lives as long as the store. */
const char *store_note(struct store *st);

/* What the server called the latest request of this thread; "" where it says nothing, or there is
 * no server. Borrowed, until the thread's next call. */
const char *store_request_id(struct store *st);

/* One request that was made, whatever became of it. Borrowed for the call; no secret is in it. */
struct store_event {
    const char *method; /* "get", "put", "head", "delete", "list", "open" */
    const char *key;    /* of a list: its prefix */
    int code;           /* what the layer below returned */
    const char *reason; /* of a failure */
    uint64_t bytes;     /* of the body, in or out */
    int64_t ms;
    int number; /* of the try, from 1 */
    const char *request_id;
};

/* Called on the thread of the request; must not call the store. */
typedef void store_watch_fn(void *arg, const struct store_event *e);

void store_count(struct store *st, struct store_counters *ret);

/* Makes all calls, under way and later, return -ECANCELED soon. Any thread, any number of times. */
void store_shutdown(struct store *st);

/* Frees the whole stack. No call may be under way. NULL is fine; fits CLEANUP(store_freep). */
void store_free(struct store *st);
void store_freep(struct store *const *st);

#endif
