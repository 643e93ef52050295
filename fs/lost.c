#include "fs/lost.h"

#include "fs/cache_dir.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOST_COPY = 1 << 20, LOST_RANDOM_SIZE = 13 };

static bool lost_is_full(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        closep(&fd);
        return false;
    }
    int files = 0;
    while (readdir(d)) // NOLINT(concurrency-mt-unsafe): d is this thread's own
        files++;
    (void)closedir(d);
    return files >= LOST_FILES_MAX;
}

static int lost_write_note(int dir_fd, const char *name, const struct lost_note *note)
{
    cJSON *json = cJSON_CreateObject();
    if (!json || !cJSON_AddStringToObject(json, "store", note->store_id) ||
        !cJSON_AddStringToObject(json, "key", note->key) ||
        !cJSON_AddStringToObject(json, "write_id", note->write_id) ||
        !cJSON_AddStringToObject(json, "reason", note->reason) ||
        !cJSON_AddBoolToObject(json, "incomplete", note->incomplete) ||
        (note->if_match && !cJSON_AddStringToObject(json, "if_match", note->if_match))) {
        cJSON_Delete(json);
        return -ENOMEM;
    }
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text)
        return -ENOMEM;
    CLEANUP(closep) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : write_full(fd, text, strlen(text));
    if (r == 0)
        r = fsync(fd) < 0 ? -errno : 0;
    cJSON_free(text);
    return r;
}

/* Writes the head and all bytes of the file anew. */
static int lost_copy(const struct lost_bytes *b, const struct lost_note *note, int dir_fd,
                     const char *name)
{
    CLEANUP(closep) int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CLEANUP(freep) char *step = malloc(LOST_COPY);
    if (fd < 0 || !step)
        return fd < 0 ? -errno : -ENOMEM;
    int r = write_full(fd, note->head, note->head_len);
    off_t at = 0;
    while (r == 0 && b->fd >= 0) {
        ssize_t n = pread(b->fd, step, LOST_COPY, at);
        if (n <= 0) {
            r = n < 0 ? -errno : 0;
            break;
        }
        r = write_full(fd, step, (size_t)n);
        at += n;
    }
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r;
}

/* Moves the file, or copies it when a head goes before it or it is nobody's private file. */
static int lost_move(const struct lost_bytes *b, const struct lost_note *note, int dir_fd,
                     const char *name)
{
    if (note->head_len > 0 || !b->name)
        return lost_copy(b, note, dir_fd, name);
    if (fsync(b->fd) < 0 || renameat(b->dir_fd, b->name, dir_fd, name) < 0)
        return -errno;
    return 0;
}

/* The note comes first: bytes without one would be nobody's. */
static int lost_write(const struct lost_bytes *b, const struct lost_note *note, int dir_fd,
                      const char *name)
{
    char json[LOST_NAME_SIZE + 8];
    char data[LOST_NAME_SIZE + 8];
    (void)snprintf(json, sizeof(json), "%s.json", name);
    (void)snprintf(data, sizeof(data), "%s.data", name);
    int r = lost_write_note(dir_fd, json, note);
    if (r == 0)
        r = lost_move(b, note, dir_fd, data);
    if (r < 0) {
        (void)unlinkat(dir_fd, data, 0);
        (void)unlinkat(dir_fd, json, 0);
        return r;
    }
    (void)fsync(dir_fd); /* both are there in any case; this makes them outlive the machine */
    return 0;
}

int lost_keep_bytes(int cache_fd, const struct lost_bytes *bytes, const struct lost_note *note,
                    char ret_name[LOST_NAME_SIZE], struct err *err)
{
    char id[LOST_RANDOM_SIZE];
    CLEANUP(closep) int dir_fd = -1;
    int r = cache_dir_sub(cache_fd, "lost", &dir_fd);
    if (r < 0)
        return err_errno(err, r, "cannot keep the bytes in the recovery folder");
    if (lost_is_full(dir_fd))
        return err_set(err, -EDQUOT, "the recovery folder is full");
    r = random_hex(id, sizeof(id));
    if (r == 0) {
        (void)snprintf(ret_name, LOST_NAME_SIZE, "%lld-%s", (long long)time(NULL), id);
        r = lost_write(bytes, note, dir_fd, ret_name);
    }
    return r < 0 ? err_errno(err, r, "cannot keep the bytes in the recovery folder") : 0;
}

int lost_keep(struct cache *c, struct cache_file *f, const struct lost_note *note, char *ret_name,
              size_t size, struct err *err)
{
    char name[LOST_NAME_SIZE];
    struct lost_bytes bytes = {
        .fd = f->fd, .dir_fd = cache_mount_fd(c), .name = f->name[0] ? f->name : NULL};
    int r = lost_keep_bytes(cache_dir_fd(c), &bytes, note, name, err);
    if (r < 0)
        return err_prefix(err, r, "%s", cache_dir(c));
    if (note->head_len == 0)
        f->name[0] = '\0';
    if (ret_name)
        (void)snprintf(ret_name, size, "%s", name);
    return 0;
}
