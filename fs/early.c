#include "fs/early.h"

#include "base/log.h"
#include "base/pool.h"
#include "fs/commit.h"
#include "fs/node.h"
#include "matrix/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EARLY_DIR    ".bmfs/early/"
#define EARLY_PREFIX "block" /* what the names of early blocks begin with; then comes a '_' */

bool early_is(const struct place *place)
{
    return place->kind == PLACE_PLAIN && name_is_block_like(place->obj);
}

/* The early blocks of one directory, and what is done with each of them. */
struct early {
    struct folder *dir;
    const struct header *header;
    struct listing *list; /* names without EARLY_PREFIX */
    int (*fn)(struct early *e, const struct listing_entry *entry, struct err *err);

    pthread_mutex_t mu;
    /* guarded by mu: */
    size_t next;
    int count; /* done */
    int code;  /* the first failure */
    struct err err;
};

static int early_list(struct folder *d, struct listing **ret, struct err *err)
{
    CLEANUP(freep) char *prefix = fs_key(d->fs, d->path, EARLY_PREFIX);
    int r = prefix ? listing_new(ret) : -ENOMEM;
    if (r == 0)
        r = listing_run(*ret, d->fs->store, prefix, err);
    return r;
}

/* The place that an early block has in the matrix. */
static int early_place(const struct early *e, const struct listing_entry *entry, struct place *ret,
                       char name[NAME_FILE_SIZE], struct err *err)
{
    size_t len = strlen(entry->name) + sizeof(EARLY_PREFIX);
    *ret = (struct place){.kind = PLACE_PLAIN};
    if (entry->is_dir || len > NAME_FILE_SIZE)
        return err_set(err, -EINVAL, "no name of a block");
    (void)stpcpy(stpcpy(name, EARLY_PREFIX), entry->name);
    int r = place_find(e->header, name, true, ret, err);
    return r == 0 && ret->kind != PLACE_BLOCK ? -EINVAL : r;
}

/* A failure on the way of one block; the others are tried unless the store has failed. */
static void early_fail_locked(struct early *e, const struct listing_entry *entry, int code,
                              const struct err *err)
{
    if (e->code < 0)
        return;
    e->code = code;
    e->err = *err;
    (void)err_prefix(&e->err, code, "%s" EARLY_PREFIX "%s", e->dir->path, entry->name);
}

static bool early_take(struct early *e, struct listing_entry *ret)
{
    LOCK_SCOPE(&e->mu);
    bool go_on = e->code == 0 || e->code == -EEXIST || e->code == -EINVAL;
    while (go_on && listing_at(e->list, e->next++, ret) == 1) {
        if (ret->name[0] == '_')
            return true; /* else "blocks.txt" or the like */
    }
    return false;
}

static void early_work(void *arg)
{
    struct early *e = arg;
    struct listing_entry entry;
    while (early_take(e, &entry)) {
        struct err err = {0};
        int r = e->fn(e, &entry, &err);
        LOCK_SCOPE(&e->mu);
        if (r < 0)
            early_fail_locked(e, &entry, r, &err);
        else
            e->count++;
    }
}

/* Does `fn` with each early block, some at a time. Their number, or the first failure. */
static int early_each(struct early *e, struct err *err)
{
    struct pool *pool = NULL;
    size_t count = listing_count(e->list);
    if (count > 1 && pool_new("bmfs-early", EARLY_THREADS, EARLY_THREADS, &pool) == 0) {
        for (size_t i = 1; i < MIN(count, (size_t)EARLY_THREADS); i++)
            (void)pool_submit(pool, early_work, e); /* whatever is not taken is done below */
    }
    early_work(e);
    pool_free(pool);
    LOCK_SCOPE(&e->mu);
    if (e->code == 0)
        return e->count;
    if (err)
        *err = e->err;
    return e->code;
}

static int early_run(struct early *e, struct err *err)
{
    int r = early_list(e->dir, &e->list, err);
    (void)pthread_mutex_init(&e->mu, NULL);
    if (r == 0)
        r = early_each(e, err);
    (void)pthread_mutex_destroy(&e->mu);
    listing_unref(e->list);
    return r;
}

/* Looks at the first bytes of one stored as npy. */
static int early_check_npy(struct early *e, const char *name, const struct listing_entry *entry,
                           const struct place *place, struct err *err)
{
    struct fs *fs = e->dir->fs;
    struct store_stat stat = {.size = entry->size, .mtime_ns = entry->mtime_ns};
    struct object *o = NULL;
    struct npy npy;
    (void)stpncpy(stat.etag, entry->etag, sizeof(stat.etag) - 1);
    CLEANUP(freep) char *key = fs_key(fs, e->dir->path, name);
    CLEANUP(freep) char *bytes = malloc(NPY_HEAD_MAX);
    int r = key && bytes ? objects_open(fs->objects, key, &stat, &o, err) : -ENOMEM;
    if (r < 0)
        return r;
    int64_t n = object_pread(o, bytes, NPY_HEAD_MAX, 0);
    object_unref(o);
    if (n < 0)
        return err_errno(err, (int)n, "cannot be read");
    r = npy_parse(bytes, (size_t)n, &npy, err);
    if (r == -ENODATA)
        return err_set(err, -EINVAL, "not a whole block");
    if (r == 0)
        r = npy_check_block(&npy, entry->size, &e->header->grid, e->header->dtype, place->index,
                            err);
    return r < 0 && r != -ENOMEM ? -EINVAL : r;
}

static int early_check_one(struct early *e, const struct listing_entry *entry, struct err *err)
{
    char name[NAME_FILE_SIZE];
    struct place place;
    struct npy npy;
    int r = early_place(e, entry, &place, name, err);
    if (r < 0)
        return r;
    if (place.view == NAME_OBJECT)
        return early_check_npy(e, name, entry, &place, err);
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    npy_for_block(&e->header->grid, e->header->dtype, place.index, &npy);
    r = npy_format(&npy, &head); /* which also tells the length */
    if (r < 0 || entry->size == npy.data_len)
        return r;
    return err_set(err, -EINVAL, "%llu bytes, a block of this shape and type has %llu",
                   (unsigned long long)entry->size, (unsigned long long)npy.data_len);
}

int early_check(struct folder *d, const struct header *h, struct err *err)
{
    struct early e = {.dir = d, .header = h, .fn = early_check_one};
    int r = early_run(&e, err);
    if (r == -EINVAL && err)
        err_hint(err, "write it anew, or remove it, before the header");
    if (r <= 0 || !d->fs->conf.no_delete)
        return r;
    return err_set(
        err, -EPERM,
        "blocks came before the header and would have to be moved, but the mount deletes "
        "nothing (--no-delete)");
}

bool early_is_there(struct fs *fs, const char *key, uint64_t size, uint32_t crc,
                    struct store_stat *ret)
{
    return store_head(fs->store, key, ret, NULL) == 0 && ret->has_crc32c && ret->crc32c == crc &&
           ret->size == size;
}

int early_remove(struct folder *d, const char *obj, const char *etag, struct err *err)
{
    struct fs *fs = d->fs;
    CLEANUP(freep) char *key = fs_key(fs, d->path, obj);
    int r = key ? store_del(fs->store, key, etag, err) : -ENOMEM;
    if (r < 0 && r != -ESTALE) /* ESTALE: gone, or written anew, and then its writer sees to it */
        return r;
    objects_note_latest(fs->objects, key, NULL);
    LOCK_SCOPE(&fs->mu);
    folder_changed_locked(d, obj);
    return 0;
}

/* Who has an early block open for writing goes on with the block. */
static void early_move_writer_locked(struct writer *w, const struct place *place)
{
    CLEANUP(freep) char *name = strdup(w->name);
    if (name)
        (void)writer_move_locked(w, w->dir, name, place); /* else see early_is_late() */
}

/* What was moved, from which version to which. */
struct early_move {
    const char *name;
    struct place from, to;
    struct store_stat early, stored;
};

/* Whether a writer goes on from the very version that was moved: it has stored it, perhaps without
 * knowing yet, or was opened on it. Any other one, perhaps of the block itself, meets what is
 * stored now as what it is: somebody else's. */
static bool early_is_of_locked(const struct writer *w, const struct early_move *m)
{
    const char *id = m->early.write_id;
    return strcmp(w->if_match, m->early.etag) == 0 ||
           (id[0] && (writer_has_undecided_locked(w, id) || strcmp(w->sending_id, id) == 0));
}

static struct writer *early_writer_locked(struct early *e, const struct early_move *m)
{
    struct writer *w = writer_find_locked(e->dir, m->name, &m->from);
    return w ? w : writer_find_locked(e->dir, m->name, &m->to);
}

/* Asks for the write id of what is moved, where that may tell whose it is. */
static int early_ask_id(struct early *e, struct early_move *m, struct err *err)
{
    struct store_stat stat;
    {
        LOCK_SCOPE(&e->dir->fs->mu);
        const struct writer *w = early_writer_locked(e, m);
        if (m->early.write_id[0] || !w ||
            (!w->sending_id[0] && !writer_has_undecided_locked(w, NULL)))
            return 0;
    }
    CLEANUP(freep) char *key = fs_key(e->dir->fs, e->dir->path, m->name);
    int r = key ? store_head(e->dir->fs->store, key, &stat, err) : -ENOMEM;
    if (r == 0 && strcmp(stat.etag, m->early.etag) == 0)
        m->early = stat;
    return r;
}

/* Tells the mount that the file is a block now. Its writer may have been moved before. */
static void early_moved(struct early *e, const struct early_move *m)
{
    const char *name = m->name;
    LOCK_SCOPE(&e->dir->fs->mu);
    struct writer *w = early_writer_locked(e, m);
    if (w && w->place.kind == m->from.kind)
        early_move_writer_locked(w, &m->to);
    if (w && early_is_of_locked(w, m)) {
        (void)snprintf(w->if_match, sizeof(w->if_match), "%s", m->stored.etag);
        (void)writer_describe_locked(w, "");
    }
    node_moved_locked(&(struct node_move){
        .dir = e->dir, .obj = name, .name = name, .to_dir = e->dir, .to_name = name});
}

/* Puts the bytes that `w` carries under the key of the block, unless they are there. */
static int early_put(struct early *e, struct writer *w, const char *name, const struct place *place,
                     struct store_stat *ret, struct err *err)
{
    struct commit_target to = {
        .dir = e->dir, .name = name, .place = place, .if_match = STORE_ABSENT, .or_same = true};
    int r = commit_to(w, &to, ret, err);
    if (r != -EEXIST)
        return r;
    (void)err_set(err, -EEXIST, "another block is stored in its place, %s%s%s",
                  e->dir->fs->conf.prefix, e->dir->path, place->obj);
    err_hint(err, "one of the two has to be removed with a client of the store");
    return -EEXIST;
}

static int early_settle_one(struct early *e, const struct listing_entry *entry, struct err *err)
{
    char name[NAME_FILE_SIZE];
    struct early_move m = {.name = name, .from = {.kind = PLACE_PLAIN}};
    struct writer *w = NULL;
    int r = early_place(e, entry, &m.to, name, err);
    if (r < 0)
        return r;
    (void)stpcpy(m.from.obj, name);
    r = writer_carry(e->dir, name, &m.from, &w, &m.early, err);
    if (r == 0) {
        r = early_ask_id(e, &m, err);
        if (r < 0)
            writer_unref(w);
    }
    if (r == -ENOENT) {
        err_clear(err);
        return 0; /* another mount was faster */
    }
    if (r < 0)
        return r;
    r = early_put(e, w, name, &m.to, &m.stored, err);
    if (r == 0)
        early_moved(e, &m);
    if (r == 0)
        r = early_remove(e->dir, name, m.early.etag, err);
    commit_finish(w, false);
    writer_unref(w);
    return r;
}

/* Those of whom nothing is stored yet. */
static void early_move_writers(struct folder *d, const struct header *h)
{
    LOCK_SCOPE(&d->fs->mu);
    struct place place;
    struct writer *next = NULL;
    for (struct writer *w = d->writers; w; w = next) {
        next = w->next; /* a writer that moves becomes the first of the list */
        if (early_is(&w->place) && w->unseen && !w->removing &&
            place_find(h, w->name, true, &place, NULL) == 0)
            early_move_writer_locked(w, &place);
    }
}

/* Of a mount that deletes nothing: one came between the look for them and the header. The note that
 * it leaves is for the next mount that may move it. */
static int early_leave_one(struct early *e, const struct listing_entry *entry, struct err *err)
{
    char note[EARLY_NOTE_SIZE];
    (void)entry;
    (void)early_note(e->dir, note, NULL); /* one is enough: the first failure ends the round */
    return err_set(err, -EPERM, "the mount deletes nothing (--no-delete)");
}

int early_settle(struct folder *d, struct err *err)
{
    struct head *head = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        head = head_ref(d->head);
    }
    if (!head || head->bad) {
        head_unref(head);
        return 0;
    }
    early_move_writers(d, &head->header);
    bool keep = d->fs->conf.no_delete;
    struct early e = {
        .dir = d, .header = &head->header, .fn = keep ? early_leave_one : early_settle_one};
    int r = early_run(&e, err);
    head_unref(head);
    if (r > 0)
        log_info("write", "%s: %d blocks that came before the header are in their places", d->path,
                 r);
    return MIN(r, 0);
}

int early_is_late(struct folder *d, const struct place *place, struct err *err)
{
    struct store_stat stat;
    if (!early_is(place) || strncmp(d->path, ".bmfs/", 6) == 0)
        return 0;
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, "header");
    int r = key ? store_head(d->fs->store, key, &stat, err) : -ENOMEM;
    if (r == -ENOENT) {
        err_clear(err);
        return 0;
    }
    if (r == 0)
        r = folder_load(d, FOLDER_ANEW, err);
    LOCK_SCOPE(&d->fs->mu);
    return r < 0 ? r : d->kind == FOLDER_MATRIX && folder_header_locked(d);
}

int early_note(struct folder *d, char ret_note[EARLY_NOTE_SIZE], struct err *err)
{
    int r = random_hex(ret_note, EARLY_NOTE_SIZE);
    if (r < 0)
        return r;
    CLEANUP(freep) char *key = fs_key(d->fs, EARLY_DIR, ret_note);
    struct store_body body = {.head = d->path, .head_len = strlen(d->path), .fd = -1};
    struct store_put put = {0};
    return key ? store_put(d->fs->store, key, &body, &put, NULL, err) : -ENOMEM;
}

void early_forget(struct folder *d, const char *note)
{
    CLEANUP(freep) char *key = fs_key(d->fs, EARLY_DIR, note);
    if (key && note[0])
        (void)store_del(d->fs->store, key, NULL, NULL); /* a note too many is read once more */
}

static int early_read_note(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                           size_t len)
{
    (void)stat;
    (void)off;
    return buf_append(arg, data, len);
}

/* A note is whatever somebody has put there. */
static bool early_is_path(const char *path, size_t len)
{
    if (len == 0)
        return true; /* the root */
    if (strlen(path) != len || path[len - 1] != '/' || path[0] == '/' ||
        strncmp(path, ".bmfs/", 6) == 0)
        return false;
    return !strstr(path, "//") && !strstr(path, "/./") && !strstr(path, "/../") &&
           strncmp(path, "./", 2) != 0 && strncmp(path, "../", 3) != 0;
}

/* Whether a note without a header is from a mount that may still be about to store it. */
static bool early_note_is_new(const struct listing_entry *note)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 - note->mtime_ns / 1000000 < EARLY_NOTE_MS;
}

/* Settles the directory of one note. */
static int early_resume_dir(struct fs *fs, const char *path, const struct listing_entry *note,
                            struct err *err)
{
    struct folder *d = NULL;
    bool matrix;
    {
        LOCK_SCOPE(&fs->mu);
        d = folder_get_locked(fs, path);
    }
    int r = d ? folder_load(d, FOLDER_ANEW, err) : -ENOMEM;
    if (r == 0) {
        {
            LOCK_SCOPE(&fs->mu);
            matrix = d->kind == FOLDER_MATRIX && folder_header_locked(d);
        }
        r = matrix ? early_settle(d, err) : 0;
        if (r == 0 && (matrix || !early_note_is_new(note)))
            early_forget(d, note->name);
    } else if (r == -ENOENT && !early_note_is_new(note)) {
        early_forget(d, note->name);
    }
    folder_unref(d);
    return r;
}

static void early_resume_note(struct fs *fs, const struct listing_entry *note)
{
    struct err err = {0};
    CLEANUP(freep) char *key = fs_key(fs, EARLY_DIR, note->name);
    CLEANUP(buf_fini) struct buf path = BUF_INIT(STORE_KEY_MAX);
    struct store_get get = {0};
    int r = key ? store_get(fs->store, key, &get, early_read_note, &path, NULL, &err) : -ENOMEM;
    if (r == 0 && early_is_path(buf_text(&path), path.len))
        r = early_resume_dir(fs, buf_text(&path), note, &err);
    if (r < 0 && r != -ENOENT && r != -ECANCELED)
        (void)fs_refuse(r, "move the blocks that came before the header of", buf_text(&path), &err);
}

void early_resume(struct fs *fs)
{
    struct listing *notes = NULL;
    struct listing_entry note;
    CLEANUP(freep) char *prefix = fs_key(fs, EARLY_DIR, "");
    if (!prefix || listing_new(&notes) < 0)
        return;
    (void)listing_run(notes, fs->store, prefix, NULL);
    for (size_t i = 0; i < EARLY_NOTES_MAX && listing_at(notes, i, &note) == 1; i++) {
        if (!note.is_dir)
            early_resume_note(fs, &note);
    }
    listing_unref(notes);
}
