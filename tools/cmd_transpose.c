#include "tools/pass.h"

#include "ops/inventory.h"
#include "ops/transpose.h"

struct cmd_transpose_conf {
    struct cmd_common common;
    bool conj;
    bool force;
};

#define CMD_TRANSPOSE(field) offsetof(struct cmd_transpose_conf, field)

static const struct opts_item cmd_transpose_item[] = {
    {"conj", 0, OPTS_FLAG, CMD_TRANSPOSE(conj), NULL,
     "conjugate the elements too; those that are not complex stay as they are"},
    {"force", 'f', OPTS_FLAG, CMD_TRANSPOSE(force), NULL,
     "delete the matrix B that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_transpose_opts = {
    .name = "bm-transpose",
    .summary = "transpose a matrix",
    .synopsis = "[OPTION]... A B\n",
    .text =
        "Makes B, whose rows are the columns of A, block by block; of a matrix with more than two\n"
        "axes, their order is reversed. Any type. Block (i, j) of B has the elements of block\n"
        "(j, i) of A.\n"
        "\n"
        "bm-gemm(1) takes operands transposed as they are: it needs no B.\n"
        "\n"
        "A missing block is an error, unless A's header has a fill_value: B has it too, and lacks\n"
        "the blocks that A lacks. A header that says triangular: lower becomes upper, and the\n"
        "reverse.",
    .item = cmd_transpose_item,
    .items = ARRAY_SIZE(cmd_transpose_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-transpose /mnt/bm/A /mnt/bm/At\n"
                "bm-transpose --conj /mnt/bm/Z /mnt/bm/Zh\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-gemm(1), bm-reblock(1)",
};

struct cmd_transpose_run {
    const struct matdir *a;
    bool conj;
};

static int cmd_transpose_run(void *arg, const struct matdir *out, struct err *err)
{
    const struct cmd_transpose_run *run = arg;
    return transpose_run(run->a, run->conj, out, err);
}

static int cmd_transpose_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_transpose_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(header_fini) struct header h = {0};
    struct cmd_transpose_run run = {.a = &a, .conj = conf->conj};
    const struct matdir *const input[] = {&a};
    const struct pass pass = {
        .label = "transpose",
        .out = {.path = call->operand[1], .force = conf->force, .input = input, .inputs = 1},
        .header = &h,
        .run = cmd_transpose_run,
        .arg = &run};
    int r = pass_open(call, call->operand[0], &a, err);
    if (r == 0)
        r = transpose_plan(&a, conf->conj, &h, err);
    if (r == 0)
        r = output_check(&pass.out, err);
    if (r == 0)
        r = inventory_check_whole(&a, err);
    return r < 0 ? r : pass_run(call, &pass, err);
}

const struct cmd cmd_transpose = {
    .opts = &cmd_transpose_opts,
    .conf_size = sizeof(struct cmd_transpose_conf),
    .run = cmd_transpose_main,
};
