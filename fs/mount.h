#ifndef BMFS_FS_MOUNT_H
#define BMFS_FS_MOUNT_H

/* A mount from beginning to end. */

#include "base/err.h"
#include "s3/location.h"

struct mount_conf {
    const char *location;   /* what the user wrote: see s3/location.h */
    const char *mountpoint; /* an existing directory */
    struct location_conf store;

    const char *cache_dir; /* NULL: cache_default_dir() */
    uint64_t cache_size;   /* bytes; 0: see struct cache_conf */
    uint64_t memory;       /* bytes the daemon may use beside its code; 0: 256 MiB */
    bool read_only;
    bool no_delete;
    bool immutable;
    bool allow_other;
    int64_t uid, gid;         /* owner of all files; -1: the user who mounts */
    int64_t umask;            /* -1: 022 */
    int64_t unmount_ms;       /* how long an unmount waits for the store; 0: see fs/drain.h */
    const char *fuse_options; /* further mount options, comma-separated, or NULL */
};

/* Called once, when the mount answers: `message` says what was mounted. */
typedef void mount_ready_fn(void *arg, const char *message);

/* Connects, lists, mounts, serves until it is unmounted or told to end by SIGTERM, SIGINT or
 * SIGHUP, and stores what is still to be stored. Threads are started: fork before, not after. 0
 * after a mount that ended well; -errno, with a reason and a hint for the user, when it did not
 * come to be or ended badly. */
int mount_run(const struct mount_conf *conf, mount_ready_fn *ready, void *arg, struct err *err);

#endif
