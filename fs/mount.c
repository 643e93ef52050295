#include "fs/mount.h"

#include "base/log.h"
#include "base/pool.h"
#include "fs/broker.h"
#include "fs/drain.h"
#include "fs/early.h"
#include "fs/fs.h"
#include "fs/node.h"
#include "fs/op.h"
#include "fs/ops.h"
#include "fs/recover.h"
#include "fs/salvage.h"
#include "fs/survey.h"
#include "fs/trim.h"
#include "fs/virtual.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOUNT_THREADS = 8,
    MOUNT_BACKGROUND = 128, /* requests the kernel may have under way: readahead of many readers */
    MOUNT_READ_AHEAD_KIB = 1024,
    MOUNT_KNOCK_MS = 10000, /* for the first call, and how often it is made */
    MOUNT_KNOCK_TRIES = 2,
    MOUNT_ENTRY_MAX = 8192,  /* bytes of a line of /proc/self/mounts */
    MOUNT_REQUEST = 1 << 20, /* bytes of a request: the kernel's limit */
};

#define MOUNT_MEMORY_DEFAULT (256ULL << 20)

/* All that one mount owns, in the order in which it is made. */
struct mount {
    const struct mount_conf *conf;
    struct location location;
    struct store *store;
    char *cache_dir;
    struct salvage salvage; /* of mounts that died */
    struct cache *cache;
    struct fs *fs;
    struct broker *broker; /* NULL without the privilege */
    struct fuse_session *session;
    bool mounted;
    char *message; /* what is said when it is ready */
    mount_ready_fn *ready;
    void *ready_arg;
};

static struct mount *mount_of_session; /* libfuse's init has only the file system's own pointer */

static void mount_init(void *userdata, struct fuse_conn_info *conn)
{
    struct mount *m = mount_of_session;
    (void)userdata;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
                              FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    conn->want |= conn->capable &
                  (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
                   FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS);
    conn->max_write = MOUNT_REQUEST;
    conn->max_readahead = MOUNT_REQUEST;
    conn->max_background = MOUNT_BACKGROUND;
    conn->congestion_threshold = MOUNT_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
    if (m->ready)
        m->ready(m->ready_arg, m->message);
    m->ready = NULL;
}

static const struct fuse_lowlevel_ops mount_ops = {
    .init = mount_init,
    .lookup = ops_lookup,
    .forget = ops_forget,
    .forget_multi = ops_forget_multi,
    .getattr = ops_getattr,
    .setattr = ops_setattr,
    .mknod = ops_mknod,
    .mkdir = ops_mkdir,
    .unlink = ops_unlink,
    .rmdir = ops_rmdir,
    .symlink = ops_symlink,
    .rename = ops_rename,
    .link = ops_link,
    .open = ops_open,
    .read = ops_read,
    .write = ops_write,
    .flush = ops_flush,
    .release = ops_release,
    .fsync = ops_fsync,
    .opendir = ops_opendir,
    .readdir = ops_readdir,
    .readdirplus = ops_readdirplus,
    .releasedir = ops_releasedir,
    .fsyncdir = ops_fsyncdir,
    .statfs = ops_statfs,
    .setxattr = ops_setxattr,
    .getxattr = ops_getxattr,
    .listxattr = ops_listxattr,
    .removexattr = ops_removexattr,
    .create = ops_create,
    .ioctl = ops_ioctl,
    .fallocate = ops_fallocate,
    .copy_file_range = ops_copy_file_range,
    .lseek = ops_lseek,
};

/* Runs a program and waits for it; its exit status, or -errno. */
static int mount_exec(char *const argv[])
{
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null >= 0)
            (void)dup2(null, STDERR_FILENO);
        (void)execvp(argv[0], argv);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* Takes a mount of one's own away without being root. */
static int mount_fusermount(const char *mountpoint)
{
    char program[] = "fusermount3";
    char options[] = "-uz";
    CLEANUP(freep) char *path = strdup(mountpoint);
    char *const argv[] = {program, options, path, NULL};
    return path ? mount_exec(argv) : -ENOMEM;
}

/* A second mount would hide the first, and the two would not see each other's files. */
static int mount_check_free(const char *mountpoint, struct err *err)
{
    char text[MOUNT_ENTRY_MAX];
    struct mntent entry;
    int r = 0;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    while (mounts && r == 0 && getmntent_r(mounts, &entry, text, sizeof(text))) {
        if (strcmp(entry.mnt_type, "fuse.bmfs") == 0 && strcmp(entry.mnt_dir, mountpoint) == 0)
            r = err_set(err, -EBUSY, "already a mount of %s: unmount it first, fusermount3 -u %s",
                        entry.mnt_fsname, mountpoint);
    }
    if (mounts)
        (void)endmntent(mounts);
    return r;
}

/* A mount whose daemon died answers ENOTCONN to everything; it is taken away first. */
static int mount_clear(const char *mountpoint, struct err *err)
{
    struct stat st;
    struct statvfs fs; /* asks the daemon; stat() may still be answered from the kernel's cache */
    if (statvfs(mountpoint, &fs) == 0 && stat(mountpoint, &st) == 0)
        return S_ISDIR(st.st_mode) ? mount_check_free(mountpoint, err)
                                   : err_set(err, -ENOTDIR, "%s is no directory", mountpoint);
    if (errno != ENOTCONN && errno != ECONNABORTED) {
        int r = err_errno(err, -errno, "mount point %s", mountpoint);
        if (r == -ENOENT)
            err_hint(err, "mkdir -p %s", mountpoint);
        return r;
    }
    if (umount2(mountpoint, MNT_DETACH) < 0 && mount_fusermount(mountpoint) != 0)
        return err_set(err, -EBUSY, "%s is a dead mount that cannot be taken away", mountpoint);
    log_info("mount", "%s was a dead mount and has been taken away", mountpoint);
    return 0;
}

static int mount_knock_entry(void *arg, const char *key, const struct store_stat *stat)
{
    (void)arg;
    (void)key;
    (void)stat;
    return 1; /* that anything came is enough */
}

/* What bmfs -d shows of each request. */
static void mount_watch(void *arg, const struct store_event *e)
{
    (void)arg;
    const char *result = e->code == 0 ? "ok" : e->code < 0 ? errno_text(e->code) : "same";
    const char *id = e->request_id;
    log_debug("store", "%s %s: %s bytes=%llu ms=%lld try=%d%s%s%s%s", e->method, e->key, result,
              (unsigned long long)e->bytes, (long long)e->ms, e->number, id[0] ? " request=" : "",
              id, e->code < 0 ? ": " : "", e->code < 0 ? e->reason : "");
}

/* Asks the bucket for one name, with less patience than a mount that runs has: whoever types the
 * command waits for it. */
static int mount_knock(const struct mount *m, const struct location_conf *conf, struct err *err)
{
    CLEANUP(store_freep) struct store *st = NULL;
    struct location_conf quick = *conf;
    if (quick.call_time_ms == 0 || quick.call_time_ms > MOUNT_KNOCK_MS)
        quick.call_time_ms = MOUNT_KNOCK_MS;
    quick.tries_max = MOUNT_KNOCK_TRIES;
    quick.read_only = true;
    int r = location_open(&m->location, &quick, &st, err);
    if (r < 0)
        return r;
    struct store_list list = {.prefix = m->location.prefix, .delimiter = '/', .page_max = 1};
    r = store_list(st, &list, mount_knock_entry, NULL, err);
    return r < 0 ? err_prefix(err, r, "%s/%s", store_id(st), m->location.prefix) : 0;
}

/* A mount over its own store would hide it, and show itself in itself. */
static int mount_check_apart(const struct mount *m, struct err *err)
{
    CLEANUP(freep) char *store = m->location.is_dir ? realpath(m->location.bucket, NULL) : NULL;
    CLEANUP(freep) char *point = realpath(m->conf->mountpoint, NULL);
    size_t len = store ? strlen(store) : 0;
    if (!store || !point || strncmp(point, store, len) != 0 || (point[len] && point[len] != '/'))
        return 0;
    (void)err_set(err, -EINVAL, "mount point %s is in the store itself, %s", point, store);
    err_hint(err, "mount on a directory outside of it");
    return -EINVAL;
}

static int mount_open_store(struct mount *m, struct err *err)
{
    struct location_conf conf = m->conf->store;
    int r = location_parse(m->conf->location, &m->location, err);
    if (r == 0)
        r = mount_check_apart(m, err);
    conf.read_only = m->conf->read_only;
    conf.watch = log_enabled(LOG_LEVEL_DEBUG) ? mount_watch : NULL;
    if (r == 0)
        r = mount_knock(m, &conf, err);
    if (r == 0)
        r = location_open(&m->location, &conf, &m->store, err);
    return r;
}

/* Says once what earlier mounts could not store. */
static void mount_say_lost(struct mount *m)
{
    const struct salvage *s = &m->salvage;
    int settled = s->files > 0 ? recover_settle(m->store, cache_dir_fd(m->cache)) : 0;
    int lost = recover_count(cache_dir_fd(m->cache));
    if (s->left > 0)
        log_error("recover", "%d files of a mount that died stay in %s/mounts: %s", s->left,
                  m->cache_dir, s->err.msg);
    if (settled > 0)
        log_info("recover", "%d files of a mount that died had been stored", settled);
    if (lost > 0)
        log_warn("recover",
                 "%d files that could not be stored are in %s/lost, %d of them since a mount died: "
                 "see bm recover list --cache-dir %s",
                 lost, m->cache_dir, MIN(lost, MAX(s->files - settled, 0)), m->cache_dir);
}

static int mount_open_cache(struct mount *m, struct err *err)
{
    bool named = m->conf->cache_dir;
    m->cache_dir = named ? strdup(m->conf->cache_dir) : cache_default_dir();
    if (!m->cache_dir)
        return -ENOMEM;
    struct cache_conf conf = {.dir = m->cache_dir,
                              .any_fs = named,
                              .size_max = m->conf->cache_size,
                              .salvage = salvage_mount,
                              .salvage_arg = &m->salvage};
    int r = cache_open(&conf, &m->cache, err);
    if (r == 0)
        mount_say_lost(m);
    return r;
}

static int mount_open_fs(struct mount *m, struct err *err)
{
    const struct mount_conf *c = m->conf;
    struct fs_conf conf = {
        .prefix = m->location.prefix,
        .read_only = c->read_only,
        .no_delete = c->no_delete,
        .immutable = c->immutable,
        .uid = c->uid >= 0 ? (uid_t)c->uid : getuid(),
        .gid = c->gid >= 0 ? (gid_t)c->gid : getgid(),
        .umask = c->umask >= 0 ? (mode_t)c->umask : 022,
        .memory = c->memory ? c->memory : MOUNT_MEMORY_DEFAULT,
    };
    return fs_new(&conf, m->store, m->cache, &m->fs, err);
}

/* Looks at the bucket, so that a wrong name or key is an error of the mount command and not of the
 * first file that somebody opens. */
static int mount_survey(struct mount *m, struct err *err)
{
    struct survey s;
    int r = survey(m->fs, &s, err);
    if (r < 0)
        return r;
    int n = asprintf(
        &m->message, "%s/%s on %s: %s%d %s%s%s%s", store_id(m->store), m->location.prefix,
        m->conf->mountpoint, s.more ? "at least " : "", s.matrices,
        s.matrices == 1 ? "matrix" : "matrices", s.empty ? ", nothing is stored below it yet" : "",
        m->conf->read_only ? ", read-only" : "", m->conf->no_delete ? ", nothing is deleted" : "");
    return n < 0 ? -ENOMEM : 0;
}

/* Commas in a name would end a mount option. */
static char *mount_fsname(const struct mount *m)
{
    char *name = NULL;
    if (asprintf(&name, "%s/%s", store_id(m->store), m->location.prefix) < 0)
        return NULL;
    for (char *p = name; *p; p++) {
        if (*p == ',' || *p == '\\' || (unsigned char)*p <= ' ')
            *p = '_';
    }
    return name;
}

static int mount_session(struct mount *m, struct err *err)
{
    CLEANUP(freep) char *name = mount_fsname(m);
    CLEANUP(freep) char *options = NULL;
    const char *more = m->conf->fuse_options;
    if (!name ||
        asprintf(&options, "fsname=%s,subtype=bmfs,default_permissions%s%s%s%s", name,
                 m->conf->read_only ? ",ro" : "", m->conf->allow_other ? ",allow_other" : "",
                 more ? "," : "", more ? more : "") < 0)
        return -ENOMEM;
    char program[] = "bmfs";
    char dash_o[] = "-o";
    char *argv[] = {program, dash_o, options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    m->session = fuse_session_new(&args, &mount_ops, sizeof(mount_ops), m->fs);
    fuse_opt_free_args(&args);
    if (!m->session)
        return err_set(err, -EINVAL, "a mount option is not understood: %s", options);
    if (fuse_set_signal_handlers(m->session) < 0)
        return err_set(err, -EIO, "cannot catch signals");
    if (fuse_session_mount(m->session, m->conf->mountpoint) < 0) {
        (void)err_set(err, -EPERM, "cannot mount on %s", m->conf->mountpoint);
        err_hint(err, "see the line above; FUSE needs /dev/fuse and, for users, fusermount3");
        return -EPERM;
    }
    m->mounted = true;
    return 0;
}

/* Lets the kernel read ahead by more than its 128 KiB, so that a sequential reader costs few
 * requests. Only root may; without, reads are merely smaller. Asks the kernel for the number of the
 * device, not this daemon, which does not serve yet. */
static void mount_read_ahead(const char *mountpoint)
{
    char path[96];
    char text[16];
    struct statx st;
    if (statx(AT_FDCWD, mountpoint, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &st) < 0)
        return;
    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major,
                   st.stx_dev_minor);
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    int n = snprintf(text, sizeof(text), "%d", MOUNT_READ_AHEAD_KIB);
    if (fd >= 0)
        (void)write_full(fd, text, (size_t)n);
}

/* Takes the mount away. libfuse does it for users, the broker for root. */
static void mount_detach(struct mount *m)
{
    if (!m->mounted)
        return;
    if (m->broker)
        (void)broker_unmount(m->broker); /* fails when it was unmounted from outside */
    fuse_session_unmount(m->session);
    m->mounted = false;
}

static void mount_resume_job(void *arg)
{
    early_resume(arg);
}

static int mount_serve(struct mount *m, struct err *err)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (!config)
        return -ENOMEM;
    fuse_loop_cfg_set_max_threads(config, MOUNT_THREADS);
    mount_read_ahead(m->conf->mountpoint);
    if (!m->conf->read_only && !m->conf->no_delete)
        (void)pool_submit(m->fs->work, mount_resume_job, m->fs);
    struct trim *trim = trim_start();
    int r = fuse_session_loop_mt(m->session, config);
    trim_stop(trim);
    fuse_loop_cfg_destroy(config);
    mount_detach(m); /* whoever still asks gets an error */
    /* Ended by a signal, it is a positive number: as good an end as any. */
    return r < 0 ? err_errno(err, r, "the connection to the kernel broke") : 0;
}

static void mount_close(struct mount *m)
{
    mount_detach(m);
    if (m->fs)
        drain(m->fs, m->conf->unmount_ms);
    fs_free(m->fs); /* its last jobs still answer requests of the session */
    if (m->session) {
        fuse_remove_signal_handlers(m->session);
        op_quiesce();
        fuse_session_destroy(m->session);
    }
    broker_stop(m->broker);
    cache_close(m->cache);
    store_free(m->store);
    location_fini(&m->location);
    free(m->cache_dir);
    free(m->message);
}

/* As many files as the system lets this process open: each block that is open is one. */
static void mount_raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* For tests: with BMFS_OLD_KERNEL in the environment, what kernels from 6.6 on have is not used. */
static bool mount_kernel_is_old(void)
{
    return getenv("BMFS_OLD_KERNEL"); /* NOLINT(concurrency-mt-unsafe): nobody changes it */
}

/* Leaves the privilege to the broker. From here on threads may start. */
static int mount_give_up_rights(struct mount *m, struct err *err)
{
    struct wire *w = &m->fs->wire_state;
    if (m->broker) {
        int fd = fuse_session_fd(m->session);
        int r = broker_take_over(m->broker, fd, m->conf->mountpoint, err);
        if (r < 0)
            return r;
    }
    m->fs->broker = m->broker;
    w->want_direct_io_mmap = !mount_kernel_is_old();
    w->want_passthrough = m->broker && w->want_direct_io_mmap;
    return wire_attach(w, m->session, err);
}

static int mount_set_up(struct mount *m, struct err *err)
{
    static int (*const step[])(struct mount *, struct err *) = {
        mount_open_store, mount_open_cache,     mount_open_fs,
        mount_session,    mount_give_up_rights, mount_survey,
    };
    int r = mount_clear(m->conf->mountpoint, err);
    if (r == 0)
        r = broker_start(&m->broker, err);
    if (r == -EPERM)
        r = 0; /* a user's mount: no passthrough */
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(step); i++)
        r = step[i](m, err);
    return r;
}

int mount_run(const struct mount_conf *conf, mount_ready_fn *ready, void *arg, struct err *err)
{
    struct mount m = {.conf = conf, .ready = ready, .ready_arg = arg};
    mount_of_session = &m;
    mount_raise_limits();
    virtual_watch_log(true);
    int r = mount_set_up(&m, err);
    if (r == 0)
        r = mount_serve(&m, err);
    mount_close(&m);
    virtual_watch_log(false);
    return r;
}
