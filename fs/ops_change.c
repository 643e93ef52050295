#include "fs/ops.h"

#include "base/log.h"
#include "fs/commit.h"
#include "fs/node.h"
#include "fs/removal.h"
#include "fs/resolve.h"
#include "fs/virtual.h"
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names made, removed, moved. */

/* A directory exists in this mount once it is made; the store learns of it with its first object.
 */
static int ops_mkdir_locked(struct folder *d, const char *name, struct found *ret, struct err *err)
{
    if (d->kind == FOLDER_MATRIX || d->kind == FOLDER_HEADLESS)
        return err_set(err, -EPERM, "a matrix holds header.json and blocks, no directories");
    if (strcmp(name, "header.json") == 0)
        return err_set(err, -EINVAL, "only the header of a matrix has this name");
    struct folder *child = folder_get_child_locked(d, name);
    struct node *n = child ? node_dir_locked(child) : NULL;
    if (!n) {
        folder_unref_locked(child);
        return -ENOMEM;
    }
    folder_set_local_locked(child, true);
    folder_drop_head_locked(child);
    child->kind = FOLDER_PLAIN;
    child->head_ms = clock_ms();
    folder_seen_locked(child);
    folder_unref_locked(child);
    n->lookups++;
    *ret = (struct found){.node = n, .entry_s = 1, .attr_s = 1};
    return 0;
}

static void ops_mkdir_job(void *arg)
{
    struct ops_job *job = arg;
    struct found f = {0};
    struct err err = {0};
    struct fuse_entry_param e;
    int r = resolve_prepare(job->node->dir, "block_", &err); /* what is it, a matrix? */
    if (r == 0) {
        LOCK_SCOPE(&job->fs->mu);
        r = ops_mkdir_locked(job->node->dir, job->name, &f, &err);
    }
    if (r < 0) {
        ops_refuse(r, "make directory", job->node->dir, job->name, &err);
        ops_job_err(job, r);
        return;
    }
    found_entry(&f, &e);
    if (!op_take(job->op) || fuse_reply_entry(op_req(job->op), &e) < 0)
        found_drop(&f);
    ops_job_free(job);
}

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)mode;
    if (ops_is_read_only(req))
        return;
    ops_submit(&(struct ops_call){
        .req = req, .pool = ops_fs(req)->names, .fn = ops_mkdir_job, .ino = parent, .name = name});
}

/* Refuses to remove a directory with something in it; deletes the marker object that other
 * programs make for empty directories. */
struct ops_rmdir {
    const char *prefix;
    bool marker, more;
};

static int ops_rmdir_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct ops_rmdir *rm = arg;
    if (stat && strcmp(key, rm->prefix) == 0)
        rm->marker = true;
    else
        rm->more = true;
    return rm->more;
}

static int ops_rmdir_store(struct fs *fs, struct folder *d, struct err *err)
{
    CLEANUP(freep) char *prefix = fs_key(fs, d->path, "");
    if (!prefix)
        return -ENOMEM;
    struct ops_rmdir rm = {.prefix = prefix};
    struct store_list list = {.prefix = prefix, .delimiter = '/', .page_max = 2};
    int r = store_list(fs->store, &list, ops_rmdir_entry, &rm, err);
    if (r < 0)
        return r;
    if (rm.more)
        return -ENOTEMPTY;
    if (!rm.marker)
        return 0;
    return fs->conf.no_delete ? -EPERM : store_del(fs->store, prefix, NULL, err);
}

static void ops_rmdir_see_local(void *arg, const char *name, struct folder *child)
{
    bool *any = arg;
    (void)name;
    (void)child;
    *any = true;
}

/* Whether directories are in it that were made here and that the store knows nothing of. */
static bool ops_rmdir_has_dirs_locked(struct folder *d)
{
    bool any = false;
    folder_each_local_locked(d, ops_rmdir_see_local, &any);
    return any;
}

static void ops_rmdir_job(void *arg)
{
    struct ops_job *job = arg;
    struct fs *fs = job->fs;
    struct err err = {0};
    struct folder *child = NULL;
    bool busy = false;
    pid_t process = job->process;
    {
        LOCK_SCOPE(&fs->mu);
        child = folder_get_child_locked(job->node->dir, job->name);
    }
    if (child) { /* what was just closed is in it */
        resolve_settle(child, NULL);
        commit_all_left_behind(child, process);
        LOCK_SCOPE(&fs->mu);
        busy = ops_rmdir_has_dirs_locked(child) || !writer_may_clear_locked(child, process);
    }
    int r = child ? 0 : -ENOMEM;
    if (r == 0)
        r = busy ? -ENOTEMPTY : ops_rmdir_store(fs, child, &err);
    if (r == 0) {
        LOCK_SCOPE(&fs->mu);
        writer_clear_locked(child, process);
        folder_set_local_locked(child, false);
        folder_drop_head_locked(child);
        child->node = NULL; /* dead for the kernel: one that is made again needs another */
        child->seen_ms = child->head_ms = 0;
        folder_changed_locked(job->node->dir, job->name);
        folder_set_local_locked(job->node->dir, true);
    } else if (r != -ENOTEMPTY) {
        ops_refuse(r, "remove directory", job->node->dir, job->name, &err);
    }
    folder_unref(child);
    ops_job_err(job, r);
}

void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (ops_is_read_only(req))
        return;
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->names,
                                  .fn = ops_rmdir_job,
                                  .ino = parent,
                                  .name = name,
                                  .by_process = true});
}

/* What was being written under a name that is removed. */
enum ops_unlinked {
    OPS_UNLINKED_NONE,  /* nothing, or nothing that the process can see */
    OPS_UNLINKED_ALL,   /* there is no more to the name than that */
    OPS_UNLINKED_PART,  /* it is stored, too */
    OPS_UNLINKED_TRIED, /* a try to store it may have taken effect: only its writer can tell */
    OPS_UNLINKED_MOVED, /* it has got another name meanwhile */
};

/* Whether it has got another name meanwhile. One that only is not found any more was let go, or
 * another one has taken its place. */
static bool ops_is_elsewhere_locked(const struct ops_job *job, const struct place *place,
                                    const struct writer *w)
{
    return w->dir != job->node->dir || !writer_is_at_locked(w, job->name, place);
}

/* Finds what is being written under a name, if the process can see it: *ret, of which nothing more
 * is stored until ops_unlink_end(). Bytes that have lost a race for the name are put aside all the
 * same, and what has won stays: who lost has not seen it. */
static enum ops_unlinked ops_unlink_writer(struct ops_job *job, const struct place *place,
                                           struct writer **ret)
{
    struct fs *fs = job->fs;
    struct writer *w = NULL;
    struct folder *d = job->node->dir;
    pid_t process = job->process;
    (void)writer_wait_place(d, job->name, place);
    {
        LOCK_SCOPE(&fs->mu);
        w = writer_find_locked(d, job->name, place);
        if (!w || !writer_is_visible_locked(w, process))
            return OPS_UNLINKED_NONE;
        if (w->removing || op_interrupted(job->op))
            return OPS_UNLINKED_MOVED; /* somebody was faster, or has given up */
        writer_ref_locked(w);
        w->removing = true;
    }
    stage_wait_settled(w->stage); /* what is being stored right now will have to be deleted */
    *ret = w;
    LOCK_SCOPE(&fs->mu);
    if (ops_is_elsewhere_locked(job, place, w) || op_interrupted(job->op))
        return OPS_UNLINKED_MOVED;
    if (place->kind != PLACE_SCRATCH && !w->unseen)
        return OPS_UNLINKED_PART;
    return writer_has_undecided_locked(w, NULL) ? OPS_UNLINKED_TRIED : OPS_UNLINKED_ALL;
}

/* The name is gone, or it could not be removed: then its writer goes on as if nobody had tried. So
 * does one that has got another name after all. */
static void ops_unlink_end(struct ops_job *job, const struct place *place, struct writer *w,
                           bool gone)
{
    bool retire = false;
    {
        LOCK_SCOPE(&w->fs->mu);
        bool lost = w->error < 0; /* its bytes are being put aside, or will be */
        gone = gone && !ops_is_elsewhere_locked(job, place, w);
        if (gone)
            writer_unlink_locked(w, !lost);
        if (gone && !lost) {
            writer_linger_locked(w, false);
            retire = w->handles == 0;
        }
        w->removing = false;
        (void)pthread_cond_broadcast(&w->fs->released);
    }
    if (retire)
        stage_retire(w->stage);
    writer_unref(w);
}

/* The version that whoever removes a name has seen: what this mount has stored there last, or what
 * the look-up has found; else what is there now. What others store meanwhile is not removed, also
 * not by a request that is sent again, or that goes on when the one who asked is gone. */
static int ops_unlink_version(struct fs *fs, struct folder *d, const struct place *place,
                              const char *key, struct store_stat *ret, struct err *err)
{
    if (place->kind != PLACE_HEADER && objects_stored(fs->objects, key, ret))
        return 0;
    {
        LOCK_SCOPE(&fs->mu);
        struct node *n = node_recent_locked(d, place->obj, place->view, FS_FRESH_MS);
        bool head = place->kind == PLACE_HEADER && d->head && d->head->stored;
        if (head)
            *ret = d->head->stat;
        else if (n)
            *ret = node_object_stat(n);
        if (head || n)
            return 0;
    }
    return store_head(fs->store, key, ret, err);
}

/* The version that a writer has stored with a try of which nobody could say what became of it;
 * -ENOENT when there is none, or somebody else's. */
static int ops_unlink_tried(struct writer *w, const char *key, struct store_stat *ret,
                            struct err *err)
{
    int r = store_head(w->fs->store, key, ret, err);
    LOCK_SCOPE(&w->fs->mu);
    return r == 0 && !writer_has_undecided_locked(w, ret->write_id) ? -ENOENT : r;
}

/* Another version is there: the kernel looks once more, and is to be told of that one. */
static void ops_unlink_again(struct fs *fs, struct folder *d, const struct place *place)
{
    CLEANUP(freep) char *key = fs_key(fs, d->path, place->obj);
    if (key)
        objects_note_absent(fs->objects, key, clock_ns());
    LOCK_SCOPE(&fs->mu);
    folder_changed_locked(d, place->obj);
    if (place->kind == PLACE_HEADER)
        d->head_ms = 0;
}

/* Removes what is stored under a name: by the writer `tried`, or when that is NULL by whomever. */
static int ops_unlink_stored(struct ops_job *job, const struct place *place, struct writer *tried,
                             struct err *err)
{
    struct fs *fs = job->fs;
    struct folder *d = job->node->dir;
    struct store_stat stat = {0};
    bool inferred = false;
    CLEANUP(freep) char *key = fs_key(fs, d->path, place->obj);
    if (!key)
        return -ENOMEM;
    CLEANUP(removal_end) struct removal removal = {0};
    removal_begin(&removal, fs, key);
    if (op_interrupted(job->op))
        return -EINTR; /* what has been stored since is not what was to be removed */
    {
        LOCK_SCOPE(&fs->mu);
        inferred = place->kind == PLACE_HEADER && d->head && !d->head->stored;
    }
    int r = 0;
    if (tried)
        r = ops_unlink_tried(tried, key, &stat, err);
    else if (!inferred && !fs->conf.no_delete)
        r = ops_unlink_version(fs, d, place, key, &stat, err);
    if (r == 0)
        r = ops_unlink_object(fs, d, place, stat.etag, err);
    if (r == -ESTALE)
        ops_unlink_again(fs, d, place);
    return r;
}

int ops_unlink_object(struct fs *fs, struct folder *d, const struct place *place,
                      const char *if_match, struct err *err)
{
    if (fs->conf.no_delete) {
        (void)err_set(err, -EPERM, "the mount deletes nothing (--no-delete)");
        return -EPERM;
    }
    if (place->kind == PLACE_HEADER) {
        LOCK_SCOPE(&fs->mu);
        if (d->head && !d->head->stored)
            return 0; /* inferred: it goes with the last block */
    }
    CLEANUP(freep) char *key = fs_key(fs, d->path, place->obj);
    if (!key)
        return -ENOMEM;
    int r = store_del(fs->store, key, if_match, err);
    if (r < 0)
        return r;
    objects_note_latest(fs->objects, key, NULL);
    if (place->kind == PLACE_HEADER)
        folder_set_head(d, NULL);
    LOCK_SCOPE(&fs->mu);
    folder_changed_locked(d, place->obj);
    return 0;
}

void ops_keep_dirs(struct fs *fs, struct folder *d)
{
    LOCK_SCOPE(&fs->mu);
    folder_set_local_locked(d, true);
    CLEANUP(freep) char *path = strdup(d->path);
    for (size_t len = path ? strlen(path) : 0; len > 1;) {
        path[len - 1] = '\0';
        const char *slash = strrchr(path, '/');
        len = slash ? (size_t)(slash - path) + 1 : 0;
        path[len] = '\0';
        struct folder *up = folder_get_locked(fs, path);
        if (!up)
            return;
        folder_set_local_locked(up, true);
        folder_unref_locked(up);
    }
}

static void ops_unlink_job(void *arg)
{
    struct ops_job *job = arg;
    struct folder *d = job->node->dir;
    struct place place;
    struct err err = {0};
    int r = resolve_prepare(d, job->name, &err);
    if (r == 0) {
        LOCK_SCOPE(&job->fs->mu);
        r = resolve_place_locked(d, job->name, false, &place, &err);
    }
    struct writer *w = NULL;
    enum ops_unlinked unlinked = r == 0 ? ops_unlink_writer(job, &place, &w) : OPS_UNLINKED_ALL;
    if (unlinked == OPS_UNLINKED_MOVED) {
        r = -ESTALE; /* the kernel looks for the name once more */
    } else if (r == 0 && unlinked != OPS_UNLINKED_ALL) {
        struct writer *tried = unlinked == OPS_UNLINKED_TRIED ? w : NULL;
        r = place.kind == PLACE_SCRATCH ? -ENOENT : ops_unlink_stored(job, &place, tried, &err);
        if (r == -ENOENT && unlinked != OPS_UNLINKED_NONE)
            r = 0;
        if (r == 0)
            ops_keep_dirs(job->fs, d);
    }
    if (w)
        ops_unlink_end(job, &place, w, r == 0);
    if (r < 0 && r != -ENOENT && r != -ESTALE && r != -EINTR)
        ops_refuse(r, "remove", d, job->name, &err);
    ops_job_err(job, r);
}

void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (ops_is_read_only(req))
        return;
    if (virtual_find(node_of(ops_fs(req), parent)->dir->path, name) != VIRTUAL_NONE) {
        (void)fuse_reply_err(req, EPERM);
        return;
    }
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->names,
                                  .fn = ops_unlink_job,
                                  .ino = parent,
                                  .name = name,
                                  .by_process = true});
}

void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent;
    (void)name;
    (void)mode;
    (void)rdev;
    (void)fuse_reply_err(req, EPERM);
}

void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target;
    (void)parent;
    (void)name;
    (void)fuse_reply_err(req, EPERM);
}
