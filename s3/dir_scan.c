#include "s3/dir_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIR_SCAN_TEXT_MAX = 512 << 20, /* bytes of names of one directory */
    DIR_SCAN_LOOKS_MAX = 1000,     /* names that dir_scan_any() looks at */
    DIR_SCAN_LEVELS_MAX = 16,      /* directories that it goes down */
};

enum dir_scan_kind { DIR_SCAN_OTHER, DIR_SCAN_FILE, DIR_SCAN_DIR };

/* One directory of the key, which may be several on disk when it holds long names. */
struct dir_scan {
    dir_scan_want_fn *want;
    void *arg;
    struct dir_names *names;
    char part[STORE_KEY_MAX + DIR_PATH_NAME_MAX + 2]; /* the pieces so far, as in the key */
    size_t part_len;
    char path[DIR_PATH_SIZE]; /* the same as names on disk */
    size_t path_len;
};

static void dir_scan_closep(DIR *const *stream)
{
    if (*stream)
        (void)closedir(*stream);
}

/* Opens a directory for readdir(); NULL with errno. */
static DIR *dir_scan_stream(int at, const char *name)
{
    int fd = dir_walk_open(at, name, O_RDONLY);
    if (fd < 0) {
        errno = -fd;
        return NULL;
    }
    DIR *stream = fdopendir(fd);
    if (!stream)
        closep(&fd);
    return stream;
}

struct dirent *dir_scan_next(DIR *stream)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream is never shared, and that is safe in glibc */
    return readdir(stream);
}

/* A dir_scan_kind, or the kernel's code. A link counts as a file; whether it leads to one is seen
 * when it is needed. */
static int dir_scan_kind(int fd, const struct dirent *e)
{
    struct stat st;
    unsigned char type = e->d_type;
    if (type == DT_UNKNOWN) {
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return errno == ENOENT ? DIR_SCAN_OTHER : -errno;
        type = IFTODT(st.st_mode);
    }
    if (type == DT_DIR)
        return DIR_SCAN_DIR;
    return type == DT_REG || type == DT_LNK ? DIR_SCAN_FILE : DIR_SCAN_OTHER;
}

/* True if the part is stored just where it was found: its pieces may be valid, but not needed. */
static bool dir_scan_is_canonical(const struct dir_scan *s, const char *name, size_t len)
{
    if (s->part_len == 0)
        return true;
    char path[DIR_PATH_SIZE];
    size_t n = dir_path_encode(s->part, len, path);
    return n == s->path_len + strlen(name) && memcmp(path, s->path, s->path_len) == 0 &&
           memcmp(path + s->path_len, name, n - s->path_len) == 0;
}

static int dir_scan_read(struct dir_scan *s, int fd);

/* Reads on inside of a directory that holds a piece of `n` bytes of longer names. */
static int dir_scan_piece(struct dir_scan *s, int fd, const char *name, size_t n)
{
    size_t part_len = s->part_len;
    size_t path_len = s->path_len;
    size_t name_len = strlen(name);
    if (part_len + n > STORE_KEY_MAX)
        return 0;
    memcpy(s->path + path_len, name, name_len);
    s->path[path_len + name_len] = '/';
    s->path_len += name_len + 1;
    s->part_len += n;
    CLEANUP(closep) int below = dir_walk_open(fd, name, O_PATH);
    int r = below < 0 ? below : dir_scan_read(s, below);
    s->part_len = part_len;
    s->path_len = path_len;
    return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int dir_scan_entry(struct dir_scan *s, int fd, const struct dirent *e)
{
    bool more = false;
    int n = dir_path_decode(e->d_name, s->part + s->part_len, &more);
    int kind = n < 0 ? DIR_SCAN_OTHER : dir_scan_kind(fd, e);
    if (kind < 0)
        return kind;
    if (kind == DIR_SCAN_OTHER || (more && kind != DIR_SCAN_DIR))
        return 0;
    if (more)
        return dir_scan_piece(s, fd, e->d_name, (size_t)n);
    size_t len = s->part_len + (size_t)n;
    if (len > STORE_KEY_MAX || !dir_scan_is_canonical(s, e->d_name, len))
        return 0;
    if (kind == DIR_SCAN_DIR)
        s->part[len++] = '/';
    s->part[len] = '\0';
    if (!s->want(s->arg, s->part))
        return 0;
    s->names->entries++;
    return buf_append(&s->names->text, s->part, len + 1);
}

static int dir_scan_read(struct dir_scan *s, int fd)
{
    CLEANUP(dir_scan_closep) DIR *stream = dir_scan_stream(fd, "");
    if (!stream)
        return -errno;
    for (;;) {
        errno = 0;
        const struct dirent *e = dir_scan_next(stream);
        if (!e)
            return -errno;
        int r = dir_scan_entry(s, fd, e);
        if (r < 0)
            return r;
    }
}

static int dir_scan_compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

/* Finds the names in the text, sorts them, and drops what the kernel told twice. */
static int dir_scan_sort(struct dir_names *names)
{
    names->entry = calloc(MAX(names->entries, (size_t)1), sizeof(*names->entry));
    if (!names->entry)
        return -ENOMEM;
    const char *text = buf_text(&names->text);
    for (size_t i = 0; i < names->entries; i++) {
        names->entry[i] = text;
        text += strlen(text) + 1;
    }
    qsort(names->entry, names->entries, sizeof(*names->entry), dir_scan_compare);
    size_t kept = 0;
    for (size_t i = 0; i < names->entries; i++) {
        if (kept == 0 || strcmp(names->entry[kept - 1], names->entry[i]) != 0)
            names->entry[kept++] = names->entry[i];
    }
    names->entries = kept;
    return 0;
}

int dir_scan(int fd, dir_scan_want_fn *want, void *arg, struct dir_names *ret)
{
    *ret = (struct dir_names){.text = BUF_INIT(DIR_SCAN_TEXT_MAX)};
    struct dir_scan s = {.want = want, .arg = arg, .names = ret};
    int r = dir_scan_read(&s, fd);
    if (r == 0)
        r = dir_scan_sort(ret);
    if (r < 0)
        dir_scan_fini(ret);
    return r;
}

void dir_scan_fini(struct dir_names *names)
{
    buf_fini(&names->text);
    freep(&names->entry);
    *names = (struct dir_names){0};
}

/* One search of dir_scan_any(). */
struct dir_scan_search {
    const struct dir *d;
    int looks; /* left */
    int levels;
};

static bool dir_scan_any_below(struct dir_scan_search *s, int at, const char *path);

/* True if the name is an object, or a directory with one; also when that cannot be seen. */
static bool dir_scan_any_at(struct dir_scan_search *s, int fd, const struct dirent *e)
{
    char part[DIR_PATH_NAME_MAX];
    char file[PATH_MAX];
    struct stat st;
    bool more = false;
    if (--s->looks < 0)
        return true;
    if (dir_path_decode(e->d_name, part, &more) < 0)
        return false;
    int kind = dir_scan_kind(fd, e);
    if (kind == DIR_SCAN_FILE)
        return dir_object_find(s->d, fd, e->d_name, file, &st) != -ENOENT;
    if (kind == DIR_SCAN_DIR)
        return dir_scan_any_below(s, fd, e->d_name);
    return kind < 0;
}

static bool dir_scan_any_below(struct dir_scan_search *s, int at, const char *path)
{
    if (s->levels == 0)
        return true;
    CLEANUP(dir_scan_closep) DIR *stream = dir_scan_stream(at, path);
    if (!stream)
        return errno != ENOENT && errno != ENOTDIR;
    s->levels--;
    bool found = false;
    while (!found) {
        errno = 0;
        const struct dirent *e = dir_scan_next(stream);
        if (!e) {
            found = errno != 0;
            break;
        }
        found = dir_scan_any_at(s, dirfd(stream), e);
    }
    s->levels++;
    return found;
}

bool dir_scan_any(const struct dir *d, int fd)
{
    struct dir_scan_search s = {.d = d, .looks = DIR_SCAN_LOOKS_MAX, .levels = DIR_SCAN_LEVELS_MAX};
    return dir_scan_any_below(&s, fd, "");
}
