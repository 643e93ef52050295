#include "ops/stamps.h"

#include "matrix/name.h"
#include "ops/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { STAMPS_PATH_MAX = 8192, STAMPS_ETAG_MAX = 256 };

#define STAMPS_ETAG "user.bmfs.etag"

/* FNV-1a: what it must notice is change, not malice. */
static uint64_t stamps_hash(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static const uint64_t stamps_start = UINT64_C(0xcbf29ce484222325);

static uint64_t stamps_of_etag(const char *etag, ssize_t len)
{
    return len > 0 ? stamps_hash(stamps_start, etag, (size_t)len) : 0;
}

static uint64_t stamps_of_file(const struct stat *st)
{
    uint64_t hash = stamps_hash(stamps_start, &st->st_size, sizeof(st->st_size));
    hash = stamps_hash(hash, &st->st_mtim.tv_sec, sizeof(st->st_mtim.tv_sec));
    hash = stamps_hash(hash, &st->st_mtim.tv_nsec, sizeof(st->st_mtim.tv_nsec));
    return hash + (hash == 0); /* 0 means that it is missing */
}

/* The ETag that a mount tells; 0 when it does not. */
static uint64_t stamps_etag(const struct matdir *m, const char *name)
{
    char path[STAMPS_PATH_MAX];
    char etag[STAMPS_ETAG_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", m->path, name);
    if (n < 0 || n >= (int)sizeof(path))
        return 0;
    return stamps_of_etag(etag, getxattr(path, STAMPS_ETAG, etag, sizeof(etag)));
}

/* 0 with 0 in *ret for a missing block. A block that was cut short is an error here, before
 * anything is made of the others. */
static int stamps_look(const struct matdir *m, const int64_t *index, uint64_t *ret, struct err *err)
{
    struct stat st;
    char name[NAME_FILE_SIZE];
    (void)name_file(m->header.grid.ndim, index, name);
    *ret = m->id.uri ? stamps_etag(m, name) : 0;
    if (*ret)
        return 0;
    if (fstatat(m->fd, name, &st, 0) != 0)
        return errno == ENOENT ? 0 : err_errno(err, -errno, "%s/%s", m->path, name);
    *ret = stamps_of_file(&st);
    return block_check_size(m, index, &st, err);
}

/* The same of an open block. */
static int stamps_look_open(const struct matdir *m, int fd, uint64_t *ret)
{
    struct stat st;
    char etag[STAMPS_ETAG_MAX];
    *ret = 0;
    if (fd < 0)
        return 0;
    if (m->id.uri)
        *ret = stamps_of_etag(etag, fgetxattr(fd, STAMPS_ETAG, etag, sizeof(etag)));
    if (*ret)
        return 0;
    if (fstat(fd, &st) != 0)
        return -errno;
    *ret = stamps_of_file(&st);
    return 0;
}

static bool stamps_wanted(enum stamps_part part, const int64_t *index)
{
    return part == STAMPS_ALL || (part == STAMPS_LOWER && index[0] >= index[1]) ||
           (part == STAMPS_UPPER && index[0] <= index[1]);
}

/* What stands for the blocks that are missing, and how large they are. */
static uint64_t stamps_of_header(uint64_t hash, const struct matdir *m)
{
    const struct grid *g = &m->header.grid;
    const char *type = dtype_name(m->header.dtype);
    const char way[] = {matdir_triangle(m), (char)m->has_fill, (char)m->fills_all};
    hash = stamps_hash(hash, g->shape, (size_t)g->ndim * sizeof(g->shape[0]));
    hash = stamps_hash(hash, g->shard, (size_t)g->ndim * sizeof(g->shard[0]));
    hash = stamps_hash(hash, type, strlen(type));
    hash = stamps_hash(hash, way, sizeof(way));
    return m->has_fill ? stamps_hash(hash, m->fill, m->header.dtype.size) : hash;
}

int stamps_take(const struct matdir *m, enum stamps_part part, struct stamps *ret, struct err *err)
{
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &m->header.grid;
    struct stamps s = {.m = m, .digest = stamps_start};
    s.of = calloc((size_t)grid_blocks(g) + 1, sizeof(*s.of));
    if (!s.of)
        return err_set(err, -ENOMEM, "%s: out of memory", m->path);
    size_t at = 0;
    for (bool more = grid_first(g, index); more; more = grid_next(g, index), at++) {
        int r = stamps_wanted(part, index) ? stamps_look(m, index, &s.of[at], err) : 0;
        if (r < 0) {
            stamps_fini(&s);
            return r;
        }
    }
    s.digest = stamps_hash(stamps_of_header(s.digest, m), s.of, at * sizeof(*s.of));
    *ret = s;
    return 0;
}

bool stamps_has(const struct stamps *s, const int64_t *index)
{
    return s->of[grid_rank(&s->m->header.grid, index)] != 0;
}

int stamps_check(const struct stamps *s, const int64_t *index, int fd, struct err *err)
{
    uint64_t now = 0;
    char name[NAME_FILE_SIZE];
    const struct matdir *m = s->m;
    (void)name_file(m->header.grid.ndim, index, name);
    int r = stamps_look_open(m, fd, &now);
    if (r < 0)
        return err_errno(err, r, "%s/%s", m->path, name);
    if (now == s->of[grid_rank(&m->header.grid, index)])
        return 0;
    return err_set(err, -ESTALE, "%s/%s: the block changed while the run worked on it", m->path,
                   name);
}

void stamps_fini(struct stamps *s)
{
    free(s->of);
    *s = (struct stamps){0};
}
