#include "fs/salvage.h"

#include "fs/cache_dir.h"
#include "fs/journal.h"
#include "fs/lost.h"
#include "matrix/header.h"
#include "matrix/npy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SALVAGE_STORE_MAX = 8192 };

static const char salvage_suffix[] = ".note";

/* One file of a dead mount. */
struct salvage_file {
    int fd; /* of the bytes */
    uint64_t size;
    struct journal_note note;
    struct buf head; /* goes before the bytes */
    bool head_only;  /* or instead of them */
};

/* Whether the bytes are a whole npy file: `head` is where its header is. */
static bool salvage_is_npy(const void *head, size_t len, uint64_t size)
{
    struct npy npy;
    return npy_parse(head, len, &npy, NULL) == 0 && npy.data_off + npy.data_len == size;
}

/* 1: it is one; 0, or -errno. */
static int salvage_is_block(const struct salvage_file *f)
{
    size_t len = (size_t)MIN(f->size, (uint64_t)NPY_HEAD_MAX);
    CLEANUP(freep) char *head = malloc(len);
    int r = head ? pread_full(f->fd, head, len, 0) : -ENOMEM;
    return r < 0 ? r : salvage_is_npy(head, len, f->size);
}

/* Brings a header.json into the form in which it is stored. 1: done; 0: it is none; or -errno. */
static int salvage_header(struct salvage_file *f)
{
    struct header h = {0};
    if (f->size > HEADER_BYTES_MAX)
        return 0;
    CLEANUP(freep) char *text = malloc((size_t)f->size);
    int r = text ? pread_full(f->fd, text, (size_t)f->size, 0) : -ENOMEM;
    if (r < 0)
        return r;
    r = header_parse(text, (size_t)f->size, &h, NULL);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    r = header_store(&h, &f->head);
    header_fini(&h);
    f->head_only = r == 0;
    if (r < 0)
        buf_clear(&f->head); /* a part of it */
    return r == -ENOMEM ? r : r == 0;
}

/* Whether all of the file is there (1, 0 or -errno); prepares what is to be stored of it. */
static int salvage_is_whole(struct salvage_file *f)
{
    const struct journal_about *about = &f->note.about;
    if (about->kind == JOURNAL_RAW && buf_append(&f->head, about->head, about->head_len) < 0)
        return -ENOMEM;
    if (!extent_covers(&f->note.written, 0, f->size))
        return 0;
    switch ((enum journal_kind)about->kind) {
    case JOURNAL_PLAIN:
        return 1;
    case JOURNAL_BLOCK:
        return salvage_is_block(f);
    case JOURNAL_RAW:
        return about->head_len > 0 &&
               salvage_is_npy(about->head, about->head_len, about->head_len + f->size);
    case JOURNAL_HEADER:
        break;
    }
    return salvage_header(f);
}

/* Moves one file. 0 or -errno. */
static int salvage_keep(struct salvage *s, struct salvage_file *f, const struct lost_bytes *bytes,
                        int cache_fd, const char *store_id)
{
    char name[LOST_NAME_SIZE];
    const struct journal_about *about = &f->note.about;
    int whole = salvage_is_whole(f);
    if (whole < 0)
        return err_errno(&s->err, whole, "%s", about->key);
    struct lost_bytes what = *bytes;
    if (f->head_only)
        what.fd = -1;
    struct lost_note note = {.store_id = store_id,
                             .key = about->key,
                             .if_match = about->if_match,
                             .write_id = about->write_id,
                             .reason = "the mount died before it was stored",
                             .head = f->head.data,
                             .head_len = f->head.len,
                             .incomplete = !whole};
    int r = lost_keep_bytes(cache_fd, &what, &note, name, &s->err);
    if (r < 0)
        return r;
    if (note.head_len > 0) /* it was copied: once is enough, whatever else of the mount stays */
        (void)unlinkat(bytes->dir_fd, bytes->name, 0);
    s->files++;
    s->incomplete += !whole;
    s->bytes += f->size;
    return 0;
}

/* A descriptor; -ENOENT: the file is not there, or no mount has made what is; or another -errno. */
static int salvage_open(int mount_fd, const char *name)
{
    int fd = openat(mount_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        return fd;
    return errno == ELOOP ? -ENOENT : -errno;
}

/* Reads a journal. 1: there is something to keep; 0: there is none, it never began, or all was
 * stored; or -errno. */
static int salvage_read(int mount_fd, const char *journal, struct journal_note *ret)
{
    CLEANUP(closep) int fd = salvage_open(mount_fd, journal);
    int r = fd < 0 ? fd : journal_read(fd, ret);
    if (r < 0)
        return r == -ENOENT || r == -EBADMSG ? 0 : r;
    return ret->dirty;
}

/* Looks at a journal and the file that it is of. Without a reason to think that there is nothing to
 * keep, both stay where they are. */
static int salvage_file(struct salvage *s, int cache_fd, int mount_fd, const char *journal,
                        const char *store_id)
{
    struct stat st = {0};
    char name[CACHE_NAME_SIZE] = "";
    size_t len = strlen(journal) - (sizeof(salvage_suffix) - 1);
    if (len >= sizeof(name))
        return 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, journal);
    struct salvage_file f = {.head = BUF_INIT((size_t)HEADER_BYTES_MAX + JOURNAL_HEAD_MAX)};
    int r = salvage_read(mount_fd, journal, &f.note);
    CLEANUP(closep) int fd = r == 1 ? salvage_open(mount_fd, name) : -ENOENT;
    if (r == 1)
        r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
    if (fd < 0 || r < 0) {
        extent_clear(&f.note.written);
        return r == -ENOENT || r == 0 ? 0 : err_errno(&s->err, r, "%s", journal);
    }
    f.fd = fd;
    f.size = (uint64_t)st.st_size;
    extent_cut(&f.note.written, f.size);
    struct lost_bytes bytes = {.fd = fd, .dir_fd = mount_fd, .name = name};
    if (f.size > 0)
        r = salvage_keep(s, &f, &bytes, cache_fd, store_id);
    extent_clear(&f.note.written);
    buf_fini(&f.head);
    return r;
}

/* Which store the mount was of; "" when it died before it said so, and then it wrote nothing. */
static int salvage_store(int mount_fd, char text[SALVAGE_STORE_MAX])
{
    text[0] = '\0';
    CLEANUP(closep) int fd = salvage_open(mount_fd, "store");
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    ssize_t n = read(fd, text, SALVAGE_STORE_MAX - 1);
    text[MAX(n, (ssize_t)0)] = '\0';
    return n < 0 ? -errno : 0;
}

static bool salvage_is_journal(const char *name)
{
    size_t len = strlen(name);
    return len >= sizeof(salvage_suffix) &&
           strcmp(name + len - (sizeof(salvage_suffix) - 1), salvage_suffix) == 0;
}

/* Moves what the journals of a mount say. How many files stay. */
static int salvage_files(struct salvage *s, DIR *d, int cache_fd, const char *store_id)
{
    int left = 0;
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d); // NOLINT(concurrency-mt-unsafe): d is this thread's own
        int r = -errno;
        if (!e && r < 0)
            (void)err_errno(&s->err, r, "mounts");
        if (!e)
            return left + (r < 0);
        if (salvage_is_journal(e->d_name))
            left += salvage_file(s, cache_fd, dirfd(d), e->d_name, store_id) < 0;
    }
}

bool salvage_mount(void *arg, int cache_fd, int mount_fd)
{
    struct salvage *s = arg;
    char store_id[SALVAGE_STORE_MAX];
    int left = 1;
    int r = salvage_store(mount_fd, store_id);
    int fd = r < 0 ? r : openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d) {
        left = salvage_files(s, d, cache_fd, store_id);
        (void)closedir(d);
    } else {
        (void)err_errno(&s->err, r < 0 ? r : -errno, "mounts");
        closep(&fd);
    }
    s->left += left;
    return left == 0;
}

int salvage_all(int cache_fd, struct salvage *ret)
{
    struct cache_dir_salvage how = {.fn = salvage_mount, .arg = ret};
    *ret = (struct salvage){0};
    int r = cache_dir_clear_mounts(cache_fd, &how);
    return r < 0 ? r : 0;
}
