#include "s3/s3_xml.h"

#include "base/buf.h"
#include "s3/s3_etag.h"
#include "s3/uri.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    S3_XML_DEPTH_MAX = 8,
    S3_XML_PATH_MAX = 256,       /* bytes of all names that are open */
    S3_XML_TEXT_MAX = 16 * 1024, /* bytes of one element: a key of 1024 bytes, encoded twice */
};

/* Called at the end of each element with the names from the root, "Error/Code", and its text. */
typedef int s3_xml_fn(void *arg, const char *path, const char *text);

/* A document being read. */
struct s3_xml {
    XML_Parser parser;
    s3_xml_fn *fn;
    void *arg;
    struct buf path;
    struct buf text; /* of the innermost element so far */
    int depth;
    int code;        /* why reading was stopped */
    size_t controls; /* references to control characters, read as blanks */
};

static void s3_xml_stop(struct s3_xml *x, int code)
{
    x->code = code;
    (void)XML_StopParser(x->parser, XML_FALSE);
}

/* After something was added to a buffer: what is too long for it makes no sense. */
static void s3_xml_kept(struct s3_xml *x, int r)
{
    if (r < 0)
        s3_xml_stop(x, r == -ENOMEM ? r : -EBADMSG);
}

static void s3_xml_on_start(void *arg, const char *name, const char **attribute)
{
    (void)attribute;
    struct s3_xml *x = arg;
    const char *colon = strrchr(name, ':'); /* some servers give their names a namespace */
    buf_clear(&x->text);
    if (x->code < 0)
        return;
    if (++x->depth > S3_XML_DEPTH_MAX)
        s3_xml_stop(x, -EBADMSG);
    else
        s3_xml_kept(x, buf_printf(&x->path, "/%s", colon ? colon + 1 : name));
}

static void s3_xml_on_text(void *arg, const char *text, int len)
{
    struct s3_xml *x = arg;
    if (x->code == 0)
        s3_xml_kept(x, buf_append(&x->text, text, (size_t)len));
}

static void s3_xml_on_end(void *arg, const char *name)
{
    (void)name;
    struct s3_xml *x = arg;
    if (x->code < 0)
        return;
    int r = x->fn(x->arg, buf_text(&x->path) + 1, buf_text(&x->text));
    if (r < 0) {
        s3_xml_stop(x, r);
        return;
    }
    char *slash = strrchr(x->path.data, '/'); /* there is one for each open element */
    x->path.len = (size_t)(slash - x->path.data);
    *slash = '\0';
    x->depth--;
    buf_clear(&x->text);
}

/* Entities are defined in a DTD: without one there is nothing that could expand. */
static void s3_xml_on_doctype(void *arg, const char *name, const char *system, const char *public,
                              int has_subset)
{
    (void)name;
    (void)system;
    (void)public;
    (void)has_subset;
    s3_xml_stop(arg, -EBADMSG);
}

/* The length of a reference to a control character at the start of a text ("&#x01;"), or 0. */
static size_t s3_xml_control(const char *text, size_t len)
{
    static const char tab[] = "\t\n\r";
    char copy[16] = "";
    char *end = NULL;
    memcpy(copy, text, MIN(len, sizeof(copy) - 1));
    if (copy[0] != '&' || copy[1] != '#')
        return 0;
    bool hex = copy[2] == 'x';
    unsigned long c = strtoul(copy + (hex ? 3 : 2), &end, hex ? 16 : 10);
    if (*end != ';' || c >= ' ' || strchr(tab, (int)c))
        return 0;
    return (size_t)(end - copy) + 1;
}

/* Feeds the parser. Servers repeat what they were asked for with references to control characters,
 * which XML does not have: a blank stands for each of them, and x->controls counts them. */
static bool s3_xml_feed(struct s3_xml *x, const char *data, size_t len)
{
    const char *end = data + len;
    const char *from = data; /* not fed so far */
    const char *p = data;
    bool ok = true;
    while (ok && (p = memchr(p, '&', (size_t)(end - p)))) {
        size_t skip = s3_xml_control(p, (size_t)(end - p));
        if (skip > 0) {
            ok = XML_Parse(x->parser, from, (int)(p - from), XML_FALSE) == XML_STATUS_OK &&
                 XML_Parse(x->parser, " ", 1, XML_FALSE) == XML_STATUS_OK;
            from = p + skip;
            x->controls++;
        }
        p += MAX(skip, (size_t)1);
    }
    return ok && XML_Parse(x->parser, from, (int)(end - from), XML_TRUE) == XML_STATUS_OK;
}

/* 0 and the number of control characters, what `fn` returned, -EBADMSG or -ENOMEM. */
static int s3_xml_read(const void *data, size_t len, s3_xml_fn *fn, void *arg, size_t *controls)
{
    struct s3_xml x = {
        .parser = XML_ParserCreate("UTF-8"),
        .fn = fn,
        .arg = arg,
        .path = BUF_INIT(S3_XML_PATH_MAX),
        .text = BUF_INIT(S3_XML_TEXT_MAX),
    };
    if (!x.parser)
        return -ENOMEM;
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, s3_xml_on_start, s3_xml_on_end);
    XML_SetCharacterDataHandler(x.parser, s3_xml_on_text);
    XML_SetStartDoctypeDeclHandler(x.parser, s3_xml_on_doctype);
    int r = len <= S3_XML_LIST_MAX && s3_xml_feed(&x, data, len) ? 0 : -EBADMSG;
    if (x.code < 0)
        r = x.code;
    else if (r < 0 && XML_GetErrorCode(x.parser) == XML_ERROR_NO_MEMORY)
        r = -ENOMEM;
    XML_ParserFree(x.parser);
    buf_fini(&x.path);
    buf_fini(&x.text);
    *controls = x.controls;
    return r;
}

/* "2009-10-12T17:50:30.000Z", of which whole seconds are used, as in a Last-Modified header. */
static int s3_xml_time(const char *text, int64_t *ret_ns)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || (*rest != '.' && *rest != 'Z'))
        return -EBADMSG;
    time_t when = timegm(&tm);
    if (when < 0 || when > INT64_MAX / 1000000000)
        return -EBADMSG;
    *ret_ns = (int64_t)when * 1000000000;
    return 0;
}

static int s3_xml_size(const char *text, uint64_t *ret)
{
    char *end = NULL;
    if (*text < '0' || *text > '9')
        return -EBADMSG;
    errno = 0;
    unsigned long long size = strtoull(text, &end, 10);
    if (errno != 0 || *end || size > INT64_MAX)
        return -EBADMSG;
    *ret = size;
    return 0;
}

/* A page being read. */
struct s3_xml_lister {
    struct s3_xml_page page;
    size_t capacity;           /* of page.entry */
    struct s3_xml_entry entry; /* of the element that is open */
    bool sized;                /* entry.stat.size was seen */
    bool url;                  /* keys are percent-encoded */
    bool root;                 /* the document is what was expected */
};

static int s3_xml_keep(char **dst, const char *text)
{
    free(*dst);
    *dst = strdup(text);
    return *dst ? 0 : -ENOMEM;
}

/* Moves the entry that has just been read to the page. */
static int s3_xml_push(struct s3_xml_lister *l, bool is_prefix)
{
    struct s3_xml_page *page = &l->page;
    l->entry.is_prefix = is_prefix;
    if (!l->entry.key || page->entries == S3_XML_ENTRIES_MAX)
        return -EBADMSG;
    if (!is_prefix && (!l->sized || !l->entry.stat.etag[0]))
        return -EBADMSG;
    if (page->entries == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct s3_xml_entry *entry = reallocarray(page->entry, capacity, sizeof(*entry));
        if (!entry)
            return -ENOMEM;
        page->entry = entry;
        l->capacity = capacity;
    }
    page->entry[page->entries++] = l->entry;
    l->entry = (struct s3_xml_entry){0};
    l->sized = false;
    return 0;
}

static int s3_xml_on_contents(struct s3_xml_lister *l, const char *field, const char *text)
{
    struct store_stat *stat = &l->entry.stat;
    if (strcmp(field, "") == 0)
        return s3_xml_push(l, false);
    if (strcmp(field, "/Key") == 0)
        return s3_xml_keep(&l->entry.key, text);
    if (strcmp(field, "/ETag") == 0)
        return s3_etag_read(text, stat->etag);
    if (strcmp(field, "/LastModified") == 0)
        return s3_xml_time(text, &stat->mtime_ns);
    if (strcmp(field, "/Size") == 0) {
        l->sized = true;
        return s3_xml_size(text, &stat->size);
    }
    return 0;
}

static int s3_xml_on_list(void *arg, const char *path, const char *text)
{
    static const char root[] = "ListBucketResult", contents[] = "ListBucketResult/Contents";
    struct s3_xml_lister *l = arg;
    if (strncmp(path, root, sizeof(root) - 1) != 0)
        return -EBADMSG;
    l->root = true;
    if (strncmp(path, contents, sizeof(contents) - 1) == 0)
        return s3_xml_on_contents(l, path + sizeof(contents) - 1, text);
    const char *field = path + sizeof(root) - 1;
    if (strcmp(field, "/CommonPrefixes/Prefix") == 0)
        return s3_xml_keep(&l->entry.key, text);
    if (strcmp(field, "/CommonPrefixes") == 0)
        return s3_xml_push(l, true);
    if (strcmp(field, "/IsTruncated") == 0)
        l->page.truncated = strcmp(text, "true") == 0;
    else if (strcmp(field, "/EncodingType") == 0)
        l->url = strcmp(text, "url") == 0;
    else if (strcmp(field, "/NextContinuationToken") == 0 && *text)
        return s3_xml_keep(&l->page.next_token, text);
    else if (strcmp(field, "/NextMarker") == 0 && *text)
        return s3_xml_keep(&l->page.next_marker, text);
    return 0;
}

/* Decodes the keys: only now is it known whether they are encoded. */
static int s3_xml_decode(struct s3_xml_lister *l)
{
    struct s3_xml_page *page = &l->page;
    int r = l->url && page->next_marker ? uri_decode(page->next_marker) : 0;
    for (size_t i = 0; i < page->entries && r == 0; i++) {
        char *key = page->entry[i].key;
        if (l->url)
            r = uri_decode(key);
        size_t len = strlen(key);
        if (len == 0 || len > STORE_KEY_MAX)
            r = -EBADMSG;
    }
    return r;
}

int s3_xml_list(const void *data, size_t len, struct s3_xml_page *ret, struct err *err)
{
    struct s3_xml_lister l = {0};
    size_t controls = 0;
    int r = s3_xml_read(data, len, s3_xml_on_list, &l, &controls);
    if (r == 0 && (!l.root || (controls > 0 && !l.url)))
        r = -EBADMSG; /* unless keys are percent-encoded, one of them may hold a false blank */
    if (r == 0)
        r = s3_xml_decode(&l);
    free(l.entry.key);
    if (r == 0) {
        *ret = l.page;
        return 0;
    }
    s3_xml_page_fini(&l.page);
    return err_set(err, r, r == -ENOMEM ? "out of memory" : "the listing makes no sense");
}

void s3_xml_page_fini(struct s3_xml_page *page)
{
    for (size_t i = 0; i < page->entries; i++)
        free(page->entry[i].key);
    free(page->entry);
    free(page->next_token);
    free(page->next_marker);
    *page = (struct s3_xml_page){0};
}

static int s3_xml_on_error(void *arg, const char *path, const char *text)
{
    struct s3_xml_error *e = arg;
    if (strcmp(path, "Error/Code") == 0)
        (void)snprintf(e->code, sizeof(e->code), "%s", text);
    else if (strcmp(path, "Error/Message") == 0)
        (void)snprintf(e->message, sizeof(e->message), "%s", text);
    else if (strcmp(path, "Error/Region") == 0)
        (void)snprintf(e->region, sizeof(e->region), "%s", text);
    else if (strcmp(path, "Error/RequestId") == 0)
        (void)snprintf(e->request_id, sizeof(e->request_id), "%s", text);
    return 0;
}

void s3_xml_error(const void *data, size_t len, struct s3_xml_error *ret)
{
    size_t controls = 0;
    *ret = (struct s3_xml_error){0};
    if (s3_xml_read(data, len, s3_xml_on_error, ret, &controls) < 0 && !ret->code[0])
        *ret = (struct s3_xml_error){0};
}
