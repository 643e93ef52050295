#include "ops/remove.h"

#include "base/buf.h"
#include "base/entries.h"
#include "matrix/name.h"
#include "ops/matdir.h"
#include "ops/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    REMOVE_NAMES_MAX = 1 << 30, /* bytes of names of one matrix */
    REMOVE_TRIES = 5,           /* while others store */
};

/* What is in the way of a directory's removal. Names are gathered before the first one is deleted,
 * for a listing under way need not show what else changes. */
struct remove {
    char *path;          /* without slashes at its end */
    bool dry_run;        /* only count */
    bool remains;        /* it need be no matrix any more */
    struct watch *watch; /* borrowed, or NULL */
    int fd;              /* the directory */
    struct buf blocks;   /* names, each with its NUL */
    struct buf scratch;  /* the same */
    char other[256];     /* a name that no matrix has, or "" */
};

#define REMOVE_INIT(only_count, watcher)                   \
    ((struct remove){.dry_run = (only_count),              \
                     .watch = (watcher),                   \
                     .fd = -1,                             \
                     .blocks = BUF_INIT(REMOVE_NAMES_MAX), \
                     .scratch = BUF_INIT(REMOVE_NAMES_MAX)})

static void remove_fini(struct remove *rm)
{
    free(rm->path);
    closep(&rm->fd);
    buf_fini(&rm->blocks);
    buf_fini(&rm->scratch);
}

static bool remove_is_block(const char *name)
{
    struct name_block b;
    return name_file_parse(name, &b) == 0 && b.view == NAME_OBJECT && !b.npy_suffix;
}

static int remove_see(void *arg, const struct dirent *e)
{
    struct remove *rm = arg;
    size_t size = strlen(e->d_name) + 1;
    if (strcmp(e->d_name, "header.json") == 0)
        return 0;
    if (remove_is_block(e->d_name))
        return buf_append(&rm->blocks, e->d_name, size);
    if (publish_is_scratch(e->d_name))
        return buf_append(&rm->scratch, e->d_name, size);
    (void)snprintf(rm->other, sizeof(rm->other), "%s", e->d_name);
    return 0;
}

static int remove_open(const char *path, struct remove *rm, struct err *err)
{
    struct matdir_id id = {0};
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    rm->path = strndup(path, len);
    if (!rm->path)
        return err_set(err, -ENOMEM, "out of memory");
    int r = rm->remains ? 0 : matdir_identify(rm->path, &id, err);
    matdir_id_fini(&id);
    if (r < 0)
        return r;
    rm->fd = open(rm->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rm->fd < 0)
        return err_errno(err, -errno, "%s", path);
    r = entries_each(rm->fd, remove_see, rm);
    return r < 0 ? err_errno(err, r, "%s: cannot list the directory", path) : 0;
}

/* Somebody else may delete at the same time: what is gone is gone. Returns whether it was there. */
static int remove_name(const struct remove *rm, const char *name, uint64_t *bytes)
{
    struct stat st;
    bool there = fstatat(rm->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!rm->dry_run && unlinkat(rm->fd, name, 0) != 0 && errno != ENOENT)
        return -errno;
    *bytes += there ? (uint64_t)st.st_size : 0;
    return there;
}

/* A list of names; adds up those that were there. */
static int remove_names(const struct remove *rm, const struct buf *names, int64_t *count,
                        uint64_t *bytes, struct err *err)
{
    for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
        int r = remove_name(rm, names->data + at, bytes);
        if (r < 0)
            return err_errno(err, r, "%s: cannot remove %s", rm->path, names->data + at);
        *count += r;
        watch_done(rm->watch, 1);
    }
    return 0;
}

static int remove_all_blocks(const struct remove *rm, struct remove_count *ret, struct err *err)
{
    int64_t n = 0;
    for (size_t at = 0; at < rm->blocks.len; at += strlen(rm->blocks.data + at) + 1)
        n++;
    watch_steps(rm->watch, n);
    return remove_names(rm, &rm->blocks, &ret->blocks, &ret->bytes, err);
}

/* What is left when the blocks are gone. The header goes last, so that a matrix whose removal was
 * cut short is still one. */
static int remove_rest(const struct remove *rm, struct remove_count *ret, struct err *err)
{
    uint64_t bytes = 0;
    int r = remove_names(rm, &rm->scratch, &ret->scratch, &bytes, err);
    if (r < 0 || rm->dry_run)
        return r;
    if (unlinkat(rm->fd, "header.json", 0) != 0 && errno != ENOENT)
        return err_errno(err, -errno, "%s: cannot remove header.json", rm->path);
    if (rmdir(rm->path) != 0 && errno != ENOENT)
        return err_errno(err, -errno, "%s: cannot remove the directory", rm->path);
    return 0;
}

/* Whether a directory can be removed as a whole. */
static int remove_check(const struct remove *rm, struct err *err)
{
    struct stat st;
    if (lstat(rm->path, &st) == 0 && S_ISLNK(st.st_mode))
        return err_set(err, -EINVAL, "%s: a symbolic link; name the matrix itself", rm->path);
    if (!rm->other[0])
        return 0;
    (void)err_set(err, -EINVAL, "%s: it holds what belongs to no matrix ('%s')", rm->path,
                  rm->other);
    if (!rm->remains)
        err_hint(err, "bm free removes the blocks only");
    return -EINVAL;
}

static int remove_run(const char *path, bool whole, struct remove *rm, struct remove_count *ret,
                      struct err *err)
{
    *ret = (struct remove_count){0};
    int r = remove_open(path, rm, err);
    if (r == 0 && whole)
        r = remove_check(rm, err);
    if (r == 0)
        r = remove_all_blocks(rm, ret, err);
    if (r == 0 && whole)
        r = remove_rest(rm, ret, err);
    remove_fini(rm);
    return r;
}

int remove_blocks(const char *path, bool dry_run, struct watch *watch, struct remove_count *ret,
                  struct err *err)
{
    struct remove rm = REMOVE_INIT(dry_run, watch);
    return remove_run(path, false, &rm, ret, err);
}

int remove_matrix(const char *path, bool dry_run, struct watch *watch, struct remove_count *ret,
                  struct err *err)
{
    struct remove rm = REMOVE_INIT(dry_run, watch);
    return remove_run(path, true, &rm, ret, err);
}

int remove_remains(const char *path, struct err *err)
{
    int r = -ENOTEMPTY;
    for (int i = 0; i < REMOVE_TRIES && (r == -ENOTEMPTY || r == -EEXIST); i++) {
        struct remove_count ignored;
        struct remove rm = REMOVE_INIT(false, NULL);
        rm.remains = true;
        r = remove_run(path, true, &rm, &ignored, err);
    }
    if (r < 0 && r != -ENOENT)
        return r;
    err_clear(err);
    return 0;
}
