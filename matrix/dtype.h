#ifndef BMFS_MATRIX_DTYPE_H
#define BMFS_MATRIX_DTYPE_H

/* The type of a matrix's elements: numpy's 14 types of numbers, in both byte orders.
 *
 * Source of the spellings: numpy's array interface, "typestr". Plain values, no I/O. */

#include "base/err.h"

struct dtype {
    char kind;    /* 'b' bool, 'i' signed, 'u' unsigned, 'f' float, 'c' complex */
    uint8_t size; /* bytes of one element: 1, 2, 4, 8 or 16 */
    char order;   /* '<' little-endian, '>' big-endian, '|' for types of one byte */
};

enum { DTYPE_TEXT_SIZE = 16 };

/* "<f8", ">c16", "|b1", "=i4", "f8": what numpy writes in npy headers and accepts as a string. A
 * missing order and '=' mean little-endian. `text` need not be NUL-terminated. 0 or -EINVAL. */
int dtype_from_descr(const char *text, size_t len, struct dtype *ret, struct err *err);

/* All that dtype_from_descr() takes, and what numpy.dtype() takes on 64-bit Linux: numpy's names
 * ("float64", "bool_", "longlong"), Python's ("float", "int"), and type codes ("d", ">d"). */
int dtype_from_name(const char *text, size_t len, struct dtype *ret, struct err *err);

/* "<f8", "|u1". Returns `dst`. */
const char *dtype_descr(struct dtype t, char dst[DTYPE_TEXT_SIZE]);

/* "float64", "bool", whatever the byte order. */
const char *dtype_name(struct dtype t);

bool dtype_equal(struct dtype a, struct dtype b);

/* BLAS's letter for a little-endian type: 's', 'd', 'c', 'z'; 0 for every other type. */
char dtype_blas(struct dtype t);

/* Bytes that must be swapped as one unit: half of a complex element, else the element. */
size_t dtype_swap_unit(struct dtype t);

#endif
