#include "fs/lost.h"

#include "base/buf.h"
#include "base/entries.h"
#include "matrix/json.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reading the recovery folder. */

enum { LOST_NOTE_MAX = 64 << 10 };

void lost_entry_fini(struct lost_entry *e)
{
    free(e->store_id);
    free(e->key);
    free(e->reason);
    free(e->if_match);
    free(e->write_id);
    *e = (struct lost_entry){0};
}

/* "<time>-<random>": digits and lower-case hex, so that no name leads out of the folder. */
static bool lost_is_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && name[digits] == '-' && name[digits + 1] != '\0' &&
           strspn(name + digits + 1, "0123456789abcdef") == strlen(name + digits + 1) &&
           strlen(name) < LOST_NAME_SIZE;
}

static int lost_open_dir(int cache_fd)
{
    if (cache_fd < 0)
        return -ENOENT;
    int fd = openat(cache_fd, "lost", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int lost_open_file(int dir_fd, const char *name, const char *suffix)
{
    char path[LOST_NAME_SIZE + 8];
    (void)snprintf(path, sizeof(path), "%s%s", name, suffix);
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* A text of the note: a copy, or NULL when there is none. 0 or -ENOMEM. */
static int lost_text(const struct cJSON *json, const char *name, char **ret)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

static int lost_parse(const char *text, size_t len, struct lost_entry *ret)
{
    CLEANUP(json_freep) struct cJSON *json = NULL;
    const struct {
        const char *name;
        char **text;
    } field[] = {
        {"store", &ret->store_id},    {"key", &ret->key},           {"reason", &ret->reason},
        {"if_match", &ret->if_match}, {"write_id", &ret->write_id},
    };
    int r = json_reread(text, len, &json); /* keys and reasons are of any bytes */
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(field); i++)
        r = lost_text(json, field[i].name, field[i].text);
    if (r < 0)
        return r;
    ret->incomplete = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "incomplete"));
    return ret->store_id && ret->key && ret->reason && ret->write_id ? 0 : -EBADMSG;
}

static int lost_read_note(int dir_fd, const char *name, struct lost_entry *ret)
{
    struct stat st;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(LOST_NOTE_MAX);
    CLEANUP(closep) int fd = lost_open_file(dir_fd, name, ".json");
    if (fd < 0 || fstat(fd, &st) < 0)
        return fd < 0 ? fd : -errno;
    if (st.st_size <= 0 || st.st_size > LOST_NOTE_MAX)
        return -EBADMSG;
    int r = buf_reserve(&text, (size_t)st.st_size);
    if (r == 0)
        r = pread_full(fd, text.data, (size_t)st.st_size, 0);
    return r < 0 ? r : lost_parse(text.data, (size_t)st.st_size, ret);
}

/* Opens the bytes of an entry and reads its note. */
static int lost_open_at(int dir_fd, const char *name, struct lost_entry *ret)
{
    struct stat st;
    *ret = (struct lost_entry){0};
    CLEANUP(closep) int fd = lost_open_file(dir_fd, name, ".data");
    if (fd < 0 || fstat(fd, &st) < 0)
        return fd < 0 ? fd : -errno;
    int r = lost_read_note(dir_fd, name, ret);
    if (r < 0) {
        lost_entry_fini(ret);
        return r;
    }
    (void)snprintf(ret->name, sizeof(ret->name), "%s", name);
    ret->size = (uint64_t)st.st_size;
    ret->time_s = strtoll(name, NULL, 10);
    return TAKE_FD(fd);
}

int lost_open(int cache_fd, const char *name, struct lost_entry *ret)
{
    if (!lost_is_name(name))
        return -EINVAL;
    CLEANUP(closep) int dir_fd = lost_open_dir(cache_fd);
    return dir_fd < 0 ? dir_fd : lost_open_at(dir_fd, name, ret);
}

static int lost_by_name(const void *a, const void *b)
{
    return strcmp(a, b); /* the time comes first in a name, and has as many digits till 2286 */
}

/* Whether a file is the bytes of an entry; `name` receives the entry's name. */
static bool lost_is_data(const char *file, char name[LOST_NAME_SIZE])
{
    static const char suffix[] = ".data";
    size_t len = strlen(file);
    if (len < sizeof(suffix) || len - (sizeof(suffix) - 1) >= LOST_NAME_SIZE)
        return false;
    len -= sizeof(suffix) - 1;
    (void)snprintf(name, LOST_NAME_SIZE, "%.*s", (int)len, file);
    return strcmp(file + len, suffix) == 0 && lost_is_name(name);
}

struct lost_names {
    char (*name)[LOST_NAME_SIZE];
    int count;
};

static int lost_see(void *arg, const struct dirent *e)
{
    struct lost_names *n = arg;
    if (n->count < LOST_FILES_MAX)
        n->count += lost_is_data(e->d_name, n->name[n->count]);
    return 0;
}

/* Fills `name` with the names of all entries, in order. Returns how many there are, or -errno. */
static int lost_names(int dir_fd, char (*name)[LOST_NAME_SIZE])
{
    struct lost_names n = {.name = name};
    int r = entries_each(dir_fd, lost_see, &n);
    if (r < 0)
        return r;
    if (n.count > 0)
        qsort(name, (size_t)n.count, sizeof(*name), lost_by_name);
    return n.count;
}

int lost_each(int cache_fd, lost_fn *fn, void *arg)
{
    CLEANUP(closep) int dir_fd = lost_open_dir(cache_fd);
    if (dir_fd < 0)
        return dir_fd == -ENOENT ? 0 : dir_fd;
    char(*name)[LOST_NAME_SIZE] = calloc(LOST_FILES_MAX, sizeof(*name));
    int count = name ? lost_names(dir_fd, name) : -ENOMEM;
    int r = MIN(count, 0);
    int unread = 0; /* why one that may be an entry was passed over */
    for (int i = 0; r == 0 && i < count; i++) {
        struct lost_entry e;
        int fd = lost_open_at(dir_fd, name[i], &e);
        if (fd < 0) {
            bool none = fd == -ENOENT || fd == -EBADMSG || fd == -ELOOP;
            unread = none ? unread : fd;
            continue;
        }
        closep(&fd);
        r = fn(arg, &e);
        lost_entry_fini(&e);
    }
    free(name);
    return r != 0 ? r : unread;
}

/* The bytes go first: a note without them is no entry. */
int lost_drop(int cache_fd, const char *name)
{
    char path[LOST_NAME_SIZE + 8];
    if (!lost_is_name(name))
        return -EINVAL;
    CLEANUP(closep) int dir_fd = lost_open_dir(cache_fd);
    if (dir_fd < 0)
        return dir_fd;
    (void)snprintf(path, sizeof(path), "%s.data", name);
    if (unlinkat(dir_fd, path, 0) < 0)
        return -errno;
    (void)snprintf(path, sizeof(path), "%s.json", name);
    (void)unlinkat(dir_fd, path, 0);
    return 0;
}
