#include "fs/listing.h"

#include "base/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    LISTING_PAGE = 1000,
    LISTING_GOOD_MS = 1000,
    LISTING_ARENA_MIN = 4 << 10,
    LISTING_ARENA_MAX = 256 << 10,
    LISTING_CHANGED_MAX = 4096, /* names; a power of two */
};

/* Names and ETags live in arenas that never move, so that entries can be borrowed. */
struct listing_arena {
    struct listing_arena *next;
    size_t used, cap;
    char text[];
};

struct listing_packed {
    const char *name; /* followed by its NUL and the ETag */
    uint64_t size;
    int64_t mtime_ns;
    bool is_dir;
};

struct listing_waiter {
    struct listing_waiter *next;
    size_t at;
    listing_fn *fn;
    void *arg;
};

struct listing {
    _Atomic int refs;
    int64_t begun_ms;
    size_t skip; /* writer only: length of the prefix */

    pthread_mutex_t mu;
    /* guarded by mu: */
    struct listing_packed *entry;
    size_t count, cap;
    struct listing_arena *arena;
    size_t arena_bytes;
    bool marked; /* see listing_is_marked() */
    bool ended;
    int error;
    int64_t used_ms; /* when it ended, or was last read */
    struct listing_waiter *waiters;
    char **changed; /* hash table of names that changed since, NULL while there are none */
    size_t changed_count;
    bool changed_all; /* too many to remember: every name may have changed */
};

int listing_new(struct listing **ret)
{
    struct listing *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->refs = 1;
    l->begun_ms = l->used_ms = clock_ms();
    (void)pthread_mutex_init(&l->mu, NULL);
    *ret = l;
    return 0;
}

struct listing *listing_ref(struct listing *l)
{
    if (l)
        (void)atomic_fetch_add(&l->refs, 1);
    return l;
}

void listing_unref(struct listing *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    while (l->arena) {
        struct listing_arena *a = l->arena;
        l->arena = a->next;
        free(a);
    }
    for (size_t i = 0; l->changed && i < LISTING_CHANGED_MAX; i++)
        free(l->changed[i]);
    (void)pthread_mutex_destroy(&l->mu);
    free((void *)l->changed);
    free(l->entry);
    free(l);
}

/* Copies name and ETag, each with its NUL, into an arena. */
static const char *listing_text_locked(struct listing *l, const char *name, size_t len,
                                       const char *etag)
{
    size_t etag_len = strlen(etag);
    size_t need = len + 1 + etag_len + 1;
    if (!l->arena || l->arena->cap - l->arena->used < need) {
        size_t cap = l->arena ? MIN(2 * l->arena->cap, (size_t)LISTING_ARENA_MAX)
                              : (size_t)LISTING_ARENA_MIN;
        cap = MAX(cap, need);
        struct listing_arena *a = malloc(sizeof(*a) + cap);
        if (!a)
            return NULL;
        *a = (struct listing_arena){.next = l->arena, .cap = cap};
        l->arena = a;
        l->arena_bytes += cap;
    }
    char *text = l->arena->text + l->arena->used;
    memcpy(text, name, len);
    text[len] = '\0';
    memcpy(text + len + 1, etag, etag_len + 1);
    l->arena->used += need;
    return text;
}

static int listing_add_locked(struct listing *l, const char *name, const struct store_stat *stat)
{
    size_t len = strlen(name);
    if (!stat)
        len--; /* the slash of a common prefix */
    if (l->count == l->cap) {
        size_t cap = MAX(l->cap * 2, (size_t)64);
        struct listing_packed *entry = realloc(l->entry, cap * sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        l->entry = entry;
        l->cap = cap;
    }
    struct listing_packed e = {.is_dir = !stat};
    e.name = listing_text_locked(l, name, len, stat ? stat->etag : "");
    if (!e.name)
        return -ENOMEM;
    if (stat) {
        e.size = stat->size;
        e.mtime_ns = stat->mtime_ns;
    }
    l->entry[l->count++] = e;
    return 0;
}

/* Takes the waiters that have what they wait for. */
static struct listing_waiter *listing_ready_locked(struct listing *l)
{
    struct listing_waiter *out = NULL;
    struct listing_waiter **at = &l->waiters;
    while (*at) {
        struct listing_waiter *w = *at;
        if (l->ended || w->at < l->count) {
            *at = w->next;
            w->next = out;
            out = w;
        } else {
            at = &w->next;
        }
    }
    return out;
}

static void listing_call(struct listing_waiter *list)
{
    while (list) {
        struct listing_waiter *w = list;
        list = w->next;
        w->fn(w->arg);
        free(w);
    }
}

static int listing_add(void *arg, const char *key, const struct store_stat *stat)
{
    struct listing *l = arg;
    struct listing_waiter *ready = NULL;
    int r = 0;
    {
        LOCK_SCOPE(&l->mu);
        if (key[l->skip] != '\0')
            r = listing_add_locked(l, key + l->skip, stat);
        else
            l->marked = true;
        if (l->waiters && l->count % LISTING_PAGE == 0)
            ready = listing_ready_locked(l);
    }
    listing_call(ready);
    return r;
}

static void listing_end(struct listing *l, int code)
{
    struct listing_waiter *ready = NULL;
    {
        LOCK_SCOPE(&l->mu);
        l->ended = true;
        l->error = code;
        l->used_ms = clock_ms();
        ready = listing_ready_locked(l);
    }
    listing_call(ready);
}

int listing_run(struct listing *l, struct store *st, const char *prefix, struct err *err)
{
    struct store_list list = {.prefix = prefix, .delimiter = '/'};
    l->skip = strlen(prefix);
    int r = store_list(st, &list, listing_add, l, err);
    listing_end(l, r);
    return r;
}

void listing_fail(struct listing *l, int code)
{
    listing_end(l, code);
}

static struct listing_entry listing_unpack(const struct listing_packed *e)
{
    return (struct listing_entry){.name = e->name,
                                  .is_dir = e->is_dir,
                                  .size = e->size,
                                  .mtime_ns = e->mtime_ns,
                                  .etag = e->name + strlen(e->name) + 1};
}

int listing_at(struct listing *l, size_t at, struct listing_entry *ret)
{
    LOCK_SCOPE(&l->mu);
    if (at < l->count) {
        *ret = listing_unpack(&l->entry[at]);
        return 1;
    }
    if (!l->ended)
        return -EAGAIN;
    return l->error;
}

size_t listing_count(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    return l->count;
}

int listing_wait(struct listing *l, size_t at, listing_fn *fn, void *arg)
{
    struct listing_waiter *w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    {
        LOCK_SCOPE(&l->mu);
        if (!l->ended && at >= l->count) {
            *w = (struct listing_waiter){.next = l->waiters, .at = at, .fn = fn, .arg = arg};
            l->waiters = TAKE(w);
        }
    }
    if (w) {
        free(w);
        fn(arg);
    }
    return 0;
}

/* Names compare as the store sorted them: a directory with its slash. */
static int listing_compare(const struct listing_packed *e, const char *name, bool dir)
{
    const unsigned char *a = (const unsigned char *)e->name;
    const unsigned char *b = (const unsigned char *)name;
    while (*a && *a == *b) {
        a++;
        b++;
    }
    unsigned char x = *a ? *a : (unsigned char)(e->is_dir ? '/' : 0);
    unsigned char y = *b ? *b : (unsigned char)(dir ? '/' : 0);
    return (x > y) - (x < y);
}

static bool listing_search_locked(const struct listing *l, const char *name, bool dir,
                                  struct listing_entry *ret)
{
    size_t low = 0;
    size_t high = l->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = listing_compare(&l->entry[mid], name, dir);
        if (order == 0) {
            *ret = listing_unpack(&l->entry[mid]);
            return ret->is_dir == dir;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return false;
}

/* The slot that holds a name, or the empty one where it belongs. */
static char **listing_changed_slot_locked(struct listing *l, const char *name)
{
    size_t at = 5381;
    for (const char *p = name; *p; p++)
        at = at * 33 + (unsigned char)*p;
    for (at &= LISTING_CHANGED_MAX - 1; l->changed[at] && strcmp(l->changed[at], name) != 0;)
        at = (at + 1) & (LISTING_CHANGED_MAX - 1);
    return &l->changed[at];
}

void listing_note_change(struct listing *l, const char *name)
{
    LOCK_SCOPE(&l->mu);
    if (!l->changed)
        l->changed = (char **)calloc(LISTING_CHANGED_MAX, sizeof(*l->changed));
    if (l->changed && l->changed_count < LISTING_CHANGED_MAX / 2) {
        char **slot = listing_changed_slot_locked(l, name);
        if (*slot)
            return;
        *slot = strdup(name);
        if (*slot) {
            l->changed_count++;
            return;
        }
    }
    l->changed_all = true;
}

bool listing_find(struct listing *l, const char *name, struct listing_entry *ret)
{
    LOCK_SCOPE(&l->mu);
    if (!l->ended || l->error < 0 || l->changed_all)
        return false;
    if (l->changed && *listing_changed_slot_locked(l, name))
        return false;
    return listing_search_locked(l, name, true, ret) || listing_search_locked(l, name, false, ret);
}

bool listing_is_marked(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    return l->marked;
}

bool listing_done(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    return l->ended && l->error == 0;
}

int64_t listing_begun_ms(const struct listing *l)
{
    return l->begun_ms;
}

int64_t listing_good_until_ms(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    return l->used_ms + MAX((int64_t)LISTING_GOOD_MS, 2 * (l->used_ms - l->begun_ms));
}

void listing_note_use(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    l->used_ms = clock_ms();
}

size_t listing_bytes(struct listing *l)
{
    LOCK_SCOPE(&l->mu);
    return sizeof(*l) + l->cap * sizeof(*l->entry) + l->arena_bytes +
           (l->changed ? LISTING_CHANGED_MAX * sizeof(*l->changed) : 0);
}
