#include "fs/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Elements on their way at a time: both sides of a turn of VIEW_ROWS x VIEW_ROWS stay in the L1
 * cache. */
enum { VIEW_ROWS = 64, VIEW_COLS = 4096 };

int view_header(struct object *block, struct npy *ret, struct err *err)
{
    CLEANUP(freep) char *head = malloc(NPY_HEAD_MAX);
    if (!head)
        return -ENOMEM;
    int64_t n = object_pread(block, head, NPY_HEAD_MAX, 0);
    if (n < 0)
        return err_errno(err, (int)n, "cannot read the block");
    int r = npy_parse(head, (size_t)n, ret, err);
    if (r == -ENODATA)
        r = err_set(err, -EBADMSG, "the block ends within its npy header");
    if (r < 0)
        return r;
    uint64_t announced = ret->data_off + ret->data_len;
    if (announced > object_stat(block)->size)
        r = err_set(err, -EBADMSG, "the block has %llu bytes, its npy header announces %llu",
                    (unsigned long long)object_stat(block)->size, (unsigned long long)announced);
    return r;
}

/* One conversion of a block's elements, from a file into a mapped one. */
struct view_order {
    const struct npy *npy;
    bool swap;   /* bytes of each element */
    int from_fd; /* the block; data_off bytes in is its first element */
    char *to;    /* the view */
    char *rows;  /* VIEW_ROWS x VIEW_COLS elements on their way */
};

static void view_copy_element(const struct view_order *v, const char *s, char *d)
{
    size_t size = v->npy->dtype.size;
    size_t unit = v->swap ? dtype_swap_unit(v->npy->dtype) : 1;
    if (unit == 1) {
        memcpy(d, s, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        d[i] = s[i / unit * unit + unit - 1 - i % unit];
}

static int view_pread(const struct view_order *v, char *dst, uint64_t element, int64_t count)
{
    size_t size = v->npy->dtype.size;
    int r = pread_full(v->from_fd, dst, (size_t)count * size, v->npy->data_off + element * size);
    return r == -ENODATA ? -EIO : r;
}

/* Turns rows x cols elements in v->rows (row-major) into columns from element `to` on, `step`
 * elements apart. */
static void view_turn(const struct view_order *v, uint64_t to, int64_t rows, int64_t cols,
                      int64_t step)
{
    size_t size = v->npy->dtype.size;
    for (int64_t j0 = 0; j0 < cols; j0 += VIEW_ROWS) {
        for (int64_t i = 0; i < rows; i++) {
            const char *row = v->rows + (size_t)(i * VIEW_COLS) * size;
            for (int64_t j = j0; j < MIN(j0 + VIEW_ROWS, cols); j++)
                view_copy_element(v, row + (size_t)j * size,
                                  v->to + (to + (uint64_t)(i + j * step)) * size);
        }
    }
}

/* One slice of dim[0] rows, step[0] elements apart in the source, of dim[1] elements in a row;
 * they become columns step[1] elements apart. */
static int view_turn_slice(const struct view_order *v, uint64_t from, uint64_t to,
                           const int64_t dim[2], const int64_t step[2])
{
    size_t row_bytes = (size_t)VIEW_COLS * v->npy->dtype.size;
    for (int64_t i0 = 0; i0 < dim[0]; i0 += VIEW_ROWS) {
        int64_t rows = MIN(dim[0] - i0, (int64_t)VIEW_ROWS);
        for (int64_t j0 = 0; j0 < dim[1]; j0 += VIEW_COLS) {
            int64_t cols = MIN(dim[1] - j0, (int64_t)VIEW_COLS);
            for (int64_t i = 0; i < rows; i++) {
                int r = view_pread(v, v->rows + (size_t)i * row_bytes,
                                   from + (uint64_t)((i0 + i) * step[0] + j0), cols);
                if (r < 0)
                    return r;
            }
            view_turn(v, to + (uint64_t)(i0 + j0 * step[1]), rows, cols, step[1]);
        }
    }
    return 0;
}

/* Strides in elements for an order. */
static void view_strides(const struct npy *npy, bool fortran, int64_t stride[GRID_NDIM_MAX])
{
    int64_t step = 1;
    for (int k = 0; k < npy->ndim; k++) {
        int axis = fortran ? k : npy->ndim - 1 - k;
        stride[axis] = step;
        step *= npy->shape[axis];
    }
}

/* Walks all axes but the two that are fastest in source and target, slice by slice. */
static int view_transpose(const struct view_order *v)
{
    const struct npy *npy = v->npy;
    int64_t from[GRID_NDIM_MAX] = {0};
    int64_t to[GRID_NDIM_MAX] = {0};
    int64_t index[GRID_NDIM_MAX] = {0};
    view_strides(npy, npy->fortran, from);
    view_strides(npy, !npy->fortran, to);
    int fast = npy->fortran ? 0 : npy->ndim - 1; /* contiguous in the source */
    int slow = npy->fortran ? npy->ndim - 1 : 0; /* contiguous in the target */
    const int64_t dim[2] = {npy->shape[slow], npy->shape[fast]};
    const int64_t step[2] = {from[slow], to[fast]};
    for (;;) {
        int64_t at_from = 0;
        int64_t at_to = 0;
        for (int k = 0; k < npy->ndim; k++) {
            at_from += index[k] * from[k];
            at_to += index[k] * to[k];
        }
        int r = view_turn_slice(v, (uint64_t)at_from, (uint64_t)at_to, dim, step);
        if (r < 0)
            return r;
        int k = npy->ndim - 1;
        while (k >= 0 && (k == fast || k == slow || ++index[k] == npy->shape[k])) {
            index[k] = 0;
            k--;
        }
        if (k < 0)
            return 0;
    }
}

/* Same order, other bytes. */
static int view_swap(const struct view_order *v)
{
    size_t size = v->npy->dtype.size;
    int64_t count = (int64_t)(v->npy->data_len / size);
    int64_t step = (int64_t)VIEW_ROWS * VIEW_COLS;
    for (int64_t at = 0; at < count; at += step) {
        int64_t n = MIN(step, count - at);
        int r = view_pread(v, v->rows, (uint64_t)at, n);
        if (r < 0)
            return r;
        for (int64_t i = 0; i < n; i++)
            view_copy_element(v, v->rows + (size_t)i * size, v->to + (size_t)(at + i) * size);
    }
    return 0;
}

struct view_make {
    struct object *block;
    const struct npy *npy;
    bool transpose, swap;
};

/* Fills the view's file. The block is read with pread: a file in a local store may shrink under a
 * mapping, which would kill the daemon; the view's own file has all its disk space before. */
static int view_make(void *arg, int fd, struct err *err)
{
    struct view_make *m = arg;
    size_t len = (size_t)m->npy->data_len;
    int r = object_all(m->block, err);
    if (r < 0 || len == 0)
        return r;
    CLEANUP(freep) char *rows = malloc((size_t)VIEW_ROWS * VIEW_COLS * m->npy->dtype.size);
    r = rows ? -posix_fallocate(fd, 0, (off_t)len) : -ENOMEM;
    char *to = r < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (to == MAP_FAILED)
        return err_errno(err, r < 0 ? r : -errno, "cannot put the elements in order");
    struct view_order v = {
        .npy = m->npy, .swap = m->swap, .from_fd = object_fd(m->block), .to = to, .rows = rows};
    r = m->transpose ? view_transpose(&v) : view_swap(&v);
    (void)munmap(to, len);
    return r < 0 ? err_errno(err, r, "cannot put the elements in order") : 0;
}

/* Axes that can be out of order: a vector in any number of axes has one order only. */
static bool view_is_vector(const struct npy *npy)
{
    int long_axes = 0;
    for (int k = 0; k < npy->ndim; k++)
        long_axes += npy->shape[k] != 1;
    return long_axes < 2;
}

/* Opens the version that is made of a block's elements in another order. */
static int view_open_made(struct objects *os, const char *key, struct view_make *make,
                          enum name_view view, struct object **ret, struct err *err)
{
    struct store_stat stat = *object_stat(make->block);
    char etag[STORE_ETAG_SIZE];
    int n = snprintf(etag, sizeof(etag), "%s%s", stat.etag, view == NAME_RAW ? "#raw" : "#F.raw");
    if (n < 0 || (size_t)n >= sizeof(etag))
        return err_set(err, -EIO, "the store's version text is too long");
    memcpy(stat.etag, etag, sizeof(etag));
    stat.size = make->npy->data_len;
    stat.has_crc32c = false;
    return objects_derived(os, key, &stat, view_make, make, ret, err);
}

/* What a view has to do to a block. */
static int view_plan(struct object *block, enum name_view view, struct npy *npy,
                     struct view_make *ret, struct err *err)
{
    int r = view_header(block, npy, err);
    if (r < 0)
        return r;
    *ret = (struct view_make){.block = block,
                              .npy = npy,
                              .transpose =
                                  npy->fortran != (view == NAME_RAW_F) && !view_is_vector(npy),
                              .swap = npy->dtype.order == '>'};
    return 0;
}

int view_open(struct objects *os, const char *key, struct object *block, enum name_view view,
              struct view_source *ret, struct err *err)
{
    struct npy npy = {0};
    struct view_make make;
    if (view == NAME_OBJECT) {
        object_ref(block);
        *ret = (struct view_source){.object = block, .size = object_stat(block)->size};
        return 0;
    }
    int r = view_plan(block, view, &npy, &make, err);
    if (r < 0)
        return r;
    if (!make.transpose && !make.swap) {
        object_ref(block);
        *ret = (struct view_source){.object = block, .off = npy.data_off, .size = npy.data_len};
        return 0;
    }
    *ret = (struct view_source){.size = npy.data_len};
    return view_open_made(os, key, &make, view, &ret->object, err);
}

int view_open_whole(struct objects *os, const char *key, struct object *block, enum name_view view,
                    struct object **ret, struct err *err)
{
    struct npy npy = {0};
    struct view_make make;
    if (view == NAME_OBJECT) {
        object_ref(block);
        *ret = block;
        return 0;
    }
    int r = view_plan(block, view, &npy, &make, err);
    return r < 0 ? r : view_open_made(os, key, &make, view, ret, err);
}
