#include "ops/inventory.h"

#include "base/entries.h"
#include "matrix/name.h"
#include "ops/block.h"
#include "ops/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int inventory_add(struct inventory *in, int64_t rank)
{
    if (in->count == in->cap) {
        if (in->count >= INVENTORY_BLOCKS_MAX)
            return -EMSGSIZE;
        size_t cap = in->cap ? 2 * in->cap : 64;
        int64_t *grown = realloc(in->rank, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        in->rank = grown;
        in->cap = cap;
    }
    in->rank[in->count++] = rank;
    return 0;
}

static int inventory_add_block(const struct matdir *m, int dir, const char *name, bool sizes,
                               struct inventory *in)
{
    struct name_block b;
    struct stat st;
    const struct grid *g = &m->header.grid;
    if (name_file_parse(name, &b) < 0 || b.view != NAME_OBJECT) {
        in->others++;
        return 0;
    }
    if (b.npy_suffix) {
        in->misnamed++;
        return 0;
    }
    if (b.ndim != g->ndim || !grid_contains(g, b.index)) {
        in->outside++;
        return 0;
    }
    if (sizes && fstatat(dir, name, &st, 0) == 0)
        in->bytes += (uint64_t)st.st_size;
    else if (sizes)
        return errno == ENOENT ? 0 : -errno; /* deleted since, or a link to nothing */
    return inventory_add(in, grid_rank(g, b.index));
}

/* A listing under way. */
struct inventory_scan {
    const struct matdir *m;
    bool sizes;
    struct inventory *in;
};

static int inventory_see(void *arg, const struct dirent *e)
{
    struct inventory_scan *scan = arg;
    if (name_is_block_like(e->d_name))
        return inventory_add_block(scan->m, scan->m->fd, e->d_name, scan->sizes, scan->in);
    if (publish_is_scratch(e->d_name))
        scan->in->scratch++;
    else if (strcmp(e->d_name, "header.json") != 0)
        scan->in->others++;
    return 0;
}

static int inventory_scan(const struct matdir *m, bool sizes, struct inventory *in)
{
    struct inventory_scan scan = {.m = m, .sizes = sizes, .in = in};
    return entries_each(m->fd, inventory_see, &scan);
}

static int inventory_compare(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

/* A listing that runs while names come and go may show one twice. */
static void inventory_drop_doubles(struct inventory *in)
{
    size_t kept = 0;
    for (size_t i = 0; i < in->count; i++) {
        if (kept == 0 || in->rank[i] != in->rank[kept - 1])
            in->rank[kept++] = in->rank[i];
    }
    in->count = kept;
}

/* Blocks of the grid that matdir_expects(), counted along its shorter axis: the other one may be
 * endless. */
static int64_t inventory_expected(const struct matdir *m)
{
    const struct grid *g = &m->header.grid;
    char triangle = matdir_triangle(m);
    if (!triangle || !m->has_fill || g->ndim != 2)
        return grid_blocks(g);
    int along = grid_axis_blocks(g, 0) <= grid_axis_blocks(g, 1) ? 0 : 1;
    int64_t across = grid_axis_blocks(g, 1 - along);
    int64_t shard = g->shard[1 - along];
    int64_t sum = 0;
    for (int64_t i = 0; i < grid_axis_blocks(g, along); i++) {
        int64_t first = grid_block_start(g, along, i);
        int64_t last = first + grid_block_extent(g, along, i) - 1;
        bool before = along == (triangle == 'l' ? 0 : 1);
        if (before)
            sum += MIN(across, last / shard + 1);
        else if (first < g->shape[1 - along])
            sum += across - first / shard;
    }
    return sum;
}

static int64_t inventory_count_missing(const struct matdir *m, const struct inventory *in)
{
    int64_t missing = inventory_expected(m);
    int64_t index[GRID_NDIM_MAX];
    for (size_t i = 0; i < in->count; i++) {
        grid_unrank(&m->header.grid, in->rank[i], index);
        missing -= matdir_expects(m, index);
    }
    return missing;
}

int inventory_load(const struct matdir *m, bool sizes, struct inventory *ret, struct err *err)
{
    struct inventory in = {.total = grid_blocks(&m->header.grid)};
    int r = inventory_scan(m, sizes, &in);
    if (r < 0) {
        inventory_fini(&in);
        return err_errno(err, r, "%s: cannot list the directory", m->path);
    }
    if (in.count > 0)
        qsort(in.rank, in.count, sizeof(*in.rank), inventory_compare);
    inventory_drop_doubles(&in);
    in.missing = inventory_count_missing(m, &in);
    *ret = in;
    return 0;
}

void inventory_fini(struct inventory *in)
{
    free(in->rank);
    *in = (struct inventory){0};
}

bool inventory_has(const struct inventory *in, int64_t rank)
{
    return in->count > 0 &&
           bsearch(&rank, in->rank, in->count, sizeof(rank), inventory_compare) != NULL;
}

int inventory_each_missing(const struct inventory *in, inventory_fn *fn, void *arg)
{
    int64_t rank = 0;
    for (size_t i = 0; i <= in->count; i++, rank++) {
        int64_t end = i < in->count ? in->rank[i] : in->total;
        for (; rank < end; rank++) {
            int r = fn(arg, rank);
            if (r != 0)
                return r;
        }
    }
    return 0;
}

/* Blocks that are needed and missing. */
struct inventory_need {
    const struct matdir *m;
    char triangle;                /* only blocks that touch it are; 0: all */
    int64_t first[GRID_NDIM_MAX]; /* of those that are missing */
    int64_t misnamed;             /* the first one's rank, of those with another name; or -1 */
};

static bool inventory_touches(const struct inventory_need *n, const int64_t *index)
{
    return !n->triangle || matdir_touches(&n->m->header.grid, n->triangle, index);
}

static int inventory_needs(void *arg, int64_t rank)
{
    struct inventory_need *n = arg;
    grid_unrank(&n->m->header.grid, rank, n->first);
    return inventory_touches(n, n->first) && !matdir_fills(n->m, n->first);
}

/* What is there under a name that blocks have in a store only: no fill value stands for it. */
static int inventory_needs_misnamed(void *arg, const struct dirent *e)
{
    struct inventory_need *n = arg;
    struct name_block b;
    const struct grid *g = &n->m->header.grid;
    char name[NAME_FILE_SIZE];
    if (!name_is_block_like(e->d_name) || name_file_parse(e->d_name, &b) < 0 ||
        b.view != NAME_OBJECT || !b.npy_suffix || b.ndim != g->ndim || !grid_contains(g, b.index))
        return 0;
    int64_t rank = grid_rank(g, b.index);
    bool first = n->misnamed < 0 || rank < n->misnamed;
    if (first && inventory_touches(n, b.index) &&
        faccessat(n->m->fd, name_file(g->ndim, b.index, name), F_OK, 0) != 0)
        n->misnamed = rank;
    return 0;
}

/* 1 when a needed block is missing, whose index is then need->first; 0; or -errno. Where a fill
 * value stands for all blocks, however many, none is asked for. */
static int inventory_find_need(struct inventory_need *need, struct inventory *in, struct err *err)
{
    const struct matdir *m = need->m;
    bool all = m->has_fill && (m->fills_all || !matdir_triangle(m) || m->header.grid.ndim != 2);
    int r = all ? 0 : inventory_load(m, false, in, err);
    if (r == 0 && !all)
        r = inventory_each_missing(in, inventory_needs, need);
    if (r != 0 || !m->has_fill)
        return r;
    r = entries_each(m->fd, inventory_needs_misnamed, need);
    if (r < 0)
        return err_errno(err, r, "%s: cannot list the directory", m->path);
    if (need->misnamed >= 0)
        grid_unrank(&m->header.grid, need->misnamed, need->first);
    return need->misnamed >= 0;
}

static void inventory_hint(const struct matdir *m, const int64_t *index, struct err *err)
{
    if (block_is_misnamed(m, index, err))
        return;
    err_hint(err, m->has_fill ? "bm ls --missing lists them"
                              : "bm ls --missing lists them; a fill_value in the header would "
                                "stand for them");
}

static int inventory_check(const struct matdir *m, char triangle, struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct inventory_need need = {.m = m, .triangle = triangle, .misnamed = -1};
    char name[NAME_FILE_SIZE];
    int r = inventory_find_need(&need, &in, err);
    if (r <= 0)
        return r;
    (void)name_file(m->header.grid.ndim, need.first, name);
    if (triangle || m->has_fill)
        (void)err_set(err, -ENOENT, "%s/%s: the block is missing", m->path, name);
    else
        (void)err_set(err, -ENOENT, "%s/%s: the block is missing (%lld of %lld are)", m->path, name,
                      (long long)(in.total - (int64_t)in.count), (long long)in.total);
    inventory_hint(m, need.first, err);
    return -ENOENT;
}

int inventory_check_triangle(const struct matdir *m, bool upper, struct err *err)
{
    return inventory_check(m, upper ? 'u' : 'l', err);
}

int inventory_check_whole(const struct matdir *m, struct err *err)
{
    return inventory_check(m, 0, err);
}
