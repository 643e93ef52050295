#include "s3/retry.h"

#include "base/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_TRIES_MAX = 5,
    RETRY_PAUSE_MS_MIN = 100,
    RETRY_PAUSE_MS_MAX = 5000,
    RETRY_TOTAL_MS_MAX = 60000,
    RETRY_BUDGET_MAX = 100,
};

struct retry {
    struct store base;
    struct retry_conf conf; /* with the defaults put in; `env` may be NULL */
    _Atomic uint64_t retries, failures;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t changed; /* `down` was set */
    bool down;
    int64_t budget;
};

/* One call of the layer above, over all of its tries. */
struct retry_call {
    struct retry *r;
    int number;       /* of the try that is made, from 1 */
    int tries;        /* that failed since the last progress */
    int64_t try_ms;   /* when this try, or what settles it, was begun */
    int64_t begin_ms; /* of the call, or its last progress */
    struct err why;   /* of the last try */
};

static struct retry *retry_of(struct store *st)
{
    return (struct retry *)st; /* `base` comes first */
}

static int64_t retry_now_ms(const struct retry *r)
{
    return r->conf.env ? r->conf.env->now_ms(r->conf.env->arg) : clock_ms();
}

static uint64_t retry_random(const struct retry *r)
{
    if (r->conf.env)
        return r->conf.env->random(r->conf.env->arg);
    uint64_t x = 0;
    (void)random_bytes(&x, sizeof(x)); /* on failure: no pause, which is allowed */
    return x;
}

static bool retry_is_down(struct retry *r)
{
    LOCK_SCOPE(&r->mu);
    return r->down;
}

/* Waits; shutdown ends it. */
static void retry_pause(struct retry *r, int64_t ms)
{
    if (r->conf.env) {
        r->conf.env->pause(r->conf.env->arg, ms);
        return;
    }
    int64_t until_ms = clock_ms() + ms;
    LOCK_SCOPE(&r->mu);
    while (!r->down && lock_cond_wait_until(&r->changed, &r->mu, until_ms))
        ;
}

/* Takes one further try from the budget. */
static bool retry_take(struct retry *r)
{
    LOCK_SCOPE(&r->mu);
    if (r->budget == 0)
        return false;
    r->budget--;
    return true;
}

static void retry_give_back(struct retry *r)
{
    LOCK_SCOPE(&r->mu);
    r->budget = MIN(r->budget + 1, r->conf.budget_max);
}

/* Full jitter: anything up to a limit that doubles with each failure; no less than the store asks.
 */
static int64_t retry_pause_ms(const struct retry_call *c)
{
    const struct retry_conf *conf = &c->r->conf;
    int64_t limit_ms = conf->pause_ms_min;
    for (int i = 1; i < c->tries && limit_ms < conf->pause_ms_max; i++)
        limit_ms *= 2;
    limit_ms = MIN(limit_ms, conf->pause_ms_max);
    int64_t pause_ms = (int64_t)(retry_random(c->r) % (uint64_t)(limit_ms + 1));
    return MAX(pause_ms, c->why.retry_after_ms);
}

static int retry_give_up(struct retry_call *c, const char *note)
{
    return err_prefix(&c->why, -EIO, "gave up after %d %s%s", c->tries,
                      c->tries == 1 ? "try" : "tries", note);
}

static void retry_begin(struct retry_call *c, struct store *st)
{
    *c = (struct retry_call){.r = retry_of(st)};
    c->begin_ms = retry_now_ms(c->r);
    c->try_ms = c->begin_ms;
    c->number = 1;
}

/* Tells who watches of a request that has just ended with `code`. */
static void retry_tell(struct retry_call *c, const char *method, const char *key, int code,
                       uint64_t bytes)
{
    struct retry *r = c->r;
    int64_t now_ms = retry_now_ms(r);
    struct store_event e = {.method = method,
                            .key = key,
                            .code = code,
                            .reason = c->why.msg,
                            .bytes = bytes,
                            .ms = now_ms - c->try_ms,
                            .number = c->number,
                            .request_id = store_request_id(r->base.below)};
    if (r->conf.watch)
        r->conf.watch(r->conf.watch_arg, &e);
    c->try_ms = now_ms;
}

/* What arrived is not asked for again, so that the next failure is a first one. */
static void retry_progress(struct retry_call *c)
{
    c->tries = 0;
    c->begin_ms = retry_now_ms(c->r);
}

/* After a try that returned *code: true when the pause is over and it is time for the next one,
 * false when the call ends with *code. */
static bool retry_again(struct retry_call *c, int *code)
{
    struct retry *r = c->r;
    if (*code != -EAGAIN)
        return false;
    c->tries++;
    int64_t pause_ms = retry_pause_ms(c);
    int64_t left_ms = r->conf.total_ms_max - (retry_now_ms(r) - c->begin_ms);
    if (c->tries >= r->conf.tries_max)
        *code = retry_give_up(c, "");
    else if (pause_ms > left_ms)
        *code = retry_give_up(c, ", out of time");
    else if (!retry_take(r))
        *code = retry_give_up(c, ", as the store keeps failing");
    if (*code != -EAGAIN)
        return false;
    atomic_fetch_add(&r->retries, 1);
    retry_pause(r, pause_ms);
    c->number++;
    c->try_ms = retry_now_ms(r);
    if (!retry_is_down(r))
        return true;
    *code = err_set(&c->why, -ECANCELED, "the store is shut down");
    return false;
}

/* Ends the call with `code`. */
static int retry_end(const struct retry_call *c, int code, struct err *err)
{
    struct retry *r = c->r;
    if (code == -EIO)
        atomic_fetch_add(&r->failures, 1);
    else
        retry_give_back(r);
    if (code < 0 && err)
        *err = c->why;
    return code;
}

static int retry_head(struct store *st, const char *key, struct store_stat *ret_stat,
                      struct err *err)
{
    struct retry_call c;
    int r;
    retry_begin(&c, st);
    do {
        r = store_head(st->below, key, ret_stat, &c.why);
        retry_tell(&c, "head", key, r, 0);
    } while (retry_again(&c, &r));
    return retry_end(&c, r, err);
}

static int retry_open_local(struct store *st, const char *key, struct store_stat *ret_stat,
                            struct err *err)
{
    struct retry_call c;
    int r;
    retry_begin(&c, st);
    do {
        r = store_open_local(st->below, key, ret_stat, &c.why);
        retry_tell(&c, "open", key, r, 0);
    } while (retry_again(&c, &r));
    return retry_end(&c, r, err);
}

/* --- get --- */

struct retry_get {
    struct retry_call call;
    const struct store_get *want;
    store_sink_fn *sink;
    void *arg;
    int sink_code; /* what the sink ended the get with */
    bool seen;     /* `stat` is the version that is being read */
    struct store_stat stat;
    uint64_t next; /* offset of the first byte that was not delivered */
};

static int retry_get_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                          size_t len)
{
    struct retry_get *g = arg;
    if (g->seen && strcmp(stat->etag, g->stat.etag) != 0)
        return err_set(&g->call.why, -ESTALE, "the object changed while it was read");
    if (off != g->next)
        return err_set(&g->call.why, -EBADMSG, "the store sent bytes out of order");
    g->stat = *stat;
    g->seen = true;
    int r = g->sink(g->arg, stat, off, data, len);
    if (r < 0) {
        g->sink_code = r;
        return r;
    }
    g->next += len;
    return 0;
}

/* True when all that was wanted has been delivered. */
static bool retry_get_is_done(const struct retry_get *g)
{
    if (!g->seen)
        return false;
    return g->next >= g->stat.size || (g->want->len > 0 && g->next - g->want->off >= g->want->len);
}

/* One try, for what is left. */
static int retry_get_once(struct store *st, const char *key, struct retry_get *g)
{
    struct store_get left = *g->want;
    left.off = g->next;
    if (left.len > 0)
        left.len -= g->next - g->want->off;
    if (g->seen) {
        left.if_match = g->stat.etag;
        left.if_none_match = NULL;
    }
    uint64_t before = g->next;
    struct store_stat stat;
    int r = store_get(st->below, key, &left, retry_get_sink, g, &stat, &g->call.why);
    retry_tell(&g->call, "get", key, r, g->next - before);
    if (g->sink_code < 0)
        return g->sink_code;
    if (r == 0)
        g->stat = stat;
    if (r == -EAGAIN && retry_get_is_done(g))
        return 0;
    if (r == -ENOENT && g->seen)
        return err_set(&g->call.why, -ESTALE, "get %s: the object went while it was read", key);
    if (g->next > before)
        retry_progress(&g->call);
    return r;
}

static int retry_get(struct store *st, const char *key, const struct store_get *get,
                     store_sink_fn *sink, void *arg, struct store_stat *ret_stat, struct err *err)
{
    struct retry_get g = {.want = get, .sink = sink, .arg = arg, .next = get->off};
    int r;
    retry_begin(&g.call, st);
    do
        r = retry_get_once(st, key, &g);
    while (g.sink_code == 0 && retry_again(&g.call, &r));
    if (r == 0 && ret_stat)
        *ret_stat = g.stat;
    /* A sink has put its reason where it wanted it, and is no failure of the store. */
    return g.sink_code != 0 ? r : retry_end(&g.call, r, err);
}

/* --- list --- */

struct retry_list {
    struct retry_call call;
    store_list_fn *fn;
    void *arg;
    int fn_code;                  /* what the caller's function ended the listing with */
    bool seen;                    /* `last` was delivered */
    bool progress;                /* in this try */
    char last[STORE_KEY_MAX + 1]; /* key or common prefix */
};

static int retry_list_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct retry_list *l = arg;
    size_t len = strnlen(key, sizeof(l->last));
    if (len == sizeof(l->last))
        return err_set(&l->call.why, -EBADMSG, "the store listed too long a key");
    l->fn_code = l->fn(l->arg, key, stat);
    if (l->fn_code != 0)
        return l->fn_code;
    memcpy(l->last, key, len + 1);
    l->seen = true;
    l->progress = true;
    return 0;
}

/* One try, for what is left. */
static int retry_list_once(struct store *st, const struct store_list *list, struct retry_list *l)
{
    char start_after[STORE_KEY_MAX + 1]; /* `last` changes while the listing goes on */
    struct store_list left = *list;
    if (l->seen) {
        memcpy(start_after, l->last, sizeof(start_after));
        left.start_after = start_after;
    }
    l->progress = false;
    int r = store_list(st->below, &left, retry_list_entry, l, &l->call.why);
    retry_tell(&l->call, "list", list->prefix, r, 0);
    if (l->progress)
        retry_progress(&l->call);
    return l->fn_code != 0 ? l->fn_code : r;
}

static int retry_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
                      struct err *err)
{
    struct retry_list l = {.fn = fn, .arg = arg};
    int r;
    retry_begin(&l.call, st);
    do
        r = retry_list_once(st, list, &l);
    while (l.fn_code == 0 && retry_again(&l.call, &r));
    return l.fn_code != 0 ? r : retry_end(&l.call, r, err);
}

/* --- put and del: the outcome of a try whose reply was lost --- */

/* After a refusal that our own earlier try may have caused. 0 with *ret_stat when the version in
 * the store is ours, -EAGAIN, `refusal` when it is not ours, -EIO when that cannot be told. */
static int retry_put_settle(struct retry_call *c, const char *key, const char *write_id,
                            int refusal, struct store_stat *ret_stat, struct err *err)
{
    struct store_stat stat;
    struct err why = {0};
    int r = store_head(c->r->base.below, key, &stat, &why);
    retry_tell(c, "head", key, r, 0);
    if (r == 0 && strcmp(stat.write_id, write_id) == 0) {
        *ret_stat = stat;
        return 0;
    }
    if (r == 0 || r == -ENOENT)
        return refusal;
    *err = why;
    return r == -EAGAIN ? r : err_prefix(err, -EIO, "put %s: its reply was lost", key);
}

/* The tries of a put that has a write id. */
static int retry_put_tries(struct retry_call *c, struct store *st, const char *key,
                           const struct store_body *body, const struct store_put *put,
                           struct store_stat *ret_stat)
{
    bool unknown = false;
    bool settled = false;
    int r;
    do {
        settled = false;
        r = store_put(st->below, key, body, put, ret_stat, &c->why);
        retry_tell(c, "put", key, r, body->head_len + body->len);
        if (unknown && (r == -EEXIST || r == -ESTALE)) {
            r = retry_put_settle(c, key, put->write_id, r, ret_stat, &c->why);
            settled = r != -EAGAIN;
        }
        unknown = unknown || r == -EAGAIN || r == -EBADMSG || r == -ENOMEM;
    } while (retry_again(c, &r));
    if (r >= 0 || r == -ECANCELED || !unknown || settled)
        return r;
    struct err why;
    return retry_put_settle(c, key, put->write_id, r, ret_stat, &why) == 0 ? 0 : r;
}

static int retry_put(struct store *st, const char *key, const struct store_body *body,
                     const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    struct retry_call c;
    struct store_put own = *put;
    struct store_stat stat;
    char write_id[STORE_WRITE_ID_SIZE];
    if (!own.write_id) {
        int r = random_hex(write_id, sizeof(write_id));
        if (r < 0)
            return err_errno(err, -EIO, "put %s: no random bytes", key);
        own.write_id = write_id;
    }
    retry_begin(&c, st);
    int r = retry_put_tries(&c, st, key, body, &own, &stat);
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return retry_end(&c, r, err);
}

/* After -ESTALE that our own earlier try may have caused: 0 when the object is gone, as wanted.
 * What is there instead may have come before that try, or after it: -EIO, for neither can be said.
 */
static int retry_del_settle(struct retry_call *c, const char *key, struct err *err)
{
    struct store_stat stat;
    struct err why = {0};
    int r = store_head(c->r->base.below, key, &stat, &why);
    retry_tell(c, "head", key, r, 0);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        return err_set(err, -EIO, "delete %s: its reply was lost, and another version is there",
                       key);
    *err = why;
    return r == -EAGAIN ? r : err_prefix(err, -EIO, "delete %s: its reply was lost", key);
}

static int retry_del(struct store *st, const char *key, const char *if_match, struct err *err)
{
    struct retry_call c;
    bool unknown = false;
    int r;
    retry_begin(&c, st);
    do {
        r = store_del(st->below, key, if_match, &c.why);
        retry_tell(&c, "delete", key, r, 0);
        if (unknown && r == -ESTALE)
            r = retry_del_settle(&c, key, &c.why);
        unknown = unknown || r == -EAGAIN;
    } while (retry_again(&c, &r));
    return retry_end(&c, r, err);
}

static void retry_count(struct store *st, struct store_counters *sum)
{
    struct retry *r = retry_of(st);
    sum->retries += atomic_load(&r->retries);
    sum->failures += atomic_load(&r->failures);
}

static void retry_shutdown(struct store *st)
{
    struct retry *r = retry_of(st);
    LOCK_SCOPE(&r->mu);
    r->down = true;
    (void)pthread_cond_broadcast(&r->changed);
}

static void retry_free(struct store *st)
{
    struct retry *r = retry_of(st);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->mu);
    free(r);
}

static const struct store_ops retry_ops = {
    .name = "retry",
    .get = retry_get,
    .put = retry_put,
    .head = retry_head,
    .del = retry_del,
    .list = retry_list,
    .open_local = retry_open_local,
    .count = retry_count,
    .shutdown = retry_shutdown,
    .free = retry_free,
};

int retry_new(struct store **below, const struct retry_conf *conf, struct store **ret)
{
    struct retry *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    if (conf)
        r->conf = *conf;
    struct retry_conf *c = &r->conf;
    c->tries_max = c->tries_max > 0 ? c->tries_max : RETRY_TRIES_MAX;
    c->pause_ms_min = c->pause_ms_min > 0 ? c->pause_ms_min : RETRY_PAUSE_MS_MIN;
    c->pause_ms_max = c->pause_ms_max > 0 ? c->pause_ms_max : RETRY_PAUSE_MS_MAX;
    c->total_ms_max = c->total_ms_max > 0 ? c->total_ms_max : RETRY_TOTAL_MS_MAX;
    c->budget_max = c->budget_max > 0 ? c->budget_max : RETRY_BUDGET_MAX;
    r->budget = c->budget_max;
    r->base = (struct store){.ops = &retry_ops, .below = TAKE(*below)};
    (void)pthread_mutex_init(&r->mu, NULL);
    lock_cond_init(&r->changed);
    *ret = &r->base;
    return 0;
}
