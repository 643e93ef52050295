#include "tools/report.h"

#include "base/version.h"
#include "matrix/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_BYTES_MAX = 1 << 30 };

/* --- text --- */

/* Length of the UTF-8 sequence at `text`; 0 when it is none. */
static size_t report_utf8(const unsigned char *text)
{
    static const struct {
        uint32_t least; /* shorter sequences have all smaller numbers */
        uint8_t len;
        uint8_t mask, lead;
    } form[] = {{0, 1, 0x80, 0x00},
                {0x80, 2, 0xe0, 0xc0},
                {0x800, 3, 0xf0, 0xe0},
                {0x10000, 4, 0xf8, 0xf0}};
    for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
        if ((text[0] & form[i].mask) != form[i].lead)
            continue;
        uint32_t code = text[0] & (unsigned char)~form[i].mask;
        for (size_t k = 1; k < form[i].len; k++) {
            if ((text[k] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (text[k] & 0x3f);
        }
        bool good = code >= form[i].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return good ? form[i].len : 0;
    }
    return 0;
}

struct cJSON *report_string(const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    CLEANUP(buf_fini) struct buf clean = BUF_INIT(REPORT_BYTES_MAX);
    int r = 0;
    for (const char *p = text; r == 0 && *p;) {
        size_t n = report_utf8((const unsigned char *)p);
        r = n > 0 ? buf_append(&clean, p, n) : buf_puts(&clean, replacement);
        p += MAX(n, (size_t)1);
    }
    return r < 0 ? NULL : cJSON_CreateString(buf_text(&clean));
}

/* --- fields --- */

void report_item(struct report *r, const char *name, struct cJSON *value)
{
    if (r->root && value) {
        cJSON_DeleteItemFromObjectCaseSensitive(r->root, name);
        if (cJSON_AddItemToObject(r->root, name, value))
            return;
    }
    cJSON_Delete(value);
    cJSON_Delete(r->root);
    r->root = NULL;
}

void report_text(struct report *r, const char *name, const char *value)
{
    report_item(r, name, value ? report_string(value) : cJSON_CreateNull());
}

void report_int(struct report *r, const char *name, int64_t value)
{
    report_item(r, name, cJSON_CreateNumber((double)value));
}

void report_real(struct report *r, const char *name, double value)
{
    report_item(r, name, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

void report_bool(struct report *r, const char *name, bool value)
{
    report_item(r, name, cJSON_CreateBool(value));
}

void report_null(struct report *r, const char *name)
{
    report_item(r, name, cJSON_CreateNull());
}

void report_sizes(struct report *r, const char *name, const int64_t *size, int n)
{
    struct cJSON *list = cJSON_CreateArray();
    for (int i = 0; list && i < n; i++) {
        if (!cJSON_AddItemToArray(list, cJSON_CreateNumber((double)size[i]))) {
            cJSON_Delete(list);
            list = NULL;
        }
    }
    report_item(r, name, list);
}

void report_header(struct report *r, const struct header *h)
{
    char descr[DTYPE_TEXT_SIZE];
    report_sizes(r, "shape", h->grid.shape, h->grid.ndim);
    report_sizes(r, "shard_sizes", h->grid.shard, h->grid.ndim);
    report_text(r, "dtype", dtype_descr(h->dtype, descr));
}

/* --- the object --- */

void report_init(struct report *r, const char *tool)
{
    *r = (struct report){.root = cJSON_CreateObject(), .start_ns = clock_ns()};
    report_text(r, "schema", "bmfs-report/1");
    report_text(r, "tool", tool);
    report_text(r, "version", BMFS_VERSION);
    report_null(r, "status"); /* its place */
    report_item(r, "inputs", cJSON_CreateArray());
}

void report_input(struct report *r, const char *path)
{
    struct cJSON *item = report_string(path);
    struct cJSON *inputs = cJSON_GetObjectItemCaseSensitive(r->root, "inputs");
    if (!item || !inputs || !cJSON_AddItemToArray(inputs, item)) {
        cJSON_Delete(item);
        cJSON_Delete(r->root);
        r->root = NULL;
    }
}

static void report_error(struct report *r, int code, const struct err *err)
{
    struct report error = {.root = cJSON_CreateObject()};
    const char *name = strerrorname_np(-code);
    report_text(&error, "code", name ? name : "unknown");
    report_text(&error, "message", err->msg);
    report_text(&error, "hint", err->hint[0] ? err->hint : NULL);
    report_item(r, "error", error.root);
}

void report_print(struct report *r, const char *status, int code, const struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(REPORT_BYTES_MAX);
    struct cJSON *word = report_string(status);
    if (!r->root || !word || !cJSON_ReplaceItemInObjectCaseSensitive(r->root, "status", word))
        cJSON_Delete(word);
    report_real(r, "seconds", (double)(clock_ns() - r->start_ns) * 1e-9);
    if (code < 0)
        report_error(r, code, err);
    else
        report_null(r, "error");
    if (r->root && json_print(r->root, &text) == 0)
        (void)printf("%s\n", buf_text(&text));
    else
        (void)fprintf(stderr, "out of memory for the report\n");
}

void report_fini(struct report *r)
{
    cJSON_Delete(r->root);
    r->root = NULL;
}
