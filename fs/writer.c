#include "fs/writer.h"

#include "base/log.h"
#include "fs/node.h"
#include "matrix/npy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writer_table {
    struct writer *newest, *oldest;
    int count;
};

int writer_table_init(struct fs *fs)
{
    fs->writers = calloc(1, sizeof(*fs->writers));
    return fs->writers ? 0 : -ENOMEM;
}

static void writer_destroy(struct writer *w)
{
    stage_unref(w->stage);
    free(w->name);
    free(w);
}

void writer_table_fini(struct fs *fs)
{
    while (fs->writers && fs->writers->newest) {
        struct writer *w = fs->writers->newest;
        fs->writers->newest = w->older;
        writer_destroy(w);
    }
    free(fs->writers);
}

static void writer_enter_locked(struct writer *w)
{
    struct writer_table *t = w->fs->writers;
    w->older = t->newest;
    *(t->newest ? &t->newest->newer : &t->oldest) = w;
    t->newest = w;
    t->count++;
}

static void writer_leave_locked(struct writer *w)
{
    struct writer_table *t = w->fs->writers;
    *(w->newer ? &w->newer->older : &t->newest) = w->older;
    *(w->older ? &w->older->newer : &t->oldest) = w->newer;
    t->count--;
}

static void writer_link_locked(struct writer *w)
{
    w->next = w->dir->writers;
    w->dir->writers = w;
    w->dir->writer_count++;
    w->linked = true;
}

static void writer_delink_locked(struct writer *w)
{
    struct writer **at = &w->dir->writers;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    w->dir->writer_count--;
    w->linked = false;
}

/* The npy header that goes before bare elements. */
static int writer_raw_head_locked(const struct writer *w, struct journal_about *about)
{
    struct npy npy;
    const struct header *h = folder_header_locked(w->dir);
    CLEANUP(buf_fini) struct buf head = BUF_INIT(sizeof(about->head));
    if (!h)
        return 0;
    npy_for_block(&h->grid, h->dtype, w->place.index, &npy);
    npy.fortran = w->place.view == NAME_RAW_F && npy.ndim > 1;
    int r = npy_format(&npy, &head);
    if (r < 0)
        return r;
    memcpy(about->head, buf_text(&head), head.len);
    about->head_len = (uint32_t)head.len;
    return 0;
}

int writer_describe_locked(struct writer *w, const char *write_id)
{
    struct journal_about about = {.kind = JOURNAL_PLAIN};
    if (w->place.kind == PLACE_SCRATCH)
        return 0; /* its bytes belong nowhere yet */
    CLEANUP(freep) char *key = fs_key(w->fs, w->dir->path, w->place.obj);
    if (!key)
        return -ENOMEM;
    if (strlen(key) >= sizeof(about.key))
        return -ENAMETOOLONG;
    (void)stpcpy(about.key, key);
    (void)snprintf(about.if_match, sizeof(about.if_match), "%s", w->if_match);
    (void)snprintf(about.write_id, sizeof(about.write_id), "%s", write_id);
    int r = 0;
    if (w->place.kind == PLACE_HEADER)
        about.kind = JOURNAL_HEADER;
    else if (w->place.kind == PLACE_BLOCK && w->place.view == NAME_OBJECT)
        about.kind = JOURNAL_BLOCK;
    else if (w->place.kind == PLACE_BLOCK) {
        about.kind = JOURNAL_RAW;
        r = writer_raw_head_locked(w, &about);
    }
    return r < 0 ? r : stage_describe(w->stage, &about);
}

int writer_new_locked(struct fs *fs, const struct writer_start *start, struct writer **ret)
{
    if (fs->writers->count >= WRITER_NAMES_MAX)
        return -ENFILE;
    struct writer *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->fs = fs;
    w->refs = 1;
    w->changes = 1;
    w->name = strdup(start->name);
    int r = w->name ? stage_new(&fs->stage_conf, start->base, &w->stage) : -ENOMEM;
    if (r < 0) {
        free(w->name);
        free(w);
        return r;
    }
    w->place = *start->place;
    w->exclusive = start->exclusive;
    w->unseen = start->if_match[0] == '\0';
    (void)snprintf(w->if_match, sizeof(w->if_match), "%s", start->if_match);
    w->dir = folder_ref_locked(start->dir);
    bool header = w->place.kind == PLACE_HEADER;
    const char *name = w->place.kind == PLACE_SCRATCH ? w->name : w->place.obj;
    w->ino = node_ino(fs, w->dir->path, header ? "header" : name, header);
    writer_enter_locked(w);
    writer_link_locked(w);
    r = writer_describe_locked(w, "");
    if (r < 0) {
        writer_unref_locked(w);
        return r;
    }
    *ret = w;
    return 0;
}

int writer_carry(struct folder *d, const char *name, const struct place *place, struct writer **ret,
                 struct store_stat *ret_stat, struct err *err)
{
    struct fs *fs = d->fs;
    struct object *o = NULL;
    CLEANUP(freep) char *key = fs_key(fs, d->path, place->obj);
    int r = key ? objects_current(fs->objects, key, NULL, &o, err) : -ENOMEM;
    if (r < 0)
        return r;
    *ret_stat = *object_stat(o);
    struct writer_start start = {
        .dir = d, .name = name, .place = place, .base = o, .if_match = ret_stat->etag};
    {
        LOCK_SCOPE(&fs->mu);
        r = writer_new_locked(fs, &start, ret);
        if (r == 0)
            writer_unlink_locked(*ret, true);
    }
    object_unref(o);
    return r;
}

void writer_ref_locked(struct writer *w)
{
    w->refs++;
}

void writer_unref_locked(struct writer *w)
{
    if (--w->refs > 0)
        return;
    if (w->linked)
        writer_delink_locked(w);
    writer_leave_locked(w);
    folder_unref_locked(w->dir);
    writer_destroy(w);
}

void writer_unref(struct writer *w)
{
    struct fs *fs = w->fs;
    LOCK_SCOPE(&fs->mu);
    writer_unref_locked(w);
}

bool writer_is_at_locked(const struct writer *w, const char *name, const struct place *place)
{
    if (w->place.kind != place->kind)
        return false;
    if (place->kind == PLACE_SCRATCH)
        return strcmp(w->name, name) == 0;
    return w->place.view == place->view && strcmp(w->place.obj, place->obj) == 0;
}

struct writer *writer_find_locked(struct folder *d, const char *name, const struct place *place)
{
    for (struct writer *w = d->writers; w; w = w->next) {
        if (writer_is_at_locked(w, name, place))
            return w;
    }
    return NULL;
}

void writer_unlink_locked(struct writer *w, bool drop)
{
    w->dropped |= drop;
    if (w->linked)
        writer_delink_locked(w);
}

void writer_wait_removed(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    while (w->removing)
        (void)pthread_cond_wait(&w->fs->released, &w->fs->mu);
}

bool writer_wait_place(struct folder *d, const char *name, const struct place *place)
{
    bool waited = false;
    LOCK_SCOPE(&d->fs->mu);
    for (;; waited = true) {
        const struct writer *w = writer_find_locked(d, name, place);
        if (!w || !w->removing)
            return waited;
        (void)pthread_cond_wait(&d->fs->released, &d->fs->mu);
    }
}

void writer_linger_locked(struct writer *w, bool on)
{
    if (w->lingers == on)
        return;
    w->lingers = on;
    if (on)
        writer_ref_locked(w);
    else
        writer_unref_locked(w);
}

int writer_move_locked(struct writer *w, struct folder *dir, const char *name,
                       const struct place *place)
{
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(w->name);
    w->name = copy;
    w->place = *place;
    if (w->linked)
        writer_delink_locked(w);
    struct folder *old = w->dir;
    w->dir = folder_ref_locked(dir);
    folder_unref_locked(old);
    if (!w->dropped) /* else it was unlinked while its bytes were stored; who found it wrote in vain
                      */
        writer_link_locked(w);
    return writer_describe_locked(w, "");
}

void writer_open_locked(struct writer *w)
{
    w->handles++;
    if (w->place.kind != PLACE_SCRATCH)
        writer_linger_locked(w, false);
}

void writer_note_process_locked(struct writer *w, pid_t process)
{
    if (!writer_has_process_locked(w, process)) {
        if (w->processes < WRITER_OWNERS_MAX)
            w->process[w->processes] = process;
        w->processes++;
    }
}

bool writer_has_process_locked(const struct writer *w, pid_t process)
{
    if (process == 0 || w->processes > WRITER_OWNERS_MAX)
        return true;
    for (int i = 0; i < w->processes; i++) {
        if (w->process[i] == process || w->process[i] == 0)
            return true;
    }
    return false;
}

void writer_note_undecided_locked(struct writer *w, const char *write_id)
{
    (void)snprintf(w->undecided_id[w->undecided % WRITER_UNDECIDED_MAX], STORE_WRITE_ID_SIZE, "%s",
                   write_id);
    if (++w->undecided == 2 * WRITER_UNDECIDED_MAX)
        w->undecided = WRITER_UNDECIDED_MAX; /* all of them are in use all the same */
}

bool writer_has_undecided_locked(const struct writer *w, const char *write_id)
{
    int known = MIN(w->undecided, (int)WRITER_UNDECIDED_MAX);
    for (int i = 0; write_id && i < known; i++) {
        if (strcmp(w->undecided_id[i], write_id) == 0)
            return true;
    }
    return !write_id && known > 0;
}

void writer_note_owner_locked(struct writer *w, uint64_t owner)
{
    w->said = 0; /* other bytes, another failure */
    if (!writer_has_owner_locked(w, owner)) {
        if (w->owners < WRITER_OWNERS_MAX)
            w->owner[w->owners] = owner;
        w->owners++;
    }
}

bool writer_has_owner_locked(const struct writer *w, uint64_t owner)
{
    if (w->owners > WRITER_OWNERS_MAX)
        return true;
    for (int i = 0; i < w->owners; i++) {
        if (w->owner[i] == owner)
            return true;
    }
    return false;
}

bool writer_is_visible_locked(const struct writer *w, pid_t process)
{
    return !w->unseen || w->place.kind == PLACE_SCRATCH || writer_has_process_locked(w, process);
}

bool writer_is_abandoned_locked(const struct writer *w, pid_t process)
{
    if (w->handles > 0 || w->place.kind == PLACE_SCRATCH)
        return false;
    return w->error < 0 || !writer_has_process_locked(w, process) || stage_size(w->stage) == 0 ||
           !stage_is_dirty(w->stage);
}

static void writer_abandon_locked(struct writer *w)
{
    bool is_kept = w->error < 0; /* its bytes are being put aside, or will be */
    writer_ref_locked(w);
    writer_unlink_locked(w, !is_kept);
    if (!is_kept)
        writer_linger_locked(w, false);
    writer_unref_locked(w);
}

static bool writer_is_untried_locked(const struct writer *w)
{
    return w->error == 0 && w->tried != w->changes && stage_is_dirty(w->stage);
}

int writer_make_way_locked(struct writer **w, pid_t process)
{
    struct writer *left = *w;
    if (!left || !writer_is_abandoned_locked(left, process))
        return 0;
    if (writer_is_untried_locked(left))
        return WRITER_AGAIN;
    bool is_stored = left->error == 0 && !stage_is_dirty(left->stage);
    if (left->error == 0 && left->in_vain && !is_stored)
        left->error = -ESTALE; /* kept, but not tried again: somebody else has the name */
    writer_abandon_locked(left);
    *w = NULL;
    return is_stored ? WRITER_AGAIN : 0;
}

struct writer *writer_untried_locked(struct folder *d, pid_t process)
{
    for (struct writer *w = d->writers; w; w = w->next) {
        if (writer_is_abandoned_locked(w, process) && writer_is_untried_locked(w)) {
            writer_ref_locked(w);
            return w;
        }
    }
    return NULL;
}

bool writer_may_clear_locked(struct folder *d, pid_t process)
{
    for (struct writer *w = d->writers; w; w = w->next) {
        if (!writer_is_abandoned_locked(w, process) || writer_is_untried_locked(w))
            return false;
    }
    return true;
}

void writer_clear_locked(struct folder *d, pid_t process)
{
    struct writer *next = NULL;
    for (struct writer *w = d->writers; w; w = next) {
        next = w->next;
        (void)writer_make_way_locked(&w, process);
    }
}

void writer_each(struct fs *fs, void (*fn)(struct writer *w, void *arg), void *arg)
{
    (void)pthread_mutex_lock(&fs->mu);
    struct writer *w = fs->writers->oldest;
    while (w) {
        writer_ref_locked(w);
        (void)pthread_mutex_unlock(&fs->mu);
        fn(w, arg);
        (void)pthread_mutex_lock(&fs->mu);
        struct writer *newer = w->newer;
        writer_unref_locked(w);
        w = newer;
    }
    (void)pthread_mutex_unlock(&fs->mu);
}

pid_t writer_process(pid_t tid)
{
    char path[32];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    CLEANUP(closep) int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < 0) {
        bool gone = errno == ENOENT || errno == ESRCH;
        bool hidden = errno == EACCES || errno == EPERM; /* /proc of other users, with hidepid=1 */
        return gone || hidden ? 0 : -errno;
    }
    text[n] = '\0';
    const char *at = strstr(text, "\nTgid:");
    return at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
}
