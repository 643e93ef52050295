#include "tools/factor.h"

static const struct opts_item cmd_chol_item[] = {FACTOR_ITEMS};

static const struct opts_command cmd_chol_opts = {
    .name = "bm-chol",
    .summary = "factor a positive definite matrix",
    .synopsis = "[OPTION]... A L\n",
    .text =
        "Makes the Cholesky factor L of A, lower triangular with A = L L^H. A is Hermitian, in square\n"
        "blocks, of type float32, float64, complex64 or complex128. Only the blocks of one triangle are\n"
        "read; those on the diagonal, which are read as a whole, are checked for being Hermitian.\n"
        "The blocks of L's other triangle are absent, and stand for zeros.\n"
        "\n"
        "Each block of L appears when it is complete, so that a run that ended for whatever reason\n"
        "goes on with --resume. The result does not depend on --memory, --threads or how often that\n"
        "was. When A is not positive definite the blocks of L before the failure are right." COMPUTE_TEXT,
    .item = cmd_chol_item,
    .items = ARRAY_SIZE(cmd_chol_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-chol /mnt/bm/A /mnt/bm/L\n"
                "bm-chol --plan --memory 16Gi /mnt/bm/A /mnt/bm/L\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-gemm(1), bm-solve(1), bm-diff(1)",
};

static int cmd_chol_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(factor_fini) struct factor f = {0};
    struct compute begun = {0}; /* owns nothing */
    int r = compute_begin(call, &begun, err);
    report_input(&call->report, call->operand[0]);
    if (r == 0)
        r = matdir_open(call->operand[0], &a, err);
    if (r == 0)
        r = factor_init(call->conf, &a, call->operand[1], &begun, &f, err);
    if (r == 0)
        r = factor_look(call, &f, err);
    return r < 0 ? r : factor_run(call, &f, err);
}

const struct cmd cmd_chol = {
    .opts = &cmd_chol_opts,
    .conf_size = sizeof(struct factor_conf),
    .run = cmd_chol_main,
};
