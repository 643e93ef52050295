#include "tools/pass.h"

#include "matrix/json.h"
#include "tools/text.h"

#include <cjson/cJSON.h>
#include <errno.h>

static const char pass_fill[] = "fill_value";

int pass_open(struct cmd_call *call, const char *path, struct matdir *ret, struct err *err)
{
    report_input(&call->report, path);
    int r = matdir_open(path, ret, err);
    ret->watch = &call->watch;
    return r;
}

static void pass_report(struct cmd_call *call, const struct matdir *m, bool done)
{
    const struct grid *g = &m->header.grid;
    double seconds = (double)(clock_ns() - call->progress.start_ns) * 1e-9;
    char shape[TEXT_SIZES_SIZE];
    char block[TEXT_SIZES_SIZE];
    char in[TEXT_BYTES_SIZE];
    char out[TEXT_BYTES_SIZE];
    report_text(&call->report, "output", m->path);
    report_header(&call->report, &m->header);
    report_int(&call->report, "bytes_read", (int64_t)call->watch.bytes_read);
    report_int(&call->report, "bytes_written", (int64_t)call->watch.bytes_written);
    if (done)
        cmd_say(call, "%s: %s %s in blocks of %s, read %s, wrote %s in %.2f s", m->path,
                text_sizes(g->shape, g->ndim, shape), dtype_name(m->header.dtype),
                text_sizes(g->shard, g->ndim, block),
                text_bytes((double)call->watch.bytes_read, in),
                text_bytes((double)call->watch.bytes_written, out), seconds);
}

/* Makes the output. While blocks of it are missing, its header says nothing of a fill value, or one
 * that is left unfinished would pass for a matrix with few blocks. */
static int pass_make(const struct pass *p, struct matdir *ret, struct err *err)
{
    struct header begun = {0};
    CLEANUP(json_freep) struct cJSON *none = cJSON_CreateNull();
    int r = none ? header_copy(p->header, &begun) : -ENOMEM;
    if (r == 0 && header_extra(&begun, pass_fill))
        r = header_set_extra(&begun, pass_fill, &none);
    if (r < 0)
        (void)err_errno(err, r, "%s", p->out.path);
    else
        r = output_make(&p->out, &begun, ret, err);
    header_fini(&begun);
    return r < 0 ? r : matdir_set_header(ret, p->header, err);
}

int pass_run(struct cmd_call *call, const struct pass *p, struct err *err)
{
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    int r = output_check(&p->out, err);
    call->output = p->out.path;
    if (r == 0)
        r = cmd_progress(call, p->label, "blocks", err);
    if (r == 0)
        r = pass_make(p, &m, err);
    if (r < 0)
        return r;
    m.watch = &call->watch;
    r = p->run(p->arg, &m, err);
    if (r == 0 && m.has_fill)
        r = matdir_replace_header(&m, &m.header, err);
    if (r == 0 && m.has_fill)
        r = matdir_sync(&m, err);
    if (r < 0)
        output_is_incomplete(&p->out, err);
    progress_stop(&call->progress, r == 0);
    pass_report(call, &m, r == 0);
    return r;
}
