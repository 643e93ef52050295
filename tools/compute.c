#include "tools/compute.h"

#include "ops/inventory.h"
#include "ops/kernel.h"
#include "ops/machine.h"
#include "ops/remove.h"
#include "tools/output.h"
#include "tools/pin.h"
#include "tools/text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct compute_conf *compute_conf(const struct cmd_call *call)
{
    return call->conf;
}

int compute_begin(const struct cmd_call *call, struct compute *c, struct err *err)
{
    const struct compute_conf *conf = compute_conf(call);
    if (conf->threads < 0 || conf->threads > ENGINE_THREADS_MAX)
        return err_set(err, -EINVAL, "--threads: %lld is not between 1 and %d",
                       (long long)conf->threads, ENGINE_THREADS_MAX);
    if (conf->resume && conf->force)
        return err_set(err, -EINVAL, "--resume goes on with what --force would delete");
    pin_best();
    c->memory = conf->memory ? conf->memory : machine_memory() / 2;
    c->threads = conf->threads ? (int)conf->threads : machine_cpus();
    c->threads = MIN(c->threads, ENGINE_THREADS_MAX);
    return 0;
}

static struct output compute_output(const struct cmd_call *call, const struct compute *c)
{
    const struct compute_conf *conf = compute_conf(call);
    return (struct output){.path = c->path,
                           .force = conf->force,
                           .resume = conf->resume,
                           .resumes = true,
                           .input = (const struct matdir *const *)c->input,
                           .inputs = (int)ARRAY_SIZE(c->input)};
}

int compute_check(const struct cmd_call *call, const struct compute *c, struct err *err)
{
    const struct output out = compute_output(call, c);
    int r = output_check(&out, err);
    return r == -EEXIST && compute_conf(call)->plan ? 0 : r;
}

void compute_fini(struct compute *c)
{
    header_fini(&c->header);
    cJSON_Delete(c->job.parameters);
    c->job.parameters = NULL;
}

/* --- the plan --- */

static double compute_ratio(const struct compute *c, const struct engine_count *n)
{
    return c->bound > 0 ? (double)n->bytes_read / (double)c->bound : NAN;
}

static void compute_report_numpywren(struct report *out, const struct compute *c)
{
    struct report theirs = {.root = cJSON_CreateObject()};
    report_int(&theirs, "read", c->numpywren.reads);
    report_int(&theirs, "write", c->numpywren.writes);
    report_item(out, "numpywren", theirs.root);
}

static void compute_report_count(struct cmd_call *call, const struct compute *c,
                                 const struct engine_count *n)
{
    struct report *out = &call->report;
    struct report requests = {.root = cJSON_CreateObject()};
    report_int(&requests, "read", n->reads);
    report_int(&requests, "write", n->writes);
    report_item(out, "requests", requests.root);
    report_int(out, "super_blocks", n->tasks);
    report_int(out, "flops", n->flops);
    report_int(out, "bytes_read", (int64_t)n->bytes_read);
    report_int(out, "bytes_written", (int64_t)n->bytes_written);
    report_int(out, "bytes_bound", (int64_t)c->bound);
    report_text(out, "bound", c->bound_text);
    report_real(out, "bytes_ratio", compute_ratio(c, n));
    if (c->numpywren.writes > 0)
        compute_report_numpywren(out, c);
    report_int(out, "memory", (int64_t)c->memory);
    report_int(out, "memory_held", (int64_t)n->memory_held);
    report_int(out, "threads", c->threads);
}

/* How the plan compares with what must be read for the whole result, and with what numpywren moves
 * for it. With --resume the plan is that of the rest. */
static void compute_print_compared(const struct cmd_call *call, const struct compute *c,
                                   const struct engine_count *n)
{
    char bytes[TEXT_BYTES_SIZE];
    const char *plan = compute_conf(call)->resume ? "what is left" : "the plan";
    int64_t theirs = c->numpywren.reads + c->numpywren.writes;
    if (c->bound > 0)
        (void)printf("lower bound  %s to read: %s; %s reads %.2f times that\n",
                     text_bytes((double)c->bound, bytes), c->bound_text, plan, compute_ratio(c, n));
    if (theirs > 0)
        (void)printf("numpywren    %lld blocks read, %lld written by its task graph; %s moves %.3f "
                     "of that\n",
                     (long long)c->numpywren.reads, (long long)c->numpywren.writes, plan,
                     (double)(n->reads + n->writes) / (double)theirs);
}

static void compute_print_plan(const struct cmd_call *call, const struct compute *c,
                               const struct engine_count *n)
{
    char a[TEXT_BYTES_SIZE];
    char b[TEXT_BYTES_SIZE];
    if (((const struct cmd_common *)call->conf)->json)
        return;
    if (n->tasks == 0) {
        (void)printf("nothing to do: %s is complete\n", c->path);
        return;
    }
    (void)printf("tasks        %lld super-block%s, %lld block product%s\n", (long long)n->tasks,
                 text_s(n->tasks), (long long)n->products, text_s(n->products));
    (void)printf("flops        %.4g\n", (double)n->flops);
    (void)printf("reads        %lld block%s, %s\n", (long long)n->reads, text_s(n->reads),
                 text_bytes((double)n->bytes_read, a));
    (void)printf("writes       %lld block%s, %s\n", (long long)n->writes, text_s(n->writes),
                 text_bytes((double)n->bytes_written, a));
    (void)printf("memory       %s for blocks, %s of them held at a time\n",
                 text_bytes((double)c->memory, a), text_bytes((double)n->memory_held, b));
    compute_print_compared(call, c, n);
}

static void compute_report_plan_tasks(struct cmd_call *call, int64_t total, int64_t done, bool ok)
{
    struct report tasks = {.root = cJSON_CreateObject()};
    report_int(&tasks, "total", total);
    report_int(&tasks, "done", done);
    report_int(&tasks, "retried", 0);
    report_int(&tasks, "failed", ok ? 0 : 1);
    report_item(&call->report, "tasks", tasks.root);
}

/* Opens the output that is there to go on with it: with the code that it was begun with, which may
 * start the program again. 0, or -ENOENT when there is none. */
static int compute_take_up(const struct compute *c, struct matdir *ret, struct err *err)
{
    struct matdir there = MATDIR_NONE;
    if (matdir_open(c->path, &there, NULL) < 0)
        return -ENOENT; /* or what cannot become one: compute_open() will say so */
    int r = pin_core(job_core(&there.header), err);
    if (r < 0)
        r = err_prefix(err, r, "%s", c->path);
    else
        r = job_check(c->path, &there.header, &c->header, err);
    if (r < 0)
        matdir_close(&there);
    else
        *ret = there;
    return r;
}

/* What is left to do of a matrix that is there, or all of a new one. */
static int compute_plan(struct cmd_call *call, struct compute *c, struct err *err)
{
    char path[] = "the plan";
    struct engine_count n = {0};
    struct matdir fresh = {.path = path, .fd = -1, .header = c->header};
    CLEANUP(matdir_close) struct matdir there = MATDIR_NONE;
    int r = compute_conf(call)->resume ? compute_take_up(c, &there, err) : -ENOENT;
    bool resumes = r == 0;
    if (r == 0 || r == -ENOENT)
        r = run_plan(&c->algorithm, resumes ? &there : &fresh, !resumes, &n, err);
    if (r < 0)
        return r;
    n.reads += c->reads_checked;
    n.bytes_read += c->bytes_checked;
    compute_report_plan_tasks(call, n.products, 0, true);
    report_text(&call->report, "output", c->path);
    report_header(&call->report, &c->header);
    compute_report_count(call, c, &n);
    compute_print_plan(call, c, &n);
    return 0;
}

/* --- the run --- */

static void compute_report(struct cmd_call *call, const struct compute *c, const struct matdir *out,
                           struct engine_count *n, bool done)
{
    char sizes[TEXT_SIZES_SIZE];
    char bytes[TEXT_BYTES_SIZE];
    double seconds = (double)(clock_ns() - call->progress.start_ns) * 1e-9;
    double gflops = (double)call->watch.flops / seconds * 1e-9;
    double busy = (double)n->kernel_ns * 1e-9 / (seconds * c->threads);
    n->reads += c->reads_checked;
    n->bytes_read = call->watch.bytes_read; /* what really moved */
    n->bytes_written = call->watch.bytes_written;
    report_text(&call->report, "output", out->path);
    report_header(&call->report, &out->header);
    compute_report_plan_tasks(call, call->watch.steps, call->watch.steps_done, done);
    compute_report_count(call, c, n);
    report_int(&call->report, "memory_peak", (int64_t)n->memory_peak);
    report_real(&call->report, "gflops", gflops);
    report_real(&call->report, "kernel_seconds", (double)n->kernel_ns * 1e-9);
    report_real(&call->report, "run_seconds", seconds);
    report_real(&call->report, "utilization", busy);
    report_text(&call->report, "core", kernel_core());
    if (done && n->tasks == 0)
        cmd_say(call, "%s: it is complete already", out->path);
    else if (done)
        cmd_say(call, "%s: %s %s in %.2f s, %.1f GFLOP/s, read %s, BLAS busy %.0f %%", out->path,
                text_sizes(out->header.grid.shape, 2, sizes), dtype_name(out->header.dtype),
                seconds, gflops, text_bytes((double)n->bytes_read, bytes), busy * 100);
}

/* Makes the output, or takes up the one that is there. */
static int compute_open(const struct cmd_call *call, const struct compute *c, struct matdir *ret,
                        bool *ret_made, struct err *err)
{
    const struct output out = compute_output(call, c);
    bool resumes = compute_conf(call)->resume;
    int r = resumes ? compute_take_up(c, ret, err) : -ENOENT;
    *ret_made = r == -ENOENT;
    if (*ret_made)
        r = output_make(&out, &c->header, ret, err);
    if (!resumes || r != -EEXIST)
        return r;
    struct err again = {0};
    int taken = compute_take_up(c, ret, &again); /* another run of the job may just have made it */
    if (taken == -ENOENT)
        return r;
    *ret_made = false;
    *err = again;
    return taken;
}

/* What becomes of the output when the run ended with an error. Numbers that have no result would
 * have none again: what was finished stays, but not a matrix of nothing that this run made. */
static void compute_leave(const struct output *said, const struct matdir *out, bool made, int code,
                          struct err *err)
{
    struct remove_count ignored;
    CLEANUP(inventory_fini) struct inventory in = {0};
    if (code != -EDOM)
        output_is_resumable(said, err);
    else if (made && inventory_load(out, false, &in, NULL) == 0 && in.count == 0)
        (void)remove_matrix(said->path, false, NULL, &ignored, NULL);
}

int compute_is_done(const struct cmd_call *call, struct compute *c, struct err *err)
{
    struct engine_count n = {0};
    CLEANUP(matdir_close) struct matdir there = MATDIR_NONE;
    int r = job_describe(&c->job, &c->header, err);
    if (r < 0 || !compute_conf(call)->resume)
        return r;
    r = compute_take_up(c, &there, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = run_plan(&c->algorithm, &there, false, &n, err);
    return r < 0 ? r : n.tasks == 0;
}

static int compute_verify(struct cmd_call *call, const struct compute *c, const struct matdir *out,
                          struct err *err)
{
    double residual = 0;
    if (!compute_conf(call)->verify)
        return 0;
    int r = c->verify(c->algorithm.x, out, &residual, err);
    if (r < 0)
        return r;
    if (isnan(residual)) {
        (void)err_set(err, -EDOM, "%s: cannot be verified: NaN or infinite elements", c->path);
        err_hint(err, "bm norm of each operand says which has them");
        return -EDOM;
    }
    bool good = residual < COMPUTE_RESIDUAL_MAX;
    report_real(&call->report, "residual", residual);
    cmd_say(call, "%s: residual %.3g of at most %d: %s", c->path, residual, COMPUTE_RESIDUAL_MAX,
            good ? "good" : "WRONG");
    return good ? CMD_OK : CMD_NO;
}

static int compute_do(struct cmd_call *call, struct compute *c, struct trace *trace,
                      struct err *err)
{
    const struct output said = compute_output(call, c);
    struct err note = {0};
    const struct run_conf conf = {.memory = c->memory,
                                  .threads = c->threads,
                                  .watch = &call->watch,
                                  .trace = trace,
                                  .note = &note};
    struct engine_count n = {0};
    CLEANUP(matdir_close) struct matdir out = MATDIR_NONE;
    bool made = false;
    int r = compute_open(call, c, &out, &made, err);
    call->output = said.path;
    if (r == 0)
        r = cmd_progress_resumable(call, c->label, "block products", err);
    if (r < 0)
        return r;
    out.watch = &call->watch;
    for (size_t i = 0; i < ARRAY_SIZE(c->input); i++) {
        if (c->input[i])
            c->input[i]->watch = &call->watch;
    }
    r = run_do(&c->algorithm, &out, &conf, &n, err);
    if (r < 0)
        compute_leave(&said, &out, made, r, err);
    progress_stop(&call->progress, r == 0);
    compute_report(call, c, &out, &n, r == 0);
    if (note.msg[0])
        cmd_say_error(call->cmd->opts->name, &note);
    return r < 0 ? r : compute_verify(call, c, &out, err);
}

int compute_run(struct cmd_call *call, struct compute *c, struct err *err)
{
    const char *path = compute_conf(call)->trace;
    struct trace *trace = NULL;
    int r = job_describe(&c->job, &c->header, err);
    if (r < 0)
        return r;
    if (compute_conf(call)->plan)
        return compute_plan(call, c, err);
    if (path)
        r = trace_open(path, &trace, err);
    if (r == 0)
        r = compute_do(call, c, trace, err);
    int closed = trace_close(trace, r < 0 ? NULL : err);
    return r < 0 ? r : closed < 0 ? closed : r;
}
