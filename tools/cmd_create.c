#include "tools/cmd.h"
#include "tools/output.h"
#include "tools/text.h"

#include "matrix/json.h"
#include "ops/create.h"
#include "ops/derive.h"

#include <errno.h>
#include <string.h>

struct cmd_create_conf {
    struct cmd_common common;
    const char *shape, *block, *dtype;
    const char *fill, *fill_value, *rand;
    bool eye;
    int64_t seed;
    bool force;
};

#define CMD_CREATE(field) offsetof(struct cmd_create_conf, field)

static const struct opts_item cmd_create_item[] = {
    {"shape", 0, OPTS_STRING, CMD_CREATE(shape), "MxN", "the matrix's size; any number of axes"},
    {"block", 0, OPTS_STRING, CMD_CREATE(block), "BxB",
     "the blocks' size; one number for all axes (default: 4096x4096)"},
    {"dtype", 0, OPTS_STRING, CMD_CREATE(dtype), "TYPE",
     "type of the elements, as numpy names it (default: f8)"},
    {"rand", 0, OPTS_STRING, CMD_CREATE(rand), "KIND",
     "random elements: normal (mean 0, variance 1) or uniform ([0, 1))"},
    {"seed", 0, OPTS_INT, CMD_CREATE(seed), "N",
     "where random elements start from; the same seed gives the same matrix (default: 0)"},
    {"fill", 0, OPTS_STRING, CMD_CREATE(fill), "V", "blocks full of V"},
    {"eye", 0, OPTS_FLAG, CMD_CREATE(eye), NULL, "1 on the diagonal, else 0"},
    {"fill-value", 0, OPTS_STRING, CMD_CREATE(fill_value), "V",
     "no blocks, but V in the header for those that are missing"},
    {"force", 'f', OPTS_FLAG, CMD_CREATE(force), NULL, "delete the matrix that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_create_opts = {
    .name = "bm-create",
    .summary = "make a matrix",
    .synopsis = "[OPTION]... --shape MxN A\n",
    .text =
        "Makes the directory A with a header.json, and with --rand, --fill or --eye all its blocks.\n"
        "Without them the matrix is empty: its blocks are missing, which is not the same as zero.\n"
        "\n"
        "A random element depends on the seed and its place in the matrix alone, not on how the\n"
        "matrix is cut into blocks: element x, counted row by row, comes from Philox4x64-10 with the\n"
        "counter x and the key SEED. Normal values are made by Box and Muller's method; of complex\n"
        "elements each part has variance 1.",
    .item = cmd_create_item,
    .items = ARRAY_SIZE(cmd_create_item),
    .operands_min = 1,
    .operands_max = 1,
    .examples = "bm-create /mnt/bm/A --shape 40960x20480 --block 4096x4096 --rand normal --seed 1\n"
                "bm-create /mnt/bm/I --shape 1Kix1Ki --block 256 --eye --dtype f4\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-import(1), bm-info(1)",
};

/* What the blocks hold; *ret_any says whether there are any. */
static int cmd_create_content(const struct cmd_create_conf *conf, struct create *c, bool *ret_any,
                              struct err *err)
{
    int given =
        (conf->fill != NULL) + conf->eye + (conf->rand != NULL) + (conf->fill_value != NULL);
    if (given > 1)
        return err_set(err, -EINVAL, "only one of --rand, --fill, --eye and --fill-value");
    *ret_any = given == 1 && !conf->fill_value;
    c->seed = (uint64_t)conf->seed;
    c->value.re = 1;
    if (conf->rand) {
        c->what = CREATE_RAND;
        c->rand = strcmp(conf->rand, "normal") == 0 ? RAND_NORMAL : RAND_UNIFORM;
        if (c->rand == RAND_UNIFORM && strcmp(conf->rand, "uniform") != 0)
            return err_set(err, -EINVAL, "--rand: '%s' is neither normal nor uniform", conf->rand);
    } else if (conf->fill) {
        c->what = CREATE_VALUE;
        int r = element_parse(conf->fill, &c->value, err);
        return r < 0 ? err_prefix(err, r, "--fill") : 0;
    } else {
        c->what = CREATE_EYE;
    }
    return 0;
}

static int cmd_create_set_fill(struct header *h, const char *text, struct err *err)
{
    struct number v;
    unsigned char element[ELEMENT_SIZE_MAX];
    CLEANUP(json_freep) struct cJSON *value = NULL;
    int r = element_parse(text, &v, err);
    if (r == 0)
        r = element_set(h->dtype, v, element, err);
    if (r < 0)
        return err_prefix(err, r, "--fill-value");
    if (h->dtype.kind != 'f' && h->dtype.kind != 'c') /* may be one that JSON cannot keep */
        return derive_set_fill(h, element, err);
    value = element_to_json(v);
    return value ? header_set_extra(h, "fill_value", &value) : -ENOMEM;
}

static int cmd_create_header(const struct cmd_create_conf *conf, struct header *h, struct err *err)
{
    const char *dtype = conf->dtype ? conf->dtype : "f8";
    if (!conf->shape) {
        (void)err_set(err, -EINVAL, "--shape is missing");
        err_hint(err, "say how large the matrix is: --shape 40960x20480");
        return -EINVAL;
    }
    int r = text_parse_sizes(conf->shape, 0, h->grid.shape, &h->grid.ndim, err);
    if (r < 0)
        return err_prefix(err, r, "--shape");
    r = text_parse_block(conf->block, &h->grid, err);
    if (r == 0 && text_parse_dtype(dtype, &h->dtype, err) < 0)
        r = err_prefix(err, -EINVAL, "--dtype");
    if (r == 0 && conf->fill_value)
        r = cmd_create_set_fill(h, conf->fill_value, err);
    return r;
}

static int cmd_create_matrix(struct cmd_call *call, const struct header *h, const struct create *c,
                             bool any, struct err *err)
{
    const struct cmd_create_conf *conf = call->conf;
    const struct output out = {.path = call->operand[0], .force = conf->force};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    char sizes[TEXT_SIZES_SIZE];
    int r = any ? create_check(h, c, err) : 0;
    if (r < 0)
        return err_prefix(err, r, "%s", out.path);
    call->output = out.path;
    r = cmd_progress(call, "create", "blocks", err);
    if (r == 0)
        r = output_make(&out, h, &m, err);
    if (r < 0)
        return r;
    m.watch = &call->watch;
    report_text(&call->report, "output", out.path);
    report_header(&call->report, &m.header);
    r = any ? create_run(&m, c, err) : 0;
    if (r < 0)
        output_is_incomplete(&out, err);
    progress_stop(&call->progress, r == 0);
    report_int(&call->report, "bytes_written", (int64_t)call->watch.bytes_written);
    if (r == 0)
        cmd_say(call, "%s: %s %s, %lld of %lld block%s", out.path,
                text_sizes(h->grid.shape, h->grid.ndim, sizes), dtype_name(h->dtype),
                (long long)(any ? grid_blocks(&h->grid) : 0), (long long)grid_blocks(&h->grid),
                text_s(grid_blocks(&h->grid)));
    return r;
}

static int cmd_create_main(struct cmd_call *call, struct err *err)
{
    struct header h = {0};
    struct create c = {0};
    bool any = false;
    int r = cmd_create_content(call->conf, &c, &any, err);
    if (r == 0)
        r = cmd_create_header(call->conf, &h, err);
    if (r == 0)
        r = cmd_create_matrix(call, &h, &c, any, err);
    header_fini(&h);
    return r;
}

const struct cmd cmd_create = {
    .opts = &cmd_create_opts,
    .conf_size = sizeof(struct cmd_create_conf),
    .run = cmd_create_main,
};
