#include "matrix/decimal.h"

#include <errno.h>

static bool decimal_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int decimal_parse(const char **text, const char *end, int64_t *ret)
{
    const char *p = *text;
    bool negative = p < end && *p == '-';
    if (negative)
        p++;
    if (p == end || !decimal_is_digit(*p))
        return -EINVAL;
    if (*p == '0' && (negative || (p + 1 < end && decimal_is_digit(p[1]))))
        return -EINVAL;
    int64_t v = 0; /* counted downwards, for INT64_MIN has no positive twin */
    for (; p < end && decimal_is_digit(*p); p++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v))
            return -ERANGE;
    }
    if (!negative && __builtin_sub_overflow(0, v, &v))
        return -ERANGE;
    *ret = v;
    *text = p;
    return 0;
}
