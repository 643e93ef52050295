#ifndef BMFS_FS_OPS_H
#define BMFS_FS_OPS_H

/* The FUSE requests, one function each, grouped by what they are about:
 *
 *   ops_name.c    lookup, forget, getattr, setattr, xattr, statfs
 *   ops_open.c    open, release
 *   ops_create.c  create
 *   ops_io.c      read, write, flush, fsync, fallocate, lseek
 *   ops_dir.c     opendir, readdir, readdirplus, releasedir
 *   ops_change.c  mkdir, rmdir, unlink
 *   ops_move.c    rename, link
 *
 * A function answers from memory at once or hands an op to a pool. None waits. */

#include "fs/fs.h"
#include "fs/op.h"

void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void ops_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                 struct fuse_file_info *fi);
void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                  int flags);
void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void ops_statfs(fuse_req_t req, fuse_ino_t ino);

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
               struct fuse_file_info *fi);
void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                   struct fuse_file_info *fi);
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void ops_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t from_off,
                         struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
                         struct fuse_file_info *to_fi, size_t len, int flags);
void ops_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
               struct fuse_file_info *fi, unsigned flags, const void *in, size_t in_size,
               size_t out_size);

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                const char *new_name, unsigned int flags);
void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);

/* A request that a pool works on. The job frees it with ops_job_free() after it has answered. */
struct ops_job {
    struct fs *fs;
    struct op *op;
    struct node *node; /* the request's, a reference, or NULL */
    struct node *node2;
    pid_t tid;
    pid_t process; /* that the thread belongs to, if `by_process` asked for it */
    int flags;
    int64_t number, number2;
    char *name, *name2; /* owned, or NULL */
};

static inline struct fs *ops_fs(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* Hands a request to a pool as fn(job); answers it with an error when that fails. `name`s are
 * copied and may be NULL; nodes are referenced. Returns the job before it runs only through `fill`,
 * which may set its other fields. */
struct ops_call {
    fuse_req_t req;
    struct pool *pool;
    pool_fn *fn;
    fuse_ino_t ino, ino2; /* 0: none */
    const char *name, *name2;
    int flags;
    int64_t number, number2;
    bool by_process; /* what is done depends on which process asks */
};
void ops_submit(const struct ops_call *call);

void ops_job_free(struct ops_job *job);

/* As fs_refuse(), for a file (or the object of one) in a directory: by the name that users know it
 * by. */
struct folder;
void ops_refuse(int code, const char *what, struct folder *d, const char *name,
                const struct err *err);

/* Answers with an error and frees the job. */
void ops_job_err(struct ops_job *job, int code);

/* Deletes the object of a place: what unlink does, and the second half of a rename, which deletes
 * no other version than it has read (`if_match`, or NULL for any). 0, -ESTALE or -errno. */
struct place;
int ops_unlink_object(struct fs *fs, struct folder *d, const struct place *place,
                      const char *if_match, struct err *err);

/* Opening a header.json for writing: its writer is made, with the text of the node, and set aside
 * for the thread's retry: -ESTALE, or another error. Blocks; the job is ops_open()'s. */
int ops_header_reserve(const struct ops_job *job, struct node *n, struct err *err);
void ops_header_open_job(void *arg);

/* Handles of files that are written: one that counts for its writer, how the kernel is to open it,
 * and its end. */
struct handle *ops_writer_handle_locked(struct node *n, int flags, pid_t process);
struct wire_open ops_writer_open(const struct fs *fs, struct handle *h);
void ops_writer_close(struct fs *fs, struct handle *h);

/* A handle has been read whose open told the kernel to drop its pages: handle->drops. */
void ops_pages_dropped(struct handle *h);

/* A directory that was emptied here stays until rmdir, and so do those above it. */
void ops_keep_dirs(struct fs *fs, struct folder *d);

/* True when the mount may not be changed; the request has then been answered. */
bool ops_is_read_only(fuse_req_t req);

#endif
