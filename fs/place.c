#include "fs/place.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <string.h>

bool place_is_own_scratch(const char *name)
{
    return strncmp(name, ".bm-", 4) == 0;
}

bool place_is_scratch(const char *name)
{
    static const char *const pattern[] = {
        ".?*.??????",     /* rsync */
        "sed??????",      /* sed -i */
        "4913",           /* vim, whether it may create */
        ".*.sw?",         /* vim */
        ".*.sw??",        /* vim */
        "*~",             /* editors' backups */
        ".#*",            /* emacs, locks */
        "#*#",            /* emacs, autosave */
        "tmp????????",    /* Python's tempfile */
        "tmp.??????????", /* mktemp */
        "*.tmp",
        "*.part",
        "*.partial", /* zarr, downloads */
        "*.__lock",  /* TensorStore */
        ".nfs*",
    };
    if (place_is_own_scratch(name))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(pattern); i++) {
        if (fnmatch(pattern[i], name, 0) == 0)
            return true;
    }
    return false;
}

/* What rsync calls a part of a matrix until it has all of it: ".block_0_0.a1B2c3". */
static bool place_is_incoming(const char *name)
{
    struct name_block block;
    char whole[NAME_FILE_SIZE];
    size_t len = strlen(name);
    if (len - 1 > sizeof(whole) || fnmatch(".?*.??????", name, 0) != 0)
        return false;
    size_t rest = len - strlen(".") - strlen(".XXXXXX");
    memcpy(whole, name + 1, rest);
    whole[rest] = '\0';
    return strcmp(whole, "header.json") == 0 || name_file_parse(whole, &block) == 0;
}

static int place_plain(const char *name, struct place *ret)
{
    ret->kind = PLACE_PLAIN;
    (void)stpcpy(ret->obj, name);
    return 0;
}

/* A name without a matrix around it. */
static int place_find_plain(const char *name, bool make, struct place *ret)
{
    if (make && strcmp(name, "header.json") == 0) {
        ret->kind = PLACE_HEADER;
        (void)stpcpy(ret->obj, "header");
        return 0;
    }
    if (place_is_own_scratch(name) || place_is_incoming(name)) {
        ret->kind = PLACE_SCRATCH;
        return 0;
    }
    return place_plain(name, ret);
}

static int place_find_block(const struct header *matrix, const struct name_block *block, bool make,
                            struct place *ret, struct err *err)
{
    const struct grid *g = &matrix->grid;
    int code = make ? -EINVAL : -ENOENT;
    if (block->ndim != g->ndim)
        return err_set(err, code, "a block of this matrix has %d indices, not %d", g->ndim,
                       block->ndim);
    ret->kind = PLACE_BLOCK;
    ret->view = block->view;
    ret->ndim = block->ndim;
    memcpy(ret->index, block->index, sizeof(ret->index));
    ret->inside = grid_contains(g, block->index);
    if (make && !ret->inside)
        return err_set(err, -EINVAL, "outside the grid of the matrix");
    return name_object(g, block->index, ret->obj) < 0 ? code : 0;
}

int place_find(const struct header *matrix, const char *name, bool make, struct place *ret,
               struct err *err)
{
    struct name_block block;
    *ret = (struct place){.kind = PLACE_PLAIN};
    if (strlen(name) > NAME_MAX)
        return err_set(err, -ENAMETOOLONG, "%.40s...: longer than 255 bytes", name);
    if (!matrix)
        return place_find_plain(name, make, ret);
    if (strcmp(name, "header.json") == 0) {
        ret->kind = PLACE_HEADER;
        (void)stpcpy(ret->obj, "header");
        return 0;
    }
    if (name_file_parse(name, &block) == 0)
        return place_find_block(matrix, &block, make, ret, err);
    if (place_is_scratch(name)) {
        ret->kind = PLACE_SCRATCH;
        return 0;
    }
    if (name_is_block_like(name))
        return err_set(err, make ? -EINVAL : -ENOENT, "not the name of a block");
    if (strcmp(name, "header") == 0)
        return err_set(err, make ? -EINVAL : -ENOENT, "write header.json instead");
    if (make) {
        (void)err_set(err, -EINVAL, "a matrix holds header.json and blocks, nothing else");
        err_hint(err, "put other files beside the matrix");
        return -EINVAL;
    }
    return place_plain(name, ret);
}

const char *place_file_name(const struct header *matrix, const char *obj, char dst[NAME_FILE_SIZE])
{
    struct name_axis axis[GRID_NDIM_MAX];
    int64_t index[GRID_NDIM_MAX];
    char again[NAME_OBJECT_SIZE];
    int ndim = 0;
    if (strlen(obj) > NAME_MAX || strcmp(obj, ".") == 0 || strcmp(obj, "..") == 0 || !*obj)
        return NULL;
    if (!matrix)
        return obj;
    if (name_object_parse(obj, axis, &ndim) == 0 && ndim == matrix->grid.ndim &&
        name_object_index(axis, ndim, index) == 0 &&
        name_object(&matrix->grid, index, again) == 0 && strcmp(again, obj) == 0)
        return name_file(ndim, index, dst);
    if (strcmp(obj, "header") == 0 || strcmp(obj, "header.json") == 0 || name_is_block_like(obj))
        return NULL;
    return obj;
}
