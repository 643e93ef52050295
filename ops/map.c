#include "ops/map.h"

#include "base/lock.h"
#include "base/pool.h"
#include "matrix/name.h"
#include "ops/block.h"
#include "ops/child.h"
#include "ops/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAP_ENV_MAX = 1 << 12, MAP_LAST_MAX = 300 };

/* --- checks --- */

int map_check(const struct matdir *a, const struct header *b, struct err *err)
{
    const struct grid *g = &a->header.grid;
    if (b->grid.ndim != g->ndim)
        return err_set(err, -EINVAL, "%s: %d axes, where the output would have %d", a->path,
                       g->ndim, b->grid.ndim);
    int r = grid_check(&b->grid, err);
    for (int k = 0; r == 0 && k < g->ndim; k++) {
        if (grid_axis_blocks(g, k) != grid_axis_blocks(&b->grid, k))
            r = err_set(err, -EINVAL,
                        "%s: %lld blocks along axis %d, where the output would have %lld", a->path,
                        (long long)grid_axis_blocks(g, k), k,
                        (long long)grid_axis_blocks(&b->grid, k));
    }
    return r;
}

static bool map_can_run(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

int map_find(const char *name, char **ret_path, struct err *err)
{
    const char *list = getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nobody sets it
    char *path = NULL;
    if (strchr(name, '/')) {
        if (!map_can_run(name))
            return err_set(err, -EINVAL, "%s: no program that can be run", name);
        path = strdup(name);
        *ret_path = path;
        return path ? 0 : -ENOMEM;
    }
    for (const char *p = list ? list : "/usr/bin:/bin"; *p; p += *p == ':') {
        size_t len = strcspn(p, ":");
        if (asprintf(&path, "%.*s%s%s", (int)len, p, len > 0 ? "/" : "./", name) < 0)
            return -ENOMEM;
        if (map_can_run(path)) {
            *ret_path = path;
            return 0;
        }
        freep(&path);
        p += len;
    }
    return err_set(err, -EINVAL, "%s: no such program in PATH", name);
}

/* --- a run --- */

struct map_job {
    const struct matdir *a, *b;
    const struct map *map;
    char *path; /* owned: the program */

    pthread_mutex_t mu;
    /* guarded by mu: */
    int64_t next; /* rank of the block to be started next */
    int code;     /* of the first failure; no block is started after it */
    struct err *err;
    struct map_result *result;
};

static void map_fail(struct map_job *job, int code, const struct err *err, const char *tail)
{
    LOCK_SCOPE(&job->mu);
    job->result->failed++;
    if (job->code < 0)
        return;
    job->code = code;
    if (job->err)
        *job->err = *err;
    (void)snprintf(job->result->tail, sizeof(job->result->tail), "%s", tail);
}

/* The next block, or -1. */
static int64_t map_take(struct map_job *job)
{
    LOCK_SCOPE(&job->mu);
    if (job->code < 0 || job->next == grid_blocks(&job->a->header.grid))
        return -1;
    return job->next++;
}

/* --- the environment --- */

/* Variables of a block: texts in one buffer, and the list for the program. */
struct map_env {
    struct buf text;
    char **list; /* owned; its strings are not */
};

static void map_env_fini(struct map_env *e)
{
    buf_fini(&e->text);
    free(e->list);
}

/* "NAME=2 0" and a NUL. */
static int map_env_numbers(struct buf *b, const char *name, int n, const int64_t *number)
{
    int r = buf_printf(b, "%s=", name);
    for (int k = 0; r == 0 && k < n; k++)
        r = buf_printf(b, "%s%lld", k > 0 ? " " : "", (long long)number[k]);
    return r < 0 ? r : buf_append(b, "", 1);
}

static int map_env_texts(const struct grid *g, const int64_t *index, struct buf *b)
{
    char name[NAME_FILE_SIZE];
    int64_t start[GRID_NDIM_MAX];
    for (int k = 0; k < g->ndim; k++)
        start[k] = grid_block_start(g, k, index[k]);
    int r = buf_printf(b, "BM_BLOCK=%s", name_file(g->ndim, index, name));
    if (r == 0)
        r = buf_append(b, "", 1);
    if (r == 0)
        r = map_env_numbers(b, "BM_INDEX", g->ndim, index);
    if (r == 0)
        r = map_env_numbers(b, "BM_START", g->ndim, start);
    if (r == 0)
        r = map_env_numbers(b, "BM_SHAPE", g->ndim, g->shape);
    if (r == 0)
        r = map_env_numbers(b, "BM_I", 1, index);
    if (r == 0 && g->ndim > 1)
        r = map_env_numbers(b, "BM_J", 1, index + 1);
    return r;
}

/* Whether one of our texts sets the variable that `inherited` does. */
static bool map_env_is_ours(const struct buf *text, const char *inherited)
{
    size_t name = strcspn(inherited, "=") + 1;
    for (size_t at = 0; at < text->len; at += strlen(text->data + at) + 1) {
        if (strncmp(text->data + at, inherited, name) == 0)
            return true;
    }
    return false;
}

static int map_env_init(struct map_env *e, const struct grid *g, const int64_t *index)
{
    size_t n = 0;
    *e = (struct map_env){.text = BUF_INIT(MAP_ENV_MAX)};
    int r = map_env_texts(g, index, &e->text);
    if (r < 0)
        return r;
    for (size_t at = 0; at < e->text.len; at++)
        n += e->text.data[at] == '\0';
    for (char **v = environ; *v; v++)
        n++;
    e->list = calloc(n + 1, sizeof(*e->list));
    if (!e->list)
        return -ENOMEM;
    n = 0;
    for (size_t at = 0; at < e->text.len; at += strlen(e->text.data + at) + 1)
        e->list[n++] = e->text.data + at;
    for (char **v = environ; *v; v++) {
        if (!map_env_is_ours(&e->text, *v))
            e->list[n++] = *v;
    }
    return 0;
}

/* --- one block --- */

/* A missing block as a file in memory. */
static int map_fill(const struct matdir *a, const int64_t *index, int *ret_fd, struct err *err)
{
    CLEANUP(closep) int fd = memfd_create("bm-map", MFD_CLOEXEC);
    int64_t n = grid_block_elements(&a->header.grid, index);
    if (fd < 0)
        return err_errno(err, -errno, "no memory for a file");
    CLEANUP(freep) void *block = block_alloc(a, n, err);
    if (!block)
        return -ENOMEM;
    element_fill(a->header.dtype, a->fill, (size_t)n, block);
    int r = block_write(fd, a, index, block, err);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = err_errno(err, -errno, "cannot seek");
    if (r == 0)
        *ret_fd = TAKE_FD(fd);
    return r;
}

/* The file that the program reads. */
static int map_open(const struct matdir *a, const int64_t *index, int *ret_fd, struct err *err)
{
    struct block b = BLOCK_NONE;
    int r = block_open_if_there(a, index, &b, err);
    if (r == 0)
        return map_fill(a, index, ret_fd, err);
    if (r < 0)
        return r;
    *ret_fd = b.fd;
    watch_read(a->watch, b.npy.data_len);
    return 0;
}

/* Whether what was written is the block. */
static int map_check_output(const struct matdir *b, const int64_t *index, int fd, struct err *err)
{
    unsigned char head[NPY_HEAD_MAX];
    struct npy npy;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_errno(err, -errno, "cannot stat the output");
    size_t len = (size_t)MIN((uint64_t)st.st_size, (uint64_t)sizeof(head));
    if (len == 0)
        return err_set(err, -ECHILD, "the command wrote nothing");
    int r = pread_full(fd, head, len, 0);
    if (r < 0)
        return err_errno(err, r, "cannot read the output");
    r = npy_parse(head, len, &npy, err);
    if (r == 0)
        r = npy_check_block(&npy, (uint64_t)st.st_size, &b->header.grid, b->header.dtype, index,
                            err);
    return r < 0 ? err_prefix(err, -ECHILD, "the command's output") : 0;
}

/* Bytes that a block of B has at most. */
static uint64_t map_size_max(const struct matdir *b, const int64_t *index)
{
    return NPY_HEAD_MAX +
           (uint64_t)grid_block_elements(&b->header.grid, index) * b->header.dtype.size;
}

/* The end of what a program said. */
struct map_said {
    char tail[MAP_TAIL_MAX + 1];
};

/* Runs the program with the block's file and a scratch file. */
static int map_spawn(const struct map_job *job, const int64_t *index, int out,
                     struct map_said *said, struct err *err)
{
    CLEANUP(map_env_fini) struct map_env env = {0};
    CLEANUP(closep) int in = -1;
    int r = map_env_init(&env, &job->a->header.grid, index);
    if (r < 0)
        return err_errno(err, r, "cannot set the environment");
    r = map_open(job->a, index, &in, err);
    if (r < 0)
        return r;
    const struct child c = {.path = job->path,
                            .argv = job->map->argv,
                            .env = env.list,
                            .in = in,
                            .out = out,
                            .out_max = map_size_max(job->b, index),
                            .tail = said->tail,
                            .tail_size = sizeof(said->tail)};
    return child_run(&c, err);
}

/* One try. -ECHILD, without the block's name, when it is the program's fault. */
static int map_try(const struct map_job *job, const int64_t *index, struct map_said *said,
                   struct err *err)
{
    char name[NAME_FILE_SIZE];
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    (void)name_file(job->b->header.grid.ndim, index, name);
    int r = publish_begin(job->b->fd, &p, err);
    if (r < 0)
        return err_prefix(err, r, "%s/%s", job->b->path, name);
    r = map_spawn(job, index, p.fd, said, err);
    if (r == 0)
        r = map_check_output(job->b, index, p.fd, err);
    if (r < 0)
        return r;
    r = publish_link(&p, name, err);
    return r < 0 ? err_prefix(err, r, "%s/%s", job->b->path, name) : 0;
}

/* The last line of a text that says anything, without what could not be printed. */
static void map_last_line(const char *tail, char *dst, size_t size)
{
    size_t end = strlen(tail);
    while (end > 0 && (unsigned char)tail[end - 1] <= ' ')
        end--;
    size_t start = end;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    (void)snprintf(dst, size, "%.*s", (int)MIN(end - start, size - 1), tail + start);
}

/* "A/block_2_0: the command ended with exit status 1 (try 3 of 3): ValueError: bad" */
static void map_explain(const struct map_job *job, const int64_t *index, const char *tail,
                        struct err *err)
{
    char name[NAME_FILE_SIZE];
    char last[MAP_LAST_MAX];
    struct err why = *err;
    int tries = job->map->retries + 1;
    map_last_line(tail, last, sizeof(last));
    (void)err_set(err, 0, "%s/%s: %s", job->a->path,
                  name_file(job->a->header.grid.ndim, index, name), why.msg);
    if (tries > 1)
        (void)err_set(&why, 0, "%s (try %d of %d)", err->msg, tries, tries);
    else
        why = *err;
    (void)err_set(err, 0, "%s%s%s", why.msg, last[0] ? ": " : "", last);
}

static void map_block(struct map_job *job, int64_t rank)
{
    int64_t index[GRID_NDIM_MAX];
    struct map_said said = {0};
    struct err err = {0};
    int r = -ECHILD;
    grid_unrank(&job->a->header.grid, rank, index);
    for (int try = 0; r == -ECHILD && try <= job->map->retries; try++) {
        err_clear(&err);
        r = map_try(job, index, &said, &err);
        LOCK_SCOPE(&job->mu);
        job->result->retried += try > 0;
        job->result->done += r == 0;
    }
    if (r == -ECHILD)
        map_explain(job, index, said.tail, &err);
    if (r < 0)
        map_fail(job, r, &err, said.tail);
    else
        watch_written(job->b->watch, (uint64_t)grid_block_elements(&job->b->header.grid, index) *
                                         job->b->header.dtype.size);
    watch_done(job->b->watch, r == 0);
}

static void map_work(void *arg)
{
    struct map_job *job = arg;
    for (int64_t rank = map_take(job); rank >= 0; rank = map_take(job))
        map_block(job, rank);
}

static int map_start(struct map_job *job, int workers, struct pool **ret, struct err *err)
{
    int r = pool_new("map", workers, workers, ret);
    for (int k = 0; r == 0 && k < workers; k++)
        r = pool_submit(*ret, map_work, job);
    return r < 0 ? err_errno(err, r, "cannot start threads") : 0;
}

int map_run(const struct matdir *a, const struct map *map, const struct matdir *b,
            struct map_result *ret, struct err *err)
{
    struct pool *pool = NULL;
    struct map_job job = {
        .a = a, .b = b, .map = map, .mu = PTHREAD_MUTEX_INITIALIZER, .err = err, .result = ret};
    int64_t blocks = grid_blocks(&a->header.grid);
    int workers = (int)MIN(blocks, (int64_t)map->jobs);
    *ret = (struct map_result){0};
    watch_steps(b->watch, blocks);
    int r = map_find(map->argv[0], &job.path, err);
    if (r == 0 && workers > 0)
        r = map_start(&job, workers, &pool, err);
    pool_free(pool); /* waits for all */
    free(job.path);
    (void)pthread_mutex_destroy(&job.mu);
    if (job.code < 0)
        return job.code;
    return r < 0 ? r : matdir_sync(b, err);
}
