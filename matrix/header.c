#include "matrix/header.h"

#include "matrix/json.h"
#include "matrix/pickle.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

enum {
    HEADER_FIELDS_MAX = 1024, /* of one header: each is looked up among all others */
    HEADER_SHOWN_MAX = 40,    /* bytes of a refused text that a message quotes */
};

/* The fields of numpywren, in its order. */
static const char *const header_own[] = {"shape", "shard_sizes", "dtype"};

/* The fields of the presented form that follow from the rest. One with a text has no other value
 * in this version. */
static const struct header_derived {
    const char *name;
    const char *text;
} header_derived[] = {
    {"order", "C"},       {"grid", NULL},
    {"block_name", NULL}, {"block_encoding", "npy"},
    {"inferred", NULL},   {"format", "bmfs-header/1"},
    {"views", NULL},
};

static const char *const header_fill = "fill_value";

static const struct header_derived *header_find_derived(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_derived); i++) {
        if (strcmp(header_derived[i].name, name) == 0)
            return &header_derived[i];
    }
    return NULL;
}

static bool header_is_own(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_own); i++) {
        if (strcmp(header_own[i], name) == 0)
            return true;
    }
    return false;
}

/* --- reading --- */

/* Python takes the last of two equal names, cJSON the first: whoever wrote that meant nothing. */
static int header_check_names(const struct cJSON *root, struct err *err)
{
    if (!cJSON_IsObject(root))
        return err_set(err, -EBADMSG, "the header is no JSON object");
    int fields = 0;
    for (const struct cJSON *item = root->child; item; item = item->next) {
        if (++fields > HEADER_FIELDS_MAX)
            return err_set(err, -EBADMSG, "more than %d fields", HEADER_FIELDS_MAX);
        if (cJSON_GetObjectItemCaseSensitive(root, item->string) != item)
            return err_set(err, -EBADMSG, "field '%.*s' is there twice", HEADER_SHOWN_MAX,
                           item->string);
    }
    return 0;
}

static int header_parse_sizes(const struct cJSON *root, const char *name, int64_t *sizes,
                              int *ret_count, struct err *err)
{
    const struct cJSON *list = cJSON_GetObjectItemCaseSensitive(root, name);
    if (!cJSON_IsArray(list))
        return err_set(err, -EBADMSG, "field '%s' is %s", name, list ? "no array" : "missing");
    int n = 0;
    for (const struct cJSON *item = list->child; item; item = item->next, n++) {
        if (n == GRID_NDIM_MAX)
            return err_set(err, -EBADMSG, "field '%s' has more than %d axes", name, GRID_NDIM_MAX);
        if (!json_int(item, &sizes[n]))
            return err_set(err, -EBADMSG, "field '%s': axis %d is no whole number", name, n);
    }
    *ret_count = n;
    return 0;
}

static int header_parse_grid(const struct cJSON *root, struct grid *g, struct err *err)
{
    int shards = 0;
    int r = header_parse_sizes(root, "shape", g->shape, &g->ndim, err);
    if (r == 0)
        r = header_parse_sizes(root, "shard_sizes", g->shard, &shards, err);
    if (r < 0)
        return r;
    if (shards != g->ndim)
        return err_set(err, -EBADMSG, "'shape' has %d axes, 'shard_sizes' %d", g->ndim, shards);
    return grid_check(g, err) < 0 ? -EBADMSG : 0;
}

/* A type's name in the presented form, a pickle in the stored one: no name is a pickle too. */
static int header_parse_dtype(const struct cJSON *root, struct dtype *ret, bool *ret_presented,
                              struct err *err)
{
    const struct cJSON *item = cJSON_GetObjectItemCaseSensitive(root, "dtype");
    if (!cJSON_IsString(item))
        return err_set(err, -EBADMSG, "field 'dtype' is %s", item ? "no text" : "missing");
    const char *text = item->valuestring;
    size_t len = strlen(text);
    *ret_presented = dtype_from_name(text, len, ret, NULL) == 0;
    if (*ret_presented)
        return 0;
    int r = pickle_read_base64(text, len, ret, err);
    return r < 0 ? err_prefix(err, r,
                              "field 'dtype' ('%.*s') is neither a type's name nor its pickle",
                              HEADER_SHOWN_MAX, text)
                 : 0;
}

/* Takes out of `root` what is not to be kept: numpywren's fields, and of the presented form what
 * follows from them, which may be out of date but must not ask for what cannot be. */
static int header_drop_known(struct cJSON *root, bool presented, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(header_own); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(root, header_own[i]);
    for (size_t i = 0; presented && i < ARRAY_SIZE(header_derived); i++) {
        const struct header_derived *d = &header_derived[i];
        const struct cJSON *item = cJSON_GetObjectItemCaseSensitive(root, d->name);
        if (item && d->text && (!cJSON_IsString(item) || strcmp(item->valuestring, d->text) != 0))
            return err_set(err, -EBADMSG, "field '%s' can only be \"%s\"", d->name, d->text);
        cJSON_DeleteItemFromObjectCaseSensitive(root, d->name);
    }
    return 0;
}

int header_parse(const char *text, size_t len, struct header *ret, struct err *err)
{
    if (len > HEADER_BYTES_MAX)
        return err_set(err, -EBADMSG, "a header of %zu bytes is longer than %d", len,
                       HEADER_BYTES_MAX);
    CLEANUP(json_freep) struct cJSON *root = NULL;
    struct header h = {0};
    bool presented = false;
    int r = json_parse(text, len, &root, err);
    if (r == 0)
        r = header_check_names(root, err);
    if (r == 0)
        r = header_parse_grid(root, &h.grid, err);
    if (r == 0)
        r = header_parse_dtype(root, &h.dtype, &presented, err);
    if (r == 0)
        r = header_drop_known(root, presented, err);
    if (r < 0)
        return r;
    h.extra = root->child ? TAKE(root) : NULL;
    *ret = h;
    return 0;
}

/* --- writing --- */

/* "[10, 7]", after `before`. */
static int header_put_sizes(struct buf *out, const char *before, const int64_t *size, int count)
{
    int r = buf_puts(out, before);
    for (int a = 0; r == 0 && a < count; a++)
        r = buf_printf(out, "%s%lld", a > 0 ? ", " : "[", (long long)size[a]);
    return r < 0 ? r : buf_puts(out, "]");
}

/* A further field, after `before`. */
static int header_put_field(struct buf *out, const char *before, const struct cJSON *item)
{
    int r = buf_puts(out, before);
    if (r == 0)
        r = json_print_string(item->string, out);
    if (r == 0)
        r = buf_puts(out, ": ");
    return r < 0 ? r : json_print(item, out);
}

int header_store(const struct header *h, struct buf *out)
{
    int r = header_put_sizes(out, "{\"shape\": ", h->grid.shape, h->grid.ndim);
    if (r == 0)
        r = header_put_sizes(out, ", \"shard_sizes\": ", h->grid.shard, h->grid.ndim);
    if (r == 0)
        r = buf_puts(out, ", \"dtype\": \"");
    if (r == 0)
        r = pickle_write_base64(h->dtype, out);
    if (r == 0)
        r = buf_puts(out, "\"");
    const struct cJSON *item = h->extra ? h->extra->child : NULL;
    for (; r == 0 && item; item = item->next)
        r = header_put_field(out, ", ", item);
    return r < 0 ? r : buf_puts(out, "}");
}

/* "block_{i}_{j}": letters as long as they last. */
static int header_put_block_name(struct buf *out, const char *before, int ndim, const char *after)
{
    bool letters = ndim <= 'z' - 'i' + 1;
    int r = buf_printf(out, "%s\"block", before);
    for (int a = 0; r == 0 && a < ndim; a++)
        r = letters ? buf_printf(out, "_{%c}", 'i' + a) : buf_printf(out, "_{i%d}", a);
    return r < 0 ? r : buf_printf(out, "%s\"", after);
}

static int header_present_own(const struct header *h, struct buf *out)
{
    char descr[DTYPE_TEXT_SIZE];
    int r = header_put_sizes(out, "{\n  \"shape\": ", h->grid.shape, h->grid.ndim);
    if (r == 0)
        r = header_put_sizes(out, ",\n  \"shard_sizes\": ", h->grid.shard, h->grid.ndim);
    return r < 0 ? r : buf_printf(out, ",\n  \"dtype\": \"%s\"", dtype_descr(h->dtype, descr));
}

/* What a reader can use at once, and need not compute. */
static int header_present_layout(const struct header *h, struct buf *out)
{
    int64_t blocks[GRID_NDIM_MAX];
    for (int a = 0; a < h->grid.ndim; a++)
        blocks[a] = grid_axis_blocks(&h->grid, a);
    int r = buf_puts(out, ",\n  \"order\": \"C\"");
    if (r == 0)
        r = header_put_sizes(out, ",\n  \"grid\": ", blocks, h->grid.ndim);
    if (r == 0)
        r = header_put_block_name(out, ",\n  \"block_name\": ", h->grid.ndim, "");
    if (r == 0)
        r = buf_puts(out, ",\n  \"block_encoding\": \"npy\"");
    const struct cJSON *fill = header_extra(h, header_fill);
    if (r == 0 && fill)
        r = header_put_field(out, ",\n  ", fill);
    return r < 0 ? r : buf_printf(out, ",\n  \"inferred\": %s", h->inferred ? "true" : "false");
}

static int header_present_views(const struct header *h, struct buf *out)
{
    int r = buf_puts(out, ",\n  \"format\": \"bmfs-header/1\",\n  \"views\": {");
    if (r == 0)
        r = header_put_block_name(out, "\"raw\": ", h->grid.ndim, ".raw");
    if (r == 0)
        r = header_put_block_name(out, ", \"column_major\": ", h->grid.ndim, ".F.raw");
    return r < 0 ? r : buf_puts(out, "}");
}

int header_present(const struct header *h, struct buf *out)
{
    int r = header_present_own(h, out);
    if (r == 0)
        r = header_present_layout(h, out);
    if (r == 0)
        r = header_present_views(h, out);
    const struct cJSON *item = h->extra ? h->extra->child : NULL;
    for (; r == 0 && item; item = item->next) {
        /* A stored field may have the name of a derived one: the derived one is shown. */
        if (!header_find_derived(item->string) && strcmp(item->string, header_fill) != 0)
            r = header_put_field(out, ",\n  ", item);
    }
    return r < 0 ? r : buf_puts(out, "\n}\n");
}

/* --- the rest --- */

const struct cJSON *header_extra(const struct header *h, const char *name)
{
    return h->extra ? cJSON_GetObjectItemCaseSensitive(h->extra, name) : NULL;
}

int header_set_extra(struct header *h, const char *name, struct cJSON **value)
{
    if (header_is_own(name) || header_find_derived(name))
        return -EINVAL;
    if (!h->extra)
        h->extra = cJSON_CreateObject();
    if (!h->extra)
        return -ENOMEM;
    struct cJSON *old = cJSON_GetObjectItemCaseSensitive(h->extra, name);
    if (!cJSON_AddItemToObject(h->extra, name, *value))
        return -ENOMEM;
    if (old)
        cJSON_Delete(cJSON_DetachItemViaPointer(h->extra, old));
    *value = NULL;
    return 0;
}

bool header_equal(const struct header *a, const struct header *b)
{
    return grid_equal(&a->grid, &b->grid) && dtype_equal(a->dtype, b->dtype);
}

int header_copy(const struct header *h, struct header *ret)
{
    struct header copy = *h;
    copy.extra = h->extra ? cJSON_Duplicate(h->extra, true) : NULL;
    if (h->extra && !copy.extra)
        return -ENOMEM;
    *ret = copy;
    return 0;
}

void header_fini(struct header *h)
{
    cJSON_Delete(h->extra);
    h->extra = NULL;
}
