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

static bool salvage_is_block(const struct salvage_file *f)
{
    size_t len = (size_t)MIN(f->size, (uint64_t)NPY_HEAD_MAX);
    CLEANUP(freep) char *head = malloc(len);
    return head && pread_full(f->fd, head, len, 0) == 0 && salvage_is_npy(head, len, f->size);
}

/* Brings a header.json into the form in which it is stored. */
static bool salvage_header(struct salvage_file *f)
{
    struct header h = {0};
    if (f->size > HEADER_BYTES_MAX)
        return false;
    CLEANUP(freep) char *text = malloc((size_t)f->size);
    if (!text || pread_full(f->fd, text, (size_t)f->size, 0) < 0 ||
        header_parse(text, (size_t)f->size, &h, NULL) < 0)
        return false;
    f->head_only = header_store(&h, &f->head) == 0;
    header_fini(&h);
    return f->head_only;
}

/* Whether all of the file is there; prepares what is to be stored of it. */
static bool salvage_is_whole(struct salvage_file *f)
{
    const struct journal_about *about = &f->note.about;
    if (about->kind == JOURNAL_RAW && buf_append(&f->head, about->head, about->head_len) < 0)
        return false;
    if (!extent_covers(&f->note.written, 0, f->size))
        return false;
    switch ((enum journal_kind)about->kind) {
    case JOURNAL_PLAIN:
        return true;
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
    bool whole = salvage_is_whole(f);
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
    s->files++;
    s->incomplete += !whole;
    s->bytes += f->size;
    return 0;
}

/* Looks at a journal and the file that it is of. */
static int salvage_file(struct salvage *s, int cache_fd, int mount_fd, const char *journal,
                        const char *store_id)
{
    struct stat st;
    char name[CACHE_NAME_SIZE] = "";
    size_t len = strlen(journal) - (sizeof(salvage_suffix) - 1);
    if (len >= sizeof(name))
        return 0;
    (void)snprintf(name, sizeof(name), "%.*s", (int)len, journal);
    struct salvage_file f = {.head = BUF_INIT((size_t)HEADER_BYTES_MAX + JOURNAL_HEAD_MAX)};
    CLEANUP(closep) int note = openat(mount_fd, journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP(closep) int fd = openat(mount_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (note < 0 || fd < 0 || fstat(fd, &st) < 0 || journal_read(note, &f.note) < 0)
        return 0; /* the bytes were stored or removed, or the journal never began */
    f.fd = fd;
    f.size = (uint64_t)st.st_size;
    extent_cut(&f.note.written, f.size);
    struct lost_bytes bytes = {.fd = fd, .dir_fd = mount_fd, .name = name};
    int r = f.note.dirty && f.size > 0 ? salvage_keep(s, &f, &bytes, cache_fd, store_id) : 0;
    extent_clear(&f.note.written);
    buf_fini(&f.head);
    return r;
}

/* Which store the mount was of; "" when it died before it said so, and then it wrote nothing. */
static void salvage_store(int mount_fd, char text[SALVAGE_STORE_MAX])
{
    CLEANUP(closep) int fd = openat(mount_fd, "store", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, SALVAGE_STORE_MAX - 1);
    text[MAX(n, (ssize_t)0)] = '\0';
}

bool salvage_mount(void *arg, int cache_fd, int mount_fd)
{
    struct salvage *s = arg;
    char store_id[SALVAGE_STORE_MAX];
    int left = 0;
    int fd = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        closep(&fd);
        return false;
    }
    salvage_store(mount_fd, store_id);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) { // NOLINT(concurrency-mt-unsafe)
        size_t len = strlen(e->d_name);
        if (len < sizeof(salvage_suffix) ||
            strcmp(e->d_name + len - (sizeof(salvage_suffix) - 1), salvage_suffix) != 0)
            continue;
        left += salvage_file(s, cache_fd, mount_fd, e->d_name, store_id) < 0;
    }
    (void)closedir(d);
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
