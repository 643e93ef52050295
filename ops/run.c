#include "ops/run.h"

#include "base/buf.h"
#include "matrix/name.h"
#include "ops/sums.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { RUN_NAMES_MAX = 12 }; /* blocks named in a hint */

int run_check_grid(const struct matdir *m, struct err *err)
{
    const struct grid *g = &m->header.grid;
    for (int axis = 0; axis < 2; axis++) {
        if (MIN(g->shard[axis], g->shape[axis]) > INT_MAX)
            return err_set(err, -EINVAL, "%s: blocks of more than %d rows or columns", m->path,
                           INT_MAX);
        if (grid_axis_blocks(g, axis) <= RUN_LINES_MAX)
            continue;
        (void)err_set(err, -EINVAL, "%s: more than %d blocks along axis %d", m->path, RUN_LINES_MAX,
                      axis);
        err_hint(err, "bm reblock makes larger ones");
        return -EINVAL;
    }
    return 0;
}

/* What is there, of the result and of what is kept on the way. */
struct run_there {
    struct result result;
    struct sums sums;
};

static void run_there_fini(struct run_there *t)
{
    result_fini(&t->result);
    sums_fini(&t->sums);
}

static int run_look(const struct run_algorithm *a, const struct matdir *out, bool fresh, bool sums,
                    struct run_there *ret, struct err *err)
{
    struct result *result = &ret->result;
    int r = fresh ? result_init_empty(out, result, err) : result_init(out, result, err);
    result->turned = a->turned;
    result->ordered = a->ordered;
    result->finite = a->finite;
    if (r == 0 && sums && a->spans > 0)
        r = sums_load(out, a->spans, fresh, &ret->sums, err);
    result->sums = ret->sums.result;
    return r;
}

/* One pass of the loop nest. */
static int run_once(const struct run_algorithm *a, struct result *out,
                    const struct engine_conf *conf, struct engine_count *ret, struct err *err)
{
    struct engine *e = NULL;
    int r = engine_new(conf, &e, err);
    if (r < 0)
        return r;
    a->walk(a->x, out, e);
    return engine_finish(e, ret, err);
}

/* Without `sums` none is known. */
static int run_count(const struct run_algorithm *a, const struct matdir *out, bool fresh, bool sums,
                     struct engine_count *ret, struct err *err)
{
    static const struct engine_conf dry = {.threads = 1, .dry = true};
    CLEANUP(run_there_fini) struct run_there there = {0};
    *ret = (struct engine_count){0};
    int r = run_look(a, out, fresh, sums, &there, err);
    return r < 0 ? r : run_once(a, &there.result, &dry, ret, err);
}

int run_plan(const struct run_algorithm *a, const struct matdir *out, bool fresh,
             struct engine_count *ret, struct err *err)
{
    return run_count(a, out, fresh, true, ret, err);
}

int run_dependents(const struct run_algorithm *a, const struct matdir *out, int64_t rank,
                   bool **ret, struct err *err)
{
    static const struct engine_conf dry = {.threads = 1, .dry = true};
    CLEANUP(run_there_fini) struct run_there there = {0};
    CLEANUP(freep) bool *follows = calloc((size_t)grid_blocks(&out->header.grid) + 1, sizeof(bool));
    if (!follows) {
        (void)err_set(err, -ENOMEM, "%s: out of memory", out->path);
        return -ENOMEM;
    }
    int r = run_look(a, out, true, false, &there, err);
    if (r < 0)
        return r;
    follows[rank] = true;
    there.result.follows = follows;
    r = run_once(a, &there.result, &dry, NULL, err);
    follows[rank] = false;
    if (r < 0)
        return r;
    *ret = TAKE(follows);
    return 0;
}

/* A block that was lost could not be made again as it was: says which others it was used for. */
static void run_hint_dependents(const struct run_algorithm *a, const struct matdir *out,
                                int64_t rank, struct err *err)
{
    CLEANUP(freep) bool *follows = NULL;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(ERR_HINT_MAX);
    char name[NAME_FILE_SIZE];
    const struct grid *g = &out->header.grid;
    int64_t count = 0;
    if (run_dependents(a, out, rank, &follows, NULL) < 0)
        return;
    for (int64_t i = 0; i < grid_blocks(g); i++) {
        int64_t index[GRID_NDIM_MAX];
        if (!follows[i])
            continue;
        grid_unrank(g, i, index);
        if (count++ < RUN_NAMES_MAX)
            (void)buf_printf(&text, "%s%s", count > 1 ? ", " : "", name_file(g->ndim, index, name));
    }
    if (count > RUN_NAMES_MAX)
        (void)buf_printf(&text, " and %lld more", (long long)count - RUN_NAMES_MAX);
    if (count > 0)
        err_hint(err, "the one that was lost is in %s: --force makes all anew", buf_text(&text));
    else
        err_hint(err, "no other block was computed from it; --force makes all anew");
}

static void run_add(struct engine_count *sum, const struct engine_count *c)
{
    sum->tasks += c->tasks;
    sum->products += c->products;
    sum->flops += c->flops;
    sum->reads += c->reads;
    sum->writes += c->writes;
    sum->bytes_read += c->bytes_read;
    sum->bytes_written += c->bytes_written;
    sum->memory_held = MAX(sum->memory_held, c->memory_held);
    sum->memory_peak = MAX(sum->memory_peak, c->memory_peak);
    sum->kernel_ns += c->kernel_ns;
}

/* Sums are a help and no part of the result: that they cannot be removed is no failure. */
static void run_clear_up(const struct matdir *out, const struct sums *sums, struct err *note)
{
    if (sums_finish(out, sums, note) < 0)
        err_hint(note, "%s is complete", out->path);
}

/* One turn: what is not there when it begins. ENGINE_AGAIN: another one must follow. */
static int run_turn(const struct run_algorithm *a, const struct matdir *out,
                    const struct run_conf *conf, bool sums, struct engine_count *sum,
                    struct err *err)
{
    const struct engine_conf engine = {.memory = conf->memory,
                                       .threads = conf->threads,
                                       .watch = conf->watch,
                                       .trace = conf->trace};
    CLEANUP(run_there_fini) struct run_there there = {0};
    struct engine_count plan;
    struct engine_count one = {0};
    int r = run_count(a, out, false, sums, &plan, err);
    if (r == 0 && plan.tasks > 0 && sums)
        sums_make(out, a->spans);
    if (r == 0)
        r = run_look(a, out, false, sums, &there, err);
    if (r < 0)
        return r;
    sums_only_there(&there.sums);
    watch_steps(conf->watch, plan.products + watch_so_far(conf->watch));
    r = run_once(a, &there.result, &engine, &one, err);
    run_add(sum, &one);
    if (one.writes > 0)
        record_save(&there.result.record, out);
    if (there.result.record.lost > 0)
        run_hint_dependents(a, out, there.result.record.lost - 1, err);
    if (r == 0)
        r = matdir_sync(out, err);
    if (r == 0 && a->spans > 0)
        run_clear_up(out, &there.sums, conf->note);
    return r;
}

int run_do(const struct run_algorithm *a, const struct matdir *out, const struct run_conf *conf,
           struct engine_count *ret, struct err *err)
{
    *ret = (struct engine_count){0};
    int r = run_turn(a, out, conf, a->spans > 0, ret, err);
    /* Without sums, of which one could not be read, each turn finds blocks that another run made.
     */
    while (r == ENGINE_AGAIN)
        r = run_turn(a, out, conf, false, ret, err);
    return r;
}
