#include "tests/kit/texts.h"

#include <errno.h>
#include <string.h>

int texts_put_if(struct store *st, const char *key, const char *text, const char *if_match,
                 struct store_stat *ret_stat, struct err *err)
{
    struct store_body body = {.head = text, .head_len = strlen(text), .fd = -1};
    struct store_put put = {.if_match = if_match};
    return store_put(st, key, &body, &put, ret_stat, err);
}

int texts_put(struct store *st, const char *key, const char *text)
{
    return texts_put_if(st, key, text, NULL, NULL, NULL);
}

struct texts_get {
    struct buf *b;
    uint64_t next;
};

static int texts_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                      size_t len)
{
    struct texts_get *g = arg;
    if (off != g->next || off + len > stat->size || !stat->etag[0])
        return -EILSEQ;
    g->next += len;
    return buf_append(g->b, data, len);
}

int texts_get_range(struct store *st, const char *key, const struct store_get *get, struct buf *b,
                    struct store_stat *ret_stat, struct err *err)
{
    struct texts_get g = {.b = b, .next = get->off};
    buf_clear(b);
    return store_get(st, key, get, texts_sink, &g, ret_stat, err);
}

int texts_get(struct store *st, const char *key, struct buf *b)
{
    return texts_get_range(st, key, &(struct store_get){0}, b, NULL, NULL);
}

struct texts_list {
    struct buf *b;
    char last[STORE_KEY_MAX + 1];
};

static int texts_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct texts_list *l = arg;
    if (l->b->len > 0 && strcmp(key, l->last) <= 0)
        return -EILSEQ;
    if (strlen(key) > STORE_KEY_MAX || (stat && !stat->etag[0]))
        return -EILSEQ;
    memcpy(l->last, key, strlen(key) + 1);
    int r = l->b->len > 0 ? buf_puts(l->b, " ") : 0;
    return r < 0 ? r : buf_puts(l->b, key);
}

int texts_list(struct store *st, const struct store_list *list, struct buf *b, struct err *err)
{
    struct texts_list l = {.b = b};
    buf_clear(b);
    return store_list(st, list, texts_entry, &l, err);
}

struct texts_clear {
    struct buf keys; /* each with its NUL */
};

static int texts_clear_entry(void *arg, const char *key, const struct store_stat *stat)
{
    struct texts_clear *c = arg;
    (void)stat;
    return buf_append(&c->keys, key, strlen(key) + 1);
}

int texts_clear(struct store *st, const char *prefix)
{
    struct texts_clear c = {.keys = TEXTS_BUF};
    struct store_list list = {.prefix = prefix};
    int r = store_list(st, &list, texts_clear_entry, &c, NULL);
    for (size_t at = 0; r == 0 && at < c.keys.len; at += strlen(c.keys.data + at) + 1)
        r = store_del(st, c.keys.data + at, NULL, NULL);
    buf_fini(&c.keys);
    return r;
}
