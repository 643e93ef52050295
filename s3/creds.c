#include "s3/creds.h"

#include "base/lock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Keys are asked for anew so long before they expire: the clocks of two machines differ, and a
 * request that was signed must still arrive. */
enum { CREDS_MARGIN_S = 600 };

struct creds_source {
    struct creds_provider *provider;
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t fetched; /* a fetch has ended */
    struct creds *current;  /* NULL until the first fetch */
    bool fetching;          /* one thread is with the provider, without mu */
    uint64_t fetches;       /* that have ended */
    int code;               /* of the latest one */
    struct err err;         /* of the latest one */
};

static void creds_wipe(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

/* NULL stays NULL. A header takes visible ASCII only. */
static int creds_copy(const char *text, char **ret)
{
    if (!text)
        return 0;
    size_t len = strlen(text);
    if (len == 0 || len > CREDS_TEXT_MAX)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~')
            return -EINVAL;
    }
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

int creds_new(const char *access_key, const char *secret_key, const char *session_token,
              int64_t expires_s, struct creds **ret)
{
    static _Atomic uint64_t serial = 1;
    CLEANUP(creds_unrefp) struct creds *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    atomic_init(&c->refs, 1);
    c->serial = atomic_fetch_add(&serial, 1);
    c->expires_s = expires_s;
    int r = !access_key == !secret_key ? 0 : -EINVAL;
    if (r == 0)
        r = creds_copy(access_key, &c->access_key);
    if (r == 0)
        r = creds_copy(secret_key, &c->secret_key);
    if (r == 0)
        r = creds_copy(session_token, &c->session_token);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

struct creds *creds_ref(struct creds *c)
{
    (void)atomic_fetch_add(&c->refs, 1);
    return c;
}

void creds_unref(struct creds *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    creds_wipe(c->access_key);
    creds_wipe(c->secret_key);
    creds_wipe(c->session_token);
    free(c);
}

void creds_unrefp(struct creds *const *c)
{
    creds_unref(*c);
}

int creds_source_new(struct creds_provider **provider, struct creds_source **ret)
{
    struct creds_source *source = calloc(1, sizeof(*source));
    if (!source)
        return -ENOMEM;
    (void)pthread_mutex_init(&source->mu, NULL);
    lock_cond_init(&source->fetched);
    source->provider = TAKE(*provider);
    *ret = source;
    return 0;
}

static bool creds_holds(const struct creds *c, int64_t for_s)
{
    return c && (c->expires_s == 0 || (int64_t)time(NULL) + for_s < c->expires_s);
}

static bool creds_same(const struct creds *a, const struct creds *b)
{
    const char *x = a->session_token ? a->session_token : "";
    const char *y = b->session_token ? b->session_token : "";
    if (!a->access_key || !b->access_key)
        return a->access_key == b->access_key;
    return strcmp(a->access_key, b->access_key) == 0 && strcmp(a->secret_key, b->secret_key) == 0 &&
           strcmp(x, y) == 0;
}

/* Asks the provider, or waits for the thread that is asking it. The mutex is held on entry and on
 * return, and dropped between. A set equal to the current one is not taken for a new one. */
static int creds_source_fetch_locked(struct creds_source *source, struct err *err)
{
    uint64_t before = source->fetches;
    while (source->fetching && source->fetches == before)
        (void)pthread_cond_wait(&source->fetched, &source->mu);
    if (source->fetches == before) {
        source->fetching = true;
        (void)pthread_mutex_unlock(&source->mu);
        CLEANUP(creds_unrefp) struct creds *fresh = NULL;
        struct err why = {0};
        int r = source->provider->ops->fetch(source->provider, &fresh, &why);
        (void)pthread_mutex_lock(&source->mu);
        bool same = r == 0 && source->current && creds_same(source->current, fresh) &&
                    source->current->expires_s == fresh->expires_s;
        if (r == 0 && !same) {
            struct creds *old = source->current;
            source->current = TAKE(fresh);
            creds_unref(old);
        }
        source->code = r;
        source->err = why;
        source->fetching = false;
        source->fetches++;
        (void)pthread_cond_broadcast(&source->fetched);
    }
    if (source->code < 0 && err)
        *err = source->err;
    return source->code;
}

int creds_source_get(struct creds_source *source, struct creds **ret, struct err *err)
{
    LOCK_SCOPE(&source->mu);
    int r = 0;
    if (!creds_holds(source->current, CREDS_MARGIN_S) &&
        !(source->fetching && creds_holds(source->current, 0)))
        r = creds_source_fetch_locked(source, err);
    if (r < 0 && !creds_holds(source->current, 0))
        return r;
    *ret = creds_ref(source->current);
    return 0;
}

int creds_source_refresh(struct creds_source *source, const struct creds *stale, struct err *err)
{
    LOCK_SCOPE(&source->mu);
    if (source->current && source->current->serial != stale->serial)
        return 1;
    int r = creds_source_fetch_locked(source, err);
    if (r < 0)
        return r;
    return source->current->serial != stale->serial;
}

void creds_source_free(struct creds_source *source)
{
    if (!source)
        return;
    creds_unref(source->current);
    source->provider->ops->free(source->provider);
    (void)pthread_cond_destroy(&source->fetched);
    (void)pthread_mutex_destroy(&source->mu);
    free(source);
}

void creds_source_freep(struct creds_source *const *source)
{
    creds_source_free(*source);
}
