#ifndef BMFS_OPS_TRACE_H
#define BMFS_OPS_TRACE_H

/* What happened when, as Chrome's trace events (chrome://tracing, Perfetto): one row a thread.
 * Thread-safe. Every function takes NULL for no trace. */

#include "base/err.h"

struct trace;

/* Makes the file, replacing one that is there. 0 or -errno. */
int trace_open(const char *path, struct trace **ret, struct err *err);

/* Names a row. Rows are numbers that the caller chooses. */
void trace_row(struct trace *t, int row, const char *name);

/* Something that row did from `start_ns` to `end_ns` of clock_ns(). `what` says which: "A 0,3". */
void trace_event(struct trace *t, int row, const char *name, const char *what, int64_t start_ns,
                 int64_t end_ns);

/* Completes the file, and frees. 0, or -errno of the first write that failed. */
int trace_close(struct trace *t, struct err *err);

#endif
