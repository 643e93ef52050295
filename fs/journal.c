#include "fs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    JOURNAL_NAME_SIZE = CACHE_NAME_SIZE + 8,
    JOURNAL_UNKNOWN = JOURNAL_RANGES_MAX + 1, /* as a count */
};

static const char journal_magic[8] = "bmfsjn1";

struct journal_ranges {
    uint64_t count; /* or JOURNAL_UNKNOWN */
    struct extent_range range[JOURNAL_RANGES_MAX];
};

/* The file. Of each pair the word before it says which one counts. */
struct journal_file {
    char magic[sizeof(journal_magic)];
    _Atomic uint32_t dirty;
    _Atomic uint32_t about_at;
    _Atomic uint32_t ranges_at;
    uint32_t unused;
    struct journal_about about[2];
    struct journal_ranges ranges[2];
};

struct journal {
    struct journal_file *file; /* mapped */
    int dir_fd;                /* borrowed: the mount's folder */
    char name[JOURNAL_NAME_SIZE];
};

int journal_begin(struct cache *c, const char *store_id)
{
    CLEANUP(closep)
    int fd = openat(cache_mount_fd(c), "store", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : write_full(fd, store_id, strlen(store_id));
}

/* Makes and maps the file. Its disk space is taken now: a full disk met by a store into the mapping
 * would be SIGBUS. */
static int journal_map(struct journal *j)
{
    CLEANUP(closep)
    int fd = openat(j->dir_fd, j->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = posix_fallocate(fd, 0, sizeof(*j->file));
    if (r != 0)
        return -r;
    void *at = mmap(NULL, sizeof(*j->file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    j->file = at;
    return 0;
}

int journal_new(struct cache *c, const struct cache_file *f, const struct journal_about *about,
                struct journal **ret)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (!j)
        return -ENOMEM;
    j->dir_fd = cache_mount_fd(c);
    (void)snprintf(j->name, sizeof(j->name), "%s.note", f->name);
    int r = journal_map(j);
    if (r < 0) {
        (void)unlinkat(j->dir_fd, j->name, 0);
        free(j);
        return r;
    }
    journal_set_about(j, about);
    memcpy(j->file->magic, journal_magic, sizeof(journal_magic));
    *ret = j;
    return 0;
}

void journal_set_about(struct journal *j, const struct journal_about *about)
{
    uint32_t other = !j->file->about_at;
    j->file->about[other] = *about;
    j->file->about_at = other;
}

void journal_set_dirty(struct journal *j, const struct extent *written)
{
    uint32_t other = !j->file->ranges_at;
    struct journal_ranges *r = &j->file->ranges[other];
    bool known = !written->lost && written->count <= JOURNAL_RANGES_MAX;
    r->count = known ? written->count : JOURNAL_UNKNOWN;
    if (known && written->count > 0)
        memcpy(r->range, written->range, written->count * sizeof(r->range[0]));
    j->file->ranges_at = other;
    j->file->dirty = 1;
}

void journal_set_clean(struct journal *j)
{
    j->file->dirty = 0;
}

void journal_abandon(struct journal *j)
{
    if (!j)
        return;
    (void)munmap(j->file, sizeof(*j->file));
    free(j);
}

void journal_free(struct journal *j)
{
    if (!j)
        return;
    (void)unlinkat(j->dir_fd, j->name, 0);
    journal_abandon(j);
}

static bool journal_is_text(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool journal_is_about(const struct journal_about *a)
{
    return journal_is_text(a->key, sizeof(a->key)) && a->key[0] &&
           journal_is_text(a->if_match, sizeof(a->if_match)) &&
           journal_is_text(a->write_id, sizeof(a->write_id)) && a->kind <= JOURNAL_RAW &&
           a->head_len <= sizeof(a->head);
}

/* Ranges that are not ascending and apart are not what a journal holds: then none is known. */
static int journal_read_ranges(const struct journal_ranges *r, struct extent *ret)
{
    uint64_t end = 0;
    *ret = (struct extent){.lost = r->count > JOURNAL_RANGES_MAX};
    for (uint64_t i = 0; !ret->lost && i < r->count; i++) {
        if (r->range[i].from < end || r->range[i].to <= r->range[i].from) {
            extent_clear(ret);
            ret->lost = true;
        } else if (extent_add(ret, r->range[i].from, r->range[i].to) < 0) {
            extent_clear(ret);
            return -ENOMEM;
        }
        end = r->range[i].to;
    }
    return 0;
}

size_t journal_file_size(void)
{
    return sizeof(struct journal_file);
}

int journal_read(int fd, struct journal_note *ret)
{
    struct stat st;
    CLEANUP(freep) struct journal_file *file = malloc(sizeof(*file));
    if (!file)
        return -ENOMEM;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size != sizeof(*file))
        return -EBADMSG;
    int r = pread_full(fd, file, sizeof(*file), 0);
    if (r < 0)
        return r;
    const struct journal_about *about = &file->about[file->about_at & 1];
    if (memcmp(file->magic, journal_magic, sizeof(journal_magic)) != 0 || !journal_is_about(about))
        return -EBADMSG;
    *ret = (struct journal_note){.about = *about, .dirty = file->dirty};
    return journal_read_ranges(&file->ranges[file->ranges_at & 1], &ret->written);
}
