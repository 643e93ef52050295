#ifndef BMFS_S3_DIR_IMPL_H
#define BMFS_S3_DIR_IMPL_H

/* What the files of the local-directory store (dir*.c) share; for no one else. */

#include "s3/dir_path.h"

#include "base/buf.h"

#include <dirent.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

struct dir {
    struct store base;
    int root;    /* O_PATH; every path is resolved from here */
    uid_t owner; /* of that directory: the links of this user are followed */
    bool read_only;
    atomic_bool down; /* after shutdown */
    _Atomic uint64_t gets, puts, heads, dels, lists, bytes_in, bytes_out;
};

static inline struct dir *dir_of(struct store *st)
{
    return (struct dir *)st; /* `base` comes first */
}

/* Maps what the kernel said (`raw`, -errno) to a code of the store's contract, with the message
 * "what: reason". Every failed system call comes through here once. */
int dir_fail(struct err *err, int raw, const char *what);

/* The same for a way to an object that the kernel did not find to the end: -ENOENT, -ENXIO when the
 * store's own directory was removed, or as dir_fail(). */
int dir_missing(const struct dir *d, int raw, struct err *err);

/* True when the store's own directory was removed. */
bool dir_gone(const struct dir *d);

/* 0, or -ECANCELED once the store was shut down. */
int dir_alive(const struct dir *d, struct err *err);

/* What every put and del must pass first; gives the path. */
int dir_begin_write(const struct dir *d, const char *key, char ret_path[static DIR_PATH_SIZE],
                    struct err *err);

/* --- dir_walk.c: paths to descriptors. No link is followed; the codes are the kernel's. --- */

/* Opens the directory at `path`, "" for `root` itself. `flags`: O_PATH or O_RDONLY. */
int dir_walk_open(int root, const char *path, int flags);

/* Opens the directory that holds the last name of `path`; *ret_name points at that name. */
int dir_walk_parent(int root, const char *path, const char **ret_name);

/* The same, and makes what is missing on the way; what it made is durable. */
int dir_walk_make(int root, const char *path, const char **ret_name);

/* Makes a change to the entries of directory `dirfd` (O_PATH will do) durable. */
int dir_walk_sync(int dirfd);

/* --- dir_object.c: what an object is --- */

/* Finds the file of the object `name` in directory `parent`: `ret_file` is what to open, `name`
 * itself or the target of a link. 0, or the kernel's code; -ENOENT for anything that is no object.
 */
int dir_object_find(const struct dir *d, int parent, const char *name,
                    char ret_file[static PATH_MAX], struct stat *ret_st);

/* Opens it for reading, with everything that is known about it. */
int dir_object_open(const struct dir *d, int parent, const char *name, struct store_stat *ret_stat);

/* 0 when the object `name` in directory `parent` (a descriptor or the kernel's code) is the version
 * `etag`, -ESTALE when it is not or there is none, another code of the contract otherwise. */
int dir_object_match(const struct dir *d, int parent, const char *name, const char *etag,
                     struct err *err);

/* True for 32 hex digits. */
bool dir_object_is_write_id(const char *text);

/* Size, time and ETag. */
void dir_object_stat(const struct stat *st, struct store_stat *ret_stat);

/* Keeps the checksum and the write id of a put with the finished file `fd` and adds them to `stat`,
 * which describes it. 0, also when the file system cannot keep them, or the kernel's code. */
int dir_object_remember(int fd, const struct store_put *put, struct store_stat *stat);

/* --- dir_hidden.c: the store's own folder --- */

/* A file that is not yet an object. */
struct dir_temp {
    int folder; /* O_PATH; where it is */
    int fd;
    char name[64]; /* "" once it has its final name */
};

#define DIR_TEMP_INIT ((struct dir_temp){.folder = -1, .fd = -1})

/* Makes a temporary file in the hidden folder, or in directory `beside` unless that is -1. `temp`
 * is DIR_TEMP_INIT before, and wants dir_hidden_temp_fini() also after a failure. Kernel's code. */
int dir_hidden_temp(const struct dir *d, int beside, struct dir_temp *temp);

/* Removes the file unless it has its final name. */
void dir_hidden_temp_fini(struct dir_temp *temp);

/* Holds the lock of `key`: a descriptor to close, or a code of the store's contract. */
int dir_hidden_lock(const struct dir *d, const char *key, struct err *err);

/* Removes the temporary files of processes that are no more. */
void dir_hidden_sweep(const struct dir *d);

/* --- dir_scan.c: the names in one directory --- */

/* "part" for a file and "part/" for a directory, as they stand in a key, in ascending order. */
struct dir_names {
    struct buf text;    /* all of them, each with its NUL */
    const char **entry; /* into `text` */
    size_t entries;
};

/* True for a name that shall be kept. */
typedef bool dir_scan_want_fn(void *arg, const char *name);

/* Reads the directory `fd`. The kernel's code; -EMSGSIZE when the names need too much memory. */
int dir_scan(int fd, dir_scan_want_fn *want, void *arg, struct dir_names *ret);

/* Empty names are fine. */
void dir_scan_fini(struct dir_names *names);

/* As readdir(). */
struct dirent *dir_scan_next(DIR *stream);

/* True if some object is below the directory `fd`; also when that would take long to find out. */
bool dir_scan_any(const struct dir *d, int fd);

/* --- methods with a file of their own --- */

int dir_put(struct store *st, const char *key, const struct store_body *body,
            const struct store_put *put, struct store_stat *ret_stat, struct err *err);
int dir_list(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
             struct err *err);

#endif
