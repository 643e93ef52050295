#include "ops/trace.h"

#include "base/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct trace {
    int64_t start_ns;
    pthread_mutex_t mu;
    /* guarded by mu: */
    FILE *out;
    int64_t events;
};

int trace_open(const char *path, struct trace **ret, struct err *err)
{
    CLEANUP(freep) struct trace *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(err, -ENOMEM, "out of memory");
    t->out = fopen(path, "we");
    if (!t->out)
        return err_set(err, errno == ENOENT ? -EINVAL : -errno, "%s: %s", path, errno_text(errno));
    (void)pthread_mutex_init(&t->mu, NULL);
    t->start_ns = clock_ns();
    (void)fprintf(t->out, "[");
    *ret = TAKE(t);
    return 0;
}

/* What comes before each event but the first. */
static const char *trace_comma(struct trace *t)
{
    return t->events++ > 0 ? ",\n" : "\n";
}

void trace_row(struct trace *t, int row, const char *name)
{
    if (!t)
        return;
    LOCK_SCOPE(&t->mu);
    (void)fprintf(t->out,
                  "%s{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %d, \"tid\": %d, "
                  "\"args\": {\"name\": \"%s\"}}",
                  trace_comma(t), (int)getpid(), row, name);
}

void trace_event(struct trace *t, int row, const char *name, const char *what, int64_t start_ns,
                 int64_t end_ns)
{
    if (!t)
        return;
    LOCK_SCOPE(&t->mu);
    (void)fprintf(t->out,
                  "%s{\"ph\": \"X\", \"name\": \"%s\", \"pid\": %d, \"tid\": %d, \"ts\": %.3f, "
                  "\"dur\": %.3f, \"args\": {\"block\": \"%s\"}}",
                  trace_comma(t), name, (int)getpid(), row, (double)(start_ns - t->start_ns) * 1e-3,
                  (double)(end_ns - start_ns) * 1e-3, what);
}

int trace_close(struct trace *t, struct err *err)
{
    if (!t)
        return 0;
    (void)fprintf(t->out, "\n]\n");
    bool failed = ferror(t->out) != 0;
    int r = fclose(t->out) != 0 ? -errno : failed ? -EIO : 0;
    (void)pthread_mutex_destroy(&t->mu);
    free(t);
    return r < 0 ? err_errno(err, r, "cannot write the trace") : 0;
}
