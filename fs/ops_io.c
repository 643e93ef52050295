#include "fs/ops.h"

#include "base/log.h"
#include "fs/commit.h"
#include "fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes in and out of open files. */

/* Answers a read; `arg` is its op. */
static void ops_read_done(void *arg, int code, const void *data, size_t len)
{
    struct op *op = arg;
    if (op_take(op)) {
        if (code < 0) /* damaged bytes are the store's fault, not a message's */
            (void)fuse_reply_err(op_req(op), code == -EBADMSG ? EIO : fs_errno(code));
        else
            (void)fuse_reply_buf(op_req(op), data, len);
    }
    op_free(op);
}

/* Answers from a copy: the reader has its bytes, and may have closed the file, before the write of
 * the answer returns. */
static void ops_read_text(const struct handle *h, fuse_req_t req, size_t size, uint64_t at)
{
    CLEANUP(freep) char *copy = NULL;
    at = MIN(at, (uint64_t)h->text.len);
    size = MIN(size, h->text.len - (size_t)at);
    copy = malloc(size + 1);
    if (!copy) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    memcpy(copy, buf_text(&h->text) + at, size);
    (void)fuse_reply_buf(req, copy, size);
}

static void ops_read_stage(fuse_req_t req, struct stage *borrowed, size_t size, uint64_t at)
{
    struct stage *s = stage_ref(borrowed);
    struct op *op = op_new(req);
    if (op)
        stage_read(s, at, size, ops_read_done, op);
    stage_unref(s);
}

static void ops_read_source(fuse_req_t req, const struct view_source *s, size_t size, uint64_t at)
{
    struct object *o = s->object;
    uint64_t off = s->off + MIN(at, s->size);
    size = (size_t)MIN((uint64_t)size, s->off + s->size - off);
    object_ref(o);
    struct op *op = op_new(req);
    if (op)
        object_read(o, off, size, ops_read_done, op);
    object_unref(o);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    uint64_t at = (uint64_t)off;
    (void)ino;
    if (atomic_load(&h->drops))
        ops_pages_dropped(h);
    if (h->kind == HANDLE_TEXT) {
        ops_read_text(h, req, size, at);
        return;
    }
    if (h->kind == HANDLE_WRITER)
        ops_read_stage(req, h->writer->stage, size, at);
    else
        ops_read_source(req, &h->source, size, at);
}

struct ops_write {
    struct op *op;
    struct writer *w; /* a reference */
    size_t size;
    uint64_t owner;
    bool mapped;
};

static void ops_write_note_locked(struct ops_write *w)
{
    if (!w->mapped && w->owner != 0) /* what came through the page cache names nobody */
        writer_note_owner_locked(w->w, w->owner);
}

static void ops_write_begin(struct ops_write *w)
{
    LOCK_SCOPE(&w->w->fs->mu);
    writer_ref_locked(w->w);
    ops_write_note_locked(w);
}

/* The owner is noted again once the bytes are there: a commit under way that they waited for has
 * forgotten all owners by then. */
static void ops_write_end(struct ops_write *w)
{
    struct fs *fs = w->w->fs;
    LOCK_SCOPE(&fs->mu);
    ops_write_note_locked(w);
    writer_unref_locked(w->w);
}

static void ops_written(void *arg, int code)
{
    struct ops_write *w = arg;
    ops_write_end(w);
    if (op_take(w->op)) {
        if (code < 0)
            (void)fuse_reply_err(op_req(w->op), fs_errno(code));
        else
            (void)fuse_reply_write(op_req(w->op), w->size);
    }
    op_free(w->op);
    free(w);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
               struct fuse_file_info *fi)
{
    struct fs *fs = ops_fs(req);
    struct node *n = node_of(fs, ino);
    if (n->kind != NODE_WRITER) {
        (void)fuse_reply_err(req, EBADF);
        return;
    }
    /* By the node, not by fi->fh: what comes from a mapping may carry another file's handle. */
    struct ops_write *job = malloc(sizeof(*job));
    if (!job) {
        stage_note_failure(n->writer->stage, -ENOMEM);
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    *job = (struct ops_write){
        .w = n->writer, .size = size, .owner = fi->lock_owner, .mapped = fi->writepage};
    struct stage *s = stage_ref(job->w->stage);
    ops_write_begin(job);
    job->op = op_try(req);
    if (job->op) {
        stage_write(s, data, size, (uint64_t)off, job->mapped, ops_written, job);
    } else {
        stage_note_failure(s, -ENOMEM);
        ops_write_end(job);
        free(job);
        (void)fuse_reply_err(req, ENOMEM);
    }
    stage_unref(s);
}

static void ops_commit_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    int r = commit(job->node->writer, (enum commit_cause)job->number, &err);
    ops_job_err(job, MIN(r, 0));
}

/* `ino` is of a writer's node, which holds the writer whatever becomes of the handle. */
static void ops_submit_commit(fuse_req_t req, fuse_ino_t ino, enum commit_cause cause)
{
    ops_submit(&(struct ops_call){.req = req,
                                  .pool = ops_fs(req)->work,
                                  .fn = ops_commit_job,
                                  .ino = ino,
                                  .number = (int64_t)cause});
}

/* Whether a close by this process may store the file: it wrote to it, or it opened it and changed
 * it by truncation or through a mapping, whose writes bear no name. A child that merely inherited
 * the descriptor may not: its parent may be in the middle of an update. 1, 0 or -errno. */
static int ops_may_store(struct fs *fs, const struct handle *h, uint64_t owner, pid_t tid)
{
    bool nameless;
    {
        LOCK_SCOPE(&fs->mu);
        if (writer_has_owner_locked(h->writer, owner))
            return 1;
        nameless = h->writer->owners == 0;
    }
    if (!nameless && !stage_is_mapped_dirty(h->writer->stage))
        return 0;
    pid_t process = writer_process(tid);
    return process < 0 ? process : process == h->process;
}

/* Whether there is something to store, or to tell: a write that has failed. */
static bool ops_has_news(struct writer *w)
{
    return stage_is_dirty(w->stage) || stage_error(w->stage) < 0;
}

/* See resolve_settle(). */
static void ops_note_flush(struct fs *fs, struct writer *w)
{
    LOCK_SCOPE(&fs->mu);
    w->flushed_ms = clock_ms();
}

void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    if (h->kind == HANDLE_WRITER && h->writes)
        ops_note_flush(ops_fs(req), h->writer);
    int r = 0;
    if (h->kind == HANDLE_WRITER && h->writes && ops_has_news(h->writer))
        r = ops_may_store(ops_fs(req), h, fi->lock_owner, fuse_req_ctx(req)->pid);
    if (r > 0)
        ops_submit_commit(req, ino, COMMIT_FLUSH);
    else
        (void)fuse_reply_err(req, fs_errno(r));
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)datasync;
    if (h->kind == HANDLE_WRITER && ops_has_news(h->writer))
        ops_submit_commit(req, ino, COMMIT_SYNC);
    else
        (void)fuse_reply_err(req, 0);
}

static void ops_allocated(void *arg, int code)
{
    op_reply_err(arg, code < 0 ? fs_errno(code) : 0);
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                   struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    (void)ino;
    if (h->kind != HANDLE_WRITER || (mode & ~FALLOC_FL_KEEP_SIZE) != 0) {
        (void)fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    struct stage *s = stage_ref(h->writer->stage);
    struct op *op = op_new(req);
    if (op)
        stage_allocate(s, (uint64_t)off, (uint64_t)len, !(mode & FALLOC_FL_KEEP_SIZE),
                       ops_allocated, op);
    stage_unref(s);
}

/* Files have no holes that anybody could see. */
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
    const struct handle *h = handle_of(fi);
    off_t size = 0;
    (void)ino;
    if (h->kind == HANDLE_WRITER)
        size = (off_t)stage_size(h->writer->stage);
    else if (h->kind == HANDLE_SOURCE)
        size = (off_t)h->source.size;
    else
        size = (off_t)h->text.len;
    if (off < 0 || off >= size)
        (void)fuse_reply_err(req, ENXIO);
    else
        (void)fuse_reply_lseek(req, whence == SEEK_DATA ? off : size);
}

/* Not ENOSYS: the kernel would never ask again, for any file. It copies itself after this. */
// NOLINTNEXTLINE(readability-function-size): the signature is libfuse's
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
                         struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
                         struct fuse_file_info *to_fi, size_t len, int flags)
{
    (void)from;
    (void)from_off;
    (void)from_fi;
    (void)to;
    (void)to_off;
    (void)to_fi;
    (void)len;
    (void)flags;
    (void)fuse_reply_err(req, EOPNOTSUPP);
}

// NOLINTNEXTLINE(readability-function-size): the signature is libfuse's
void ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
               struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
               size_t out_size)
{
    (void)ino;
    (void)cmd;
    (void)arg;
    (void)fi;
    (void)flags;
    (void)in;
    (void)in_size;
    (void)out_size;
    (void)fuse_reply_err(req, ENOTTY);
}
