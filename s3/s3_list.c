#include "s3/s3_list.h"

#include "s3/s3_xml.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    S3_LIST_PAGE_MAX = 1000,
    S3_LIST_EMPTY_MAX = 1000, /* pages in a row that bring nothing new */
};

/* A listing under way. */
struct s3_list {
    const struct store_list *list;
    bool v1;
    char *token;                  /* where the next page starts: opaque; owned; NULL at first */
    char last[STORE_KEY_MAX + 1]; /* entries up to this one are not delivered any more */
    bool delivered;               /* `last` is an entry, not where the listing is to start */
    int empty;                    /* pages in a row without a new entry */
};

static void s3_list_fini(struct s3_list *l)
{
    free(l->token);
}

static void s3_list_param(struct uri_param *param, size_t *n, const char *name, const char *value)
{
    param[(*n)++] = (struct uri_param){name, value};
}

/* Asks for one page. */
static int s3_list_page(struct client *client, const struct s3_list *l, struct s3_xml_page *ret,
                        struct err *err)
{
    const struct store_list *list = l->list;
    const char delimiter[2] = {list->delimiter, '\0'};
    char page_max[16];
    struct uri_param param[URI_PARAMS_MAX];
    size_t n = 0;
    int most = list->page_max > 0 ? MIN(list->page_max, (int)S3_LIST_PAGE_MAX) : S3_LIST_PAGE_MAX;
    (void)snprintf(page_max, sizeof(page_max), "%d", most);
    s3_list_param(param, &n, "encoding-type", "url");
    s3_list_param(param, &n, "max-keys", page_max);
    s3_list_param(param, &n, "prefix", list->prefix ? list->prefix : "");
    if (list->delimiter)
        s3_list_param(param, &n, "delimiter", delimiter);
    if (!l->v1)
        s3_list_param(param, &n, "list-type", "2");
    if (l->token)
        s3_list_param(param, &n, l->v1 ? "marker" : "continuation-token", l->token);
    else if (l->last[0])
        s3_list_param(param, &n, l->v1 ? "marker" : "start-after", l->last);
    const struct request req = {
        .method = "GET",
        .param = param,
        .params = n,
        .body_max = S3_XML_LIST_MAX,
    };
    struct http_reply reply = {0};
    int r = client_call(client, &req, &reply, err);
    if (r == 0)
        r = s3_xml_list(buf_text(&reply.body), reply.body.len, ret, err);
    http_reply_fini(&reply);
    return r;
}

static int s3_list_compare(const void *a, const void *b)
{
    const struct s3_xml_entry *x = a;
    const struct s3_xml_entry *y = b;
    return strcmp(x->key, y->key); /* as unsigned bytes, like the server */
}

/* False for an entry that was not asked for. */
static bool s3_list_belongs(const struct store_list *list, const struct s3_xml_entry *entry)
{
    size_t prefix_len = list->prefix ? strlen(list->prefix) : 0;
    size_t len = strlen(entry->key);
    if (prefix_len > 0 && strncmp(entry->key, list->prefix, prefix_len) != 0)
        return false;
    return !entry->is_prefix ||
           (list->delimiter && len > prefix_len && entry->key[len - 1] == list->delimiter);
}

/* Hands a page's entries on: keys and common prefixes in one order, none twice. Servers repeat the
 * common prefix that a page or the listing starts after. But nothing may come that is less than
 * what was delivered, or the promise of an ascending listing cannot be kept. */
static int s3_list_deliver(struct s3_list *l, struct s3_xml_page *page, store_list_fn *fn,
                           void *arg, struct err *err)
{
    bool fresh = false;
    if (page->entries > 0)
        qsort(page->entry, page->entries, sizeof(page->entry[0]), s3_list_compare);
    for (size_t i = 0; i < page->entries; i++) {
        const struct s3_xml_entry *entry = &page->entry[i];
        int order = strcmp(entry->key, l->last);
        if (!s3_list_belongs(l->list, entry))
            return err_set(err, -EBADMSG, "the listing holds '%s', which is not under the prefix",
                           entry->key);
        if (order == 0 || (order < 0 && !l->delivered))
            continue;
        if (order < 0)
            return err_set(err, -EBADMSG, "the listing is not in order: '%s' after '%s'",
                           entry->key, l->last);
        (void)snprintf(l->last, sizeof(l->last), "%s", entry->key);
        l->delivered = fresh = true;
        int r = fn(arg, entry->key, entry->is_prefix ? NULL : &entry->stat);
        if (r != 0)
            return r < 0 ? err_errno(err, r, "the receiver") : r;
    }
    l->empty = fresh ? 0 : l->empty + 1;
    return 0;
}

/* Makes the next page the one after `page`. */
static int s3_list_advance(struct s3_list *l, struct s3_xml_page *page, struct err *err)
{
    if (!page->next_token && !l->v1)
        l->v1 = true; /* the server took no notice of list-type=2 */
    char *token = l->v1 ? TAKE(page->next_marker) : TAKE(page->next_token);
    if (!token)
        token = strdup(l->last); /* without a delimiter, the marker is the last key */
    if (!token)
        return -ENOMEM;
    bool stuck =
        (l->token && strcmp(l->token, token) == 0) || !*token || l->empty > S3_LIST_EMPTY_MAX;
    free(l->token);
    l->token = token;
    return stuck ? err_set(err, -EBADMSG, "the listing does not get on") : 0;
}

int s3_list(struct client *client, const struct store_list *list, _Atomic bool *v1,
            store_list_fn *fn, void *arg, struct err *err)
{
    CLEANUP(s3_list_fini) struct s3_list l = {.list = list, .v1 = atomic_load(v1)};
    size_t len = list->start_after ? strlen(list->start_after) : 0;
    if (len > STORE_KEY_MAX)
        return err_set(err, -ENAMETOOLONG, "no key is as long as the one to start after");
    memcpy(l.last, list->start_after ? list->start_after : "", len + 1);
    for (;;) {
        CLEANUP(s3_xml_page_fini) struct s3_xml_page page = {0};
        int r = s3_list_page(client, &l, &page, err);
        if (r == 0)
            r = s3_list_deliver(&l, &page, fn, arg, err);
        if (r != 0 || !page.truncated)
            return r;
        r = s3_list_advance(&l, &page, err);
        if (r < 0)
            return r;
        atomic_store(v1, l.v1);
    }
}
