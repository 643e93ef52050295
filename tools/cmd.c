#include "tools/cmd.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { CMD_CONF_MAX = 256 };

const char cmd_exit_text[] =
    "0    done; the same; healthy\n"
    "1    a negative answer: the matrices differ, one has faults, --verify found an error\n"
    "2    wrong usage or impossible operands: shapes, types, blocks, not a matrix\n"
    "3    numerical failure: not positive definite, singular\n"
    "4    incomplete: a task failed, or a program that was run\n"
    "5    storage, network or credentials, after retries\n"
    "6    an input matrix or block is missing\n"
    "7    refused: the output exists; --force deletes it first\n"
    "130  interrupted (SIGINT)\n"
    "143  terminated (SIGTERM)\n";

int cmd_exit_of(int code)
{
    switch (-code) {
    case 0:
        return CMD_OK;
    case EINVAL:
    case EBADMSG:
    case ENOMEM: /* of the operands' size */
    case EMSGSIZE:
        return CMD_USAGE;
    case EDOM:
        return CMD_NUMERICAL;
    case ENOENT:
        return CMD_MISSING;
    case ECHILD: /* a program that was run */
        return CMD_INCOMPLETE;
    case EEXIST:
        return CMD_REFUSED;
    default:
        return CMD_STORAGE;
    }
}

void cmd_say_error(const char *tool, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", tool, err->msg);
    if (err->hint[0])
        (void)fprintf(stderr, "  hint: %s\n", err->hint);
}

void cmd_say(const struct cmd_call *call, const char *fmt, ...)
{
    const struct cmd_common *common = call->conf;
    struct err line = {0}; /* takes control characters out of names */
    va_list ap;
    if (common->quiet)
        return;
    va_start(ap, fmt);
    char text[ERR_MSG_MAX];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)err_set(&line, 0, "%s", text);
    (void)fprintf(stderr, "%s: %s\n", call->cmd->opts->name, line.msg);
}

/* What a run that a signal ends leaves on standard output. */
static void cmd_interrupted(void *arg, const char *signal, const char *hint)
{
    const struct cmd_call *call = arg;
    const struct cmd_common *common = call->conf;
    struct report report;
    struct err err = {0};
    if (call->end)
        call->end();
    if (!common->json)
        return;
    report_init(&report, call->cmd->opts->name);
    report.start_ns = call->report.start_ns;
    if (call->output)
        report_text(&report, "output", call->output);
    (void)err_set(&err, -EINTR, "%s", signal);
    if (hint[0])
        err_hint(&err, "%s", hint);
    report_print(&report, "interrupted", -EINTR, &err);
}

static int cmd_start_progress(struct cmd_call *call, const char *label, const char *unit,
                              bool resumable, struct err *err)
{
    const struct cmd_common *common = call->conf;
    struct progress_conf conf = {.tool = call->cmd->opts->name,
                                 .label = label,
                                 .unit = unit,
                                 .how = common->progress,
                                 .quiet = common->quiet,
                                 .output = call->output,
                                 .resumable = resumable,
                                 .interrupted = cmd_interrupted,
                                 .arg = call};
    return progress_start(&call->progress, &conf, &call->watch, err);
}

int cmd_progress(struct cmd_call *call, const char *label, const char *unit, struct err *err)
{
    return cmd_start_progress(call, label, unit, false, err);
}

int cmd_progress_resumable(struct cmd_call *call, const char *label, const char *unit,
                           struct err *err)
{
    return cmd_start_progress(call, label, unit, true, err);
}

int cmd_flush(const char *tool, int status)
{
    struct err err = {0};
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    (void)err_errno(&err, -errno, "cannot write to standard output");
    cmd_say_error(tool, &err);
    return CMD_STORAGE;
}

static int cmd_finish(struct cmd_call *call, int r, const struct err *err)
{
    const struct cmd_common *common = call->conf;
    const char *tool = call->cmd->opts->name;
    static const char *const status[] = {"ok", "differs"}; /* from what they should be, too */
    if (r < 0)
        cmd_say_error(tool, err);
    if (common->json)
        report_print(&call->report, r < 0 ? "error" : status[r], r, err);
    report_fini(&call->report);
    return cmd_flush(tool, r < 0 ? cmd_exit_of(r) : r);
}

int cmd_main(const struct cmd *cmd, int argc, char **argv)
{
    _Alignas(max_align_t) char conf[CMD_CONF_MAX] = {0};
    struct err err = {0};
    struct cmd_call call = {.cmd = cmd, .operand = argv + 1, .conf = conf};
    assert(cmd->conf_size <= sizeof(conf));
    if (cmd->conf)
        memcpy(conf, cmd->conf, cmd->conf_size);
    report_init(&call.report, cmd->opts->name);
    int r = opts_parse(cmd->opts, argc, argv, conf, &call.operands, &err);
    if (r == OPTS_DONE) {
        report_fini(&call.report);
        return cmd_flush(cmd->opts->name, CMD_OK);
    }
    if (r >= 0)
        r = cmd->run(&call, &err);
    progress_stop(&call.progress, r >= 0);
    if (r < 0 && !err.msg[0])
        (void)err_errno(&err, r, "failed");
    return cmd_finish(&call, r, &err);
}
