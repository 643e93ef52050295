#include "s3/dir.h"

#include "s3/dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIR_GET_STEP = 1 << 20 }; /* bytes handed to a sink at a time */

static int dir_code(int raw)
{
    switch (-raw) {
    case ENOENT:
    case EACCES:
    case EROFS:
    case ENOSPC:
    case EFBIG:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG:
        return raw;
    case EPERM:
        return -EACCES;
    case EDQUOT:
        return -ENOSPC;
    case EINTR:
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EBUSY:
    case ESTALE: /* a network file system; the contract's -ESTALE never comes from the kernel */
    case ETIMEDOUT:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

int dir_fail(struct err *err, int raw, const char *what)
{
    return err_set(err, dir_code(raw), "%s: %s", what, errno_text(raw));
}

bool dir_gone(const struct dir *d)
{
    struct stat st;
    return fstat(d->root, &st) == 0 && st.st_nlink == 0;
}

int dir_missing(const struct dir *d, int raw, struct err *err)
{
    if (raw != -ENOENT && raw != -ENOTDIR && raw != -ELOOP)
        return dir_fail(err, raw, "open");
    if (dir_gone(d))
        return err_set(err, -ENXIO, "the directory of the store is gone");
    return err_set(err, -ENOENT, "no such key");
}

int dir_alive(const struct dir *d, struct err *err)
{
    return atomic_load(&d->down) ? err_set(err, -ECANCELED, "the store is shut down") : 0;
}

/* What every call on a key must pass first; gives the path. */
static int dir_begin(const struct dir *d, const char *key, char ret_path[static DIR_PATH_SIZE],
                     struct err *err)
{
    int r = dir_alive(d, err);
    if (r < 0)
        return r;
    r = dir_path_from_key(key, ret_path);
    return r < 0 ? err_errno(err, r, "the key") : 0;
}

int dir_begin_write(const struct dir *d, const char *key, char ret_path[static DIR_PATH_SIZE],
                    struct err *err)
{
    if (d->read_only)
        return err_set(err, -EROFS, "the store is read-only");
    return dir_begin(d, key, ret_path, err);
}

/* Opens the object for reading: a descriptor, or a code of the contract. */
static int dir_open(const struct dir *d, const char *key, struct store_stat *ret_stat,
                    struct err *err)
{
    char path[DIR_PATH_SIZE];
    int r = dir_begin(d, key, path, err);
    if (r < 0)
        return r;
    const char *name = NULL;
    CLEANUP(closep) int parent = dir_walk_parent(d->root, path, &name);
    r = parent < 0 ? parent : dir_object_open(d, parent, name, ret_stat);
    return r < 0 ? dir_missing(d, r, err) : r;
}

/* A get whose object is open. */
struct dir_get {
    struct dir *d;
    int fd;
    struct store_stat stat;
    store_sink_fn *sink;
    void *arg;
};

/* Delivers the bytes [off, end). */
static int dir_get_range(const struct dir_get *g, uint64_t off, uint64_t end, struct err *err)
{
    size_t step_max = (size_t)MIN(end - off, (uint64_t)DIR_GET_STEP);
    CLEANUP(freep) unsigned char *step = malloc(MAX(step_max, (size_t)1));
    if (!step)
        return dir_fail(err, -ENOMEM, "read");
    while (off < end) {
        size_t n = (size_t)MIN(end - off, (uint64_t)step_max);
        int r = dir_alive(g->d, err);
        if (r < 0)
            return r;
        r = pread_full(g->fd, step, n, off);
        if (r == -ENODATA)
            return err_set(err, -ESTALE, "the file was cut short while it was read");
        if (r < 0)
            return dir_fail(err, r, "read");
        atomic_fetch_add(&g->d->bytes_in, n);
        r = g->sink(g->arg, &g->stat, off, step, n);
        if (r < 0)
            return r;
        off += n;
    }
    return 0;
}

/* No put changes a file, but another program may: then the bytes are of no version. */
static int dir_get_check(const struct dir_get *g, struct err *err)
{
    struct stat st;
    struct store_stat now;
    if (fstat(g->fd, &st) != 0)
        return dir_fail(err, -errno, "stat");
    dir_object_stat(&st, &now);
    if (strcmp(now.etag, g->stat.etag) != 0)
        return err_set(err, -ESTALE, "the file was changed while it was read");
    return 0;
}

static int dir_get_open(const struct dir_get *g, const struct store_get *get, struct err *err)
{
    uint64_t size = g->stat.size;
    if (get->if_match && strcmp(get->if_match, g->stat.etag) != 0)
        return err_set(err, -ESTALE, "the object is another version");
    if (get->if_none_match && strcmp(get->if_none_match, g->stat.etag) == 0)
        return STORE_SAME;
    if (get->off >= size && get->off > 0)
        return err_set(err, -ERANGE, "the object has only %ju bytes", (uintmax_t)size);
    uint64_t len = size - get->off;
    if (get->len > 0)
        len = MIN(len, get->len);
    int r = dir_get_range(g, get->off, get->off + len, err);
    return r < 0 ? r : dir_get_check(g, err);
}

static int dir_get(struct store *st, const char *key, const struct store_get *get,
                   store_sink_fn *sink, void *arg, struct store_stat *ret_stat, struct err *err)
{
    struct dir_get g = {.d = dir_of(st), .sink = sink, .arg = arg};
    atomic_fetch_add(&g.d->gets, 1);
    CLEANUP(closep) int fd = dir_open(g.d, key, &g.stat, err);
    g.fd = fd;
    int r = fd < 0 ? fd : dir_get_open(&g, get, err);
    if (r < 0)
        return err_prefix(err, r, "get %s", key);
    if (r == 0 && ret_stat)
        *ret_stat = g.stat;
    return r;
}

static int dir_head(struct store *st, const char *key, struct store_stat *ret_stat, struct err *err)
{
    struct dir *d = dir_of(st);
    struct store_stat stat;
    atomic_fetch_add(&d->heads, 1);
    CLEANUP(closep) int fd = dir_open(d, key, &stat, err);
    if (fd < 0)
        return err_prefix(err, fd, "head %s", key);
    if (ret_stat)
        *ret_stat = stat;
    return 0;
}

static int dir_open_local(struct store *st, const char *key, struct store_stat *ret_stat,
                          struct err *err)
{
    struct dir *d = dir_of(st);
    struct store_stat stat;
    atomic_fetch_add(&d->heads, 1);
    CLEANUP(closep) int fd = dir_open(d, key, &stat, err);
    if (fd < 0)
        return err_prefix(err, fd, "open %s", key);
    if (ret_stat)
        *ret_stat = stat;
    return TAKE_FD(fd);
}

/* Compares and deletes in one step. */
static int dir_del_locked(const struct dir *d, const char *key, int parent, const char *name,
                          const char *if_match, struct err *err)
{
    CLEANUP(closep) int lock = dir_hidden_lock(d, key, err);
    if (lock < 0)
        return TAKE_FD(lock);
    if (if_match) {
        int r = dir_object_match(d, parent, name, if_match, err);
        if (r < 0)
            return r;
    }
    if (unlinkat(parent, name, 0) != 0 && errno != ENOENT)
        return dir_fail(err, -errno, "unlink");
    return 0;
}

/* Removes the directories on the way to `path` that are empty now, from the lowest up. A put that
 * was about to use one makes it again. */
static void dir_del_prune(const struct dir *d, char *path)
{
    char *slash;
    while ((slash = strrchr(path, '/')) != NULL) {
        *slash = '\0';
        const char *name = NULL;
        CLEANUP(closep) int parent = dir_walk_parent(d->root, path, &name);
        if (parent < 0 || unlinkat(parent, name, AT_REMOVEDIR) != 0)
            return;
    }
}

static int dir_del_path(const struct dir *d, const char *key, char *path, const char *if_match,
                        struct err *err)
{
    char file[PATH_MAX];
    struct stat st;
    const char *name = NULL;
    CLEANUP(closep) int parent = dir_walk_parent(d->root, path, &name);
    int r = parent < 0 ? parent : dir_object_find(d, parent, name, file, &st);
    if (r < 0) {
        r = dir_missing(d, r, err);
        if (r != -ENOENT)
            return r;
        return if_match ? err_set(err, -ESTALE, "the object is gone") : 0;
    }
    r = dir_del_locked(d, key, parent, name, if_match, err);
    if (r < 0)
        return r;
    r = dir_walk_sync(parent);
    if (r < 0)
        return dir_fail(err, r, "sync the directory");
    dir_del_prune(d, path);
    return 0;
}

static int dir_del(struct store *st, const char *key, const char *if_match, struct err *err)
{
    struct dir *d = dir_of(st);
    char path[DIR_PATH_SIZE];
    atomic_fetch_add(&d->dels, 1);
    int r = dir_begin_write(d, key, path, err);
    if (r == 0)
        r = dir_del_path(d, key, path, if_match, err);
    return r < 0 ? err_prefix(err, r, "delete %s", key) : 0;
}

static void dir_count(struct store *st, struct store_counters *sum)
{
    struct dir *d = dir_of(st);
    sum->gets += atomic_load(&d->gets);
    sum->puts += atomic_load(&d->puts);
    sum->heads += atomic_load(&d->heads);
    sum->dels += atomic_load(&d->dels);
    sum->lists += atomic_load(&d->lists);
    sum->bytes_in += atomic_load(&d->bytes_in);
    sum->bytes_out += atomic_load(&d->bytes_out);
}

static void dir_shutdown(struct store *st)
{
    atomic_store(&dir_of(st)->down, true);
}

static void dir_free(struct store *st)
{
    struct dir *d = dir_of(st);
    closep(&d->root);
    free(d->base.id);
    free(d);
}

static const struct store_ops dir_ops = {
    .name = "dir",
    .get = dir_get,
    .put = dir_put,
    .head = dir_head,
    .del = dir_del,
    .list = dir_list,
    .open_local = dir_open_local,
    .count = dir_count,
    .shutdown = dir_shutdown,
    .free = dir_free,
};

/* Opens the directory and names the store after it. */
static int dir_new_open(struct dir *d, const char *path, struct err *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(path, real))
        return err_set(err, dir_code(-errno), "%s", errno_text(errno));
    d->root = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (d->root < 0 || fstat(d->root, &st) != 0)
        return dir_fail(err, -errno, "open");
    d->owner = st.st_uid;
    if (asprintf(&d->base.id, "file://%s", real) < 0) {
        d->base.id = NULL;
        return err_set(err, -ENOMEM, "out of memory");
    }
    return 0;
}

static void dir_freep(struct dir *const *d)
{
    if (*d)
        dir_free(&(*d)->base);
}

int dir_new(const char *path, bool read_only, struct store **ret, struct err *err)
{
    CLEANUP(dir_freep) struct dir *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(err, -ENOMEM, "directory %s: out of memory", path);
    d->base.ops = &dir_ops;
    d->root = -1;
    d->read_only = read_only;
    int r = dir_new_open(d, path, err);
    if (r < 0)
        return err_prefix(err, r == -ENOENT || r == -ENOTDIR ? -ENXIO : r, "directory %s", path);
    if (!read_only)
        dir_hidden_sweep(d);
    *ret = &TAKE(d)->base;
    return 0;
}
