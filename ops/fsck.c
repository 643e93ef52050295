#include "ops/fsck.h"

#include "base/crc32c.h"
#include "matrix/name.h"
#include "ops/block.h"
#include "ops/inventory.h"
#include "ops/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { FSCK_CRC_DIGITS = 8 };

struct fsck_run {
    const struct matdir *m;
    const struct fsck *how;
    struct fsck_result *result;
    struct record record; /* owned: what the run that made the matrix had made */
};

static void fsck_say(const struct fsck_run *run, const struct err *err)
{
    run->result->wrong++;
    run->how->fn(run->how->arg, err->msg);
}

/* Faults that stand for the whole matrix: the header says nothing about these files. */
static void fsck_count(const struct fsck_run *run, int64_t count, const char *noun,
                       const char *what)
{
    struct err err = {0};
    if (count == 0)
        return;
    (void)err_set(&err, 0, "%s: %lld %s%s%s", run->m->path, (long long)count, noun,
                  count == 1 ? "" : "s", what);
    fsck_say(run, &err);
}

/* The CRC-32C that was stored with an open block: 1 when it is known, 0, or -errno. */
static int fsck_stored_crc(int fd, uint32_t *ret)
{
    char text[FSCK_CRC_DIGITS + 1] = "";
    char *end = NULL;
    ssize_t n = fgetxattr(fd, "user.bmfs.crc32c", text, FSCK_CRC_DIGITS);
    if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP))
        return 0;
    if (n < 0)
        return -errno;
    unsigned long crc = strtoul(text, &end, 16);
    if (n != FSCK_CRC_DIGITS || *end)
        return 0;
    *ret = (uint32_t)crc;
    return 1;
}

/* Holds a block's elements against what the header says was made: 1 when it says so, 0, or -errno.
 */
static int fsck_record(const struct fsck_run *run, const struct block *b, struct err *err)
{
    uint32_t real = 0;
    int64_t made = run->record.of ? run->record.of[grid_rank(&run->m->header.grid, b->index)] : -1;
    if (made < 0 || b->npy.fortran) /* runs write the last index fastest: it was saved again */
        return 0;
    int r = crc32c_fd(b->fd, b->npy.data_off, b->npy.data_len, 0, &real);
    if (r < 0)
        return err_errno(err, r, "cannot be read");
    if (real == (uint32_t)made)
        return 1;
    (void)err_set(err, -EBADMSG,
                  "not what the run made that the header speaks of: its elements have the CRC-32C "
                  "%08x, they had %08x",
                  real, (unsigned)made);
    return -EBADMSG;
}

static int fsck_read(const struct fsck_run *run, const struct block *b, struct err *err)
{
    uint32_t stored = 0;
    uint32_t real = 0;
    uint64_t size = b->npy.data_off + b->npy.data_len;
    int r = crc32c_fd(b->fd, 0, size, 0, &real);
    if (r < 0)
        return err_errno(err, r, "cannot be read");
    watch_read(run->m->watch, size);
    r = fsck_stored_crc(b->fd, &stored);
    if (r < 0)
        return err_errno(err, r, "its CRC-32C cannot be asked for");
    if (r == 1 && real != stored)
        return err_set(err, -EBADMSG, "the bytes have the CRC-32C %08x, stored with them is %08x",
                       real, stored);
    int made = fsck_record(run, b, err);
    if (r == 0 && made == 0)
        run->result->unchecked++;
    return MIN(made, 0);
}

/* Opens a block, which checks its npy header against that of the matrix, and reads it. */
static int fsck_deep(const struct fsck_run *run, const int64_t *index, struct err *err)
{
    char name[NAME_FILE_SIZE];
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    int r = block_open(run->m, index, &b, err);
    if (r < 0)
        return r;
    r = fsck_read(run, &b, err);
    return r < 0 ? err_prefix(err, r, "%s/%s", run->m->path,
                              name_file(run->m->header.grid.ndim, index, name))
                 : 0;
}

static int fsck_size(const struct fsck_run *run, const int64_t *index, struct err *err)
{
    struct stat st;
    char name[NAME_FILE_SIZE];
    (void)name_file(run->m->header.grid.ndim, index, name);
    if (fstatat(run->m->fd, name, &st, 0) < 0)
        return err_errno(err, -errno, "%s/%s", run->m->path, name);
    return block_check_size(run->m, index, &st, err);
}

/* A block that has gone since it was listed is no fault of the matrix. */
static void fsck_block(const struct fsck_run *run, int64_t rank)
{
    struct err err = {0};
    int64_t index[GRID_NDIM_MAX];
    grid_unrank(&run->m->header.grid, rank, index);
    int r = run->how->deep ? fsck_deep(run, index, &err) : fsck_size(run, index, &err);
    if (r == -ENOENT) {
        run->result->blocks--;
        run->result->missing++;
    } else if (r < 0) {
        fsck_say(run, &err);
    }
}

int fsck_matrix(const struct matdir *m, const struct fsck *how, struct fsck_result *ret,
                struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    struct fsck_run run = {.m = m, .how = how, .result = ret};
    *ret = (struct fsck_result){0};
    int r = inventory_load(m, false, &in, err);
    if (r == 0 && how->deep)
        r = record_init(m, &run.record, err);
    if (r < 0)
        return r;
    ret->blocks = (int64_t)in.count;
    ret->missing = in.missing;
    ret->scratch = in.scratch;
    fsck_count(&run, in.outside, "block", " outside the grid");
    fsck_count(&run, in.misnamed, "block", " named .npy: outside a mount, names have no .npy");
    fsck_count(&run, in.others, "file", ": neither header nor block");
    watch_steps(m->watch, (int64_t)in.count);
    for (size_t i = 0; i < in.count; i++) {
        fsck_block(&run, in.rank[i]);
        watch_done(m->watch, 1);
    }
    record_fini(&run.record);
    return 0;
}
