#include "matrix/json.h"

#include "base/lock.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what cJSON does not check --- */

struct json_scan {
    const unsigned char *text;
    size_t len, pos;
    int depth;
    struct err *err;
};

static int json_refuse(struct json_scan *s, const char *what)
{
    return err_set(s->err, -EBADMSG, "JSON: byte %zu: %s", s->pos, what);
}

/* Bytes of the UTF-8 character at `p`, which has more than one, or 0 when it is none: cut off, too
 * long for its value, a surrogate, or beyond U+10FFFF. */
static size_t json_utf8_len(const unsigned char *p, size_t left)
{
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    unsigned char low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    }
    return n;
}

/* A backslash and what it stands for; cJSON knows the rest of the rules. */
static int json_scan_escape(struct json_scan *s)
{
    static const char nul[] = "u0000";
    const unsigned char *p = s->text + s->pos + 1;
    size_t left = s->len - s->pos - 1;
    if (left >= sizeof(nul) - 1 && memcmp(p, nul, sizeof(nul) - 1) == 0)
        return json_refuse(s, "a string with a NUL");
    s->pos += 2;
    return 0;
}

static int json_scan_string(struct json_scan *s)
{
    for (s->pos++; s->pos < s->len;) {
        unsigned char c = s->text[s->pos];
        size_t n = c < 0x80 ? 1 : json_utf8_len(s->text + s->pos, s->len - s->pos);
        if (n == 0)
            return json_refuse(s, "not UTF-8");
        if (c < ' ')
            return json_refuse(s, "a control character in a string");
        if (c == '\\') {
            int r = json_scan_escape(s);
            if (r < 0)
                return r;
            continue;
        }
        s->pos += n;
        if (c == '"')
            return 0;
    }
    return json_refuse(s, "a string without end");
}

static const char *json_skip_digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Whether all of `text` is a number by JSON's grammar; *ret_whole when it has neither fraction nor
 * exponent. */
static bool json_is_number(const char *text, bool *ret_whole)
{
    const char *p = text + (*text == '-');
    const char *end = *p == '0' ? p + 1 : json_skip_digits(p);
    bool good = end > p;
    *ret_whole = *end != '.' && *end != 'e' && *end != 'E';
    if (*end == '.') {
        p = end + 1;
        end = json_skip_digits(p);
        good = good && end > p;
    }
    if (*end == 'e' || *end == 'E') {
        p = end + 1;
        p += *p == '-' || *p == '+';
        end = json_skip_digits(p);
        good = good && end > p;
    }
    return good && *end == '\0';
}

/* The shortest text that reads back as the same double; above 2^53 - 1 none that looks like an
 * integer, for that is refused when it is read. */
static const char *json_number(double v, char dst[JSON_NUMBER_MAX])
{
    bool whole = false;
    int digits = 15;
    for (; digits <= 17; digits++) {
        (void)snprintf(dst, JSON_NUMBER_MAX, "%.*g", digits, v);
        if (strtod(dst, NULL) == v)
            break;
    }
    if (fabs(v) > (double)JSON_INT_MAX && json_is_number(dst, &whole) && whole)
        (void)snprintf(dst, JSON_NUMBER_MAX, "%.*e", digits - 1, v);
    return dst;
}

static int json_scan_number(struct json_scan *s)
{
    static const char part[] = "+-.0123456789Ee"; /* all that cJSON takes for a number's */
    char token[JSON_NUMBER_MAX + 1] = {0};
    size_t n = 0;
    while (s->pos + n < s->len && memchr(part, s->text[s->pos + n], sizeof(part) - 1)) {
        if (n == JSON_NUMBER_MAX)
            return json_refuse(s, "a number of too many characters");
        token[n] = (char)s->text[s->pos + n];
        n++;
    }
    bool whole = false;
    if (!json_is_number(token, &whole))
        return json_refuse(s, "not a number");
    double v = strtod(token, NULL);
    if (!isfinite(v))
        return json_refuse(s, "a number too large for a double");
    if (whole && fabs(v) > (double)JSON_INT_MAX)
        return json_refuse(s, "an integer above 2^53 - 1, which could not be kept exactly");
    s->pos += n;
    return 0;
}

static int json_scan_token(struct json_scan *s)
{
    unsigned char c = s->text[s->pos];
    if (c == '"')
        return json_scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9'))
        return json_scan_number(s);
    if (c < ' ' && c != '\t' && c != '\n' && c != '\r')
        return json_refuse(s, c == 0 ? "a NUL byte" : "a control character");
    if (c == '[' || c == '{')
        s->depth++;
    if (c == ']' || c == '}')
        s->depth--;
    if (s->depth > JSON_DEPTH_MAX)
        return json_refuse(s, "nested too deep");
    s->pos++;
    return 0;
}

/* --- reading --- */

static int json_check_end(const char *text, size_t len, size_t end, struct err *err)
{
    static const char blank[] = " \t\r\n";
    for (size_t i = end; i < len; i++) {
        if (!memchr(blank, text[i], sizeof(blank) - 1))
            return err_set(err, -EBADMSG, "JSON: byte %zu: text behind the value", i);
    }
    return 0;
}

/* cJSON does not tell a lack of memory from a wrong byte: whether this thread has met one. */
static _Thread_local bool json_is_short;

static void *json_malloc(size_t size)
{
    void *p = malloc(size);
    json_is_short = json_is_short || !p;
    return p;
}

/* Before main(), while nobody reads what it sets. */
__attribute__((constructor)) static void json_begin(void)
{
    struct cJSON_Hooks hooks = {.malloc_fn = json_malloc, .free_fn = free};
    cJSON_InitHooks(&hooks);
}

/* cJSON notes the place of its last error in a global, which nobody reads. */
static int json_parse_tree(const char *text, size_t len, struct cJSON **ret, const char **ret_end)
{
    static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
    LOCK_SCOPE(&mu);
    json_is_short = false;
    *ret = cJSON_ParseWithLengthOpts(text, len, ret_end, false);
    if (!*ret)
        return json_is_short ? -ENOMEM : -EBADMSG;
    return 0;
}

int json_reread(const char *text, size_t len, struct cJSON **ret)
{
    const char *end = NULL;
    return json_parse_tree(text, len, ret, &end);
}

int json_parse(const char *text, size_t len, struct cJSON **ret, struct err *err)
{
    struct json_scan s = {.text = (const unsigned char *)text, .len = len, .err = err};
    while (s.pos < len) {
        int r = json_scan_token(&s);
        if (r < 0)
            return r;
    }
    const char *end = text;
    CLEANUP(json_freep) struct cJSON *item = NULL;
    int r = json_parse_tree(text, len, &item, &end);
    if (r == -EBADMSG)
        return err_set(err, r, "JSON: byte %zu: not what may stand here", (size_t)(end - text));
    if (r < 0)
        return err_set(err, r, "out of memory");
    r = json_check_end(text, len, (size_t)(end - text), err);
    if (r < 0)
        return r;
    *ret = TAKE(item);
    return 0;
}

bool json_int(const struct cJSON *item, int64_t *ret)
{
    if (!cJSON_IsNumber(item))
        return false;
    double v = item->valuedouble;
    if (!(fabs(v) <= (double)JSON_INT_MAX) || v != trunc(v))
        return false;
    *ret = (int64_t)v;
    return true;
}

void json_freep(struct cJSON **item)
{
    cJSON_Delete(*item);
}

/* --- printing --- */

/* A character that may not stand for itself. */
static int json_print_escape(unsigned char c, struct buf *out)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";
    const char *at = memchr(plain, c, sizeof(plain) - 1);
    if (at)
        return buf_printf(out, "\\%c", letter[at - plain]);
    return buf_printf(out, "\\u%04x", (unsigned)c);
}

static bool json_needs_escape(unsigned char c)
{
    return c < ' ' || c == '"' || c == '\\';
}

int json_print_string(const char *text, struct buf *out)
{
    int r = buf_puts(out, "\"");
    while (r == 0 && *text) {
        size_t n = 0;
        while (text[n] && !json_needs_escape((unsigned char)text[n]))
            n++;
        r = buf_append(out, text, n);
        text += n;
        if (r == 0 && *text)
            r = json_print_escape((unsigned char)*text++, out);
    }
    return r < 0 ? r : buf_puts(out, "\"");
}

static int json_print_number(double v, struct buf *out)
{
    char text[JSON_NUMBER_MAX];
    return isfinite(v) ? buf_puts(out, json_number(v, text)) : -EINVAL;
}

static int json_print_at(const struct cJSON *item, int depth, struct buf *out);

/* The items of an array or an object, between its brackets. */
static int json_print_list(const struct cJSON *list, int depth, struct buf *out)
{
    bool object = cJSON_IsObject(list);
    int r = depth > JSON_DEPTH_MAX ? -EINVAL : buf_puts(out, object ? "{" : "[");
    for (const struct cJSON *item = list->child; r == 0 && item; item = item->next) {
        if (item != list->child)
            r = buf_puts(out, ", ");
        if (r == 0 && object)
            r = json_print_string(item->string, out);
        if (r == 0 && object)
            r = buf_puts(out, ": ");
        if (r == 0)
            r = json_print_at(item, depth + 1, out);
    }
    return r < 0 ? r : buf_puts(out, object ? "}" : "]");
}

static int json_print_at(const struct cJSON *item, int depth, struct buf *out)
{
    if (cJSON_IsArray(item) || cJSON_IsObject(item))
        return json_print_list(item, depth, out);
    if (cJSON_IsString(item))
        return json_print_string(item->valuestring, out);
    if (cJSON_IsNumber(item))
        return json_print_number(item->valuedouble, out);
    if (cJSON_IsBool(item))
        return buf_puts(out, cJSON_IsTrue(item) ? "true" : "false");
    return cJSON_IsNull(item) ? buf_puts(out, "null") : -EINVAL;
}

int json_print(const struct cJSON *item, struct buf *out)
{
    return json_print_at(item, 1, out);
}
