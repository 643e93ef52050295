#include "ops/solve.h"
#include "ops/verify.h"
#include "tools/compute.h"

static const struct opts_item cmd_solve_item[] = {COMPUTE_ITEMS};

static const struct opts_command cmd_solve_opts = {
    .name = "bm-solve",
    .summary = "solve with a positive definite matrix, from its Cholesky factor",
    .synopsis = "[OPTION]... L B X\n",
    .text =
        "Makes X with A X = B, where L is what bm-chol made of A: L Y = B is solved forwards, then\n"
        "L^H X = Y backwards. B has as many rows as L and is cut along them as L is.\n"
        "\n"
        "Whole columns of B's blocks stay in memory while L passes, so the least --memory is one such\n"
        "column and a block of L; the more columns fit, the less often L is read. Where one does not\n"
        "fit, bm-trsm L B Y and then bm-trsm --trans c L Y X do the same (for an upper factor U:\n"
        "--trans c first). Each block of X appears when it is complete, and --resume goes on.",
    .item = cmd_solve_item,
    .items = ARRAY_SIZE(cmd_solve_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-chol /mnt/bm/A /mnt/bm/L\n"
                "bm-solve /mnt/bm/L /mnt/bm/B /mnt/bm/X\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-chol(1), bm-trsm(1)",
};

/* Operands, with what they were when the run began. */
struct cmd_solve_inputs {
    struct matdir l, b;
    struct stamps stamps_l, stamps_b;
};

static void cmd_solve_close(struct cmd_solve_inputs *in)
{
    stamps_fini(&in->stamps_l);
    stamps_fini(&in->stamps_b);
    matdir_close(&in->l);
    matdir_close(&in->b);
}

/* Looks at the blocks that will be read. */
static int cmd_solve_stamp(struct cmd_solve_inputs *in, struct trsm *x, struct err *err)
{
    int r = trsm_check_inputs(x, err);
    if (r == 0)
        r = stamps_take(x->t, x->uplo == 'u' ? STAMPS_UPPER : STAMPS_LOWER, &in->stamps_l, err);
    if (r == 0)
        r = stamps_take(x->b, STAMPS_ALL, &in->stamps_b, err);
    x->stamps_t = &in->stamps_l;
    x->stamps_b = &in->stamps_b;
    return r;
}

static int cmd_solve_compute(struct cmd_call *call, struct cmd_solve_inputs *in, struct solve *x,
                             struct compute *c, struct err *err)
{
    int64_t parts = 0;
    c->label = "solve";
    c->path = call->operand[2];
    c->input[0] = &in->l;
    c->input[1] = &in->b;
    x->forward.memory = c->memory;
    int r = solve_parts(x, &parts, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = cmd_solve_stamp(in, &x->forward, err);
    if (r < 0)
        return r;
    c->job = (struct job){.operation = "solve", .input = {&in->stamps_l, &in->stamps_b}};
    c->algorithm = solve_algorithm(x);
    c->verify = verify_solve;
    c->bound = solve_bound(x);
    c->bound_text = "max(2 m^2 n / sqrt(S), m (m + 1) / 2 + m n) elements, S being the memory";
    return compute_run(call, c, err);
}

static int cmd_solve_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(cmd_solve_close)
    struct cmd_solve_inputs in = {.l = MATDIR_NONE, .b = MATDIR_NONE};
    CLEANUP(compute_fini) struct compute c = {0};
    struct solve x = {0};
    int r = compute_begin(call, &c, err);
    report_input(&call->report, call->operand[0]);
    report_input(&call->report, call->operand[1]);
    if (r == 0)
        r = matdir_open(call->operand[0], &in.l, err);
    if (r == 0)
        r = matdir_open(call->operand[1], &in.b, err);
    if (r == 0)
        r = solve_init(&x, &in.l, &in.b, err);
    if (r == 0)
        r = trsm_plan(&x.forward, &c.header, err);
    return r < 0 ? r : cmd_solve_compute(call, &in, &x, &c, err);
}

const struct cmd cmd_solve = {
    .opts = &cmd_solve_opts,
    .conf_size = sizeof(struct compute_conf),
    .run = cmd_solve_main,
};
