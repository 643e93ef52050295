#include "s3/dir_impl.h"

#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define DIR_HIDDEN_TEMP DIR_PATH_HIDDEN "/tmp"
#define DIR_HIDDEN_LOCK DIR_PATH_HIDDEN "/lock"

enum {
    DIR_HIDDEN_RANDOM_SIZE = 33,
    DIR_HIDDEN_LOCKS = 64,
    DIR_HIDDEN_LOCK_MS_MAX = 30000,     /* the longest wait for a lock */
    DIR_HIDDEN_PAUSE_NS_MAX = 16000000, /* between two looks at a lock */
    DIR_HIDDEN_AGE_S = 3600,            /* a younger temporary file is never swept */
    DIR_HIDDEN_SWEEP_MAX = 10000,       /* names looked at in one sweep */
};

/* Makes a directory with the rights of the store's own, whatever the umask: whoever may write the
 * one may put, and so needs the other. */
static int dir_hidden_make(const struct dir *d, int at, const char *name)
{
    struct stat st;
    if (fstat(d->root, &st) != 0)
        return -errno;
    if (mkdirat(at, name, 0777) != 0)
        return errno == EEXIST ? 0 : -errno;
    (void)fchmodat(at, name, st.st_mode & 07777, 0); /* some file systems have but one mode */
    return 0;
}

/* Opens a folder of the hidden one, made if need be. */
static int dir_hidden_open(const struct dir *d, const char *path)
{
    int fd = dir_walk_open(d->root, path, O_PATH);
    if (fd != -ENOENT)
        return fd;
    int r = dir_hidden_make(d, d->root, DIR_PATH_HIDDEN);
    if (r < 0)
        return r;
    const char *name = NULL;
    CLEANUP(closep) int parent = dir_walk_parent(d->root, path, &name);
    if (parent < 0)
        return TAKE_FD(parent);
    r = dir_hidden_make(d, parent, name);
    return r < 0 ? r : dir_walk_open(d->root, path, O_PATH);
}

int dir_hidden_temp(const struct dir *d, int beside, struct dir_temp *temp)
{
    char hex[DIR_HIDDEN_RANDOM_SIZE];
    int r = random_hex(hex, sizeof(hex));
    if (r < 0)
        return r;
    temp->folder =
        beside < 0 ? dir_hidden_open(d, DIR_HIDDEN_TEMP) : dir_walk_open(beside, "", O_PATH);
    if (temp->folder < 0)
        return temp->folder;
    (void)snprintf(temp->name, sizeof(temp->name), DIR_PATH_HIDDEN "-%s", hex);
    temp->fd = openat(temp->folder, temp->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (temp->fd < 0)
        return -errno;
    /* Tells sweepers that its writer lives; without it they still respect its age. */
    (void)flock(temp->fd, LOCK_SH | LOCK_NB);
    return 0;
}

void dir_hidden_temp_fini(struct dir_temp *temp)
{
    if (temp->fd >= 0 && temp->name[0])
        (void)unlinkat(temp->folder, temp->name, 0);
    closep(&temp->fd);
    closep(&temp->folder);
    *temp = DIR_TEMP_INIT;
}

/* Opens the lock file. Those who may not write it, or not make files in a sticky directory, can
 * lock it all the same on most file systems. */
static int dir_hidden_lock_open(const struct dir *d, const char *name)
{
    CLEANUP(closep) int folder = dir_hidden_open(d, DIR_HIDDEN_LOCK);
    if (folder < 0)
        return TAKE_FD(folder);
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EACCES) {
        fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        errno = EACCES;
    }
    return fd < 0 ? -errno : fd;
}

/* Holders do little under a lock, so that looking again is cheaper than a wait that shutdown could
 * not end. */
static int dir_hidden_lock_wait(const struct dir *d, int fd, struct err *err)
{
    int64_t until_ms = clock_ms() + DIR_HIDDEN_LOCK_MS_MAX;
    struct timespec pause = {.tv_nsec = 100000};
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return dir_fail(err, -errno, "lock");
        int r = dir_alive(d, err);
        if (r < 0)
            return r;
        if (clock_ms() >= until_ms)
            return err_set(err, -EAGAIN, "another process holds the lock of this key");
        (void)nanosleep(&pause, NULL);
        pause.tv_nsec = MIN(2 * pause.tv_nsec, (long)DIR_HIDDEN_PAUSE_NS_MAX);
    }
    return 0;
}

int dir_hidden_lock(const struct dir *d, const char *key, struct err *err)
{
    char name[16];
    uint32_t hash = crc32c(0, key, strlen(key));
    (void)snprintf(name, sizeof(name), "%02x", (unsigned)(hash % DIR_HIDDEN_LOCKS));
    CLEANUP(closep) int fd = dir_hidden_lock_open(d, name);
    if (fd < 0)
        return dir_fail(err, fd, "open the lock file");
    int r = dir_hidden_lock_wait(d, fd, err);
    return r < 0 ? r : TAKE_FD(fd);
}

/* Removes one temporary file if it is old and nobody holds it. */
static void dir_hidden_sweep_one(int folder, const char *name, time_t now)
{
    struct stat st;
    if (strncmp(name, DIR_PATH_HIDDEN, strlen(DIR_PATH_HIDDEN)) != 0 ||
        fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_mtim.tv_sec > now - DIR_HIDDEN_AGE_S)
        return;
    CLEANUP(closep)
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(folder, name, 0);
}

void dir_hidden_sweep(const struct dir *d)
{
    int fd = dir_walk_open(d->root, DIR_HIDDEN_TEMP, O_RDONLY);
    if (fd < 0)
        return;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        closep(&fd);
        return;
    }
    time_t now = time(NULL);
    const struct dirent *e;
    for (int i = 0; i < DIR_HIDDEN_SWEEP_MAX && (e = dir_scan_next(stream)) != NULL; i++)
        dir_hidden_sweep_one(fd, e->d_name, now);
    (void)closedir(stream);
}
