#include "tools/pass.h"
#include "tools/text.h"

#include "ops/inventory.h"
#include "ops/reblock.h"

#include <errno.h>

struct cmd_reblock_conf {
    struct cmd_common common;
    const char *block;
    uint64_t memory;
    bool force;
};

#define CMD_REBLOCK(field) offsetof(struct cmd_reblock_conf, field)

static const struct cmd_reblock_conf cmd_reblock_defaults = {.memory = (uint64_t)1 << 30};

static const struct opts_item cmd_reblock_item[] = {
    {"block", 0, OPTS_STRING, CMD_REBLOCK(block), "BxB",
     "the new blocks' size; one number for all axes"},
    {"memory", 0, OPTS_SIZE, CMD_REBLOCK(memory), "N",
     "bytes for the new blocks that are put together at a time (default: 1GiB)"},
    {"force", 'f', OPTS_FLAG, CMD_REBLOCK(force), NULL, "delete the matrix B that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_reblock_opts = {
    .name = "bm-reblock",
    .summary = "cut a matrix into other blocks",
    .synopsis = "[OPTION]... --block BxB A B\n",
    .text =
        "Makes B with the elements of A in blocks of another size. Any type and number of axes.\n"
        "\n"
        "As many blocks of B as --memory holds are put together at a time, row by row; of each\n"
        "block of A the part that belongs to them is read. So nothing is read twice, but a block\n"
        "of A is opened once for each such region that it reaches into. With memory for a row of\n"
        "B's blocks from edge to edge that is mostly once. A block of A and one of B come on top\n"
        "of --memory; one block of B is the least.\n"
        "\n"
        "A missing block is an error, unless A's header has a fill_value: B has it too, and lacks\n"
        "the blocks for which A had none.",
    .item = cmd_reblock_item,
    .items = ARRAY_SIZE(cmd_reblock_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-reblock /mnt/bm/A /mnt/bm/B --block 2048x2048\n"
                "bm-reblock --memory 8GiB --block 4Ki /mnt/bm/A /scratch/A\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-info(1), bm-transpose(1), bm-import(1)",
};

struct cmd_reblock_run {
    const struct matdir *a;
    uint64_t memory;
};

static int cmd_reblock_run(void *arg, const struct matdir *out, struct err *err)
{
    const struct cmd_reblock_run *run = arg;
    return reblock_run(run->a, out, run->memory, err);
}

static int cmd_reblock_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_reblock_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(header_fini) struct header h = {0};
    struct cmd_reblock_run run = {.a = &a, .memory = conf->memory};
    const struct matdir *const input[] = {&a};
    const struct pass pass = {
        .label = "reblock",
        .out = {.path = call->operand[1], .force = conf->force, .input = input, .inputs = 1},
        .header = &h,
        .run = cmd_reblock_run,
        .arg = &run};
    if (!conf->block) {
        (void)err_set(err, -EINVAL, "--block is missing");
        err_hint(err, "say how large the new blocks are: --block 2048x2048");
        return -EINVAL;
    }
    int r = pass_open(call, call->operand[0], &a, err);
    if (r < 0)
        return r;
    struct grid g = a.header.grid;
    r = text_parse_block(conf->block, &g, err);
    if (r == 0)
        r = reblock_plan(&a, g.shard, &h, err);
    if (r == 0)
        r = output_check(&pass.out, err);
    if (r == 0)
        r = inventory_check_whole(&a, err);
    return r < 0 ? r : pass_run(call, &pass, err);
}

const struct cmd cmd_reblock = {
    .opts = &cmd_reblock_opts,
    .conf_size = sizeof(struct cmd_reblock_conf),
    .conf = &cmd_reblock_defaults,
    .run = cmd_reblock_main,
};
