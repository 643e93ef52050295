#include "tools/cmd.h"
#include "tools/output.h"
#include "tools/text.h"

#include "ops/gemm.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct cmd_gemm_conf {
    struct cmd_common common;
    const char *alpha, *beta, *add, *transa, *transb;
    bool force;
};

#define CMD_GEMM(field) offsetof(struct cmd_gemm_conf, field)

static const struct opts_item cmd_gemm_item[] = {
    {"alpha", 0, OPTS_STRING, CMD_GEMM(alpha), "X", "factor of the product (default: 1)"},
    {"transa", 0, OPTS_STRING, CMD_GEMM(transa), "n|t|c",
     "A as it is, transposed or conjugate-transposed (default: n)"},
    {"transb", 0, OPTS_STRING, CMD_GEMM(transb), "n|t|c", "the same for B"},
    {"add", 0, OPTS_STRING, CMD_GEMM(add), "D", "add the matrix D"},
    {"beta", 0, OPTS_STRING, CMD_GEMM(beta), "X", "factor of D (default: 1)"},
    {"force", 'f', OPTS_FLAG, CMD_GEMM(force), NULL, "delete the matrix C that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
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
        "Each block of C appears when it is complete. A factor of 0 means that what it multiplies is\n"
        "not read. Factors are written as 2.5 or, for complex types, as 1+2j.",
    .item = cmd_gemm_item,
    .items = ARRAY_SIZE(cmd_gemm_item),
    .operands_min = 3,
    .operands_max = 3,
    .examples = "bm-gemm /mnt/bm/A /mnt/bm/B /mnt/bm/C\n"
                "bm-gemm --alpha -1 --transb t --add /mnt/bm/D /mnt/bm/A /mnt/bm/B /mnt/bm/C\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-diff(1), bm-create(1)",
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

struct cmd_gemm_inputs {
    struct matdir a, b, d;
};

static void cmd_gemm_close(struct cmd_gemm_inputs *in)
{
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
    in->a.watch = in->b.watch = in->d.watch = &call->watch;
    return r;
}

static void cmd_gemm_report(struct cmd_call *call, const struct matdir *c, bool done)
{
    struct report *out = &call->report;
    struct report tasks = {.root = cJSON_CreateObject()};
    int64_t total = call->watch.steps;
    double seconds = (double)(clock_ns() - call->progress.start_ns) * 1e-9;
    double gflops = (double)call->watch.flops / seconds * 1e-9;
    char sizes[TEXT_SIZES_SIZE];
    char bytes[TEXT_BYTES_SIZE];
    report_text(out, "output", c->path);
    report_header(out, &c->header);
    report_int(&tasks, "total", total);
    report_int(&tasks, "done", call->watch.steps_done);
    report_int(&tasks, "retried", 0);
    report_int(&tasks, "failed", done ? 0 : 1);
    report_item(out, "tasks", tasks.root);
    report_int(out, "bytes_read", (int64_t)call->watch.bytes_read);
    report_int(out, "bytes_written", (int64_t)call->watch.bytes_written);
    report_real(out, "gflops", gflops);
    if (done)
        cmd_say(call, "%s: %s %s in %.2f s, %.1f GFLOP/s, read %s", c->path,
                text_sizes(c->header.grid.shape, 2, sizes), dtype_name(c->header.dtype), seconds,
                gflops, text_bytes((double)call->watch.bytes_read, bytes));
}

static int cmd_gemm_compute(struct cmd_call *call, const struct gemm *g, const struct header *h,
                            struct err *err)
{
    const struct cmd_gemm_conf *conf = call->conf;
    const struct matdir *const input[] = {g->a, g->b, g->d};
    const struct output out = {
        .path = call->operand[2], .force = conf->force, .input = input, .inputs = 3};
    CLEANUP(matdir_close) struct matdir c = MATDIR_NONE;
    int r = output_check(&out, err);
    if (r == 0)
        r = gemm_check_inputs(g, err);
    if (r == 0)
        r = cmd_progress(call, "gemm", "block products", err);
    if (r == 0)
        r = output_make(&out, h, &c, err);
    if (r < 0)
        return r;
    c.watch = &call->watch;
    r = gemm_run(g, &c, err);
    if (r < 0)
        output_is_incomplete(&out, err);
    progress_stop(&call->progress, r == 0);
    cmd_gemm_report(call, &c, r == 0);
    return r;
}

static int cmd_gemm_main(struct cmd_call *call, struct err *err)
{
    CLEANUP(cmd_gemm_close)
    struct cmd_gemm_inputs in = {.a = MATDIR_NONE, .b = MATDIR_NONE, .d = MATDIR_NONE};
    struct header h = {0};
    struct gemm g = {0};
    int r = cmd_gemm_options(call->conf, &g, err);
    if (r == 0)
        r = cmd_gemm_open(call, &in, &g, err);
    if (r == 0)
        r = gemm_plan(&g, &h, err);
    return r < 0 ? r : cmd_gemm_compute(call, &g, &h, err);
}

const struct cmd cmd_gemm = {
    .opts = &cmd_gemm_opts,
    .conf_size = sizeof(struct cmd_gemm_conf),
    .run = cmd_gemm_main,
};
