#include "fs/ops.h"

#include "base/log.h"
#include "fs/broker.h"
#include "fs/commit.h"
#include "fs/handle.h"
#include "fs/removal.h"
#include "fs/resolve.h"
#include "fs/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opening and closing files. */

/* What the store says of a node's version before it is opened. */
struct ops_version {
    bool changed;          /* another one is current: `object` */
    struct object *object; /* a reference, or NULL when only the version was confirmed */
};

static bool ops_wants_writing(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY;
}

/* Direct I/O gives every write to us as it was made, with the name of its writer, and fsync and
 * close in the order they happened; where the kernel cannot map such files, the page cache must do.
 */
struct wire_open ops_writer_open(const struct fs *fs, struct handle *h)
{
    return (struct wire_open){.fh = (uint64_t)(uintptr_t)h,
                              .direct_io = fs->wire_state.features.direct_io_mmap,
                              .parallel_writes = true};
}

struct handle *ops_writer_handle_locked(struct node *n, int flags, pid_t process)
{
    struct handle *h = handle_new_locked(n, HANDLE_WRITER);
    if (!h)
        return NULL;
    struct writer *w = n->writer;
    h->writer = w;
    h->writes = ops_wants_writing(flags);
    h->process = process;
    writer_ref_locked(w);
    writer_open_locked(w);
    if (h->writes)
        writer_note_process_locked(w, process);
    return h;
}

void ops_writer_close(struct fs *fs, struct handle *h)
{
    struct writer *w = h->writer;
    handle_free(h);
    LOCK_SCOPE(&fs->mu);
    commit_release_locked(w);
}

/* Whether the kernel may keep the pages that it has of a node. All that was fetched is checked when
 * the last of it has come: pages from before are right then. Those of a transfer that never came so
 * far, or turned out to be damaged, are not; and with pages from elsewhere the kernel would not ask
 * for all, and nothing be checked. */
static bool ops_pages_hold_locked(struct handle *h)
{
    struct object *o = h->source.object;
    h->dropped = h->node->unproved;
    h->proved = object_fd(o) >= 0;
    bool hold = h->dropped == object_serial(o) || (h->proved && h->dropped == 0);
    atomic_store(&h->drops, !hold);
    return hold;
}

/* With the first read of a handle that was opened so, and not before, it is known that the kernel
 * has dropped those pages. Those that it gets now are from this handle's object. */
void ops_pages_dropped(struct handle *h)
{
    struct node *n = h->node;
    LOCK_SCOPE(&n->fs->backing_mu);
    if (!atomic_load(&h->drops))
        return;
    if (!h->proved)
        n->unproved = object_serial(h->source.object);
    else if (n->unproved == h->dropped)
        n->unproved = 0;
    atomic_store(&h->drops, false);
}

/* Chooses how reads of a version get their bytes and counts the handle accordingly: the kernel
 * refuses to mix the two ways on one node. */
static void ops_back(struct handle *h, struct wire_open *open)
{
    struct fs *fs = h->node->fs;
    struct node *n = h->node;
    const struct view_source *s = &h->source;
    bool whole = s->off == 0 && s->size == object_stat(s->object)->size && s->size > 0;
    int fd = whole && fs->wire_state.features.passthrough ? object_fd(s->object) : -1;
    LOCK_SCOPE(&fs->backing_mu);
    if (n->cached_opens > 0)
        fd = -1;
    if (fd >= 0 && n->backing_opens == 0)
        n->backing = broker_backing_open(fs->broker, fd);
    if (fd >= 0 && n->backing > 0) {
        h->backed = true;
        n->backing_opens++;
        open->backing = n->backing;
        return;
    }
    n->cached_opens++;
    open->keep_cache = ops_pages_hold_locked(h);
}

static void ops_source_close(struct handle *h)
{
    struct fs *fs = h->node->fs;
    {
        LOCK_SCOPE(&fs->backing_mu);
        struct node *n = h->node;
        if (!h->backed) {
            n->cached_opens--;
            if (n->unproved == object_serial(h->source.object) && object_fd(h->source.object) >= 0)
                n->unproved = 0;
        } else if (--n->backing_opens == 0) {
            broker_backing_close(fs->broker, n->backing);
            n->backing = 0;
        }
    }
    handle_free(h);
}

static void ops_reply_source(struct ops_job *job, const struct view_source *source)
{
    struct fs *fs = job->fs;
    struct wire_open open = {0};
    struct handle *h = NULL;
    {
        LOCK_SCOPE(&fs->mu);
        h = handle_new_locked(job->node, HANDLE_SOURCE);
    }
    if (!h) {
        object_unref(source->object);
        ops_job_err(job, -ENOMEM);
        return;
    }
    h->source = *source;
    ops_back(h, &open);
    open.fh = (uint64_t)(uintptr_t)h;
    if (!op_take(job->op) || wire_reply_open(op_req(job->op), &open) < 0)
        ops_source_close(h);
    ops_job_free(job);
}

/* Asks the store whether the node's version is the current one. With its bytes at hand that is a
 * conditional request; without, the first bytes of whatever is there. */
static int ops_version_ask(struct node *n, const char *key, struct ops_version *ret,
                           struct err *err)
{
    bool has = objects_has(n->fs->objects, key, n->etag);
    *ret = (struct ops_version){0};
    int r = objects_current(n->fs->objects, key, has ? n->etag : NULL, &ret->object, err);
    if (r < 0)
        return r;
    ret->changed = ret->object && strcmp(object_stat(ret->object)->etag, n->etag) != 0;
    LOCK_SCOPE(&n->fs->mu);
    if (!ret->changed)
        node_checked_locked(n, 0);
    return 0;
}

/* Sets the node of a new version aside for the retry. */
static int ops_reserve_version(struct ops_job *job, struct object *o, struct err *err)
{
    struct place place = {.view = job->node->view};
    struct node *old = job->node;
    struct npy npy;
    uint64_t size = object_stat(o)->size;
    if (old->view != NAME_OBJECT) {
        int r = view_header(o, &npy, err);
        if (r < 0)
            return r;
        size = npy.data_len;
    }
    (void)stpncpy(place.obj, old->text, sizeof(place.obj) - 1);
    LOCK_SCOPE(&job->fs->mu);
    struct node *n = node_object_locked(old->dir, old->text, old->view, object_stat(o), size);
    if (!n)
        return -ENOMEM;
    node_checked_locked(n, job->tid);
    resolve_reserve_locked(n, &place, job->tid);
    return -ESTALE;
}

/* job->number: the version is known to be current. */
static void ops_open_read_job(void *arg)
{
    struct ops_job *job = arg;
    struct node *n = job->node;
    struct err err = {0};
    struct ops_version v = {0};
    struct view_source source = {0};
    CLEANUP(freep) char *key = fs_key(job->fs, n->dir->path, n->text);
    int r = key ? 0 : -ENOMEM;
    if (r == 0 && !job->number)
        r = ops_version_ask(n, key, &v, &err);
    if (r == -ENOENT) {
        LOCK_SCOPE(&job->fs->mu);
        folder_changed_locked(n->dir, n->text);
        r = -ESTALE; /* so that the name is looked up again, and not in a listing */
    }
    if (r == 0 && v.changed)
        r = ops_reserve_version(job, v.object, &err);
    if (r == 0 && !v.object) {
        struct store_stat stat = node_object_stat(n);
        r = objects_open(job->fs->objects, key, &stat, &v.object, &err);
    }
    if (r == 0)
        r = object_check(v.object, &err);
    if (r == 0) {
        resolve_look(n, v.object);
        r = view_open(job->fs->objects, key, v.object, n->view, &source, &err);
    }
    object_unref(v.object);
    if (r == 0) {
        ops_reply_source(job, &source);
        return;
    }
    if (r == -ESTALE)
        log_debug("fs", "open %s: ESTALE: %s", key,
                  v.changed ? "a new version, on a node of its own" : "it is gone or has changed");
    else
        ops_refuse(r, "open", n->dir, n->text, &err);
    ops_job_err(job, r);
}

/* The kernel's entry has moved to another name with a rename: that is to be looked up anew, and not
 * in what is remembered of it. */
static bool ops_is_to_be_found_locked(struct node *n)
{
    struct place place;
    if (!n->moved_dir)
        return false;
    if (resolve_place_locked(n->moved_dir, n->moved_name, false, &place, NULL) == 0)
        folder_changed_locked(n->moved_dir, place.obj);
    return true;
}

static void ops_open_read(fuse_req_t req, fuse_ino_t ino, struct node *n, int flags)
{
    struct fs *fs = ops_fs(req);
    bool fresh;
    bool moved;
    {
        LOCK_SCOPE(&fs->mu);
        fresh = node_use_token_locked(n, fuse_req_ctx(req)->pid) || fs->conf.immutable;
        moved = ops_is_to_be_found_locked(n);
    }
    if (moved) {
        log_debug("fs", "open %s%s: ESTALE: its entry was moved to another name", n->dir->path,
                  n->text);
        (void)fuse_reply_err(req, ESTALE);
        return;
    }
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = n->view == NAME_OBJECT ? fs->names : fs->work,
                                  .fn = ops_open_read_job,
                                  .ino = ino,
                                  .flags = flags,
                                  .number = fresh});
}

static void ops_open_virtual(fuse_req_t req, struct node *n)
{
    struct fs *fs = ops_fs(req);
    struct handle *h = NULL;
    {
        LOCK_SCOPE(&fs->mu);
        h = handle_new_locked(n, HANDLE_TEXT);
    }
    int r = h ? virtual_render(fs, (enum virtual_id)n->virtual_id, &h->text) : -ENOMEM;
    struct wire_open open = {.fh = (uint64_t)(uintptr_t)h, .direct_io = true};
    if (r < 0)
        (void)fuse_reply_err(req, fs_errno(r));
    if (r < 0 || wire_reply_open(req, &open) < 0)
        handle_free(h);
}

/* A handle of what a header's node shows. */
static int ops_header_handle(struct node *n, struct handle **ret)
{
    struct err err = {0};
    if (n->head->bad) {
        (void)err_set(&err, -EBADMSG, "%s", n->head->why);
        return fs_refuse(-EBADMSG, "read", n->dir->path, &err);
    }
    {
        LOCK_SCOPE(&n->fs->mu);
        *ret = handle_new_locked(n, HANDLE_TEXT);
    }
    return *ret ? buf_append(&(*ret)->text, buf_text(&n->head->text), n->head->text.len) : -ENOMEM;
}

/* Asks the store whether the header is the current one; -ESTALE when it is not, with the node of
 * the one that is set aside for the retry. */
static int ops_header_ask(struct ops_job *job, struct err *err)
{
    static const struct place place = {.kind = PLACE_HEADER, .obj = "header"};
    struct head *head = NULL;
    struct node *n = job->node;
    int r = folder_load_head(n->dir, n->head->stored ? FOLDER_ANEW : FS_FRESH_MS, &head, err);
    if (r == -ENOENT || (r == 0 && !head))
        return -ESTALE; /* the kernel then looks it up, and finds that it is gone */
    if (r < 0)
        return r;
    LOCK_SCOPE(&job->fs->mu);
    struct node *now = node_header_locked(n->dir, head);
    if (now && now != n) {
        node_checked_locked(now, job->tid);
        resolve_reserve_locked(now, &place, job->tid);
    }
    head_unref(head);
    if (now == n)
        return 0;
    return now ? -ESTALE : -ENOMEM;
}

/* job->number: it is known to be current. */
static void ops_open_header_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    struct handle *h = NULL;
    int r = job->number ? 0 : ops_header_ask(job, &err);
    if (r < 0 && r != -ESTALE)
        ops_refuse(r, "open", job->node->dir, "header.json", &err);
    if (r == 0)
        r = ops_header_handle(job->node, &h);
    if (r < 0) {
        handle_free(h);
        ops_job_err(job, r);
        return;
    }
    struct wire_open open = {.fh = (uint64_t)(uintptr_t)h, .keep_cache = true};
    if (!op_take(job->op) || wire_reply_open(op_req(job->op), &open) < 0)
        handle_free(h);
    ops_job_free(job);
}

static void ops_open_header(fuse_req_t req, fuse_ino_t ino, struct node *n)
{
    struct fs *fs = ops_fs(req);
    bool fresh;
    {
        LOCK_SCOPE(&fs->mu);
        fresh = node_use_token_locked(n, fuse_req_ctx(req)->pid) || fs->conf.immutable;
    }
    ops_submit(&(struct ops_call){
        .req = req, .pool = fs->names, .fn = ops_open_header_job, .ino = ino, .number = fresh});
}

/* The bytes that a writer starts from: NULL when they are to be thrown away or there are none. A
 * view is written as a whole or from its own bytes, which are then made. */
static int ops_writer_base(struct ops_job *job, const char *key, struct object *current,
                           struct object **ret, struct err *err)
{
    struct node *n = job->node;
    struct object *block = NULL;
    struct store_stat stat = node_object_stat(n);
    *ret = NULL;
    if (job->flags & O_TRUNC)
        return 0;
    if (current)
        object_ref(block = current);
    int r = block ? 0 : objects_open(job->fs->objects, key, &stat, &block, err);
    if (r == 0)
        r = view_open_whole(job->fs->objects, key, block, n->view, ret, err);
    object_unref(block);
    return r;
}

/* What the writer of a place is based on, before the store is asked for the current version. */
struct ops_based {
    bool any; /* there is a writer */
    char etag[STORE_ETAG_SIZE];
};

static struct ops_based ops_based_locked(const struct node *n, const struct place *place)
{
    const struct writer *w = writer_find_locked(n->dir, n->text, place);
    struct ops_based based = {.any = w};
    if (w)
        (void)snprintf(based.etag, sizeof(based.etag), "%s", w->if_match);
    return based;
}

/* Finds the writer of a place or makes one, and sets its node aside for the retry. `etag` is the
 * current version. WRITER_AGAIN: once more, when *ret_held, a reference, has settled. */
static int ops_reserve_writer(struct ops_job *job, const struct place *place, const char *etag,
                              struct object *base, const struct ops_based *based,
                              struct writer **ret_held, struct err *err)
{
    struct node *n = job->node;
    LOCK_SCOPE(&job->fs->mu);
    struct writer *w = writer_find_locked(n->dir, n->text, place);
    bool made = false;
    if (w && (w->removing || (strcmp(w->if_match, etag) != 0 && stage_is_held(w->stage)))) {
        writer_ref_locked(w); /* what it is storing right now may be that very version */
        *ret_held = w;
        return WRITER_AGAIN;
    }
    if (w && based->any && strcmp(w->if_match, based->etag) == 0 &&
        strcmp(w->if_match, etag) != 0) {
        writer_unlink_locked(w, false); /* of another version than the one that is opened now: its
                                           own store will be told so */
        w = NULL;
    }
    int r = writer_make_way_locked(&w, job->process);
    if (r != 0)
        return r; /* else who comes now starts from what is stored */
    if (!w) {
        struct writer_start start = {
            .dir = n->dir, .name = n->text, .place = place, .base = base, .if_match = etag};
        r = writer_new_locked(job->fs, &start, &w);
        if (r < 0)
            return err_errno(err, r, "cannot write");
        made = true;
    }
    struct node *wn = node_writer_locked(w);
    if (wn)
        resolve_reserve_locked(wn, place, job->tid);
    if (made)
        writer_unref_locked(w); /* the node has its own */
    return wn ? -ESTALE : -ENOMEM;
}

/* Sets a writer's node aside for the retry. */
static int ops_reserve_again(struct node *n, pid_t tid)
{
    LOCK_SCOPE(&n->fs->mu);
    struct place place = n->writer->place;
    if (n->writer->linked)
        resolve_reserve_locked(n, &place, tid);
    return -ESTALE;
}

/* WRITER_AGAIN: once more. */
static int ops_open_write_try(struct ops_job *job, const char *key, const struct place *place,
                              struct err *err)
{
    struct node *n = job->node;
    struct ops_version v = {0};
    struct ops_based based = {0};
    struct object *base = NULL;
    struct writer *held = NULL;
    int r = 0;
    if (removal_wait(job->fs, key) || writer_wait_place(n->dir, n->text, place))
        job->number = 0;
    bool tried = commit_left_behind(n->dir, n->text, place, job->process);
    {
        LOCK_SCOPE(&job->fs->mu);
        based = ops_based_locked(n, place);
    }
    /* A writer of another version, or the one that was left behind, may have stored the current one
     * since the look-up: ask again. */
    if (!job->number || tried || (based.any && strcmp(based.etag, n->etag) != 0))
        r = ops_version_ask(n, key, &v, err);
    if (r == 0)
        r = ops_writer_base(job, key, v.object, &base, err);
    if (r == 0)
        r = ops_reserve_writer(job, place, v.object ? object_stat(v.object)->etag : n->etag, base,
                               &based, &held, err);
    if (held) {
        stage_wait_settled(held->stage);
        writer_unref(held);
    }
    object_unref(base);
    object_unref(v.object);
    return r;
}

/* Opening a stored object for writing: always another node, see fs/node.h. -ESTALE with that set
 * aside; -ENOENT when the object is gone. */
static int ops_open_write(struct ops_job *job, struct err *err)
{
    struct node *n = job->node;
    struct place place;
    CLEANUP(freep) char *key = fs_key(job->fs, n->dir->path, n->text);
    int r = key ? 0 : -ENOMEM;
    if (r == 0) {
        LOCK_SCOPE(&job->fs->mu);
        r = resolve_place_of_locked(n, &place, err);
    }
    if (r == 0) {
        while ((r = ops_open_write_try(job, key, &place, err)) == WRITER_AGAIN)
            job->number = 0; /* what is current is another version now */
    }
    if (r == -ENOENT) {
        LOCK_SCOPE(&job->fs->mu);
        folder_changed_locked(n->dir, n->text);
    }
    if (r == -ESTALE || r == -ENOENT)
        log_debug("fs", "open %s: ESTALE: %s", key,
                  r == -ESTALE ? "to be written, on a node of its own" : "it is gone");
    else
        ops_refuse(r, "write", n->dir, n->text, err);
    return r;
}

/* Opens for writing whatever has a name now. The kernel forgives one ESTALE: when the node that it
 * came with is gone, what it will find next must be set aside already. */
static int ops_open_anew(struct ops_job *job, struct folder *d, const char *name, struct err *err)
{
    struct node *gone = job->node;
    struct found f = {0};
    int r = resolve_ask(d, name, job->tid, &f, err);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    job->number = 0;
    job->node = f.node;
    if (f.node->kind == NODE_OBJECT)
        r = ops_open_write(job, err);
    else if (f.node->kind == NODE_HEADER)
        r = ops_header_reserve(job, f.node, err);
    else if (f.node->kind == NODE_WRITER)
        r = ops_reserve_again(f.node, job->tid);
    else
        r = -ESTALE;
    job->node = gone;
    found_drop(&f);
    return r == -ENOENT ? -ESTALE : r;
}

/* A writer that was stored and let go between the look-up and the open, or whose name is being
 * removed. */
static void ops_open_anew_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    writer_wait_removed(job->node->writer);
    ops_job_err(job, ops_open_anew(job, job->node->dir, job->name, &err));
}

/* Where a rename took what the node stood for, and with it the kernel's entry; false when nowhere.
 * *ret_dir is a reference, *ret_name the caller's. */
static bool ops_is_moved(struct node *n, struct folder **ret_dir, char **ret_name)
{
    LOCK_SCOPE(&n->fs->mu);
    if (!n->moved_dir)
        return false;
    *ret_name = strdup(n->moved_name);
    if (*ret_name)
        *ret_dir = folder_ref_locked(n->moved_dir);
    return *ret_name;
}

static void ops_open_write_job(void *arg)
{
    struct ops_job *job = arg;
    struct folder *d = NULL;
    struct err err = {0};
    CLEANUP(freep) char *name = NULL;
    int r = 0;
    if (ops_is_moved(job->node, &d, &name)) {
        r = ops_open_anew(job, d, name, &err);
        folder_unref(d);
    } else {
        r = ops_open_write(job, &err);
    }
    ops_job_err(job, r == -ENOENT ? -ESTALE : r);
}

struct ops_truncated_open {
    struct op *op;
    struct fs *fs;
    struct handle *handle;
};

static void ops_open_truncated(void *arg, int code)
{
    struct ops_truncated_open *t = arg;
    struct wire_open open = ops_writer_open(t->fs, t->handle);
    bool mine = op_take(t->op);
    if (mine && code < 0)
        (void)fuse_reply_err(op_req(t->op), fs_errno(code));
    if (!mine || code < 0 || wire_reply_open(op_req(t->op), &open) < 0)
        ops_writer_close(t->fs, t->handle);
    op_free(t->op);
    free(t);
}

/* Opening with O_TRUNC answers when the old bytes are gone. */
static void ops_open_truncating(fuse_req_t req, struct fs *fs, struct handle *h)
{
    struct ops_truncated_open *t = malloc(sizeof(*t));
    if (t)
        *t = (struct ops_truncated_open){.op = op_new(req), .fs = fs, .handle = h};
    if (!t || !t->op) {
        if (!t)
            (void)fuse_reply_err(req, ENOMEM);
        free(t);
        ops_writer_close(fs, h);
        return;
    }
    stage_truncate(h->writer->stage, 0, ops_open_truncated, t);
}

static void ops_open_writer(fuse_req_t req, struct node *n, int flags)
{
    struct fs *fs = ops_fs(req);
    pid_t tid = fuse_req_ctx(req)->pid;
    pid_t process = writer_process(tid);
    struct handle *h = NULL;
    bool gone;
    {
        LOCK_SCOPE(&fs->mu);
        gone = !n->writer->linked || n->writer->removing;
        if (!gone && process >= 0)
            h = ops_writer_handle_locked(n, flags, process);
        (void)resolve_unreserve_locked(n, tid); /* what it held, the handle holds now */
    }
    if (process < 0) {
        (void)fuse_reply_err(req, fs_errno(process));
        return;
    }
    if (gone) {
        ops_submit(&(struct ops_call){.req = req,
                                      .pool = fs->work,
                                      .fn = ops_open_anew_job,
                                      .by_process = true,
                                      .ino = node_id(n),
                                      .name = n->text,
                                      .flags = flags});
        return;
    }
    if (!h) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    if ((flags & O_TRUNC) && stage_can_be_cut(h->writer->stage)) {
        ops_open_truncating(req, fs, h);
        return;
    }
    if (flags & O_TRUNC)
        stage_set_dirty(h->writer->stage);
    struct wire_open open = ops_writer_open(fs, h);
    if (wire_reply_open(req, &open) < 0)
        ops_writer_close(fs, h);
}

/* Callers whom this mount cannot tell apart, for they are of another pid namespace: the node that
 * was set aside for one of them, who opens a stored file for writing, may be found by another one,
 * who only reads it and is to have a snapshot. */
static bool ops_is_for_another(struct node *n, pid_t tid, bool writes)
{
    LOCK_SCOPE(&n->fs->mu);
    const struct writer *w = n->writer;
    if (tid != 0 || writes || w->unseen || w->place.kind == PLACE_SCRATCH)
        return false;
    return resolve_unreserve_locked(n, tid);
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = ops_fs(req);
    struct node *n = node_of(fs, ino);
    pid_t tid = fuse_req_ctx(req)->pid;
    bool writes = ops_wants_writing(fi->flags) || (fi->flags & O_TRUNC);
    if (writes && ops_is_read_only(req))
        return;
    if (n->kind != NODE_WRITER) {
        LOCK_SCOPE(&fs->mu);
        (void)resolve_unreserve_locked(n, tid);
    }
    if (writes && n->kind == NODE_VIRTUAL) {
        (void)fuse_reply_err(req, EACCES);
    } else if (n->kind == NODE_WRITER && ops_is_for_another(n, tid, writes)) {
        (void)fuse_reply_err(req, ESTALE); /* the retry finds what is stored */
    } else if (n->kind == NODE_WRITER) {
        ops_open_writer(req, n, fi->flags);
    } else if (writes && n->kind == NODE_HEADER) {
        ops_submit(&(struct ops_call){.req = req,
                                      .pool = fs->work,
                                      .fn = ops_header_open_job,
                                      .by_process = true,
                                      .ino = ino,
                                      .flags = fi->flags});
    } else if (writes) {
        bool fresh;
        {
            LOCK_SCOPE(&fs->mu);
            fresh = node_use_token_locked(n, tid);
        }
        ops_submit(&(struct ops_call){.req = req,
                                      .pool = fs->work,
                                      .fn = ops_open_write_job,
                                      .by_process = true,
                                      .ino = ino,
                                      .flags = fi->flags,
                                      .number = fresh});
    } else if (n->kind == NODE_OBJECT) {
        ops_open_read(req, ino, n, fi->flags);
    } else if (n->kind == NODE_HEADER) {
        ops_open_header(req, ino, n);
    } else {
        ops_open_virtual(req, n);
    }
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)ino;
    if (h->kind == HANDLE_WRITER)
        ops_writer_close(ops_fs(req), h);
    else if (h->kind == HANDLE_SOURCE)
        ops_source_close(h);
    else
        handle_free(h);
    (void)fuse_reply_err(req, 0);
}
