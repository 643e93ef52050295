#ifndef BMFS_TOOLS_TEXT_H
#define BMFS_TOOLS_TEXT_H

/* Numbers and names as people read and write them. */

#include "matrix/header.h"

#include <complex.h>

enum {
    TEXT_BYTES_SIZE = 16,
    TEXT_TIME_SIZE = 24,
    TEXT_SIZES_SIZE = 21 * GRID_NDIM_MAX,
    TEXT_NAME_SIZE = 4 * 4096,
    TEXT_VALUE_SIZE = 96,
};

/* "512 B", "1.5 GiB". Returns `dst`, as all of these do. */
const char *text_bytes(double bytes, char dst[TEXT_BYTES_SIZE]);

/* Seconds as "0:41", "2:03:59"; "?" for a negative number. */
const char *text_time(int64_t seconds, char dst[TEXT_TIME_SIZE]);

/* "40960x20480". */
const char *text_sizes(const int64_t *size, int n, char dst[TEXT_SIZES_SIZE]);

/* A name on one line: control characters become \xNN. Cut when it is too long. */
const char *text_name(const char *name, char dst[TEXT_NAME_SIZE]);

struct number;

/* "0.1", "1+2j": as many digits as tell a double from its neighbours. */
const char *text_number(const struct number *v, bool is_complex, char dst[TEXT_VALUE_SIZE]);

/* "40960x20480", "4Kix4Ki", "7": sizes for each axis, between 1 and GRID_NDIM_MAX of them, none
 * below `least`. 0 or -EINVAL. */
int text_parse_sizes(const char *text, int64_t least, int64_t *ret, int *ret_n, struct err *err);

/* "f8", "float64", ">c16": as numpy names types. 0 or -EINVAL. */
int text_parse_dtype(const char *text, struct dtype *ret, struct err *err);

/* A finite factor, real or complex; 1 without a text. 0, or -EINVAL with a message that names
 * `option`. */
int text_parse_factor(const char *option, const char *text, double complex *ret, struct err *err);

/* Sizes of blocks for `shape`: what `text` says, where one number stands for all axes; without it,
 * 4096 along the last two axes, or the last one of a vector times 4096, and 1 along the others, but
 * no more than the matrix has. */
int text_parse_block(const char *text, struct grid *g, struct err *err);

/* The ending of a noun: "s", or "" for one. */
static inline const char *text_s(int64_t n)
{
    return n == 1 ? "" : "s";
}

#endif
