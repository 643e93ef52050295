#include "ops/run.h"

#include <errno.h>

static int run_result(const struct run_algorithm *a, const struct matdir *out, bool fresh,
                      struct result *ret, struct err *err)
{
    int r = fresh ? result_init_empty(out, ret, err) : result_init(out, ret, err);
    ret->turned = a->turned;
    ret->ordered = a->ordered;
    ret->finite = a->finite;
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

int run_plan(const struct run_algorithm *a, const struct matdir *out, bool fresh,
             struct engine_count *ret, struct err *err)
{
    static const struct engine_conf dry = {.threads = 1, .dry = true};
    CLEANUP(result_fini) struct result result = {0};
    *ret = (struct engine_count){0};
    int r = run_result(a, out, fresh, &result, err);
    return r < 0 ? r : run_once(a, &result, &dry, ret, err);
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

int run_do(const struct run_algorithm *a, const struct matdir *out, const struct run_conf *conf,
           struct engine_count *ret, struct err *err)
{
    const struct engine_conf engine = {.memory = conf->memory,
                                       .threads = conf->threads,
                                       .watch = conf->watch,
                                       .trace = conf->trace};
    struct engine_count plan;
    int r = 0;
    *ret = (struct engine_count){0};
    do {
        /* Each turn finds at least one block more, so this ends. */
        CLEANUP(result_fini) struct result result = {0};
        struct engine_count one = {0};
        r = run_plan(a, out, false, &plan, err);
        if (r == 0)
            r = run_result(a, out, false, &result, err);
        if (r < 0)
            return r;
        watch_steps(conf->watch, plan.products + ret->products);
        r = run_once(a, &result, &engine, &one, err);
        run_add(ret, &one);
        if (one.writes > 0)
            record_save(&result.record, out);
    } while (r == -EAGAIN);
    return r < 0 ? r : matdir_sync(out, err);
}
