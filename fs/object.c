#include "fs/object.h"

#include "base/crc32c.h"
#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    OBJECT_BUCKETS = 4096, /* a power of two */
    OBJECT_IDLE_MAX = 64,  /* versions kept open though nobody reads them */
    OBJECT_LATEST = 4096,  /* keys whose version is remembered; a power of two */
    OBJECT_DAMAGED = 256,  /* damaged versions remembered; a power of two */
};

/* The latest known version of a key, found by a hash of it. */
struct object_latest {
    uint64_t key; /* 0: empty */
    struct store_stat stat;
    int64_t stored_ns; /* when this mount has stored it; 0: it has not */
};

struct object {
    struct objects *os;
    char *key;
    char id[CACHE_ID_SIZE];
    struct store_stat stat;
    int fd;            /* complete: cache or local store; -1 while it is a fill */
    struct fill *fill; /* NULL when fd is there */
    uint64_t serial;   /* fixed */

    /* guarded by os->mu: */
    int refs;
    struct object *next;          /* of its bucket */
    struct object *newer, *older; /* in the list of idle ones */
};

struct objects {
    struct objects_conf conf;
    struct fill_conf fill_conf;
    struct proof_etags etags;

    pthread_mutex_t mu;
    /* guarded by mu: */
    struct object *bucket[OBJECT_BUCKETS];
    struct object *newest, *oldest; /* idle */
    int idle;
    uint64_t serials;             /* given out so far */
    struct object_latest *latest; /* direct-mapped */
    uint64_t
        damaged[OBJECT_DAMAGED]; /* direct-mapped: the ids of versions that failed their check */
};

static struct object **objects_slot(struct objects *os, const char *id)
{
    size_t hash = 0;
    for (int i = 0; i < 8; i++)
        hash = hash * 31 + (unsigned char)id[i];
    struct object **at = &os->bucket[hash & (OBJECT_BUCKETS - 1)];
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void object_destroy(struct object *o)
{
    closep(&o->fd);
    fill_unref(o->fill);
    free(o->key);
    free(o);
}

static void objects_idle_remove_locked(struct objects *os, struct object *o)
{
    *(o->newer ? &o->newer->older : &os->newest) = o->older;
    *(o->older ? &o->older->newer : &os->oldest) = o->newer;
    o->newer = o->older = NULL;
    os->idle--;
}

static void objects_idle_add_locked(struct objects *os, struct object *o)
{
    o->older = os->newest;
    *(os->newest ? &os->newest->newer : &os->oldest) = o;
    os->newest = o;
    os->idle++;
}

static void objects_forget_locked(struct objects *os, struct object *o)
{
    struct object **at = objects_slot(os, o->id);
    if (*at == o)
        *at = o->next;
}

/* Where a version is remembered as damaged, and as what. */
static uint64_t *objects_damaged_slot(struct objects *os, const char *id, uint64_t *ret_value)
{
    char digits[16] = "";
    memcpy(digits, id, sizeof(digits) - 1);
    *ret_value = strtoull(digits, NULL, 16);
    return &os->damaged[*ret_value & (OBJECT_DAMAGED - 1)];
}

/* Remembers a version whose fill has found it damaged. */
static void objects_note_damage_locked(struct objects *os, struct object *o)
{
    uint64_t value = 0;
    uint64_t *slot = objects_damaged_slot(os, o->id, &value);
    if (o->fill && fill_is_damaged(o->fill))
        *slot = value;
}

/* Lets go of all idle versions: each keeps its file from being evicted. */
static bool objects_let_go(void *arg)
{
    struct objects *os = arg;
    struct object *list = NULL;
    {
        LOCK_SCOPE(&os->mu);
        for (struct object *o = os->newest; o; o = o->older)
            objects_forget_locked(os, o);
        list = os->newest;
        os->newest = os->oldest = NULL;
        os->idle = 0;
    }
    bool any = list != NULL;
    while (list) {
        struct object *o = list;
        list = o->older;
        object_destroy(o);
    }
    return any;
}

int objects_new(const struct objects_conf *conf, struct objects **ret)
{
    struct objects *os = calloc(1, sizeof(*os));
    if (!os)
        return -ENOMEM;
    os->conf = *conf;
    os->fill_conf = (struct fill_conf){
        .store = conf->store, .cache = conf->cache, .pool = conf->pool, .etags = &os->etags};
    os->latest = calloc(OBJECT_LATEST, sizeof(*os->latest));
    if (!os->latest) {
        free(os);
        return -ENOMEM;
    }
    (void)pthread_mutex_init(&os->mu, NULL);
    cache_set_relief(conf->cache, objects_let_go, os);
    *ret = os;
    return 0;
}

void objects_free(struct objects *os)
{
    if (!os)
        return;
    cache_set_relief(os->conf.cache, NULL, NULL);
    (void)objects_let_go(os);
    (void)pthread_mutex_destroy(&os->mu);
    free(os->latest);
    free(os);
}

/* FNV-1a; never 0. */
static uint64_t objects_key_hash(const char *key)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (; *key; key++)
        hash = (hash ^ (unsigned char)*key) * 0x100000001b3ULL;
    return hash | 1;
}

/* Where a key's latest version is remembered; its hash. */
static struct object_latest *objects_latest_slot(struct objects *os, const char *key,
                                                 uint64_t *ret_hash)
{
    *ret_hash = objects_key_hash(key);
    return &os->latest[*ret_hash >> 1 & (OBJECT_LATEST - 1)];
}

bool objects_latest(struct objects *os, const char *key, struct store_stat *ret)
{
    uint64_t hash = 0;
    const struct object_latest *l = objects_latest_slot(os, key, &hash);
    LOCK_SCOPE(&os->mu);
    if (l->key != hash)
        return false;
    *ret = l->stat;
    return true;
}

void objects_note_latest(struct objects *os, const char *key, const struct store_stat *stat)
{
    uint64_t hash = 0;
    struct object_latest *l = objects_latest_slot(os, key, &hash);
    LOCK_SCOPE(&os->mu);
    if (stat)
        *l = (struct object_latest){.key = hash, .stat = *stat, .stored_ns = clock_ns()};
    else if (l->key == hash)
        l->key = 0;
}

/* Remembers what the store has answered. */
static void objects_learn(struct objects *os, const char *key, const struct store_stat *stat)
{
    uint64_t hash = 0;
    struct object_latest *l = objects_latest_slot(os, key, &hash);
    LOCK_SCOPE(&os->mu);
    bool same = l->key == hash && strcmp(l->stat.etag, stat->etag) == 0;
    *l = (struct object_latest){.key = hash, .stat = *stat, .stored_ns = same ? l->stored_ns : 0};
}

void objects_note_absent(struct objects *os, const char *key, int64_t asked_ns)
{
    uint64_t hash = 0;
    struct object_latest *l = objects_latest_slot(os, key, &hash);
    LOCK_SCOPE(&os->mu);
    if (l->key == hash && l->stored_ns < asked_ns)
        l->key = 0;
}

bool objects_stored(struct objects *os, const char *key, struct store_stat *ret)
{
    uint64_t hash = 0;
    const struct object_latest *l = objects_latest_slot(os, key, &hash);
    LOCK_SCOPE(&os->mu);
    if (l->key != hash || l->stored_ns == 0)
        return false;
    *ret = l->stat;
    return true;
}

void object_ref(struct object *o)
{
    LOCK_SCOPE(&o->os->mu);
    o->refs++;
}

void object_unref(struct object *o)
{
    if (!o)
        return;
    struct objects *os = o->os;
    struct object *dead = NULL;
    bool useful = o->fd >= 0 || (o->fill && fill_is_useful(o->fill));
    (void)pthread_mutex_lock(&os->mu);
    if (--o->refs == 0) {
        if (useful) {
            objects_idle_add_locked(os, o);
            if (os->idle > OBJECT_IDLE_MAX)
                dead = os->oldest;
        } else {
            dead = o;
            objects_note_damage_locked(os, o);
            objects_idle_add_locked(os, o); /* so that one way out suffices */
        }
    }
    if (dead) {
        objects_idle_remove_locked(os, dead);
        objects_forget_locked(os, dead);
    }
    (void)pthread_mutex_unlock(&os->mu);
    if (dead)
        object_destroy(dead);
}

/* A reference to the object of this id if there is one. One that is damaged or gone stays with
 * those who have it open; whoever comes now starts anew. */
static struct object *objects_find_locked(struct objects *os, const char *id)
{
    struct object *o = *objects_slot(os, id);
    if (!o)
        return NULL;
    if (o->fill && fill_has_failed(o->fill)) {
        objects_note_damage_locked(os, o);
        objects_forget_locked(os, o);
        return NULL;
    }
    if (o->refs++ == 0)
        objects_idle_remove_locked(os, o);
    return o;
}

static struct object *objects_find(struct objects *os, const char *id)
{
    LOCK_SCOPE(&os->mu);
    return objects_find_locked(os, id);
}

/* Enters a new object, or drops it for one that another thread entered meanwhile. */
static struct object *objects_enter(struct objects *os, struct object *o)
{
    struct object *other = NULL;
    {
        LOCK_SCOPE(&os->mu);
        other = objects_find_locked(os, o->id);
        if (!other)
            *objects_slot(os, o->id) = o;
    }
    if (!other)
        return o;
    object_destroy(o);
    return other;
}

static struct object *object_make(struct objects *os, const char *key,
                                  const struct store_stat *stat)
{
    struct object *o = calloc(1, sizeof(*o));
    if (!o)
        return NULL;
    o->os = os;
    o->fd = -1;
    o->refs = 1;
    o->stat = *stat;
    {
        LOCK_SCOPE(&os->mu);
        o->serial = ++os->serials;
    }
    o->key = strdup(key);
    if (!o->key || cache_id(store_id(os->conf.store), key, stat->etag, o->id) < 0) {
        free(o->key);
        free(o);
        return NULL;
    }
    return o;
}

/* Finds the bytes of a new object: in a local store, in the disk cache, or nowhere yet. */
static int object_source(struct object *o, struct err *err)
{
    struct objects *os = o->os;
    struct store_stat local;
    int fd = store_open_local(os->conf.store, o->key, &local, err);
    if (fd >= 0) {
        if (strcmp(local.etag, o->stat.etag) != 0) {
            closep(&fd);
            return err_set(err, -ESTALE, "%s: the store has another version", o->key);
        }
        o->fd = fd;
        return 0;
    }
    if (fd != -EOPNOTSUPP)
        return fd;
    err_clear(err);
    struct err why = {0};
    uint32_t crc = 0;
    fd = cache_get(os->conf.cache, o->id, o->stat.size, &crc, &why);
    if (why.msg[0])
        log_warn("cache", "%s: %s; fetching it again", o->key, why.msg);
    if (fd >= 0 && o->stat.has_crc32c && o->stat.crc32c != crc)
        closep(&fd);
    else if (fd >= 0) {
        o->fd = fd;
        return 0;
    }
    return fill_new(&os->fill_conf, o->key, &o->stat, &o->fill);
}

struct proof_etags *objects_etags(struct objects *os)
{
    return &os->etags;
}

int objects_open(struct objects *os, const char *key, const struct store_stat *stat,
                 struct object **ret, struct err *err)
{
    char id[CACHE_ID_SIZE];
    if (cache_id(store_id(os->conf.store), key, stat->etag, id) < 0)
        return -ENOMEM;
    struct object *o = objects_find(os, id);
    if (!o) {
        o = object_make(os, key, stat);
        if (!o)
            return -ENOMEM;
        int r = object_source(o, err);
        if (r < 0) {
            object_destroy(o);
            return r;
        }
        o = objects_enter(os, o);
    }
    *ret = o;
    return 0;
}

/* Makes the bytes of a derived version in a private file and publishes it. */
static int object_derive(struct object *o, object_make_fn *make, void *arg, struct err *err)
{
    struct cache *c = o->os->conf.cache;
    struct cache_file file = {.fd = -1};
    uint32_t crc = 0;
    int r = cache_reserve(c, o->stat.size, true);
    if (r < 0)
        return err_set(err, r, "the cache has no room");
    file.reserved = o->stat.size;
    r = cache_file_new(c, &file, err);
    if (r == 0)
        r = make(arg, file.fd, err);
    if (r == 0)
        r = crc32c_fd(file.fd, 0, o->stat.size, 0, &crc);
    if (r == 0)
        r = cache_file_publish(c, &file, o->id, crc);
    if (r == 0)
        o->fd = TAKE_FD(file.fd);
    cache_file_drop(c, &file);
    return r;
}

int objects_derived(struct objects *os, const char *key, const struct store_stat *stat,
                    object_make_fn *make, void *arg, struct object **ret, struct err *err)
{
    char id[CACHE_ID_SIZE];
    uint32_t crc = 0;
    if (cache_id(store_id(os->conf.store), key, stat->etag, id) < 0)
        return -ENOMEM;
    struct object *o = objects_find(os, id);
    if (!o) {
        o = object_make(os, key, stat);
        if (!o)
            return -ENOMEM;
        o->fd = cache_get(os->conf.cache, o->id, stat->size, &crc, NULL);
        int r = o->fd >= 0 ? 0 : object_derive(o, make, arg, err);
        if (r < 0) {
            object_destroy(o);
            return r;
        }
        o = objects_enter(os, o);
    }
    *ret = o;
    return 0;
}

bool objects_has(struct objects *os, const char *key, const char *etag)
{
    char id[CACHE_ID_SIZE];
    if (cache_id(store_id(os->conf.store), key, etag, id) < 0)
        return false;
    {
        LOCK_SCOPE(&os->mu);
        const struct object *o = *objects_slot(os, id);
        if (o && (o->fd >= 0 || fill_is_useful(o->fill)))
            return true;
    }
    return cache_has(os->conf.cache, id);
}

/* The first chunk of an object, on its way through memory. */
struct object_head {
    size_t len;
    char data[FILL_CHUNK];
};

static int object_head_sink(void *arg, const struct store_stat *stat, uint64_t off,
                            const void *data, size_t len)
{
    struct object_head *head = arg;
    (void)stat;
    if (off != head->len || len > sizeof(head->data) - head->len)
        return -EBADMSG;
    memcpy(head->data + off, data, len);
    head->len += len;
    return 0;
}

static int objects_current_local(struct objects *os, const char *key, const char *known,
                                 struct object **ret, struct err *err)
{
    struct store_stat stat;
    CLEANUP(closep) int fd = store_open_local(os->conf.store, key, &stat, err);
    if (fd < 0)
        return fd;
    if (known && strcmp(known, stat.etag) == 0)
        return OBJECT_SAME;
    struct object *o = object_make(os, key, &stat);
    if (!o)
        return -ENOMEM;
    o->fd = TAKE_FD(fd);
    *ret = objects_enter(os, o);
    return 0;
}

int objects_current(struct objects *os, const char *key, const char *known, struct object **ret,
                    struct err *err)
{
    struct store_stat stat;
    int r = objects_current_local(os, key, known, ret, err);
    if (r != -EOPNOTSUPP)
        return r;
    err_clear(err);
    CLEANUP(freep) struct object_head *head = malloc(sizeof(*head));
    if (!head)
        return -ENOMEM;
    head->len = 0;
    struct store_get get = {.len = FILL_CHUNK, .if_none_match = known};
    r = store_get(os->conf.store, key, &get, object_head_sink, head, &stat, err);
    if (r == STORE_SAME)
        return OBJECT_SAME;
    if (r == 0) {
        objects_learn(os, key, &stat);
        r = objects_open(os, key, &stat, ret, err);
    }
    if (r == 0 && (*ret)->fill)
        fill_give_head((*ret)->fill, &stat, head->data, head->len);
    return r;
}

/* Forgets what was fetched of a version that is now complete in the cache by another way: equal
 * bytes have equal ETags, so a version can come back. */
static void objects_forget_idle(struct objects *os, const char *id)
{
    struct object *o = NULL;
    {
        LOCK_SCOPE(&os->mu);
        o = *objects_slot(os, id);
        if (!o || o->refs > 0 || !o->fill)
            return;
        objects_idle_remove_locked(os, o);
        objects_forget_locked(os, o);
    }
    object_destroy(o);
}

void objects_adopt(struct objects *os, const char *key, const struct store_stat *stat, uint32_t crc,
                   struct cache_file *file)
{
    char id[CACHE_ID_SIZE];
    if (cache_id(store_id(os->conf.store), key, stat->etag, id) < 0 ||
        cache_file_publish(os->conf.cache, file, id, crc) < 0)
        log_debug("cache", "%s: what was written could not be kept in the cache", key);
    else
        objects_forget_idle(os, id);
}

const struct store_stat *object_stat(const struct object *o)
{
    return &o->stat;
}

/* Reads a complete object on the caller's thread. */
static void object_read_file(const struct object *o, uint64_t off, size_t len, fill_read_fn *fn,
                             void *arg)
{
    off = MIN(off, o->stat.size);
    len = (size_t)MIN((uint64_t)len, o->stat.size - off);
    CLEANUP(freep) void *data = malloc(MAX(len, (size_t)1));
    int r = data ? pread_full(o->fd, data, len, off) : -ENOMEM;
    if (r < 0)
        log_error("read", "%s: %s", o->key, errno_text(r));
    fn(arg, r == -ENODATA ? -EIO : r, data, r < 0 ? 0 : len);
}

void object_read(struct object *o, uint64_t off, size_t len, fill_read_fn *fn, void *arg)
{
    if (o->fill)
        fill_read(o->fill, off, len, fn, arg);
    else
        object_read_file(o, off, len, fn, arg);
}

/* A read whose caller waits. */
struct object_wait {
    pthread_mutex_t mu;
    pthread_cond_t done;
    /* guarded by mu: */
    void *dst;
    int64_t result;
    bool answered;
};

static void object_wait_answer(void *arg, int code, const void *data, size_t len)
{
    struct object_wait *w = arg;
    LOCK_SCOPE(&w->mu);
    if (code == 0 && len > 0)
        memcpy(w->dst, data, len);
    w->result = code < 0 ? code : (int64_t)len;
    w->answered = true;
    (void)pthread_cond_signal(&w->done);
}

int64_t object_pread(struct object *o, void *dst, size_t len, uint64_t off)
{
    struct object_wait w = {
        .mu = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER, .dst = dst};
    object_read(o, off, len, object_wait_answer, &w);
    LOCK_SCOPE(&w.mu);
    while (!w.answered)
        (void)pthread_cond_wait(&w.done, &w.mu);
    return w.result;
}

int object_all(struct object *o, struct err *err)
{
    return o->fill ? fill_all(o->fill, err) : 0;
}

int object_check(struct object *o, struct err *err)
{
    uint64_t value = 0;
    uint64_t *slot = objects_damaged_slot(o->os, o->id, &value);
    {
        LOCK_SCOPE(&o->os->mu);
        if (*slot != value)
            return 0;
    }
    int r = object_all(o, err);
    if (r == -EBADMSG)
        return err_set(err, -EIO, "%s is damaged: it is not what its writer stored", o->key);
    LOCK_SCOPE(&o->os->mu);
    if (r == 0 && *slot == value)
        *slot = 0;
    return r;
}

uint64_t object_serial(const struct object *o)
{
    return o->serial;
}

int object_fd(struct object *o)
{
    return o->fill ? fill_complete_fd(o->fill) : o->fd;
}
