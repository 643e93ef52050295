#include "fs/resolve.h"

#include "fs/commit.h"
#include "fs/early.h"
#include "fs/view.h"
#include "fs/virtual.h"
#include "fs/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESOLVE_RESERVE_MS = 5000,
    RESOLVE_SETTLE = 64,   /* files that are stored before a listing, at most */
    RESOLVE_CLOSE_MS = 20, /* how long after a flush the last close may come to light */
    RESOLVE_PAGE = 16,     /* entries looked at for a directory among files of similar names */
};

#define RESOLVE_LONG_S 86400.0 /* for what cannot change */

/* A node set aside. Few exist at a time: one for each thread between an ESTALE and its retry. */
struct reservation {
    struct reservation *next;
    struct node *node; /* a reference */
    char *obj;
    enum name_view view;
    pid_t tid;
    int64_t until_ms;
};

static void resolve_release_locked(struct reservation *r)
{
    if (r->node->kind == NODE_WRITER)
        commit_release_locked(r->node->writer);
    r->node->refs--;
    node_drop_locked(r->node);
    free(r->obj);
    free(r);
}

static void resolve_expire_locked(struct fs *fs)
{
    int64_t now = clock_ms();
    struct reservation **at = &fs->reservations;
    while (*at) {
        struct reservation *r = *at;
        if (r->until_ms > now) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        resolve_release_locked(r);
    }
}

void resolve_reserve_locked(struct node *n, const struct place *place, pid_t tid)
{
    resolve_expire_locked(n->fs);
    struct reservation *r = calloc(1, sizeof(*r));
    char *obj = strdup(place->obj);
    if (!r || !obj) {
        free(r);
        free(obj);
        return; /* the retry then meets ESTALE again: the user sees it, nothing is lost */
    }
    *r = (struct reservation){.next = n->fs->reservations,
                              .node = n,
                              .obj = obj,
                              .view = place->view,
                              .tid = tid,
                              .until_ms = clock_ms() + RESOLVE_RESERVE_MS};
    n->refs++;
    if (n->kind == NODE_WRITER) {
        writer_ref_locked(n->writer);
        writer_open_locked(n->writer); /* so that it is not let go before the retry */
    }
    n->fs->reservations = r;
}

void resolve_fini(struct fs *fs)
{
    LOCK_SCOPE(&fs->mu);
    while (fs->reservations) {
        struct reservation *r = fs->reservations;
        fs->reservations = r->next;
        resolve_release_locked(r);
    }
}

static void resolve_found_locked(struct node *n, double entry_s, double attr_s, struct found *ret)
{
    n->lookups++;
    node_stays_locked(n);
    *ret = (struct found){.node = n, .entry_s = entry_s, .attr_s = attr_s};
    if (n->fs->conf.immutable && n->kind != NODE_WRITER)
        ret->entry_s = ret->attr_s = RESOLVE_LONG_S;
}

/* A version of an object never changes, so its attributes hold; its name is asked for each time,
 * so that look-up and open are one question (see node_use_token_locked()). */
static void resolve_object_locked(struct node *n, double entry_s, struct found *ret)
{
    resolve_found_locked(n, entry_s, RESOLVE_LONG_S, ret);
}

static int resolve_dir_locked(struct folder *d, double entry_s, struct found *ret)
{
    struct node *n = node_dir_locked(d);
    if (!n)
        return -ENOMEM;
    resolve_found_locked(n, entry_s, entry_s, ret);
    return 1;
}

void found_drop(struct found *f)
{
    if (f->node)
        node_forget(f->node->fs, node_id(f->node), 1);
    f->node = NULL;
}

void found_entry(const struct found *f, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){
        .ino = node_id(f->node), .entry_timeout = f->entry_s, .attr_timeout = f->attr_s};
    LOCK_SCOPE(&f->node->fs->mu);
    node_stat_locked(f->node, &ret->attr);
}

/* True for the header.json of a matrix that is just being made. Elsewhere outside of matrices that
 * name is an ordinary file's. */
static bool resolve_is_new_header_locked(struct folder *d, const char *name)
{
    static const struct place header = {.kind = PLACE_HEADER, .obj = "header"};
    return strcmp(name, "header.json") == 0 && writer_find_locked(d, name, &header);
}

/* Temporary files are never stored from here, but other programs store objects under such names.
 * The names of bmfs's own are made all the time: they are asked for only when they were listed. */
static bool resolve_may_be_stored_locked(struct folder *d, const char *name,
                                         const struct place *scratch)
{
    struct listing_entry e;
    if (writer_find_locked(d, name, scratch))
        return false;
    return !place_is_own_scratch(name) || (d->listing && listing_find(d->listing, name, &e));
}

int resolve_place_locked(struct folder *d, const char *name, bool make, struct place *ret,
                         struct err *err)
{
    const struct header *matrix = folder_header_locked(d);
    if (make && virtual_find(d->path, name) != VIRTUAL_NONE)
        return err_set(err, -EPERM, "the mount itself has a file of that name");
    if (!matrix && d->kind == FOLDER_MATRIX) {
        if (strcmp(name, "header.json") == 0) {
            *ret = (struct place){.kind = PLACE_HEADER, .obj = "header"};
            return 0;
        }
        if (make)
            return err_set(err, -EBADMSG, "the stored header makes no sense: %s", d->head->why);
    }
    if (!matrix && !make && resolve_is_new_header_locked(d, name))
        make = true;
    int r = place_find(matrix, name, make, ret, err);
    if (r == 0 && make && early_is(ret) && d->fs->conf.no_delete) {
        (void)err_set(err, -ENODATA, "the directory has no header yet");
        err_hint(err, "a mount that deletes nothing cannot move blocks later: header.json first");
        return -ENODATA;
    }
    if (r == 0 && !make && ret->kind == PLACE_SCRATCH &&
        resolve_may_be_stored_locked(d, name, ret)) {
        *ret = (struct place){.kind = PLACE_PLAIN};
        (void)stpncpy(ret->obj, name, sizeof(ret->obj) - 1);
    }
    return r;
}

int resolve_place_of_locked(const struct node *n, struct place *ret, struct err *err)
{
    struct name_axis axis[GRID_NDIM_MAX];
    const struct header *matrix = folder_header_locked(n->dir);
    *ret = (struct place){.kind = PLACE_PLAIN, .view = n->view};
    (void)stpncpy(ret->obj, n->text, sizeof(ret->obj) - 1);
    if (n->kind == NODE_HEADER) {
        ret->kind = PLACE_HEADER;
        return 0;
    }
    if (!matrix && n->dir->kind == FOLDER_PLAIN)
        return 0;
    if (!matrix)
        return err_set(err, -EBADMSG, "%s: the matrix has no readable header", n->text);
    if (name_object_parse(n->text, axis, &ret->ndim) < 0 || ret->ndim != matrix->grid.ndim ||
        name_object_index(axis, ret->ndim, ret->index) < 0 ||
        !grid_contains(&matrix->grid, ret->index))
        return err_set(err, -EPERM, "%s: no block of the matrix: it can be read and removed",
                       n->text);
    ret->kind = PLACE_BLOCK;
    ret->inside = true;
    return 0;
}

bool resolve_unreserve_locked(struct node *n, pid_t tid)
{
    bool any = false;
    struct reservation **at = &n->fs->reservations;
    while (*at) {
        struct reservation *r = *at;
        if (r->node != n || r->tid != tid) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        resolve_release_locked(r);
        any = true;
    }
    return any;
}

/* The node set aside for this thread and place. */
static bool resolve_reserved_locked(struct folder *d, const struct place *place, pid_t tid,
                                    struct found *ret)
{
    for (struct reservation *r = d->fs->reservations; r; r = r->next) {
        if (r->tid != tid || r->node->dir != d || r->view != place->view ||
            strcmp(r->obj, place->obj) != 0)
            continue;
        if (r->node->kind == NODE_WRITER)
            resolve_found_locked(r->node, 0, 0, ret);
        else
            resolve_object_locked(r->node, 0, ret);
        return true;
    }
    return false;
}

/* Whether bytes are to be stored by the job of the last close, or will be when that has come to
 * light: the kernel sends a flush with close, and the release when no copy of the descriptor is
 * left, but lets nobody wait for that. */
static bool resolve_is_closing_locked(const struct writer *w, int64_t now)
{
    return w->place.kind != PLACE_SCRATCH && !w->lingers && !w->dropped &&
           stage_is_dirty(w->stage) &&
           (w->handles == 0 || (!w->copied && now - w->flushed_ms < RESOLVE_CLOSE_MS));
}

/* What this mount is writing: shown if nothing of it is stored yet and the process may see it; for
 * the others the store has the answer. 1 found, 0 not, or -ENOMEM. */
static int resolve_writer_locked(struct folder *d, const char *name, const struct place *place,
                                 pid_t process, struct found *ret)
{
    struct writer *w = writer_find_locked(d, name, place);
    if (!w || (!w->unseen && place->kind != PLACE_SCRATCH) || !writer_is_visible_locked(w, process))
        return place->kind == PLACE_SCRATCH ? -ENOENT : 0;
    struct node *n = node_writer_locked(w);
    if (!n)
        return -ENOMEM;
    resolve_found_locked(n, 0, 0, ret);
    return 1;
}

static int resolve_header_locked(struct folder *d, pid_t tid, struct found *ret)
{
    bool fresh = d->head && (d->fs->conf.immutable || clock_ms() - d->head_ms <= FS_FRESH_MS);
    struct node *n = fresh ? node_header_locked(d, d->head) : NULL;
    if (!n)
        return 0;
    if (n->token_tid == tid)
        n->token_tid = 0; /* this answer asked nobody: the open must */
    resolve_found_locked(n, 0, RESOLVE_LONG_S, ret);
    return 1;
}

/* An object or directory that was seen a moment ago, or listed. */
static int resolve_seen_locked(struct folder *d, const char *name, const struct place *place,
                               pid_t tid, struct found *ret)
{
    struct listing_entry e;
    struct node *n = node_recent_locked(d, place->obj, place->view, FS_FRESH_MS);
    if (n) {
        if (n->token_tid == tid)
            n->token_tid = 0; /* this answer asked nobody: the open must */
        resolve_object_locked(n, 0, ret);
        return 1;
    }
    if (place->kind == PLACE_PLAIN) {
        struct folder *child = folder_find_child_locked(d, name);
        if (child && folder_is_fresh_locked(child))
            return resolve_dir_locked(child, 1, ret);
    }
    if (!folder_listed_locked(d, place->obj, &e) || place->view != NAME_OBJECT)
        return 0;
    if (e.is_dir) {
        struct folder *child = folder_get_child_locked(d, name);
        int r = child ? resolve_dir_locked(child, 1, ret) : -ENOMEM;
        if (child)
            folder_unref_locked(child);
        return r;
    }
    struct store_stat stat = {.size = e.size, .mtime_ns = e.mtime_ns};
    (void)stpncpy(stat.etag, e.etag, sizeof(stat.etag) - 1);
    n = node_object_locked(d, place->obj, NAME_OBJECT, &stat, e.size);
    if (!n)
        return -ENOMEM;
    resolve_object_locked(n, 0, ret);
    return 1;
}

/* What was seen of a file may be another version in a moment. */
static bool resolve_is_changing_locked(struct folder *d, const char *name,
                                       const struct place *place)
{
    const struct writer *w = writer_find_locked(d, name, place);
    return w && resolve_is_closing_locked(w, clock_ms());
}

/* bmfs's own names: the directory .bmfs in the root, always there, and its files. */
static int resolve_own_locked(struct folder *d, const char *name, struct found *ret)
{
    enum virtual_id id = virtual_find(d->path, name);
    if (id != VIRTUAL_NONE) {
        struct node *n = node_virtual_locked(d, (int)id, name);
        if (!n)
            return -ENOMEM;
        resolve_found_locked(n, 1, 0, ret);
        return 1;
    }
    if (d->path[0] != '\0' || strcmp(name, ".bmfs") != 0)
        return 0;
    struct folder *own = folder_get_child_locked(d, name);
    if (!own)
        return -ENOMEM;
    folder_set_local_locked(own, true);
    int r = resolve_dir_locked(own, RESOLVE_LONG_S, ret);
    folder_unref_locked(own);
    return r;
}

/* True when it is not yet known how names in the directory are to be understood. */
static bool resolve_is_unknown_locked(const struct folder *d)
{
    return d->kind == FOLDER_UNKNOWN || (d->kind == FOLDER_HEADLESS && !d->head && d->head_ms == 0);
}

static int resolve_known_locked(struct folder *d, const char *name, pid_t tid, pid_t process,
                                struct found *ret)
{
    struct place place;
    resolve_expire_locked(d->fs);
    int r = resolve_own_locked(d, name, ret);
    if (r != 0)
        return r;
    if (resolve_is_unknown_locked(d))
        return 0;
    r = resolve_place_locked(d, name, false, &place, NULL);
    if (r < 0)
        return r;
    if (resolve_reserved_locked(d, &place, tid, ret))
        return 1;
    r = resolve_writer_locked(d, name, &place, process, ret);
    if (r != 0)
        return r;
    if (place.kind == PLACE_HEADER)
        return resolve_header_locked(d, tid, ret);
    if (place.kind == PLACE_PLAIN && resolve_is_changing_locked(d, name, &place))
        return 0;
    return resolve_seen_locked(d, name, &place, tid, ret);
}

/* Whether the asking process matters: something unseen is being written in the directory. */
static bool resolve_needs_process(struct folder *d)
{
    LOCK_SCOPE(&d->fs->mu);
    for (struct writer *w = d->writers; w; w = w->next) {
        if (w->unseen && w->place.kind != PLACE_SCRATCH)
            return true;
    }
    return false;
}

int resolve_known(struct folder *d, const char *name, pid_t tid, struct found *ret)
{
    pid_t process = resolve_needs_process(d) ? writer_process(tid) : 0;
    if (process < 0)
        return process;
    LOCK_SCOPE(&d->fs->mu);
    return resolve_known_locked(d, name, tid, process, ret);
}

int resolve_prepare(struct folder *d, const char *name, struct err *err)
{
    bool load;
    {
        LOCK_SCOPE(&d->fs->mu);
        bool special = name_is_block_like(name) || strcmp(name, "header.json") == 0;
        load = resolve_is_unknown_locked(d) || (special && !folder_header_locked(d));
    }
    if (!load)
        return 0;
    struct head *head = NULL;
    int r = folder_load_head(d, FS_FRESH_MS, &head, err);
    head_unref(head);
    return r;
}

static int resolve_ask_header(struct folder *d, pid_t tid, struct found *ret, struct err *err)
{
    struct head *head = NULL;
    int64_t begun_ms = clock_ms();
    int r = folder_load_head(d, FS_FRESH_MS, &head, err);
    if (r < 0)
        return r;
    if (!head)
        return -ENOENT;
    LOCK_SCOPE(&d->fs->mu);
    struct node *n = node_header_locked(d, head);
    if (n && d->head_ms >= begun_ms)
        node_checked_locked(n, tid);
    if (n)
        resolve_found_locked(n, 0, RESOLVE_LONG_S, ret);
    head_unref(head);
    return n ? 0 : -ENOMEM;
}

/* The version that was current last, if bytes of it are at hand: then the store is asked whether it
 * still is; else for the first bytes of whatever is there. */
static bool resolve_known_version(struct folder *d, const char *key, const struct place *place,
                                  struct store_stat *ret)
{
    if (!objects_latest(d->fs->objects, key, ret)) {
        LOCK_SCOPE(&d->fs->mu);
        const struct node *n = node_version_locked(d, place->obj, place->view, NULL);
        if (!n)
            return false;
        *ret = node_object_stat(n);
    }
    return objects_has(d->fs->objects, key, ret->etag);
}

/* The size of a view of a block that has just been opened. */
static int resolve_view_size(struct object *o, enum name_view view, uint64_t *ret, struct err *err)
{
    struct npy npy;
    *ret = object_stat(o)->size;
    if (view == NAME_OBJECT)
        return 0;
    int r = view_header(o, &npy, err);
    if (r == 0)
        *ret = npy.data_len;
    return r;
}

void resolve_look(struct node *n, struct object *o)
{
    struct place place;
    struct npy npy = {0};
    struct err err = {0};
    struct head *head = NULL;
    {
        LOCK_SCOPE(&n->fs->mu);
        if (n->looked || resolve_place_of_locked(n, &place, NULL) < 0 || place.kind != PLACE_BLOCK)
            return;
        n->looked = true;
        head = head_ref(n->dir->head);
    }
    int r = view_header(o, &npy, &err);
    if (r == 0)
        r = npy_check_block(&npy, object_stat(o)->size, &head->header.grid, head->header.dtype,
                            place.index, &err);
    head_unref(head);
    if (r == 0)
        return;
    LOCK_SCOPE(&n->fs->mu);
    if (!n->mismatch)
        n->mismatch = strdup(err.msg);
}

/* Asks the store for the current version and opens it. */
static int resolve_current(struct folder *d, const char *key, const struct place *place,
                           struct object **ret, struct err *err)
{
    struct store_stat known;
    bool has = resolve_known_version(d, key, place, &known);
    int r = objects_current(d->fs->objects, key, has ? known.etag : NULL, ret, err);
    return r == OBJECT_SAME ? objects_open(d->fs->objects, key, &known, ret, err) : r;
}

static int resolve_ask_block(struct folder *d, const struct place *place, pid_t tid,
                             struct found *ret, struct err *err)
{
    struct object *o = NULL;
    struct node *n = NULL;
    uint64_t size = 0;
    int64_t asked_ns = clock_ns();
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, place->obj);
    int r = key ? resolve_current(d, key, place, &o, err) : -ENOMEM;
    if (r == -ENOENT)
        objects_note_absent(d->fs->objects, key, asked_ns);
    if (r == 0)
        r = resolve_view_size(o, place->view, &size, err);
    if (r == 0) {
        LOCK_SCOPE(&d->fs->mu);
        n = node_object_locked(d, place->obj, place->view, object_stat(o), size);
        r = n ? 0 : -ENOMEM;
        if (n) {
            node_checked_locked(n, tid);
            resolve_object_locked(n, 0, ret);
        }
    }
    if (r == 0)
        resolve_look(n, o);
    object_unref(o);
    return r;
}

/* What LISTs say about one name. */
struct resolve_list {
    const char *key; /* of the object */
    size_t len;
    int entries;
    bool is_file, is_dir;
    bool open; /* entries that sort between "name" and "name/" have hidden whether it is a directory
                */
    struct store_stat stat;
};

static int resolve_list_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct resolve_list *l = arg;
    if (stat && strcmp(key, l->key) == 0) {
        l->is_file = true;
        l->stat = *stat;
    }
    if (strncmp(key, l->key, l->len) == 0 && key[l->len] == '/') {
        l->is_dir = true;
        return 1;
    }
    /* Entries ascend: past "name/" neither can come any more. */
    if ((unsigned char)key[l->len] > '/')
        return 1;
    l->open = ++l->entries == RESOLVE_PAGE;
    return l->open;
}

/* Looks a name up as a file and as a directory: one LIST, but for names like "data" beside many
 * like "data-1". */
static int resolve_list(struct store *st, struct resolve_list *l, struct err *err)
{
    struct store_list list = {.prefix = l->key, .delimiter = '/', .page_max = RESOLVE_PAGE};
    int r = store_list(st, &list, resolve_list_entry, l, err);
    if (r < 0 || !l->open)
        return MIN(r, 0);
    CLEANUP(freep) char *below = NULL;
    if (asprintf(&below, "%s/", l->key) < 0)
        return -ENOMEM;
    list = (struct store_list){.prefix = below, .page_max = 1};
    r = store_list(st, &list, resolve_list_entry, l, err);
    return MIN(r, 0);
}

static int resolve_ask_plain(struct folder *d, const char *name, pid_t tid, struct found *ret,
                             struct err *err)
{
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, name);
    if (!key)
        return -ENOMEM;
    struct resolve_list l = {.key = key, .len = strlen(key)};
    int64_t asked_ns = clock_ns();
    int r = resolve_list(d->fs->store, &l, err);
    if (r < 0)
        return r;
    if (!l.is_file)
        objects_note_absent(d->fs->objects, key, asked_ns);
    LOCK_SCOPE(&d->fs->mu);
    struct folder *child =
        l.is_dir ? folder_get_child_locked(d, name) : folder_find_child_locked(d, name);
    if (l.is_dir && !child)
        return -ENOMEM;
    if (child && (l.is_dir || child->local)) {
        folder_seen_locked(child);
        r = resolve_dir_locked(child, 1, ret);
        if (l.is_dir)
            folder_unref_locked(child);
        return r < 0 ? r : 0;
    }
    if (!l.is_file)
        return -ENOENT;
    struct node *n = node_object_locked(d, name, NAME_OBJECT, &l.stat, l.stat.size);
    if (!n)
        return -ENOMEM;
    node_checked_locked(n, tid);
    resolve_object_locked(n, 0, ret);
    return 0;
}

/* Files that are being closed: `ret` are references. */
static int resolve_closing(struct folder *d, const char *name, struct writer *ret[RESOLVE_SETTLE])
{
    int n = 0;
    int64_t now = clock_ms();
    LOCK_SCOPE(&d->fs->mu);
    for (struct writer *w = d->writers; w && n < RESOLVE_SETTLE; w = w->next) {
        if (!resolve_is_closing_locked(w, now) || (name && strcmp(w->name, name) != 0))
            continue;
        writer_ref_locked(w);
        ret[n++] = w;
    }
    return n;
}

/* Waits for the release that follows a flush. False when there is none: a copy of the descriptor is
 * open, and nobody else waits for it. */
static bool resolve_wait_closed(struct writer *w, int64_t until)
{
    LOCK_SCOPE(&w->fs->mu);
    while (w->handles > 0 && stage_is_dirty(w->stage) && !w->dropped) {
        if (lock_cond_wait_until(&w->fs->released, &w->fs->mu, until))
            continue;
        w->copied = true;
        break;
    }
    return w->handles == 0;
}

void resolve_settle(struct folder *d, const char *name)
{
    struct writer *found[RESOLVE_SETTLE];
    struct err err = {0};
    int64_t until = clock_ms() + RESOLVE_CLOSE_MS;
    int n = resolve_closing(d, name, found);
    for (int i = 0; i < n; i++) {
        if (resolve_wait_closed(found[i], until))
            (void)commit(found[i], COMMIT_CLOSE, &err); /* the job says what failed, if not this */
        writer_unref(found[i]);
    }
}

static int resolve_ask_once(struct folder *d, const char *name, pid_t tid, struct found *ret,
                            struct err *err)
{
    struct place place;
    int r = resolve_prepare(d, name, err);
    if (r < 0)
        return r;
    r = resolve_known(d, name, tid, ret);
    if (r != 0)
        return MIN(r, 0);
    {
        LOCK_SCOPE(&d->fs->mu);
        r = resolve_place_locked(d, name, false, &place, err);
    }
    if (r < 0)
        return r;
    if (place.kind == PLACE_HEADER)
        return resolve_ask_header(d, tid, ret, err);
    if (place.kind == PLACE_BLOCK)
        return resolve_ask_block(d, &place, tid, ret, err);
    resolve_settle(d, name);
    return resolve_ask_plain(d, name, tid, ret, err);
}

/* Absence is not remembered, nor that a directory was no matrix when somebody looked last: a header
 * that has come since gives a name another meaning. 1 when there is one, 0 when not, or the error.
 */
static int resolve_is_new_matrix(struct folder *d, const char *name, int64_t begun_ms,
                                 struct err *err)
{
    struct store_stat ignored;
    struct head *known = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        bool special = name_is_block_like(name) || strcmp(name, "header.json") == 0;
        if (!special || d->fs->conf.immutable || d->head_ms >= begun_ms)
            return 0;
        if (folder_header_locked(d))
            known = head_ref(d->head);
    }
    if (known) { /* it may be another one's by now, but that is asked once a second only */
        int code = folder_load(d, FS_FRESH_MS, err);
        LOCK_SCOPE(&d->fs->mu);
        bool same = d->head == known;
        head_unref(known);
        return code < 0 ? code : !same;
    }
    CLEANUP(freep) char *key = fs_key(d->fs, d->path, "header");
    int r = key ? store_head(d->fs->store, key, &ignored, err) : -ENOMEM;
    if (r == 0)
        r = folder_load(d, FOLDER_ANEW, err);
    return r < 0 ? r : 1;
}

int resolve_ask(struct folder *d, const char *name, pid_t tid, struct found *ret, struct err *err)
{
    int64_t begun_ms = clock_ms();
    struct err why = {0};
    int r = resolve_ask_once(d, name, tid, ret, err);
    int is_new = r == -ENOENT ? resolve_is_new_matrix(d, name, begun_ms, &why) : 0;
    if (is_new > 0)
        return resolve_ask_once(d, name, tid, ret, err);
    if (is_new == 0 || is_new == -ENOENT)
        return r;
    *err = why;
    return is_new;
}
