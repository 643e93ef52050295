#ifndef BMFS_TOOLS_REPORT_H
#define BMFS_TOOLS_REPORT_H

/* The one JSON object that a command prints with --json:
 *
 *   schema, tool, version, status ("ok", "differs", "error", "interrupted"), inputs[], the
 * command's own fields, seconds, error (null, or {code, message, hint})
 *
 * Bytes and counts are integers, seconds floats, NaN and infinities null, names UTF-8 with U+FFFD
 * for bytes that are none. Built by one thread. */

#include "matrix/header.h"

struct report {
    struct cJSON *root; /* owned; NULL once memory has run out */
    int64_t start_ns;
};

void report_init(struct report *r, const char *tool);

/* Adds a path to "inputs". */
void report_input(struct report *r, const char *path);

/* Sets a field. */
void report_text(struct report *r, const char *name, const char *value); /* NULL: null */
void report_int(struct report *r, const char *name, int64_t value);
void report_real(struct report *r, const char *name, double value);
void report_bool(struct report *r, const char *name, bool value);
void report_null(struct report *r, const char *name);
void report_sizes(struct report *r, const char *name, const int64_t *size, int n);

/* "shape", "shard_sizes" and "dtype". */
void report_header(struct report *r, const struct header *h);

/* Sets a field to any value, of which it takes ownership; NULL: out of memory. */
void report_item(struct report *r, const char *name, struct cJSON *value);

/* A string value; see above for what becomes of its bytes. */
struct cJSON *report_string(const char *text);

/* Completes the object and prints it on one line. `code`: -errno with its message, or >= 0. */
void report_print(struct report *r, const char *status, int code, const struct err *err);

void report_fini(struct report *r);

#endif
