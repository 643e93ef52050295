#include "tools/cmd.h"
#include "tools/text.h"
#include "tools/walk.h"

#include "matrix/name.h"
#include "ops/inventory.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { CMD_LS_JSON_MAX = 10000000 }; /* names in one object: about 2 GiB while it is made */

struct cmd_ls_conf {
    struct cmd_common common;
    bool details;
    bool missing;
};

#define CMD_LS(field) offsetof(struct cmd_ls_conf, field)

static const struct opts_item cmd_ls_item[] = {
    {"long", 'l', OPTS_FLAG, CMD_LS(details), NULL,
     "of matrices: shape, block, type, blocks that are there of all; of blocks: shape and bytes"},
    {"missing", 'm', OPTS_FLAG, CMD_LS(missing), NULL, "the blocks that are missing"},
    CMD_JSON,
};

static const struct opts_command cmd_ls_opts = {
    .name = "bm-ls",
    .summary = "list matrices, or the blocks of one",
    .synopsis = "[OPTION]... [DIR]\n"
                "[OPTION]... A\n",
    .text =
        "Lists the matrices below DIR (default: where you are), or the blocks of the matrix A in\n"
        "the order of their indices, one name a line. Control characters in names are written as\n"
        "\\xNN.",
    .item = cmd_ls_item,
    .items = ARRAY_SIZE(cmd_ls_item),
    .operands_min = 0,
    .operands_max = 1,
    .examples = "bm-ls -l /mnt/bm\n"
                "bm-ls --missing /mnt/bm/A\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-info(1)",
};

/* A listing under way. */
struct cmd_ls {
    struct cmd_call *call;
    const struct cmd_ls_conf *conf;
    struct cJSON *list;     /* owned; with --json: the names or matrices */
    bool blocks;            /* those of a matrix are listed */
    const struct matdir *m; /* meanwhile, which one */
    int64_t listed;
    int code; /* of the first trouble */
};

static void cmd_ls_trouble(void *arg, int code, const struct err *err)
{
    struct cmd_ls *ls = arg;
    cmd_say_error(ls->call->cmd->opts->name, err);
    if (ls->code == 0)
        ls->code = code;
}

/* Takes ownership of `item`. */
static int cmd_ls_add(struct cmd_ls *ls, struct cJSON *item)
{
    if (item && ls->list && cJSON_AddItemToArray(ls->list, item))
        return 0;
    cJSON_Delete(item);
    return -ENOMEM;
}

/* --- blocks --- */

static void cmd_ls_print_block(const struct cmd_ls *ls, const int64_t *index, const char *name)
{
    const struct grid *g = &ls->m->header.grid;
    int64_t extent[GRID_NDIM_MAX];
    char sizes[TEXT_SIZES_SIZE];
    struct stat st = {0};
    if (!ls->conf->details) {
        (void)printf("%s\n", name);
        return;
    }
    for (int a = 0; a < g->ndim; a++)
        extent[a] = grid_block_extent(g, a, index[a]);
    if (!ls->conf->missing)
        (void)fstatat(ls->m->fd, name, &st, 0);
    (void)printf("%-12s %12lld  %s\n", text_sizes(extent, g->ndim, sizes), (long long)st.st_size,
                 name);
}

static int cmd_ls_block(void *arg, int64_t rank)
{
    struct cmd_ls *ls = arg;
    const struct grid *g = &ls->m->header.grid;
    int64_t index[GRID_NDIM_MAX];
    char name[NAME_FILE_SIZE];
    grid_unrank(g, rank, index);
    if (ls->conf->missing && !matdir_expects(ls->m, index))
        return 0;
    (void)name_file(g->ndim, index, name);
    if (!ls->list) {
        cmd_ls_print_block(ls, index, name);
        return ferror(stdout) ? -EIO : 0; /* nobody reads any more: a grid may be endless */
    }
    return ls->listed++ < CMD_LS_JSON_MAX ? cmd_ls_add(ls, cJSON_CreateString(name)) : -EMSGSIZE;
}

static int cmd_ls_each_block(struct cmd_ls *ls, const struct matdir *m, struct err *err)
{
    CLEANUP(inventory_fini) struct inventory in = {0};
    int r = inventory_load(m, false, &in, err);
    if (r < 0)
        return r;
    ls->m = m;
    ls->blocks = true;
    if (in.misnamed > 0)
        cmd_say(ls->call, "%lld block%s named .npy: outside a mount, names have no .npy",
                (long long)in.misnamed, text_s(in.misnamed));
    report_header(&ls->call->report, &m->header);
    if (ls->conf->missing)
        r = inventory_each_missing(&in, cmd_ls_block, ls);
    for (size_t i = 0; r == 0 && !ls->conf->missing && i < in.count; i++)
        r = cmd_ls_block(ls, in.rank[i]);
    ls->m = NULL;
    if (r == -EMSGSIZE)
        return err_set(err, r, "%s: more than %d names for one object; list them without --json",
                       m->path, CMD_LS_JSON_MAX);
    return r < 0 ? err_errno(err, r, "%s", m->path) : 0;
}

static int cmd_ls_blocks(struct cmd_ls *ls, const char *path, struct err *err)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    int r = matdir_open(path, &m, err);
    return r < 0 ? r : cmd_ls_each_block(ls, &m, err);
}

/* --- matrices --- */

static int cmd_ls_print_matrix(const struct matdir *m, const struct inventory *in, const char *name)
{
    char shown[TEXT_NAME_SIZE];
    char shape[TEXT_SIZES_SIZE];
    char shard[TEXT_SIZES_SIZE];
    const struct grid *g = &m->header.grid;
    (void)printf("%-14s %-12s %-10s %zu/%lld  %s\n", text_sizes(g->shape, g->ndim, shape),
                 text_sizes(g->shard, g->ndim, shard), dtype_name(m->header.dtype), in->count,
                 (long long)in->total, text_name(name, shown));
    return 0;
}

static int cmd_ls_report_matrix(struct cmd_ls *ls, const struct matdir *m,
                                const struct inventory *in, const char *name)
{
    struct report item = {.root = cJSON_CreateObject()};
    report_text(&item, "name", name);
    report_header(&item, &m->header);
    report_int(&item, "blocks_present", (int64_t)in->count);
    report_int(&item, "blocks_total", in->total);
    return cmd_ls_add(ls, item.root);
}

static int cmd_ls_matrix(void *arg, const char *path, const char *name)
{
    struct cmd_ls *ls = arg;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    CLEANUP(inventory_fini) struct inventory in = {0};
    char shown[TEXT_NAME_SIZE];
    struct err err = {0};
    if (!ls->list && !ls->conf->details) {
        (void)printf("%s\n", text_name(name, shown));
        return 0;
    }
    int r = matdir_open(path, &m, &err);
    if (r == 0)
        r = inventory_load(&m, false, &in, &err);
    if (r < 0) {
        cmd_ls_trouble(ls, r, &err);
        return 0;
    }
    return ls->list ? cmd_ls_report_matrix(ls, &m, &in, name) : cmd_ls_print_matrix(&m, &in, name);
}

/* --- the command --- */

static int cmd_ls_run(struct cmd_ls *ls, const char *path, struct err *err)
{
    struct stat st;
    CLEANUP(matdir_id_fini) struct matdir_id id = {0};
    const struct walk w = {.matrix = cmd_ls_matrix, .trouble = cmd_ls_trouble, .arg = ls};
    int r = matdir_identify(path, &id, err);
    if (r == 0)
        return cmd_ls_blocks(ls, path, err);
    bool is_dir = r == -EINVAL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (!is_dir || ls->conf->missing)
        return r;
    return walk_run(&w, path, err);
}

static int cmd_ls_main(struct cmd_call *call, struct err *err)
{
    const char *path = call->operands > 0 ? call->operand[0] : ".";
    struct cmd_ls ls = {.call = call, .conf = call->conf};
    report_input(&call->report, path);
    if (ls.conf->common.json)
        ls.list = cJSON_CreateArray();
    int r = cmd_ls_run(&ls, path, err);
    const char *what = ls.conf->missing ? "missing" : "blocks";
    if (ls.conf->common.json)
        report_item(&call->report, ls.blocks ? what : "matrices", ls.list);
    if (r == 0 && ls.code < 0)
        r = err_set(err, ls.code, "%s: not everything could be listed", path);
    return r;
}

const struct cmd cmd_ls = {
    .opts = &cmd_ls_opts,
    .conf_size = sizeof(struct cmd_ls_conf),
    .run = cmd_ls_main,
};
