#include "fs/ops.h"

#include "fs/commit.h"
#include "fs/removal.h"
#include "fs/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rename and link: how finished files get the name of a block, and ordinary files another one.
 *
 * Both come down to one conditional PUT of bytes that are complete. A temporary file moves with its
 * bytes; a stored object is read, put under its new name and deleted under the old one. */

/* Where a rename or link goes. */
struct ops_target {
    struct folder *dir;
    const char *name;
    struct place place;
    char etag[STORE_ETAG_SIZE]; /* of what is there; "" for nothing */
};

static struct commit_target ops_target_of(const struct ops_target *t, const char *if_match)
{
    return (struct commit_target){
        .dir = t->dir, .name = t->name, .place = &t->place, .if_match = if_match};
}

static int ops_target_find(struct ops_job *job, struct ops_target *ret, struct err *err)
{
    ret->dir = job->node2->dir;
    ret->name = job->name2;
    ret->etag[0] = '\0';
    int r = resolve_prepare(ret->dir, ret->name, err);
    if (r < 0)
        return r;
    LOCK_SCOPE(&job->fs->mu);
    r = resolve_place_locked(ret->dir, ret->name, true, &ret->place, err);
    if (r == 0 && ret->place.kind == PLACE_HEADER && ret->dir->head && ret->dir->head->stored)
        (void)snprintf(ret->etag, sizeof(ret->etag), "%s", ret->dir->head->stat.etag);
    return r;
}

/* The version that a rename replaces: asked for, since nobody has it open. */
static int ops_target_version(struct fs *fs, struct ops_target *t, struct err *err)
{
    struct store_stat stat;
    if (t->place.kind == PLACE_HEADER)
        return 0;
    CLEANUP(freep) char *key = fs_key(fs, t->dir->path, t->place.obj);
    int r = key ? store_head(fs->store, key, &stat, err) : -ENOMEM;
    if (r == 0)
        (void)snprintf(t->etag, sizeof(t->etag), "%s", stat.etag);
    if (r != -ENOENT)
        return r;
    err_clear(err);
    return 0;
}

/* What a rename or link starts from: the bytes, and where they were. */
struct ops_source {
    struct writer *w; /* a reference; holds the bytes */
    struct folder *dir;
    struct place place;
    bool stored;                /* an object; `w` was made to carry its bytes */
    char etag[STORE_ETAG_SIZE]; /* of that object */
};

/* Makes a writer that carries the bytes of a stored object, found by no name. */
static int ops_source_object(struct ops_source *s, const char *name, struct err *err)
{
    struct store_stat stat;
    if (s->place.kind == PLACE_HEADER || s->place.view != NAME_OBJECT)
        return -EXDEV; /* mv then copies */
    int r = writer_carry(s->dir, name, &s->place, &s->w, &stat, err);
    if (r < 0)
        return r;
    s->stored = true;
    (void)snprintf(s->etag, sizeof(s->etag), "%s", stat.etag);
    return 0;
}

/* What the process has written to a stored file, or has tried to store, is to be stored before the
 * file moves or is linked: a reference to its writer, or NULL. */
static struct writer *ops_source_writer_locked(struct writer *w, pid_t process)
{
    bool tried = w && w->unseen && writer_has_undecided_locked(w, NULL);
    if (!w || w->place.kind == PLACE_SCRATCH || (w->unseen && !tried) ||
        !writer_has_process_locked(w, process))
        return NULL;
    writer_ref_locked(w);
    return w;
}

/* Stores it. A conflict is told with a code that the kernel does not take for a reason to try
 * again: the other one's bytes are not what is to be moved. */
static int ops_source_store(struct writer *w, struct err *err)
{
    int r = commit(w, COMMIT_SYNC, err);
    writer_unref(w);
    return r == -ESTALE || r == -EEXIST ? -EIO : MIN(r, 0);
}

static int ops_source_find(struct ops_job *job, struct ops_source *s, struct err *err)
{
    struct writer *stored = NULL;
    s->dir = job->node->dir;
    pid_t process = job->process;
    int r = resolve_prepare(s->dir, job->name, err);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&job->fs->mu);
        r = resolve_place_locked(s->dir, job->name, false, &s->place, err);
    }
    if (r < 0)
        return r;
    (void)writer_wait_place(s->dir, job->name, &s->place);
    {
        LOCK_SCOPE(&job->fs->mu);
        struct writer *w = writer_find_locked(s->dir, job->name, &s->place);
        bool only = w && (w->unseen || s->place.kind == PLACE_SCRATCH);
        stored = ops_source_writer_locked(w, process);
        if (!stored && only && writer_is_visible_locked(w, process)) {
            writer_ref_locked(w);
            s->w = w;
            return 0;
        }
    }
    if (s->place.kind == PLACE_SCRATCH)
        return -ENOENT;
    r = stored ? ops_source_store(stored, err) : 0;
    return r < 0 ? r : ops_source_object(s, job->name, err);
}

/* Moves a temporary file to another temporary name: nothing is stored. */
static int ops_move_scratch(struct fs *fs, const struct ops_source *s, const struct ops_target *t)
{
    if (s->place.kind != PLACE_SCRATCH)
        return -EXDEV;
    LOCK_SCOPE(&fs->mu);
    struct writer *old = writer_find_locked(t->dir, t->name, &t->place);
    if (old == s->w)
        return 0;
    if (old) {
        writer_ref_locked(old);
        writer_unlink_locked(old, true);
        writer_linger_locked(old, false);
        writer_unref_locked(old);
    }
    return writer_move_locked(s->w, t->dir, t->name, &t->place);
}

/* Takes the old name away, unless it holds other bytes by now. It may be gone already: an
 * interrupted rename goes on, and somebody does it again. */
static int ops_source_remove(struct fs *fs, const struct ops_source *s, struct err *err)
{
    struct store_stat stat;
    CLEANUP(freep) char *key = fs_key(fs, s->dir->path, s->place.obj);
    if (!key)
        return -ENOMEM;
    CLEANUP(removal_end) struct removal removal = {0};
    removal_begin(&removal, fs, key);
    int r = ops_unlink_object(fs, s->dir, &s->place, s->etag, err);
    if (r != -ESTALE || store_head(fs->store, key, &stat, NULL) != -ENOENT)
        return r; /* -ESTALE, written meanwhile: the kernel tries once more, with those bytes */
    err_clear(err);
    objects_note_latest(fs->objects, key, NULL);
    return 0;
}

/* Stores the bytes under the new name and lets go of the old one. */
static int ops_move(struct ops_job *job, const struct ops_source *s, struct ops_target *t,
                    struct err *err)
{
    struct fs *fs = job->fs;
    struct store_stat stat;
    bool exclusive = (unsigned)job->flags & RENAME_NOREPLACE;
    if (s->stored && fs->conf.no_delete)
        return err_set(err, -EPERM, "the mount deletes nothing (--no-delete)");
    struct commit_target to = ops_target_of(t, exclusive ? STORE_ABSENT : t->etag);
    int r = exclusive ? 0 : ops_target_version(fs, t, err);
    if (r == 0)
        r = s->stored ? commit_to(s->w, &to, &stat, err) : commit_move(s->w, &to, &stat, err);
    if (r == -EEXIST && !exclusive) {
        err_clear(err);
        return -ESTALE; /* it has just come to be: the kernel tries once more */
    }
    if (r < 0 || !s->stored)
        return r;
    r = ops_source_remove(fs, s, err);
    if (r < 0)
        return r;
    ops_keep_dirs(fs, s->dir);
    LOCK_SCOPE(&fs->mu);
    node_moved_locked(&(struct node_move){.dir = s->dir,
                                          .obj = s->place.obj,
                                          .name = job->name,
                                          .to_dir = t->dir,
                                          .to_name = t->name});
    return 0;
}

/* Lets go of a source; a writer that nobody has open any more and that was stored is done with. */
static void ops_source_drop(struct fs *fs, struct ops_source *s)
{
    if (!s->w)
        return;
    bool done;
    {
        LOCK_SCOPE(&fs->mu);
        done = s->w->handles == 0;
    }
    if (done)
        commit_finish(s->w, false);
    writer_unref(s->w);
}

/* A directory has no object of its own to move; EXDEV makes mv copy its files and remove them. 0
 * for anything else, of which the move itself says what is wrong with it. */
static int ops_refuse_directory(struct ops_job *job, struct err *err)
{
    struct found f = {0};
    int r = resolve_known(job->node->dir, job->name, job->tid, &f);
    if (r == 0)
        r = resolve_ask(job->node->dir, job->name, job->tid, &f, err);
    bool is_dir = f.node && f.node->kind == NODE_DIR;
    found_drop(&f);
    if (is_dir)
        return -EXDEV;
    if (r == -EIO || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
        return r;
    err_clear(err);
    return 0;
}

/* Two names of one object, or one name twice: what there is to do has been done. */
static bool ops_is_same(const struct ops_source *s, const struct ops_target *t)
{
    return s->place.kind != PLACE_SCRATCH && s->place.kind == t->place.kind && s->dir == t->dir &&
           s->place.view == t->place.view && strcmp(s->place.obj, t->place.obj) == 0;
}

/* Two views of one block: were it left to mv to copy and remove, it would remove its copy. */
static bool ops_is_same_block(struct ops_job *job, const struct ops_source *s)
{
    struct ops_target t;
    return s->dir && s->place.kind == PLACE_BLOCK && ops_target_find(job, &t, NULL) == 0 &&
           s->dir == t.dir && t.place.kind == PLACE_BLOCK && strcmp(s->place.obj, t.place.obj) == 0;
}

static void ops_rename_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    struct ops_source s = {0};
    struct ops_target t;
    int r = ops_refuse_directory(job, &err);
    if (r == 0)
        r = ops_source_find(job, &s, &err);
    if (r == -EXDEV && ops_is_same_block(job, &s))
        r = err_set(&err, -EPERM, "both are names of one block");
    if (r == 0)
        r = ops_target_find(job, &t, &err);
    if (r == 0 && !ops_is_same(&s, &t))
        r = t.place.kind == PLACE_SCRATCH ? ops_move_scratch(job->fs, &s, &t)
                                          : ops_move(job, &s, &t, &err);
    ops_source_drop(job->fs, &s);
    if (r < 0 && r != -EXDEV && r != -ENOENT && r != -EEXIST && (r != -ESTALE || err.msg[0]))
        ops_refuse(r, "rename to", job->node2->dir, job->name2, &err);
    if (r == -EINVAL)
        r = -EPERM; /* EINVAL of a rename says "into itself", and so does mv */
    ops_job_err(job, r);
}

void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                const char *new_name, unsigned int flags)
{
    if (ops_is_read_only(req))
        return;
    if (flags & ~(unsigned)RENAME_NOREPLACE) {
        (void)fuse_reply_err(req, EINVAL);
        return;
    }
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->work,
                                  .fn = ops_rename_job,
                                  .by_process = true,
                                  .ino = parent,
                                  .name = name,
                                  .ino2 = new_parent,
                                  .name2 = new_name,
                                  .flags = (int)flags});
}

/* The bytes of an open or stored file, for a link. */
static int ops_link_source(struct ops_job *job, struct ops_source *s, struct err *err)
{
    struct node *n = job->node;
    struct writer *stored = NULL;
    struct place place;
    pid_t process = job->process;
    s->dir = n->dir;
    {
        LOCK_SCOPE(&job->fs->mu);
        if (n->kind == NODE_WRITER) {
            s->w = n->writer;
            s->place = n->writer->place;
            writer_ref_locked(s->w);
            return 0;
        }
        if (n->kind != NODE_OBJECT)
            return -EPERM;
        s->place = (struct place){.kind = PLACE_PLAIN, .view = n->view};
        (void)snprintf(s->place.obj, sizeof(s->place.obj), "%s", n->text);
        if (resolve_place_of_locked(n, &place, NULL) == 0)
            stored = ops_source_writer_locked(writer_find_locked(n->dir, n->text, &place), process);
    }
    return stored ? ops_source_store(stored, err) : 0;
}

static void ops_reply_linked(struct ops_job *job, const struct ops_target *t,
                             const struct store_stat *stat, uint64_t size)
{
    struct found f = {0};
    struct fuse_entry_param e;
    {
        LOCK_SCOPE(&job->fs->mu);
        struct node *n = node_object_locked(t->dir, t->place.obj, t->place.view, stat, size);
        if (n) {
            node_checked_locked(n, 0);
            n->lookups++;
            node_stays_locked(n);
            f = (struct found){.node = n, .attr_s = 86400};
        }
    }
    if (!f.node) {
        ops_job_err(job, -ENOMEM);
        return;
    }
    found_entry(&f, &e);
    if (!op_take(job->op) || fuse_reply_entry(op_req(job->op), &e) < 0)
        found_drop(&f);
    ops_job_free(job);
}

static int ops_link_store(const struct ops_source *s, const struct ops_target *t,
                          struct store_stat *ret_stat, uint64_t *ret_size, struct err *err)
{
    struct commit_target to = ops_target_of(t, STORE_ABSENT);
    to.ret_size = ret_size;
    return commit_to(s->w, &to, ret_stat, err);
}

static void ops_link_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    struct ops_source s = {0};
    struct ops_target t;
    struct store_stat stat;
    uint64_t size = 0; /* of what was stored: the file may have changed since */
    int r = ops_link_source(job, &s, &err);
    if (r == 0 && !s.w)
        r = ops_source_object(&s, job->node->text, &err);
    if (r == 0)
        r = ops_target_find(job, &t, &err);
    if (r == 0 && t.place.kind == PLACE_SCRATCH)
        r = -EPERM;
    if (r == 0)
        r = ops_link_store(&s, &t, &stat, &size, &err);
    ops_source_drop(job->fs, &s);
    if (r == 0) {
        ops_reply_linked(job, &t, &stat, size);
        return;
    }
    if (r != -EEXIST && r != -EXDEV)
        ops_refuse(r, "link to", job->node2->dir, job->name2, &err);
    ops_job_err(job, r);
}

void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    if (ops_is_read_only(req))
        return;
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->work,
                                  .fn = ops_link_job,
                                  .by_process = true,
                                  .ino = ino,
                                  .ino2 = new_parent,
                                  .name2 = new_name});
}
