#include "fs/cache_dir.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    CACHE_DIR_FILES_MAX = 200000, /* versions kept at most: bounds the scan of an eviction */
    CACHE_DIR_START_MS = 60000,   /* how long a mount that starts waits for the folder's lock */
    CACHE_DIR_EVICT_MS = 3000,    /* and whoever needs room: the mount's users wait with it */
    CACHE_DIR_LOOK_US = 2000,
};

#define CACHE_DIR_SIZE_DEFAULT (20ULL << 30)
#define CACHE_DIR_FREE_MAX     (4ULL << 30)

/* File systems where a cache would send every byte over the network a second time. Numbers that
 * <linux/magic.h> lacks are from the file systems' own sources. */
static bool cache_dir_is_remote(int fd)
{
    static const unsigned long remote[] = {
        NFS_SUPER_MAGIC,
        SMB_SUPER_MAGIC,
        SMB2_SUPER_MAGIC,
        CIFS_SUPER_MAGIC,
        V9FS_MAGIC,
        AFS_SUPER_MAGIC,
        AFS_FS_MAGIC,
        CODA_SUPER_MAGIC,
        CEPH_SUPER_MAGIC,
        FUSE_SUPER_MAGIC,
        0x0bd00bd0UL /* Lustre */,
        0x47504653UL /* GPFS */,
        0x19830326UL /* BeeGFS */,
        0x01161970UL /* GFS2 */,
        0x7461636fUL /* OCFS2 */,
    };
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(remote); i++) {
        if ((unsigned long)fs.f_type == remote[i])
            return true;
    }
    return false;
}

/* How the last part of a path may be followed. In a folder such as /var/tmp anybody could have laid
 * a link there; nobody but its owner can exchange one that is ours. */
static int cache_dir_follow(const char *path)
{
    struct stat st;
    bool ours = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && st.st_uid == geteuid();
    return ours ? 0 : O_NOFOLLOW;
}

int cache_dir_open(const char *path, int *ret_fd, struct err *err)
{
    struct stat st;
    CLEANUP(closep)
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | cache_dir_follow(path));
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR) && lstat(path, &st) == 0 &&
        S_ISLNK(st.st_mode))
        return err_set(err, -EACCES, "cache folder %s is another user's symbolic link", path);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, -errno, "cache folder %s", path);
    if (st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        (void)err_set(err, -EACCES, "cache folder %s belongs to another user or is open to others",
                      path);
        err_hint(err, "name a folder of your own with --cache-dir, or: chmod 700 %s", path);
        return -EACCES;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int cache_dir_make(const char *path, bool any_fs, int *ret_fd, struct err *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        int r = err_errno(err, -errno, "cannot make the cache folder %s", path);
        err_hint(err, "name another folder with --cache-dir");
        return r;
    }
    CLEANUP(closep) int fd = -1;
    int r = cache_dir_open(path, &fd, err);
    if (r < 0)
        return r;
    if (!any_fs && cache_dir_is_remote(fd)) {
        (void)err_set(err, -EMEDIUMTYPE, "%s is on a network file system", path);
        err_hint(err, "name a folder on a local disk with --cache-dir");
        return -EMEDIUMTYPE;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int cache_dir_tag(int dir_fd)
{
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                               "# This folder is a cache of bmfs; deleting it loses nothing but\n"
                               "# time, except DIR/lost, where writes that failed are kept.\n";
    CLEANUP(closep)
    int fd = openat(dir_fd, "CACHEDIR.TAG", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    return write_full(fd, text, sizeof(text) - 1);
}

int cache_dir_sub(int dir_fd, const char *name, int *ret_fd)
{
    if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

/* A walk over the entries of one folder. */
static DIR *cache_dir_list(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int code = errno;
    if (!d)
        closep(&fd);
    errno = code;
    return d;
}

static struct dirent *cache_dir_next(DIR *d)
{
    for (;;) {
        struct dirent *e = readdir(d); // NOLINT(concurrency-mt-unsafe): d is this thread's own
        if (!e || (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0))
            return e;
    }
}

void cache_dir_drop_mount(int dir_fd, const struct cache_dir_salvage *salvage, const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "mounts/%s", id);
    DIR *d = cache_dir_list(dir_fd, path);
    if (!d)
        return;
    if (salvage->fn && !salvage->fn(salvage->arg, dir_fd, dirfd(d))) {
        (void)closedir(d);
        return;
    }
    bool empty = true;
    errno = 0;
    for (struct dirent *e = cache_dir_next(d); e; e = cache_dir_next(d)) {
        if (strcmp(e->d_name, "lock") != 0)
            empty = (unlinkat(dirfd(d), e->d_name, 0) == 0 || errno == ENOENT) && empty;
        errno = 0;
    }
    if (empty && errno == 0)
        (void)unlinkat(dirfd(d), "lock", 0); /* last: until here the folder is recognisably ours */
    (void)closedir(d);
    (void)unlinkat(dir_fd, path, AT_REMOVEDIR);
}

/* Opens and locks mounts/<id>/lock. -EWOULDBLOCK: its mount lives. */
static int cache_dir_lock_mount(int mount_fd, int flags)
{
    CLEANUP(closep) int fd = openat(mount_fd, "lock", O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* True for exactly so many lower-case hex digits. The folder may be one that holds other things,
 * too: nothing is ever removed that does not bear a name which only this file gives. */
static bool cache_dir_is_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

/* Returns how many others live. The caller has the whole folder locked. */
static int cache_dir_drop_dead_mounts(int dir_fd, const struct cache_dir_salvage *salvage)
{
    int alive = 0;
    DIR *d = cache_dir_list(dir_fd, "mounts");
    if (!d)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *e = cache_dir_next(d); e; e = cache_dir_next(d)) {
        CLEANUP(closep)
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (!cache_dir_is_hex(e->d_name, CACHE_DIR_MOUNT_DIGITS))
            continue;
        if (fd < 0) {
            log_warn("cache", "mounts/%s: %s; what a mount may have left there waits for the next",
                     e->d_name, errno_text(errno));
            continue;
        }
        CLEANUP(closep) int lock = cache_dir_lock_mount(fd, 0);
        if (lock >= 0)
            cache_dir_drop_mount(dir_fd, salvage, e->d_name);
        else if (lock == -ENOENT) /* it died before it made its lock, or while it was removed */
            (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        alive += lock == -EWOULDBLOCK;
    }
    (void)closedir(d);
    return alive;
}

/* Waits for the lock on the whole folder, but not for ever: who has it may have been stopped. A
 * descriptor, -EBUSY, or another -errno. */
static int cache_dir_lock_all(int dir_fd, int64_t wait_ms)
{
    CLEANUP(closep) int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int64_t until_ms = clock_ms() + wait_ms;
    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (clock_ms() >= until_ms)
            return -EBUSY;
        (void)usleep(CACHE_DIR_LOOK_US);
    }
    return TAKE_FD(fd);
}

int cache_dir_clear_mounts(int dir_fd, const struct cache_dir_salvage *salvage)
{
    CLEANUP(closep) int all = cache_dir_lock_all(dir_fd, CACHE_DIR_START_MS);
    return all < 0 ? all : cache_dir_drop_dead_mounts(dir_fd, salvage);
}

int cache_dir_claim_mount(int dir_fd, const struct cache_dir_salvage *salvage, char *ret_id,
                          int *ret_fd, int *ret_lock_fd)
{
    CLEANUP(closep) int mounts = -1;
    CLEANUP(closep) int fd = -1;
    /* A mount that starts makes its folder and its lock in two steps; the lock on the whole
     * folder keeps others from taking the folder in between for a dead one's. */
    CLEANUP(closep) int all = cache_dir_lock_all(dir_fd, CACHE_DIR_START_MS);
    if (all < 0)
        return all;
    int alive = cache_dir_drop_dead_mounts(dir_fd, salvage);
    int r = alive < 0 ? alive : random_hex(ret_id, CACHE_DIR_MOUNT_DIGITS + 1);
    if (r < 0)
        return r;
    r = cache_dir_sub(dir_fd, "mounts", &mounts);
    if (r == 0)
        r = cache_dir_sub(mounts, ret_id, &fd);
    if (r < 0)
        return r;
    int lock = cache_dir_lock_mount(fd, O_CREAT);
    if (lock < 0)
        return lock;
    *ret_fd = TAKE_FD(fd);
    *ret_lock_fd = lock;
    return alive;
}

uint64_t cache_dir_free(int dir_fd)
{
    struct statvfs fs;
    if (fstatvfs(dir_fd, &fs) < 0)
        return 0;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void cache_dir_limits(int dir_fd, uint64_t used, uint64_t *size_max, uint64_t *free_min)
{
    struct statvfs fs;
    uint64_t total = 0;
    if (fstatvfs(dir_fd, &fs) == 0)
        total = (uint64_t)fs.f_blocks * fs.f_frsize;
    if (*size_max == 0)
        *size_max = MIN(CACHE_DIR_SIZE_DEFAULT, (cache_dir_free(dir_fd) + used) / 2);
    if (*free_min == 0)
        *free_min = MIN(CACHE_DIR_FREE_MAX, total / 20);
}

struct cache_dir_file {
    char fan[8];
    char name[80];
    int64_t used_ns; /* when it was last opened */
    uint64_t bytes;
};

struct cache_dir_scan {
    struct cache_dir_file *file; /* owned: the versions, if they are to be kept */
    size_t files, cap;
    uint64_t bytes; /* of everything that was seen */
};

/* "3fa", "<rest of the id>.<crc32c>". */
static bool cache_dir_is_version(const char *fan, const char *name)
{
    char rest[CACHE_DIR_ID_DIGITS - CACHE_DIR_FAN_DIGITS + 1];
    size_t len = sizeof(rest) - 1;
    if (!cache_dir_is_hex(fan, CACHE_DIR_FAN_DIGITS) || strlen(name) <= len || name[len] != '.')
        return false;
    memcpy(rest, name, len);
    rest[len] = '\0';
    return cache_dir_is_hex(rest, len) && cache_dir_is_hex(name + len + 1, 8);
}

static void cache_dir_scan_file(struct cache_dir_scan *scan, DIR *d, const char *fan,
                                const char *name, bool keep)
{
    struct stat st;
    if (fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        strcmp(name, "lock") == 0)
        return;
    uint64_t bytes = (uint64_t)st.st_blocks * 512;
    scan->bytes += bytes;
    if (!keep || !cache_dir_is_version(fan, name))
        return;
    if (scan->files == scan->cap) {
        size_t cap = MAX(scan->cap * 2, (size_t)1024);
        struct cache_dir_file *file = realloc(scan->file, cap * sizeof(*file));
        if (!file)
            return; /* what is not listed is not evicted this time */
        scan->file = file;
        scan->cap = cap;
    }
    struct cache_dir_file *f = &scan->file[scan->files++];
    (void)snprintf(f->fan, sizeof(f->fan), "%.7s", fan);
    (void)snprintf(f->name, sizeof(f->name), "%s", name);
    f->used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    f->bytes = bytes;
}

/* Counts the files of one folder; with `keep`, those that are versions are noted. */
static void cache_dir_scan_folder(struct cache_dir_scan *scan, int parent_fd, const char *name,
                                  bool keep)
{
    DIR *d = cache_dir_list(parent_fd, name);
    if (!d)
        return;
    for (struct dirent *f = cache_dir_next(d); f; f = cache_dir_next(d))
        cache_dir_scan_file(scan, d, name, f->d_name, keep);
    (void)closedir(d);
}

static void cache_dir_scan_objects(struct cache_dir_scan *scan, int dir_fd, bool keep)
{
    DIR *top = cache_dir_list(dir_fd, "objects");
    if (!top)
        return;
    for (struct dirent *e = cache_dir_next(top); e; e = cache_dir_next(top))
        cache_dir_scan_folder(scan, dirfd(top), e->d_name, keep);
    (void)closedir(top);
}

/* What a mount says that it has reserved: the first bytes of its lock, which it has mapped. */
static uint64_t cache_dir_reserved(int mounts_fd, const char *id)
{
    char path[CACHE_DIR_MOUNT_DIGITS + 8];
    uint64_t bytes = 0;
    if (!cache_dir_is_hex(id, CACHE_DIR_MOUNT_DIGITS))
        return 0;
    (void)snprintf(path, sizeof(path), "%s/lock", id);
    CLEANUP(closep) int fd = openat(mounts_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && pread_full(fd, &bytes, sizeof(bytes), 0) == 0 ? bytes : 0;
}

/* Counts the private files of all mounts but `skip` (NULL: none), or what is reserved for them. */
static void cache_dir_scan_mounts(struct cache_dir_scan *scan, int dir_fd, const char *skip)
{
    DIR *top = cache_dir_list(dir_fd, "mounts");
    if (!top)
        return;
    for (struct dirent *e = cache_dir_next(top); e; e = cache_dir_next(top)) {
        struct cache_dir_scan one = {0};
        if (skip && strcmp(e->d_name, skip) == 0)
            continue;
        cache_dir_scan_folder(&one, dirfd(top), e->d_name, false);
        scan->bytes += MAX(one.bytes, cache_dir_reserved(dirfd(top), e->d_name));
    }
    (void)closedir(top);
}

uint64_t cache_dir_usage(int dir_fd)
{
    struct cache_dir_scan scan = {0};
    cache_dir_scan_objects(&scan, dir_fd, false);
    cache_dir_scan_mounts(&scan, dir_fd, NULL);
    cache_dir_scan_folder(&scan, dir_fd, "lost", false);
    return scan.bytes;
}

static int cache_dir_by_use(const void *a, const void *b)
{
    const struct cache_dir_file *x = a;
    const struct cache_dir_file *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

/* Unlinks one version unless some process has it open (they hold a shared lock). */
static bool cache_dir_unlink(int dir_fd, const struct cache_dir_file *f)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "objects/%s/%s", f->fan, f->name);
    CLEANUP(closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    return unlinkat(dir_fd, path, 0) == 0;
}

uint64_t cache_dir_evict(int dir_fd, const struct cache_dir_goal *goal)
{
    CLEANUP(closep) int lock = cache_dir_lock_all(dir_fd, CACHE_DIR_EVICT_MS);
    if (lock < 0)
        return cache_dir_usage(dir_fd);
    struct cache_dir_scan scan = {0};
    cache_dir_scan_objects(&scan, dir_fd, true);
    size_t files = scan.files;
    cache_dir_scan_mounts(&scan, dir_fd, goal->mount_id);
    cache_dir_scan_folder(&scan, dir_fd, "lost", false);
    if (files > 0)
        qsort(scan.file, files, sizeof(*scan.file), cache_dir_by_use);
    size_t left = files;
    /* A little more than asked for, so that the next few requests need no scan of their own. */
    uint64_t used_goal = goal->used_max - goal->used_max / 16;
    for (size_t i = 0; i < files; i++) {
        if (scan.bytes <= used_goal && left <= CACHE_DIR_FILES_MAX &&
            cache_dir_free(dir_fd) >= goal->free_min)
            break;
        if (cache_dir_unlink(dir_fd, &scan.file[i])) {
            scan.bytes -= MIN(scan.bytes, scan.file[i].bytes);
            left--;
        }
    }
    free(scan.file);
    return scan.bytes;
}
