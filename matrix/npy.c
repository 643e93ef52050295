#include "matrix/npy.h"

#include "matrix/decimal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char npy_magic[] = "\x93NUMPY";

enum {
    NPY_MAGIC_SIZE = 6,
    NPY_ALIGN = 64,
    NPY_GROWTH_DIGITS = 21, /* room that numpy leaves for the axis along which a file may grow */
    NPY_AXIS_TEXT = 21,     /* the longest size and its comma or blank */
    NPY_TEXT_MAX = 128 + GRID_NDIM_MAX * (NPY_AXIS_TEXT + 1) + NPY_GROWTH_DIGITS,
};

/* --- reading: the dictionary --- */

enum npy_key { NPY_DESCR, NPY_FORTRAN, NPY_SHAPE, NPY_KEYS };

static const char *const npy_key[NPY_KEYS] = {"descr", "fortran_order", "shape"};

/* A cursor in the header's text. */
struct npy_text {
    const char *p, *end;
    bool long_suffix; /* Python 2's "4096L" may occur */
};

static void npy_skip(struct npy_text *t)
{
    while (t->p < t->end && (*t->p == ' ' || (*t->p >= '\t' && *t->p <= '\r')))
        t->p++;
}

/* Moves over `word` and the blanks before it, when it comes next. */
static bool npy_take(struct npy_text *t, const char *word)
{
    size_t len = strlen(word);
    npy_skip(t);
    if ((size_t)(t->end - t->p) < len || memcmp(t->p, word, len) != 0)
        return false;
    t->p += len;
    return true;
}

/* A text in either kind of quotes. One with a backslash ends there, and will match nothing. */
static bool npy_take_string(struct npy_text *t, const char **ret, size_t *ret_len)
{
    const char *quote = npy_take(t, "'") ? "'" : "\"";
    if (*quote == '"' && !npy_take(t, quote))
        return false;
    const char *close = memchr(t->p, *quote, (size_t)(t->end - t->p));
    if (!close)
        return false;
    *ret = t->p;
    *ret_len = (size_t)(close - t->p);
    t->p = close + 1;
    return true;
}

static int npy_parse_descr(struct npy_text *t, struct npy *npy, struct err *err)
{
    if (npy_take(t, "[") || npy_take(t, "("))
        return err_set(err, -EBADMSG, "'descr' is a structured type, not numbers");
    const char *text = NULL;
    size_t len = 0;
    if (!npy_take_string(t, &text, &len))
        return err_set(err, -EBADMSG, "'descr' is no text");
    if (len > 0 && text[len - 1] == 'O')
        return err_set(err, -EBADMSG, "'descr' says Python objects, not numbers");
    if (dtype_from_name(text, len, &npy->dtype, err) < 0)
        return err_prefix(err, -EBADMSG, "'descr'");
    return 0;
}

static int npy_parse_fortran(struct npy_text *t, struct npy *npy, struct err *err)
{
    npy->fortran = npy_take(t, "True");
    if (!npy->fortran && !npy_take(t, "False"))
        return err_set(err, -EBADMSG, "'fortran_order' is neither True nor False");
    return 0;
}

static int npy_parse_axis(struct npy_text *t, struct npy *npy, struct err *err)
{
    if (npy->ndim == GRID_NDIM_MAX)
        return err_set(err, -EBADMSG, "'shape' has more than %d axes", GRID_NDIM_MAX);
    int64_t size = 0;
    npy_skip(t);
    int r = decimal_parse(&t->p, t->end, &size);
    if (r == -ERANGE)
        return err_set(err, -EBADMSG, "'shape': axis %d is too large", npy->ndim);
    if (r < 0 || size < 0)
        return err_set(err, -EBADMSG, "'shape': axis %d is no size", npy->ndim);
    if (t->long_suffix && t->p < t->end && *t->p == 'L')
        t->p++;
    npy->shape[npy->ndim++] = size;
    return 0;
}

/* "()", "(3,)", "(4, 3)", "(4, 3,)"; "(3)" is a number to Python. */
static int npy_parse_shape(struct npy_text *t, struct npy *npy, struct err *err)
{
    if (!npy_take(t, "("))
        return err_set(err, -EBADMSG, "'shape' is no tuple");
    npy->ndim = 0;
    bool comma = true; /* the last item had one; the empty tuple needs none */
    while (!npy_take(t, ")")) {
        int r = comma ? npy_parse_axis(t, npy, err)
                      : err_set(err, -EBADMSG, "'shape' lacks a comma or a parenthesis");
        if (r < 0)
            return r;
        comma = npy_take(t, ",");
    }
    if (npy->ndim == 1 && !comma)
        return err_set(err, -EBADMSG, "'shape' is no tuple");
    return 0;
}

/* One "'key': value", each key once. */
static int npy_parse_field(struct npy_text *t, struct npy *npy, bool seen[NPY_KEYS],
                           struct err *err)
{
    static int (*const parse[NPY_KEYS])(struct npy_text *, struct npy *, struct err *) = {
        npy_parse_descr, npy_parse_fortran, npy_parse_shape};
    const char *key = NULL;
    size_t len = 0;
    if (!npy_take_string(t, &key, &len) || !npy_take(t, ":"))
        return err_set(err, -EBADMSG, "the header is no dictionary");
    for (size_t i = 0; i < NPY_KEYS; i++) {
        if (len != strlen(npy_key[i]) || memcmp(key, npy_key[i], len) != 0)
            continue;
        if (seen[i])
            return err_set(err, -EBADMSG, "'%s' is there twice", npy_key[i]);
        seen[i] = true;
        return parse[i](t, npy, err);
    }
    return err_set(err, -EBADMSG, "the header has a key that is none of npy's");
}

static int npy_parse_dict(struct npy_text *t, struct npy *npy, struct err *err)
{
    bool seen[NPY_KEYS] = {false};
    bool comma = true;
    if (!npy_take(t, "{"))
        return err_set(err, -EBADMSG, "the header is no dictionary");
    while (!npy_take(t, "}")) {
        int r = comma ? npy_parse_field(t, npy, seen, err)
                      : err_set(err, -EBADMSG, "the header lacks a comma or a brace");
        if (r < 0)
            return r;
        comma = npy_take(t, ",");
    }
    for (size_t i = 0; i < NPY_KEYS; i++) {
        if (!seen[i])
            return err_set(err, -EBADMSG, "'%s' is missing", npy_key[i]);
    }
    npy_skip(t);
    return t->p == t->end ? 0 : err_set(err, -EBADMSG, "text follows the dictionary");
}

/* --- reading: the whole --- */

/* Bytes of the elements, or -EOVERFLOW. As in numpy, the other axes of an empty array must be
 * countable too. */
static int npy_data_len(const struct npy *npy, uint64_t *ret)
{
    int64_t bytes = npy->dtype.size;
    bool empty = false;
    for (int a = 0; a < npy->ndim; a++) {
        empty = empty || npy->shape[a] == 0;
        if (__builtin_mul_overflow(bytes, MAX(npy->shape[a], (int64_t)1), &bytes))
            return -EOVERFLOW;
    }
    *ret = empty ? 0 : (uint64_t)bytes;
    return 0;
}

/* Where the text starts and how long it is, from what comes before it. */
static int npy_parse_prefix(const unsigned char *head, size_t len, size_t *ret_start,
                            size_t *ret_len, struct err *err)
{
    if (memcmp(head, npy_magic, MIN(len, (size_t)NPY_MAGIC_SIZE)) != 0)
        return err_set(err, -EBADMSG, "it does not start with npy's magic bytes");
    if (len < NPY_HEAD_MIN)
        return -ENODATA;
    unsigned major = head[6];
    if (major < 1 || major > 3 || head[7] != 0)
        return err_set(err, -EBADMSG, "npy version %u.%u is none of 1.0, 2.0, 3.0", major,
                       (unsigned)head[7]);
    size_t width = major == 1 ? 2 : 4;
    if (len < 8 + width)
        return -ENODATA;
    size_t n = 0;
    for (size_t i = 0; i < width; i++)
        n |= (size_t)head[8 + i] << (8 * i);
    if (n > NPY_HEADER_MAX)
        return err_set(err, -EBADMSG, "a header of %zu bytes is longer than %d", n, NPY_HEADER_MAX);
    *ret_start = 8 + width;
    *ret_len = n;
    return 0;
}

static int npy_parse_head(const unsigned char *head, size_t len, struct npy *npy, struct err *err)
{
    size_t start = 0;
    size_t text_len = 0;
    int r = npy_parse_prefix(head, len, &start, &text_len, err);
    if (r < 0)
        return r;
    if (len < start + text_len)
        return -ENODATA;
    const char *text = (const char *)head + start;
    struct npy_text t = {.p = text, .end = text + text_len, .long_suffix = head[6] < 3};
    r = npy_parse_dict(&t, npy, err);
    if (r < 0)
        return r;
    npy->data_off = start + text_len;
    if (npy_data_len(npy, &npy->data_len) < 0)
        return err_set(err, -EBADMSG, "'shape' has too many elements to count their bytes");
    return 0;
}

int npy_parse(const void *head, size_t len, struct npy *ret, struct err *err)
{
    struct npy npy = {0};
    int r = len > 0 ? npy_parse_head(head, len, &npy, err) : -ENODATA;
    if (r == -ENODATA)
        return err_set(err, r, "npy: %zu bytes are less than the header", len);
    if (r < 0)
        return err_prefix(err, r, "npy");
    *ret = npy;
    return 0;
}

/* --- writing --- */

/* Whether the two orders of elements differ at all. */
static bool npy_has_order(const struct npy *npy)
{
    int axes = 0;
    for (int a = 0; a < npy->ndim; a++) {
        if (npy->shape[a] == 0)
            return false;
        axes += npy->shape[a] > 1;
    }
    return axes > 1;
}

/* Writes "(4, 3)", "(3,)" or "()" and returns its length. */
static int npy_print_shape(const struct npy *npy, char *dst, size_t size)
{
    int n = snprintf(dst, size, "(");
    for (int a = 0; a < npy->ndim; a++)
        n += snprintf(dst + n, size - (size_t)n, "%s%" PRId64, a > 0 ? ", " : "", npy->shape[a]);
    return n + snprintf(dst + n, size - (size_t)n, npy->ndim == 1 ? ",)" : ")");
}

/* Blanks that numpy adds so that the header can be rewritten in place when the file has grown. */
static int npy_growth_room(const struct npy *npy)
{
    if (npy->ndim == 0)
        return 0;
    int64_t size = npy->shape[npy->fortran ? npy->ndim - 1 : 0];
    return NPY_GROWTH_DIGITS - snprintf(NULL, 0, "%" PRId64, size);
}

int npy_format(struct npy *npy, struct buf *out)
{
    char shape[GRID_NDIM_MAX * (NPY_AXIS_TEXT + 1) + 4];
    char descr[DTYPE_TEXT_SIZE];
    char text[NPY_TEXT_MAX];
    if (npy->ndim < 0 || npy->ndim > GRID_NDIM_MAX || npy_data_len(npy, &npy->data_len) < 0)
        return -EINVAL;
    npy->fortran = npy->fortran && npy_has_order(npy);
    (void)npy_print_shape(npy, shape, sizeof(shape));
    int n = snprintf(text, sizeof(text), "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }%*s",
                     dtype_descr(npy->dtype, descr), npy->fortran ? "True" : "False", shape,
                     npy_growth_room(npy), "");
    /* The newline counts; a text that is aligned already gets a whole row of blanks. */
    int pad = NPY_ALIGN - (NPY_HEAD_MIN + n + 1) % NPY_ALIGN;
    unsigned len = (unsigned)(n + pad + 1);
    const char version[4] = {1, 0, (char)(len & 0xff), (char)(len >> 8)};
    npy->data_off = NPY_HEAD_MIN + len;
    int r = buf_append(out, npy_magic, NPY_MAGIC_SIZE);
    if (r == 0)
        r = buf_append(out, version, sizeof(version));
    return r < 0 ? r : buf_printf(out, "%s%*s\n", text, pad, "");
}

/* --- blocks --- */

void npy_for_block(const struct grid *g, struct dtype dtype, const int64_t *index, struct npy *ret)
{
    *ret = (struct npy){.dtype = dtype, .ndim = g->ndim};
    for (int a = 0; a < g->ndim; a++)
        ret->shape[a] = grid_block_extent(g, a, index[a]);
}

static int npy_check_shape(const struct npy *npy, const struct npy *want, struct err *err)
{
    char is[GRID_NDIM_MAX * (NPY_AXIS_TEXT + 1) + 4];
    char should[sizeof(is)];
    if (npy->ndim == want->ndim &&
        memcmp(npy->shape, want->shape, sizeof(npy->shape[0]) * (size_t)npy->ndim) == 0)
        return 0;
    (void)npy_print_shape(npy, is, sizeof(is));
    (void)npy_print_shape(want, should, sizeof(should));
    return err_set(err, -EINVAL, "shape %s, where the block has %s", is, should);
}

int npy_check_block(const struct npy *npy, uint64_t file_len, const struct grid *g,
                    struct dtype dtype, const int64_t *index, struct err *err)
{
    char is[DTYPE_TEXT_SIZE];
    char should[DTYPE_TEXT_SIZE];
    if (!grid_contains(g, index))
        return err_set(err, -EINVAL, "the block is outside the grid");
    struct npy want;
    npy_for_block(g, dtype, index, &want);
    int r = npy_check_shape(npy, &want, err);
    if (r < 0)
        return r;
    if (!dtype_equal(npy->dtype, dtype))
        return err_set(err, -EINVAL, "type %s, where the matrix has %s",
                       dtype_descr(npy->dtype, is), dtype_descr(dtype, should));
    uint64_t need = npy->data_off + npy->data_len;
    if (file_len != need)
        return err_set(err, -EINVAL, "%" PRIu64 " bytes, where the block has %" PRIu64, file_len,
                       need);
    return 0;
}
