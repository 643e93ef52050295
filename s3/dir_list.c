#include "s3/dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A listing walks the tree depth first. Within one directory names are visited in the order of
 * "part" for files and "part/" for directories: all keys of a directory start with the latter, so
 * that this order is the order of the keys. The levels are a list, not a recursion, for a key may
 * have a thousand of them; only the lowest holds a descriptor. */

struct dir_list_level {
    struct dir_list_level *up;
    int fd;          /* the directory (O_PATH), -1 while a lower level is open */
    size_t key_len;  /* of what its keys start with: 0, or it ends in '/' */
    size_t path_len; /* of its path */
    struct dir_names names;
    size_t next; /* index of the next name */
};

struct dir_list {
    struct dir *d;
    const struct store_list *want;
    store_list_fn *fn;
    void *arg;
    size_t prefix_len;
    struct dir_list_level *level;   /* the lowest; owned, as those above it */
    size_t key_len;                 /* of the directory in `key` */
    char key[STORE_KEY_MAX + 1];    /* that directory, then the name that is visited */
    char path[DIR_PATH_SIZE];       /* of that directory */
    char folded[STORE_KEY_MAX + 1]; /* the last common prefix */
};

static bool dir_list_is_dir(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[len - 1] == '/';
}

/* Makes `name` the one that is visited. False when no key is that long, or empty. */
static bool dir_list_visit(struct dir_list *l, const char *name)
{
    size_t len = strlen(name);
    if (l->key_len + len == 0 || l->key_len + len > STORE_KEY_MAX)
        return false;
    memcpy(l->key + l->key_len, name, len + 1);
    return true;
}

/* Forgets early what the listing will not visit. */
static bool dir_list_wants(void *arg, const char *name)
{
    struct dir_list *l = arg;
    if (!dir_list_visit(l, name) || strncmp(l->key, l->want->prefix, l->prefix_len) != 0)
        return false;
    const char *start = l->want->start_after;
    if (!start || strcmp(l->key, start) > 0)
        return true;
    return dir_list_is_dir(name) && strncmp(l->key, start, strlen(l->key)) == 0;
}

/* What was named a moment ago and is not there now is passed over. */
static int dir_list_missing(const struct dir_list *l, int raw, struct err *err)
{
    int r = dir_missing(l->d, raw, err);
    return r == -ENOENT ? 0 : r;
}

/* Goes down into the directory that `key` and `path` say. One that is not there (any more) has no
 * keys. */
static int dir_list_push(struct dir_list *l, struct err *err)
{
    CLEANUP(closep) int fd = dir_walk_open(l->d->root, l->path, O_PATH);
    struct dir_names names;
    int r = fd < 0 ? fd : dir_scan(fd, dir_list_wants, l, &names);
    if (r == -EMSGSIZE)
        return err_set(err, -EIO, "directory %s: too many names", l->path);
    if (r < 0)
        return dir_list_missing(l, r, err);
    struct dir_list_level *level = calloc(1, sizeof(*level));
    if (!level) {
        dir_scan_fini(&names);
        return dir_fail(err, -ENOMEM, "list");
    }
    if (l->level) {
        closep(&l->level->fd);
        l->level->fd = -1;
    }
    *level = (struct dir_list_level){
        .up = l->level,
        .fd = TAKE_FD(fd),
        .key_len = l->key_len,
        .path_len = strlen(l->path),
        .names = names,
    };
    l->level = level;
    return 0;
}

static void dir_list_pop(struct dir_list *l)
{
    struct dir_list_level *level = l->level;
    l->level = level->up;
    closep(&level->fd);
    dir_scan_fini(&level->names);
    free(level);
}

static void dir_list_fini(struct dir_list *l)
{
    while (l->level)
        dir_list_pop(l);
}

/* Delivers the first `len` bytes of `key` as a common prefix. */
static int dir_list_common(struct dir_list *l, size_t len)
{
    memcpy(l->folded, l->key, len);
    l->folded[len] = '\0';
    if (l->want->start_after && strcmp(l->folded, l->want->start_after) <= 0)
        return 0;
    return l->fn(l->arg, l->folded, NULL);
}

/* How much of `key` is a common prefix, 0 if it stands for itself. */
static size_t dir_list_fold(const struct dir_list *l)
{
    if (!l->want->delimiter)
        return 0;
    const char *at = strchr(l->key + l->prefix_len, l->want->delimiter);
    return at ? (size_t)(at - l->key) + 1 : 0;
}

/* True when the common prefix of `len` bytes was dealt with. */
static bool dir_list_is_folded(const struct dir_list *l, size_t len)
{
    return strlen(l->folded) == len && memcmp(l->folded, l->key, len) == 0;
}

/* Looks at the object `path` below the lowest level: a name, or the pieces of a long one. */
static int dir_list_stat(const struct dir_list *l, const char *path, struct stat *ret_st)
{
    char file[PATH_MAX];
    if (!strchr(path, '/'))
        return dir_object_find(l->d, l->level->fd, path, file, ret_st);
    const char *name = NULL;
    CLEANUP(closep) int piece = dir_walk_parent(l->level->fd, path, &name);
    return piece < 0 ? piece : dir_object_find(l->d, piece, name, file, ret_st);
}

static int dir_list_file(struct dir_list *l, const char *path, struct err *err)
{
    size_t fold = dir_list_fold(l);
    if (fold > 0 && dir_list_is_folded(l, fold))
        return 0;
    struct stat st;
    int r = dir_list_stat(l, path, &st);
    if (r < 0)
        return dir_list_missing(l, r, err);
    if (fold > 0)
        return dir_list_common(l, fold);
    struct store_stat stat;
    dir_object_stat(&st, &stat);
    return l->fn(l->arg, l->key, &stat);
}

/* Visits the directory `path` below that of the lowest level. */
static int dir_list_dir(struct dir_list *l, const char *path, struct err *err)
{
    size_t fold = dir_list_fold(l);
    if (fold > 0) {
        if (dir_list_is_folded(l, fold))
            return 0;
        CLEANUP(closep) int fd = dir_walk_open(l->level->fd, path, O_PATH);
        if (fd < 0)
            return dir_list_missing(l, fd, err);
        return dir_scan_any(l->d, fd) ? dir_list_common(l, fold) : 0;
    }
    size_t len = strlen(l->path);
    if (len > 0)
        l->path[len++] = '/';
    memcpy(l->path + len, path, strlen(path) + 1);
    l->key_len = strlen(l->key);
    return dir_list_push(l, err);
}

/* Visits the next name of the lowest level. */
static int dir_list_step(struct dir_list *l, struct err *err)
{
    struct dir_list_level *level = l->level;
    if (level->next == level->names.entries) {
        dir_list_pop(l);
        return 0;
    }
    const char *name = level->names.entry[level->next++];
    bool is_dir = dir_list_is_dir(name);
    l->key_len = level->key_len;
    l->path[level->path_len] = '\0';
    (void)dir_list_visit(l, name);
    if (level->fd < 0)
        level->fd = dir_walk_open(l->d->root, l->path, O_PATH);
    if (level->fd < 0)
        return dir_list_missing(l, level->fd, err);
    char path[DIR_PATH_SIZE];
    size_t len = dir_path_encode(name, strlen(name) - is_dir, path);
    path[len] = '\0';
    return is_dir ? dir_list_dir(l, path, err) : dir_list_file(l, path, err);
}

static int dir_list_all(struct dir_list *l, struct err *err)
{
    const char *prefix = l->want->prefix;
    const char *slash = strrchr(prefix, '/');
    l->prefix_len = strlen(prefix);
    l->key_len = slash ? (size_t)(slash - prefix) + 1 : 0;
    if (l->prefix_len > STORE_KEY_MAX)
        return 0;
    memcpy(l->key, prefix, l->key_len);
    dir_path_from_prefix(prefix, l->key_len, l->path);
    int r = dir_list_push(l, err);
    while (r == 0 && l->level) {
        r = dir_alive(l->d, err);
        if (r == 0)
            r = dir_list_step(l, err);
    }
    return r;
}

int dir_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
             struct err *err)
{
    CLEANUP(dir_list_fini)
    struct dir_list l = {.d = dir_of(st), .want = list, .fn = fn, .arg = arg};
    atomic_fetch_add(&l.d->lists, 1);
    int r = dir_alive(l.d, err);
    if (r == 0 && dir_gone(l.d)) /* reads as an empty one */
        r = dir_missing(l.d, -ENOENT, err);
    if (r == 0)
        r = dir_list_all(&l, err);
    return r < 0 ? err_prefix(err, r, "list %s", list->prefix) : r;
}
