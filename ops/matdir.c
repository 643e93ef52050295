#include "ops/matdir.h"

#include "base/entries.h"
#include "matrix/json.h"
#include "ops/publish.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MATDIR_URI_MAX = 8192 };

static const char matdir_header[] = "header.json";

/* --- what is at a path --- */

static int matdir_open_dir(const char *path, int *ret_fd, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, -ENOENT, "%s: no such matrix", path);
    if (fd < 0 && errno == ENOTDIR)
        return err_set(err, -EINVAL, "%s: not a matrix: a matrix is a directory", path);
    if (fd < 0)
        return err_errno(err, -errno, "%s", path);
    *ret_fd = fd;
    return 0;
}

static bool matdir_has_file(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, 0) == 0 && S_ISREG(st.st_mode);
}

static int matdir_not_one(const char *path, int fd, struct err *err)
{
    (void)err_set(err, -EINVAL, "%s: not a matrix: it has no %s", path, matdir_header);
    if (matdir_has_file(fd, "header"))
        err_hint(err, "it holds stored objects, not files: mount them with bmfs");
    else if (matdir_has_file(fd, "block_0_0"))
        err_hint(err, "it holds blocks: write header.json, which says what they are blocks of");
    return -EINVAL;
}

static int matdir_identify_fd(int fd, struct matdir_id *ret)
{
    struct stat st;
    char uri[MATDIR_URI_MAX];
    if (fstat(fd, &st) != 0)
        return -errno;
    *ret = (struct matdir_id){.dev = st.st_dev, .ino = st.st_ino};
    ssize_t len = fgetxattr(fd, "user.bmfs.uri", uri, sizeof(uri));
    if (len > 0)
        ret->uri = strndup(uri, (size_t)len);
    return len > 0 && !ret->uri ? -ENOMEM : 0;
}

int matdir_identify(const char *path, struct matdir_id *ret, struct err *err)
{
    CLEANUP(closep) int fd = -1;
    int r = matdir_open_dir(path, &fd, err);
    if (r < 0)
        return r;
    if (faccessat(fd, matdir_header, F_OK, 0) != 0)
        return errno == ENOENT ? matdir_not_one(path, fd, err) : err_errno(err, -errno, "%s", path);
    r = matdir_identify_fd(fd, ret);
    return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

bool matdir_same(const struct matdir_id *a, const struct matdir_id *b)
{
    if (a->uri && b->uri)
        return strcmp(a->uri, b->uri) == 0;
    return a->dev == b->dev && a->ino == b->ino;
}

void matdir_id_fini(struct matdir_id *id)
{
    free(id->uri);
    id->uri = NULL;
}

/* --- opening --- */

/* The text of header.json, up to one byte more than a header may have. */
static int matdir_read_header(int dir, struct buf *text)
{
    CLEANUP(closep) int fd = openat(dir, matdir_header, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    for (;;) {
        enum { MATDIR_READ = 4096 };
        int r = buf_reserve(text, MATDIR_READ);
        if (r < 0)
            return r;
        ssize_t n = pread(fd, text->data + text->len, MATDIR_READ, (off_t)text->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        text->len += (size_t)n;
    }
}

/* header_parse() drops what the presented form says of itself. */
static int matdir_look_inferred(struct matdir *m, const struct buf *text, struct err *err)
{
    CLEANUP(json_freep) struct cJSON *root = NULL;
    int r = json_parse(buf_text(text), text->len, &root, err);
    m->inferred = r == 0 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "inferred"));
    return r;
}

int matdir_set_fill(struct matdir *m, struct number value, struct err *err)
{
    int r = element_set(m->header.dtype, value, m->fill, err);
    m->has_fill = m->fills_all = r == 0;
    return r;
}

static int matdir_header_fill(struct matdir *m, struct err *err)
{
    struct number value;
    const struct cJSON *fill = header_extra(&m->header, "fill_value");
    if (!fill || cJSON_IsNull(fill))
        return 0;
    int r = element_from_json(fill, &value, err);
    if (r == 0)
        r = element_set(m->header.dtype, value, m->fill, err);
    m->has_fill = r == 0;
    return r < 0 ? err_prefix(err, -EBADMSG, "fill_value") : 0;
}

static int matdir_load_header(struct matdir *m, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(2 * (size_t)HEADER_BYTES_MAX);
    int r = matdir_read_header(m->fd, &text);
    if (r == -ENOENT)
        return matdir_not_one(m->path, m->fd, err);
    if (r == -EMSGSIZE)
        return err_set(err, -EBADMSG, "%s/%s: longer than %d bytes", m->path, matdir_header,
                       HEADER_BYTES_MAX);
    if (r == -EBADMSG) {
        (void)err_set(err, r, "%s/%s: what is stored there makes no sense", m->path, matdir_header);
        err_hint(err, ".bmfs/errors of the mount says why; cat %s/header shows the bytes", m->path);
        return r;
    }
    if (r < 0)
        return err_errno(err, r == -EISDIR ? -EBADMSG : r, "%s/%s", m->path, matdir_header);
    r = header_parse(buf_text(&text), text.len, &m->header, err);
    if (r == 0)
        r = matdir_header_fill(m, err);
    if (r == 0)
        r = matdir_look_inferred(m, &text, err);
    return r < 0 ? err_prefix(err, r, "%s/%s", m->path, matdir_header) : 0;
}

int matdir_open(const char *path, struct matdir *ret, struct err *err)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    m.path = strdup(path);
    if (!m.path)
        return err_set(err, -ENOMEM, "out of memory");
    int r = matdir_open_dir(path, &m.fd, err);
    if (r == 0)
        r = matdir_load_header(&m, err);
    if (r < 0)
        return r;
    r = matdir_identify_fd(m.fd, &m.id);
    if (r < 0)
        return err_errno(err, r, "%s", path);
    *ret = m;
    m = MATDIR_NONE;
    return 0;
}

void matdir_close(struct matdir *m)
{
    closep(&m->fd);
    free(m->path);
    header_fini(&m->header);
    matdir_id_fini(&m->id);
    *m = MATDIR_NONE;
}

/* --- making --- */

/* Something is in the way: a matrix, which may have come to be just now, or what belongs to none.
 */
static int matdir_occupied(int fd, const char *name, struct err *err)
{
    if (faccessat(fd, matdir_header, F_OK, 0) == 0)
        return err_set(err, -EEXIST, "it is there already");
    return err_set(err, -EINVAL, "a directory that holds other files ('%s')", name);
}

struct matdir_empty {
    int fd;
    struct err *err;
    bool occupied; /* what the listing returned is the reason */
};

static int matdir_see(void *arg, const struct dirent *e)
{
    struct matdir_empty *empty = arg;
    if (publish_is_scratch(e->d_name))
        return 0;
    empty->occupied = true;
    return matdir_occupied(empty->fd, e->d_name, empty->err);
}

/* Whether a directory holds nothing that would become part of the matrix, or that a matrix cannot
 * hold. What is left of others' scratch files does not count. */
static int matdir_check_empty(int fd, struct err *err)
{
    struct matdir_empty empty = {.fd = fd, .err = err};
    int r = entries_each(fd, matdir_see, &empty);
    return r < 0 && !empty.occupied ? err_errno(err, r, "cannot list the directory") : r;
}

static int matdir_make_dir(const char *path, bool *ret_made, struct err *err)
{
    *ret_made = mkdir(path, 0777) == 0;
    if (*ret_made || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return err_errno(err, -errno, "cannot make the directory");
    (void)err_set(err, -EINVAL, "the directory around it does not exist");
    err_hint(err, "mkdir -p makes it");
    return -EINVAL;
}

int matdir_check_header(const struct header *header, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(2 * (size_t)HEADER_BYTES_MAX);
    struct header again = {0};
    struct err why = {0};
    int r = header_present(header, &text);
    if (r == 0)
        r = header_parse(buf_text(&text), text.len, &again, &why);
    header_fini(&again);
    if (r == -ENOMEM)
        return err_errno(err, r, "the header");
    return r < 0 ? err_set(err, -EINVAL, "no header can say that: %s",
                           why.msg[0] ? why.msg : strerrordesc_np(-r))
                 : 0;
}

int matdir_set_header(struct matdir *m, const struct header *header, struct err *err)
{
    struct header copy = {0};
    int r = header_copy(header, &copy);
    if (r < 0)
        return err_errno(err, r, "%s", m->path);
    header_fini(&m->header);
    m->header = copy;
    r = matdir_header_fill(m, err);
    return r < 0 ? err_prefix(err, r, "%s", m->path) : 0;
}

static int matdir_write_header(int dir, const struct header *header, bool replace, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(2 * (size_t)HEADER_BYTES_MAX);
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    int r = header_present(header, &text);
    if (r < 0)
        return err_errno(err, r, "cannot write the header");
    r = publish_begin(dir, &p, err);
    if (r < 0)
        return r;
    r = write_full(p.fd, text.data, text.len);
    if (r < 0)
        return err_errno(err, r, "cannot write");
    return replace ? publish_replace(&p, matdir_header, err) : publish_link(&p, matdir_header, err);
}

int matdir_replace_header(const struct matdir *m, const struct header *header, struct err *err)
{
    int r = matdir_write_header(m->fd, header, true, err);
    return r < 0 ? err_prefix(err, r, "%s", m->path) : 0;
}

static int matdir_make(const char *path, const struct header *header, struct err *err)
{
    bool made = false;
    CLEANUP(closep) int fd = -1;
    int r = grid_check(&header->grid, err);
    if (r == 0)
        r = matdir_make_dir(path, &made, err);
    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOTDIR)
        return err_set(err, -EINVAL, "a file is there, where a matrix is a directory");
    if (fd < 0)
        return err_errno(err, -errno, "cannot open the directory");
    if (!made)
        r = matdir_check_empty(fd, err);
    if (r == 0)
        r = matdir_write_header(fd, header, false, err);
    if (r < 0 && made)
        (void)rmdir(path); /* fails when another one was faster, and then should */
    return r;
}

int matdir_create(const char *path, const struct header *header, struct matdir *ret,
                  struct err *err)
{
    int r = matdir_make(path, header, err);
    return r < 0 ? err_prefix(err, r, "%s", path) : matdir_open(path, ret, err);
}

char matdir_triangle(const struct matdir *m)
{
    const char *says = cJSON_GetStringValue(header_extra(&m->header, "triangular"));
    if (says && strcmp(says, "lower") == 0)
        return 'l';
    return says && strcmp(says, "upper") == 0 ? 'u' : 0;
}

bool matdir_touches(const struct grid *g, char triangle, const int64_t *index)
{
    int far = triangle == 'l' ? 0 : 1; /* the axis along which the triangle lies behind the other */
    int64_t last = grid_block_start(g, far, index[far]) + grid_block_extent(g, far, index[far]) - 1;
    return last >= grid_block_start(g, 1 - far, index[1 - far]);
}

bool matdir_expects(const struct matdir *m, const int64_t *index)
{
    char triangle = matdir_triangle(m);
    return !triangle || !m->has_fill || m->header.grid.ndim != 2 ||
           matdir_touches(&m->header.grid, triangle, index);
}

bool matdir_fills(const struct matdir *m, const int64_t *index)
{
    bool all = m->fills_all || m->header.grid.ndim != 2 || !matdir_triangle(m);
    return m->has_fill && (all || !matdir_expects(m, index));
}

int matdir_sync(const struct matdir *m, struct err *err)
{
    if (fsync(m->fd) == 0 || errno == EINVAL || errno == ENOSYS)
        return 0;
    return err_errno(err, -errno, "%s: cannot sync", m->path);
}

char *matdir_beside(const char *path, const char *suffix)
{
    char *beside = NULL;
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    return asprintf(&beside, "%.*s%s", (int)end, path, suffix) >= 0 ? beside : NULL;
}
