#include "tools/walk.h"

#include "base/buf.h"
#include "base/entries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_PATH_MAX = 1 << 16 };

/* One directory on the way. */
struct walk_dir {
    int fd;
    struct buf names;  /* each with its NUL */
    const char **name; /* owned; ascending, into `names` */
    size_t count;
};

static void walk_dir_fini(struct walk_dir *d)
{
    closep(&d->fd);
    buf_fini(&d->names);
    free(d->name);
}

static int walk_compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static int walk_see(void *arg, const struct dirent *e)
{
    struct walk_dir *d = arg;
    bool can_be = e->d_type == DT_DIR || e->d_type == DT_LNK || e->d_type == DT_UNKNOWN;
    if (e->d_name[0] == '.' || !can_be)
        return 0;
    int r = buf_append(&d->names, e->d_name, strlen(e->d_name) + 1);
    d->count += r == 0;
    return r;
}

static int walk_dir_init(struct walk_dir *d, int at, const char *path)
{
    *d = (struct walk_dir){.names = BUF_INIT(WALK_NAMES_MAX)};
    d->fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        return -errno;
    int r = entries_each(d->fd, walk_see, d);
    if (r < 0)
        return r;
    d->name = calloc(d->count + 1, sizeof(*d->name));
    if (!d->name)
        return -ENOMEM;
    const char *p = buf_text(&d->names);
    for (size_t i = 0; i < d->count; i++, p += strlen(p) + 1)
        d->name[i] = p;
    qsort(d->name, d->count, sizeof(*d->name), walk_compare);
    return 0;
}

static bool walk_is_matrix(int at, const char *name)
{
    char header[NAME_MAX + sizeof("/header.json")];
    (void)stpcpy(stpcpy(header, name), "/header.json");
    return faccessat(at, header, F_OK, 0) == 0;
}

static bool walk_is_dir(int at, const char *name)
{
    struct stat st;
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* The path under way; `root` bytes of it are the start's. */
struct walk_state {
    const struct walk *w;
    struct buf path;
    size_t root;
    int depth;
};

static int walk_below(struct walk_state *s, int at, const char *name, struct err *err);

static int walk_entry(struct walk_state *s, const struct walk_dir *d, const char *name)
{
    size_t len = s->path.len;
    struct err err = {0};
    int r = buf_printf(&s->path, "%s%s", len > 0 && s->path.data[len - 1] == '/' ? "" : "/", name);
    if (r < 0)
        return r;
    if (walk_is_matrix(d->fd, name)) {
        const char *below = buf_text(&s->path) + s->root;
        r = s->w->matrix(s->w->arg, buf_text(&s->path), below + (*below == '/'));
    } else if (walk_is_dir(d->fd, name)) {
        int code = s->depth < WALK_DEPTH_MAX
                       ? walk_below(s, d->fd, name, &err)
                       : err_set(&err, -ELOOP, "%s: deeper than %d directories", buf_text(&s->path),
                                 WALK_DEPTH_MAX);
        if (code < 0 && err.msg[0])
            s->w->trouble(s->w->arg, code, &err);
        else
            r = code;
    }
    s->path.len = len;
    s->path.data[len] = '\0';
    return r;
}

/* A directory; without a message in `err` the code is one of matrix(). */
static int walk_below(struct walk_state *s, int at, const char *name, struct err *err)
{
    CLEANUP(walk_dir_fini) struct walk_dir d = {.fd = -1};
    int r = walk_dir_init(&d, at, name);
    if (r < 0)
        return err_errno(err, r, "%s", buf_text(&s->path));
    s->depth++;
    for (size_t i = 0; r >= 0 && i < d.count; i++)
        r = walk_entry(s, &d, d.name[i]);
    s->depth--;
    return r;
}

int walk_run(const struct walk *w, const char *path, struct err *err)
{
    struct walk_state s = {.w = w, .path = BUF_INIT(WALK_PATH_MAX), .root = strlen(path)};
    int r = buf_puts(&s.path, path);
    if (r == 0)
        r = walk_below(&s, AT_FDCWD, path, err);
    buf_fini(&s.path);
    return r;
}
