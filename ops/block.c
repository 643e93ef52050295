#include "ops/block.h"

#include "matrix/name.h"
#include "ops/box.h"
#include "ops/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK_HEAD_FIRST = 1024,        /* bytes read for the npy header: nearly every one is shorter */
    BLOCK_ALIGN = 64,               /* of memory: a cache line, and AVX-512's vectors */
    BLOCK_SWAP_BYTES = 1 << 16,     /* swapped and written at a time */
    BLOCK_EXPECT_BYTES = 128 << 10, /* the kernel reads no more at a call than its read-ahead */
    BLOCK_RUN_MIN = 4096, /* bytes: shorter reads than a page touch the same pages again */
};

/* "A/block_0_1: " before the message that is there. */
static int block_prefix(const struct matdir *m, const int64_t *index, int code, struct err *err)
{
    char name[NAME_FILE_SIZE];
    return err_prefix(err, code, "%s/%s", m->path, name_file(m->header.grid.ndim, index, name));
}

/* --- reading --- */

bool block_is_misnamed(const struct matdir *m, const int64_t *index, struct err *err)
{
    char name[NAME_FILE_SIZE];
    char other[NAME_FILE_SIZE + sizeof(".npy")];
    (void)snprintf(other, sizeof(other), "%s.npy", name_file(m->header.grid.ndim, index, name));
    if (faccessat(m->fd, other, F_OK, 0) != 0)
        return false;
    err_hint(err, "there is a %s: outside a mount, blocks have names without .npy", other);
    return true;
}

/* 0 when the fill value stands for the block. */
static int block_missing(const struct matdir *m, const int64_t *index, struct err *err)
{
    bool misnamed = block_is_misnamed(m, index, NULL);
    if (!misnamed && matdir_fills(m, index))
        return 0;
    (void)err_set(err, -ENOENT, "the block is missing");
    if (misnamed)
        (void)block_is_misnamed(m, index, err);
    return -ENOENT;
}

/* 1, 0 or -errno, as block_open_if_there(). */
static int block_open_file(const struct matdir *m, const int64_t *index, struct block *b,
                           uint64_t *ret_size, struct err *err)
{
    char name[NAME_FILE_SIZE];
    struct stat st;
    (void)name_file(m->header.grid.ndim, index, name);
    /* O_NONBLOCK: a FIFO must not keep us waiting before it is refused. */
    b->fd = openat(m->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (b->fd < 0 && errno == ENOENT)
        return block_missing(m, index, err);
    if (b->fd < 0 || fstat(b->fd, &st) != 0)
        return err_errno(err, -errno, "cannot open");
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EBADMSG, "not a file");
    *ret_size = (uint64_t)st.st_size;
    return 1;
}

/* Reads and parses the npy header, taking more of the file when it is a long one. */
static int block_read_head(struct block *b, uint64_t size, struct err *err)
{
    unsigned char head[NPY_HEAD_MAX];
    size_t len = (size_t)MIN(size, (uint64_t)BLOCK_HEAD_FIRST);
    int r = pread_full(b->fd, head, len, 0);
    if (r < 0)
        return err_errno(err, r == -ENODATA ? -EBADMSG : r, "cannot read");
    r = npy_parse(head, len, &b->npy, err);
    if (r == -ENODATA && size > len) {
        len = (size_t)MIN(size, (uint64_t)NPY_HEAD_MAX);
        r = pread_full(b->fd, head, len, 0);
        r = r < 0 ? err_errno(err, r, "cannot read") : npy_parse(head, len, &b->npy, err);
    }
    return r == -ENODATA ? -EBADMSG : r;
}

static int block_open_checked(const struct matdir *m, const int64_t *index, struct block *b,
                              struct err *err)
{
    const struct header *h = &m->header;
    uint64_t size = 0;
    int r = block_open_file(m, index, b, &size, err);
    if (r <= 0)
        return r;
    r = block_read_head(b, size, err);
    if (r == 0 && npy_check_block(&b->npy, size, &h->grid, h->dtype, index, err) < 0)
        r = -EBADMSG;
    return r < 0 ? r : 1;
}

int block_open_if_there(const struct matdir *m, const int64_t *index, struct block *ret,
                        struct err *err)
{
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    b.matrix = m;
    memcpy(b.index, index, sizeof(*index) * (size_t)m->header.grid.ndim);
    int r = block_open_checked(m, index, &b, err);
    if (r < 0)
        (void)block_prefix(m, index, r, err);
    if (r <= 0)
        return r;
    *ret = b;
    b.fd = -1;
    return 1;
}

int block_open(const struct matdir *m, const int64_t *index, struct block *ret, struct err *err)
{
    int r = block_open_if_there(m, index, ret, err);
    if (r == 0)
        return block_prefix(m, index, err_set(err, -ENOENT, "the block is missing"), err);
    return r < 0 ? r : 0;
}

int block_read(const struct block *b, int64_t first, size_t n, void *dst, struct err *err)
{
    size_t len = n * b->npy.dtype.size;
    uint64_t off = b->npy.data_off + (uint64_t)first * b->npy.dtype.size;
    int r = pread_full(b->fd, dst, len, off);
    if (r == -ENODATA)
        r = err_set(err, -EBADMSG, "it became shorter while it was read");
    else if (r < 0)
        r = err_errno(err, r, "cannot read");
    if (r < 0)
        return block_prefix(b->matrix, b->index, r, err);
    element_swap(b->npy.dtype, dst, n);
    watch_read(b->matrix->watch, len);
    return 0;
}

void block_close(struct block *b)
{
    closep(&b->fd);
    b->fd = -1;
}

/* How a box lies in the block's file. */
struct block_layout {
    int64_t stride[GRID_NDIM_MAX]; /* of the whole block, in elements */
    int64_t packed[GRID_NDIM_MAX]; /* of the box alone, in bytes */
    int64_t first;                 /* element of the block */
    int64_t run;                   /* elements of the box that lie together */
    int inner;                     /* axes that make up a run, counted from the fastest */
};

/* The axis that is the k-th fastest. */
static int block_axis(const struct block *b, int k)
{
    return b->npy.fortran ? k : b->npy.ndim - 1 - k;
}

static void block_lay_out(const struct block *b, const struct block_box *box,
                          struct block_layout *ret)
{
    const struct npy *npy = &b->npy;
    box_strides(npy->ndim, npy->shape, 1, npy->fortran, ret->stride);
    box_strides(npy->ndim, box->extent, npy->dtype.size, npy->fortran, ret->packed);
    ret->first = box_offset(npy->ndim, box->start, ret->stride);
    ret->run = 1;
    ret->inner = 0;
    for (bool whole = true; whole && ret->inner < npy->ndim; ret->inner++) {
        int a = block_axis(b, ret->inner);
        ret->run *= box->extent[a];
        whole = box->extent[a] == npy->shape[a];
    }
}

/* Run by run, into one piece. */
static int block_read_runs(const struct block *b, const struct block_box *box,
                           const struct block_layout *lay, struct err *err)
{
    int64_t at[GRID_NDIM_MAX] = {0}; /* within the box */
    char *dst = box->bounce;
    for (;;) {
        int r = block_read(b, lay->first + box_offset(b->npy.ndim, at, lay->stride),
                           (size_t)lay->run, dst, err);
        int k = lay->inner;
        for (; r == 0 && k < b->npy.ndim; k++) {
            int a = block_axis(b, k);
            if (++at[a] < box->extent[a])
                break;
            at[a] = 0;
        }
        if (r < 0 || k == b->npy.ndim)
            return r;
        dst += (size_t)lay->run * b->npy.dtype.size;
    }
}

int block_read_box(const struct block *b, const struct block_box *box, struct err *err)
{
    struct block_layout lay;
    const struct npy *npy = &b->npy;
    int64_t apart[GRID_NDIM_MAX];
    int64_t span = 1; /* elements from the first to the last one */
    block_lay_out(b, box, &lay);
    for (int a = 0; a < npy->ndim; a++) {
        span += (box->extent[a] - 1) * lay.stride[a];
        apart[a] = lay.stride[a] * npy->dtype.size;
    }
    bool dense = lay.run * npy->dtype.size >= BLOCK_RUN_MIN || lay.inner == npy->ndim;
    int r = dense ? block_read_runs(b, box, &lay, err)
                  : block_read(b, lay.first, (size_t)span, box->bounce, err);
    if (r < 0)
        return r;
    box_copy(&(struct box_copy){.ndim = npy->ndim,
                                .extent = box->extent,
                                .element = npy->dtype.size,
                                .dst = box->dst,
                                .dst_stride = box->stride,
                                .src = box->bounce,
                                .src_stride = dense ? lay.packed : apart});
    return 0;
}

void block_expect(const struct matdir *m, const int64_t *index, struct block *ret)
{
    if (block_open_if_there(m, index, ret, NULL) <= 0)
        return;
    size_t elements = (size_t)grid_block_elements(&m->header.grid, index);
    off_t end = (off_t)(ret->npy.data_off + elements * ret->npy.dtype.size);
    for (off_t off = 0; off < end; off += BLOCK_EXPECT_BYTES)
        (void)posix_fadvise(ret->fd, off, BLOCK_EXPECT_BYTES, POSIX_FADV_WILLNEED);
}

/* 1, 0 or -errno, as block_load_if_there(). The version is that of the descriptor that was read. */
static int block_load_from(const struct matdir *m, const int64_t *index,
                           const struct block_source *s, void *dst, bool *ret_fortran,
                           struct err *err)
{
    CLEANUP(block_close) struct block own = BLOCK_NONE;
    const struct block *b = s->expected && s->expected->fd >= 0 ? s->expected : &own;
    int r = 0;
    int there = b == &own ? block_open_if_there(m, index, &own, err) : 1;
    if (there > 0)
        r = block_read(b, 0, (size_t)grid_block_elements(&m->header.grid, index), dst, err);
    if (there >= 0 && r == 0 && s->stamps)
        r = stamps_check(s->stamps, index, b->fd, err);
    *ret_fortran = b->npy.fortran;
    return r < 0 ? r : there;
}

static void block_turn(const struct matdir *m, const int64_t *index, void *dst, const void *src)
{
    int64_t extent[GRID_NDIM_MAX];
    int64_t to[GRID_NDIM_MAX];
    int64_t from[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    size_t element = m->header.dtype.size;
    for (int a = 0; a < g->ndim; a++)
        extent[a] = grid_block_extent(g, a, index[a]);
    box_strides(g->ndim, extent, element, false, to);
    box_strides(g->ndim, extent, element, true, from);
    box_copy(&(struct box_copy){.ndim = g->ndim,
                                .extent = extent,
                                .element = element,
                                .dst = dst,
                                .dst_stride = to,
                                .src = src,
                                .src_stride = from});
}

/* The same, with the last index fastest. */
static int block_load_rows_from(const struct matdir *m, const int64_t *index,
                                const struct block_source *s, void *dst, struct err *err)
{
    bool fortran = false;
    int64_t n = grid_block_elements(&m->header.grid, index);
    int r = block_load_from(m, index, s, dst, &fortran, err);
    if (r <= 0 || !fortran)
        return r;
    CLEANUP(freep) void *columns = block_alloc(m, n, err);
    if (!columns)
        return -ENOMEM;
    memcpy(columns, dst, (size_t)n * m->header.dtype.size);
    block_turn(m, index, dst, columns);
    return 1;
}

int block_load_if_there(const struct matdir *m, const int64_t *index, void *dst, bool *ret_fortran,
                        struct err *err)
{
    return block_load_from(m, index, &(struct block_source){0}, dst, ret_fortran, err);
}

int block_load_rows_if_there(const struct matdir *m, const int64_t *index, void *dst,
                             struct err *err)
{
    return block_load_rows_from(m, index, &(struct block_source){0}, dst, err);
}

static void block_fill(const struct matdir *m, const int64_t *index, void *dst)
{
    size_t n = (size_t)grid_block_elements(&m->header.grid, index);
    element_fill(m->header.dtype, m->fill, n, dst);
}

int block_load_source(const struct matdir *m, const int64_t *index, const struct block_source *s,
                      void *dst, bool *ret_fortran, struct err *err)
{
    int r = block_load_from(m, index, s, dst, ret_fortran, err);
    if (r == 0)
        block_fill(m, index, dst);
    return MIN(r, 0);
}

int block_load(const struct matdir *m, const int64_t *index, void *dst, bool *ret_fortran,
               struct err *err)
{
    return block_load_source(m, index, &(struct block_source){0}, dst, ret_fortran, err);
}

int block_load_rows_source(const struct matdir *m, const int64_t *index,
                           const struct block_source *s, void *dst, struct err *err)
{
    int r = block_load_rows_from(m, index, s, dst, err);
    if (r == 0)
        block_fill(m, index, dst);
    return MIN(r, 0);
}

int block_load_rows(const struct matdir *m, const int64_t *index, void *dst, struct err *err)
{
    return block_load_rows_source(m, index, &(struct block_source){0}, dst, err);
}

/* --- publishing --- */

static int block_write_swapped(int fd, struct dtype t, const char *src, size_t len)
{
    CLEANUP(freep) char *part = malloc(BLOCK_SWAP_BYTES);
    int r = part ? 0 : -ENOMEM;
    for (size_t at = 0; r == 0 && at < len; at += BLOCK_SWAP_BYTES) {
        size_t n = MIN(len - at, (size_t)BLOCK_SWAP_BYTES);
        memcpy(part, src + at, n);
        element_swap(t, part, n / t.size);
        r = write_full(fd, part, n);
    }
    return r;
}

int block_write(int fd, const struct matdir *m, const int64_t *index, const void *src,
                struct err *err)
{
    struct npy npy;
    struct dtype t = m->header.dtype;
    CLEANUP(buf_fini) struct buf head = BUF_INIT(NPY_HEAD_MAX);
    npy_for_block(&m->header.grid, t, index, &npy);
    int r = npy_format(&npy, &head);
    if (r == 0)
        r = write_full(fd, head.data, head.len);
    if (r == 0)
        r = t.order == '>' ? block_write_swapped(fd, t, src, (size_t)npy.data_len)
                           : write_full(fd, src, (size_t)npy.data_len);
    return r < 0 ? err_errno(err, r, "cannot write") : 0;
}

int block_prepare(const struct matdir *m, const int64_t *index, const void *src, struct publish *p,
                  struct err *err)
{
    int r = publish_begin(m->fd, p, err);
    if (r == 0)
        r = block_write(p->fd, m, index, src, err);
    if (r == 0)
        r = publish_sync(p, err);
    return r < 0 ? block_prefix(m, index, r, err) : 0;
}

int block_commit(const struct matdir *m, const int64_t *index, struct publish *p, struct err *err)
{
    char name[NAME_FILE_SIZE];
    int r = publish_link(p, name_file(m->header.grid.ndim, index, name), err);
    if (r < 0)
        return block_prefix(m, index, r, err);
    watch_written(m->watch,
                  (uint64_t)grid_block_elements(&m->header.grid, index) * m->header.dtype.size);
    return 0;
}

int block_store(const struct matdir *m, const int64_t *index, const void *src, struct err *err)
{
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    int r = block_prepare(m, index, src, &p, err);
    return r == 0 ? block_commit(m, index, &p, err) : r;
}

int block_is(const struct matdir *m, const int64_t *index, const void *src, struct err *err)
{
    int64_t n = grid_block_elements(&m->header.grid, index);
    CLEANUP(freep) void *there = block_alloc(m, n, err);
    if (!there)
        return -ENOMEM;
    int r = block_load_rows(m, index, there, err);
    return r < 0 ? r : memcmp(there, src, (size_t)n * m->header.dtype.size) == 0;
}

/* --- memory --- */

void *block_alloc(const struct matdir *m, int64_t elements, struct err *err)
{
    size_t element = m->header.dtype.size;
    size_t bytes = (size_t)MAX(elements, (int64_t)1) * element; /* grid_check(): cannot overflow */
    bytes = (bytes + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
    void *p = aligned_alloc(BLOCK_ALIGN, bytes);
    if (!p) {
        (void)err_set(err, -ENOMEM, "%s: no memory for %zu bytes", m->path, bytes);
        err_hint(err, "smaller blocks need less");
    }
    return p;
}

int64_t block_elements_max(const struct matdir *m)
{
    int64_t n = 1;
    for (int a = 0; a < m->header.grid.ndim; a++)
        n *= MIN(m->header.grid.shard[a], m->header.grid.shape[a]);
    return n;
}

int block_check_size(const struct matdir *m, const int64_t *index, const struct stat *st,
                     struct err *err)
{
    struct npy npy;
    char name[NAME_FILE_SIZE];
    const struct header *h = &m->header;
    npy_for_block(&h->grid, h->dtype, index, &npy);
    (void)name_file(h->grid.ndim, index, name);
    uint64_t len = h->dtype.size;
    for (int a = 0; a < npy.ndim; a++)
        len *= (uint64_t)npy.shape[a];
    if (!S_ISREG(st->st_mode))
        return err_set(err, -EBADMSG, "%s/%s: not a file", m->path, name);
    uint64_t size = (uint64_t)st->st_size;
    if (size < len + NPY_HEAD_MIN || size > len + NPY_HEAD_MAX)
        return err_set(
            err, -EBADMSG,
            "%s/%s: %llu bytes, its elements alone are %llu and their header at least %d", m->path,
            name, (unsigned long long)size, (unsigned long long)len, NPY_HEAD_MIN);
    return 0;
}
