#ifndef BMFS_MATRIX_DECIMAL_H
#define BMFS_MATRIX_DECIMAL_H

/* Whole numbers as names, pickles and npy headers write them: one text for each number. No I/O. */

#include "base/util.h"

/* Reads the canonical decimal at *text, which ends at `end` at the latest: an optional '-', then
 * digits without a leading zero; no "-0", no '+'. Moves *text behind it. 0, -EINVAL when there is
 * no such number, -ERANGE when it does not fit; *text then stays. */
int decimal_parse(const char **text, const char *end, int64_t *ret);

#endif
