#include "fs/folder.h"

#include "base/log.h"
#include "fs/node.h"
#include "matrix/infer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Learning from the store what a directory is. */

enum {
    FOLDER_PEEK = 1000, /* entries looked at to tell a headless matrix from a plain directory */
    FOLDER_LOADS = 3,   /* looks at one that this mount is changing */
    FOLDER_DAMAGED = 2, /* a header that is not what was stored; see STORE_SAME for 1 */
};

/* bmfs's own area never holds matrices: asking for headers there would be a waste. */
static bool folder_is_own_area(const struct folder *d)
{
    return strncmp(d->path, ".bmfs/", 6) == 0;
}

static int folder_header_sink(void *arg, const struct store_stat *stat, uint64_t off,
                              const void *data, size_t len)
{
    struct buf *b = arg;
    (void)off;
    if (stat->size > HEADER_BYTES_MAX) {
        /* Longer than any header: enough of it to be refused as one. */
        return b->len == 0 ? buf_append(b, data, MIN(len, (size_t)64)) : 0;
    }
    return buf_append(b, data, len);
}

/* What store_get() returns, or FOLDER_DAMAGED with the reason. */
static int folder_get_header(struct folder *d, const char *key, const char *known,
                             struct buf *ret_text, struct store_stat *ret_stat, struct err *err)
{
    struct fs *fs = d->fs;
    struct store_get get = {.len = HEADER_BYTES_MAX, .if_none_match = known};
    buf_clear(ret_text);
    int r = store_get(fs->store, key, &get, folder_header_sink, ret_text, ret_stat, err);
    if (r != 0 || ret_text->len != ret_stat->size)
        return r;
    r = proof_bytes(objects_etags(fs->objects), fs->store, key, ret_stat, ret_text, err);
    return r == -EBADMSG ? FOLDER_DAMAGED : r;
}

/* Fetches the header object unless it is the version `known`. 0 with a new head, STORE_SAME,
 * -ENOENT, or an error. */
static int folder_fetch_head(struct folder *d, const char *known, struct head **ret,
                             struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(HEADER_BYTES_MAX);
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, "header");
    if (!key)
        return -ENOMEM;
    struct store_stat stat;
    struct err why = {0};
    int r = folder_get_header(d, key, known, &text, &stat, &why);
    if (r == FOLDER_DAMAGED || r == -ESTALE) /* on its way, or replaced between two requests */
        r = folder_get_header(d, key, known, &text, &stat, &why);
    if (r < 0 && err)
        *err = why;
    if (r < 0 || r == STORE_SAME)
        return r;
    r = r == FOLDER_DAMAGED ? head_new_damaged(&stat, &text, why.msg, ret)
                            : head_new(&stat, buf_text(&text), text.len, ret);
    if (r == 0 && (*ret)->bad)
        log_warn("header", "%s: %s", key, (*ret)->why);
    return r;
}

struct folder_peek {
    size_t skip; /* length of the prefix */
    int entries;
    bool blocks;
};

static int folder_peek_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct folder_peek *peek = arg;
    struct name_axis axis[GRID_NDIM_MAX];
    int ndim = 0;
    peek->entries++;
    if (stat && name_object_parse(key + peek->skip, axis, &ndim) == 0)
        peek->blocks = true;
    return peek->blocks || peek->entries >= FOLDER_PEEK;
}

/* Looks at the first page of a directory that has no header. */
static int folder_peek(struct folder *d, int entries_max, struct folder_peek *ret, struct err *err)
{
    CLEANUP(freep) char *prefix = fs_key(d->fs, d->path, "");
    if (!prefix)
        return -ENOMEM;
    *ret = (struct folder_peek){.skip = strlen(prefix)};
    struct store_list list = {.prefix = prefix, .delimiter = '/', .page_max = entries_max};
    if (entries_max == 1)
        ret->entries = FOLDER_PEEK - 1; /* one is enough */
    int r = store_list(d->fs->store, &list, folder_peek_entry, ret, err);
    if (entries_max == 1)
        ret->entries -= FOLDER_PEEK - 1;
    return r < 0 ? r : 0;
}

int folder_has_keys(struct folder *d, struct err *err)
{
    struct folder_peek peek;
    int r = folder_peek(d, 1, &peek, err);
    return r < 0 ? r : peek.entries > 0;
}

/* To be asked before the store is: what this mount does to the header meanwhile is newer than what
 * the store will have said. */
static unsigned folder_head_sets(struct folder *d)
{
    LOCK_SCOPE(&d->fs->mu);
    return d->head_sets;
}

/* Notes what was learnt since `sets`; takes `head` over. */
static void folder_conclude(struct folder *d, unsigned sets, enum folder_kind kind,
                            struct head *head)
{
    struct head *old = head;
    {
        LOCK_SCOPE(&d->fs->mu);
        if (d->head_sets == sets) {
            if (kind != FOLDER_HEADLESS || head || d->kind != FOLDER_HEADLESS) {
                old = d->head;
                d->head = head;
            }
            d->kind = kind;
            d->head_ms = d->seen_ms = clock_ms();
        }
    }
    head_unref(old);
}

/* Nothing is in the store: the directory exists only if it was made here. */
static int folder_conclude_empty(struct folder *d, unsigned sets, struct err *err)
{
    bool local;
    struct head *old = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        if (d->head_sets != sets)
            return 0;
        local = d->local || d->path[0] == '\0';
        old = TAKE(d->head);
        d->kind = local ? FOLDER_PLAIN : FOLDER_UNKNOWN;
        d->head_ms = d->seen_ms = local ? clock_ms() : 0;
    }
    head_unref(old);
    return local ? 0 : err_set(err, -ENOENT, "%s: no such directory", d->path);
}

/* The header that is known and stored, if it may be asked about with If-None-Match. */
static void folder_known_etag(struct folder *d, char *etag, size_t size)
{
    LOCK_SCOPE(&d->fs->mu);
    etag[0] = '\0';
    if (d->kind == FOLDER_MATRIX && d->head && !d->head->damaged &&
        strlen(d->head->stat.etag) < size)
        (void)stpcpy(etag, d->head->stat.etag);
}

static int folder_load_now(struct folder *d, struct err *err)
{
    char known[STORE_ETAG_SIZE];
    struct head *head = NULL;
    unsigned sets = folder_head_sets(d);
    int r = -ENOENT;
    if (!folder_is_own_area(d)) {
        folder_known_etag(d, known, sizeof(known));
        r = folder_fetch_head(d, known[0] ? known : NULL, &head, err);
    }
    if (r == STORE_SAME) {
        LOCK_SCOPE(&d->fs->mu);
        if (d->head_sets == sets)
            d->head_ms = d->seen_ms = clock_ms();
        return 0;
    }
    if (r == 0)
        folder_conclude(d, sets, FOLDER_MATRIX, head);
    if (r != -ENOENT)
        return r;
    struct folder_peek peek;
    r = folder_peek(d, folder_is_own_area(d) ? 1 : FOLDER_PEEK, &peek, err);
    if (r < 0)
        return r;
    if (peek.entries == 0)
        return folder_conclude_empty(d, sets, err);
    folder_conclude(d, sets, peek.blocks ? FOLDER_HEADLESS : FOLDER_PLAIN, NULL);
    return 0;
}

static bool folder_is_known(struct folder *d, int64_t age_ms)
{
    LOCK_SCOPE(&d->fs->mu);
    return d->kind != FOLDER_UNKNOWN && d->head_ms > 0 &&
           (d->fs->conf.immutable || clock_ms() - d->head_ms <= age_ms);
}

int folder_load(struct folder *d, int64_t age_ms, struct err *err)
{
    bool known = age_ms != FOLDER_ANEW && folder_is_known(d, age_ms);
    for (int i = 0; !known && i < FOLDER_LOADS; i++) {
        int r = folder_load_now(d, err);
        if (r < 0)
            return err_prefix(err, r, "directory %s", d->path);
        known = folder_is_known(d, INT64_MAX); /* else this mount has just removed the header */
    }
    return 0;
}

static int folder_npy_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                           size_t len)
{
    (void)stat;
    (void)off;
    return buf_append(arg, data, len);
}

/* The element type of a headless matrix: what one of its blocks says. */
static int folder_block_type(struct folder *d, const char *obj, struct npy *ret, struct err *err)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(NPY_HEAD_MAX);
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, obj);
    if (!key)
        return -ENOMEM;
    struct store_get get = {.len = NPY_HEAD_MAX};
    int r = store_get(d->fs->store, key, &get, folder_npy_sink, &bytes, NULL, err);
    if (r == 0)
        r = npy_parse(buf_text(&bytes), bytes.len, ret, err);
    return r < 0 ? err_prefix(err, r == -ENODATA ? -EBADMSG : r, "%s", key) : 0;
}

/* Infers the header of a matrix from a complete listing. -ENOENT: no blocks. */
static int folder_infer(struct folder *d, struct listing *l, struct head **ret, struct err *err)
{
    struct infer in;
    struct npy npy;
    struct header header = {0};
    struct listing_entry e;
    const char *block = NULL;
    infer_init(&in);
    for (size_t i = 0; listing_at(l, i, &e) == 1; i++) {
        if (!e.is_dir && infer_add(&in, e.name) && !block)
            block = e.name;
    }
    if (!block)
        return -ENOENT;
    int r = folder_block_type(d, block, &npy, err);
    if (r == 0)
        r = infer_finish(&in, &npy, &header, err);
    return r < 0 ? r : head_new_inferred(&header, ret);
}

/* Takes an inferred head over, keeping the old one when it says the same, so that open files of
 * header.json stay the node that they are. */
static void folder_conclude_inferred(struct folder *d, unsigned sets, struct head *head)
{
    {
        LOCK_SCOPE(&d->fs->mu);
        if (d->kind == FOLDER_HEADLESS && d->head &&
            strcmp(d->head->stat.etag, head->stat.etag) == 0) {
            d->head_ms = d->seen_ms = clock_ms();
            head_unref(head); /* not the last reference to anything that needs the lock */
            return;
        }
    }
    folder_conclude(d, sets, FOLDER_HEADLESS, head);
}

/* True when a header was stored, or seen, after the listing was begun. */
static bool folder_has_new_header(struct folder *d, struct listing *l)
{
    LOCK_SCOPE(&d->fs->mu);
    return d->kind == FOLDER_MATRIX && d->head_ms >= listing_begun_ms(l);
}

/* Concludes from a complete listing, begun after `sets`, what the directory is. */
static int folder_classify(struct folder *d, unsigned sets, struct listing *l, struct err *err)
{
    struct listing_entry e;
    struct head *head = NULL;
    bool empty = listing_at(l, 0, &e) != 1;
    if (empty && !listing_is_marked(l))
        return folder_conclude_empty(d, sets, err);
    if (empty || folder_is_own_area(d)) {
        folder_conclude(d, sets, FOLDER_PLAIN, NULL);
        return 0;
    }
    if (folder_has_new_header(d, l))
        return 0;
    if (listing_find(l, "header", &e) && !e.is_dir)
        return folder_load(d, -1, err);
    int r = folder_infer(d, l, &head, err);
    if (r == -ENOENT) {
        folder_conclude(d, sets, FOLDER_PLAIN, NULL);
    } else if (r == -EBADMSG || r == -EINVAL) {
        /* What cannot be understood can still be listed, read and removed by its object names. */
        log_warn("header", "%s: cannot be inferred: %s", d->path, err ? err->msg : "");
        folder_conclude(d, sets, FOLDER_HEADLESS, NULL);
    } else if (r == 0) {
        folder_conclude_inferred(d, sets, head);
    }
    return r == -ENOENT || r == -EBADMSG || r == -EINVAL ? 0 : r;
}

int folder_scan(struct folder *d, struct listing **ret, struct err *err)
{
    struct listing *l = NULL;
    unsigned sets = folder_head_sets(d);
    int r = listing_new(&l);
    if (r < 0)
        return r;
    r = folder_run(d, l, err);
    if (r == 0)
        r = folder_classify(d, sets, l, err);
    if (r < 0) {
        listing_unref(l);
        return err_prefix(err, r, "directory %s", d->path);
    }
    *ret = l;
    return 0;
}

int folder_load_head(struct folder *d, int64_t age_ms, struct head **ret_head, struct err *err)
{
    bool infer;
    int r = folder_load(d, age_ms, err);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&d->fs->mu);
        infer = d->kind == FOLDER_HEADLESS && !d->head;
    }
    if (infer) {
        struct listing *l = NULL;
        r = folder_scan(d, &l, err);
        if (r < 0)
            return r;
        listing_unref(l);
    }
    LOCK_SCOPE(&d->fs->mu);
    *ret_head = head_ref(d->head);
    return 0;
}
