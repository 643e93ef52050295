#ifndef BMFS_MATRIX_JSON_H
#define BMFS_MATRIX_JSON_H

/* JSON that loses nothing, on top of cJSON.
 *
 * cJSON reads all numbers as doubles, cuts strings at \u0000, takes any bytes for UTF-8 and prints
 * doubles rounded. Here what it would misread is refused, and numbers are printed so that they read
 * back the same, in the manner of Python's json.dumps. No I/O; nesting is bounded.
 *
 * Threads: cJSON's own parser writes a global, so parse through here only. Numbers are read and
 * printed in the C locale, which is that of a program that has not called setlocale(). */

#include "base/buf.h"
#include "base/err.h"

struct cJSON;

enum {
    JSON_DEPTH_MAX = 32,
    JSON_NUMBER_MAX = 63, /* characters: cJSON's own limit */
};

/* The largest integer up to which a double holds each one. */
#define JSON_INT_MAX ((INT64_C(1) << 53) - 1)

/* Reads one JSON text. 0, -ENOMEM, or -EBADMSG with the byte and the reason. The caller frees *ret
 * with cJSON_Delete(). */
int json_parse(const char *text, size_t len, struct cJSON **ret, struct err *err);

/* Reads back what cJSON has printed, in whose strings any bytes may be. 0, -ENOMEM or -EBADMSG. */
int json_reread(const char *text, size_t len, struct cJSON **ret);

/* Appends `item` on one line: {"a": [1, 2.5], "b": null}. 0; -EINVAL for what json_parse() would
 * refuse (an infinite number, deeper than JSON_DEPTH_MAX, raw text); or as buf_append(). */
int json_print(const struct cJSON *item, struct buf *out);

/* Appends a string with its quotes. */
int json_print_string(const char *text, struct buf *out);

/* True, with the value, for a number that is whole and at most JSON_INT_MAX from zero. */
bool json_int(const struct cJSON *item, int64_t *ret);

/* Fits CLEANUP: frees the tree behind a pointer. */
void json_freep(struct cJSON **item);

#endif
