#include "fs/commit_job.h"

#include "base/crc32c.h"
#include "fs/removal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int commit_look(struct commit_job *job, struct err *err)
{
    return content_look(&job->content, &job->view, &job->place, job->head, err);
}

bool commit_is_whole(const struct commit_job *job)
{
    return job->content.state == CONTENT_WHOLE || job->content.state == CONTENT_HOLES;
}

/* Whether blocks stand in the way of a header: counts those that it would not describe. */
struct commit_blocks {
    const struct header *header;
    size_t skip;
    int64_t blocks, misfits;
};

static int commit_see_block(void *arg, const char *key, const struct store_stat *stat)
{
    struct commit_blocks *b = arg;
    struct name_axis axis[GRID_NDIM_MAX];
    char file[NAME_FILE_SIZE];
    int ndim = 0;
    if (!stat || name_object_parse(key + b->skip, axis, &ndim) < 0)
        return 0;
    b->blocks++;
    b->misfits += place_file_name(b->header, key + b->skip, file) != file;
    return b->misfits > 0;
}

/* A header may change as long as it fits the blocks that are there. */
static int commit_check_blocks(struct commit_job *job, struct err *err)
{
    bool stored = job->head && job->head->stored && !job->head->bad;
    if (stored && header_equal(&job->head->header, &job->content.header))
        return 0;
    CLEANUP(freep) char *prefix = fs_key(job->w->fs, job->dir->path, "");
    if (!prefix)
        return -ENOMEM;
    struct commit_blocks b = {.header = &job->content.header, .skip = strlen(prefix)};
    struct store_list list = {.prefix = prefix, .delimiter = '/'};
    int r = store_list(job->w->fs->store, &list, commit_see_block, &b, err);
    if (r < 0)
        return r;
    if (stored && b.blocks > 0)
        r = err_set(err, -EPERM, "shape, shard_sizes and dtype are fixed once blocks exist");
    else if (b.misfits > 0)
        r = err_set(err, -EPERM, "blocks are there that do not fit this header");
    else
        return 0;
    err_hint(err, "remove the blocks first (bm free), or make another matrix");
    return r;
}

int commit_check_header(struct commit_job *job, struct err *err)
{
    int r = commit_check_blocks(job, err);
    if (r == 0)
        r = early_check(job->dir, &job->content.header, err);
    job->early = MAX(r, 0);
    return MIN(r, 0);
}

/* Keeps what was just stored as a version of the cache, so that the next reader finds it there. Not
 * the file of bytes that have yet to be stored elsewhere: its journal would explain nothing. */
static void commit_adopt(struct commit_job *job, const struct store_stat *stat, uint32_t crc)
{
    struct fs *fs = job->w->fs;
    struct cache_file *file = stage_file(job->w->stage);
    if (fs->local || job->stays || job->content.prefix.len > 0 || job->view.fd < 0 || file->fd < 0)
        return;
    objects_adopt(fs->objects, job->key, stat, crc, file);
    if (!file->name[0])
        stage_set_frozen(job->w->stage);
}

/* Tells the directory what has changed. That cannot fail, for it is stored: a header that does not
 * fit into memory is asked for again. */
static void commit_announce(struct commit_job *job, const struct store_stat *stat)
{
    struct head *head = NULL;
    bool is_header = job->place.kind == PLACE_HEADER;
    if (is_header &&
        head_new(stat, buf_text(&job->content.prefix), job->content.prefix.len, &head) == 0) {
        folder_set_head(job->dir, head);
        head_unref(head);
    }
    objects_note_latest(job->w->fs->objects, job->key, stat);
    LOCK_SCOPE(&job->w->fs->mu);
    if (is_header && !head) {
        job->dir->head_ms = 0;
        job->dir->head_sets++; /* what is learnt now is older */
    }
    folder_changed_locked(job->dir, job->place.obj);
    folder_seen_locked(job->dir);
}

/* One request with the held bytes. */
static int commit_send(struct commit_job *job, struct store_stat *ret_stat, struct err *err)
{
    uint64_t len = job->content.prefix_only ? 0 : job->view.size;
    uint32_t crc = crc32c(0, job->content.prefix.data, job->content.prefix.len);
    int r = len > 0 ? crc32c_fd(job->view.fd, 0, len, crc, &crc) : 0;
    if (r < 0)
        return err_errno(err, r, "cannot read the written bytes");
    struct store_body body = {.head = job->content.prefix.data,
                              .head_len = job->content.prefix.len,
                              .fd = len > 0 ? job->view.fd : -1,
                              .len = len};
    struct store_put put = {.if_match = job->if_any ? NULL : job->if_match,
                            .write_id = job->write_id,
                            .has_crc32c = true,
                            .crc32c = crc};
    (void)removal_wait(job->w->fs, job->key);
    r = store_put(job->w->fs->store, job->key, &body, &put, ret_stat, err);
    if (r == -EEXIST && job->or_same &&
        early_is_there(job->w->fs, job->key, job->content.prefix.len + len, crc, ret_stat)) {
        err_clear(err);
        r = 0;
    }
    ret_stat->has_crc32c = true;
    ret_stat->crc32c = crc;
    return r;
}

int commit_sign(struct commit_job *job)
{
    LOCK_SCOPE(&job->w->fs->mu);
    return writer_describe_locked(job->w, job->write_id);
}

/* The directory has a header after all: the held bytes, stored as a file of the version `early`,
 * belong under the key of a block, and are stored there. */
static int commit_redirect(struct commit_job *job, const struct store_stat *early,
                           struct store_stat *ret_stat, struct err *err)
{
    struct writer *w = job->w;
    struct place to;
    int r;
    CLEANUP(freep) char *name = strdup(job->place.obj);
    if (!name)
        return -ENOMEM;
    {
        LOCK_SCOPE(&w->fs->mu);
        r = place_find(folder_header_locked(job->dir), name, true, &to, err);
        if (r == 0 && to.kind == PLACE_PLAIN)
            return 0; /* the header has gone again */
        if (r == 0 && to.kind != PLACE_BLOCK)
            r = err_set(err, -EINVAL, "not the name of a block");
        if (r == 0 && job->own) {
            w->if_match[0] = '\0'; /* of the file; the block is to come to be */
            r = writer_move_locked(w, job->dir, name, &to);
        }
        if (r == 0) {
            job->place = to;
            head_unref(TAKE(job->head));
            job->head = head_ref(job->dir->head);
        }
    }
    if (r == 0)
        r = commit_look(job, err);
    if (r == 0 && !commit_is_whole(job))
        r = err_set(err, -EINVAL, "not a whole block");
    if (r < 0) {
        (void)early_remove(job->dir, name, early->etag, NULL); /* no block: its writer is told */
        return r;
    }
    bool made = !job->if_any && !job->if_match[0]; /* nothing was there before */
    free(job->key);
    job->key = fs_key(w->fs, job->dir->path, job->place.obj);
    job->if_any = false;
    job->if_match[0] = '\0';
    job->or_same = true; /* who stored the header may have been faster */
    if (job->key && job->own)
        r = commit_sign(job);
    if (job->key && r == 0)
        r = commit_send(job, ret_stat, err);
    /* What is stored there is a copy that nobody sees, and what was refused must not come later.
     * What took the place of an acknowledged file stays. */
    bool drop = r == 0 || r == -EEXIST || made;
    if (!drop || early_remove(job->dir, name, early->etag, NULL) < 0)
        (void)early_note(job->dir, job->note, NULL);
    return job->key ? r : -ENOMEM;
}

int commit_put(struct commit_job *job, struct store_stat *ret_stat, struct err *err)
{
    /* A new header has a note also when no block is there: one may come before the header does. */
    bool fresh = job->place.kind == PLACE_HEADER && !(job->head && job->head->stored);
    bool note = job->early > 0 || (fresh && !job->w->fs->conf.no_delete);
    int r = note ? early_note(job->dir, job->note, err) : 0;
    if (r == 0)
        r = commit_send(job, ret_stat, err);
    if (r != 0)
        return r;
    int late = early_is_late(job->dir, &job->place, err);
    if (late < 0)
        objects_note_latest(job->w->fs->objects, job->key, ret_stat);
    if (late < 0 && job->own) {
        LOCK_SCOPE(&job->w->fs->mu); /* the next try replaces what this one has stored */
        (void)snprintf(job->w->if_match, sizeof(job->w->if_match), "%s", ret_stat->etag);
    }
    if (late > 0) {
        struct store_stat early = *ret_stat;
        late = commit_redirect(job, &early, ret_stat, err);
    }
    if (late < 0)
        return late;
    commit_adopt(job, ret_stat, ret_stat->crc32c);
    commit_announce(job, ret_stat);
    return 0;
}
