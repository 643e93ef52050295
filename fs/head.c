#include "fs/head.h"

#include "base/crc32c.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct head *head_make(void)
{
    struct head *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->refs = 1;
    h->text = BUF_INIT((size_t)HEADER_BYTES_MAX * 2);
    return h;
}

/* The stored bytes are all there is to it. */
static int head_be_bad(struct head *h, const void *bytes, size_t len, const char *why)
{
    h->bad = true;
    (void)snprintf(h->why, sizeof(h->why), "%s", why);
    buf_clear(&h->text);
    return buf_append(&h->text, bytes, len);
}

static int head_of_stored(const struct store_stat *stat, const void *bytes, size_t len,
                          const char *damage, struct head **ret)
{
    struct head *h = head_make();
    struct err err = {0};
    int r = 0;
    if (!h)
        return -ENOMEM;
    h->stored = true;
    h->damaged = damage;
    h->stat = *stat;
    if (!damage)
        r = header_parse(bytes, len, &h->header, &err);
    if (!damage && r == 0) {
        r = header_present(&h->header, &h->text);
        if (r < 0)
            (void)err_set(&err, r, "too long to be shown");
    }
    if (damage || (r < 0 && r != -ENOMEM))
        r = head_be_bad(h, bytes, len, damage ? damage : err.msg);
    if (r < 0) {
        head_unref(h);
        return r;
    }
    *ret = h;
    return 0;
}

int head_new(const struct store_stat *stat, const void *bytes, size_t len, struct head **ret)
{
    return head_of_stored(stat, bytes, len, NULL, ret);
}

int head_new_damaged(const struct store_stat *stat, const struct buf *bytes, const char *why,
                     struct head **ret)
{
    return head_of_stored(stat, bytes->data, bytes->len, why, ret);
}

int head_new_inferred(struct header *header, struct head **ret)
{
    struct head *h = head_make();
    if (!h)
        return -ENOMEM;
    h->header = *header;
    header->extra = NULL;
    int r = header_present(&h->header, &h->text);
    if (r < 0) {
        head_unref(h);
        return r;
    }
    (void)snprintf(h->stat.etag, sizeof(h->stat.etag), "inferred-%08x",
                   crc32c(0, h->text.data, h->text.len));
    *ret = h;
    return 0;
}

struct head *head_ref(struct head *h)
{
    if (h)
        (void)atomic_fetch_add(&h->refs, 1);
    return h;
}

void head_unref(struct head *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    header_fini(&h->header);
    buf_fini(&h->text);
    free(h);
}

bool head_same_grid(const struct head *a, const struct head *b)
{
    return a && b && !a->bad && !b->bad && header_equal(&a->header, &b->header);
}
