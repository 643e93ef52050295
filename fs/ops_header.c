#include "fs/ops.h"

#include "fs/commit.h"
#include "fs/removal.h"
#include "fs/resolve.h"
#include "fs/writer.h"

#include <errno.h>
#include <fcntl.h>

/* Opening a header.json for writing. */

static void ops_header_note(void *arg, int code)
{
    *(int *)arg = code;
}

/* A writer of a header, with its text unless that is to be cut; not linked yet, for nobody shall
 * find it without. */
static int ops_header_new(struct node *n, const struct head *head, const struct place *place,
                          int flags, struct writer **ret)
{
    struct writer_start start = {.dir = n->dir,
                                 .name = "header.json",
                                 .place = place,
                                 .if_match = head->stored ? head->stat.etag : ""};
    int r = 0;
    {
        LOCK_SCOPE(&n->fs->mu);
        r = writer_new_locked(n->fs, &start, ret);
        if (r < 0)
            return r;
        (*ret)->unseen = false;
        writer_unlink_locked(*ret, false);
    }
    if (flags & O_TRUNC)
        return 0;
    stage_write((*ret)->stage, head->text.data, head->text.len, 0, false, ops_header_note, &r);
    stage_set_clean((*ret)->stage);
    return r; /* nothing loads or holds a new stage: the write is done */
}

/* Sets the writer of a header aside for the retry: the one that is there, or `made` if none is. */
static int ops_header_reserve_locked(struct node *n, const struct place *place, struct writer *made,
                                     pid_t process, pid_t tid)
{
    struct writer *w = writer_find_locked(n->dir, "header.json", place);
    if (w && w->removing)
        return WRITER_AGAIN;
    bool is_emptied = w && w->error == 0 && stage_size(w->stage) == 0; /* to be written anew */
    int r = is_emptied ? 0 : writer_make_way_locked(&w, process);
    if (r != 0)
        return r;
    if (!w && !made)
        return -ENOENT;
    if (!w)
        r = writer_move_locked(made, n->dir, "header.json", place);
    struct node *wn = r < 0 ? NULL : node_writer_locked(w ? w : made);
    if (wn)
        resolve_reserve_locked(wn, place, tid);
    return wn ? -ESTALE : -ENOMEM;
}

/* What the node shows, or what has taken its place since; a reference. */
static struct head *ops_header_current(struct node *n)
{
    LOCK_SCOPE(&n->fs->mu);
    return head_ref(n->dir->head ? n->dir->head : n->head);
}

/* WRITER_AGAIN: once more. */
static int ops_header_try(struct node *n, const struct place *place, int flags, pid_t process,
                          pid_t tid)
{
    struct writer *made = NULL;
    int r;
    CLEANUP(freep) char *key = fs_key(n->fs, n->dir->path, place->obj);
    if (!key)
        return -ENOMEM;
    if (removal_wait(n->fs, key))
        return -ESTALE; /* there is none any more, or another one */
    if (writer_wait_place(n->dir, "header.json", place)) {
        LOCK_SCOPE(&n->fs->mu);
        bool stays = n->dir->head || writer_find_locked(n->dir, "header.json", place);
        return stays ? WRITER_AGAIN : -ESTALE;
    }
    (void)commit_left_behind(n->dir, "header.json", place, process);
    {
        LOCK_SCOPE(&n->fs->mu);
        r = ops_header_reserve_locked(n, place, NULL, process, tid);
    }
    if (r != -ENOENT)
        return r;
    struct head *head = ops_header_current(n);
    r = ops_header_new(n, head, place, flags, &made);
    if (r == 0) {
        LOCK_SCOPE(&n->fs->mu);
        r = ops_header_reserve_locked(n, place, made, process, tid);
    }
    head_unref(head);
    if (made)
        writer_unref(made);
    return r;
}

int ops_header_reserve(const struct ops_job *job, struct node *n, struct err *err)
{
    struct place place;
    int r;
    {
        LOCK_SCOPE(&n->fs->mu);
        r = resolve_place_of_locked(n, &place, err);
    }
    if (r < 0)
        return r;
    do
        r = ops_header_try(n, &place, job->flags, job->process, job->tid);
    while (r == WRITER_AGAIN);
    return r;
}

void ops_header_open_job(void *arg)
{
    struct ops_job *job = arg;
    struct err err = {0};
    ops_job_err(job, ops_header_reserve(job, job->node, &err));
}
