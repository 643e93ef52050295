#include "ops/trsm.h"
#include "ops/verify.h"
#include "tools/compute.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <string.h>

struct cmd_trsm_conf {
    struct compute_conf compute;
    const char *side, *uplo, *trans, *diag;
};

#define CMD_TRSM(field) offsetof(struct cmd_trsm_conf, field)

static const struct opts_item cmd_trsm_item[] = {
    {"side", 0, OPTS_STRING, CMD_TRSM(side), "l|r", "op(L) X = B, or X op(L) = B (default: l)"},
    {"uplo", 0, OPTS_STRING, CMD_TRSM(uplo), "l|u",
     "L is lower or upper triangular (default: as its header says, else l)"},
    {"trans", 0, OPTS_STRING, CMD_TRSM(trans), "n|t|c",
     "L as it is, transposed or conjugate-transposed (default: n)"},
    {"diag", 0, OPTS_STRING, CMD_TRSM(diag), "n|u",
     "with u, L's diagonal counts as ones (default: n)"},
    COMPUTE_ITEMS,
};

static const struct opts_command cmd_trsm_opts = {
    .name = "bm-trsm",
    .summary = "solve with a triangular matrix",
    .synopsis = "[OPTION]... L B X\n",
    .text =
        "Makes X with op(L) X = B, or with --side r X op(L) = B. L is triangular, in square blocks, of\n"
        "type float32, float64, complex64 or complex128; the other triangle is not read. B is cut\n"
        "along L's dimension as L is.\n"
        "\n"
        "Each block of X appears when it is complete, so that a run that ended for whatever reason\n"
        "goes on with --resume. The result does not depend on --memory, --threads or how often that\n"
        "was. A zero on the diagonal, NaN and infinity are errors." COMPUTE_TEXT,
    .item = cmd_trsm_item,
    .items = ARRAY_SIZE(cmd_trsm_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-trsm /mnt/bm/L /mnt/bm/B /mnt/bm/X\n"
                "bm-trsm --side r --trans c /mnt/bm/L /mnt/bm/B /mnt/bm/X\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-chol(1), bm-solve(1)",
};

/* One of the letters; the first one where nothing was said. */
static int cmd_trsm_letter(const char *name, const char *text, const char *letters, char *ret,
                           struct err *err)
{
    if (!text)
        *ret = *letters;
    else if (strlen(text) == 1 && strchr(letters, *text))
        *ret = *text;
    else if (strlen(letters) == 2)
        return err_set(err, -EINVAL, "--%s: '%s' is none of %c, %c", name, text, letters[0],
                       letters[1]);
    else
        return err_set(err, -EINVAL, "--%s: '%s' is none of %c, %c, %c", name, text, letters[0],
                       letters[1], letters[2]);
    return 0;
}

static int cmd_trsm_options(const struct cmd_trsm_conf *conf, struct trsm *x, struct err *err)
{
    int r = cmd_trsm_letter("side", conf->side, "lr", &x->side, err);
    if (r == 0)
        r = cmd_trsm_letter("uplo", conf->uplo, "lu", &x->uplo, err);
    if (r == 0)
        r = cmd_trsm_letter("trans", conf->trans, "ntc", &x->trans, err);
    return r < 0 ? r : cmd_trsm_letter("diag", conf->diag, "nu", &x->diag, err);
}

static struct cJSON *cmd_trsm_parameters(const struct trsm *x)
{
    struct cJSON *p = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(p, "side", (char[]){x->side, '\0'});
    (void)cJSON_AddStringToObject(p, "uplo", (char[]){x->uplo, '\0'});
    (void)cJSON_AddStringToObject(p, "trans", (char[]){x->trans, '\0'});
    (void)cJSON_AddStringToObject(p, "diag", (char[]){x->diag, '\0'});
    return p;
}

/* Operands, with what they were when the run began. */
struct cmd_trsm_inputs {
    struct matdir t, b;
    struct stamps stamps_t, stamps_b;
};

static void cmd_trsm_close(struct cmd_trsm_inputs *in)
{
    stamps_fini(&in->stamps_t);
    stamps_fini(&in->stamps_b);
    matdir_close(&in->t);
    matdir_close(&in->b);
}

static int cmd_trsm_open(struct cmd_call *call, struct cmd_trsm_inputs *in, struct trsm *x,
                         struct err *err)
{
    const struct cmd_trsm_conf *conf = call->conf;
    report_input(&call->report, call->operand[0]);
    report_input(&call->report, call->operand[1]);
    int r = matdir_open(call->operand[0], &in->t, err);
    if (r == 0)
        r = matdir_open(call->operand[1], &in->b, err);
    x->t = &in->t;
    x->b = &in->b;
    if (r == 0 && !conf->uplo && matdir_triangle(&in->t))
        x->uplo = matdir_triangle(&in->t);
    return r;
}

/* Looks at the blocks that will be read. */
static int cmd_trsm_stamp(struct cmd_trsm_inputs *in, struct trsm *x, struct err *err)
{
    int r = trsm_check_inputs(x, err);
    if (r == 0)
        r = stamps_take(x->t, x->uplo == 'u' ? STAMPS_UPPER : STAMPS_LOWER, &in->stamps_t, err);
    if (r == 0)
        r = stamps_take(x->b, STAMPS_ALL, &in->stamps_b, err);
    x->stamps_t = &in->stamps_t;
    x->stamps_b = &in->stamps_b;
    return r;
}

static int cmd_trsm_compute(struct cmd_call *call, struct cmd_trsm_inputs *in, struct trsm *x,
                            struct compute *c, struct err *err)
{
    struct trsm_layout layout;
    c->label = "trsm";
    c->path = call->operand[2];
    c->input[0] = &in->t;
    c->input[1] = &in->b;
    x->memory = c->memory;
    int r = trsm_layout(x, &layout, err);
    if (r == 0)
        r = compute_check(call, c, err);
    if (r == 0)
        r = cmd_trsm_stamp(in, x, err);
    if (r < 0)
        return r;
    c->job = (struct job){.operation = "trsm",
                          .parameters = cmd_trsm_parameters(x),
                          .input = {x->stamps_t, x->stamps_b}};
    c->algorithm = trsm_algorithm(x);
    c->verify = verify_trsm;
    c->bound = trsm_bound(x);
    c->bound_text = "max(m^2 n / sqrt(S), m (m + 1) / 2 + m n) elements, S being the memory";
    return compute_run(call, c, err);
}

static int cmd_trsm_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(cmd_trsm_close)
    struct cmd_trsm_inputs in = {.t = MATDIR_NONE, .b = MATDIR_NONE};
    CLEANUP(compute_fini) struct compute c = {0};
    struct trsm x = {0};
    int r = compute_begin(call, &c, err);
    if (r == 0)
        r = cmd_trsm_options(call->conf, &x, err);
    if (r == 0)
        r = cmd_trsm_open(call, &in, &x, err);
    if (r == 0)
        r = trsm_plan(&x, &c.header, err);
    return r < 0 ? r : cmd_trsm_compute(call, &in, &x, &c, err);
}

const struct cmd cmd_trsm = {
    .opts = &cmd_trsm_opts,
    .conf_size = sizeof(struct cmd_trsm_conf),
    .run = cmd_trsm_main,
};
