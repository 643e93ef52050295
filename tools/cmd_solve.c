#include "ops/inventory.h"
#include "ops/remove.h"
#include "ops/solve.h"
#include "ops/verify.h"
#include "tools/factor.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cmd_solve_conf {
    struct factor_conf factor;
    const char *keep; /* where the factor of A stays; NULL: nowhere */
};

static const struct opts_item cmd_solve_item[] = {
    {"factor", 0, OPTS_STRING, offsetof(struct cmd_solve_conf, keep), "L",
     "keep A's factor there (default: X.factor, which is removed in the end)"},
    FACTOR_ITEMS,
};

static const struct opts_command cmd_solve_opts = {
    .name = "bm-solve",
    .summary = "solve with a positive definite matrix, or with its Cholesky factor",
    .synopsis = "[OPTION]... A B X\n[OPTION]... L B X\n",
    .text =
        "Makes X with A X = B. B has as many rows as A and is cut along them as A is. The first\n"
        "operand is the Cholesky factor L that bm-chol made of A when its header says \"triangular\";\n"
        "otherwise it is A itself and is factored first, as bm-chol does. Then L Y = B is solved\n"
        "forwards and L^H X = Y backwards.\n"
        "\n"
        "Whole columns of B's blocks stay in memory while L passes, so the least --memory is one such\n"
        "column and a block of L; the more columns fit, the less often L is read. Where one does not\n"
        "fit, bm-trsm L B Y and then bm-trsm --trans c L Y X do the same (for an upper factor U:\n"
        "--trans c first). Each block of L and X appears when it is complete, and --resume goes on." COMPUTE_TEXT,
    .item = cmd_solve_item,
    .items = ARRAY_SIZE(cmd_solve_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-solve /mnt/bm/A /mnt/bm/B /mnt/bm/X\n"
                "bm-solve --factor /mnt/bm/L /mnt/bm/A /mnt/bm/B /mnt/bm/X\n"
                "bm-solve /mnt/bm/L /mnt/bm/C /mnt/bm/Y\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-chol(1), bm-trsm(1)",
};

struct cmd_solve {
    bool factors;    /* the first operand is A */
    struct matdir a; /* then it; else closed */
    struct matdir l, b;
    struct stamps stamps_l, stamps_b; /* what the operands were when they were looked at */
    struct factor factor;             /* of A */
    struct cmd_call part;             /* that makes it, with a report of its own */
    char *scratch;                    /* where its factor is, until the end; or NULL */
    struct solve solve;
    struct compute compute;
};

static void cmd_solve_fini(struct cmd_solve *s)
{
    compute_fini(&s->compute);
    factor_fini(&s->factor);
    stamps_fini(&s->stamps_l);
    stamps_fini(&s->stamps_b);
    matdir_close(&s->a);
    matdir_close(&s->l);
    matdir_close(&s->b);
    free(s->scratch);
}

/* --- the operands --- */

/* Where the factor goes: "X.factor", if nowhere else. NULL without memory. */
static const char *cmd_solve_place(const struct cmd_call *call, struct cmd_solve *s)
{
    const struct cmd_solve_conf *conf = call->conf;
    if (conf->keep)
        return conf->keep;
    s->scratch = matdir_beside(call->operand[2], ".factor");
    return s->scratch;
}

/* The first operand is A: its factor is planned, and stands for the one that is to come. */
static int cmd_solve_factor(struct cmd_call *call, struct cmd_solve *s, struct err *err)
{
    const char *path = cmd_solve_place(call, s);
    s->factors = true;
    s->part = (struct cmd_call){.cmd = call->cmd, .conf = call->conf};
    s->a = s->l;
    s->l = MATDIR_NONE;
    s->l.path = strdup(s->a.path); /* what is wrong with the factor is wrong with A */
    if (!path || !s->l.path)
        return err_set(err, -ENOMEM, "out of memory");
    int r = factor_init(call->conf, &s->a, path, &s->compute, &s->factor, err);
    if (r == 0 && header_copy(&s->factor.compute.header, &s->l.header) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    s->factor.compute.input[1] = &s->b;
    return r;
}

static int cmd_solve_open(struct cmd_call *call, struct cmd_solve *s, struct err *err)
{
    const struct cmd_solve_conf *conf = call->conf;
    report_input(&call->report, call->operand[0]);
    report_input(&call->report, call->operand[1]);
    int r = matdir_open(call->operand[0], &s->l, err);
    if (r == 0)
        r = matdir_open(call->operand[1], &s->b, err);
    if (r < 0)
        return r;
    if (!matdir_triangle(&s->l))
        return cmd_solve_factor(call, s, err);
    if (conf->keep || conf->factor.uplo || conf->factor.reg != 0)
        return err_set(err, -EINVAL, "%s: it is a factor: --factor, --uplo and --reg are for A",
                       call->operand[0]);
    return 0;
}

/* The factor is there. */
static int cmd_solve_stamp_factor(struct cmd_solve *s, struct err *err)
{
    bool upper = s->solve.forward.uplo == 'u';
    int r = inventory_check_triangle(&s->l, upper, err);
    if (r == 0)
        r = stamps_take(&s->l, upper ? STAMPS_UPPER : STAMPS_LOWER, &s->stamps_l, err);
    s->solve.forward.stamps_t = &s->stamps_l;
    return r;
}

static int cmd_solve_look(struct cmd_call *call, struct cmd_solve *s, struct err *err)
{
    int64_t parts = 0;
    int r = solve_parts(&s->solve, &parts, err);
    if (r == 0)
        r = compute_check(call, &s->compute, err);
    if (r == 0)
        r = inventory_check_whole(&s->b, err);
    if (r == 0)
        r = stamps_take(&s->b, STAMPS_ALL, &s->stamps_b, err);
    s->solve.forward.stamps_b = &s->stamps_b;
    if (r < 0)
        return r;
    return s->factors ? factor_look(&s->part, &s->factor, err) : cmd_solve_stamp_factor(s, err);
}

static void cmd_solve_describe(const struct cmd_call *call, struct cmd_solve *s)
{
    struct compute *c = &s->compute;
    c->label = "solve";
    c->path = call->operand[2];
    c->input[0] = &s->l;
    c->input[1] = &s->b;
    c->input[2] = s->factors ? &s->a : NULL;
    c->job = (struct job){.operation = "solve", .input = {&s->stamps_l, &s->stamps_b}};
    if (s->factors) {
        c->job.parameters = factor_parameters(&s->factor);
        c->job.input[0] = &s->factor.stamps;
    }
    c->algorithm = solve_algorithm(&s->solve);
    c->verify = verify_solve;
    c->bound = solve_bound(&s->solve);
    c->bound_text = "max(2 m^2 n / sqrt(S), m (m + 1) / 2 + m n) elements, S being the memory";
}

/* --- with A: its factor, then the solution --- */

static bool cmd_solve_plans(const struct cmd_call *call)
{
    return ((const struct compute_conf *)call->conf)->plan;
}

static void cmd_solve_title(const struct cmd_call *call, const char *what, const char *path)
{
    if (cmd_solve_plans(call) && !((const struct cmd_common *)call->conf)->json)
        (void)printf("%s %s\n", what, path);
}

/* Plans or makes the factor. As compute_run(). */
static int cmd_solve_run_factor(struct cmd_call *call, struct cmd_solve *s, struct err *err)
{
    s->part.report.root = cJSON_CreateObject();
    cmd_solve_title(call, "factor", s->factor.compute.path);
    int r = factor_run(&s->part, &s->factor, err);
    report_item(&call->report, "factor", TAKE(s->part.report.root));
    return r;
}

/* What was planned is there now. */
static int cmd_solve_open_factor(struct cmd_solve *s, struct err *err)
{
    struct matdir made = MATDIR_NONE;
    int r = matdir_open(s->factor.compute.path, &made, err);
    if (r < 0)
        return r;
    matdir_close(&s->l);
    s->l = made;
    return cmd_solve_stamp_factor(s, err);
}

/* When X was complete already, somebody may have put another matrix there since. */
static int cmd_solve_remove_factor(struct cmd_solve *s, struct err *err)
{
    struct remove_count ignored;
    int r = s->scratch ? factor_is_ours(&s->factor, err) : 0;
    if (r > 0)
        r = remove_matrix(s->scratch, false, NULL, &ignored, err);
    return r == -ENOENT ? 0 : r;
}

static int cmd_solve_both(struct cmd_call *call, struct cmd_solve *s, struct err *err)
{
    struct err ignored = {0};
    int done = compute_is_done(call, &s->compute, err);
    int r = MIN(done, 0);
    if (done == 0)
        r = cmd_solve_run_factor(call, s, err);
    if (done == 0 && r == 0 && !cmd_solve_plans(call))
        r = cmd_solve_open_factor(s, err);
    cmd_solve_title(call, "solution", s->compute.path);
    if (r == 0)
        r = compute_run(call, &s->compute, err);
    if (cmd_solve_plans(call) || (r < 0 && r != -EDOM)) /* --resume would want it */
        return r;
    int removed = cmd_solve_remove_factor(s, r < 0 ? &ignored : err);
    return removed < 0 && r >= 0 ? removed : r;
}

static int cmd_solve_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(cmd_solve_fini)
    struct cmd_solve s = {.a = MATDIR_NONE, .l = MATDIR_NONE, .b = MATDIR_NONE};
    int r = compute_begin(call, &s.compute, err);
    if (r == 0)
        r = cmd_solve_open(call, &s, err);
    if (r == 0)
        r = solve_init(&s.solve, &s.l, &s.b, err);
    if (r == 0)
        r = trsm_plan(&s.solve.forward, &s.compute.header, err);
    if (r < 0)
        return r;
    s.solve.forward.memory = s.compute.memory;
    cmd_solve_describe(call, &s);
    r = cmd_solve_look(call, &s, err);
    if (r < 0)
        return r;
    return s.factors ? cmd_solve_both(call, &s, err) : compute_run(call, &s.compute, err);
}

const struct cmd cmd_solve = {
    .opts = &cmd_solve_opts,
    .conf_size = sizeof(struct cmd_solve_conf),
    .run = cmd_solve_main,
};
