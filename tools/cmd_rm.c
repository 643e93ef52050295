#include "tools/cmd.h"
#include "tools/text.h"

#include "ops/remove.h"
#include "ops/sums.h"

#include <errno.h>
#include <string.h>

/* bm-free and bm-rm. */

struct cmd_rm_conf {
    struct cmd_common common;
    bool dry_run;
    bool force;
};

#define CMD_RM(field) offsetof(struct cmd_rm_conf, field)

static const struct opts_item cmd_rm_item[] = {
    {"dry-run", 'n', OPTS_FLAG, CMD_RM(dry_run), NULL, "only say what would be removed"},
    {"force", 'f', OPTS_FLAG, CMD_RM(force), NULL, "a matrix that is not there is no error"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_rm_opts = {
    .name = "bm-rm",
    .summary = "remove matrices",
    .synopsis = "[OPTION]... A...\n",
    .text =
        "Removes blocks, header and directory of each A, without asking, and what a run that made it\n"
        "has left in A.sums. What is no matrix, or holds other files too, is left as it is.",
    .item = cmd_rm_item,
    .items = ARRAY_SIZE(cmd_rm_item),
    .operands_min = 1,
    .operands_max = -1,
    .examples = "bm-rm /mnt/bm/C\n"
                "bm-rm -n /mnt/bm/tmp/*\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-free(1)",
};

static const struct opts_command cmd_rm_free_opts = {
    .name = "bm-free",
    .summary = "remove the blocks of matrices",
    .synopsis = "[OPTION]... A...\n",
    .text =
        "Removes all blocks of each A, without asking, and keeps the header: the matrix is then\n"
        "empty.",
    .item = cmd_rm_item,
    .items = ARRAY_SIZE(cmd_rm_item),
    .operands_min = 1,
    .operands_max = -1,
    .examples = "bm-free /mnt/bm/C\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-rm(1)",
};

static void cmd_rm_say(const struct cmd_call *call, const char *path, const struct remove_count *n)
{
    const struct cmd_rm_conf *conf = call->conf;
    char bytes[TEXT_BYTES_SIZE];
    cmd_say(call, "%s: %s%lld block%s, %s", path, conf->dry_run ? "would remove " : "removed ",
            (long long)n->blocks, text_s(n->blocks), text_bytes((double)n->bytes, bytes));
}

/* One operand. */
static int cmd_rm_one(struct cmd_call *call, const char *path, bool whole,
                      struct remove_count *total, struct err *err)
{
    const struct cmd_rm_conf *conf = call->conf;
    struct remove_count n = {0};
    call->watch = (struct watch){0};
    int r = cmd_progress(call, whole ? "rm" : "free", "blocks", err);
    if (r < 0)
        return r;
    CLEANUP(freep) char *sums = whole && !conf->dry_run ? sums_place(path) : NULL;
    r = whole ? remove_matrix(path, conf->dry_run, &call->watch, &n, err)
              : remove_blocks(path, conf->dry_run, &call->watch, &n, err);
    if (r == 0)
        r = sums_remove(sums, err); /* that a run which was killed has left */
    progress_stop(&call->progress, r == 0);
    total->blocks += n.blocks;
    total->bytes += n.bytes;
    if (r == -ENOENT && conf->force)
        return 0;
    if (r == 0)
        cmd_rm_say(call, path, &n);
    return r;
}

/* All operands: one that fails does not keep the others. The last error is told by the caller. */
static int cmd_rm_run(struct cmd_call *call, bool whole, struct err *err)
{
    const struct cmd_rm_conf *conf = call->conf;
    struct remove_count total = {0};
    int r = 0;
    for (int i = 0; i < call->operands; i++) {
        struct err one = {0};
        report_input(&call->report, call->operand[i]);
        int code = cmd_rm_one(call, call->operand[i], whole, &total, &one);
        if (code == 0)
            continue;
        if (r < 0)
            cmd_say_error(call->cmd->opts->name, err);
        r = code;
        *err = one;
    }
    report_int(&call->report, "blocks_removed", total.blocks);
    report_int(&call->report, "bytes_removed", (int64_t)total.bytes);
    report_bool(&call->report, "dry_run", conf->dry_run);
    return r;
}

static int cmd_rm_main(struct cmd_call *call, struct err *err)
{
    return cmd_rm_run(call, true, err);
}

static int cmd_rm_free_main(struct cmd_call *call, struct err *err)
{
    return cmd_rm_run(call, false, err);
}

const struct cmd cmd_rm = {
    .opts = &cmd_rm_opts,
    .conf_size = sizeof(struct cmd_rm_conf),
    .run = cmd_rm_main,
};

const struct cmd cmd_free = {
    .opts = &cmd_rm_free_opts,
    .conf_size = sizeof(struct cmd_rm_conf),
    .run = cmd_rm_free_main,
};
