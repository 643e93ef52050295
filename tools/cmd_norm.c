#include "tools/pass.h"
#include "tools/text.h"

#include "ops/inventory.h"
#include "ops/norm.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* bm-norm and bm-trace: a number on standard output. */

struct cmd_norm_conf {
    struct cmd_common common;
    const char *norm;
};

#define CMD_NORM(field) offsetof(struct cmd_norm_conf, field)

static const struct cmd_norm_conf cmd_norm_defaults = {.norm = "fro"};

static const struct opts_item cmd_norm_item[] = {
    {"norm", 0, OPTS_STRING, CMD_NORM(norm), "KIND",
     "fro: root of the sum of squares; 1: largest column sum; inf: largest row sum; max: largest "
     "element, all of absolute values (default: fro)"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_item cmd_norm_trace_item[] = {CMD_PROGRESS, CMD_JSON, CMD_QUIET};

static const struct opts_command cmd_norm_opts = {
    .name = "bm-norm",
    .summary = "print a norm of a matrix",
    .synopsis = "[OPTION]... A\n",
    .text =
        "Prints a norm of A, of any type, on standard output, with as many digits as tell a double\n"
        "from its neighbours. Each block is read once. fro and max are for any number of axes; for\n"
        "1 and inf, a matrix of one axis is a column.\n"
        "\n"
        "Elements near the largest and the smallest double do not over- or underflow on the way.\n"
        "The norm of a matrix that has a NaN is nan; with --json it is null and \"nan\" is true. A\n"
        "missing block is an error, unless A's header has a fill_value.",
    .item = cmd_norm_item,
    .items = ARRAY_SIZE(cmd_norm_item),
    .operands_min = 1,
    .operands_max = 1,
    .examples = "bm-norm /mnt/bm/A\n"
                "bm-norm --norm max --json /mnt/bm/A | jq .norm\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-trace(1), bm-diff(1)",
};

static const struct opts_command cmd_norm_trace_opts = {
    .name = "bm-trace",
    .summary = "print the trace of a matrix",
    .synopsis = "[OPTION]... A\n",
    .text =
        "Prints the sum of the diagonal of the square matrix A, of any type, on standard output. Of\n"
        "the blocks, only what lies around the diagonal is read.",
    .item = cmd_norm_trace_item,
    .items = ARRAY_SIZE(cmd_norm_trace_item),
    .operands_min = 1,
    .operands_max = 1,
    .examples = "bm-trace /mnt/bm/A\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-norm(1)",
};

static int cmd_norm_kind(const char *text, enum norm_kind *ret, struct err *err)
{
    static const char *const name[] = {
        [NORM_FRO] = "fro", [NORM_ONE] = "1", [NORM_INF] = "inf", [NORM_MAX] = "max"};
    for (size_t i = 0; i < ARRAY_SIZE(name); i++) {
        if (strcmp(text, name[i]) == 0) {
            *ret = (enum norm_kind)i;
            return 0;
        }
    }
    return err_set(err, -EINVAL, "--norm: '%s' is none of fro, 1, inf, max", text);
}

static void cmd_norm_report(struct cmd_call *call, const char *field, const struct number *v,
                            const struct header *h)
{
    struct report *out = &call->report;
    report_header(out, h);
    report_real(out, field, (double)v->re);
    if (strcmp(field, "trace") == 0)
        report_real(out, "imaginary", (double)v->im);
    report_bool(out, "nan", isnan(v->re) || isnan(v->im));
    report_int(out, "bytes_read", (int64_t)call->watch.bytes_read);
}

static void cmd_norm_print(const struct number *v, bool is_complex)
{
    char text[TEXT_VALUE_SIZE];
    (void)printf("%s\n", text_number(v, is_complex, text));
}

static int cmd_norm_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_norm_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    enum norm_kind kind = NORM_FRO;
    struct number v = {0};
    int r = cmd_norm_kind(conf->norm, &kind, err);
    if (r == 0)
        r = pass_open(call, call->operand[0], &a, err);
    if (r == 0)
        r = norm_check(&a, kind, err);
    if (r == 0)
        r = inventory_check_whole(&a, err);
    if (r == 0)
        r = cmd_progress(call, "norm", "blocks", err);
    if (r == 0)
        r = norm_run(&a, kind, &v.re, err);
    progress_stop(&call->progress, r == 0);
    if (r < 0)
        return r;
    report_text(&call->report, "kind", conf->norm);
    cmd_norm_report(call, "norm", &v, &a.header);
    if (!conf->common.json)
        cmd_norm_print(&v, false);
    return 0;
}

static int cmd_norm_trace_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_norm_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    struct number v = {0};
    int r = pass_open(call, call->operand[0], &a, err);
    if (r == 0)
        r = norm_trace_check(&a, err);
    if (r == 0)
        r = cmd_progress(call, "trace", "rows", err);
    if (r == 0)
        r = norm_trace(&a, &v, err);
    progress_stop(&call->progress, r == 0);
    if (r < 0)
        return r;
    cmd_norm_report(call, "trace", &v, &a.header);
    if (!conf->common.json)
        cmd_norm_print(&v, a.header.dtype.kind == 'c');
    return 0;
}

const struct cmd cmd_norm = {
    .opts = &cmd_norm_opts,
    .conf_size = sizeof(struct cmd_norm_conf),
    .conf = &cmd_norm_defaults,
    .run = cmd_norm_main,
};

const struct cmd cmd_trace = {
    .opts = &cmd_norm_trace_opts,
    .conf_size = sizeof(struct cmd_norm_conf),
    .conf = &cmd_norm_defaults,
    .run = cmd_norm_trace_main,
};
