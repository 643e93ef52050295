#include "tools/cmd.h"
#include "tools/text.h"

#include "ops/diff.h"

#include <cjson/cJSON.h>
#include <errno.h>

struct cmd_diff_conf {
    struct cmd_common common;
    struct diff diff;
};

#define CMD_DIFF(field) offsetof(struct cmd_diff_conf, field)

static const struct opts_item cmd_diff_item[] = {
    {"rtol", 0, OPTS_DOUBLE, CMD_DIFF(diff.rtol), "R", "tolerate R |b| (default: 0)"},
    {"atol", 0, OPTS_DOUBLE, CMD_DIFF(diff.atol), "A", "tolerate A (default: 0)"},
    {"equal-nan", 0, OPTS_FLAG, CMD_DIFF(diff.equal_nan), NULL, "NaN equals NaN"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_diff_opts = {
    .name = "bm-diff",
    .summary = "compare two matrices",
    .synopsis = "[OPTION]... A B\n",
    .text =
        "Compares A and B element by element. They have one shape, but may be cut into different\n"
        "blocks; floats and complex numbers of any precision can be compared with each other.\n"
        "\n"
        "Elements are equal when |a - b| <= atol + rtol |b|; without options, when they have the same\n"
        "value. A block that only one of them has is a difference; what both lack is not.\n"
        "\n"
        "Where they differ, prints how many elements do, and the first and the worst of them with\n"
        "their indices from 0, value in A, value in B, absolute and relative error. The relative error\n"
        "is that of the larger of |a| and |b|.",
    .item = cmd_diff_item,
    .items = ARRAY_SIZE(cmd_diff_item),
    .operands_min = 2,
    .operands_max = 2,
    .examples = "bm-diff /mnt/bm/A /mnt/bm/B\n"
                "bm-diff --rtol 1e-12 /mnt/bm/C /scratch/C\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-info(1)",
};

static void cmd_diff_print_at(const char *what, const struct diff_at *at, int ndim, bool is_complex)
{
    char a[TEXT_VALUE_SIZE];
    char b[TEXT_VALUE_SIZE];
    (void)printf("%s: (", what);
    for (int k = 0; k < ndim; k++)
        (void)printf("%s%lld", k > 0 ? ", " : "", (long long)at->index[k]);
    (void)printf("): %s, %s: abs %.3Lg, rel %.3Lg\n", text_number(&at->a, is_complex, a),
                 text_number(&at->b, is_complex, b), at->abs_error, at->rel_error);
}

static void cmd_diff_print(const struct diff_result *r, int ndim, bool is_complex)
{
    if (r->different > 0) {
        (void)printf("different: %lld of %lld elements\n", (long long)r->different,
                     (long long)r->compared);
        cmd_diff_print_at("first", &r->first, ndim, is_complex);
        cmd_diff_print_at("worst", &r->worst, ndim, is_complex);
    }
    if (r->only_a > 0)
        (void)printf("only in the first: %lld elements\n", (long long)r->only_a);
    if (r->only_b > 0)
        (void)printf("only in the second: %lld elements\n", (long long)r->only_b);
}

static void cmd_diff_report_at(struct report *out, const char *name, const struct diff_at *at,
                               int ndim, bool is_complex)
{
    char text[TEXT_VALUE_SIZE];
    struct report part = {.root = cJSON_CreateObject()};
    report_sizes(&part, "index", at->index, ndim);
    report_text(&part, "a", text_number(&at->a, is_complex, text));
    report_text(&part, "b", text_number(&at->b, is_complex, text));
    report_real(&part, "abs_error", (double)at->abs_error);
    report_real(&part, "rel_error", (double)at->rel_error);
    report_item(out, name, part.root);
}

static void cmd_diff_report(struct report *out, const struct diff_result *r, int ndim,
                            bool is_complex)
{
    report_int(out, "compared", r->compared);
    report_int(out, "different", r->different);
    report_int(out, "only_a", r->only_a);
    report_int(out, "only_b", r->only_b);
    report_int(out, "neither", r->neither);
    report_real(out, "max_abs_error", (double)r->max_abs);
    report_real(out, "max_rel_error", (double)r->max_rel);
    if (r->different > 0) {
        cmd_diff_report_at(out, "first", &r->first, ndim, is_complex);
        cmd_diff_report_at(out, "worst", &r->worst, ndim, is_complex);
    }
}

static int cmd_diff_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_diff_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(matdir_close) struct matdir b = MATDIR_NONE;
    struct diff_result result;
    report_input(&call->report, call->operand[0]);
    report_input(&call->report, call->operand[1]);
    if (conf->diff.rtol < 0 || conf->diff.atol < 0)
        return err_set(err, -EINVAL, "a tolerance is never negative");
    int r = matdir_open(call->operand[0], &a, err);
    if (r == 0)
        r = matdir_open(call->operand[1], &b, err);
    if (r == 0)
        r = diff_check(&a, &b, err);
    if (r == 0)
        r = cmd_progress(call, "diff", "blocks", err);
    if (r < 0)
        return r;
    a.watch = &call->watch;
    b.watch = &call->watch;
    r = diff_run(&a, &b, &conf->diff, &result, err);
    progress_stop(&call->progress, r == 0);
    if (r < 0)
        return r;
    bool is_complex = a.header.dtype.kind == 'c' || b.header.dtype.kind == 'c';
    int ndim = a.header.grid.ndim;
    report_int(&call->report, "bytes_read", (int64_t)call->watch.bytes_read);
    if (conf->common.json)
        cmd_diff_report(&call->report, &result, ndim, is_complex);
    else if (!conf->common.quiet)
        cmd_diff_print(&result, ndim, is_complex);
    if (result.neither > 0)
        cmd_say(call, "%lld elements are missing in both", (long long)result.neither);
    return diff_is_same(&result) ? CMD_OK : CMD_NO;
}

const struct cmd cmd_diff = {
    .opts = &cmd_diff_opts,
    .conf_size = sizeof(struct cmd_diff_conf),
    .run = cmd_diff_main,
};
