#include "fs/folder.h"

#include "base/log.h"
#include "fs/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDER_BUCKETS = 16384 /* a power of two */ };

struct folder_table {
    struct folder *bucket[FOLDER_BUCKETS];
    int64_t swept_ms;     /* when listings that nobody trusts any more were last dropped */
    struct folder *local; /* those made here, linked by next_local */
};

/* A listing under way. */
struct folder_run {
    struct folder_run *next;
    struct listing *listing; /* borrowed from the job */
};

int folder_table_init(struct fs *fs)
{
    fs->dirs = calloc(1, sizeof(*fs->dirs));
    return fs->dirs ? 0 : -ENOMEM;
}

static void folder_destroy(struct folder *d)
{
    listing_unref(d->listing);
    head_unref(d->head);
    free(d->path);
    free(d);
}

/* Frees what references are still open: the kernel does not forget what an unmount cut off. */
void folder_table_fini(struct fs *fs)
{
    for (size_t i = 0; fs->dirs && i < FOLDER_BUCKETS; i++) {
        while (fs->dirs->bucket[i]) {
            struct folder *d = fs->dirs->bucket[i];
            fs->dirs->bucket[i] = d->next;
            folder_destroy(d);
        }
    }
    free(fs->dirs);
}

static struct folder **folder_slot_locked(struct fs *fs, const char *path)
{
    size_t at = 5381;
    for (const char *p = path; *p; p++)
        at = at * 33 + (unsigned char)*p;
    struct folder **slot = &fs->dirs->bucket[at & (FOLDER_BUCKETS - 1)];
    while (*slot && strcmp((*slot)->path, path) != 0)
        slot = &(*slot)->next;
    return slot;
}

struct folder *folder_get_locked(struct fs *fs, const char *path)
{
    struct folder **slot = folder_slot_locked(fs, path);
    if (*slot)
        return folder_ref_locked(*slot);
    struct folder *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->fs = fs;
    d->refs = 1;
    d->path = strdup(path);
    if (!d->path) {
        free(d);
        return NULL;
    }
    d->ino = node_ino(fs, path, "", false);
    *slot = d;
    return d;
}

struct folder *folder_get_child_locked(struct folder *parent, const char *name)
{
    CLEANUP(freep) char *path = NULL;
    if (asprintf(&path, "%s%s/", parent->path, name) < 0)
        return NULL;
    return folder_get_locked(parent->fs, path);
}

struct folder *folder_find_child_locked(struct folder *parent, const char *name)
{
    CLEANUP(freep) char *path = NULL;
    if (asprintf(&path, "%s%s/", parent->path, name) < 0)
        return NULL;
    return *folder_slot_locked(parent->fs, path);
}

struct folder *folder_ref_locked(struct folder *d)
{
    d->refs++;
    return d;
}

void folder_unref_locked(struct folder *d)
{
    if (!d || --d->refs > 0)
        return;
    struct folder **slot = folder_slot_locked(d->fs, d->path);
    if (*slot == d)
        *slot = d->next;
    folder_destroy(d);
}

void folder_unref(struct folder *d)
{
    if (!d)
        return;
    LOCK_SCOPE(&d->fs->mu);
    folder_unref_locked(d);
}

void folder_set_local_locked(struct folder *d, bool local)
{
    if (d->local == local || d->path[0] == '\0')
        return;
    d->local = local;
    struct folder **at = &d->fs->dirs->local;
    if (local) {
        d->next_local = *at;
        *at = folder_ref_locked(d);
        return;
    }
    while (*at != d)
        at = &(*at)->next_local;
    *at = d->next_local;
    folder_unref_locked(d);
}

void folder_each_local_locked(struct folder *d,
                              void (*fn)(void *arg, const char *name, struct folder *child),
                              void *arg)
{
    size_t len = strlen(d->path);
    for (struct folder *l = d->fs->dirs->local; l; l = l->next_local) {
        if (strncmp(l->path, d->path, len) != 0)
            continue;
        size_t name_len = strcspn(l->path + len, "/");
        if (name_len == 0 || l->path[len + name_len + 1] != '\0')
            continue; /* `d` itself, or deeper */
        char name[256];
        (void)snprintf(name, sizeof(name), "%.*s", (int)name_len, l->path + len);
        fn(arg, name, l);
    }
}

void folder_seen_locked(struct folder *d)
{
    d->seen_ms = clock_ms();
}

bool folder_is_fresh_locked(const struct folder *d)
{
    if (d->path[0] == '\0')
        return true; /* the mount itself */
    if (d->seen_ms == 0)
        return false;
    return d->fs->conf.immutable || clock_ms() - d->seen_ms <= FS_FRESH_MS;
}

const struct header *folder_header_locked(const struct folder *d)
{
    return d->head && !d->head->bad ? &d->head->header : NULL;
}

void folder_set_head(struct folder *d, struct head *head)
{
    struct head *old = NULL;
    {
        LOCK_SCOPE(&d->fs->mu);
        old = d->head;
        d->head = head_ref(head);
        d->kind = head ? FOLDER_MATRIX : FOLDER_UNKNOWN;
        d->head_sets++;
        d->head_ms = d->seen_ms = clock_ms();
    }
    head_unref(old);
}

void folder_drop_head_locked(struct folder *d)
{
    head_unref(TAKE(d->head));
    d->head_sets++; /* what is learnt now is older */
    d->kind = FOLDER_UNKNOWN;
}

double folder_hold(struct listing *l)
{
    int64_t left = listing_good_until_ms(l) - clock_ms();
    return (double)MAX(left, (int64_t)0) / 1000;
}

bool folder_listed_locked(struct folder *d, const char *obj, struct listing_entry *ret)
{
    if (!d->listing)
        return false;
    if (!d->fs->conf.immutable && clock_ms() > listing_good_until_ms(d->listing))
        return false;
    return listing_find(d->listing, obj, ret);
}

void folder_changed_locked(struct folder *d, const char *obj)
{
    node_unsettle_locked(d, obj);
    if (d->listing)
        listing_note_change(d->listing, obj);
    for (struct folder_run *run = d->runs; run; run = run->next)
        listing_note_change(run->listing, obj);
}

/* Whether a listing has had its time, or there are `bytes` with it, more than its share. */
static bool folder_may_drop_locked(const struct fs *fs, struct listing *l, size_t bytes)
{
    if (bytes > fs->conf.memory / 4)
        return true;
    return !fs->conf.immutable && clock_ms() > listing_good_until_ms(l);
}

/* Drops listings that have had their time, and all when they hold more than their share. */
static void folder_sweep_locked(struct fs *fs)
{
    int64_t now = clock_ms();
    if (now - fs->dirs->swept_ms < FS_FRESH_MS)
        return;
    fs->dirs->swept_ms = now;
    size_t bytes = 0;
    for (size_t i = 0; i < FOLDER_BUCKETS; i++) {
        for (struct folder *d = fs->dirs->bucket[i]; d; d = d->next) {
            if (!d->listing)
                continue;
            size_t more = listing_bytes(d->listing);
            if (!folder_may_drop_locked(fs, d->listing, bytes + more)) {
                bytes += more;
                continue;
            }
            listing_unref(d->listing);
            d->listing = NULL;
        }
    }
}

/* Registers a listing that is about to run. */
static void folder_run_begin(struct folder *d, struct folder_run *run, struct listing *l)
{
    LOCK_SCOPE(&d->fs->mu);
    *run = (struct folder_run){.next = d->runs, .listing = l};
    d->runs = run;
}

/* A listing has run: it becomes the directory's latest unless a later one was faster. */
static void folder_run_end(struct folder *d, struct folder_run *run)
{
    LOCK_SCOPE(&d->fs->mu);
    struct folder_run **at = &d->runs;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    struct listing *l = run->listing;
    if (!listing_done(l))
        return;
    if (!d->listing || listing_begun_ms(d->listing) <= listing_begun_ms(l)) {
        listing_unref(d->listing);
        d->listing = listing_ref(l);
    }
    folder_sweep_locked(d->fs);
}

int folder_run(struct folder *d, struct listing *l, struct err *err)
{
    struct folder_run run;
    CLEANUP(freep) char *prefix = fs_key(d->fs, d->path, "");
    if (!prefix) {
        listing_fail(l, -ENOMEM);
        return -ENOMEM;
    }
    folder_run_begin(d, &run, l);
    int r = listing_run(l, d->fs->store, prefix, err);
    folder_run_end(d, &run);
    return r;
}

struct folder_list_job {
    struct folder *dir;      /* a reference */
    struct listing *listing; /* a reference */
};

static void folder_list_job(void *arg)
{
    struct folder_list_job *job = arg;
    struct err err = {0};
    int r = folder_run(job->dir, job->listing, &err);
    if (r < 0)
        log_warn("list", "%s: %s", job->dir->path, err.msg);
    listing_unref(job->listing);
    folder_unref(job->dir);
    free(job);
}

int folder_list(struct folder *d, struct listing **ret)
{
    struct folder_list_job *job = calloc(1, sizeof(*job));
    struct listing *l = NULL;
    int r = job ? listing_new(&l) : -ENOMEM;
    if (r < 0) {
        free(job);
        return r;
    }
    {
        LOCK_SCOPE(&d->fs->mu);
        *job = (struct folder_list_job){.dir = folder_ref_locked(d), .listing = listing_ref(l)};
    }
    r = pool_submit(d->fs->names, folder_list_job, job);
    if (r < 0) {
        listing_unref(l);
        listing_unref(l);
        folder_unref(d);
        free(job);
        return r;
    }
    *ret = l;
    return 0;
}
