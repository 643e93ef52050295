#include "tests/unit/fs/remote.h"

#include "base/lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { REMOTE_PATIENCE_MS = 10000, REMOTE_SKIPPED = 10 };

struct remote {
    struct store base;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed;
    struct remote_counts counts;
    int shut, shut_after; /* kinds that wait */
    int waiting;
    struct remote_damage damage;
    bool local;
};

static struct remote *remote_of(struct store *st)
{
    return (struct remote *)st; /* `base` comes first */
}

/* The gate: waits while calls of this kind are held. */
static void remote_pass(struct remote *r, const int *shut, enum remote_op op)
{
    LOCK_SCOPE(&r->mu);
    if (!(*shut & (int)op))
        return;
    r->waiting++;
    (void)pthread_cond_broadcast(&r->changed);
    while (*shut & (int)op)
        (void)pthread_cond_wait(&r->changed, &r->mu);
    r->waiting--;
}

static void remote_begin(struct remote *r, enum remote_op op, int *count)
{
    {
        LOCK_SCOPE(&r->mu);
        ++*count;
    }
    remote_pass(r, &r->shut, op);
}

/* A get or list under way. */
struct remote_call {
    struct remote *remote;
    struct remote_damage damage;
    store_sink_fn *sink;
    store_list_fn *fn;
    void *arg;
};

static int remote_deliver(struct remote_call *c, const struct store_stat *stat, uint64_t off,
                          const char *data, size_t len)
{
    if (len == 0)
        return 0;
    {
        LOCK_SCOPE(&c->remote->mu);
        c->remote->counts.bytes += len;
    }
    return c->sink(c->arg, stat, off, data, len);
}

static int remote_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                       size_t len)
{
    struct remote_call *c = arg;
    const struct remote_damage *d = &c->damage;
    struct store_stat seen = *stat;
    bool hit = d->at >= off && d->at < off + len;
    seen.has_crc32c &= !d->hide_crc;
    seen.md5_etag |= d->md5_etag;
    seen.size += (uint64_t)d->size_more;
    CLEANUP(freep) char *copy = malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, len);
    if (hit && d->flip)
        copy[d->at - off] ^= 1;
    if (!hit || !d->skip)
        return remote_deliver(c, &seen, off, copy, len);
    size_t before = (size_t)(d->at - off);
    size_t after = MIN(before + REMOTE_SKIPPED, len);
    int r = remote_deliver(c, &seen, off, copy, before);
    return r < 0 ? r : remote_deliver(c, &seen, off + after, copy + after, len - after);
}

static int remote_get(struct store *st, const char *key, const struct store_get *get,
                      store_sink_fn *sink, void *arg, struct store_stat *ret_stat, struct err *err)
{
    struct remote *r = remote_of(st);
    struct store_stat stat;
    remote_begin(r, REMOTE_GET, &r->counts.gets);
    struct remote_call call = {.remote = r, .sink = sink, .arg = arg};
    {
        LOCK_SCOPE(&r->mu);
        call.damage = r->damage;
        if (r->damage.once > 0 && --r->damage.once == 0)
            r->damage.flip = r->damage.skip = false;
    }
    int code = store_get(st->below, key, get, remote_sink, &call, &stat, err);
    remote_pass(r, &r->shut_after, REMOTE_GET);
    if (code != 0)
        return code;
    stat.has_crc32c &= !call.damage.hide_crc;
    stat.md5_etag |= call.damage.md5_etag;
    stat.size += (uint64_t)call.damage.size_more;
    if (ret_stat)
        *ret_stat = stat;
    return 0;
}

static int remote_put(struct store *st, const char *key, const struct store_body *body,
                      const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    struct remote *r = remote_of(st);
    remote_begin(r, REMOTE_PUT, &r->counts.puts);
    int code = store_put(st->below, key, body, put, ret_stat, err);
    remote_pass(r, &r->shut_after, REMOTE_PUT);
    return code;
}

static int remote_head(struct store *st, const char *key, struct store_stat *ret_stat,
                       struct err *err)
{
    struct remote *r = remote_of(st);
    remote_begin(r, REMOTE_HEAD, &r->counts.heads);
    int code = store_head(st->below, key, ret_stat, err);
    remote_pass(r, &r->shut_after, REMOTE_HEAD);
    return code;
}

static int remote_del(struct store *st, const char *key, const char *if_match, struct err *err)
{
    struct remote *r = remote_of(st);
    remote_begin(r, REMOTE_DEL, &r->counts.dels);
    int code = store_del(st->below, key, if_match, err);
    remote_pass(r, &r->shut_after, REMOTE_DEL);
    return code;
}

static int remote_entry(void *arg, const char *key, const struct store_stat *stat)
{
    const struct remote_call *c = arg;
    {
        LOCK_SCOPE(&c->remote->mu);
        c->remote->counts.entries++;
    }
    return c->fn(c->arg, key, stat);
}

static int remote_list(struct store *st, const struct store_list *list, store_list_fn *fn,
                       void *arg, struct err *err)
{
    struct remote *r = remote_of(st);
    remote_begin(r, REMOTE_LIST, &r->counts.lists);
    struct remote_call call = {.remote = r, .fn = fn, .arg = arg};
    int code = store_list(st->below, list, remote_entry, &call, err);
    remote_pass(r, &r->shut_after, REMOTE_LIST);
    return code;
}

static int remote_open_local(struct store *st, const char *key, struct store_stat *ret_stat,
                             struct err *err)
{
    struct remote *r = remote_of(st);
    bool local;
    {
        LOCK_SCOPE(&r->mu);
        local = r->local;
    }
    if (local)
        return store_open_local(st->below, key, ret_stat, err);
    return err_set(err, -EOPNOTSUPP, "remote: objects are not local files");
}

static void remote_free(struct store *st)
{
    struct remote *r = remote_of(st);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->mu);
    free(r);
}

static const struct store_ops remote_ops = {
    .name = "remote",
    .get = remote_get,
    .put = remote_put,
    .head = remote_head,
    .del = remote_del,
    .list = remote_list,
    .open_local = remote_open_local,
    .free = remote_free,
};

int remote_new(struct store **below, struct store **ret)
{
    struct remote *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->base = (struct store){.ops = &remote_ops, .below = TAKE(*below)};
    (void)pthread_mutex_init(&r->mu, NULL);
    lock_cond_init(&r->changed);
    *ret = &r->base;
    return 0;
}

struct remote_counts remote_count(struct store *st)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    return r->counts;
}

void remote_clear(struct store *st)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->counts = (struct remote_counts){0};
}

void remote_shut(struct store *st, int ops)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->shut |= ops;
}

void remote_shut_after(struct store *st, int ops)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->shut_after |= ops;
}

bool remote_wait(struct store *st, int n)
{
    struct remote *r = remote_of(st);
    int64_t until_ms = clock_ms() + REMOTE_PATIENCE_MS;
    LOCK_SCOPE(&r->mu);
    while (r->waiting < n) {
        if (!lock_cond_wait_until(&r->changed, &r->mu, until_ms))
            return false;
    }
    return true;
}

void remote_open(struct store *st)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->shut = r->shut_after = 0;
    (void)pthread_cond_broadcast(&r->changed);
}

void remote_damage(struct store *st, const struct remote_damage *damage)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->damage = *damage;
}

void remote_be_local(struct store *st, bool local)
{
    struct remote *r = remote_of(st);
    LOCK_SCOPE(&r->mu);
    r->local = local;
}
