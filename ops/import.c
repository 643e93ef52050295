#include "ops/import.h"

#include "ops/block.h"
#include "ops/box.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the file --- */

/* Reads up to `len` bytes in the order they come. */
static ssize_t import_read_some(struct import *im, void *dst, size_t len)
{
    if (im->head_at < im->head_len) {
        size_t n = MIN(len, im->head_len - im->head_at);
        memcpy(dst, im->head + im->head_at, n);
        im->head_at += n;
        return (ssize_t)n;
    }
    for (;;) {
        ssize_t n = read(im->fd, dst, len);
        if (n >= 0 || errno != EINTR)
            return n < 0 ? -errno : n;
    }
}

/* Reads `len` bytes; -ENODATA when the file ends before. */
static int import_read(struct import *im, void *dst, size_t len)
{
    char *p = dst;
    while (len > 0) {
        ssize_t n = import_read_some(im, p, len);
        if (n <= 0)
            return n < 0 ? (int)n : -ENODATA;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Reads until the header is whole. What is read beyond it stays in im->head. */
static int import_read_head(struct import *im, struct err *err)
{
    enum { IMPORT_CHUNK = 1024 };
    for (;;) {
        size_t room = MIN(sizeof(im->head) - im->head_len, (size_t)IMPORT_CHUNK);
        ssize_t n = read(im->fd, im->head + im->head_len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, -errno, "cannot read");
        im->head_len += (size_t)n;
        int r = npy_parse(im->head, im->head_len, &im->npy, err);
        if (r != -ENODATA || n == 0) {
            im->head_at = r == 0 ? im->npy.data_off : 0;
            if (r < 0)
                err_hint(err, "a file of nothing but elements needs --format raw and its --shape");
            return r == -ENODATA ? -EBADMSG : r;
        }
    }
}

static int import_check_length(const struct import *im, bool exact, struct err *err)
{
    struct stat st;
    if (!im->seeks)
        return 0;
    if (fstat(im->fd, &st) != 0)
        return err_errno(err, -errno, "cannot stat");
    uint64_t need = im->npy.data_off + im->npy.data_len;
    uint64_t have = (uint64_t)st.st_size;
    if (have < need || (exact && have > need))
        return err_set(err, -EBADMSG, "%" PRIu64 " bytes, where its shape and type need %" PRIu64,
                       have, need);
    return 0;
}

static int import_open_file(const char *path, struct import *im, struct err *err)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    im->fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (im->fd < 0 || fstat(im->fd, &st) != 0)
        return err_errno(err, -errno, "cannot open");
    if (S_ISDIR(st.st_mode))
        return err_set(err, -EINVAL, "a directory, not a file");
    im->seeks = S_ISREG(st.st_mode) && !standard; /* standard input may stand in the middle */
    return 0;
}

int import_open(const char *path, const struct npy *raw, struct import *ret, struct err *err)
{
    CLEANUP(import_close) struct import im = IMPORT_NONE;
    im.name = strcmp(path, "-") == 0 ? "standard input" : path;
    int r = import_open_file(path, &im, err);
    if (r == 0 && raw)
        im.npy = *raw;
    else if (r == 0)
        r = import_read_head(&im, err);
    if (r == 0 && im.npy.ndim == 0)
        r = err_set(err, -EINVAL, "a single number, not a matrix");
    if (r == 0)
        r = import_check_length(&im, raw != NULL, err);
    if (r < 0)
        return err_prefix(err, r, "%s", im.name);
    *ret = im;
    im.fd = -1;
    return 0;
}

void import_close(struct import *im)
{
    closep(&im->fd);
    im->fd = -1;
}

/* --- the blocks --- */

/* A row of blocks along the file's slowest axis. Strides and offsets are in bytes. */
struct import_row {
    int slow;                      /* the axis */
    int64_t extent[GRID_NDIM_MAX]; /* elements of the row */
    int64_t stride[GRID_NDIM_MAX]; /* in the file */
    uint64_t off;                  /* of the row in the file */
    uint64_t bytes;
};

/* An import under way. */
struct import_job {
    struct import *im;
    const struct matdir *m;
    struct import_row row;
    char *rows;  /* owned: the row, or NULL when it is too long */
    char *line;  /* owned: then, one contiguous piece of a block */
    char *block; /* owned */
};

static void import_job_fini(struct import_job *job)
{
    freep(&job->rows);
    freep(&job->line);
    freep(&job->block);
}

static void import_find_row(struct import_job *job, int64_t index)
{
    const struct grid *g = &job->m->header.grid;
    const struct npy *npy = &job->im->npy;
    struct import_row *row = &job->row;
    uint64_t line = npy->dtype.size; /* bytes of one step along the slowest axis */
    row->slow = npy->fortran ? g->ndim - 1 : 0;
    for (int a = 0; a < g->ndim; a++) {
        row->extent[a] = a == row->slow ? grid_block_extent(g, a, index) : g->shape[a];
        line *= a == row->slow ? 1 : (uint64_t)g->shape[a];
    }
    box_strides(g->ndim, row->extent, npy->dtype.size, npy->fortran, row->stride);
    row->off = npy->data_off + line * (uint64_t)grid_block_start(g, row->slow, index);
    row->bytes = line * (uint64_t)row->extent[row->slow];
}

/* Where a block begins within its row. */
static int64_t import_block_offset(const struct import_job *job, const int64_t *index)
{
    const struct grid *g = &job->m->header.grid;
    int64_t start[GRID_NDIM_MAX];
    for (int a = 0; a < g->ndim; a++)
        start[a] = a == job->row.slow ? 0 : grid_block_start(g, a, index[a]);
    return box_offset(g->ndim, start, job->row.stride);
}

/* Cuts a block out of the row in memory. */
static void import_cut(const struct import_job *job, const int64_t *index, const int64_t *extent,
                       const int64_t *stride)
{
    box_copy(&(struct box_copy){.ndim = job->m->header.grid.ndim,
                                .extent = extent,
                                .element = job->im->npy.dtype.size,
                                .dst = job->block,
                                .dst_stride = stride,
                                .src = job->rows + import_block_offset(job, index),
                                .src_stride = job->row.stride});
}

/* Reads a block in the pieces that are contiguous in the file, and spreads each of them. */
static int import_pick(const struct import_job *job, const int64_t *index, const int64_t *extent,
                       const int64_t *stride)
{
    const struct npy *npy = &job->im->npy;
    const int64_t dense[] = {npy->dtype.size};
    int64_t at[GRID_NDIM_MAX] = {0};
    int64_t turned[GRID_NDIM_MAX]; /* the axes in the file's order, slowest first */
    int64_t from[GRID_NDIM_MAX];
    int64_t to[GRID_NDIM_MAX];
    int n = job->m->header.grid.ndim;
    for (int k = 0; k < n; k++) {
        int a = npy->fortran ? n - 1 - k : k;
        turned[k] = extent[a];
        from[k] = job->row.stride[a];
        to[k] = stride[a];
    }
    uint64_t base = job->row.off + (uint64_t)import_block_offset(job, index);
    size_t bytes = (size_t)turned[n - 1] * npy->dtype.size;
    do {
        int r = pread_full(job->im->fd, job->line, bytes, base + (uint64_t)box_offset(n, at, from));
        if (r < 0)
            return r;
        box_copy(&(struct box_copy){.ndim = 1,
                                    .extent = &turned[n - 1],
                                    .element = npy->dtype.size,
                                    .dst = job->block + box_offset(n, at, to),
                                    .dst_stride = &to[n - 1],
                                    .src = job->line,
                                    .src_stride = dense});
    } while (box_next_line(n, turned, at));
    return 0;
}

static int import_read_error(const struct import *im, int code, struct err *err)
{
    if (code == -ENODATA)
        return err_set(err, -EBADMSG, "%s: it ends before the matrix does", im->name);
    return err_errno(err, code, "%s: cannot read", im->name);
}

static int import_read_row(const struct import_job *job)
{
    struct import *im = job->im;
    if (!job->rows)
        return 0;
    if (im->seeks)
        return pread_full(im->fd, job->rows, (size_t)job->row.bytes, job->row.off);
    return import_read(im, job->rows, (size_t)job->row.bytes);
}

static int import_block(const struct import_job *job, const int64_t *index, struct err *err)
{
    const struct grid *g = &job->m->header.grid;
    int64_t extent[GRID_NDIM_MAX];
    int64_t stride[GRID_NDIM_MAX];
    for (int a = 0; a < g->ndim; a++)
        extent[a] = grid_block_extent(g, a, index[a]);
    box_strides(g->ndim, extent, job->im->npy.dtype.size, false, stride);
    if (job->rows) {
        import_cut(job, index, extent, stride);
    } else {
        int r = import_pick(job, index, extent, stride);
        if (r < 0)
            return import_read_error(job->im, r, err);
    }
    size_t n = (size_t)grid_block_elements(g, index);
    watch_read(job->m->watch, n * job->im->npy.dtype.size);
    element_swap(job->im->npy.dtype, job->block, n);
    int r = block_store(job->m, index, job->block, err);
    watch_done(job->m->watch, 1);
    return r;
}

static int import_row(struct import_job *job, int64_t row_index, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    struct grid one = job->m->header.grid; /* the same grid, one row long */
    import_find_row(job, row_index);
    int r = import_read_row(job);
    if (r < 0)
        return import_read_error(job->im, r, err);
    one.shape[job->row.slow] = 1;
    for (bool more = grid_first(&one, index); r == 0 && more; more = grid_next(&one, index)) {
        index[job->row.slow] = row_index;
        r = import_block(job, index, err);
        index[job->row.slow] = 0;
    }
    return r;
}

static int import_check(const struct import *im, const struct matdir *m, struct err *err)
{
    const struct grid *g = &m->header.grid;
    if (im->npy.ndim != g->ndim ||
        memcmp(im->npy.shape, g->shape, sizeof(g->shape[0]) * (size_t)g->ndim) != 0)
        return err_set(err, -EINVAL, "%s: the shapes of file and matrix differ", m->path);
    if (!dtype_equal(im->npy.dtype, m->header.dtype))
        return err_set(err, -EINVAL, "%s: the types of file and matrix differ", m->path);
    return 0;
}

/* Finds out how to read, and takes the memory for it. */
static int import_job_init(struct import_job *job, struct import *im, const struct matdir *m,
                           uint64_t memory, struct err *err)
{
    *job = (struct import_job){.im = im, .m = m};
    import_find_row(job, 0); /* no other one is longer */
    int64_t element = im->npy.dtype.size;
    if (job->row.bytes <= memory) {
        job->rows = block_alloc(m, (int64_t)job->row.bytes / element, err);
    } else if (im->seeks) {
        job->line = block_alloc(m, block_elements_max(m), err);
    } else {
        (void)err_set(err, -EINVAL,
                      "%s: a row of blocks takes %" PRIu64 " bytes, which is more "
                      "than --memory gives",
                      im->name, job->row.bytes);
        err_hint(err, "give more memory, or import from a file: that needs one block only");
        return -EINVAL;
    }
    if (job->rows || job->line)
        job->block = block_alloc(m, block_elements_max(m), err);
    return job->block ? 0 : -ENOMEM;
}

/* Elements beyond those of a shape that somebody has typed mean that it is the wrong shape. */
static int import_check_end(struct import *im, bool exact, struct err *err)
{
    char byte;
    if (!exact || im->seeks || import_read_some(im, &byte, 1) <= 0)
        return 0;
    return err_set(err, -EBADMSG, "%s: it goes on after the matrix has ended", im->name);
}

int import_run(struct import *im, const struct matdir *m, uint64_t memory, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    CLEANUP(import_job_fini) struct import_job job = {0};
    int r = import_check(im, m, err);
    if (r < 0)
        return r;
    if (grid_first(g, index)) {
        r = import_job_init(&job, im, m, memory, err);
        watch_steps(m->watch, grid_blocks(g));
        for (int64_t i = 0; r == 0 && i < grid_axis_blocks(g, job.row.slow); i++)
            r = import_row(&job, i, err);
    }
    if (r == 0)
        r = import_check_end(im, im->npy.data_off == 0, err);
    return r < 0 ? r : matdir_sync(m, err);
}
