#include "fs/ops.h"

#include "fs/commit.h"
#include "fs/removal.h"
#include "fs/resolve.h"
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Creating files: CREATE comes for a name that was not there when it was looked up. */

/* O_EXCL on an ordinary file is a lock for those who compete: the empty object is stored at once,
 * and who is late learns it from open itself. */
static int ops_create_exclusive(struct writer *w, struct err *err)
{
    struct fs *fs = w->fs;
    char write_id[STORE_WRITE_ID_SIZE];
    struct store_stat stat;
    CLEANUP(freep) char *key = fs_key(fs, w->dir->path, w->place.obj);
    int r = key ? random_hex(write_id, sizeof(write_id)) : -ENOMEM;
    if (r < 0)
        return r;
    struct store_body body = {.fd = -1};
    struct store_put put = {.if_match = STORE_ABSENT, .write_id = write_id, .has_crc32c = true};
    (void)removal_wait(fs, key);
    r = store_put(fs->store, key, &body, &put, &stat, err);
    if (r < 0)
        return r;
    objects_note_latest(fs->objects, key, &stat);
    LOCK_SCOPE(&fs->mu);
    (void)snprintf(w->if_match, sizeof(w->if_match), "%s", stat.etag);
    w->unseen = false;
    w->exclusive = false;
    folder_changed_locked(w->dir, w->place.obj);
    return writer_describe_locked(w, "");
}

/* Where a name that is to be created belongs, and what is there by now. */
struct ops_spot {
    struct place place;
    char if_match[STORE_ETAG_SIZE]; /* what this mount has stored there since the name was looked
                                       up, as by a process that was interrupted; STORE_ABSENT */
    char open[STORE_ETAG_SIZE];     /* the version that somebody had open before that; or "" */
};

/* Finds that out. Who wants to be the first is told by the store. -ESTALE when the bytes are
 * wanted, too: the kernel looks once more. */
static int ops_spot_look(struct ops_job *job, struct ops_spot *spot)
{
    struct fs *fs = job->fs;
    struct folder *d = job->node->dir;
    struct store_stat stat = {.etag = STORE_ABSENT};
    if ((job->flags & O_EXCL) || spot->place.kind == PLACE_SCRATCH)
        return 0;
    if (spot->place.kind == PLACE_HEADER) {
        LOCK_SCOPE(&fs->mu);
        if (d->head && d->head->stored)
            stat = d->head->stat;
    } else {
        CLEANUP(freep) char *key = fs_key(fs, d->path, spot->place.obj);
        if (!key)
            return -ENOMEM;
        (void)objects_stored(fs->objects, key, &stat);
    }
    memcpy(spot->if_match, stat.etag, sizeof(spot->if_match));
    return stat.etag[0] && !(job->flags & O_TRUNC) ? -ESTALE : 0;
}

static int ops_spot_find(struct ops_job *job, struct ops_spot *ret, struct err *err)
{
    struct folder *d = job->node->dir;
    *ret = (struct ops_spot){.if_match = STORE_ABSENT};
    {
        LOCK_SCOPE(&job->fs->mu);
        int r = resolve_place_locked(d, job->name, true, &ret->place, err);
        if (r < 0)
            return r;
    }
    (void)writer_wait_place(d, job->name, &ret->place);
    (void)commit_left_behind(d, job->name, &ret->place, job->process);
    {
        LOCK_SCOPE(&job->fs->mu);
        const struct writer *w = writer_find_locked(d, job->name, &ret->place);
        bool is_object = ret->place.kind == PLACE_PLAIN || ret->place.kind == PLACE_BLOCK;
        if (w && !w->unseen && !(job->flags & O_EXCL) && is_object)
            (void)snprintf(ret->open, sizeof(ret->open), "%s", w->if_match);
    }
    return ops_spot_look(job, ret);
}

/* Whoever has a version open that others have removed keeps it, and not its name: the next one
 * makes another file. */
static bool ops_spot_is_free(const struct ops_spot *spot, const struct writer *w)
{
    return spot->open[0] && !spot->if_match[0] && strcmp(w->if_match, spot->open) == 0;
}

/* WRITER_AGAIN: once more. */
static int ops_create_writer_locked(struct ops_job *job, const struct ops_spot *spot,
                                    struct writer **ret, bool *ret_made, struct err *err)
{
    struct folder *d = job->node->dir;
    struct writer *w = writer_find_locked(d, job->name, &spot->place);
    int r = w && w->removing ? WRITER_AGAIN : writer_make_way_locked(&w, job->process);
    if (r != 0)
        return r;
    if (w && (job->flags & O_EXCL))
        return err_set(err, -EEXIST, "it is being written already");
    if (w && ops_spot_is_free(spot, w)) {
        writer_unlink_locked(w, false);
        w = NULL;
    }
    *ret_made = !w;
    if (w) {
        writer_ref_locked(w);
    } else {
        struct writer_start start = {.dir = d,
                                     .name = job->name,
                                     .place = &spot->place,
                                     .if_match = spot->if_match,
                                     .exclusive = job->flags & O_EXCL};
        r = writer_new_locked(job->fs, &start, &w);
        if (r < 0)
            return err_errno(err, r, "cannot write");
        if (spot->place.kind == PLACE_SCRATCH)
            writer_linger_locked(w, true);
    }
    writer_open_locked(w);
    *ret = w;
    return 0;
}

/* Finds or makes the writer for a name that is to be created, and counts a handle of it, so that it
 * is not let go before the answer: to be given up with commit_release_locked(). */
static int ops_create_writer(struct ops_job *job, struct writer **ret, bool *ret_made,
                             struct err *err)
{
    int r;
    do {
        struct ops_spot spot;
        r = ops_spot_find(job, &spot, err);
        LOCK_SCOPE(&job->fs->mu);
        if (r == 0)
            r = ops_create_writer_locked(job, &spot, ret, ret_made, err);
    } while (r == WRITER_AGAIN);
    return r;
}

/* Makes node, look-up and handle for a created file and answers. */
static void ops_reply_created(struct ops_job *job, struct writer *w)
{
    struct fs *fs = job->fs;
    struct fuse_entry_param e = {0};
    struct handle *h = NULL;
    pid_t process = job->process;
    {
        LOCK_SCOPE(&fs->mu);
        struct node *n = node_writer_locked(w);
        h = n ? ops_writer_handle_locked(n, job->flags, process) : NULL;
        if (h) {
            n->lookups++;
            e.ino = node_id(n);
            node_stat_locked(n, &e.attr);
        }
    }
    if (!h) {
        ops_job_err(job, -ENOMEM);
        return;
    }
    if (!job->number && ((job->flags & O_TRUNC) || stage_size(w->stage) == 0))
        stage_set_dirty(w->stage);
    struct wire_open open = ops_writer_open(fs, h);
    if (!op_take(job->op) || wire_reply_create(op_req(job->op), &e, &open) < 0) {
        ops_writer_close(fs, h);
        node_forget(fs, e.ino, 1);
    }
    ops_job_free(job);
}

static void ops_create_release(struct fs *fs, struct writer *w)
{
    LOCK_SCOPE(&fs->mu);
    commit_release_locked(w);
}

struct ops_truncated_create {
    struct ops_job *job;
    struct writer *w; /* as ops_create_writer() gave it */
};

static void ops_create_truncated(void *arg, int code)
{
    struct ops_truncated_create *t = arg;
    struct fs *fs = t->job->fs;
    if (code < 0)
        ops_job_err(t->job, code);
    else
        ops_reply_created(t->job, t->w);
    ops_create_release(fs, t->w);
    free(t);
}

/* O_TRUNC of a name that others write, who need not be done before this one looks it up. */
static void ops_create_truncating(struct ops_job *job, struct writer *w)
{
    struct ops_truncated_create *t = malloc(sizeof(*t));
    if (!t) {
        struct fs *fs = job->fs;
        ops_job_err(job, -ENOMEM);
        ops_create_release(fs, w);
        return;
    }
    *t = (struct ops_truncated_create){.job = job, .w = w};
    stage_truncate(w->stage, 0, ops_create_truncated, t);
}

/* The store has refused an exclusive creation, and nobody is to have the file. Who has opened the
 * same writer meanwhile goes on with it, or is done: the store will tell at the next close. */
static void ops_create_undo(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    w->exclusive = false;
    if (w->handles == 1 && w->processes == 0)
        writer_unlink_locked(w, true);
}

/* job->number: the empty file is stored already. */
static void ops_create_job(void *arg)
{
    struct ops_job *job = arg;
    struct fs *fs = job->fs;
    struct err err = {0};
    struct writer *w = NULL;
    bool made = false;
    int r = resolve_prepare(job->node->dir, job->name, &err);
    if (r == 0)
        r = ops_create_writer(job, &w, &made, &err);
    if (r == 0 && w && made && w->place.kind == PLACE_PLAIN && (job->flags & O_EXCL)) {
        r = ops_create_exclusive(w, &err);
        job->number = 1;
    }
    if (r == 0 && w && !made && (job->flags & O_TRUNC) && stage_can_be_cut(w->stage)) {
        ops_create_truncating(job, w);
        return;
    }
    if (r == 0 && w) {
        ops_reply_created(job, w);
    } else {
        if (w)
            ops_create_undo(w);
        if (r != -EEXIST && r != -ESTALE)
            ops_refuse(r, "create", job->node->dir, job->name, &err);
        ops_job_err(job, r);
    }
    if (w)
        ops_create_release(fs, w);
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                struct fuse_file_info *fi)
{
    (void)mode;
    if (ops_is_read_only(req))
        return;
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->names,
                                  .fn = ops_create_job,
                                  .by_process = true,
                                  .ino = parent,
                                  .name = name,
                                  .flags = fi->flags});
}
