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
    (void)cJSON_AddNumberToObject(root, "cut", GRAIN_CUT);
    (void)cJSON_AddStringToObject(root, "library", kernel_version());
    (void)cJSON_AddStringToObject(root, "core", kernel_core());
    (void)cJSON_AddItemToObject(root, "inputs", job_inputs(job));
    int r = root ? header_set_extra(h, job_field, &root) : -ENOMEM;
    return r < 0 ? err_errno(err, r, "cannot describe the run") : 0;
}

/* A parameter as options are written: 2.5, 1+2j, l. */
static const char *job_print(const struct cJSON *item, struct buf *text)
{
    const struct cJSON *re = cJSON_GetArrayItem(item, 0);
    const struct cJSON *im = cJSON_GetArrayItem(item, 1);
    int r = 0;
    if (!item)
        return "none";
    if (cJSON_IsString(item))
        return item->valuestring;
    if (!cJSON_IsNumber(re) || !cJSON_IsNumber(im))
        r = json_print(item, text);
    else if (im->valuedouble == 0)
        r = json_print(re, text);
    else
        r = buf_printf(text, "%.17g%+.17gj", re->valuedouble, im->valuedouble);
    return r < 0 ? "?" : buf_text(text);
}

static const char *job_text(const struct cJSON *object, const char *field)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, field));
    return text ? text : "none";
}

/* One input that is another, or another version of the same. */
static int job_input_differs(const char *path, const struct cJSON *there, const struct cJSON *now,
                             struct err *err)
{
    const char *name = job_text(now, "name");
    if (strcmp(job_text(there, "name"), name) != 0)
        return err_set(err, -EINVAL, "%s: it was begun with the input %s, not %s", path,
                       job_text(there, "name"), name);
    return err_set(err, -EINVAL,
                   "%s: its input %s changed since it was begun: blocks of it are new or gone",
                   path, name);
}

static int job_inputs_differ(const char *path, const struct cJSON *there, const struct cJSON *now,
                             struct err *err)
{
    int old = cJSON_GetArraySize(there);
    int count = cJSON_GetArraySize(now);
    for (int i = 0; old == count && i < count; i++) {
        const struct cJSON *a = cJSON_GetArrayItem(there, i);
        const struct cJSON *b = cJSON_GetArrayItem(now, i);
        if (!cJSON_Compare(a, b, true))
            return job_input_differs(path, a, b, err);
    }
    return err_set(err, -EINVAL, "%s: it was begun with %d input matrices, not %d", path, old,
                   count);
}

/* Fields of a job that are no options, in words. */
static const char *job_word(const char *field)
{
    static const char *const word[][2] = {{"operation", "by bm"},
                                          {"grain", "with the grain"},
                                          {"cut", "with pieces of kind"},
                                          {"library", "with"},
                                          {"core", "on a core like"}};
    for (size_t i = 0; i < ARRAY_SIZE(word); i++) {
        if (strcmp(field, word[i][0]) == 0)
            return word[i][1];
    }
    return NULL;
}

static int job_differs(const char *path, const struct cJSON *there, const struct cJSON *now,
                       struct err *err)
{
    CLEANUP(buf_fini) struct buf old = BUF_INIT(JOB_TEXT_MAX);
    CLEANUP(buf_fini) struct buf new = BUF_INIT(JOB_TEXT_MAX);
    const char *word = job_word(now->string);
    if (strcmp(now->string, "inputs") == 0)
        (void)job_inputs_differ(path, there, now, err);
    else
        (void)err_set(err, -EINVAL, "%s: it was begun %s%s %s, not %s", path,
                      word ? word : "with --", word ? "" : now->string, job_print(there, &old),
                      job_print(now, &new));
    err_hint(err, "--force deletes it and begins anew");
    return -EINVAL;
}

/* What was made, which is none of the things that a run was begun with. */
static bool job_is_record(const struct cJSON *field)
{
    return strcmp(field->string, "crc32c") == 0;
}

/* What was begun with a field that there is not now, as a sum on the way is ("sum"). */
static const struct cJSON *job_further(const struct cJSON *there, const struct cJSON *now)
{
    const struct cJSON *item = NULL;
    cJSON_ArrayForEach(item, there)
    {
        if (!job_is_record(item) && !cJSON_GetObjectItemCaseSensitive(now, item->string))
            return item;
    }
    return NULL;
}

/* cJSON_Compare() takes neighbouring numbers for equal. */
static bool job_same(const struct cJSON *a, const struct cJSON *b)
{
    if (!cJSON_Compare(a, b, true))
        return false;
    if (cJSON_IsNumber(a))
        return a->valuedouble == b->valuedouble;
    if (!cJSON_IsArray(a))
        return true;
    const struct cJSON *y = b->child;
    for (const struct cJSON *x = a->child; x && y; x = x->next, y = y->next) {
        if (!job_same(x, y))
            return false;
    }
    return true;
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
        if (!job_is_record(item) && (!was || !job_same(was, item)))
            return job_differs(path, was, item, err);
    }
    item = job_further(old, new);
    if (item) {
        (void)err_set(err, -EINVAL, "%s: it was begun with '%s', which this command has not", path,
                      item->string);
        err_hint(err, "--force deletes it and begins anew");
        return -EINVAL;
    }
    return 0;
}

const char *job_core(const struct header *there)
{
    return cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(header_extra(there, job_field), "core"));
}
