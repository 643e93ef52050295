#include "matrix/dtype.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { DTYPE_SHOWN_MAX = 40 }; /* bytes of a refused text that a message quotes */

struct dtype_alias {
    const char *name;
    char kind;
    uint8_t size;
};

/* All names that some numpy gives these types on 64-bit Linux; a type's first one is its own. The
 * single letters are numpy's type codes. */
static const struct dtype_alias dtype_alias[] = {
    {"bool", 'b', 1},
    {"bool_", 'b', 1},
    {"bool8", 'b', 1},
    {"?", 'b', 1},
    {"int8", 'i', 1},
    {"byte", 'i', 1},
    {"b", 'i', 1},
    {"uint8", 'u', 1},
    {"ubyte", 'u', 1},
    {"B", 'u', 1},
    {"int16", 'i', 2},
    {"short", 'i', 2},
    {"h", 'i', 2},
    {"uint16", 'u', 2},
    {"ushort", 'u', 2},
    {"H", 'u', 2},
    {"int32", 'i', 4},
    {"intc", 'i', 4},
    {"i", 'i', 4},
    {"uint32", 'u', 4},
    {"uintc", 'u', 4},
    {"I", 'u', 4},
    {"int64", 'i', 8},
    {"int", 'i', 8},
    {"int_", 'i', 8},
    {"int0", 'i', 8},
    {"intp", 'i', 8},
    {"long", 'i', 8},
    {"longlong", 'i', 8},
    {"l", 'i', 8},
    {"q", 'i', 8},
    {"p", 'i', 8},
    {"uint64", 'u', 8},
    {"uint", 'u', 8},
    {"uint0", 'u', 8},
    {"uintp", 'u', 8},
    {"ulong", 'u', 8},
    {"ulonglong", 'u', 8},
    {"L", 'u', 8},
    {"Q", 'u', 8},
    {"P", 'u', 8},
    {"float16", 'f', 2},
    {"half", 'f', 2},
    {"e", 'f', 2},
    {"float32", 'f', 4},
    {"single", 'f', 4},
    {"f", 'f', 4},
    {"float64", 'f', 8},
    {"float", 'f', 8},
    {"float_", 'f', 8},
    {"double", 'f', 8},
    {"d", 'f', 8},
    {"complex64", 'c', 8},
    {"csingle", 'c', 8},
    {"singlecomplex", 'c', 8},
    {"F", 'c', 8},
    {"complex128", 'c', 16},
    {"complex", 'c', 16},
    {"complex_", 'c', 16},
    {"cdouble", 'c', 16},
    {"cfloat", 'c', 16},
    {"D", 'c', 16},
};

static bool dtype_is_order(char c)
{
    return c == '<' || c == '>' || c == '=' || c == '|';
}

/* numpy takes '=' and, for types of several bytes, '|' as the machine's own order. */
static struct dtype dtype_make(char kind, uint8_t size, char order)
{
    if (size == 1)
        order = '|';
    else if (order != '>')
        order = '<';
    return (struct dtype){.kind = kind, .size = size, .order = order};
}

static const struct dtype_alias *dtype_find_name(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(dtype_alias); i++) {
        if (strlen(dtype_alias[i].name) == len && memcmp(dtype_alias[i].name, name, len) == 0)
            return &dtype_alias[i];
    }
    return NULL;
}

/* The first entry of a type: the one with its own name. */
static const struct dtype_alias *dtype_find_kind(char kind, unsigned size)
{
    for (size_t i = 0; i < ARRAY_SIZE(dtype_alias); i++) {
        if (dtype_alias[i].kind == kind && dtype_alias[i].size == size)
            return &dtype_alias[i];
    }
    return NULL;
}

/* The size behind a kind letter: "1" to "16", or 0. */
static unsigned dtype_parse_size(const char *text, size_t len)
{
    if (len == 1 && text[0] >= '1' && text[0] <= '9')
        return (unsigned)(text[0] - '0');
    return len == 2 && memcmp(text, "16", 2) == 0 ? 16 : 0;
}

static bool dtype_try_descr(const char *text, size_t len, struct dtype *ret)
{
    char order = '=';
    if (len > 0 && dtype_is_order(*text)) {
        order = *text++;
        len--;
    }
    if (len < 2)
        return false;
    const struct dtype_alias *a = dtype_find_kind(text[0], dtype_parse_size(text + 1, len - 1));
    if (!a)
        return false;
    *ret = dtype_make(a->kind, a->size, order);
    return true;
}

static int dtype_refuse(const char *text, size_t len, struct err *err)
{
    return err_set(
        err, -EINVAL,
        "type '%.*s' is none of bool, int8 to int64, uint8 to uint64, float16 to float64, complex64, "
        "complex128",
        (int)MIN(len, (size_t)DTYPE_SHOWN_MAX), text);
}

int dtype_from_descr(const char *text, size_t len, struct dtype *ret, struct err *err)
{
    return dtype_try_descr(text, len, ret) ? 0 : dtype_refuse(text, len, err);
}

int dtype_from_name(const char *text, size_t len, struct dtype *ret, struct err *err)
{
    if (dtype_try_descr(text, len, ret))
        return 0;
    char order = '=';
    bool ordered = len == 2 && dtype_is_order(text[0]); /* ">d" */
    if (ordered)
        order = text[0];
    const struct dtype_alias *a = dtype_find_name(text + ordered, len - ordered);
    if (!a)
        return dtype_refuse(text, len, err);
    *ret = dtype_make(a->kind, a->size, order);
    return 0;
}

const char *dtype_descr(struct dtype t, char dst[DTYPE_TEXT_SIZE])
{
    (void)snprintf(dst, DTYPE_TEXT_SIZE, "%c%c%u", t.order, t.kind, (unsigned)t.size);
    return dst;
}

const char *dtype_name(struct dtype t)
{
    const struct dtype_alias *a = dtype_find_kind(t.kind, t.size);
    return a ? a->name : "unknown";
}

bool dtype_equal(struct dtype a, struct dtype b)
{
    return a.kind == b.kind && a.size == b.size && a.order == b.order;
}

char dtype_blas(struct dtype t)
{
    static const struct {
        const char *name;
        char letter;
    } blas[] = {{"float32", 's'}, {"float64", 'd'}, {"complex64", 'c'}, {"complex128", 'z'}};
    for (size_t i = 0; t.order == '<' && i < ARRAY_SIZE(blas); i++) {
        if (strcmp(dtype_name(t), blas[i].name) == 0)
            return blas[i].letter;
    }
    return '\0';
}

size_t dtype_swap_unit(struct dtype t)
{
    return t.kind == 'c' ? t.size / 2U : t.size;
}
