#include "fs/stage.h"

#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STAGE_WAITERS_MAX = 4096,
    STAGE_RESERVE_AHEAD = 64 << 20, /* bytes of room asked for at a time, as the file grows */
};

enum stage_state { STAGE_BASE, STAGE_LOADING, STAGE_OWN, STAGE_HELD, STAGE_FROZEN };

/* A change to the bytes: what stage_write(), stage_truncate() and stage_allocate() ask for. */
struct stage_change {
    struct stage_change *next;
    enum { STAGE_WRITE, STAGE_TRUNCATE, STAGE_ALLOCATE } kind;
    bool mapped, grow;
    uint64_t off; /* of a write or allocation; the size of a truncation */
    uint64_t len;
    const void *data; /* of a write: borrowed, or behind this struct once it waits */
    stage_fn *fn;
    void *arg;
};

struct stage {
    const struct stage_conf *conf;
    _Atomic int refs;

    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t quiet; /* `busy` fell to 0, or the state changed */
    enum stage_state state;
    bool held;           /* between stage_hold() and stage_settle(), also when that froze it */
    int load_error;      /* of the latest load, when it failed */
    int busy;            /* reads and changes that use the file right now, outside the lock */
    int changing;        /* of them, changes */
    bool cutting;        /* the one that changes is a truncation: they run alone */
    bool draining;       /* a thread applies the changes that waited */
    struct object *base; /* a reference, or NULL */
    struct cache_file file;
    struct journal *journal;     /* of `file`, or NULL */
    struct journal_about *about; /* what it says, or NULL: none is kept; owned */
    uint64_t size;
    struct extent written;
    int64_t mtime_ns;
    bool dirty, mapped_dirty, cut;
    bool retired;                      /* nothing is left to change: see stage_retire() */
    int error;                         /* see stage_error() */
    struct stage_change *first, *last; /* changes that wait, in order */
    int waiting;
};

static int64_t stage_now_ns(void)
{
    struct timespec ts = {0};
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int stage_new(const struct stage_conf *conf, struct object *base, struct stage **ret)
{
    struct stage *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->conf = conf;
    s->refs = 1;
    s->file.fd = -1;
    s->mtime_ns = stage_now_ns();
    if (base) {
        object_ref(base);
        s->base = base;
        s->size = object_stat(base)->size;
        s->mtime_ns = object_stat(base)->mtime_ns;
    }
    (void)pthread_mutex_init(&s->mu, NULL);
    lock_cond_init(&s->quiet);
    *ret = s;
    return 0;
}

struct stage *stage_ref(struct stage *s)
{
    (void)atomic_fetch_add(&s->refs, 1);
    return s;
}

/* What a stage lets go of, out of the lock: closing a large file takes a while. */
struct stage_rest {
    struct cache_file file;
    struct journal *journal;
    struct object *base;
};

static struct stage_rest stage_let_go_locked(struct stage *s)
{
    struct stage_rest rest = {.file = s->file, .journal = TAKE(s->journal), .base = TAKE(s->base)};
    s->file = (struct cache_file){.fd = -1};
    extent_clear(&s->written);
    return rest;
}

static void stage_drop_rest(struct stage *s, struct stage_rest *rest)
{
    cache_file_drop(s->conf->cache, &rest->file);
    journal_free(rest->journal); /* after the file, which it explains */
    object_unref(rest->base);
}

/* Waits until no read or change uses the file: they take no longer than the disk does. */
static void stage_wait_quiet_locked(struct stage *s)
{
    while (s->busy > 0)
        (void)pthread_cond_wait(&s->quiet, &s->mu);
}

void stage_retire(struct stage *s)
{
    struct stage_rest rest = {.file = {.fd = -1}};
    {
        LOCK_SCOPE(&s->mu);
        stage_wait_quiet_locked(s);
        s->retired = s->state != STAGE_LOADING && s->state != STAGE_HELD;
        if (s->retired)
            rest = stage_let_go_locked(s);
    }
    stage_drop_rest(s, &rest);
}

void stage_unref(struct stage *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    struct stage_rest rest = stage_let_go_locked(s); /* nobody else is left */
    stage_drop_rest(s, &rest);
    (void)pthread_cond_destroy(&s->quiet);
    (void)pthread_mutex_destroy(&s->mu);
    free(s->about);
    free(s);
}

static int stage_own_file_locked(struct stage *s)
{
    if (s->file.fd >= 0 && s->state != STAGE_FROZEN)
        return 0;
    struct err err = {0};
    int r = cache_file_new(s->conf->cache, &s->file, &err);
    if (r < 0)
        log_error("write", "%s", err.msg);
    return r;
}

/* Asks for room so that the file can have `size` bytes. Not under the lock: an eviction takes its
 * time. Others that write meanwhile count on what is asked for here. */
static int stage_reserve(struct stage *s, uint64_t size)
{
    uint64_t need = 0;
    uint64_t more = 0;
    {
        LOCK_SCOPE(&s->mu);
        if (size <= s->file.reserved)
            return 0;
        need = size - s->file.reserved;
        more = MAX(need, MIN(s->file.reserved, (uint64_t)STAGE_RESERVE_AHEAD));
        s->file.reserved += more;
    }
    uint64_t got = more;
    int r = cache_reserve(s->conf->cache, more, true);
    if (r < 0 && more > need) {
        got = need;
        r = cache_reserve(s->conf->cache, need, true);
    }
    LOCK_SCOPE(&s->mu);
    s->file.reserved -= r < 0 ? more : more - got;
    return r;
}

/* A file system that cannot promise room can still give a length. */
static int stage_do_allocate(int fd, const struct stage_change *c)
{
    struct stat st;
    int r = 0;
    do {
        int mode = c->grow ? 0 : FALLOC_FL_KEEP_SIZE;
        r = fallocate(fd, mode, (off_t)c->off, (off_t)c->len) < 0 ? -errno : 0;
    } while (r == -EINTR);
    if (r != -EOPNOTSUPP)
        return r;
    if (!c->grow)
        return 0; /* only advice */
    off_t end = (off_t)(c->off + c->len);
    if (fstat(fd, &st) < 0 || (st.st_size < end && ftruncate(fd, end) < 0))
        return -errno;
    return 0;
}

/* Does to the file what a change asks for. */
static int stage_do_file(int fd, const struct stage_change *c)
{
    switch (c->kind) {
    case STAGE_WRITE:
        return pwrite_full(fd, c->data, (size_t)c->len, c->off);
    case STAGE_TRUNCATE:
        return ftruncate(fd, (off_t)c->off) < 0 ? -errno : 0;
    case STAGE_ALLOCATE:
        break;
    }
    return stage_do_allocate(fd, c);
}

/* Bytes of a file of which a change failed are never taken for a whole file. */
static void stage_mark_journal_locked(struct stage *s)
{
    if (s->journal && s->dirty)
        journal_set_dirty(s->journal, s->error < 0 ? &(struct extent){0} : &s->written);
}

/* Keeps the journal of a change that was made. */
static int stage_keep_journal_locked(struct stage *s)
{
    if (!s->about || s->file.fd < 0)
        return 0;
    bool sent = s->about->write_id[0];
    s->about->write_id[0] = '\0'; /* these are other bytes than were sent */
    if (s->journal && sent)
        journal_set_about(s->journal, s->about);
    int r = s->journal ? 0 : journal_new(s->conf->cache, &s->file, s->about, &s->journal);
    stage_mark_journal_locked(s);
    return r;
}

/* Notes what a change has done. */
static int stage_note_locked(struct stage *s, const struct stage_change *c, uint64_t end)
{
    int r = 0;
    switch (c->kind) {
    case STAGE_WRITE:
        r = extent_add(&s->written, c->off, end);
        if (r < 0)
            return r;
        s->mapped_dirty |= c->mapped;
        s->cut = false;
        s->size = MAX(s->size, end);
        break;
    case STAGE_TRUNCATE:
        extent_cut(&s->written, end);
        s->cut |= end != s->size;
        s->size = end;
        break;
    case STAGE_ALLOCATE:
        if (!c->grow)
            return 0;
        s->size = MAX(s->size, end);
        break;
    }
    s->dirty = true;
    s->mtime_ns = stage_now_ns();
    return stage_keep_journal_locked(s);
}

/* Applies a change to the stage's own file, which stays the same while the change is counted. */
static int stage_apply(struct stage *s, const struct stage_change *c)
{
    uint64_t end = c->kind == STAGE_TRUNCATE ? c->off : c->off + c->len;
    int fd = -1;
    if (end < c->off || end > INT64_MAX)
        return -EFBIG;
    int r = stage_reserve(s, end);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&s->mu);
        fd = s->file.fd;
    }
    r = stage_do_file(fd, c);
    LOCK_SCOPE(&s->mu);
    if (r == 0)
        r = stage_note_locked(s, c, end);
    if (r < 0 && c->kind != STAGE_ALLOCATE)
        s->dirty = true; /* a part of it may have been done: see stage_forgive() */
    return r;
}

static void stage_say_full(int code)
{
    if (code == -ENOSPC)
        log_error("write", "the cache's disk is full: writes fail until there is room "
                           "(see --cache-dir)");
}

/* Whether a change can be applied beside those under way. */
static bool stage_may_begin_locked(const struct stage *s, const struct stage_change *c)
{
    return s->state == STAGE_OWN && !s->cutting && (c->kind != STAGE_TRUNCATE || s->changing == 0);
}

static void stage_begin_locked(struct stage *s, const struct stage_change *c)
{
    s->busy++;
    s->changing++;
    s->cutting = c->kind == STAGE_TRUNCATE;
}

/* A change that its caller asked for was not made. */
static void stage_note_failure_locked(struct stage *s, const struct stage_change *c, int code)
{
    if (s->error < 0 || c->kind == STAGE_ALLOCATE)
        return;
    s->error = code;
    stage_mark_journal_locked(s);
}

void stage_note_failure(struct stage *s, int code)
{
    LOCK_SCOPE(&s->mu);
    stage_note_failure_locked(s, &(struct stage_change){.kind = STAGE_WRITE}, code);
}

/* Applies one change that has begun, and answers it. */
static void stage_do(struct stage *s, const struct stage_change *c)
{
    int r = stage_apply(s, c);
    stage_say_full(r);
    {
        LOCK_SCOPE(&s->mu);
        s->busy--;
        if (r == 0 && c->kind == STAGE_TRUNCATE && c->off == 0) {
            s->error = 0;
            stage_mark_journal_locked(s);
        }
        if (r < 0)
            stage_note_failure_locked(s, c, r);
        s->changing--;
        s->cutting = false;
        (void)pthread_cond_broadcast(&s->quiet);
    }
    c->fn(c->arg, r);
}

/* Takes the next change that waited, and begins it; NULL when none can. */
static struct stage_change *stage_next(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    struct stage_change *c = s->first;
    if (!c || !stage_may_begin_locked(s, c)) {
        s->draining = false;
        return NULL;
    }
    s->first = c->next;
    if (!s->first)
        s->last = NULL;
    s->waiting--;
    stage_begin_locked(s, c);
    return c;
}

/* Applies the changes that waited, in order, for as long as the state allows. One thread at a time;
 * whoever ends a change that others may wait for comes here. */
static void stage_run_waiting(struct stage *s)
{
    {
        LOCK_SCOPE(&s->mu);
        if (s->draining)
            return;
        s->draining = true;
    }
    for (struct stage_change *c = stage_next(s); c; c = stage_next(s)) {
        stage_do(s, c);
        free(c);
    }
}

/* Takes all changes that wait, to be failed with `code`. */
static struct stage_change *stage_take_waiting_locked(struct stage *s, int code)
{
    struct stage_change *list = TAKE(s->first);
    for (const struct stage_change *c = list; c; c = c->next)
        stage_note_failure_locked(s, c, code);
    s->last = NULL;
    s->waiting = 0;
    return list;
}

static void stage_fail(struct stage_change *list, int code)
{
    while (list) {
        struct stage_change *c = list;
        list = c->next;
        c->fn(c->arg, code);
        free(c);
    }
}

/* Copies what the stage starts from into a file of its own. */
static int stage_load(struct stage *s, enum stage_state from, struct cache_file *ret)
{
    struct err err = {0};
    struct cache_file file = {.fd = -1};
    int old = s->file.fd;
    uint64_t size = s->size; /* no change is applied while loading */
    if (from == STAGE_BASE) {
        int r = object_all(s->base, &err);
        if (r < 0) {
            log_error("write", "%s%s", err.msg,
                      r == -ESTALE
                          ? ": somebody else has stored it since it was opened; what was "
                            "written to it here cannot be kept, for its other bytes are gone"
                          : "");
            return r;
        }
        old = object_fd(s->base);
    }
    int r = cache_reserve(s->conf->cache, size, true);
    if (r == 0) {
        file.reserved = size;
        r = cache_file_new(s->conf->cache, &file, &err);
    }
    if (r == 0 && size > 0)
        r = old < 0 ? -EIO : copy_full(old, file.fd, size);
    if (r < 0) {
        cache_file_drop(s->conf->cache, &file);
        log_error("write", "cannot copy the old contents: %s", errno_text(r));
        return r;
    }
    *ret = file;
    return 0;
}

struct stage_load_job {
    struct stage *stage; /* a reference */
    enum stage_state from;
};

static void stage_load_job(void *arg)
{
    struct stage_load_job *job = arg;
    struct stage *s = job->stage;
    struct stage_rest rest = {.file = {.fd = -1}};
    struct stage_change *failed = NULL;
    struct cache_file file = {.fd = -1};
    struct extent all = {0};
    int r = stage_load(s, job->from, &file);
    {
        LOCK_SCOPE(&s->mu);
        stage_wait_quiet_locked(s);
        if (r == 0)
            r = extent_add(&all, 0, s->size);
        s->load_error = r;
        if (r == 0) {
            /* Of FROZEN: only its descriptor. */
            rest = (struct stage_rest){.file = s->file, .journal = TAKE(s->journal)};
            s->file = file;
            extent_clear(&s->written);
            s->written = all;
            s->state = STAGE_OWN;
        } else {
            rest.file = file;
            s->state = job->from;
            failed = stage_take_waiting_locked(s, r);
        }
        (void)pthread_cond_broadcast(&s->quiet);
    }
    stage_drop_rest(s, &rest);
    stage_fail(failed, r);
    stage_run_waiting(s);
    stage_unref(s);
    free(job);
}

/* Starts loading. 0 or -errno. */
static int stage_start_load_locked(struct stage *s)
{
    struct stage_load_job *job = malloc(sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct stage_load_job){.stage = stage_ref(s), .from = s->state};
    int r = pool_submit(s->conf->load, stage_load_job, job);
    if (r < 0) {
        (void)atomic_fetch_sub(&s->refs, 1); /* the caller holds another one */
        free(job);
        return r;
    }
    s->state = STAGE_LOADING;
    return 0;
}

/* Queues a copy of a change. */
static int stage_wait_locked(struct stage *s, const struct stage_change *c)
{
    size_t data = c->kind == STAGE_WRITE ? (size_t)c->len : 0;
    if (s->waiting == STAGE_WAITERS_MAX)
        return -EAGAIN;
    struct stage_change *copy = malloc(sizeof(*copy) + data);
    if (!copy)
        return -ENOMEM;
    *copy = *c;
    copy->next = NULL;
    if (data > 0)
        copy->data = memcpy(copy + 1, c->data, data);
    *(s->last ? &s->last->next : &s->first) = copy;
    s->last = copy;
    s->waiting++;
    return 0;
}

/* True when the old bytes do not matter to a change: it empties the file, or there are none. */
static bool stage_needs_no_base_locked(const struct stage *s, const struct stage_change *c)
{
    return s->size == 0 || (c->kind == STAGE_TRUNCATE && c->off == 0);
}

/* Gives the stage an empty file of its own. */
static int stage_start_empty_locked(struct stage *s)
{
    struct cache_file old = s->file;
    s->file = (struct cache_file){.fd = -1};
    int r = stage_own_file_locked(s);
    if (r < 0) {
        s->file = old;
        return r;
    }
    cache_file_drop(s->conf->cache, &old);
    journal_free(TAKE(s->journal));
    extent_clear(&s->written);
    s->state = STAGE_OWN;
    return 0;
}

/* Brings the stage towards OWN and says whether the change can be applied now: 1 yes, 0 it waits,
 * -errno. */
static int stage_admit_locked(struct stage *s, const struct stage_change *c)
{
    int r = 0;
    if (s->retired)
        return -ESTALE;
    if (!s->held && (s->state == STAGE_BASE || s->state == STAGE_FROZEN))
        stage_wait_quiet_locked(s);
    if (!s->held && (s->state == STAGE_BASE || s->state == STAGE_FROZEN)) {
        r = stage_needs_no_base_locked(s, c) ? stage_start_empty_locked(s)
                                             : stage_start_load_locked(s);
        if (r < 0)
            return r;
    }
    if (!s->first && !s->draining && stage_may_begin_locked(s, c)) {
        stage_begin_locked(s, c);
        return 1;
    }
    return stage_wait_locked(s, c);
}

static void stage_change(struct stage *s, const struct stage_change *c)
{
    int r = 0;
    {
        LOCK_SCOPE(&s->mu);
        r = stage_admit_locked(s, c);
        if (r < 0)
            stage_note_failure_locked(s, c, r);
    }
    if (r > 0) {
        (void)stage_ref(s); /* whom it answers may let go of the stage */
        stage_do(s, c);
        stage_run_waiting(s);
        stage_unref(s);
    } else if (r < 0) {
        stage_say_full(r);
        c->fn(c->arg, r);
    }
}

void stage_write(struct stage *s, const void *data, size_t len, uint64_t off, bool mapped,
                 stage_fn *fn, void *arg)
{
    struct stage_change c = {.kind = STAGE_WRITE,
                             .mapped = mapped,
                             .off = off,
                             .len = len,
                             .data = data,
                             .fn = fn,
                             .arg = arg};
    stage_change(s, &c);
}

void stage_truncate(struct stage *s, uint64_t size, stage_fn *fn, void *arg)
{
    struct stage_change c = {.kind = STAGE_TRUNCATE, .off = size, .fn = fn, .arg = arg};
    stage_change(s, &c);
}

void stage_allocate(struct stage *s, uint64_t off, uint64_t len, bool grow, stage_fn *fn, void *arg)
{
    struct stage_change c = {
        .kind = STAGE_ALLOCATE, .off = off, .len = len, .grow = grow, .fn = fn, .arg = arg};
    stage_change(s, &c);
}

void stage_read(struct stage *s, uint64_t off, size_t len, fill_read_fn *fn, void *arg)
{
    struct object *base = NULL;
    (void)pthread_mutex_lock(&s->mu);
    off = MIN(off, s->size);
    len = (size_t)MIN((uint64_t)len, s->size - off);
    if (len > 0 && s->base && (s->state == STAGE_BASE || s->state == STAGE_LOADING) &&
        s->file.fd < 0) {
        base = s->base;
        object_ref(base);
    } else {
        s->busy++; /* keeps the descriptor from being exchanged */
    }
    int fd = s->file.fd;
    (void)pthread_mutex_unlock(&s->mu);
    if (base) {
        object_read(base, off, len, fn, arg);
        object_unref(base);
        return;
    }
    CLEANUP(freep) void *data = calloc(1, MAX(len, (size_t)1));
    int r = data ? 0 : -ENOMEM;
    if (r == 0 && len > 0)
        r = fd < 0 ? -ESTALE : pread_full(fd, data, len, off);
    {
        LOCK_SCOPE(&s->mu);
        s->busy--;
        (void)pthread_cond_broadcast(&s->quiet);
    }
    if (r == -ENODATA)
        r = 0; /* grown by a write under way: the rest is still zero */
    fn(arg, r, data, r < 0 ? 0 : len);
}

uint64_t stage_size(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->size;
}

int64_t stage_mtime_ns(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->mtime_ns;
}

bool stage_is_dirty(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->dirty || s->waiting > 0;
}

int stage_error(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->error;
}

void stage_forgive(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    if (!s->dirty && !s->first && s->busy == 0)
        s->error = 0;
}

bool stage_can_be_cut(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->size > 0 || s->error < 0;
}

bool stage_is_mapped_dirty(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->mapped_dirty;
}

static void stage_set_clean_locked(struct stage *s)
{
    s->dirty = s->mapped_dirty = s->cut = false;
    if (s->journal)
        journal_set_clean(s->journal);
}

void stage_set_clean(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    stage_set_clean_locked(s);
}

int stage_describe(struct stage *s, const struct journal_about *about)
{
    LOCK_SCOPE(&s->mu);
    if (!s->about)
        s->about = malloc(sizeof(*s->about));
    if (!s->about)
        return -ENOMEM;
    *s->about = *about;
    if (s->journal)
        journal_set_about(s->journal, about);
    return 0;
}

void stage_set_dirty(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    s->dirty = true;
}

int stage_hold(struct stage *s, struct stage_view *ret)
{
    LOCK_SCOPE(&s->mu);
    for (bool tried = false;;) {
        int r = s->retired ? -ESTALE : 0;
        if (r == 0 && !s->held && (s->state == STAGE_BASE || s->state == STAGE_FROZEN) &&
            s->busy == 0) {
            if (tried && s->load_error < 0)
                return s->load_error;
            r = s->size == 0 ? stage_start_empty_locked(s) : stage_start_load_locked(s);
            tried = true;
        }
        if (r < 0)
            return r;
        if (s->state == STAGE_OWN && s->busy == 0 && !s->first)
            break;
        (void)pthread_cond_wait(&s->quiet, &s->mu);
    }
    s->state = STAGE_HELD;
    s->held = true;
    *ret = (struct stage_view){.fd = s->size > 0 ? s->file.fd : -1,
                               .size = s->size,
                               .whole = extent_covers(&s->written, 0, s->size),
                               .cut = s->cut};
    return 0;
}

void stage_settle(struct stage *s, bool sent)
{
    int r = 0;
    struct stage_change *failed = NULL;
    {
        LOCK_SCOPE(&s->mu);
        s->held = false;
        if (s->state == STAGE_HELD)
            s->state = STAGE_OWN;
        if (sent)
            stage_set_clean_locked(s);
        if (s->state == STAGE_FROZEN && s->first)
            r = stage_start_load_locked(s);
        if (r < 0)
            failed = stage_take_waiting_locked(s, r);
        (void)pthread_cond_broadcast(&s->quiet);
    }
    stage_fail(failed, r);
    stage_run_waiting(s);
}

bool stage_is_held(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    return s->held;
}

void stage_wait_settled(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    while (s->held)
        (void)pthread_cond_wait(&s->quiet, &s->mu);
}

struct cache_file *stage_file(struct stage *s)
{
    return &s->file; /* nobody changes it while the stage is held */
}

void stage_set_frozen(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    s->state = STAGE_FROZEN;
}

void stage_write_id(struct stage *s, char ret[STORE_WRITE_ID_SIZE])
{
    LOCK_SCOPE(&s->mu);
    (void)stpcpy(ret, s->about ? s->about->write_id : "");
}

void stage_abandon(struct stage *s)
{
    LOCK_SCOPE(&s->mu);
    s->file.name[0] = '\0';
    journal_abandon(TAKE(s->journal));
    if (s->file.fd >= 0)
        s->state = STAGE_FROZEN;
}
