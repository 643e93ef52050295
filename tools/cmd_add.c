#include "tools/pass.h"
#include "tools/text.h"

#include "ops/add.h"

#include <errno.h>

/* bm-add and bm-scale. */

struct cmd_add_conf {
    struct cmd_common common;
    const char *alpha, *beta;
    bool force;
};

#define CMD_ADD(field) offsetof(struct cmd_add_conf, field)

static const struct opts_item cmd_add_item[] = {
    {"alpha", 0, OPTS_STRING, CMD_ADD(alpha), "X", "factor of A (default: 1)"},
    {"beta", 0, OPTS_STRING, CMD_ADD(beta), "X", "factor of B (default: 1)"},
    {"force", 'f', OPTS_FLAG, CMD_ADD(force), NULL, "delete the matrix C that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_item cmd_add_scale_item[] = {
    {"alpha", 0, OPTS_STRING, CMD_ADD(alpha), "X", "the factor"},
    {"force", 'f', OPTS_FLAG, CMD_ADD(force), NULL, "delete the matrix B that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_add_opts = {
    .name = "bm-add",
    .summary = "add two matrices",
    .synopsis = "[OPTION]... A B C\n",
    .text =
        "Makes C = alpha A + beta B, so --beta -1 subtracts. All have one shape, one type (float32,\n"
        "float64, complex64 or complex128) and the same blocks; bm-reblock(1) makes them so. Any\n"
        "number of axes.\n"
        "\n"
        "A factor of 0 means that what it multiplies is not read. Factors are written as 2.5 or,\n"
        "for complex types, as 1+2j.\n"
        "\n"
        "A missing block is an error, unless its matrix has a fill_value in the header. Where both\n"
        "have one, so has C, and it lacks the blocks that both lack.",
    .item = cmd_add_item,
    .items = ARRAY_SIZE(cmd_add_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-add /mnt/bm/A /mnt/bm/B /mnt/bm/C\n"
                "bm-add --alpha 0.5 --beta -0.5 /mnt/bm/A /mnt/bm/B /mnt/bm/C\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-scale(1), bm-gemm(1), bm-reblock(1)",
};

static const struct opts_command cmd_add_scale_opts = {
    .name = "bm-scale",
    .summary = "multiply a matrix by a number",
    .synopsis = "[OPTION]... --alpha X A B\n",
    .text =
        "Makes B = alpha A, of any number of axes; the type is float32, float64, complex64 or\n"
        "complex128. With --alpha 0 nothing is read, and B is 0 also where A is NaN. Factors are\n"
        "written as 2.5 or, for complex types, as 1+2j.\n"
        "\n"
        "A missing block is an error, unless A's header has a fill_value: B's is alpha times that,\n"
        "and it lacks the blocks that A lacks.",
    .item = cmd_add_scale_item,
    .items = ARRAY_SIZE(cmd_add_scale_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-scale --alpha 1e-3 /mnt/bm/A /mnt/bm/B\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-add(1), bm-norm(1)",
};

static int cmd_add_run(void *arg, const struct matdir *out, struct err *err)
{
    return add_run(arg, out, err);
}

/* `to`: the output's path; x->a and x->b are open. */
static int cmd_add_make(struct cmd_call *call, struct add *x, const char *to, struct err *err)
{
    const struct cmd_add_conf *conf = call->conf;
    CLEANUP(header_fini) struct header h = {0};
    const struct matdir *const input[] = {x->a, x->b};
    const struct pass pass = {
        .label = x->b ? "add" : "scale",
        .out = {.path = to, .force = conf->force, .input = input, .inputs = 2},
        .header = &h,
        .run = cmd_add_run,
        .arg = x};
    int r = add_plan(x, &h, err);
    if (r == 0)
        r = output_check(&pass.out, err);
    if (r == 0)
        r = add_check_inputs(x, err);
    return r < 0 ? r : pass_run(call, &pass, err);
}

static int cmd_add_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_add_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(matdir_close) struct matdir b = MATDIR_NONE;
    struct add x = {.a = &a, .b = &b};
    int r = text_parse_factor("--alpha", conf->alpha, &x.alpha, err);
    if (r == 0)
        r = text_parse_factor("--beta", conf->beta, &x.beta, err);
    if (r == 0)
        r = pass_open(call, call->operand[0], &a, err);
    if (r == 0)
        r = pass_open(call, call->operand[1], &b, err);
    return r < 0 ? r : cmd_add_make(call, &x, call->operand[2], err);
}

static int cmd_add_scale_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_add_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    struct add x = {.a = &a};
    if (!conf->alpha) {
        (void)err_set(err, -EINVAL, "--alpha is missing");
        err_hint(err, "say what A is multiplied by: --alpha 0.5");
        return -EINVAL;
    }
    int r = text_parse_factor("--alpha", conf->alpha, &x.alpha, err);
    if (r == 0)
        r = pass_open(call, call->operand[0], &a, err);
    return r < 0 ? r : cmd_add_make(call, &x, call->operand[1], err);
}

const struct cmd cmd_add = {
    .opts = &cmd_add_opts,
    .conf_size = sizeof(struct cmd_add_conf),
    .run = cmd_add_main,
};

const struct cmd cmd_scale = {
    .opts = &cmd_add_scale_opts,
    .conf_size = sizeof(struct cmd_add_conf),
    .run = cmd_add_scale_main,
};
