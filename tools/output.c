#include "tools/output.h"

#include "ops/inventory.h"
#include "ops/remove.h"
#include "ops/sums.h"

#include <errno.h>
#include <stdio.h>

static int output_is_input(const struct output *o, const struct matdir_id *id, struct err *err)
{
    for (int i = 0; i < o->inputs; i++) {
        const struct matdir *m = o->input[i];
        if (m && matdir_same(&m->id, id))
            return err_set(err, -EINVAL, "%s: the output is an input too (%s)", o->path, m->path);
    }
    return 0;
}

/* 1: a matrix is there that may be deleted; 0: nothing is; or as output_check(). */
static int output_look(const struct output *o, struct err *err)
{
    CLEANUP(matdir_id_fini) struct matdir_id id = {0};
    struct err ignored = {0};
    int r = matdir_identify(o->path, &id, &ignored);
    if (r == -ENOENT || r == -EINVAL)
        return 0; /* whether what is there can become a matrix is matdir_create()'s to say */
    if (r < 0) {
        if (err)
            *err = ignored;
        return r;
    }
    r = output_is_input(o, &id, err);
    if (r < 0 || o->force || o->resume)
        return r < 0 ? r : 1;
    (void)err_set(err, -EEXIST, "%s: it exists already", o->path);
    err_hint(err, o->resumes ? "--resume goes on with it, --force deletes it first"
                             : "--force deletes it first");
    return -EEXIST;
}

int output_check(const struct output *o, struct err *err)
{
    int r = output_look(o, err);
    return r < 0 ? r : 0;
}

/* What an earlier run has left beside an output of that name is not taken up. */
static void output_clear_sums(const char *path)
{
    CLEANUP(freep) char *sums = sums_place(path);
    (void)sums_remove(sums, NULL);
}

int output_make(const struct output *o, const struct header *header, struct matdir *ret,
                struct err *err)
{
    struct remove_count count;
    int r = output_look(o, err);
    if (r >= 0 && matdir_check_header(header, err) < 0)
        return err_prefix(err, -EINVAL, "%s", o->path);
    if (r > 0 && o->force)
        r = remove_matrix(o->path, false, NULL, &count, err);
    if (r >= 0)
        r = matdir_create(o->path, header, ret, err);
    if (r == 0)
        output_clear_sums(o->path);
    return r;
}

void output_is_incomplete(const struct output *o, struct err *err)
{
    if (!err->hint[0])
        err_hint(err, "%s is incomplete: remove it, or start again with --force", o->path);
}

void output_is_resumable(const struct output *o, struct err *err)
{
    char stored[OUTPUT_STORED_SIZE];
    if (!err->hint[0])
        err_hint(err, "%s is incomplete%s: the same command with --resume goes on", o->path,
                 output_stored(o->path, stored));
}

const char *output_stored(const char *path, char dst[OUTPUT_STORED_SIZE])
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    CLEANUP(inventory_fini) struct inventory in = {0};
    dst[0] = '\0';
    if (matdir_open(path, &m, NULL) == 0 && inventory_load(&m, false, &in, NULL) == 0)
        (void)snprintf(dst, OUTPUT_STORED_SIZE, ", %zu of %lld blocks are stored", in.count,
                       (long long)in.missing + (long long)in.count);
    return dst;
}
