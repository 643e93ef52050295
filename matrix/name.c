#include "matrix/name.h"

#include "matrix/decimal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char name_prefix[] = "block_";

struct name_suffix {
    const char *text;
    enum name_view view;
    bool npy;
};

static const struct name_suffix name_suffix[] = {
    {"", NAME_OBJECT, false},
    {".npy", NAME_OBJECT, true},
    {".raw", NAME_RAW, false},
    {".F.raw", NAME_RAW_F, false},
};

bool name_is_block_like(const char *name)
{
    return strncmp(name, name_prefix, sizeof(name_prefix) - 1) == 0;
}

/* What is left of a name after its indices. */
static int name_parse_suffix(const char *text, struct name_block *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(name_suffix); i++) {
        if (strcmp(text, name_suffix[i].text) == 0) {
            b->view = name_suffix[i].view;
            b->npy_suffix = name_suffix[i].npy;
            return 0;
        }
    }
    return -EINVAL;
}

int name_file_parse(const char *name, struct name_block *ret)
{
    if (!name_is_block_like(name))
        return -EINVAL;
    const char *end = name + strlen(name);
    const char *p = name + sizeof(name_prefix) - 1;
    struct name_block b = {0};
    for (;;) {
        if (b.ndim == GRID_NDIM_MAX || decimal_parse(&p, end, &b.index[b.ndim]) < 0)
            return -EINVAL;
        b.ndim++;
        if (*p != '_')
            break;
        p++;
    }
    int r = name_parse_suffix(p, &b);
    if (r < 0)
        return r;
    *ret = b;
    return 0;
}

const char *name_file(int ndim, const int64_t *index, char dst[NAME_FILE_SIZE])
{
    char *p = stpcpy(dst, "block");
    for (int a = 0; a < ndim; a++)
        p += snprintf(p, (size_t)(dst + NAME_FILE_SIZE - p), "_%" PRId64, index[a]);
    return dst;
}

/* One number and the underscore behind it. */
static int name_parse_part(const char **p, const char *end, int64_t *ret)
{
    const char *q = *p;
    int r = decimal_parse(&q, end, ret);
    if (r < 0 || *q != '_')
        return -EINVAL;
    *p = q + 1;
    return 0;
}

int name_object_parse(const char *name, struct name_axis axis[GRID_NDIM_MAX], int *ret_ndim)
{
    const char *p = name;
    const char *end = name + strlen(name);
    int ndim = 0;
    while (p < end) {
        if (ndim == GRID_NDIM_MAX)
            return -EINVAL;
        struct name_axis *a = &axis[ndim++];
        if (name_parse_part(&p, end, &a->start) < 0 || name_parse_part(&p, end, &a->end) < 0 ||
            name_parse_part(&p, end, &a->shard) < 0)
            return -EINVAL;
    }
    if (ndim == 0)
        return -EINVAL;
    *ret_ndim = ndim;
    return 0;
}

int name_object_index(const struct name_axis *axis, int ndim, int64_t *ret_index)
{
    for (int a = 0; a < ndim; a++) {
        if (axis[a].shard < 1 || axis[a].start % axis[a].shard != 0)
            return -EINVAL;
    }
    for (int a = 0; a < ndim; a++)
        ret_index[a] = axis[a].start / axis[a].shard;
    return 0;
}

int name_object(const struct grid *g, const int64_t *index, char dst[NAME_OBJECT_SIZE])
{
    char *p = dst;
    for (int a = 0; a < g->ndim; a++) {
        int64_t start = 0;
        int64_t end = 0;
        if (__builtin_mul_overflow(index[a], g->shard[a], &start))
            return -ERANGE;
        /* A sum beyond INT64_MAX is beyond the shape too. */
        if (__builtin_add_overflow(start, g->shard[a], &end) || end > g->shape[a])
            end = g->shape[a];
        p += snprintf(p, (size_t)(dst + NAME_OBJECT_SIZE - p),
                      "%" PRId64 "_%" PRId64 "_%" PRId64 "_", start, end, g->shard[a]);
    }
    return 0;
}
