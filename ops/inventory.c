#include "ops/inventory.h"

#include "base/entries.h"
#include "matrix/name.h"
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
    if (name_file_parse(name, &b) < 0 || b.view != NAME_OBJECT || b.npy_suffix) {
        in->others++;
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

static int inventory_first(void *arg, int64_t rank)
{
    int64_t *first = arg;
    *first = rank;
    return 1;
}

struct inventory_triangle {
    const struct matdir *m;
    bool upper;
    int64_t index[2]; /* of the first that is missing */
};

static int inventory_first_of_triangle(void *arg, int64_t rank)
{
    struct inventory_triangle *t = arg;
    grid_unrank(&t->m->header.grid, rank, t->index);
    return t->upper ? t->index[0] <= t->index[1] : t->index[0] >= t->index[1];
}

int inventory_check_triangle(const struct matdir *m, bool upper, struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct inventory_triangle t = {.m = m, .upper = upper};
    bool fills = m->has_fill && matdir_triangle(m) != (upper ? 'u' : 'l');
    int r = fills ? 0 : inventory_load(m, false, &in, err);
    if (r < 0 || fills || !inventory_each_missing(&in, inventory_first_of_triangle, &t))
        return r;
    (void)err_set(err, -ENOENT, "%s/block_%lld_%lld: the block is missing", m->path,
                  (long long)t.index[0], (long long)t.index[1]);
    err_hint(err, "bm ls --missing lists them; a fill_value in the header would stand for them");
    return -ENOENT;
}

int inventory_check_whole(const struct matdir *m, struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    int64_t first = 0;
    int64_t index[GRID_NDIM_MAX];
    char name[NAME_FILE_SIZE];
    const struct grid *g = &m->header.grid;
    if (m->has_fill && matdir_triangle(m) && g->ndim == 2)
        return inventory_check_triangle(m, matdir_triangle(m) == 'u', err);
    int r = m->has_fill ? 0 : inventory_load(m, false, &in, err);
    if (r < 0 || m->has_fill || inventory_each_missing(&in, inventory_first, &first) == 0)
        return r;
    grid_unrank(g, first, index);
    (void)err_set(err, -ENOENT, "%s/%s: the block is missing (%lld of %lld are)", m->path,
                  name_file(g->ndim, index, name), (long long)(in.total - (int64_t)in.count),
                  (long long)in.total);
    err_hint(err, "bm ls --missing lists them; a fill_value in the header would stand for them");
    return -ENOENT;
}
