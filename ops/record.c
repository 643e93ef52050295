#include "ops/record.h"

#include "matrix/name.h"
#include "ops/job.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_DIGITS = 8 };

static const char record_job[] = "made_by";
static const char record_field[] = "crc32c";

/* Eight digits, or -1. */
static int64_t record_parse(const char *text)
{
    int64_t crc = 0;
    for (int i = 0; i < RECORD_DIGITS; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *at = text[i] ? strchr(digits, text[i]) : NULL;
        if (!at)
            return -1;
        crc = crc * 16 + (at - digits);
    }
    return crc;
}

/* Adds what a header says to what is not known yet. */
static void record_read(struct record *r, const struct header *h, size_t blocks)
{
    const char *text = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(header_extra(h, record_job), record_field));
    if (!text || strlen(text) != blocks * RECORD_DIGITS)
        return;
    for (size_t i = 0; i < blocks; i++) {
        if (r->of[i] < 0)
            r->of[i] = record_parse(text + i * RECORD_DIGITS);
    }
}

int record_init(const struct matdir *m, struct record *ret, struct err *err)
{
    int64_t blocks = grid_blocks(&m->header.grid);
    *ret = (struct record){0};
    if (blocks > RECORD_BLOCKS_MAX || !header_extra(&m->header, record_job))
        return 0;
    ret->of = malloc(sizeof(*ret->of) * ((size_t)blocks + 1));
    if (!ret->of)
        return err_set(err, -ENOMEM, "%s: out of memory", m->path);
    for (int64_t i = 0; i < blocks; i++)
        ret->of[i] = -1;
    record_read(ret, &m->header, (size_t)blocks);
    return 0;
}

int record_check(struct record *r, const struct matdir *m, const int64_t *index, uint32_t crc,
                 struct err *err)
{
    char name[NAME_FILE_SIZE];
    int64_t rank = grid_rank(&m->header.grid, index);
    int64_t was = r->of ? r->of[rank] : -1;
    if (was < 0 || was == crc)
        return 0;
    r->lost = rank + 1;
    (void)err_set(err, -EBADMSG,
                  "%s/%s: made again, it is not the block that was lost (CRC-32C %08x, was %08x)",
                  m->path, name_file(m->header.grid.ndim, index, name), crc, (unsigned)was);
    return -EBADMSG;
}

void record_set(struct record *r, const struct matdir *m, const int64_t *index, uint32_t crc)
{
    if (r->of)
        r->of[grid_rank(&m->header.grid, index)] = crc;
}

/* Sets the field in a header; false when it is there already, or memory has run out. */
static bool record_write(const struct record *r, struct header *h, size_t blocks)
{
    CLEANUP(freep) char *text = malloc(blocks * RECORD_DIGITS + 1);
    struct cJSON *job = cJSON_Duplicate(header_extra(h, record_job), true);
    const char *was = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(job, record_field));
    for (size_t i = 0; text && i < blocks; i++) {
        char *at = text + i * RECORD_DIGITS;
        if (r->of[i] < 0)
            (void)snprintf(at, RECORD_DIGITS + 1, "--------");
        else
            (void)snprintf(at, RECORD_DIGITS + 1, "%08x", (unsigned)r->of[i]);
    }
    bool fresh = text && blocks > 0 && (!was || strcmp(was, text) != 0);
    if (fresh) {
        cJSON_DeleteItemFromObjectCaseSensitive(job, record_field);
        fresh = cJSON_AddStringToObject(job, record_field, text) &&
                header_set_extra(h, record_job, &job) == 0;
    }
    cJSON_Delete(job);
    return fresh;
}

void record_save(const struct record *r, const struct matdir *m)
{
    CLEANUP(matdir_close) struct matdir now = MATDIR_NONE;
    struct record all = {.of = r->of};
    size_t blocks = (size_t)grid_blocks(&m->header.grid);
    if (!r->of || matdir_open(m->path, &now, NULL) < 0 || !matdir_same(&m->id, &now.id) ||
        job_check(m->path, &now.header, &m->header, NULL) < 0)
        return; /* or it has been begun anew, by another job, while this run was asleep */
    record_read(&all, &now.header, blocks);
    if (record_write(&all, &now.header, blocks))
        (void)matdir_replace_header(&now, &now.header, NULL);
}

void record_fini(struct record *r)
{
    free(r->of);
    r->of = NULL;
}
