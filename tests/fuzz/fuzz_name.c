#include "tests/fuzz/fuzz.h"

#include "base/util.h"
#include "matrix/infer.h"
#include "matrix/name.h"

#include <string.h>

/* A block has one file name, but for the suffix that asks for a view. */
static void fuzz_name_file(const char *name)
{
    struct name_block b;
    char again[NAME_FILE_SIZE];
    if (name_file_parse(name, &b) < 0)
        return;
    FUZZ_CHECK(b.ndim >= 1 && b.ndim <= GRID_NDIM_MAX);
    FUZZ_CHECK(name_is_block_like(name));
    size_t len = strlen(name_file(b.ndim, b.index, again));
    FUZZ_CHECK(strncmp(name, again, len) == 0 && (name[len] == '\0' || name[len] == '.'));
}

/* A grid that has the name's block at its far edge gives the block the same name. */
static void fuzz_name_object(const char *name)
{
    struct name_axis axis[GRID_NDIM_MAX];
    int64_t index[GRID_NDIM_MAX];
    char again[NAME_OBJECT_SIZE];
    struct grid g = {0};
    if (name_object_parse(name, axis, &g.ndim) < 0 || name_object_index(axis, g.ndim, index) < 0)
        return;
    for (int a = 0; a < g.ndim; a++) {
        g.shape[a] = axis[a].end;
        g.shard[a] = axis[a].shard;
        if (axis[a].start < 0 || axis[a].end - axis[a].start > axis[a].shard)
            return;
    }
    FUZZ_CHECK(name_object(&g, index, again) == 0);
    FUZZ_CHECK(strcmp(name, again) == 0);
}

/* Each line is a name; together they are a listing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = size > 0 ? strndup((const char *)data, size) : NULL;
    const struct npy npy = {.dtype = {'f', 8, '<'}};
    struct header h = {0};
    struct infer in;
    infer_init(&in);
    char *rest = text;
    for (const char *name = strsep(&rest, "\n"); name; name = strsep(&rest, "\n")) {
        fuzz_name_file(name);
        fuzz_name_object(name);
        (void)infer_add(&in, name);
    }
    if (infer_finish(&in, &npy, &h, NULL) == 0)
        FUZZ_CHECK(grid_check(&h.grid, NULL) == 0 && grid_blocks(&h.grid) >= 1);
    return 0;
}
