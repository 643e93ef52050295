#include "fs/fill.h"

#include "base/lock.h"
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILL_PART_CHUNKS = 32,    /* 4 MiB: one GET at most */
    FILL_PARTS_MAX = 8,       /* GETs under way for one object that nobody waits for yet */
    FILL_AHEAD_MIN = 1 << 20, /* first step of reading ahead; it doubles with each read */
    FILL_AHEAD_MAX = 32 << 20,
    FILL_NEAR = 1 << 20, /* a read this close behind or before the last one still goes forward */
};

/* Bytes of an object: more than any store keeps in one piece, and 64 MiB of bits for its chunks. */
#define FILL_SIZE_MAX (1ULL << 46)

enum fill_state { FILL_FILLING, FILL_CHECKING, FILL_COMPLETE, FILL_FAILED };

struct fill_waiter {
    struct fill_waiter *next;
    uint64_t off;
    size_t len;
    fill_read_fn *fn;
    void *arg;
    int code; /* once decided: 0 for bytes of the file, or the error */
};

struct fill {
    const struct fill_conf *conf;
    char *key;
    struct store_stat stat;
    size_t chunks;
    _Atomic int refs;

    pthread_mutex_t mu;
    /* guarded by mu: */
    enum fill_state state;
    int error;              /* FAILED: what reads get; also -ESTALE once the version is gone */
    struct cache_file file; /* fd -1 until the first bytes */
    uint8_t *present;       /* a bit a chunk */
    uint8_t *coming;        /* a bit a chunk: a GET is under way */
    size_t present_count;
    int parts;         /* GETs under way */
    bool no_room;      /* the cache is full: fetch nothing into the file any more */
    uint64_t next_off; /* where a reader that goes forward would read next */
    uint64_t ahead;    /* bytes to read ahead */
    struct fill_waiter *waiters;
    bool summing; /* a thread adds to `proof`, which is its own meanwhile */
    struct proof proof;
};

/* One ranged GET. */
struct fill_part {
    struct fill *fill; /* a reference */
    size_t first, count;
    uint64_t got;      /* bytes that have come */
    size_t done;       /* chunks of them, written */
    uint64_t reserved; /* bytes asked for them */
    int error;         /* what the file said when writing to it failed */
};

static bool fill_bit(const uint8_t *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static void fill_bit_set(uint8_t *bits, size_t i, bool on)
{
    uint8_t mask = (uint8_t)(1U << (i % 8));
    bits[i / 8] = (uint8_t)(on ? bits[i / 8] | mask : bits[i / 8] & ~mask);
}

static uint64_t fill_chunk_end(const struct fill *f, size_t chunk)
{
    return MIN(f->stat.size, ((uint64_t)chunk + 1) * FILL_CHUNK);
}

int fill_new(const struct fill_conf *conf, const char *key, const struct store_stat *stat,
             struct fill **ret)
{
    if (stat->size > FILL_SIZE_MAX)
        return -EFBIG;
    struct fill *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->conf = conf;
    f->stat = *stat;
    f->chunks = (size_t)((stat->size + FILL_CHUNK - 1) / FILL_CHUNK);
    f->file.fd = -1;
    f->refs = 1;
    f->key = strdup(key);
    f->present = calloc(1, f->chunks / 8 + 1);
    f->coming = calloc(1, f->chunks / 8 + 1);
    (void)pthread_mutex_init(&f->mu, NULL);
    if (!f->key || !f->present || !f->coming) {
        fill_unref(f);
        return -ENOMEM;
    }
    *ret = f;
    return 0;
}

void fill_ref(struct fill *f)
{
    (void)atomic_fetch_add(&f->refs, 1);
}

void fill_unref(struct fill *f)
{
    if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
        return;
    cache_file_drop(f->conf->cache, &f->file);
    proof_fini(&f->proof);
    (void)pthread_mutex_destroy(&f->mu);
    free(f->present);
    free(f->coming);
    free(f->key);
    free(f);
}

/* True when every chunk of [off, off + len) is in the file. */
static bool fill_has_locked(const struct fill *f, uint64_t off, size_t len)
{
    if (len == 0)
        return true;
    for (size_t i = (size_t)(off / FILL_CHUNK); (uint64_t)i * FILL_CHUNK < off + len; i++) {
        if (!fill_bit(f->present, i))
            return false;
    }
    return true;
}

/* Whether a read can be answered now; sets its code. */
static bool fill_decide_locked(const struct fill *f, struct fill_waiter *w)
{
    if (f->state == FILL_CHECKING)
        return false;
    bool has = f->state != FILL_FAILED && fill_has_locked(f, w->off, w->len);
    w->code = has ? 0 : f->error; /* -ESTALE: what is missing will never come */
    return has || f->error < 0;
}

/* Answers a decided read. */
static void fill_answer(struct fill *f, const struct fill_waiter *w)
{
    CLEANUP(freep) void *data = NULL;
    int code = w->code;
    if (code == 0) {
        data = malloc(MAX(w->len, (size_t)1));
        code = data ? pread_full(f->file.fd, data, w->len, w->off) : -ENOMEM;
    }
    w->fn(w->arg, code, data, code == 0 ? w->len : 0);
}

/* Answers and frees a list of reads. */
static void fill_answer_all(struct fill *f, struct fill_waiter *list)
{
    while (list) {
        struct fill_waiter *w = list;
        list = w->next;
        fill_answer(f, w);
        free(w);
    }
}

/* A read whose bytes the cache has no room for. */
struct fill_direct {
    struct fill *fill; /* a reference */
    struct fill_waiter waiter;
    size_t got;
    char data[];
};

static int fill_direct_sink(void *arg, const struct store_stat *stat, uint64_t off,
                            const void *data, size_t len)
{
    struct fill_direct *d = arg;
    if (off != d->waiter.off + d->got || len > d->waiter.len - d->got ||
        stat->size != d->fill->stat.size)
        return -EBADMSG;
    memcpy(d->data + d->got, data, len);
    d->got += len;
    return 0;
}

static void fill_direct_job(void *arg)
{
    struct fill_direct *d = arg;
    struct fill *f = d->fill;
    struct store_get get = {.off = d->waiter.off, .len = d->waiter.len, .if_match = f->stat.etag};
    int r = store_get(f->conf->store, f->key, &get, fill_direct_sink, d, NULL, NULL);
    if (r == 0 && d->got != d->waiter.len)
        r = -EIO;
    if (r == -ENOENT)
        r = -ESTALE;
    d->waiter.fn(d->waiter.arg, r, d->data, r == 0 ? d->got : 0);
    fill_unref(f);
    free(d);
}

/* Frees the first of a list; returns the rest. */
static struct fill_waiter *fill_pop(struct fill_waiter *list)
{
    struct fill_waiter *rest = list->next;
    free(list);
    return rest;
}

static void fill_go_direct(struct fill *f, const struct fill_waiter *w)
{
    struct fill_direct *d = malloc(sizeof(*d) + w->len);
    if (!d) {
        w->fn(w->arg, -ENOMEM, NULL, 0);
        return;
    }
    fill_ref(f);
    *d = (struct fill_direct){.fill = f, .waiter = *w};
    int r = pool_submit(f->conf->pool, fill_direct_job, d);
    if (r < 0) {
        w->fn(w->arg, -EIO, NULL, 0);
        fill_unref(f);
        free(d);
    }
}

/* Answers the waiters that can be answered by now. */
static void fill_wake(struct fill *f)
{
    struct fill_waiter *list = NULL;
    (void)pthread_mutex_lock(&f->mu);
    struct fill_waiter **at = &f->waiters;
    while (*at) {
        struct fill_waiter *w = *at;
        if (fill_decide_locked(f, w)) {
            *at = w->next;
            w->next = list;
            list = w;
        } else {
            at = &w->next;
        }
    }
    (void)pthread_mutex_unlock(&f->mu);
    fill_answer_all(f, list);
}

/* Judges the whole, which has been summed, and publishes it. 0; -EBADMSG when the object is
 * damaged; -EIO when the cache does not give back what was put there. May ask the store. */
static int fill_check(struct fill *f)
{
    char id[CACHE_ID_SIZE];
    struct err err = {0};
    struct store *store = f->conf->store;
    int r = proof_judge(&f->proof, f->conf->etags, store, f->key, &f->stat, &err);
    if (r < 0) {
        log_error("read", "%s%s: %s", f->key, r == -EBADMSG ? " is damaged" : "", err.msg);
        return r == -ENOENT ? -ESTALE : r;
    }
    r = cache_id(store_id(store), f->key, f->stat.etag, id);
    if (r == 0)
        r = cache_file_publish(f->conf->cache, &f->file, id, f->proof.crc);
    if (r < 0) /* it is served all the same, while it is open */
        log_debug("cache", "%s: cannot be kept: %s", f->key, errno_text(r));
    return 0;
}

/* The bytes from the beginning on of which none is missing. */
static uint64_t fill_front_locked(const struct fill *f)
{
    size_t chunk = (size_t)(f->proof.done / FILL_CHUNK);
    while (chunk < f->chunks && fill_bit(f->present, chunk))
        chunk++;
    return MIN((uint64_t)chunk * FILL_CHUNK, f->stat.size);
}

/* Adds what came to the sum, in order; lets go of the lock meanwhile. */
static void fill_sum_locked(struct fill *f)
{
    for (;;) {
        uint64_t front = fill_front_locked(f);
        struct store_stat stat = f->stat;
        if (front == f->proof.done || f->proof.error < 0)
            return;
        (void)pthread_mutex_unlock(&f->mu);
        proof_feed(&f->proof, f->conf->etags, &stat, f->file.fd, front);
        (void)pthread_mutex_lock(&f->mu);
    }
}

static void fill_finish(struct fill *f)
{
    int r = fill_check(f);
    {
        LOCK_SCOPE(&f->mu);
        f->state = r < 0 ? FILL_FAILED : FILL_COMPLETE;
        f->error = r;
    }
    fill_wake(f);
}

/* Goes on with the sum unless another thread does. Who comes to the end of it checks the whole. */
static void fill_sum(struct fill *f)
{
    bool last = false;
    {
        LOCK_SCOPE(&f->mu);
        if (f->summing || f->state == FILL_COMPLETE || f->state == FILL_FAILED)
            return;
        f->summing = true;
        fill_sum_locked(f);
        last = f->state == FILL_CHECKING;
        f->summing = last;
    }
    if (last)
        fill_finish(f);
}

/* Marks a chunk as written. */
static void fill_chunk_done_locked(struct fill *f, size_t chunk)
{
    if (fill_bit(f->present, chunk))
        return;
    fill_bit_set(f->present, chunk, true);
    if (++f->present_count == f->chunks)
        f->state = FILL_CHECKING;
}

/* What a listing does not tell of a version, and a GET does. */
static void fill_learn_locked(struct fill *f, const struct store_stat *stat)
{
    if (stat->has_crc32c && !f->stat.has_crc32c) {
        f->stat.has_crc32c = true;
        f->stat.crc32c = stat->crc32c;
    }
    f->stat.md5_etag = f->stat.md5_etag || stat->md5_etag;
}

/* Bytes of the chunks of a part from the nth on. */
static uint64_t fill_part_bytes(const struct fill_part *p, size_t n)
{
    return fill_chunk_end(p->fill, p->first + p->count - 1) - (uint64_t)(p->first + n) * FILL_CHUNK;
}

/* Asks for room and makes the private file when it is not there yet. */
static int fill_make_room(struct fill_part *p)
{
    struct fill *f = p->fill;
    uint64_t bytes = fill_part_bytes(p, 0);
    int r = cache_reserve(f->conf->cache, bytes, false);
    if (r < 0)
        return r;
    LOCK_SCOPE(&f->mu);
    f->file.reserved += bytes;
    p->reserved = bytes;
    return f->file.fd < 0 ? cache_file_new(f->conf->cache, &f->file, NULL) : 0;
}

/* Gives back what was asked for chunks that did not come: they are asked for again. */
static void fill_return_room(struct fill_part *p)
{
    struct fill *f = p->fill;
    uint64_t bytes = p->reserved > 0 && p->done < p->count ? fill_part_bytes(p, p->done) : 0;
    if (bytes == 0)
        return;
    {
        LOCK_SCOPE(&f->mu);
        f->file.reserved -= bytes;
    }
    cache_release(f->conf->cache, bytes);
}

static int fill_part_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                          size_t len)
{
    struct fill_part *p = arg;
    struct fill *f = p->fill;
    if (off != (uint64_t)p->first * FILL_CHUNK + p->got || len > fill_part_bytes(p, 0) - p->got ||
        stat->size != f->stat.size)
        return -EBADMSG;
    p->got += len;
    int r = pwrite_full(f->file.fd, data, len, off);
    if (r < 0) {
        p->error = r;
        return r;
    }
    bool news = false;
    (void)pthread_mutex_lock(&f->mu);
    fill_learn_locked(f, stat);
    while (p->done < p->count && fill_chunk_end(f, p->first + p->done) <= off + len) {
        fill_chunk_done_locked(f, p->first + p->done);
        p->done++;
        news = true;
    }
    (void)pthread_mutex_unlock(&f->mu);
    if (news)
        fill_wake(f);
    return 0;
}

/* Takes the waiters that wanted bytes of [from, to) off the list and gives them `code`. */
static struct fill_waiter *fill_fail_locked(struct fill *f, uint64_t from, uint64_t to, int code)
{
    struct fill_waiter *list = NULL;
    struct fill_waiter **at = &f->waiters;
    while (*at) {
        struct fill_waiter *w = *at;
        if (w->off >= to || w->off + w->len <= from) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->code = code;
        w->next = list;
        list = w;
    }
    return list;
}

/* Ends a GET: what it did not bring can be asked for again, or fails its readers. When it was the
 * cache that failed, they read around it. */
static void fill_part_end(struct fill_part *p, int code)
{
    struct fill *f = p->fill;
    struct fill_waiter *list = NULL;
    bool disk = p->error < 0;
    fill_return_room(p);
    (void)pthread_mutex_lock(&f->mu);
    for (size_t i = 0; i < p->count; i++)
        fill_bit_set(f->coming, p->first + i, false);
    f->parts--;
    if (disk)
        f->no_room = true;
    else if (code == -ESTALE || code == -ENOENT)
        f->error = -ESTALE;
    if (code < 0 && p->done < p->count)
        list = fill_fail_locked(f, (uint64_t)(p->first + p->done) * FILL_CHUNK,
                                fill_chunk_end(f, p->first + p->count - 1),
                                f->error < 0 ? f->error : code);
    (void)pthread_mutex_unlock(&f->mu);
    for (; disk && list; list = fill_pop(list))
        fill_go_direct(f, list);
    fill_answer_all(f, list);
    fill_wake(f);
    fill_sum(f);
}

static void fill_part_job(void *arg)
{
    struct fill_part *p = arg;
    struct fill *f = p->fill;
    uint64_t off = (uint64_t)p->first * FILL_CHUNK;
    uint64_t len = fill_part_bytes(p, 0);
    struct err err = {0};
    int r = fill_make_room(p);
    if (r < 0) {
        p->error = r;
    } else {
        struct store_get get = {.off = off, .len = len, .if_match = f->stat.etag};
        r = store_get(f->conf->store, f->key, &get, fill_part_sink, p, NULL, &err);
        if (r == 0 && p->done < p->count)
            r = err_set(&err, -EIO, "the store sent less than it announced");
        else if (r == -EBADMSG && !err.msg[0])
            r = err_set(&err, -EBADMSG, "the store sent other bytes than were asked for");
    }
    if (r < 0 && p->error == 0)
        log_warn("read", "%s: %s", f->key, err.msg);
    fill_part_end(p, r);
    fill_unref(f);
    free(p);
}

/* Takes the next run of chunks in [*chunk, end) that nobody fetches; false when there is none. */
static bool fill_next_run_locked(struct fill *f, size_t *chunk, size_t end, size_t *ret_count)
{
    while (*chunk < end && (fill_bit(f->present, *chunk) || fill_bit(f->coming, *chunk)))
        ++*chunk;
    size_t n = 0;
    while (*chunk + n < end && n < FILL_PART_CHUNKS && !fill_bit(f->present, *chunk + n) &&
           !fill_bit(f->coming, *chunk + n))
        n++;
    *ret_count = n;
    return n > 0;
}

/* GETs that were planned under the lock and are submitted after it. */
struct fill_plan {
    struct fill_part *part[16];
    size_t count;
};

/* Plans GETs for chunks [first, end), of which those before `wanted` have a reader that waits. */
static void fill_plan_locked(struct fill *f, size_t first, size_t wanted, size_t end,
                             struct fill_plan *plan)
{
    size_t count = 0;
    for (size_t chunk = first; fill_next_run_locked(f, &chunk, end, &count); chunk += count) {
        if (plan->count == ARRAY_SIZE(plan->part) ||
            (chunk >= wanted && f->parts >= FILL_PARTS_MAX))
            break;
        struct fill_part *p = calloc(1, sizeof(*p));
        if (!p)
            break;
        *p = (struct fill_part){.fill = f, .first = chunk, .count = count};
        fill_ref(f);
        for (size_t i = 0; i < count; i++)
            fill_bit_set(f->coming, chunk + i, true);
        f->parts++;
        plan->part[plan->count++] = p;
    }
}

/* How far to fetch for a read of [off, off + len): just that, or ahead when reads go forward. */
static uint64_t fill_ahead_locked(struct fill *f, uint64_t off, size_t len)
{
    uint64_t end = off + len;
    bool forward = off + FILL_NEAR >= f->next_off && off <= f->next_off + FILL_NEAR;
    if (!forward)
        f->ahead = 0;
    else if (end > f->next_off && end > FILL_CHUNK) /* a look at the head is no reading forward */
        f->ahead = MIN(MAX(2 * f->ahead, (uint64_t)FILL_AHEAD_MIN), (uint64_t)FILL_AHEAD_MAX);
    f->next_off = forward ? MAX(f->next_off, end) : end;
    return MIN(f->stat.size, f->next_off + f->ahead);
}

static void fill_submit(struct fill *f, const struct fill_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct fill_part *p = plan->part[i];
        if (pool_submit(f->conf->pool, fill_part_job, p) < 0) {
            fill_part_end(p, -EIO);
            fill_unref(f);
            free(p);
        }
    }
}

enum fill_verdict { FILL_ANSWER, FILL_DIRECT, FILL_QUEUED };

/* Decides what happens to a read: it is answered at once, goes around the cache, or waits in the
 * list (*later, which is then taken) for GETs that are under way or planned here. */
static enum fill_verdict fill_enqueue_locked(struct fill *f, struct fill_waiter *now,
                                             struct fill_waiter **later, struct fill_plan *plan)
{
    if (f->state == FILL_COMPLETE || f->state == FILL_FAILED)
        return fill_decide_locked(f, now) ? FILL_ANSWER : FILL_DIRECT;
    size_t first = (size_t)(now->off / FILL_CHUNK);
    size_t wanted = (size_t)((now->off + now->len + FILL_CHUNK - 1) / FILL_CHUNK);
    uint64_t end = fill_ahead_locked(f, now->off, now->len);
    if (f->state == FILL_FILLING && !f->no_room && f->error == 0 && now->len > 0)
        fill_plan_locked(f, first, wanted, (size_t)((end + FILL_CHUNK - 1) / FILL_CHUNK), plan);
    if (fill_decide_locked(f, now))
        return FILL_ANSWER;
    for (size_t i = first; i < wanted; i++) {
        if (!fill_bit(f->present, i) && !fill_bit(f->coming, i))
            return FILL_DIRECT; /* no room, or no memory to plan with */
    }
    if (!*later)
        return FILL_DIRECT;
    **later = *now;
    (*later)->next = f->waiters;
    f->waiters = TAKE(*later);
    return FILL_QUEUED;
}

void fill_read(struct fill *f, uint64_t off, size_t len, fill_read_fn *fn, void *arg)
{
    off = MIN(off, f->stat.size);
    len = (size_t)MIN((uint64_t)len, f->stat.size - off);
    struct fill_waiter now = {.off = off, .len = len, .fn = fn, .arg = arg};
    struct fill_plan plan = {0};
    CLEANUP(freep) struct fill_waiter *later = malloc(sizeof(*later));
    (void)pthread_mutex_lock(&f->mu);
    enum fill_verdict verdict = fill_enqueue_locked(f, &now, &later, &plan);
    (void)pthread_mutex_unlock(&f->mu);
    fill_submit(f, &plan);
    if (verdict == FILL_ANSWER)
        fill_answer(f, &now);
    else if (verdict == FILL_DIRECT)
        fill_go_direct(f, &now);
}

void fill_give_head(struct fill *f, const struct store_stat *stat, const void *data, size_t len)
{
    len = (size_t)MIN((uint64_t)len, f->stat.size);
    if (len < fill_chunk_end(f, 0) || f->chunks == 0 || stat->size != f->stat.size)
        return;
    {
        LOCK_SCOPE(&f->mu);
        if (f->state != FILL_FILLING || fill_bit(f->present, 0) || fill_bit(f->coming, 0))
            return;
        fill_bit_set(f->coming, 0, true);
        f->parts++;
    }
    fill_ref(f);
    struct fill_part part = {.fill = f, .first = 0, .count = 1};
    int r = fill_make_room(&part);
    if (r == 0)
        r = fill_part_sink(&part, stat, 0, data, (size_t)fill_chunk_end(f, 0));
    part.error = r;
    fill_part_end(&part, r);
    fill_unref(f);
}

/* Waits for reads that cover the object. */
struct fill_all_wait {
    pthread_mutex_t mu;
    pthread_cond_t done;
    /* guarded by mu: */
    int code;
    bool answered;
};

static void fill_all_answer(void *arg, int code, const void *data, size_t len)
{
    struct fill_all_wait *w = arg;
    (void)data;
    (void)len;
    LOCK_SCOPE(&w->mu);
    w->code = code;
    w->answered = true;
    (void)pthread_cond_signal(&w->done);
}

static int fill_all_read(struct fill *f, uint64_t off, size_t len)
{
    struct fill_all_wait w = {.mu = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    fill_read(f, off, len, fill_all_answer, &w);
    LOCK_SCOPE(&w.mu);
    while (!w.answered)
        (void)pthread_cond_wait(&w.done, &w.mu);
    return w.code;
}

static bool fill_lacks_room(struct fill *f)
{
    LOCK_SCOPE(&f->mu);
    return f->no_room && f->state == FILL_FILLING;
}

int fill_all(struct fill *f, struct err *err)
{
    for (uint64_t off = 0; off < f->stat.size; off += FILL_CHUNK) {
        int r = fill_all_read(f, off, 1);
        if (r == 0 && fill_lacks_room(f)) /* reads go around the cache: no use to go on */
            return err_set(err, -ENOSPC, "read %s: the cache has no room for it", f->key);
        if (r < 0)
            return err_errno(err, r, "read %s", f->key);
    }
    return 0;
}

bool fill_is_useful(struct fill *f)
{
    LOCK_SCOPE(&f->mu);
    return f->present_count > 0 && f->state != FILL_FAILED && f->error == 0 && !f->no_room;
}

bool fill_has_failed(struct fill *f)
{
    LOCK_SCOPE(&f->mu);
    return f->error < 0;
}

bool fill_is_damaged(struct fill *f)
{
    LOCK_SCOPE(&f->mu);
    return f->error == -EBADMSG;
}

int fill_complete_fd(struct fill *f)
{
    LOCK_SCOPE(&f->mu);
    return f->state == FILL_COMPLETE ? f->file.fd : -1;
}
