#include "fs/ops.h"

#include "fs/handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct handle *handle_new_locked(struct node *n, enum handle_kind kind)
{
    struct handle *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->kind = kind;
    h->refs = 1;
    h->node = n;
    h->text = BUF_INIT((size_t)HEADER_BYTES_MAX * 2);
    h->extra = BUF_INIT((size_t)64 << 20);
    n->refs++;
    h->older = n->fs->handles;
    if (h->older)
        h->older->newer = h;
    n->fs->handles = h;
    return h;
}

void handle_ref(struct handle *h)
{
    LOCK_SCOPE(&h->node->fs->mu);
    h->refs++;
}

static bool handle_is_last(struct handle *h)
{
    LOCK_SCOPE(&h->node->fs->mu);
    return --h->refs == 0;
}

void handle_free(struct handle *h)
{
    if (!h || !handle_is_last(h))
        return;
    object_unref(h->source.object);
    buf_fini(&h->text);
    listing_unref(h->listing);
    head_unref(h->head);
    buf_fini(&h->extra);
    handle_free(h->again);
    {
        LOCK_SCOPE(&h->node->fs->mu);
        *(h->newer ? &h->newer->older : &h->node->fs->handles) = h->older;
        if (h->older)
            h->older->newer = h->newer;
    }
    node_unref(h->node);
    free(h);
}

void handle_free_all(struct fs *fs)
{
    for (struct handle *h = fs->handles; h; h = h->older)
        h->again = NULL; /* it is in the list, too */
    while (fs->handles)
        handle_free(fs->handles);
}

void ops_job_free(struct ops_job *job)
{
    if (job->node)
        node_unref(job->node);
    if (job->node2)
        node_unref(job->node2);
    op_free(job->op);
    free(job->name);
    free(job->name2);
    free(job);
}

void ops_refuse(int code, const char *what, struct folder *d, const char *name,
                const struct err *err)
{
    char file[NAME_FILE_SIZE];
    CLEANUP(freep) char *path = NULL;
    const char *shown = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        shown = place_file_name(folder_header_locked(d), name, file);
    }
    if (asprintf(&path, "%s%s", d->path, shown ? shown : name) < 0)
        path = NULL;
    (void)fs_refuse(code, what, path ? path : name, err);
}

void ops_job_err(struct ops_job *job, int code)
{
    if (op_take(job->op))
        (void)fuse_reply_err(op_req(job->op), fs_errno(code));
    ops_job_free(job);
}

static struct node *ops_ref(struct fs *fs, fuse_ino_t ino)
{
    if (ino == 0)
        return NULL;
    LOCK_SCOPE(&fs->mu);
    struct node *n = node_of(fs, ino);
    n->refs++;
    return n;
}

static int ops_copy(char **ret, const char *name)
{
    if (name)
        *ret = strdup(name);
    return name && !*ret ? -ENOMEM : 0;
}

void ops_submit(const struct ops_call *call)
{
    struct fs *fs = ops_fs(call->req);
    struct ops_job *job = calloc(1, sizeof(*job));
    pid_t tid = fuse_req_ctx(call->req)->pid;
    if (!job) {
        (void)fuse_reply_err(call->req, ENOMEM);
        return;
    }
    job->fs = fs;
    job->tid = tid;
    job->flags = call->flags;
    job->number = call->number;
    job->number2 = call->number2;
    job->node = ops_ref(fs, call->ino);
    job->node2 = ops_ref(fs, call->ino2);
    job->op = op_new(call->req);
    if (!job->op) {
        ops_job_free(job);
        return;
    }
    job->process = call->by_process ? writer_process(tid) : 0;
    int r = MIN(job->process, 0);
    if (r == 0)
        r = ops_copy(&job->name, call->name);
    if (r == 0)
        r = ops_copy(&job->name2, call->name2);
    if (r == 0)
        r = pool_submit(call->pool, call->fn, job);
    if (r < 0)
        ops_job_err(job, r);
}

bool ops_is_read_only(fuse_req_t req)
{
    if (!ops_fs(req)->conf.read_only)
        return false;
    (void)fuse_reply_err(req, EROFS);
    return true;
}
