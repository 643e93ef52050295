#include "fs/fs.h"

#include "base/log.h"
#include "fs/folder.h"
#include "fs/handle.h"
#include "fs/node.h"
#include "fs/resolve.h"
#include "fs/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FS_NAMES_THREADS = 16,
    FS_DATA_THREADS = 32,
    FS_LOAD_THREADS = 4,
    FS_WORK_THREADS = 12, /* together no more than the store has connections */
    FS_QUEUE = 65536,
};

static int fs_new_pools(struct fs *fs)
{
    int r = pool_new("bmfs-names", FS_NAMES_THREADS, FS_QUEUE, &fs->names);
    if (r == 0)
        r = pool_new("bmfs-data", FS_DATA_THREADS, FS_QUEUE, &fs->data);
    if (r == 0)
        r = pool_new("bmfs-load", FS_LOAD_THREADS, FS_QUEUE, &fs->load);
    if (r == 0)
        r = pool_new("bmfs-work", FS_WORK_THREADS, FS_QUEUE, &fs->work);
    return r;
}

int fs_new(const struct fs_conf *conf, struct store *store, struct cache *cache, struct fs **ret,
           struct err *err)
{
    struct timespec now = {0};
    struct fs *fs = calloc(1, sizeof(*fs));
    if (!fs)
        return err_set(err, -ENOMEM, "out of memory");
    (void)clock_gettime(CLOCK_REALTIME, &now);
    fs->begun_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    fs->wire = &fs->wire_state;
    fs->conf = *conf;
    fs->store = store;
    fs->cache = cache;
    fs->local = strncmp(store_id(store), "file://", 7) == 0;
    (void)pthread_mutex_init(&fs->mu, NULL);
    lock_cond_init(&fs->released);
    (void)pthread_mutex_init(&fs->backing_mu, NULL);
    int r = fs_new_pools(fs);
    struct objects_conf objects = {.store = store, .cache = cache, .pool = fs->data};
    if (r == 0)
        r = objects_new(&objects, &fs->objects);
    fs->stage_conf = (struct stage_conf){.cache = cache, .load = fs->load};
    if (r == 0)
        r = folder_table_init(fs);
    if (r == 0)
        r = journal_begin(cache, store_id(store));
    if (r == 0)
        r = writer_table_init(fs);
    if (r == 0)
        r = node_table_init(fs);
    if (r < 0) {
        fs_free(fs);
        return err_errno(err, r, "cannot start");
    }
    *ret = fs;
    return 0;
}

void fs_free(struct fs *fs)
{
    if (!fs)
        return;
    pool_free(fs->names);
    pool_free(fs->work);
    pool_free(fs->load);
    pool_free(fs->data);
    fs->work = NULL; /* what is let go below finds nobody to finish it: the unmount has */
    handle_free_all(fs);
    resolve_fini(fs);
    node_table_fini(fs);
    writer_table_fini(fs);
    folder_table_fini(fs);
    objects_free(fs->objects);
    (void)pthread_mutex_destroy(&fs->backing_mu);
    (void)pthread_cond_destroy(&fs->released);
    (void)pthread_mutex_destroy(&fs->mu);
    free(fs);
}

char *fs_key(const struct fs *fs, const char *dir_path, const char *obj)
{
    char *key = NULL;
    return asprintf(&key, "%s%s%s", fs->conf.prefix, dir_path, obj) < 0 ? NULL : key;
}

int fs_refuse(int code, const char *what, const char *path, const struct err *err)
{
    const char *reason = err && err->msg[0] ? err->msg : errno_text(code);
    const char *hint = err ? err->hint : "";
    log_warn("fs", "cannot %s %s: %s%s%s%s", what, path, reason, hint[0] ? " (" : "", hint,
             hint[0] ? ")" : "");
    return code;
}

int fs_errno(int code)
{
    switch (-code) {
    case 0:
    case ENOENT:
    case EEXIST:
    case ESTALE:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOSPC:
    case EINVAL:
    case ENODATA:
    case EBADMSG:
    case EFBIG:
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
    case ENAMETOOLONG:
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case EXDEV:
    case EINTR:
        return -code;
    default:
        return EIO; /* the reason is in the log */
    }
}
