#include "s3/store.h"

#include <errno.h>
#include <string.h>

/* The first layer from `st` down that implements a method. The lowest one implements them all but
 * open_local, note, request_id, count and shutdown, which are optional everywhere. */
#define STORE_FIND(st, method)                    \
    do {                                          \
        while (!(st)->ops->method && (st)->below) \
            (st) = (st)->below;                   \
    } while (0)

int store_get(struct store *st, const char *key, const struct store_get *get, store_sink_fn *sink,
              void *arg, struct store_stat *ret_stat, struct err *err)
{
    STORE_FIND(st, get);
    return st->ops->get(st, key, get, sink, arg, ret_stat, err);
}

int store_put(struct store *st, const char *key, const struct store_body *body,
              const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    STORE_FIND(st, put);
    return st->ops->put(st, key, body, put, ret_stat, err);
}

int store_head(struct store *st, const char *key, struct store_stat *ret_stat, struct err *err)
{
    STORE_FIND(st, head);
    return st->ops->head(st, key, ret_stat, err);
}

int store_del(struct store *st, const char *key, const char *if_match, struct err *err)
{
    STORE_FIND(st, del);
    return st->ops->del(st, key, if_match, err);
}

int store_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
               struct err *err)
{
    STORE_FIND(st, list);
    return st->ops->list(st, list, fn, arg, err);
}

int store_open_local(struct store *st, const char *key, struct store_stat *ret_stat,
                     struct err *err)
{
    STORE_FIND(st, open_local);
    if (!st->ops->open_local)
        return err_set(err, -EOPNOTSUPP, "%s: objects are not local files", st->ops->name);
    return st->ops->open_local(st, key, ret_stat, err);
}

const char *store_id(const struct store *st)
{
    while (st->below)
        st = st->below;
    return st->id;
}

const char *store_note(struct store *st)
{
    STORE_FIND(st, note);
    return st->ops->note ? st->ops->note(st) : NULL;
}

const char *store_request_id(struct store *st)
{
    STORE_FIND(st, request_id);
    return st->ops->request_id ? st->ops->request_id(st) : "";
}

void store_count(struct store *st, struct store_counters *ret)
{
    memset(ret, 0, sizeof(*ret));
    for (; st; st = st->below) {
        if (st->ops->count)
            st->ops->count(st, ret);
    }
}

void store_shutdown(struct store *st)
{
    for (; st; st = st->below) {
        if (st->ops->shutdown)
            st->ops->shutdown(st);
    }
}

void store_free(struct store *st)
{
    while (st) {
        struct store *below = st->below;
        st->ops->free(st);
        st = below;
    }
}

void store_freep(struct store *const *st)
{
    store_free(*st);
}
