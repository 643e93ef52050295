#include "tools/cmd.h"
#include "tools/output.h"
#include "tools/text.h"

#include "ops/import.h"

#include <errno.h>
#include <string.h>

struct cmd_import_conf {
    struct cmd_common common;
    const char *block, *format, *shape, *dtype, *order;
    uint64_t memory;
    bool force;
};

#define CMD_IMPORT(field) offsetof(struct cmd_import_conf, field)

static const struct cmd_import_conf cmd_import_defaults = {.memory = (uint64_t)1 << 30};

static const struct opts_item cmd_import_item[] = {
    {"block", 0, OPTS_STRING, CMD_IMPORT(block), "BxB",
     "the blocks' size; one number for all axes (default: 4096x4096)"},
    {"format", 0, OPTS_STRING, CMD_IMPORT(format), "F",
     "npy or raw (default: raw for names that end in .raw or .bin)"},
    {"shape", 0, OPTS_STRING, CMD_IMPORT(shape), "MxN", "raw: the size"},
    {"dtype", 0, OPTS_STRING, CMD_IMPORT(dtype), "TYPE", "raw: the type (default: f8)"},
    {"order", 0, OPTS_STRING, CMD_IMPORT(order), "C|F",
     "raw: C, last index fastest, or F, first index fastest (default: C)"},
    {"memory", 0, OPTS_SIZE, CMD_IMPORT(memory), "N", "bytes for a row of blocks (default: 1GiB)"},
    {"force", 'f', OPTS_FLAG, CMD_IMPORT(force), NULL, "delete the matrix that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_import_opts = {
    .name = "bm-import",
    .summary = "make a matrix from a file",
    .synopsis = "[OPTION]... FILE A\n"
                "[OPTION]... - A\n",
    .text =
        "Cuts a file into the blocks of a new matrix A. FILE is what numpy.save writes, in either\n"
        "order of elements, or with --format raw nothing but elements; - is standard input.\n"
        "\n"
        "One row of blocks is read at a time, which is a part of the file without gaps (of a\n"
        "Fortran-ordered file: one column of blocks). A row that is longer than --memory is read\n"
        "block by block, which needs a regular file.",
    .item = cmd_import_item,
    .items = ARRAY_SIZE(cmd_import_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-import x.npy /mnt/bm/X --block 4096\n"
                "bm-import --format raw --shape 1000x2000 --dtype f4 --order F x.bin /mnt/bm/X\n"
                "ssh host cat x.npy | bm-import - /mnt/bm/X\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-export(1), bm-create(1)",
};

static bool cmd_import_ends(const char *name, const char *end)
{
    size_t n = strlen(name);
    size_t k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* Whether the file is raw. */
static int cmd_import_format(const struct cmd_import_conf *conf, const char *path, bool *ret_raw,
                             struct err *err)
{
    const char *format = conf->format;
    if (!format)
        format = cmd_import_ends(path, ".raw") || cmd_import_ends(path, ".bin") ? "raw" : "npy";
    *ret_raw = strcmp(format, "raw") == 0;
    if (!conf->format && cmd_import_ends(path, ".npz")) {
        (void)err_set(err, -EINVAL, "%s: .npz, an archive of arrays, is not read", path);
        err_hint(err, "save one array with numpy.save, which writes .npy");
        return -EINVAL;
    }
    if (!*ret_raw && strcmp(format, "npy") != 0)
        return err_set(err, -EINVAL, "--format: '%s' is neither npy nor raw", format);
    if (*ret_raw && !conf->shape)
        return err_set(err, -EINVAL, "a raw file needs --shape");
    if (!*ret_raw && (conf->shape || conf->dtype || conf->order))
        return err_set(err, -EINVAL, "--shape, --dtype and --order are for raw files; npy says it");
    return 0;
}

/* What somebody says of a raw file, as its missing npy header. */
static int cmd_import_raw(const struct cmd_import_conf *conf, struct npy *npy, struct err *err)
{
    const char *dtype = conf->dtype ? conf->dtype : "f8";
    const char *order = conf->order ? conf->order : "C";
    struct grid g = {0};
    int r = text_parse_sizes(conf->shape, 0, g.shape, &g.ndim, err);
    if (r < 0)
        return err_prefix(err, r, "--shape");
    if (text_parse_dtype(dtype, &npy->dtype, err) < 0)
        return err_prefix(err, -EINVAL, "--dtype");
    if (strcmp(order, "C") != 0 && strcmp(order, "F") != 0)
        return err_set(err, -EINVAL, "--order: '%s' is neither C nor F", order);
    for (int a = 0; a < g.ndim; a++)
        g.shard[a] = 1;
    r = grid_check(&g, err);
    if (r < 0)
        return r;
    npy->fortran = *order == 'F';
    npy->ndim = g.ndim;
    memcpy(npy->shape, g.shape, sizeof(npy->shape));
    npy->data_off = 0;
    npy->data_len = (uint64_t)grid_elements(&g) * npy->dtype.size;
    return 0;
}

static int cmd_import_matrix(struct cmd_call *call, struct import *im, struct err *err)
{
    const struct cmd_import_conf *conf = call->conf;
    const struct output out = {.path = call->operand[1], .force = conf->force};
    struct header h = {.dtype = im->npy.dtype, .grid.ndim = im->npy.ndim};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    char sizes[TEXT_SIZES_SIZE];
    memcpy(h.grid.shape, im->npy.shape, sizeof(h.grid.shape));
    int r = text_parse_block(conf->block, &h.grid, err);
    call->output = out.path;
    if (r == 0)
        r = cmd_progress(call, "import", "blocks", err);
    if (r == 0)
        r = output_make(&out, &h, &m, err);
    if (r < 0)
        return r;
    m.watch = &call->watch;
    report_text(&call->report, "output", out.path);
    report_header(&call->report, &m.header);
    r = import_run(im, &m, conf->memory, err);
    if (r < 0)
        output_is_incomplete(&out, err);
    progress_stop(&call->progress, r == 0);
    report_int(&call->report, "bytes_read", (int64_t)call->watch.bytes_read);
    report_int(&call->report, "bytes_written", (int64_t)call->watch.bytes_written);
    if (r == 0)
        cmd_say(call, "%s: %s %s, %lld block%s", out.path,
                text_sizes(h.grid.shape, h.grid.ndim, sizes), dtype_name(h.dtype),
                (long long)grid_blocks(&h.grid), text_s(grid_blocks(&h.grid)));
    return r;
}

static int cmd_import_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_import_conf *conf = call->conf;
    const char *path = call->operand[0];
    CLEANUP(import_close) struct import im = IMPORT_NONE;
    struct npy npy = {0};
    bool raw = false;
    report_input(&call->report, path);
    int r = cmd_import_format(conf, path, &raw, err);
    if (r == 0 && raw)
        r = cmd_import_raw(conf, &npy, err);
    if (r == 0)
        r = import_open(path, raw ? &npy : NULL, &im, err);
    return r < 0 ? r : cmd_import_matrix(call, &im, err);
}

const struct cmd cmd_import = {
    .opts = &cmd_import_opts,
    .conf_size = sizeof(struct cmd_import_conf),
    .conf = &cmd_import_defaults,
    .run = cmd_import_main,
};
