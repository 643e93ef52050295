#include "tools/text.h"

#include "base/opts.h"
#include "matrix/decimal.h"
#include "ops/element.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BLOCK = 4096, TEXT_PIECE_MAX = 40 };

/* --- out --- */

const char *text_bytes(double bytes, char dst[TEXT_BYTES_SIZE])
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t i = 0;
    while (bytes >= 1024 && i + 1 < ARRAY_SIZE(unit)) {
        bytes /= 1024;
        i++;
    }
    (void)snprintf(dst, TEXT_BYTES_SIZE, i == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[i]);
    return dst;
}

const char *text_time(int64_t seconds, char dst[TEXT_TIME_SIZE])
{
    int64_t hours = seconds / 3600;
    int minutes = (int)(seconds / 60 % 60);
    int rest = (int)(seconds % 60);
    if (seconds < 0)
        (void)snprintf(dst, TEXT_TIME_SIZE, "?");
    else if (hours > 0)
        (void)snprintf(dst, TEXT_TIME_SIZE, "%lld:%02d:%02d", (long long)hours, minutes, rest);
    else
        (void)snprintf(dst, TEXT_TIME_SIZE, "%d:%02d", minutes, rest);
    return dst;
}

const char *text_sizes(const int64_t *size, int n, char dst[TEXT_SIZES_SIZE])
{
    int at = 0;
    dst[0] = '\0';
    for (int i = 0; i < n; i++)
        at += snprintf(dst + at, TEXT_SIZES_SIZE - (size_t)at, "%s%lld", i > 0 ? "x" : "",
                       (long long)size[i]);
    return dst;
}

const char *text_name(const char *name, char dst[TEXT_NAME_SIZE])
{
    size_t at = 0;
    for (const char *p = name; *p && at + 5 < TEXT_NAME_SIZE; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            at += (size_t)snprintf(dst + at, TEXT_NAME_SIZE - at, "\\x%02x",
                                   (unsigned)(unsigned char)*p);
        else
            dst[at++] = *p;
    }
    dst[at] = '\0';
    return dst;
}

/* The shortest text that reads back as the same double; whole numbers in full, and those that no
 * double holds with as many digits. */
static int text_part(char *dst, size_t size, bool plus, long double v)
{
    bool beyond = isinf((double)v) && !isinf(v);
    if (isnan(v))
        return snprintf(dst, size, plus ? "+nan" : "nan");
    if (v == rintl(v) && fabsl(v) < 0x1p64L)
        return snprintf(dst, size, plus ? "%+.0Lf" : "%.0Lf", v);
    for (int digits = 6;; digits++) {
        int n = snprintf(dst, size, plus ? "%+.*Lg" : "%.*Lg", digits, v);
        if (digits == 17 || (!beyond && strtod(dst, NULL) == (double)v))
            return n;
    }
}

const char *text_number(const struct number *v, bool is_complex, char dst[TEXT_VALUE_SIZE])
{
    int n = text_part(dst, TEXT_VALUE_SIZE, false, v->re);
    if (is_complex) {
        n += text_part(dst + n, TEXT_VALUE_SIZE - (size_t)n, true, v->im);
        (void)snprintf(dst + n, TEXT_VALUE_SIZE - (size_t)n, "j");
    }
    return dst;
}

/* --- in --- */

/* One size: plain digits, or digits with a unit. */
static int text_parse_size(const char *piece, int64_t *ret, struct err *err)
{
    const char *p = piece;
    const char *end = piece + strlen(piece);
    uint64_t size = 0;
    int r = decimal_parse(&p, end, ret);
    if (r == 0 && p == end)
        return 0;
    bool unit = r == 0 && isalpha((unsigned char)*p) && *p != 'e' && *p != 'E';
    if (unit && opts_size(piece, &size, NULL) == 0) {
        *ret = (int64_t)size;
        return 0;
    }
    return err_set(err, -EINVAL, "'%s' is not a number of elements", piece);
}

int text_parse_sizes(const char *text, int64_t least, int64_t *ret, int *ret_n, struct err *err)
{
    int n = 0;
    for (const char *p = text;; p++) {
        char piece[TEXT_PIECE_MAX];
        size_t len = strcspn(p, "x");
        if (n == GRID_NDIM_MAX)
            return err_set(err, -EINVAL, "'%.60s': more than %d axes", text, GRID_NDIM_MAX);
        (void)snprintf(piece, sizeof(piece), "%.*s", (int)MIN(len, sizeof(piece)), p);
        int r = text_parse_size(piece, &ret[n], err);
        if (r == 0 && ret[n] < least)
            r = err_set(err, -EINVAL, "'%s' is less than %lld", piece, (long long)least);
        if (r < 0) {
            err_hint(err, "write sizes as 40960x20480 or 4Kix4Ki");
            return r;
        }
        n++;
        p += len;
        if (*p == '\0')
            break;
    }
    *ret_n = n;
    return 0;
}

int text_parse_dtype(const char *text, struct dtype *ret, struct err *err)
{
    if (dtype_from_name(text, strlen(text), ret, err) == 0)
        return 0;
    err_hint(err, "f8 is double, f4 single; then f2, c8, c16, i1 to i8, u1 to u8, bool");
    return -EINVAL;
}

int text_parse_factor(const char *option, const char *text, double complex *ret, struct err *err)
{
    struct number v = {.re = 1};
    int r = text ? element_parse(text, &v, err) : 0;
    if (r == 0 && !(isfinite((double)v.re) && isfinite((double)v.im)))
        r = err_set(err, -EINVAL, "'%s' is no finite number", text);
    *ret = __builtin_complex((double)v.re, (double)v.im);
    return r < 0 ? err_prefix(err, r, "%s", option) : 0;
}

/* About 128 MiB of double precision. */
static void text_default_block(struct grid *g)
{
    for (int a = 0; a < g->ndim; a++) {
        int64_t size = a >= g->ndim - 2 ? TEXT_BLOCK : 1;
        if (g->ndim == 1)
            size = (int64_t)TEXT_BLOCK * TEXT_BLOCK;
        g->shard[a] = MIN(size, MAX(g->shape[a], (int64_t)1));
    }
}

int text_parse_block(const char *text, struct grid *g, struct err *err)
{
    int n = 0;
    int r = 0;
    if (text)
        r = text_parse_sizes(text, 1, g->shard, &n, err);
    else
        text_default_block(g);
    if (r < 0)
        return err_prefix(err, r, "--block");
    for (int a = 1; n == 1 && a < g->ndim; a++)
        g->shard[a] = g->shard[0];
    if (n > 1 && n != g->ndim)
        return err_set(err, -EINVAL, "--block: %d axes, where the matrix has %d", n, g->ndim);
    return grid_check(g, err);
}
