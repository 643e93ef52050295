#include "ops/publish.h"

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLISH_PREFIX ".bm-"

enum { PUBLISH_RANDOM_SIZE = 8, PUBLISH_TRIES_MAX = 8 };

/* Taken for reading around everything that makes or names a file, for writing by publish_end(),
 * which never gives it back. Taken before publish_mu. */
static pthread_rwlock_t publish_open = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static pthread_mutex_t publish_mu = PTHREAD_MUTEX_INITIALIZER;
/* guarded by publish_mu: */
static struct publish *publish_list;

static void publish_enter(struct publish *p)
{
    LOCK_SCOPE(&publish_mu);
    p->next = publish_list;
    publish_list = p;
}

static void publish_leave(struct publish *p)
{
    LOCK_SCOPE(&publish_mu);
    struct publish **at = &publish_list;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
}

/* A missing directory is no missing input: exit statuses tell the two apart. */
static int publish_code(int code)
{
    return code == -ENOENT ? -ESTALE : code;
}

static int publish_create(struct publish *p)
{
    char hex[2 * PUBLISH_RANDOM_SIZE + 1];
    for (int try = 0; try < PUBLISH_TRIES_MAX; try++) {
        int r = random_hex(hex, sizeof(hex));
        if (r < 0)
            return r;
        (void)snprintf(p->name, sizeof(p->name), PUBLISH_PREFIX "%s", hex);
        p->fd = openat(p->dir, p->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (p->fd >= 0)
            return 0;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int publish_begin(int dir, struct publish *p, struct err *err)
{
    *p = PUBLISH_NONE;
    p->dir = dir;
    (void)pthread_rwlock_rdlock(&publish_open);
    int r = publish_create(p);
    if (r == 0)
        publish_enter(p);
    (void)pthread_rwlock_unlock(&publish_open);
    return r < 0 ? err_errno(err, publish_code(r), "cannot make a scratch file") : 0;
}

static void publish_close(struct publish *p)
{
    publish_leave(p);
    (void)close(p->fd); /* what it held was synced, or is not wanted */
    p->fd = -1;
}

/* NFS says EEXIST when it was the first try that succeeded and its reply that was lost. */
static bool publish_is_linked(const struct publish *p)
{
    struct stat st;
    return fstat(p->fd, &st) == 0 && st.st_nlink == 2;
}

/* Where files have one name only (FAT, some FUSE file systems), a rename must do. */
static int publish_name_once(struct publish *p, const char *name)
{
    if (linkat(p->dir, p->name, p->dir, name, 0) == 0)
        return 0;
    if (errno == EEXIST && publish_is_linked(p))
        return 0;
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -errno;
    return renameat2(p->dir, p->name, p->dir, name, RENAME_NOREPLACE) == 0 ? 0 : -errno;
}

static int publish_name(struct publish *p, const char *name, bool replace)
{
    (void)pthread_rwlock_rdlock(&publish_open);
    int r = 0;
    if (replace)
        r = renameat(p->dir, p->name, p->dir, name) == 0 ? 0 : -errno;
    else
        r = publish_name_once(p, name);
    if (r == 0) {
        (void)unlinkat(p->dir, p->name, 0); /* after a rename there is nothing to unlink */
        publish_close(p);
    }
    (void)pthread_rwlock_unlock(&publish_open);
    return r;
}

int publish_sync(struct publish *p, struct err *err)
{
    if (!p->synced && fsync(p->fd) != 0)
        return err_errno(err, publish_code(-errno), "cannot sync");
    p->synced = true;
    return 0;
}

static int publish_finish(struct publish *p, const char *name, bool replace, struct err *err)
{
    int r = publish_sync(p, err);
    if (r < 0)
        return r;
    r = publish_name(p, name, replace);
    if (r == -EEXIST)
        return err_set(err, r, "it is there already");
    return r < 0 ? err_errno(err, publish_code(r), "cannot make %s", name) : 0;
}

int publish_link(struct publish *p, const char *name, struct err *err)
{
    return publish_finish(p, name, false, err);
}

int publish_replace(struct publish *p, const char *name, struct err *err)
{
    return publish_finish(p, name, true, err);
}

void publish_drop(struct publish *p)
{
    if (p->fd < 0)
        return;
    (void)unlinkat(p->dir, p->name, 0);
    publish_close(p);
}

bool publish_is_scratch(const char *name)
{
    return strncmp(name, PUBLISH_PREFIX, sizeof(PUBLISH_PREFIX) - 1) == 0;
}

void publish_end(void)
{
    (void)pthread_rwlock_wrlock(&publish_open);
    LOCK_SCOPE(&publish_mu);
    for (struct publish *p = publish_list; p; p = p->next)
        (void)unlinkat(p->dir, p->name, 0);
}
