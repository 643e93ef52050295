#include "ops/sums.h"

#include "base/entries.h"
#include "ops/job.h"
#include "ops/remove.h"
#include "ops/sum.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char sums_job[] = "made_by";
static const char sums_field[] = "sum";

/* --- names and headers --- */

/* "C.sums", or "C.sums/3"; for the caller to free. NULL without memory. */
static char *sums_dir(const char *path)
{
    return matdir_beside(path, ".sums");
}

static char *sums_path(const char *path, int64_t number)
{
    char *name = NULL;
    CLEANUP(freep) char *dir = sums_dir(path);
    return dir && asprintf(&name, "%s/%lld", dir, (long long)number) >= 0 ? name : NULL;
}

/* The header of a sum of `out`. 0 or -ENOMEM. */
static int sums_header(const struct matdir *out, int64_t number, int64_t count, struct header *ret)
{
    const int of[] = {(int)number, (int)count};
    const struct cJSON *made_by = header_extra(&out->header, sums_job);
    struct cJSON *job = made_by ? cJSON_Duplicate(made_by, true) : cJSON_CreateObject();
    int r = header_copy(&out->header, ret);
    cJSON_DeleteItemFromObjectCaseSensitive(job, "crc32c"); /* of the result's blocks */
    if (r == 0 && !cJSON_AddItemToObject(job, sums_field, cJSON_CreateIntArray(of, 2)))
        r = -ENOMEM;
    if (r == 0)
        r = header_set_extra(ret, sums_job, &job);
    cJSON_Delete(job);
    if (r < 0)
        header_fini(ret);
    return r;
}

static bool sums_is_one(const struct header *h)
{
    return cJSON_GetObjectItemCaseSensitive(header_extra(h, sums_job), sums_field);
}

/* --- making --- */

static int sums_refuse(const char *path, struct err *err)
{
    (void)err_set(err, -EEXIST, "%s: a matrix is where sums are kept on the way", path);
    err_hint(err, "give it another name, or the result");
    return -EEXIST;
}

/* What is at the path of a sum: 1: it is there; 0: nothing is, any more; or -errno. */
static int sums_clear(const char *path, const struct header *want, struct err *err)
{
    struct remove_count ignored;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    int r = matdir_open(path, &m, err);
    if (r == -ENOENT || r == -EINVAL) { /* matdir_create() says whether it can become one */
        err_clear(err);
        return 0;
    }
    if (r < 0)
        return r;
    if (job_check(path, &m.header, want, NULL) == 0)
        return 1;
    return sums_is_one(&m.header) ? remove_matrix(path, false, NULL, &ignored, err)
                                  : sums_refuse(path, err);
}

static int sums_make_one(const struct matdir *out, int64_t number, int64_t count, struct err *err)
{
    struct header h = {0};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    CLEANUP(freep) char *path = sums_path(out->path, number);
    if (!path || sums_header(out, number, count, &h) < 0)
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    int r = sums_clear(path, &h, err);
    if (r == 0)
        r = matdir_create(path, &h, &m, err);
    if (r == -EEXIST && sums_clear(path, &h, err) == 1) /* another run of the job was quicker */
        r = 0;
    header_fini(&h);
    return MIN(r, 0);
}

int sums_make(const struct matdir *out, int64_t count, struct err *err)
{
    int r = 0;
    CLEANUP(freep) char *dir = sums_dir(out->path);
    if (!dir)
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return err_errno(err, -errno, "%s: cannot make the directory", dir);
    for (int64_t i = 0; r == 0 && i < count; i++)
        r = sums_make_one(out, i, count, err);
    return r;
}

/* --- looking --- */

/* One that is there is opened; else it is as the result, without a block. */
static int sums_load_one(const struct matdir *out, bool fresh, int64_t number, struct sums *s,
                         struct err *err)
{
    struct matdir *m = &s->m[number];
    struct header h = {0};
    CLEANUP(freep) char *path = sums_path(out->path, number);
    if (!path || sums_header(out, number, s->count, &h) < 0)
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    bool there = !fresh && matdir_open(path, m, NULL) == 0;
    if (there && job_check(path, &m->header, &h, NULL) < 0) {
        matdir_close(m);
        there = false;
    }
    if (there) {
        header_fini(&h);
    } else {
        *m = (struct matdir){.path = TAKE(path), .fd = -1, .header = h};
        s->whole = false;
    }
    m->watch = out->watch;
    struct result *r = &s->result[number];
    int code = there ? result_init(m, r, err) : result_init_empty(m, r, err);
    r->scratch = true;
    return code;
}

int sums_load(const struct matdir *out, int64_t count, bool fresh, struct sums *ret,
              struct err *err)
{
    int r = 0;
    struct sums s = {.count = count, .whole = true};
    s.m = calloc((size_t)count + 1, sizeof(*s.m));
    s.result = calloc((size_t)count + 1, sizeof(*s.result));
    if (!s.m || !s.result) {
        free(s.m);
        free(s.result);
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    }
    for (int64_t i = 0; i < count; i++)
        s.m[i] = MATDIR_NONE;
    for (int64_t i = 0; r == 0 && i < count; i++)
        r = sums_load_one(out, fresh, i, &s, err);
    if (r < 0)
        sums_fini(&s);
    else
        *ret = s;
    return r;
}

void sums_fini(struct sums *s)
{
    for (int64_t i = 0; i < s->count; i++) {
        result_fini(&s->result[i]);
        matdir_close(&s->m[i]);
    }
    free(s->result);
    free(s->m);
    *s = (struct sums){0};
}

/* --- all that are there --- */

static int sums_see(void *arg, const struct dirent *e)
{
    bool *there = arg;
    char *end = NULL;
    unsigned long number = strtoul(e->d_name, &end, 10);
    if (end != e->d_name && !*end && number < SUM_SPANS_MAX)
        there[number] = true;
    return 0;
}

/* Calls fn with the path of each; there may be none. 0, -errno, or what fn returned but 0. */
static int sums_each(const char *path, int (*fn)(const char *path, struct err *err),
                     struct err *err)
{
    bool there[SUM_SPANS_MAX] = {false};
    CLEANUP(freep) char *dir = sums_dir(path);
    CLEANUP(closep) int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int r = fd >= 0 ? entries_each(fd, sums_see, there) : 0;
    if (!dir)
        return err_set(err, -ENOMEM, "%s: out of memory", path);
    if (r < 0)
        return err_errno(err, r, "%s: cannot list the directory", dir);
    for (int64_t i = 0; r == 0 && i < SUM_SPANS_MAX; i++) {
        CLEANUP(freep) char *one = there[i] ? sums_path(path, i) : NULL;
        r = one ? fn(one, err) : 0;
    }
    return r;
}

static int sums_check_one(const char *path, struct err *err)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    bool other = matdir_open(path, &m, NULL) == 0 && !sums_is_one(&m.header);
    return other ? sums_refuse(path, err) : 0;
}

int sums_check(const char *path, struct err *err)
{
    return sums_each(path, sums_check_one, err);
}

static int sums_remove_one(const char *path, struct err *err)
{
    struct remove_count ignored;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    if (matdir_open(path, &m, NULL) < 0) {
        (void)rmdir(path); /* where a removal was cut short nothing but that is left */
        return 0;
    }
    if (!sums_is_one(&m.header))
        return 0;
    int r = remove_matrix(path, false, NULL, &ignored, err);
    return r == -ENOENT ? 0 : r;
}

int sums_remove(const char *path, struct err *err)
{
    int r = sums_each(path, sums_remove_one, err);
    CLEANUP(freep) char *dir = sums_dir(path);
    if (r == 0 && dir)
        (void)rmdir(dir); /* fails when something else is there, and then should */
    return r;
}
