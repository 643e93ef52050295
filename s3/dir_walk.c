#include "s3/dir_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* O_NOFOLLOW in every step is what keeps a key below the directory: names are never dots
 * (dir_path.h), so only a link could lead out. */
static int dir_walk_step(int at, const char *name, int flags)
{
    int fd = openat(at, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* The same, and makes the directory when it is not there. */
static int dir_walk_step_make(int at, const char *name)
{
    int fd = dir_walk_step(at, name, O_PATH);
    if (fd != -ENOENT)
        return fd;
    if (mkdirat(at, name, 0777) != 0 && errno != EEXIST)
        return -errno;
    int r = dir_walk_sync(at);
    return r < 0 ? r : dir_walk_step(at, name, O_PATH);
}

/* Opens the directory named by path[0..len). */
static int dir_walk(int root, const char *path, size_t len, bool make)
{
    CLEANUP(closep) int at = dir_walk_step(root, ".", O_PATH);
    const char *end = path + len;
    while (at >= 0 && path < end) {
        char name[DIR_PATH_NAME_MAX + 1];
        size_t n = strcspn(path, "/");
        assert(n < sizeof(name));
        memcpy(name, path, n);
        name[n] = '\0';
        path += n + 1;
        int next = make ? dir_walk_step_make(at, name) : dir_walk_step(at, name, O_PATH);
        closep(&at);
        at = next;
    }
    return TAKE_FD(at);
}

/* Where the last name of a path begins. */
static const char *dir_walk_last(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int dir_walk_parent(int root, const char *path, const char **ret_name)
{
    *ret_name = dir_walk_last(path);
    return dir_walk(root, path, (size_t)(*ret_name - path), false);
}

int dir_walk_make(int root, const char *path, const char **ret_name)
{
    *ret_name = dir_walk_last(path);
    return dir_walk(root, path, (size_t)(*ret_name - path), true);
}

int dir_walk_open(int root, const char *path, int flags)
{
    const char *name = NULL;
    CLEANUP(closep) int parent = dir_walk_parent(root, path, &name);
    if (parent < 0)
        return TAKE_FD(parent);
    return dir_walk_step(parent, *name ? name : ".", flags);
}

int dir_walk_sync(int dirfd)
{
    CLEANUP(closep) int fd = dir_walk_step(dirfd, ".", O_RDONLY);
    if (fd < 0)
        return TAKE_FD(fd);
    /* EINVAL: a file system whose directories need no sync. */
    return fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
}
