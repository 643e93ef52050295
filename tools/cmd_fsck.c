#include "tools/cmd.h"
#include "tools/text.h"
#include "tools/walk.h"

#include "ops/fsck.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CMD_FSCK_JSON_MAX = 10000 }; /* faults listed in one object; all are counted */

struct cmd_fsck_conf {
    struct cmd_common common;
    bool deep;
};

static const struct opts_item cmd_fsck_item[] = {
    {"deep", 'd', OPTS_FLAG, offsetof(struct cmd_fsck_conf, deep), NULL,
     "read every block and hold it against the CRC-32C stored with it"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_fsck_opts = {
    .name = "bm-fsck",
    .summary = "check matrices",
    .synopsis = "[OPTION]... A...\n"
                "[OPTION]... DIR...\n",
    .text =
        "Checks each matrix A, or all below DIR: whether the header makes sense, whether every name\n"
        "is a block of the grid, and whether the sizes of blocks can be. This reads no block.\n"
        "\n"
        "With --deep each block is read as a whole: its npy header must fit the matrix, and on a mount\n"
        "its bytes must have the CRC-32C that was stored with them. Results of bm-gemm and the like\n"
        "are held against what the run made. Where nothing is known of a block it is counted as\n"
        "unchecked.\n"
        "\n"
        "Directories whose names begin with a dot are passed over, unless one is named.\n"
        "Each fault is a line on standard output. Missing blocks are no fault. Nothing is changed.",
    .item = cmd_fsck_item,
    .items = ARRAY_SIZE(cmd_fsck_item),
    .operands_min = 1,
    .operands_max = -1,
    .examples = "bm-fsck /mnt/bm\n"
                "bm-fsck --deep /mnt/bm/A\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-info(1), bm-ls(1)",
};

/* A check under way. */
struct cmd_fsck {
    struct cmd_call *call;
    struct cJSON *faults; /* owned; with --json */
    int64_t matrices, listed;
    struct fsck_result sum;
    int code; /* of the first trouble that kept something from being checked */
};

static void cmd_fsck_fault(void *arg, const char *what)
{
    struct cmd_fsck *f = arg;
    char line[TEXT_NAME_SIZE];
    if (!f->faults)
        (void)printf("%s\n", text_name(what, line));
    else if (f->listed++ < CMD_FSCK_JSON_MAX)
        (void)cJSON_AddItemToArray(f->faults, report_string(what));
}

static void cmd_fsck_trouble(void *arg, int code, const struct err *err)
{
    struct cmd_fsck *f = arg;
    cmd_say_error(f->call->cmd->opts->name, err);
    if (f->code == 0)
        f->code = code;
}

static int cmd_fsck_check(struct cmd_fsck *f, struct matdir *m, struct err *err)
{
    const struct cmd_fsck_conf *conf = f->call->conf;
    const struct fsck how = {.deep = conf->deep, .fn = cmd_fsck_fault, .arg = f};
    struct fsck_result one;
    f->call->watch = (struct watch){0};
    int r = cmd_progress(f->call, "fsck", "blocks", err);
    if (r < 0)
        return r;
    m->watch = &f->call->watch;
    r = fsck_matrix(m, &how, &one, err);
    progress_stop(&f->call->progress, r == 0);
    f->sum.blocks += one.blocks;
    f->sum.missing += one.missing;
    f->sum.wrong += one.wrong;
    f->sum.unchecked += one.unchecked;
    f->sum.scratch += one.scratch;
    return r;
}

/* One matrix; a header that makes no sense is a fault, too. */
static int cmd_fsck_matrix(void *arg, const char *path, const char *name)
{
    struct cmd_fsck *f = arg;
    struct err err = {0};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    (void)name;
    f->matrices++;
    int r = matdir_open(path, &m, &err);
    if (r == -EBADMSG) {
        f->sum.wrong++;
        cmd_fsck_fault(f, err.msg);
        return 0;
    }
    if (r == 0)
        r = cmd_fsck_check(f, &m, &err);
    if (r < 0)
        cmd_fsck_trouble(f, r, &err);
    return 0;
}

static int cmd_fsck_operand(struct cmd_fsck *f, const char *path, struct err *err)
{
    struct stat st;
    CLEANUP(matdir_id_fini) struct matdir_id id = {0};
    const struct walk w = {.matrix = cmd_fsck_matrix, .trouble = cmd_fsck_trouble, .arg = f};
    report_input(&f->call->report, path);
    int r = matdir_identify(path, &id, err);
    if (r == 0)
        return cmd_fsck_matrix(f, path, path);
    bool lacks_header = err->hint[0]; /* it holds blocks, or objects, all the same */
    if (r != -EINVAL || lacks_header || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return r;
    return walk_run(&w, path, err);
}

static void cmd_fsck_report(struct cmd_fsck *f)
{
    struct report *out = &f->call->report;
    report_int(out, "matrices", f->matrices);
    report_int(out, "blocks", f->sum.blocks);
    report_int(out, "blocks_missing", f->sum.missing);
    report_int(out, "blocks_unchecked", f->sum.unchecked);
    report_int(out, "scratch_files", f->sum.scratch);
    report_int(out, "faults_found", f->sum.wrong);
    report_item(out, "faults", f->faults);
}

static int cmd_fsck_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_fsck_conf *conf = call->conf;
    struct cmd_fsck f = {.call = call};
    int r = 0;
    if (conf->common.json)
        f.faults = cJSON_CreateArray();
    for (int i = 0; r == 0 && i < call->operands; i++)
        r = cmd_fsck_operand(&f, call->operand[i], err);
    if (conf->common.json)
        cmd_fsck_report(&f);
    if (r == 0 && f.code < 0)
        r = err_set(err, f.code, "not everything could be checked");
    if (r < 0)
        return r;
    cmd_say(call, "%lld %s, %lld block%s (%lld missing, %lld unchecked): %lld fault%s",
            (long long)f.matrices, f.matrices == 1 ? "matrix" : "matrices", (long long)f.sum.blocks,
            text_s(f.sum.blocks), (long long)f.sum.missing, (long long)f.sum.unchecked,
            (long long)f.sum.wrong, text_s(f.sum.wrong));
    return f.sum.wrong > 0 ? CMD_NO : CMD_OK;
}

const struct cmd cmd_fsck = {
    .opts = &cmd_fsck_opts,
    .conf_size = sizeof(struct cmd_fsck_conf),
    .run = cmd_fsck_main,
};
