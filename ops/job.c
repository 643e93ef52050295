#include "ops/job.h"

#include "matrix/json.h"
#include "ops/grain.h"
#include "ops/kernel.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { JOB_TEXT_MAX = 1 << 16, JOB_DIGEST_SIZE = 17 };

static const char job_field[] = "made_by";

/* A matrix's own name: where it lies may differ between machines. */
static const char *job_name(const struct matdir *m, char dst[NAME_MAX + 1])
{
    size_t end = strlen(m->path);
    while (end > 1 && m->path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && m->path[start - 1] != '/')
        start--;
    (void)snprintf(dst, NAME_MAX + 1, "%.*s", (int)(end - start), m->path + start);
    return dst;
}

static struct cJSON *job_inputs(const struct job *job)
{
    char name[NAME_MAX + 1];
    char digest[JOB_DIGEST_SIZE];
    struct cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list && i < ARRAY_SIZE(job->input); i++) {
        const struct stamps *s = job->input[i];
        struct cJSON *item = s ? cJSON_CreateObject() : NULL;
        if (!item)
            continue;
        (void)snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)s->digest);
        (void)cJSON_AddStringToObject(item, "name", job_name(s->m, name));
        (void)cJSON_AddStringToObject(item, "digest", digest);
        (void)cJSON_AddItemToArray(list, item);
    }
    return list;
}

int job_describe(const struct job *job, struct header *h, struct err *err)
{
    CLEANUP(json_freep) struct cJSON *root = cJSON_CreateObject();
    const struct cJSON *parameter = NULL;
    (void)cJSON_AddStringToObject(root, "operation", job->operation);
    cJSON_ArrayForEach(parameter, job->parameters)(void)
        cJSON_AddItemToObject(root, parameter->string, cJSON_Duplicate(parameter, true));
    (void)cJSON_AddNumberToObject(root, "grain", GRAIN);
    (void)cJSON_AddStringToObject(root, "library", kernel_version());
    (void)cJSON_AddStringToObject(root, "core", kernel_core());
    (void)cJSON_AddItemToObject(root, "inputs", job_inputs(job));
    int r = root ? header_set_extra(h, job_field, &root) : -ENOMEM;
    return r < 0 ? err_errno(err, r, "cannot describe the run") : 0;
}

static const char *job_print(const struct cJSON *item, struct buf *text)
{
    if (!item)
        return "none";
    return json_print(item, text) < 0 ? "?" : buf_text(text);
}

static int job_differs(const char *path, const struct cJSON *there, const struct cJSON *now,
                       struct err *err)
{
    CLEANUP(buf_fini) struct buf old = BUF_INIT(JOB_TEXT_MAX);
    CLEANUP(buf_fini) struct buf new = BUF_INIT(JOB_TEXT_MAX);
    if (strcmp(now->string, "inputs") == 0)
        (void)err_set(err, -EINVAL, "%s: an input changed since it was begun: %s, now %s", path,
                      job_print(there, &old), job_print(now, &new));
    else
        (void)err_set(err, -EINVAL, "%s: it was begun with %s %s, not %s", path, now->string,
                      job_print(there, &old), job_print(now, &new));
    err_hint(err, "--force deletes it and begins anew");
    return -EINVAL;
}

static int job_refuse(const char *path, const char *why, struct err *err)
{
    (void)err_set(err, -EINVAL, "%s: %s", path, why);
    err_hint(err, "--resume goes on with what the same command began");
    return -EINVAL;
}

int job_check(const char *path, const struct header *there, const struct header *now,
              struct err *err)
{
    const struct cJSON *old = header_extra(there, job_field);
    const struct cJSON *new = header_extra(now, job_field);
    const struct cJSON *item = NULL;
    if (!header_equal(there, now))
        return job_refuse(path, "it has another shape, type or blocks than the result", err);
    if (!old || !new)
        return job_refuse(path, "its header does not say what made it", err);
    cJSON_ArrayForEach(item, new)
    {
        const struct cJSON *was = cJSON_GetObjectItemCaseSensitive(old, item->string);
        if (!was || !cJSON_Compare(was, item, true))
            return job_differs(path, was, item, err);
    }
    return 0;
}

const char *job_core(const struct header *there)
{
    return cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(header_extra(there, job_field), "core"));
}
