#include "ops/result.h"

#include "ops/inventory.h"

#include <errno.h>
#include <stdlib.h>

int result_init_empty(const struct matdir *m, struct result *ret, struct err *err)
{
    struct result r = {.m = m};
    int code = record_init(m, &r.record, err);
    if (code < 0)
        return code;
    size_t blocks = (size_t)grid_blocks(&m->header.grid) + 1;
    r.had = calloc(blocks, sizeof(*r.had));
    r.there = calloc(blocks, sizeof(*r.there));
    if (!r.had || !r.there) {
        result_fini(&r);
        return err_set(err, -ENOMEM, "%s: out of memory", m->path);
    }
    *ret = r;
    return 0;
}

int result_init(const struct matdir *m, struct result *ret, struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    int r = inventory_load(m, false, &in, err);
    if (r == 0)
        r = result_init_empty(m, ret, err);
    for (size_t i = 0; r == 0 && i < in.count; i++)
        ret->had[in.rank[i]] = ret->there[in.rank[i]] = true;
    return r;
}

void result_fini(struct result *r)
{
    free(r->had);
    free(r->there);
    record_fini(&r->record);
    *r = (struct result){0};
}
