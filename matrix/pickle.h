#ifndef BMFS_MATRIX_PICKLE_H
#define BMFS_MATRIX_PICKLE_H

/* The `dtype` field of a stored header: base64 of a Python pickle of a numpy type.
 *
 * The pickle is parsed, never executed: a small reader knows the opcodes and the globals that a
 * pickled dtype can hold (protocols 0 to 5) and refuses everything else. It takes the four forms
 * that occur: a numpy scalar type, a numpy dtype object, a string, a Python builtin type. A dtype
 * with metadata and a bytes object of protocols 0 to 2 are refused: no header is known to have one.
 * Source: Python's pickletools; numpy.dtype.__reduce__. No I/O, no recursion, bounded memory. */

#include "base/buf.h"
#include "matrix/dtype.h"

enum { PICKLE_BYTES_MAX = 4096, PICKLE_BASE64_MAX = 5464 };

/* 0, or -EBADMSG with what was refused and at which byte. */
int pickle_read(const void *bytes, size_t len, struct dtype *ret, struct err *err);

/* The same for the base64 text in the header (standard alphabet, padded). */
int pickle_read_base64(const char *text, size_t len, struct dtype *ret, struct err *err);

/* Appends the base64 text that numpywren would store: for little-endian types exactly what Python
 * 3.6 writes for the scalar type (any Python 3 reads it); big-endian types as a dtype object. */
int pickle_write_base64(struct dtype t, struct buf *out);

#endif
