#include "fs/ops.h"

#include "fs/handle.h"
#include "fs/resolve.h"
#include "fs/virtual.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* Look-ups and attributes. */

static void ops_reply_found(struct op *op, struct found *f)
{
    struct fuse_entry_param e;
    found_entry(f, &e);
    if (!op_take(op) || fuse_reply_entry(op_req(op), &e) < 0)
        found_drop(f);
}

static void ops_lookup_job(void *arg)
{
    struct ops_job *job = arg;
    struct found f = {0};
    struct err err = {0};
    int r = resolve_ask(job->node->dir, job->name, job->tid, &f, &err);
    if (r < 0) {
        if (r != -ENOENT)
            ops_refuse(r, "look up", job->node->dir, job->name, &err);
        ops_job_err(job, r);
        return;
    }
    ops_reply_found(job->op, &f);
    ops_job_free(job);
}

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = ops_fs(req);
    struct found f = {0};
    struct folder *d = node_of(fs, parent)->dir;
    int r = resolve_known(d, name, fuse_req_ctx(req)->pid, &f);
    if (r < 0) {
        (void)fuse_reply_err(req, fs_errno(r));
        return;
    }
    if (r > 0) {
        struct fuse_entry_param e;
        found_entry(&f, &e);
        if (fuse_reply_entry(req, &e) < 0)
            found_drop(&f);
        return;
    }
    ops_submit(&(struct ops_call){
        .req = req, .pool = fs->names, .fn = ops_lookup_job, .ino = parent, .name = name});
}

void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    node_forget(ops_fs(req), ino, count);
    fuse_reply_none(req);
}

void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        node_forget(ops_fs(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void ops_reply_attr(fuse_req_t req, fuse_ino_t ino)
{
    struct fs *fs = ops_fs(req);
    struct stat st;
    double hold = 1;
    {
        LOCK_SCOPE(&fs->mu);
        struct node *n = node_of(fs, ino);
        node_stat_locked(n, &st);
        if (n->kind == NODE_OBJECT || n->kind == NODE_HEADER)
            hold = 86400;
        else if (n->kind != NODE_DIR)
            hold = 0;
    }
    (void)fuse_reply_attr(req, &st, hold);
}

void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    ops_reply_attr(req, ino);
}

struct ops_truncate {
    struct op *op;
    fuse_ino_t ino;
};

/* What was tried with the bytes as they were says nothing of those that are there now. */
static void ops_note_change(struct fs *fs, fuse_ino_t ino)
{
    LOCK_SCOPE(&fs->mu);
    struct node *n = node_of(fs, ino);
    if (n->kind == NODE_WRITER)
        n->writer->changes++;
}

static void ops_truncated(void *arg, int code)
{
    struct ops_truncate *t = arg;
    if (op_take(t->op)) {
        ops_note_change(ops_fs(op_req(t->op)), t->ino);
        if (code < 0)
            (void)fuse_reply_err(op_req(t->op), fs_errno(code));
        else
            ops_reply_attr(op_req(t->op), t->ino);
    }
    op_free(t->op);
    free(t);
}

/* Setting the size of a file that is being written. */
static void ops_truncate(fuse_req_t req, fuse_ino_t ino, struct writer *w, off_t size)
{
    struct ops_truncate *t = malloc(sizeof(*t));
    if (!t) {
        stage_note_failure(w->stage, -ENOMEM);
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    {
        LOCK_SCOPE(&w->fs->mu);
        w->changes++;
    }
    struct stage *s = stage_ref(w->stage);
    *t = (struct ops_truncate){.op = op_try(req), .ino = ino};
    if (t->op) {
        stage_truncate(s, (uint64_t)size, ops_truncated, t);
    } else {
        stage_note_failure(s, -ENOMEM);
        free(t);
        (void)fuse_reply_err(req, ENOMEM);
    }
    stage_unref(s);
}

void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi)
{
    (void)fi;
    if (ops_is_read_only(req))
        return;
    const struct node *n = node_of(ops_fs(req), ino);
    if (!(to_set & FUSE_SET_ATTR_SIZE)) {
        /* Owner, mode and times are not stored: accepted and ignored, so that cp -p and rsync -a
         * work. */
        ops_reply_attr(req, ino);
        return;
    }
    if (n->kind == NODE_WRITER) {
        ops_truncate(req, ino, n->writer, attr->st_size);
        return;
    }
    /* truncate(2) on a name that nobody writes. A version never changes: the caller must open. */
    if (n->kind == NODE_OBJECT && (uint64_t)attr->st_size == n->size)
        ops_reply_attr(req, ino);
    else
        (void)fuse_reply_err(req, n->kind == NODE_DIR ? EISDIR : EINVAL);
}

/* The extended attributes: what a tool may want to know of a file without asking the store. */
static int ops_xattr_value(struct node *n, const char *name, struct buf *out)
{
    struct fs *fs = n->fs;
    const char *obj = n->kind == NODE_DIR ? "" : n->text;
    if (n->kind == NODE_VIRTUAL)
        return -ENODATA;
    if (strcmp(name, "user.bmfs.uri") == 0)
        return buf_printf(out, "%s/%s%s%s", store_id(fs->store), fs->conf.prefix, n->dir->path,
                          obj);
    if (strcmp(name, "user.bmfs.mismatch") == 0 && n->kind == NODE_OBJECT && n->mismatch)
        return buf_puts(out, n->mismatch);
    if (strcmp(name, "user.bmfs.etag") == 0 && n->kind == NODE_OBJECT)
        return buf_puts(out, n->etag);
    if (strcmp(name, "user.bmfs.etag") == 0 && n->kind == NODE_HEADER)
        return buf_puts(out, n->head->stat.etag);
    return -ENODATA;
}

static void ops_reply_xattr(fuse_req_t req, const struct buf *value, size_t size)
{
    if (size == 0)
        (void)fuse_reply_xattr(req, value->len);
    else if (value->len > size)
        (void)fuse_reply_err(req, ERANGE);
    else
        (void)fuse_reply_buf(req, buf_text(value), value->len);
}

/* The CRC-32C that its writer stored with a version: the store is asked, for what the cache says it
 * is must not be what the cache is held against. */
static int ops_crc(struct ops_job *job, struct buf *out, struct err *err)
{
    struct store_stat stat;
    struct node *n = job->node;
    CLEANUP(freep) char *key = fs_key(job->fs, n->dir->path, n->text);
    int r = key ? store_head(job->fs->store, key, &stat, err) : -ENOMEM;
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    if (strcmp(stat.etag, n->etag) != 0)
        return -ESTALE;
    return stat.has_crc32c ? buf_printf(out, "%08x", stat.crc32c) : -ENODATA;
}

static void ops_crc_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    CLEANUP(buf_fini) struct buf value = BUF_INIT(64);
    int r = ops_crc(job, &value, &err);
    if (r < 0) {
        ops_job_err(job, r);
        return;
    }
    if (op_take(job->op))
        ops_reply_xattr(op_req(job->op), &value, (size_t)job->number);
    ops_job_free(job);
}

void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    struct fs *fs = ops_fs(req);
    CLEANUP(buf_fini) struct buf value = BUF_INIT(8192);
    int r = -ENODATA;
    const struct node *n = node_of(fs, ino);
    if (strcmp(name, "user.bmfs.crc32c") == 0 && n->kind == NODE_OBJECT && n->view == NAME_OBJECT) {
        ops_submit(&(struct ops_call){
            .req = req, .pool = fs->names, .fn = ops_crc_job, .ino = ino, .number = (int64_t)size});
        return;
    }
    if (strncmp(name, "user.bmfs.", 10) == 0) {
        LOCK_SCOPE(&fs->mu);
        r = ops_xattr_value(node_of(fs, ino), name, &value);
    }
    if (r < 0)
        (void)fuse_reply_err(req, -r);
    else
        ops_reply_xattr(req, &value, size);
}

void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    static const char *const name[] = {"user.bmfs.uri", "user.bmfs.etag", "user.bmfs.mismatch"};
    struct fs *fs = ops_fs(req);
    CLEANUP(buf_fini) struct buf list = BUF_INIT(256);
    CLEANUP(buf_fini) struct buf value = BUF_INIT(8192);
    {
        LOCK_SCOPE(&fs->mu);
        for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
            buf_clear(&value);
            if (ops_xattr_value(node_of(fs, ino), name[i], &value) == 0)
                (void)buf_append(&list, name[i], strlen(name[i]) + 1);
        }
    }
    ops_reply_xattr(req, &list, size);
}

void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                  int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    (void)fuse_reply_err(req, EOPNOTSUPP);
}

void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    (void)name;
    (void)fuse_reply_err(req, EOPNOTSUPP);
}

void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
    /* A bucket has no size: there is always room, as far as a program may care. */
    struct statvfs fs = {
        .f_bsize = 1 << 20,
        .f_frsize = 1 << 20,
        .f_blocks = 1ULL << 40,
        .f_bfree = 1ULL << 40,
        .f_bavail = 1ULL << 40,
        .f_files = 1ULL << 40,
        .f_ffree = 1ULL << 40,
        .f_favail = 1ULL << 40,
        .f_namemax = 255,
    };
    (void)ino;
    (void)fuse_reply_statfs(req, &fs);
}
