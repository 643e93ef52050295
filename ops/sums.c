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
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SUMS_FILES_MIN = 512 }; /* descriptors that a process may have: 64 are for sums */

static const char sums_job[] = "made_by";
static const char sums_field[] = "sum";

/* --- names and headers --- */

/* Whether the directory that a path leads to lies on the same file system as the one around it:
 * else it is the root of a mount, and what lies beside it is elsewhere. */
static bool sums_fits_beside(const char *real)
{
    struct stat own;
    struct stat around;
    CLEANUP(freep) char *parent = matdir_beside(real, "/..");
    return parent && stat(real, &own) == 0 && stat(parent, &around) == 0 &&
           own.st_dev == around.st_dev;
}

/* "C.sums", whichever way leads to C. */
char *sums_place(const char *path)
{
    CLEANUP(freep) char *real = realpath(path, NULL);
    return real && sums_fits_beside(real) ? matdir_beside(real, ".sums") : NULL;
}

/* "C.sums/3" */
static char *sums_path(const char *dir, int64_t number)
{
    char *path = NULL;
    return asprintf(&path, "%s/%lld", dir, (long long)number) >= 0 ? path : NULL;
}

/* The header of a sum of `out`. 0 or -ENOMEM. */
static int sums_header(const struct matdir *out, int64_t number, int64_t count, struct header *ret)
{
    const int of[] = {(int)number, (int)count};
    const struct cJSON *made_by = header_extra(&out->header, sums_job);
    struct cJSON *job = made_by ? cJSON_Duplicate(made_by, true) : cJSON_CreateObject();
    struct cJSON *which = cJSON_CreateIntArray(of, 2);
    struct header h = {.grid = out->header.grid, .dtype = out->header.dtype};
    int r = -ENOMEM;
    cJSON_DeleteItemFromObjectCaseSensitive(job, "crc32c"); /* of the result's blocks */
    if (cJSON_AddItemToObject(job, sums_field, which))
        r = header_set_extra(&h, sums_job, &job);
    else
        cJSON_Delete(which);
    cJSON_Delete(job);
    if (r < 0)
        header_fini(&h);
    else
        *ret = h;
    return r;
}

static bool sums_is_one(const struct header *h)
{
    return cJSON_GetObjectItemCaseSensitive(header_extra(h, sums_job), sums_field);
}

/* The same, where there are descriptors for all of them. */
static char *sums_place_to_use(const char *path)
{
    struct rlimit files;
    bool enough = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur >= SUMS_FILES_MIN;
    return enough ? sums_place(path) : NULL;
}

/* --- making --- */

/* Whether the sum at a path is there, after what is there of another job was deleted. */
static bool sums_is_there(const char *path, const struct header *want)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    if (matdir_open(path, &m, NULL) < 0)
        return false;
    if (job_check(path, &m.header, want, NULL) == 0)
        return true;
    if (sums_is_one(&m.header))
        (void)remove_remains(path, NULL);
    return false;
}

/* What cannot be made is not. */
static void sums_make_one(const char *dir, const struct matdir *out, int64_t number, int64_t count)
{
    struct header h = {0};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    CLEANUP(freep) char *path = sums_path(dir, number);
    if (!path || sums_header(out, number, count, &h) < 0)
        return;
    if (!sums_is_there(path, &h))
        (void)matdir_create(path, &h, &m, NULL); /* or another run of the job is quicker */
    header_fini(&h);
}

/* Whether a matrix of the user's has the place. */
static bool sums_is_matrix(const char *dir)
{
    struct matdir_id id = {0};
    int r = matdir_identify(dir, &id, NULL);
    matdir_id_fini(&id);
    return r == 0;
}

void sums_make(const struct matdir *out, int64_t count)
{
    CLEANUP(freep) char *dir = sums_place_to_use(out->path);
    if (!dir || (mkdir(dir, 0777) != 0 && errno != EEXIST) || sums_is_matrix(dir))
        return;
    for (int64_t i = 0; i < count; i++)
        sums_make_one(dir, out, i, count);
}

/* --- looking --- */

/* Opens a sum, if it is there and of this job. */
static bool sums_open(const char *dir, int64_t number, const struct header *want,
                      struct matdir *ret)
{
    CLEANUP(freep) char *path = dir ? sums_path(dir, number) : NULL;
    if (!path || matdir_open(path, ret, NULL) < 0)
        return false;
    if (job_check(path, &ret->header, want, NULL) == 0)
        return true;
    matdir_close(ret);
    return false;
}

/* One that is not there, or cannot be listed, is as the result, without a block. */
static int sums_load_one(const struct matdir *out, const char *dir, int64_t number, struct sums *s,
                         struct err *err)
{
    struct matdir *m = &s->m[number];
    struct result *r = &s->result[number];
    struct header h = {0};
    if (sums_header(out, number, s->count, &h) < 0)
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    bool there = sums_open(dir, number, &h, m);
    m->watch = out->watch;
    if (there && result_init(m, r, NULL) == 0) {
        header_fini(&h);
        r->scratch = true;
        return 0;
    }
    if (there)
        matdir_close(m);
    *m = (struct matdir){.path = strdup(out->path), .fd = -1, .header = h, .watch = out->watch};
    if (!m->path)
        return err_set(err, -ENOMEM, "%s: out of memory", out->path);
    int code = result_init_empty(m, r, err);
    r->scratch = true;
    return code;
}

int sums_load(const struct matdir *out, int64_t count, bool fresh, struct sums *ret,
              struct err *err)
{
    int r = 0;
    CLEANUP(freep) char *dir = fresh ? NULL : sums_place_to_use(out->path);
    struct sums s = {.count = count};
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
        r = sums_load_one(out, dir, i, &s, err);
    if (r < 0)
        sums_fini(&s);
    else
        *ret = s;
    return r;
}

void sums_only_there(struct sums *s)
{
    for (int64_t i = 0; i < s->count; i++)
        s->result[i].absent = s->m[i].fd < 0;
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

/* --- removing --- */

static int sums_see(void *arg, const struct dirent *e)
{
    bool *there = arg;
    char *end = NULL;
    unsigned long number = strtoul(e->d_name, &end, 10);
    if (end != e->d_name && !*end && number < SUM_SPANS_MAX)
        there[number] = true;
    return 0;
}

static int sums_remove_one(const char *path, struct err *err)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    if (matdir_open(path, &m, NULL) < 0) {
        (void)rmdir(path); /* where a removal was cut short nothing but that is left */
        return 0;
    }
    return sums_is_one(&m.header) ? remove_remains(path, err) : 0;
}

int sums_remove(const char *place, struct err *err)
{
    bool there[SUM_SPANS_MAX] = {false};
    bool taken = !place || sums_is_matrix(place);
    CLEANUP(closep) int fd = taken ? -1 : open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 ? entries_each(fd, sums_see, there) : 0;
    if (fd < 0)
        return 0;
    if (r < 0)
        return err_errno(err, r, "%s: cannot list the directory", place);
    for (int64_t i = 0; r == 0 && i < SUM_SPANS_MAX; i++) {
        CLEANUP(freep) char *one = there[i] ? sums_path(place, i) : NULL;
        r = one ? sums_remove_one(one, err) : 0;
    }
    if (r == 0)
        (void)rmdir(place); /* fails when something else is there, and then should */
    return r;
}

int sums_finish(const struct matdir *out, const struct sums *s, struct err *err)
{
    int r = 0;
    CLEANUP(freep) char *place = sums_place(out->path);
    /* Their headers may be gone, when another run has ended, and blocks of this one be there. */
    for (int64_t i = 0; r == 0 && i < s->count; i++)
        r = s->m[i].fd >= 0 ? remove_remains(s->m[i].path, err) : 0;
    return r < 0 ? r : sums_remove(place, err);
}
