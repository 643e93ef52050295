#include "tools/cmd.h"
#include "tools/text.h"

#include "matrix/json.h"
#include "ops/inventory.h"

#include <cjson/cJSON.h>
#include <stdio.h>

static const struct opts_item cmd_info_item[] = {CMD_JSON};

static const struct opts_command cmd_info_opts = {
    .name = "bm-info",
    .summary = "describe a matrix",
    .synopsis = "[OPTION]... A\n",
    .text =
        "Says what the header of A says, which of its blocks are there, and what they take. Lists\n"
        "the directory once and opens no block.",
    .item = cmd_info_item,
    .items = ARRAY_SIZE(cmd_info_item),
    .operands_min = 1,
    .operands_max = 1,
    .examples = "bm-info /mnt/bm/A\n"
                "bm-info --json /mnt/bm/A | jq .blocks.missing\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-ls(1)",
};

static void cmd_info_blocks(const struct header *h, int64_t *ret)
{
    for (int a = 0; a < h->grid.ndim; a++)
        ret[a] = grid_axis_blocks(&h->grid, a);
}

/* The further fields of a header, one line each. */
static void cmd_info_extra(const struct header *h)
{
    const struct cJSON *item = h->extra ? h->extra->child : NULL;
    for (; item; item = item->next) {
        CLEANUP(buf_fini) struct buf text = BUF_INIT(HEADER_BYTES_MAX);
        char name[TEXT_NAME_SIZE];
        if (json_print(item, &text) == 0)
            (void)printf("%s: %s\n", text_name(item->string, name), buf_text(&text));
    }
}

static void cmd_info_print(const struct matdir *m, const struct inventory *in)
{
    const struct header *h = &m->header;
    int64_t blocks[GRID_NDIM_MAX];
    char text[TEXT_SIZES_SIZE];
    char name[TEXT_NAME_SIZE];
    char bytes[TEXT_BYTES_SIZE];
    char descr[DTYPE_TEXT_SIZE];
    uint64_t logical = (uint64_t)grid_elements(&h->grid) * h->dtype.size;
    cmd_info_blocks(h, blocks);
    (void)printf("matrix: %s\n", text_name(m->path, name));
    (void)printf("shape: %s\n", text_sizes(h->grid.shape, h->grid.ndim, text));
    (void)printf("block: %s\n", text_sizes(h->grid.shard, h->grid.ndim, text));
    (void)printf("grid: %s\n", text_sizes(blocks, h->grid.ndim, text));
    (void)printf("dtype: %s (%s)\n", dtype_name(h->dtype), dtype_descr(h->dtype, descr));
    (void)printf("blocks: %zu of %lld (%lld missing)\n", in->count, (long long)in->total,
                 (long long)in->missing);
    (void)printf("logical: %llu bytes (%s)\n", (unsigned long long)logical,
                 text_bytes((double)logical, bytes));
    (void)printf("stored: %llu bytes (%s)\n", (unsigned long long)in->bytes,
                 text_bytes((double)in->bytes, bytes));
    (void)printf("inferred: %s\n", m->inferred ? "yes" : "no");
    if (in->outside > 0)
        (void)printf("outside the grid: %lld block%s\n", (long long)in->outside,
                     text_s(in->outside));
    if (in->misnamed > 0)
        (void)printf("named .npy, as on mounts only: %lld block%s\n", (long long)in->misnamed,
                     text_s(in->misnamed));
    if (in->scratch > 0)
        (void)printf("scratch files: %lld\n", (long long)in->scratch);
    if (in->others > 0)
        (void)printf("other files: %lld\n", (long long)in->others);
    cmd_info_extra(h);
    if (m->id.uri)
        (void)printf("uri: %s\n", text_name(m->id.uri, name));
}

static void cmd_info_report(struct report *out, const struct matdir *m, const struct inventory *in)
{
    const struct header *h = &m->header;
    int64_t grid[GRID_NDIM_MAX];
    struct report blocks = {.root = cJSON_CreateObject()};
    cmd_info_blocks(h, grid);
    report_header(out, h);
    report_sizes(out, "grid", grid, h->grid.ndim);
    report_int(&blocks, "total", in->total);
    report_int(&blocks, "present", (int64_t)in->count);
    report_int(&blocks, "missing", in->missing);
    report_int(&blocks, "outside", in->outside);
    report_int(&blocks, "misnamed", in->misnamed);
    report_item(out, "blocks", blocks.root);
    report_int(out, "bytes_logical", grid_elements(&h->grid) * h->dtype.size);
    report_int(out, "bytes_stored", (int64_t)in->bytes);
    report_int(out, "scratch_files", in->scratch);
    report_int(out, "other_files", in->others);
    report_bool(out, "inferred", m->inferred);
    if (h->extra)
        report_item(out, "extra", cJSON_Duplicate(h->extra, true));
    else
        report_item(out, "extra", cJSON_CreateObject());
    report_text(out, "uri", m->id.uri);
}

static int cmd_info_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_common *common = call->conf;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    CLEANUP(inventory_fini) struct inventory in = {0};
    report_input(&call->report, call->operand[0]);
    int r = matdir_open(call->operand[0], &m, err);
    if (r == 0)
        r = inventory_load(&m, true, &in, err);
    if (r < 0)
        return r;
    if (common->json)
        cmd_info_report(&call->report, &m, &in);
    else
        cmd_info_print(&m, &in);
    return 0;
}

const struct cmd cmd_info = {
    .opts = &cmd_info_opts,
    .conf_size = sizeof(struct cmd_common),
    .run = cmd_info_main,
};
