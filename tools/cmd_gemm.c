#include "ops/gemm.h"
#include "ops/verify.h"
#include "tools/compute.h"
#include "tools/text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct cmd_gemm_conf {
    struct compute_conf compute;
    const char *alpha, *beta, *add, *transa, *transb;
};

#define CMD_GEMM(field) offsetof(struct cmd_gemm_conf, field)

static const struct opts_item cmd_gemm_item[] = {
    {"alpha", 0, OPTS_STRING, CMD_GEMM(alpha), "X", "factor of the product (default: 1)"},
    {"transa", 0, OPTS_STRING, CMD_GEMM(transa), "n|t|c",
     "A as it is, transposed or conjugate-transposed (default: n)"},
    {"transb", 0, OPTS_STRING, CMD_GEMM(transb), "n|t|c", "the same for B"},
    {"add", 0, OPTS_STRING, CMD_GEMM(add), "D", "add the matrix D"},
    {"beta", 0, OPTS_STRING, CMD_GEMM(beta), "X", "factor of D (default: 1)"},
    COMPUTE_ITEMS,
};

static const struct opts_command cmd_gemm_opts = {
    .name = "bm-gemm",
    .summary = "multiply two matrices",
    .synopsis = "[OPTION]... A B C\n",
    .text =
        "Makes C = alpha A B, or with --add C = alpha A B + beta D. All are of one type: float32,\n"
        "float64, complex64 or complex128. A's columns and B's rows are cut into blocks of the same\n"
        "size; D is cut as C is.\n"
        "\n"
        "Each block of C appears when it is complete, so that a run that ended for whatever reason\n"
        "goes on with --resume; where A's columns are many and C is small, sums over 65,536 of them or\n"
        "more are kept in C.sums meanwhile. The result does not depend on --memory, --threads or how\n"
        "often that was. A factor of 0 means that what it multiplies is not read. Factors are written as 2.5 or,\n"
        "for complex types, as 1+2j." COMPUTE_TEXT,
    .item = cmd_gemm_item,
    .items = ARRAY_SIZE(cmd_gemm_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-gemm /mnt/bm/A /mnt/bm/B /mnt/bm/C\n"
                "bm-gemm --alpha -1 --transb t --add /mnt/bm/D /mnt/bm/A /mnt/bm/B /mnt/bm/C\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-chol(1), bm-diff(1), bm-create(1)",
};

static int cmd_gemm_trans(const char *name, const char *text, char *ret, struct err *err)
{
    static const char letters[] = "ntc";
    const char *at = text && strlen(text) == 1 ? strchr(letters, *text) : NULL;
    if (text && !at)
        return err_set(err, -EINVAL, "--%s: '%s' is none of n, t, c", name, text);
    *ret = 'n';
    if (at)
        *ret = *at;
    return 0;
}

static int cmd_gemm_options(const struct cmd_gemm_conf *conf, struct gemm *g, struct err *err)
{
    int r = text_parse_factor("--alpha", conf->alpha, &g->alpha, err);
    if (r == 0)
        r = text_parse_factor("--beta", conf->beta, &g->beta, err);
    if (r == 0)
        r = cmd_gemm_trans("transa", conf->transa, &g->transa, err);
    if (r == 0)
        r = cmd_gemm_trans("transb", conf->transb, &g->transb, err);
    if (r == 0 && conf->beta && !conf->add) {
        r = err_set(err, -EINVAL, "--beta is a factor of the matrix that --add names");
        err_hint(err, "C is made anew: to add to a matrix D, write --beta X --add D");
    }
    return r;
}

/* Operands, with what they were when the run began. */
struct cmd_gemm_inputs {
    struct matdir a, b, d;
    struct stamps stamps_a, stamps_b, stamps_d;
};

static void cmd_gemm_close(struct cmd_gemm_inputs *in)
{
    stamps_fini(&in->stamps_a);
    stamps_fini(&in->stamps_b);
    stamps_fini(&in->stamps_d);
    matdir_close(&in->a);
    matdir_close(&in->b);
    matdir_close(&in->d);
}

static int cmd_gemm_open(struct cmd_call *call, struct cmd_gemm_inputs *in, struct gemm *g,
                         struct err *err)
{
    const struct cmd_gemm_conf *conf = call->conf;
    report_input(&call->report, call->operand[0]);
    report_input(&call->report, call->operand[1]);
    if (conf->add)
        report_input(&call->report, conf->add);
    int r = matdir_open(call->operand[0], &in->a, err);
    if (r == 0)
        r = matdir_open(call->operand[1], &in->b, err);
    if (r == 0 && conf->add)
        r = matdir_open(conf->add, &in->d, err);
    g->a = &in->a;
    g->b = &in->b;
    g->d = conf->add ? &in->d : NULL;
    return r;
}

/* Looks at the blocks that will be read. */
static int cmd_gemm_stamp(struct cmd_gemm_inputs *in, struct gemm *g, struct err *err)
{
    bool adds = g->d && g->beta != 0;
    int r = gemm_check_inputs(g, err);
    if (r == 0 && g->alpha != 0)
        r = stamps_take(g->a, STAMPS_ALL, &in->stamps_a, err);
    if (r == 0 && g->alpha != 0)
        r = stamps_take(g->b, STAMPS_ALL, &in->stamps_b, err);
    if (r == 0 && adds)
        r = stamps_take(g->d, STAMPS_ALL, &in->stamps_d, err);
    g->stamps_a = in->stamps_a.of ? &in->stamps_a : NULL;
    g->stamps_b = in->stamps_b.of ? &in->stamps_b : NULL;
    g->stamps_d = in->stamps_d.of ? &in->stamps_d : NULL;
    return r;
}

static struct cJSON *cmd_gemm_complex(double complex x)
{
    return cJSON_CreateDoubleArray((double[]){creal(x), cimag(x)}, 2);
}

static struct cJSON *cmd_gemm_parameters(const struct gemm *g)
{
    struct cJSON *p = cJSON_CreateObject();
    (void)cJSON_AddItemToObject(p, "alpha", cmd_gemm_complex(g->alpha));
    (void)cJSON_AddItemToObject(p, "beta", cmd_gemm_complex(g->d ? g->beta : 0));
    (void)cJSON_AddStringToObject(p, "transa", (char[]){g->transa, '\0'});
    (void)cJSON_AddStringToObject(p, "transb", (char[]){g->transb, '\0'});
    return p;
}

static int cmd_gemm_compute(struct cmd_call *call, struct cmd_gemm_inputs *in, struct gemm *g,
                            struct compute *c, struct err *err)
{
    struct gemm_layout layout;
    c->label = "gemm";
    c->path = call->operand[2];
    c->input[0] = &in->a;
    c->input[1] = &in->b;
    c->input[2] = g->d ? &in->d : NULL;
    g->memory = c->memory;
    int r = gemm_layout(g, &layout, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = cmd_gemm_stamp(in, g, err);
    if (r < 0)
        return r;
    c->job = (struct job){.operation = "gemm",
                          .parameters = cmd_gemm_parameters(g),
                          .input = {g->stamps_a, g->stamps_b, g->stamps_d}};
    c->algorithm = gemm_algorithm(g);
    c->verify = verify_gemm;
    c->bound = gemm_bound(g);
    c->numpywren = gemm_numpywren(g);
    c->bound_text = "max(2 m n k / sqrt(S), m k + k n) elements, S being the memory";
    return compute_run(call, c, err);
}

static int cmd_gemm_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(cmd_gemm_close)
    struct cmd_gemm_inputs in = {.a = MATDIR_NONE, .b = MATDIR_NONE, .d = MATDIR_NONE};
    CLEANUP(compute_fini) struct compute c = {0};
    struct gemm g = {0};
    int r = compute_begin(call, &c, err);
    if (r == 0)
        r = cmd_gemm_options(call->conf, &g, err);
    if (r == 0)
        r = cmd_gemm_open(call, &in, &g, err);
    if (r == 0)
        r = gemm_plan(&g, &c.header, err);
    return r < 0 ? r : cmd_gemm_compute(call, &in, &g, &c, err);
}

const struct cmd cmd_gemm = {
    .opts = &cmd_gemm_opts,
    .conf_size = sizeof(struct cmd_gemm_conf),
    .run = cmd_gemm_main,
};
