#include "matrix/infer.h"

#include "matrix/name.h"

#include <errno.h>
#include <string.h>

void infer_init(struct infer *in)
{
    memset(in, 0, sizeof(*in));
}

/* A block as some grid can have it: it starts where a block starts and holds up to one shard. */
static bool infer_is_block(const struct name_axis *a)
{
    return a->shard >= 1 && a->start >= 0 && a->start % a->shard == 0 && a->end > a->start &&
           a->end - a->start <= a->shard;
}

static bool infer_fits(const struct infer *in, const struct name_axis *axis, int ndim)
{
    if (in->ndim != 0 && in->ndim != ndim)
        return false;
    for (int a = 0; a < ndim; a++) {
        if (!infer_is_block(&axis[a]) || (in->ndim != 0 && in->shard[a] != axis[a].shard))
            return false;
    }
    return true;
}

bool infer_add(struct infer *in, const char *name)
{
    struct name_axis axis[GRID_NDIM_MAX];
    int ndim = 0;
    if (name_object_parse(name, axis, &ndim) < 0)
        return false;
    if (!infer_fits(in, axis, ndim)) {
        in->others++;
        return false;
    }
    for (int a = 0; a < ndim; a++) {
        in->shard[a] = axis[a].shard;
        in->end[a] = MAX(in->end[a], axis[a].end);
    }
    in->ndim = ndim;
    in->names++;
    return true;
}

int infer_finish(const struct infer *in, const struct npy *npy, struct header *ret, struct err *err)
{
    if (in->ndim == 0)
        return err_set(err, -ENOENT, "no block from which the shape could be inferred");
    struct header h = {.grid.ndim = in->ndim, .dtype = npy->dtype, .inferred = true};
    memcpy(h.grid.shape, in->end, sizeof(h.grid.shape));
    memcpy(h.grid.shard, in->shard, sizeof(h.grid.shard));
    int r = grid_check(&h.grid, err);
    if (r < 0)
        return err_prefix(err, r, "inferred from block names");
    *ret = h;
    return 0;
}
