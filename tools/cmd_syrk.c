#include "ops/inventory.h"
#include "ops/syrk.h"
#include "ops/verify.h"
#include "tools/compute.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

struct cmd_syrk_conf {
    struct compute_conf compute;
    const char *trans;
    bool lower;
};

#define CMD_SYRK(field) offsetof(struct cmd_syrk_conf, field)

static const struct opts_item cmd_syrk_item[] = {
    {"trans", 0, OPTS_STRING, CMD_SYRK(trans), "n|c",
     "C = A A^H, or with c C = A^H A (default: n; t is c for real types)"},
    {"lower", 0, OPTS_FLAG, CMD_SYRK(lower), NULL,
     "leave out the blocks above the diagonal, which bm-chol does not read"},
    COMPUTE_ITEMS,
};

static const struct opts_command cmd_syrk_opts = {
    .name = "bm-syrk",
    .summary = "multiply a matrix with its own transpose",
    .synopsis = "[OPTION]... A C\n",
    .text =
        "Makes C = A A^H, or with --trans c C = A^H A, at half the work of bm-gemm; for real types the\n"
        "transpose. C is exactly Hermitian. A is of type float32, float64, complex64 or complex128.\n"
        "\n"
        "Each block of C appears when it is complete, so that a run that ended for whatever reason\n"
        "goes on with --resume; where what is summed over is long and C is small, sums over 65,536 of\n"
        "it or more are kept in C.sums meanwhile. The result does not depend on --memory, --threads or\n"
        "how often that was." COMPUTE_TEXT,
    .item = cmd_syrk_item,
    .items = ARRAY_SIZE(cmd_syrk_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-syrk --trans c --lower /mnt/bm/X /mnt/bm/N\n"
                "bm-chol --reg 0.1 /mnt/bm/N /mnt/bm/L\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-gemm(1), bm-chol(1)",
};

static int cmd_syrk_options(const struct cmd_syrk_conf *conf, struct syrk *s, struct err *err)
{
    const char *trans = conf->trans ? conf->trans : "n";
    char type = dtype_blas(element_native(s->a->header.dtype));
    if (strcmp(trans, "n") != 0 && strcmp(trans, "t") != 0 && strcmp(trans, "c") != 0)
        return err_set(err, -EINVAL, "--trans: '%s' is none of n, t, c", trans);
    if (*trans == 't' && (type == 'c' || type == 'z')) {
        (void)err_set(err, -EINVAL, "%s: complex, and --trans t does not conjugate", s->a->path);
        err_hint(err, "--trans c does; bm gemm --transa t makes A^T A");
        return -EINVAL;
    }
    s->trans = *trans == 'n' ? 'n' : 'c';
    s->lower = conf->lower;
    return 0;
}

static struct cJSON *cmd_syrk_parameters(const struct syrk *s)
{
    struct cJSON *p = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(p, "trans", (char[]){s->trans, '\0'});
    (void)cJSON_AddBoolToObject(p, "lower", s->lower);
    return p;
}

static int cmd_syrk_compute(struct cmd_call *call, struct syrk *s, struct stamps *stamps,
                            struct compute *c, struct err *err)
{
    int64_t parts = 0;
    c->label = "syrk";
    c->path = call->operand[1];
    s->memory = c->memory;
    int r = syrk_parts(s, &parts, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = inventory_check_whole(s->a, err);
    if (r == 0)
        r = stamps_take(s->a, STAMPS_ALL, stamps, err);
    if (r < 0)
        return r;
    s->stamps = stamps;
    c->job = (struct job){
        .operation = "syrk", .parameters = cmd_syrk_parameters(s), .input = {s->stamps}};
    c->algorithm = syrk_algorithm(s);
    c->verify = verify_syrk;
    c->bound = syrk_bound(s);
    c->bound_text = "max(n^2 k / (sqrt(2) sqrt(S)), n k) elements, S being the memory";
    return compute_run(call, c, err);
}

static int cmd_syrk_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(stamps_fini) struct stamps stamps = {0};
    CLEANUP(compute_fini) struct compute c = {.input = {&a}};
    struct syrk s = {.a = &a};
    int r = compute_begin(call, &c, err);
    report_input(&call->report, call->operand[0]);
    if (r == 0)
        r = matdir_open(call->operand[0], &a, err);
    if (r == 0)
        r = cmd_syrk_options(call->conf, &s, err);
    if (r == 0)
        r = syrk_plan(&s, &c.header, err);
    return r < 0 ? r : cmd_syrk_compute(call, &s, &stamps, &c, err);
}

const struct cmd cmd_syrk = {
    .opts = &cmd_syrk_opts,
    .conf_size = sizeof(struct cmd_syrk_conf),
    .run = cmd_syrk_main,
};
