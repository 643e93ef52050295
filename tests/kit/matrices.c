#include "tests/kit/matrices.h"

#include "matrix/name.h"
#include "ops/block.h"
#include "ops/box.h"
#include "ops/create.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void matrices_must(int code, const struct err *err, const char *what)
{
    if (code >= 0)
        return;
    (void)fprintf(stderr, "matrices: %s: %s\n", what, err->msg);
    abort();
}

struct matdir matrices_empty(const struct scratch *s, const struct matrices_spec *spec)
{
    struct header h = {.grid.ndim = spec->ndim ? spec->ndim : 2};
    struct matdir m = MATDIR_NONE;
    struct err err = {0};
    memcpy(h.grid.shape, spec->shape, sizeof(spec->shape));
    memcpy(h.grid.shard, spec->shard, sizeof(spec->shard));
    matrices_must(dtype_from_name(spec->dtype, strlen(spec->dtype), &h.dtype, &err), &err,
                  spec->dtype);
    matrices_must(matdir_create(scratch_at(s, spec->name), &h, &m, &err), &err, spec->name);
    return m;
}

struct matdir matrices_random(const struct scratch *s, const struct matrices_spec *spec,
                              uint64_t seed)
{
    const struct create c = {.what = CREATE_RAND, .rand = RAND_NORMAL, .seed = seed};
    struct matdir m = matrices_empty(s, spec);
    struct err err = {0};
    matrices_must(create_run(&m, &c, &err), &err, spec->name);
    return m;
}

/* Where element 0 of a block is among all elements, and the strides of both, in elements. */
struct matrices_place {
    int64_t extent[GRID_NDIM_MAX];
    int64_t all[GRID_NDIM_MAX];
    int64_t own[GRID_NDIM_MAX];
    int64_t off;
};

static struct matrices_place matrices_find(const struct matdir *m, const int64_t *index,
                                           bool fortran)
{
    struct matrices_place p;
    const struct grid *g = &m->header.grid;
    int64_t start[GRID_NDIM_MAX];
    for (int a = 0; a < g->ndim; a++) {
        p.extent[a] = grid_block_extent(g, a, index[a]);
        start[a] = grid_block_start(g, a, index[a]);
    }
    box_strides(g->ndim, g->shape, 1, false, p.all);
    box_strides(g->ndim, p.extent, 1, fortran, p.own);
    p.off = box_offset(g->ndim, start, p.all);
    return p;
}

static void *matrices_alloc(int64_t n, size_t size)
{
    void *p = calloc((size_t)MAX(n, (int64_t)1), size);
    if (!p)
        abort();
    return p;
}

double complex *matrices_load(const struct matdir *m)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    double complex *all = matrices_alloc(grid_elements(g), sizeof(*all));
    CLEANUP(freep) char *block = matrices_alloc(block_elements_max(m), m->header.dtype.size);
    struct err err = {0};
    for (bool more = grid_first(g, index); more; more = grid_next(g, index)) {
        struct matrices_place p = matrices_find(m, index, false);
        int64_t at[GRID_NDIM_MAX] = {0};
        matrices_must(block_load_rows(m, index, block, &err), &err, m->path);
        do {
            for (int64_t j = 0; j < p.extent[g->ndim - 1]; j++) {
                long double v[2];
                int64_t from = box_offset(g->ndim, at, p.own) + j;
                element_widen(m->header.dtype, block + (size_t)from * m->header.dtype.size, 1, 2,
                              v);
                all[p.off + box_offset(g->ndim, at, p.all) + j] = (double)v[0] + (double)v[1] * I;
            }
        } while (box_next_line(g->ndim, p.extent, at));
    }
    return all;
}

/* Writes a block that has the other order, which block_store() never makes. */
static void matrices_write(const struct matdir *m, const int64_t *index, bool fortran,
                           const void *src)
{
    char name[NAME_FILE_SIZE];
    struct npy npy;
    struct err err = {0};
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    (void)name_file(m->header.grid.ndim, index, name);
    npy_for_block(&m->header.grid, m->header.dtype, index, &npy);
    npy.fortran = fortran;
    matrices_must(npy_format(&npy, &head), &err, name);
    CLEANUP(closep) int fd = openat(m->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    matrices_must(fd, &err, name);
    matrices_must(write_full(fd, head.data, head.len), &err, name);
    matrices_must(write_full(fd, src, (size_t)npy.data_len), &err, name);
}

void matrices_store(const struct matdir *m, const double complex *from, bool fortran)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    struct dtype t = m->header.dtype;
    CLEANUP(freep) char *block = matrices_alloc(block_elements_max(m), t.size);
    struct err err = {0};
    for (bool more = grid_first(g, index); more; more = grid_next(g, index)) {
        struct matrices_place p = matrices_find(m, index, fortran);
        int64_t at[GRID_NDIM_MAX] = {0};
        int last = g->ndim - 1;
        do {
            for (int64_t j = 0; j < p.extent[last]; j++) {
                double complex v = from[p.off + box_offset(g->ndim, at, p.all) + j];
                int64_t to = box_offset(g->ndim, at, p.own) + j * p.own[last];
                matrices_must(element_set(t, (struct number){creal(v), cimag(v)},
                                          block + (size_t)to * t.size, &err),
                              &err, m->path);
            }
        } while (box_next_line(g->ndim, p.extent, at));
        element_swap(t, block, (size_t)grid_block_elements(g, index));
        matrices_write(m, index, fortran, block);
    }
}
