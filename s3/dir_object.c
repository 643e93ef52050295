#include "s3/dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* "1 SIZE MTIME_NS CRC32C WRITE_ID", the last two "-" when there is none. */
#define DIR_OBJECT_XATTR "user.bmfs.put"
#define DIR_OBJECT_HEX   "0123456789abcdefABCDEF"

enum {
    DIR_OBJECT_STAMP_SIZE = 64,  /* "1 SIZE MTIME_NS " */
    DIR_OBJECT_XATTR_SIZE = 128, /* all of it */
    DIR_OBJECT_CRC_DIGITS = 8,
    DIR_OBJECT_ID_DIGITS = STORE_WRITE_ID_SIZE - 1,
};

/* The target of the link `name`, if a link of this user's or of the directory's owner: whoever else
 * can write here must not make this process read what only this process may. */
static int dir_object_link(const struct dir *d, int parent, const char *name,
                           char ret_file[static PATH_MAX])
{
    struct stat st;
    CLEANUP(closep) int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISLNK(st.st_mode) || (st.st_uid != d->owner && st.st_uid != geteuid()))
        return -ENOENT;
    ssize_t n = readlinkat(fd, "", ret_file, PATH_MAX);
    if (n < 0)
        return -errno;
    if (n == PATH_MAX)
        return -ENAMETOOLONG;
    ret_file[n] = '\0';
    return 0;
}

int dir_object_find(const struct dir *d, int parent, const char *name,
                    char ret_file[static PATH_MAX], struct stat *ret_st)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (S_ISLNK(st.st_mode)) {
        int r = dir_object_link(d, parent, name, ret_file);
        if (r < 0)
            return r;
        if (fstatat(parent, ret_file, &st, 0) != 0)
            return -ENOENT; /* a link that leads nowhere */
    } else {
        (void)snprintf(ret_file, PATH_MAX, "%s", name);
    }
    if (!S_ISREG(st.st_mode))
        return -ENOENT;
    *ret_st = st;
    return 0;
}

void dir_object_stat(const struct stat *st, struct store_stat *ret_stat)
{
    *ret_stat = (struct store_stat){
        .size = (uint64_t)st->st_size,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
    };
    /* Not the time of the inode's change: hard links made later leave the version as it is. */
    (void)snprintf(ret_stat->etag, sizeof(ret_stat->etag), "%jx-%jx-%jx", (uintmax_t)st->st_ino,
                   (uintmax_t)st->st_size, (uintmax_t)ret_stat->mtime_ns);
}

int dir_object_match(const struct dir *d, int parent, const char *name, const char *etag,
                     struct err *err)
{
    char file[PATH_MAX];
    struct stat st = {0};
    struct store_stat stat;
    int r = parent < 0 ? parent : dir_object_find(d, parent, name, file, &st);
    if (r < 0) {
        r = dir_missing(d, r, err);
        return r == -ENOENT ? err_set(err, -ESTALE, "the object is gone") : r;
    }
    dir_object_stat(&st, &stat);
    if (strcmp(stat.etag, etag) != 0)
        return err_set(err, -ESTALE, "the object is another version");
    return 0;
}

/* What the attribute must start with to speak of this version. */
static size_t dir_object_stamp(const struct store_stat *stat,
                               char ret_stamp[static DIR_OBJECT_STAMP_SIZE])
{
    int n = snprintf(ret_stamp, DIR_OBJECT_STAMP_SIZE, "1 %" PRIu64 " %" PRId64 " ", stat->size,
                     stat->mtime_ns);
    return (size_t)n;
}

/* Reads what follows the stamp; what is malformed is as if it were not there. */
static void dir_object_recall(const char *text, struct store_stat *stat)
{
    size_t n = strspn(text, DIR_OBJECT_HEX);
    if (n == DIR_OBJECT_CRC_DIGITS) {
        stat->has_crc32c = true;
        stat->crc32c = (uint32_t)strtoul(text, NULL, 16);
    }
    const char *id = strchr(text, ' ');
    if (id && dir_object_is_write_id(id + 1))
        memcpy(stat->write_id, id + 1, STORE_WRITE_ID_SIZE);
}

bool dir_object_is_write_id(const char *text)
{
    return strspn(text, DIR_OBJECT_HEX) == DIR_OBJECT_ID_DIGITS && !text[DIR_OBJECT_ID_DIGITS];
}

int dir_object_open(const struct dir *d, int parent, const char *name, struct store_stat *ret_stat)
{
    char file[PATH_MAX];
    struct stat st;
    int r = dir_object_find(d, parent, name, file, &st);
    if (r < 0)
        return r;
    /* What it is was just looked at; the flags are for the moment in between. */
    int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    if (strcmp(file, name) == 0)
        flags |= O_NOFOLLOW;
    CLEANUP(closep) int fd = openat(parent, file, flags);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -ENOENT;
    dir_object_stat(&st, ret_stat);
    char stamp[DIR_OBJECT_STAMP_SIZE];
    char text[DIR_OBJECT_XATTR_SIZE];
    size_t n = dir_object_stamp(ret_stat, stamp);
    ssize_t len = fgetxattr(fd, DIR_OBJECT_XATTR, text, sizeof(text) - 1);
    text[len > 0 ? len : 0] = '\0';
    if (strncmp(text, stamp, n) == 0)
        dir_object_recall(text + n, ret_stat);
    return TAKE_FD(fd);
}

/* True when the file system just has no such attributes. */
static bool dir_object_unkept(int code)
{
    return code == ENOTSUP || code == EPERM || code == E2BIG || code == ERANGE || code == ENOSYS;
}

int dir_object_remember(int fd, const struct store_put *put, struct store_stat *stat)
{
    if (!put->has_crc32c && !put->write_id)
        return 0;
    char text[DIR_OBJECT_XATTR_SIZE];
    char crc[DIR_OBJECT_CRC_DIGITS + 1] = "-";
    if (put->has_crc32c)
        (void)snprintf(crc, sizeof(crc), "%08" PRIx32, put->crc32c);
    size_t n = dir_object_stamp(stat, text);
    int more =
        snprintf(text + n, sizeof(text) - n, "%s %s", crc, put->write_id ? put->write_id : "-");
    if (fsetxattr(fd, DIR_OBJECT_XATTR, text, n + (size_t)more, 0) != 0)
        return dir_object_unkept(errno) ? 0 : -errno;
    dir_object_recall(text + n, stat);
    return 0;
}
