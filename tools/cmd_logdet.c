#include "ops/logdet.h"
#include "tools/cmd.h"
#include "tools/text.h"

#include <stdio.h>

static const struct opts_item cmd_logdet_item[] = {CMD_PROGRESS, CMD_JSON, CMD_QUIET};

static const struct opts_command cmd_logdet_opts = {
    .name = "bm-logdet",
    .summary = "logarithm of a determinant, from the Cholesky factor",
    .synopsis = "[OPTION]... L\n",
    .text = "Prints log det A, where A = L L^H and L is what bm-chol made of A: its header says\n"
            "\"triangular\". Reads the diagonal blocks.",
    .item = cmd_logdet_item,
    .items = ARRAY_SIZE(cmd_logdet_item),
    .operands_min = 1,
    .operands_max = 1,
    .examples = "bm-logdet /mnt/bm/L\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-chol(1)",
};

static int cmd_logdet_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_common *common = call->conf;
    double logdet = 0;
    char text[TEXT_VALUE_SIZE];
    CLEANUP(matdir_close) struct matdir l = MATDIR_NONE;
    report_input(&call->report, call->operand[0]);
    int r = matdir_open(call->operand[0], &l, err);
    if (r == 0)
        r = cmd_progress(call, "logdet", "blocks", err);
    if (r < 0)
        return r;
    l.watch = &call->watch;
    r = logdet_run(&l, &logdet, err);
    progress_stop(&call->progress, r == 0);
    if (r < 0)
        return r;
    report_real(&call->report, "logdet", logdet);
    report_int(&call->report, "bytes_read", (int64_t)call->watch.bytes_read);
    if (!common->json)
        (void)printf("%s\n", text_number(&(struct number){.re = logdet}, false, text));
    return CMD_OK;
}

const struct cmd cmd_logdet = {
    .opts = &cmd_logdet_opts,
    .conf_size = sizeof(struct cmd_common),
    .run = cmd_logdet_main,
};
