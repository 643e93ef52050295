#include "fs/commit.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "fs/commit_job.h"
#include "fs/lost.h"
#include "fs/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void commit_job_fini(struct commit_job *job)
{
    content_fini(&job->content);
    head_unref(job->head);
    folder_unref(job->dir);
    free(job->key);
}

/* Where the bytes belong. */
static int commit_find(struct commit_job *job, const struct commit_target *to)
{
    struct writer *w = job->w;
    {
        LOCK_SCOPE(&w->fs->mu);
        const char *if_match = to ? to->if_match : w->if_match;
        job->dir = folder_ref_locked(to ? to->dir : w->dir);
        job->place = to ? *to->place : w->place;
        job->head = head_ref(job->dir->head);
        job->if_any = !if_match;
        job->or_same = to && to->or_same;
        (void)snprintf(job->if_match, sizeof(job->if_match), "%s", if_match ? if_match : "");
    }
    job->key = fs_key(w->fs, job->dir->path, job->place.obj);
    return job->key ? random_hex(job->write_id, sizeof(job->write_id)) : -ENOMEM;
}

/* Holds the bytes and finds out where they belong: in this order, for the commit or rename that
 * held them before may have changed that. `to`: NULL for the writer's own name. After an error
 * nothing is held. */
static int commit_begin(struct commit_job *job, struct writer *w, const struct commit_target *to)
{
    struct stage_view view;
    *job = (struct commit_job){.w = w, .own = !to};
    content_init(&job->content);
    int r = stage_hold(w->stage, &view);
    if (r < 0)
        return r;
    job->view = view;
    r = commit_find(job, to);
    if (r < 0)
        stage_settle(w->stage, false);
    return r;
}

/* The same for its own name, but not while that is being removed: whoever does that waits until
 * nobody holds the bytes, and who waits for it must not hold them. */
static int commit_begin_own(struct commit_job *job, struct writer *w)
{
    for (;;) {
        writer_wait_removed(w);
        int r = commit_begin(job, w, NULL);
        if (r < 0)
            return r;
        {
            LOCK_SCOPE(&w->fs->mu);
            if (!w->removing)
                return 0;
        }
        stage_settle(w->stage, false);
        commit_job_fini(job);
    }
}

/* What the table in commit.h says: 1 store, 0 nothing to do now, COMMIT_WAITS, or the error. */
enum { COMMIT_STORE = 2 };

static int commit_decide(struct commit_job *job, enum commit_cause cause, struct err *err)
{
    int r = commit_look(job, err);
    switch (job->content.state) {
    case CONTENT_WHOLE:
        r = job->place.kind == PLACE_HEADER ? commit_check_header(job, err) : 0;
        return r < 0 ? r : COMMIT_STORE;
    case CONTENT_HOLES:
        return cause == COMMIT_FLUSH ? COMMIT_WAITS : COMMIT_STORE;
    case CONTENT_EMPTY:
    case CONTENT_PARTIAL:
        if (job->place.kind == PLACE_PLAIN && cause != COMMIT_FLUSH)
            return COMMIT_STORE; /* an empty file is a file, but a shell's first flush is none */
        if (cause == COMMIT_SYNC)
            return err_set(err, -EINVAL, "not a whole file yet");
        return COMMIT_WAITS;
    case CONTENT_WRONG:
        break;
    }
    return r;
}

static bool commit_is_conflict(int code)
{
    return code == -EEXIST || code == -ESTALE;
}

/* Whether what is there is what this writer has stored itself, with a try of which nobody could say
 * what became of it: 1, and that is then what is to be replaced; 0; or what the store says. */
static int commit_is_ours(struct commit_job *job, struct err *err)
{
    struct store_stat stat;
    struct err why = {0};
    struct writer *w = job->w;
    {
        LOCK_SCOPE(&w->fs->mu);
        if (!writer_has_undecided_locked(w, NULL))
            return 0;
    }
    int r = store_head(w->fs->store, job->key, &stat, &why);
    if (r < 0 && r != -ENOENT) {
        *err = why;
        return r;
    }
    LOCK_SCOPE(&w->fs->mu);
    if (r < 0 || !writer_has_undecided_locked(w, stat.write_id))
        return 0;
    (void)snprintf(w->if_match, sizeof(w->if_match), "%s", stat.etag);
    (void)snprintf(job->if_match, sizeof(job->if_match), "%s", stat.etag);
    w->unseen = false;
    return 1;
}

static int commit_put_signed(struct commit_job *job, struct store_stat *ret_stat, struct err *err)
{
    int r = random_hex(job->write_id, sizeof(job->write_id));
    if (r == 0)
        r = commit_sign(job);
    {
        LOCK_SCOPE(&job->w->fs->mu);
        memcpy(job->w->sending_id, job->write_id, sizeof(job->write_id));
    }
    return r < 0 ? r : commit_put(job, ret_stat, err);
}

/* Stores the held bytes under the writer's own name. An earlier try may have taken effect, or may
 * only now do so. */
static int commit_put_own(struct commit_job *job, struct store_stat *ret_stat, struct err *err)
{
    struct writer *w = job->w;
    int ours = commit_is_ours(job, err);
    if (ours < 0)
        return ours;
    int r = commit_put_signed(job, ret_stat, err);
    if (commit_is_conflict(r) && ours == 0) {
        struct err why = {0};
        ours = commit_is_ours(job, &why);
        if (ours < 0)
            *err = why;
        if (ours > 0)
            err_clear(err);
        if (ours != 0)
            r = ours < 0 ? ours : commit_put_signed(job, ret_stat, err);
    }
    if (r < 0 && !commit_is_conflict(r)) {
        LOCK_SCOPE(&w->fs->mu);
        writer_note_undecided_locked(w, job->write_id);
    }
    return r;
}

/* A conflict as the writer's program shall see it. */
static int commit_conflict(struct writer *w, int code, struct err *err)
{
    if (!commit_is_conflict(code))
        return code;
    LOCK_SCOPE(&w->fs->mu);
    w->error = w->exclusive ? -EEXIST : -ESTALE;
    return err_prefix(err, w->error, "somebody else has written it meanwhile");
}

static void commit_done_locked(struct commit_job *job, const struct store_stat *stat,
                               const char *write_id)
{
    struct writer *w = job->w;
    if (w->place.kind == job->place.kind || !job->own) /* else it was moved meanwhile: fs/early.h */
        (void)snprintf(w->if_match, sizeof(w->if_match), "%s", stat->etag);
    w->unseen = false;
    w->exclusive = false;
    w->owners = 0;
    w->undecided = 0;
    w->error = 0;
    w->said = 0;
    (void)writer_describe_locked(w, write_id); /* needs no memory the second time */
}

static bool commit_is_open(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return w->handles > 0;
}

static bool commit_has_cause(struct writer *w, int *ret_error)
{
    LOCK_SCOPE(&w->fs->mu);
    *ret_error = w->error;
    return !w->dropped && w->place.kind != PLACE_SCRATCH &&
           (stage_is_dirty(w->stage) || stage_error(w->stage) < 0);
}

static int commit_lost(int error, struct err *err)
{
    return err_set(err, error, "somebody else has written it meanwhile");
}

/* After a write that failed the bytes are not what their writer meant. */
static int commit_check_writes(struct writer *w, struct err *err)
{
    int r = stage_error(w->stage);
    return r < 0 ? err_errno(err, r, "a write to it has failed") : 0;
}

/* Whether nobody else can have written to it than the one who asks. */
static bool commit_is_one_writers(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return w->handles == 1 && w->owners <= 1 && w->processes <= 1;
}

/* The attempt itself, with the bytes held. */
static int commit_held(struct commit_job *job, enum commit_cause cause, struct err *err)
{
    struct store_stat stat = {0};
    int error = 0;
    if (!commit_has_cause(job->w, &error))
        return 0; /* another flush was faster, or it was unlinked meanwhile */
    if (error < 0)
        return commit_lost(error, err);
    if (cause == COMMIT_CLOSE && commit_is_open(job->w))
        return COMMIT_WAITS; /* opened again: it was not the last one */
    int r = commit_check_writes(job->w, err);
    if (r < 0)
        return r;
    r = commit_decide(job, cause, err);
    if (r != COMMIT_STORE)
        return r;
    r = commit_put_own(job, &stat, err);
    if (r < 0)
        r = commit_conflict(job->w, r, err);
    LOCK_SCOPE(&job->w->fs->mu);
    job->w->sending_id[0] = '\0';
    if (r < 0)
        return r;
    commit_done_locked(job, &stat, job->write_id);
    return COMMIT_STORE;
}

/* Puts the blocks that came before the header in their places. Where that is not known, though it
 * was stored, it is asked for. */
static int commit_settle(struct commit_job *job, struct err *err)
{
    bool known = false;
    {
        LOCK_SCOPE(&job->w->fs->mu);
        known = job->dir->head_ms > 0;
    }
    int r = known ? 0 : folder_load(job->dir, FOLDER_ANEW, err);
    return r < 0 ? r : early_settle(job->dir, err);
}

/* After a header has been stored, or has not. */
static int commit_follow_up(struct commit_job *job, bool stored, int code, struct err *err)
{
    if (job->place.kind != PLACE_HEADER)
        return 0;
    int r = stored ? commit_settle(job, err) : 0;
    bool refused = code == -EEXIST || code == -ESTALE; /* after any other failure it may be there */
    if (r == 0 && (stored || refused))
        early_forget(job->dir, job->note);
    return r < 0 ? err_prefix(err, r, "stored, but a block that came before it is not in its place")
                 : 0;
}

/* The file as its user knows it; the caller's, or NULL. */
static char *commit_name(struct writer *w)
{
    char *name = NULL;
    LOCK_SCOPE(&w->fs->mu);
    return asprintf(&name, "%s%s", w->dir->path, w->name) < 0 ? NULL : name;
}

/* Says why bytes were not stored: once, though a close of each copy of the descriptor and the last
 * one of all meet it again. */
static void commit_refuse(struct writer *w, int code, const struct err *err)
{
    CLEANUP(freep) char *name = commit_name(w);
    {
        LOCK_SCOPE(&w->fs->mu);
        uint32_t reason = crc32c(0, err->msg, strlen(err->msg));
        bool said = w->said == reason;
        w->said = reason;
        if (said)
            return;
    }
    (void)fs_refuse(code, "store", name ? name : "a file", err);
}

/* For bmfs -d. */
static void commit_say_decision(const struct commit_job *job, enum commit_cause cause, int code)
{
    static const char *const event[] = {"flush", "sync", "last close", "unmount"};
    const char *what = "not stored";
    if (code == COMMIT_STORE)
        what = "stored";
    else if (code == COMMIT_WAITS)
        what = "not whole yet";
    else if (code == 0)
        what = "nothing new";
    log_debug("write", "%s: %s: %s bytes=%llu every_byte_written=%d", job->key, event[cause], what,
              (unsigned long long)job->view.size, job->view.whole);
}

int commit(struct writer *w, enum commit_cause cause, struct err *err)
{
    int error = 0;
    struct commit_job job;
    writer_wait_removed(w);
    if (!commit_has_cause(w, &error))
        return 0;
    if (error < 0)
        return commit_lost(error, err);
    int r = commit_check_writes(w, err);
    if (r < 0) {
        commit_refuse(w, r, err);
        if ((cause == COMMIT_FLUSH || cause == COMMIT_SYNC) && commit_is_one_writers(w))
            stage_forgive(w->stage); /* who has been told */
        return r;
    }
    r = commit_begin_own(&job, w);
    if (r == 0) {
        r = commit_held(&job, cause, err);
        stage_settle(w->stage, r == COMMIT_STORE);
        commit_say_decision(&job, cause, r);
        int followed = commit_follow_up(&job, r == COMMIT_STORE, r, err);
        r = r == COMMIT_STORE ? followed : r;
    }
    if (r < 0)
        commit_refuse(w, r, err);
    commit_job_fini(&job);
    return r;
}

/* The stored bytes are those of the new name, and the writer is its. */
static int commit_rename(struct commit_job *job, const struct commit_target *to,
                         const struct store_stat *stat)
{
    struct writer *w = job->w;
    LOCK_SCOPE(&w->fs->mu);
    struct writer *old = writer_find_locked(to->dir, to->name, &job->place);
    if (old && old != w) {
        writer_ref_locked(old);
        writer_unlink_locked(old, false); /* its own store, if any, will meet the new version */
        if (old->handles == 0)
            writer_linger_locked(old, false); /* nobody can come back for it */
        writer_unref_locked(old);
    }
    commit_done_locked(job, stat, "");
    int r = writer_move_locked(w, to->dir, to->name, &job->place);
    if (r == 0 && w->handles > 0)
        writer_linger_locked(w, false); /* it was a scratch file; the caller has a reference */
    return r;
}

static bool commit_is_scratch(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return w->place.kind == PLACE_SCRATCH;
}

/* Its own name has the bytes by now: who moves it comes again, to move an object. */
static bool commit_is_stored(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return w->place.kind != PLACE_SCRATCH && !w->unseen;
}

static int commit_elsewhere(struct writer *w, const struct commit_target *to, bool move,
                            struct store_stat *ret_stat, struct err *err)
{
    struct commit_job job;
    int r = commit_begin(&job, w, to);
    if (r == 0) {
        job.stays = !move && !commit_is_scratch(w) && stage_is_dirty(w->stage);
        r = move && commit_is_stored(w) ? -ESTALE : commit_check_writes(w, err);
        if (r == 0)
            r = commit_decide(&job, COMMIT_SYNC, err);
        if (r == COMMIT_STORE)
            r = commit_put(&job, ret_stat, err);
        if (to->ret_size)
            *to->ret_size = job.view.size;
        if (r == 0 && move)
            r = commit_rename(&job, to, ret_stat);
        stage_settle(w->stage, r == 0 && (move || commit_is_scratch(w)));
        int followed = commit_follow_up(&job, r == 0, r, err);
        if (followed == -EEXIST || followed == -ESTALE)
            followed = -EPERM; /* of a link or rename these say that nothing was stored */
        r = r == 0 ? followed : r;
    }
    commit_job_fini(&job);
    return r;
}

int commit_to(struct writer *w, const struct commit_target *to, struct store_stat *ret_stat,
              struct err *err)
{
    return commit_elsewhere(w, to, false, ret_stat, err);
}

int commit_move(struct writer *w, const struct commit_target *to, struct store_stat *ret_stat,
                struct err *err)
{
    return commit_elsewhere(w, to, true, ret_stat, err);
}

/* Moves held bytes to the recovery folder. 0 or -errno with the bytes where they were. */
static int commit_keep_held(struct commit_job *job, const char *reason, char *ret_name, size_t size,
                            struct err *err)
{
    struct stage *s = job->w->stage;
    int r = commit_look(job, err); /* prepares the prefix */
    if (r < 0 && r != -EINVAL)
        return r; /* it cannot be told what the bytes are: whoever salvages them looks again */
    char write_id[STORE_WRITE_ID_SIZE];
    stage_write_id(s, write_id);
    struct lost_note note = {.store_id = store_id(job->w->fs->store),
                             .key = job->key,
                             .if_match = job->if_match,
                             .write_id = write_id,
                             .reason = reason,
                             .head = job->content.prefix.data,
                             .head_len = job->content.prefix.len,
                             .incomplete = !commit_is_whole(job)};
    job->incomplete = note.incomplete;
    struct cache_file none = {.fd = -1};
    struct cache_file *file = job->content.prefix_only && !note.incomplete ? &none : stage_file(s);
    r = lost_keep(job->w->fs->cache, file, &note, ret_name, size, err);
    if (r == 0 && !stage_file(s)->name[0])
        stage_set_frozen(s); /* it lies there now: who goes on writing gets a copy */
    return r;
}

static void commit_say_kept(const struct commit_job *job, const char *file, const char *lost)
{
    const char *dir = cache_dir(job->w->fs->cache);
    if (job->incomplete)
        log_warn("write",
                 "%s: what was written is kept, not a whole file; bm recover export %s FILE "
                 "--cache-dir %s",
                 file, lost, dir);
    else
        log_warn("write", "%s: the bytes are kept; bm recover retry %s --cache-dir %s", file, lost,
                 dir);
}

/* Whether held bytes are nowhere else: another thread may have finished the same writer, the job of
 * the last close beside the unmount. */
static bool commit_is_unsaved(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return !w->dropped && stage_is_dirty(w->stage);
}

/* Moves bytes that could not be stored to where they can be found again. What cannot be moved stays
 * in the mount's folder; in either case nothing is left to be kept a second time. */
static void commit_keep(struct writer *w, const char *reason, bool unmounting)
{
    CLEANUP(freep) char *file = commit_name(w);
    struct commit_job job;
    struct err err = {0};
    char name[LOST_NAME_SIZE] = "";
    if (!commit_is_unsaved(w))
        return;
    int r = commit_begin(&job, w, NULL);
    bool held = r == 0;
    bool reopened = !unmounting && commit_is_open(w); /* whoever has it will be told at close */
    bool unsaved = !reopened && commit_is_unsaved(w);
    if (!unsaved)
        r = 0;
    else if (held)
        r = commit_keep_held(&job, reason, name, sizeof(name), &err);
    if (r < 0)
        stage_abandon(w->stage);
    if (held)
        stage_settle(w->stage, unsaved);
    if (r < 0)
        log_error("write", "%s: %s; the bytes stay in %s/mounts till the next mount",
                  file ? file : "a file", err.msg[0] ? err.msg : errno_text(r),
                  cache_dir(w->fs->cache));
    else if (unsaved)
        commit_say_kept(&job, file ? file : "a file", name);
    commit_job_fini(&job);
}

static void commit_say_dropped(struct writer *w, const char *why)
{
    if (stage_is_dirty(w->stage) && stage_size(w->stage) > 0)
        log_warn("write", "%s%s: dropped: %s (%llu bytes)", w->dir->path, w->name, why,
                 (unsigned long long)stage_size(w->stage));
}

/* Lets a writer go that had nothing more to store after so many changes. */
static void commit_retire(struct writer *w, unsigned changes)
{
    {
        LOCK_SCOPE(&w->fs->mu);
        if (w->handles > 0)
            return;                  /* opened again meanwhile */
        if (w->changes != changes) { /* and closed: another last close is to come, or the unmount */
            if (!w->dropped)         /* else that one has let it go already */
                writer_linger_locked(w, true);
            return;
        }
        writer_unlink_locked(w, true);
    }
    stage_retire(w->stage);
    LOCK_SCOPE(&w->fs->mu);
    writer_linger_locked(w, false);
}

/* Whether bytes that commit() refused with `code` are worth keeping: there are any; not those of a
 * file of which a write failed, for its writer knows that they are not what it meant and a full
 * disk needs the room; and neither a block nor a header that can never be stored, as close has
 * said. */
static bool commit_is_worth_keeping(struct writer *w, int code)
{
    if (stage_error(w->stage) < 0 || stage_size(w->stage) == 0)
        return false;
    LOCK_SCOPE(&w->fs->mu);
    return code != -EINVAL && !(code == -EPERM && w->place.kind == PLACE_HEADER);
}

/* As the last close does, but leaves what cannot be stored to that. */
static void commit_try(struct writer *w)
{
    struct err err = {0};
    unsigned changes;
    {
        LOCK_SCOPE(&w->fs->mu);
        changes = w->changes;
    }
    int r = commit(w, COMMIT_CLOSE, &err); /* says what failed */
    bool in_vain = r < 0 && commit_is_worth_keeping(w, r);
    LOCK_SCOPE(&w->fs->mu);
    if (w->changes != changes || w->handles > 0)
        return; /* opened again meanwhile */
    w->tried = changes;
    w->in_vain = in_vain && !(r == -EBADMSG && w->lingers); /* what waits was never whole */
}

bool commit_left_behind(struct folder *d, const char *name, const struct place *place,
                        pid_t process)
{
    struct writer *w = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        w = writer_find_locked(d, name, place);
        if (!w || !writer_is_abandoned_locked(w, process))
            return false;
        writer_ref_locked(w);
    }
    commit_try(w);
    writer_unref(w);
    return true;
}

void commit_all_left_behind(struct folder *d, pid_t process)
{
    for (;;) {
        struct writer *w = NULL;
        {
            LOCK_SCOPE(&d->fs->mu);
            w = writer_untried_locked(d, process);
        }
        if (!w)
            return;
        commit_try(w);
        writer_unref(w);
    }
}

/* Bytes that may still become whole wait for whoever completes them. False: nobody can any more. */
static bool commit_waits(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    if (w->dropped)
        return false;
    if (w->handles == 0) /* else another last close is to come */
        writer_linger_locked(w, true);
    return true;
}

void commit_finish(struct writer *w, bool unmounting)
{
    struct err err = {0};
    bool scratch;
    bool dropped;
    bool open;
    unsigned changes;
    writer_wait_removed(w);
    {
        LOCK_SCOPE(&w->fs->mu);
        changes = w->changes;
        scratch = w->place.kind == PLACE_SCRATCH;
        dropped = w->dropped;
        open = w->handles > 0;
        if (!unmounting && open)
            return;
    }
    if (dropped && unmounting)
        return; /* whoever carries bytes with it may be about to begin */
    if (scratch && !dropped && !unmounting) {
        LOCK_SCOPE(&w->fs->mu);
        writer_linger_locked(w, true);
        return;
    }
    if (scratch || dropped) {
        if (!dropped)
            commit_say_dropped(w, "a temporary file, never renamed to the name of a block");
        commit_retire(w, changes);
        return;
    }
    int r = commit(w, unmounting ? COMMIT_UNMOUNT : COMMIT_CLOSE, &err);
    if (r == COMMIT_WAITS && !unmounting && commit_waits(w))
        return;
    if (r == COMMIT_WAITS || (r == -EINVAL && open)) {
        if (stage_size(w->stage) > 0)
            commit_keep(w, "the mount ended before the file was whole", unmounting);
    } else if (r < 0 && commit_is_worth_keeping(w, r)) {
        commit_keep(w, err.msg, unmounting);
    }
    commit_retire(w, changes);
}

static void commit_finish_job(void *arg)
{
    struct writer *w = arg;
    commit_finish(w, false);
    writer_unref(w);
}

void commit_release_locked(struct writer *w)
{
    if (--w->handles > 0) {
        writer_unref_locked(w);
        return;
    }
    w->changes++;
    w->copied = false;
    (void)pthread_cond_broadcast(&w->fs->released);
    if (!w->fs->work || pool_submit(w->fs->work, commit_finish_job, w) < 0) {
        writer_linger_locked(w, true); /* the unmount will see to it */
        writer_unref_locked(w);
    }
}
