#include "ops/element.h"

#include <byteswap.h>
#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(LDBL_MANT_DIG >= 64, "a long double must hold every 64-bit integer");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the machine is little-endian");

/* --- texts --- */

/* One real number at *text, which it moves on. Whole numbers may need all bits of an integer type;
 * others are doubles, rounded once. */
static bool element_parse_part(const char **text, long double *ret)
{
    char *end = NULL;
    if (isspace((unsigned char)**text))
        return false;
    *ret = strtold(*text, &end);
    if (*ret != truncl(*ret) || fabsl(*ret) >= 0x1p64L)
        *ret = strtod(*text, &end);
    bool found = end != *text;
    *text = end;
    return found;
}

int element_parse(const char *text, struct number *ret, struct err *err)
{
    const char *p = text;
    long double part = 0;
    struct number v = {0};
    bool good = element_parse_part(&p, &part);
    if (good && *p == 'j') {
        v.im = part;
        p++;
    } else if (good) {
        v.re = part;
        if (*p == '+' || *p == '-') {
            good = element_parse_part(&p, &v.im) && *p == 'j';
            p += good;
        }
    }
    if (good && *p == '\0') {
        *ret = v;
        return 0;
    }
    (void)err_set(err, -EINVAL, "'%s' is not a number", text);
    err_hint(err, "write a number as 2.5 or, complex, as 1+2j or -3j");
    return -EINVAL;
}

static bool element_json_part(const struct cJSON *item, long double *ret)
{
    if (cJSON_IsNumber(item))
        *ret = item->valuedouble;
    else if (cJSON_IsBool(item))
        *ret = cJSON_IsTrue(item);
    else if (cJSON_IsString(item) && strcmp(item->valuestring, "NaN") == 0)
        *ret = (long double)NAN;
    else if (cJSON_IsString(item) && strcmp(item->valuestring, "Infinity") == 0)
        *ret = HUGE_VALL;
    else if (cJSON_IsString(item) && strcmp(item->valuestring, "-Infinity") == 0)
        *ret = -HUGE_VALL;
    else
        return false;
    return true;
}

int element_from_json(const struct cJSON *item, struct number *ret, struct err *err)
{
    struct number v = {0};
    bool good = false;
    if (cJSON_IsArray(item))
        good = cJSON_GetArraySize(item) == 2 &&
               element_json_part(cJSON_GetArrayItem(item, 0), &v.re) &&
               element_json_part(cJSON_GetArrayItem(item, 1), &v.im);
    else
        good = element_json_part(item, &v.re);
    if (!good)
        return err_set(err, -EINVAL, "neither a number nor \"NaN\" nor [re, im]");
    *ret = v;
    return 0;
}

/* JSON has neither NaN nor infinities. */
static struct cJSON *element_part_to_json(long double v)
{
    if (isnan(v))
        return cJSON_CreateString("NaN");
    if (isinf(v))
        return cJSON_CreateString(v > 0 ? "Infinity" : "-Infinity");
    return cJSON_CreateNumber((double)v);
}

struct cJSON *element_to_json(struct number v)
{
    if (v.im == 0)
        return element_part_to_json(v.re);
    struct cJSON *pair = cJSON_CreateArray();
    if (pair && cJSON_AddItemToArray(pair, element_part_to_json(v.re)) &&
        cJSON_AddItemToArray(pair, element_part_to_json(v.im)))
        return pair;
    cJSON_Delete(pair);
    return NULL;
}

/* --- half precision: IEEE 754 binary16 --- */

enum { HALF_INFINITY = 0x7c00, HALF_NAN = 0x7e00, HALF_SIGN = 0x8000, HALF_BIAS = 15 };

static uint16_t element_to_half(double v)
{
    unsigned sign = signbit(v) ? HALF_SIGN : 0;
    double a = fabs(v);
    if (isnan(v))
        return (uint16_t)(sign | HALF_NAN);
    if (a >= 65520) /* half way from the largest number to where the next one would be */
        return (uint16_t)(sign | HALF_INFINITY);
    if (a < 0x1p-14) /* subnormal, or rounded up to the first normal number */
        return (uint16_t)(sign | (unsigned)rint(a * 0x1p24));
    int e = 0;
    unsigned mantissa = (unsigned)rint(ldexp(frexp(a, &e), 11)); /* 1024 to 2048 */
    return (uint16_t)(sign | ((((unsigned)(e - 1 + HALF_BIAS)) << 10) + (mantissa - 1024)));
}

static double element_from_half(uint16_t h)
{
    int e = (h >> 10) & 31;
    double mantissa = h & 1023;
    double a;
    if (e == 31)
        a = mantissa == 0 ? HUGE_VAL : (double)NAN;
    else if (e == 0)
        a = mantissa * 0x1p-24;
    else
        a = ldexp(1024 + mantissa, e - HALF_BIAS - 10);
    return h & HALF_SIGN ? -a : a;
}

/* --- one element --- */

static int element_set_integer(struct dtype t, long double v, void *dst)
{
    int bits = t.kind == 'b' ? 1 : 8 * t.size - (t.kind == 'i');
    long double end = ldexpl(1, bits);
    if (!(v < end) || v < (t.kind == 'i' ? -end : 0) || v != truncl(v))
        return -EINVAL;
    /* Modulo 2^64, of which the low bytes are taken. */
    uint64_t value = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
    memcpy(dst, &value, t.size);
    return 0;
}

/* A float of `size` bytes. */
static int element_set_float(size_t size, long double v, void *dst)
{
    uint16_t half = element_to_half((double)v);
    float single = (float)v;
    double whole = (double)v;
    if (size == 2)
        memcpy(dst, &half, size);
    else if (size == 4)
        memcpy(dst, &single, size);
    else
        memcpy(dst, &whole, size);
    long double back;
    if (size == 2)
        back = element_from_half(half);
    else
        back = size == 4 ? single : whole;
    return isinf(back) && !isinf(v) ? -EINVAL : 0;
}

int element_set(struct dtype t, struct number v, void *dst, struct err *err)
{
    int r = v.im != 0 && t.kind != 'c' ? -EINVAL : 0;
    if (r < 0)
        return err_set(err, r, "a complex number, where the type is %s", dtype_name(t));
    if (t.kind == 'c') {
        size_t half = t.size / 2U;
        r = element_set_float(half, v.re, dst);
        if (r == 0)
            r = element_set_float(half, v.im, (char *)dst + half);
    } else if (t.kind == 'f') {
        r = element_set_float(t.size, v.re, dst);
    } else {
        r = element_set_integer(t, v.re, dst);
    }
    return r < 0 ? err_set(err, r, "%Lg is no value of type %s", v.re, dtype_name(t)) : 0;
}

void element_fill(struct dtype t, const void *element, size_t n, void *dst)
{
    char *p = dst;
    for (size_t i = 0; i < n; i++)
        memcpy(p + i * t.size, element, t.size);
}

/* --- many elements --- */

/* Calls out `n` values of C type `type` to every `step`th place of `dst`. */
#define ELEMENT_WIDEN(type, convert)          \
    do {                                      \
        const type *from = src;               \
        for (size_t i = 0; i < n; i++)        \
            dst[i * step] = convert(from[i]); \
    } while (0)

static void element_widen_signed(size_t size, const void *src, size_t n, size_t step,
                                 long double *dst)
{
    if (size == 1)
        ELEMENT_WIDEN(int8_t, );
    else if (size == 2)
        ELEMENT_WIDEN(int16_t, );
    else if (size == 4)
        ELEMENT_WIDEN(int32_t, );
    else
        ELEMENT_WIDEN(int64_t, );
}

static void element_widen_unsigned(size_t size, const void *src, size_t n, size_t step,
                                   long double *dst)
{
    if (size == 1)
        ELEMENT_WIDEN(uint8_t, );
    else if (size == 2)
        ELEMENT_WIDEN(uint16_t, );
    else if (size == 4)
        ELEMENT_WIDEN(uint32_t, );
    else
        ELEMENT_WIDEN(uint64_t, );
}

static void element_widen_float(size_t size, const void *src, size_t n, size_t step,
                                long double *dst)
{
    if (size == 2)
        ELEMENT_WIDEN(uint16_t, element_from_half);
    else if (size == 4)
        ELEMENT_WIDEN(float, );
    else
        ELEMENT_WIDEN(double, );
}

void element_widen(struct dtype t, const void *src, size_t n, int parts, long double *dst)
{
    if (t.kind == 'c') {
        element_widen_float(t.size / 2U, src, 2 * n, 1, dst);
        return;
    }
    for (size_t i = 0; parts == 2 && i < n; i++)
        dst[2 * i + 1] = 0;
    if (t.kind == 'f')
        element_widen_float(t.size, src, n, (size_t)parts, dst);
    else if (t.kind == 'i')
        element_widen_signed(t.size, src, n, (size_t)parts, dst);
    else
        element_widen_unsigned(t.size, src, n, (size_t)parts, dst);
}

void element_conjugate(struct dtype t, void *data, size_t n)
{
    float *s = data;
    double *d = data;
    for (size_t i = 0; t.kind == 'c' && t.size == 8 && i < n; i++)
        s[2 * i + 1] = -s[2 * i + 1];
    for (size_t i = 0; t.kind == 'c' && t.size == 16 && i < n; i++)
        d[2 * i + 1] = -d[2 * i + 1];
}

bool element_has_nan(struct dtype t, const void *src, size_t n)
{
    const uint16_t *h = src;
    const float *s = src;
    const double *d = src;
    bool found = false; /* gathered without a branch, so that the loops become vectors */
    size_t parts = t.kind == 'c' ? 2 * n : n;
    size_t size = t.kind == 'c' ? t.size / 2U : t.size;
    if (t.kind != 'f' && t.kind != 'c')
        return false;
    for (size_t i = 0; size == 2 && i < parts; i++)
        found |= (h[i] & ~HALF_SIGN) > HALF_INFINITY;
    for (size_t i = 0; size == 4 && i < parts; i++)
        found |= isnan(s[i]) != 0;
    for (size_t i = 0; size == 8 && i < parts; i++)
        found |= isnan(d[i]) != 0;
    return found;
}

void element_swap(struct dtype t, void *data, size_t n)
{
    size_t unit = dtype_swap_unit(t);
    size_t units = n * (t.size / unit);
    uint16_t *two = data;
    uint32_t *four = data;
    uint64_t *eight = data;
    if (t.order != '>')
        return;
    for (size_t i = 0; unit == 2 && i < units; i++)
        two[i] = bswap_16(two[i]);
    for (size_t i = 0; unit == 4 && i < units; i++)
        four[i] = bswap_32(four[i]);
    for (size_t i = 0; unit == 8 && i < units; i++)
        eight[i] = bswap_64(eight[i]);
}

struct dtype element_native(struct dtype t)
{
    if (t.order == '>')
        t.order = '<';
    return t;
}
