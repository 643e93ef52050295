#include "s3/dir_path.h"

#include <errno.h>
#include <string.h>

#define DIR_PATH_MORE  "%01"
#define DIR_PATH_EMPTY "%00"

enum { DIR_PATH_ESCAPE = 3 }; /* bytes of an escape */

/* The value of a hex digit, -1 for any other byte. */
static int dir_path_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* What the escape at s[0..len) stands for, -1 if none is there. */
static int dir_path_escape(const char *s, size_t len)
{
    if (len < DIR_PATH_ESCAPE || s[0] != '%')
        return -1;
    int high = dir_path_hex(s[1]);
    int low = dir_path_hex(s[2]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

static bool dir_path_is_hidden(const char *part, size_t len)
{
    size_t n = strlen(DIR_PATH_HIDDEN);
    return len >= n && memcmp(part, DIR_PATH_HIDDEN, n) == 0;
}

/* The dots at the start of a part that must not be dots in a name. */
static size_t dir_path_dots(const char *part, size_t len)
{
    if ((len == 1 || len == 2) && memcmp(part, "..", len) == 0)
        return len;
    return dir_path_is_hidden(part, len) ? 1 : 0;
}

/* Writes a part, or a piece of one, as one name, however long. `dst` may be NULL, to count. */
static size_t dir_path_name(const char *part, size_t len, char *dst)
{
    if (len == 0) {
        if (dst)
            memcpy(dst, DIR_PATH_EMPTY, DIR_PATH_ESCAPE);
        return DIR_PATH_ESCAPE;
    }
    size_t dots = dir_path_dots(part, len);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool dot = i < dots;
        bool escape = dot || dir_path_escape(part + i, len - i) >= 0;
        if (dst && escape)
            memcpy(dst + n, dot ? "%2E" : "%25", DIR_PATH_ESCAPE);
        else if (dst)
            dst[n] = part[i];
        n += escape ? DIR_PATH_ESCAPE : 1;
    }
    return n;
}

size_t dir_path_encode(const char *part, size_t len, char *dst)
{
    size_t n = 0;
    while (dir_path_name(part, len, NULL) > DIR_PATH_NAME_MAX) {
        n += dir_path_name(part, DIR_PATH_PIECE, dst + n);
        memcpy(dst + n, DIR_PATH_MORE "/", DIR_PATH_ESCAPE + 1);
        n += DIR_PATH_ESCAPE + 1;
        part += DIR_PATH_PIECE;
        len -= DIR_PATH_PIECE;
    }
    return n + dir_path_name(part, len, dst + n);
}

/* Undoes the escapes of name[0..len). The number of bytes, or -EINVAL. */
static int dir_path_unescape(const char *name, size_t len, char *dst)
{
    int n = 0;
    for (size_t i = 0; i < len; i++) {
        int escape = dir_path_escape(name + i, len - i);
        dst[n] = name[i];
        if (escape >= 0) {
            if (escape != '%' && escape != '.')
                return -EINVAL;
            dst[n] = escape == '%' ? '%' : '.';
            i += DIR_PATH_ESCAPE - 1;
        }
        n++;
    }
    return n;
}

int dir_path_decode(const char *name, char ret_part[static DIR_PATH_NAME_MAX], bool *ret_more)
{
    size_t len = strlen(name);
    if (len == 0 || len > DIR_PATH_NAME_MAX)
        return -EINVAL;
    *ret_more = len > DIR_PATH_ESCAPE &&
                memcmp(name + len - DIR_PATH_ESCAPE, DIR_PATH_MORE, DIR_PATH_ESCAPE) == 0;
    if (*ret_more)
        len -= DIR_PATH_ESCAPE;
    else if (strcmp(name, DIR_PATH_EMPTY) == 0)
        return 0;
    int n = dir_path_unescape(name, len, ret_part);
    if (n < 0 || (*ret_more && n != DIR_PATH_PIECE))
        return -EINVAL;
    char again[DIR_PATH_ESCAPE * DIR_PATH_NAME_MAX];
    if (dir_path_name(ret_part, (size_t)n, again) != len || memcmp(again, name, len) != 0)
        return -EINVAL;
    return n;
}

/* Writes the parts of key[0..len) as a path. */
static void dir_path_split(const char *key, size_t len, char *dst)
{
    const char *end = key + len;
    for (;;) {
        const char *slash = memchr(key, '/', (size_t)(end - key));
        dst += dir_path_encode(key, (size_t)((slash ? slash : end) - key), dst);
        if (!slash)
            break;
        *dst++ = '/';
        key = slash + 1;
    }
    *dst = '\0';
}

int dir_path_from_key(const char *key, char ret_path[static DIR_PATH_SIZE])
{
    size_t len = strnlen(key, STORE_KEY_MAX + 1);
    if (len == 0)
        return -EINVAL;
    if (len > STORE_KEY_MAX)
        return -ENAMETOOLONG;
    dir_path_split(key, len, ret_path);
    return 0;
}

void dir_path_from_prefix(const char *prefix, size_t len, char ret_path[static DIR_PATH_SIZE])
{
    if (len > 0)
        dir_path_split(prefix, len - 1, ret_path);
    else
        ret_path[0] = '\0';
}

/* Joins what the names of a path stand for. Does not see whether a key would choose these names. */
static int dir_path_join(const char *path, char ret_key[static STORE_KEY_MAX + 1])
{
    size_t n = 0;
    for (;;) {
        char name[DIR_PATH_NAME_MAX + 1];
        char part[DIR_PATH_NAME_MAX];
        bool more = false;
        size_t len = strcspn(path, "/");
        if (len > DIR_PATH_NAME_MAX)
            return -EINVAL;
        memcpy(name, path, len);
        name[len] = '\0';
        int got = dir_path_decode(name, part, &more);
        if (got < 0 || n + (size_t)got + 1 > STORE_KEY_MAX + 1)
            return -EINVAL;
        memcpy(ret_key + n, part, (size_t)got);
        n += (size_t)got;
        path += len;
        if (!*path++)
            break;
        if (!more)
            ret_key[n++] = '/';
    }
    ret_key[n] = '\0';
    return 0;
}

int dir_path_to_key(const char *path, char ret_key[static STORE_KEY_MAX + 1])
{
    char again[DIR_PATH_SIZE];
    char key[STORE_KEY_MAX + 1] = "";
    int r = dir_path_join(path, key);
    if (r < 0)
        return r;
    if (dir_path_from_key(key, again) < 0 || strcmp(again, path) != 0)
        return -EINVAL;
    memcpy(ret_key, key, strlen(key) + 1);
    return 0;
}
