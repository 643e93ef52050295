#include "tools/pass.h"
#include "tools/text.h"

#include "ops/child.h"
#include "ops/inventory.h"
#include "ops/map.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cmd_map_conf {
    struct cmd_common common;
    const char *dtype, *shape, *block;
    int64_t jobs, retries;
    bool force;
};

#define CMD_MAP(field) offsetof(struct cmd_map_conf, field)

static const struct opts_item cmd_map_item[] = {
    {"jobs", 'j', OPTS_INT, CMD_MAP(jobs), "N", "blocks at a time (default: one a processor)"},
    {"retries", 0, OPTS_INT, CMD_MAP(retries), "N",
     "try a block that fails up to N times more (default: 0)"},
    {"dtype", 0, OPTS_STRING, CMD_MAP(dtype), "TYPE", "type of B (default: that of A)"},
    {"shape", 0, OPTS_STRING, CMD_MAP(shape), "MxN", "size of B (default: that of A)"},
    {"block", 0, OPTS_STRING, CMD_MAP(block), "BxB", "size of B's blocks (default: those of A)"},
    {"force", 'f', OPTS_FLAG, CMD_MAP(force), NULL, "delete the matrix B that is there first"},
    CMD_PROGRESS,
    CMD_JSON,
    CMD_QUIET,
};

static const struct opts_command cmd_map_opts = {
    .name = "bm-map",
    .summary = "run a program over every block of a matrix",
    .synopsis = "[OPTION]... A B -- COMMAND [ARG]...\n",
    .text =
        "Makes B from what COMMAND makes of each block of A. COMMAND is run once for each block, in\n"
        "any order. Its standard input is the block as numpy.save writes it, its standard output\n"
        "has to become the block of B in the same format; both are files, so numpy.load and\n"
        "numpy.save take them as they are. B has A's type, size and blocks, or those given, and as\n"
        "many blocks on each axis as A.\n"
        "\n"
        "COMMAND finds in its environment: BM_BLOCK, the block's name (block_2_0); BM_INDEX, its\n"
        "index on each axis (2 0), also in BM_I and BM_J; BM_START, its first element on each axis\n"
        "(8192 0); BM_SHAPE, the size of A.\n"
        "\n"
        "A block has failed when COMMAND ends with another status than 0, or when what it wrote is\n"
        "not a block of B: type, shape (also that of the smaller blocks at the edges) and length.\n"
        "It is tried --retries times more; then no further block is started, those under way come\n"
        "to their end, the block is named with the end of COMMAND's standard error, and the exit\n"
        "status is 4. The standard error of blocks that succeed is dropped. What COMMAND leaves\n"
        "running is ended; a signal that ends bm-map ends all of them.\n"
        "\n"
        "A missing block is an error, unless A's header has a fill_value: then COMMAND gets a block\n"
        "full of it.",
    .item = cmd_map_item,
    .items = ARRAY_SIZE(cmd_map_item),
    .operands_min = 3,
    .operands_max = -1,
    .examples = "bm-map /mnt/bm/A /mnt/bm/B -- python3 -c 'import sys, numpy as np\n"
                "np.save(sys.stdout.buffer, np.exp(np.load(sys.stdin.buffer)))'\n"
                "bm-map --jobs 8 --retries 2 --dtype f4 /mnt/bm/A /mnt/bm/B -- ./filter --fast\n"
                "bm-map /mnt/bm/A /mnt/bm/copy -- cat\n",
    .exit_status = cmd_exit_text,
    .see_also = "bm(1), bm-reblock(1), bm-add(1)",
};

/* Processors that this process may use. */
static int cmd_map_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    return MAX(CPU_COUNT(&set), 1);
}

static int cmd_map_numbers(const struct cmd_map_conf *conf, struct map *map, struct err *err)
{
    if (conf->jobs < 0 || conf->jobs > MAP_JOBS_MAX)
        return err_set(err, -EINVAL, "--jobs: %lld is not between 1 and %d", (long long)conf->jobs,
                       MAP_JOBS_MAX);
    if (conf->retries < 0 || conf->retries > MAP_RETRIES_MAX)
        return err_set(err, -EINVAL, "--retries: %lld is not between 0 and %d",
                       (long long)conf->retries, MAP_RETRIES_MAX);
    map->jobs = conf->jobs > 0 ? (int)conf->jobs : cmd_map_processors();
    map->retries = (int)conf->retries;
    return 0;
}

/* What B is to be: A, except for what the options say. */
static int cmd_map_header(const struct cmd_map_conf *conf, const struct header *a, struct header *h,
                          struct err *err)
{
    int r = 0;
    *h = (struct header){.grid = a->grid, .dtype = element_native(a->dtype)};
    if (conf->shape)
        r = text_parse_sizes(conf->shape, 0, h->grid.shape, &h->grid.ndim, err);
    if (r < 0)
        return err_prefix(err, r, "--shape");
    if (conf->block)
        r = text_parse_block(conf->block, &h->grid, err);
    if (r == 0 && conf->dtype && text_parse_dtype(conf->dtype, &h->dtype, err) < 0)
        r = err_prefix(err, -EINVAL, "--dtype");
    return r;
}

/* The end of a failed program's standard error, line by line. */
static void cmd_map_show_tail(const char *tail)
{
    char line[TEXT_NAME_SIZE];
    while (*tail) {
        char part[MAP_TAIL_MAX + 1];
        size_t len = strcspn(tail, "\n");
        (void)snprintf(part, sizeof(part), "%.*s", (int)len, tail);
        (void)fprintf(stderr, "  | %s\n", text_name(part, line));
        tail += len + (tail[len] == '\n');
    }
}

static void cmd_map_report(struct cmd_call *call, const struct map_result *result)
{
    struct report tasks = {.root = cJSON_CreateObject()};
    report_int(&tasks, "total", call->watch.steps);
    report_int(&tasks, "done", result->done);
    report_int(&tasks, "retried", result->retried);
    report_int(&tasks, "failed", result->failed);
    report_item(&call->report, "tasks", tasks.root);
    if (result->failed > 0)
        report_text(&call->report, "stderr", result->tail);
}

struct cmd_map_run {
    struct cmd_call *call;
    const struct matdir *a;
    struct map map;
};

static int cmd_map_run(void *arg, const struct matdir *out, struct err *err)
{
    const struct cmd_map_run *run = arg;
    struct map_result result;
    int r = map_run(run->a, &run->map, out, &result, err);
    progress_stop(&run->call->progress, r == 0);
    cmd_map_report(run->call, &result);
    if (result.failed > 0)
        cmd_map_show_tail(result.tail);
    if (r == 0 && result.retried > 0)
        cmd_say(run->call, "%lld further tries were needed", (long long)result.retried);
    return r;
}

static int cmd_map_make(struct cmd_call *call, struct cmd_map_run *run, const struct header *h,
                        struct err *err)
{
    const struct cmd_map_conf *conf = call->conf;
    const struct matdir *const input[] = {run->a};
    CLEANUP(freep) char *path = NULL;
    const struct pass pass = {
        .label = "map",
        .out = {.path = call->operand[1], .force = conf->force, .input = input, .inputs = 1},
        .header = h,
        .run = cmd_map_run,
        .arg = run};
    int r = map_check(run->a, h, err);
    if (r == 0)
        r = map_find(run->map.argv[0], &path, err); /* before anything is deleted */
    if (r == 0)
        r = output_check(&pass.out, err);
    if (r == 0)
        r = inventory_check_whole(run->a, err);
    return r < 0 ? r : pass_run(call, &pass, err);
}

static int cmd_map_main(struct cmd_call *call, struct err *err)
{
    const struct cmd_map_conf *conf = call->conf;
    CLEANUP(matdir_close) struct matdir a = MATDIR_NONE;
    CLEANUP(freep) char **argv = calloc((size_t)call->operands - 1, sizeof(*argv));
    struct cmd_map_run run = {.call = call, .a = &a, .map.argv = argv};
    struct header h = {0};
    if (!argv)
        return -ENOMEM;
    memcpy(argv, call->operand + 2, ((size_t)call->operands - 2) * sizeof(*argv));
    call->end = child_end;
    int r = cmd_map_numbers(conf, &run.map, err);
    if (r == 0)
        r = pass_open(call, call->operand[0], &a, err);
    if (r == 0)
        r = cmd_map_header(conf, &a.header, &h, err);
    return r < 0 ? r : cmd_map_make(call, &run, &h, err);
}

const struct cmd cmd_map = {
    .opts = &cmd_map_opts,
    .conf_size = sizeof(struct cmd_map_conf),
    .run = cmd_map_main,
};
