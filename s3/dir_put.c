#include "s3/dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    DIR_PUT_STEP = 1 << 20,       /* bytes read and written at a time */
    DIR_PUT_COPY_STEP = 16 << 20, /* bytes the kernel copies at a time */
    DIR_PUT_TRIES_MAX = 100,      /* times that a del may take the directory away */
};

struct dir_put {
    struct dir *d;
    const char *key, *path;
    const struct store_body *body;
    const struct store_put *put;
    struct dir_temp temp;
    struct store_stat stat; /* of the finished file */
};

static bool dir_put_is_absent(const struct dir_put *p)
{
    return p->put->if_match && !*p->put->if_match;
}

/* Lets the kernel copy, or share the blocks, as far as it can: returns how far. What stops it will
 * stop the caller, who goes on with reads and writes, too, and be reported there. */
static uint64_t dir_put_copy_fast(const struct dir_put *p)
{
    off_t from = (off_t)p->body->off;
    off_t to = (off_t)p->body->head_len;
    uint64_t done = 0;
    while (done < p->body->len && !atomic_load(&p->d->down)) {
        size_t step = (size_t)MIN(p->body->len - done, (uint64_t)DIR_PUT_COPY_STEP);
        ssize_t n = copy_file_range(p->body->fd, &from, p->temp.fd, &to, step, 0);
        if (n <= 0)
            break;
        done += (uint64_t)n;
    }
    return done;
}

/* Copies what the body has in a file. */
static int dir_put_copy(const struct dir_put *p, struct err *err)
{
    uint64_t done = dir_put_copy_fast(p);
    if (done == p->body->len)
        return 0;
    CLEANUP(freep) unsigned char *step = malloc(DIR_PUT_STEP);
    if (!step)
        return dir_fail(err, -ENOMEM, "copy");
    while (done < p->body->len) {
        int r = dir_alive(p->d, err);
        if (r < 0)
            return r;
        size_t n = (size_t)MIN(p->body->len - done, (uint64_t)DIR_PUT_STEP);
        r = pread_full(p->body->fd, step, n, p->body->off + done);
        if (r < 0)
            return dir_fail(err, r, "read the body");
        r = pwrite_full(p->temp.fd, step, n, p->body->head_len + done);
        if (r < 0)
            return dir_fail(err, r, "write");
        done += n;
    }
    return 0;
}

/* Gives the file the exact time that makes its version unlike any other; the kernel's own clock for
 * files may stand still for milliseconds. */
static int dir_put_stamp(struct dir_put *p)
{
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    struct stat st;
    if (clock_gettime(CLOCK_REALTIME, &t[1]) != 0 || futimens(p->temp.fd, t) != 0 ||
        fstat(p->temp.fd, &st) != 0)
        return -errno;
    dir_object_stat(&st, &p->stat);
    return dir_object_remember(p->temp.fd, p->put, &p->stat);
}

/* Writes the whole object, durable but without its name. */
static int dir_put_fill(struct dir_put *p, struct err *err)
{
    int r = pwrite_full(p->temp.fd, p->body->head, p->body->head_len, 0);
    if (r < 0)
        return dir_fail(err, r, "write");
    r = dir_put_copy(p, err);
    if (r < 0)
        return r;
    r = dir_put_stamp(p);
    if (r < 0)
        return dir_fail(err, r, "set time and attributes");
    if (fsync(p->temp.fd) != 0)
        return dir_fail(err, -errno, "sync");
    return 0;
}

/* Gives the file its name where nothing has it. */
static int dir_put_link(const struct dir_temp *t, int parent, const char *name)
{
    if (renameat2(t->folder, t->name, parent, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (linkat(t->folder, t->name, parent, name, 0) != 0) /* NFS knows only this way */
        return -errno;
    (void)unlinkat(t->folder, t->name, 0);
    return 0;
}

static int dir_put_rename(const struct dir_put *p, int parent, const char *name)
{
    const struct dir_temp *t = &p->temp;
    if (dir_put_is_absent(p))
        return dir_put_link(t, parent, name);
    return renameat(t->folder, t->name, parent, name) == 0 ? 0 : -errno;
}

/* The same; an empty directory is no object and makes room. The kernel's code, where -EISDIR stands
 * for a directory that is not empty. */
static int dir_put_name(const struct dir_put *p, int parent, const char *name)
{
    int r = dir_put_rename(p, parent, name);
    if (r != -EISDIR && r != -EEXIST)
        return r;
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
        return errno == ENOTDIR ? r : -EISDIR;
    return dir_put_rename(p, parent, name);
}

/* Compares and takes the name in one step. -ENOENT and -EXDEV are left to the caller. */
static int dir_put_take(struct dir_put *p, int parent, const char *name, struct err *err)
{
    CLEANUP(closep) int lock = dir_hidden_lock(p->d, p->key, err);
    if (lock < 0)
        return TAKE_FD(lock);
    const char *if_match = p->put->if_match;
    if (if_match && *if_match) {
        int r = dir_object_match(p->d, parent, name, if_match, err);
        if (r < 0)
            return r;
    }
    int r = dir_put_name(p, parent, name);
    if (r == -EEXIST)
        return err_set(err, r, "the key exists");
    if (r < 0)
        return r == -ENOENT || r == -EXDEV ? r : dir_fail(err, r, "rename");
    p->temp.name[0] = '\0';
    return 0;
}

/* Makes the file an object. -EXDEV when it is on another file system. */
static int dir_put_publish(struct dir_put *p, struct err *err)
{
    for (int i = 0; i < DIR_PUT_TRIES_MAX; i++) {
        const char *name = NULL;
        CLEANUP(closep) int parent = dir_walk_make(p->d->root, p->path, &name);
        if (parent == -ENOENT)
            continue;
        if (parent < 0)
            return dir_fail(err, parent, "make the directory");
        int r = dir_put_take(p, parent, name, err);
        if (r == -ENOENT)
            continue; /* a del found the directory empty in between */
        if (r < 0)
            return r;
        r = dir_walk_sync(parent);
        return r < 0 ? dir_fail(err, r, "sync the directory") : 0;
    }
    return err_set(err, -ENOENT, "its directory was removed %d times", DIR_PUT_TRIES_MAX);
}

/* Fails before the copy what would fail after it. */
static int dir_put_expect(const struct dir_put *p, struct err *err)
{
    if (!p->put->if_match)
        return 0;
    const char *name = NULL;
    CLEANUP(closep) int parent = dir_walk_parent(p->d->root, p->path, &name);
    if (!dir_put_is_absent(p))
        return dir_object_match(p->d, parent, name, p->put->if_match, err);
    char file[PATH_MAX];
    struct stat st;
    if (parent >= 0 && dir_object_find(p->d, parent, name, file, &st) == 0)
        return err_set(err, -EEXIST, "the key exists");
    return 0;
}

static int dir_put_try(struct dir_put *p, bool beside, struct err *err)
{
    const char *name = NULL;
    CLEANUP(closep) int parent = -1;
    if (beside) {
        parent = dir_walk_make(p->d->root, p->path, &name);
        if (parent < 0)
            return dir_fail(err, parent, "make the directory");
    }
    int r = dir_hidden_temp(p->d, parent, &p->temp);
    if (r < 0)
        return dir_fail(err, r, "make a temporary file");
    r = dir_put_fill(p, err);
    return r < 0 ? r : dir_put_publish(p, err);
}

/* `beside`: by way of a temporary file in the object's own directory. */
static int dir_put_once(struct dir_put *p, bool beside, struct err *err)
{
    p->temp = DIR_TEMP_INIT;
    int r = dir_put_try(p, beside, err);
    dir_hidden_temp_fini(&p->temp);
    return r;
}

int dir_put(struct store *st, const char *key, const struct store_body *body,
            const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    char path[DIR_PATH_SIZE];
    struct dir_put p = {.d = dir_of(st), .key = key, .path = path, .body = body, .put = put};
    atomic_fetch_add(&p.d->puts, 1);
    int r = dir_begin_write(p.d, key, path, err);
    if (r == 0 && put->write_id && !dir_object_is_write_id(put->write_id))
        r = err_set(err, -EINVAL, "a write id has 32 hex digits");
    if (r == 0)
        r = dir_put_expect(&p, err);
    if (r == 0)
        r = dir_put_once(&p, false, err);
    if (r == -EXDEV)
        r = dir_put_once(&p, true, err);
    if (r == -EXDEV)
        r = dir_fail(err, r, "rename");
    if (r == -ENOENT) /* of a directory on the way */
        r = dir_gone(p.d) ? err_set(err, -ENXIO, "the directory of the store is gone") : -EAGAIN;
    if (r < 0)
        return err_prefix(err, r, "put %s", key);
    atomic_fetch_add(&p.d->bytes_out, p.stat.size);
    if (ret_stat)
        *ret_stat = p.stat;
    return 0;
}
