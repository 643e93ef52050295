#include "ops/chol.h"
#include "ops/verify.h"
#include "tools/compute.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

struct cmd_chol_conf {
    struct compute_conf compute;
    const char *uplo;
    double reg;
};

#define CMD_CHOL(field) offsetof(struct cmd_chol_conf, field)

static const struct opts_item cmd_chol_item[] = {
    {"uplo", 0, OPTS_STRING, CMD_CHOL(uplo), "l|u",
     "A = L L^H from A's lower triangle, or A = U^H U from its upper one (default: l)"},
    {"reg", 0, OPTS_DOUBLE, CMD_CHOL(reg), "X", "add X to the diagonal of A (default: 0)"},
    COMPUTE_ITEMS,
};

static const struct opts_command cmd_chol_opts = {
    .name = "bm-chol",
    .summary = "factor a positive definite matrix",
    .synopsis = "[OPTION]... A L\n",
    .text =
        "Makes the Cholesky factor L of A, lower triangular with A = L L^H. A is Hermitian, in square\n"
        "blocks, of type float32, float64, complex64 or complex128; only one triangle of it is read.\n"
        "The blocks of L's other triangle are absent, and stand for zeros.\n"
        "\n"
        "Each block of L appears when it is complete, so that a run that ended for whatever reason\n"
        "goes on with --resume. The result does not depend on --memory, --threads or how often that\n"
        "was. When A is not positive definite the blocks of L before the failure are right.",
    .item = cmd_chol_item,
    .items = ARRAY_SIZE(cmd_chol_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-chol /mnt/bm/A /mnt/bm/L\n"
                "bm-chol --plan --memory 16Gi /mnt/bm/A /mnt/bm/L\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-gemm(1), bm-diff(1)",
};

static int cmd_chol_options(const struct cmd_chol_conf *conf, struct chol *x, struct err *err)
{
    if (conf->uplo && strcmp(conf->uplo, "l") != 0 && strcmp(conf->uplo, "u") != 0)
        return err_set(err, -EINVAL, "--uplo: '%s' is none of l, u", conf->uplo);
    x->upper = conf->uplo && *conf->uplo == 'u';
    x->reg = conf->reg;
    return 0;
}

static struct cJSON *cmd_chol_parameters(const struct chol *x)
{
    struct cJSON *p = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(p, "uplo", x->upper ? "u" : "l");
    (void)cJSON_AddNumberToObject(p, "reg", x->reg);
    return p;
}

/* Looks at what will be read. */
static int cmd_chol_look(struct cmd_call *call, struct chol *x, struct stamps *stamps,
                         struct compute *c, struct err *err)
{
    const struct cmd_chol_conf *conf = call->conf;
    int r = chol_check_inputs(x, err);
    if (r == 0)
        r = stamps_take(x->a, x->upper ? STAMPS_UPPER : STAMPS_LOWER, stamps, err);
    x->stamps = r == 0 ? stamps : NULL;
    c->reads_checked = grid_axis_blocks(&x->a->header.grid, 0);
    for (int64_t i = 0; i < c->reads_checked; i++)
        c->bytes_checked += (uint64_t)grid_block_elements(&x->a->header.grid, (int64_t[]){i, i}) *
                            x->a->header.dtype.size;
    c->input[0]->watch = &call->watch;
    return r == 0 && !conf->compute.plan ? chol_check_hermitian(x, err) : r;
}

static int cmd_chol_compute(struct cmd_call *call, struct chol *x, struct stamps *stamps,
                            struct compute *c, struct err *err)
{
    struct chol_layout layout;
    c->label = "chol";
    c->path = call->operand[1];
    x->memory = c->memory;
    int r = chol_layout(x, &layout, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = cmd_chol_look(call, x, stamps, c, err);
    if (r < 0)
        return r;
    c->job = (struct job){
        .operation = "chol", .parameters = cmd_chol_parameters(x), .input = {x->stamps}};
    c->algorithm = chol_algorithm(x);
    c->verify = verify_chol;
    c->bound = chol_bound(x);
    c->numpywren = chol_numpywren(x);
    c->bound_text = "max(n^3 / (3 sqrt(2) sqrt(S)), n (n + 1) / 2) elements, S being the memory";
    return compute_run(call, c, err);
}

static int cmd_chol_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(stamps_fini) struct stamps stamps = {0};
    CLEANUP(compute_fini) struct compute c = {.input = {&a}};
    struct chol x = {.a = &a};
    int r = compute_begin(call, &c, err);
    if (r == 0)
        r = cmd_chol_options(call->conf, &x, err);
    report_input(&call->report, call->operand[0]);
    if (r == 0)
        r = matdir_open(call->operand[0], &a, err);
    if (r == 0)
        r = chol_plan(&x, &c.header, err);
    return r < 0 ? r : cmd_chol_compute(call, &x, &stamps, &c, err);
}

const struct cmd cmd_chol = {
    .opts = &cmd_chol_opts,
    .conf_size = sizeof(struct cmd_chol_conf),
    .run = cmd_chol_main,
};
