#ifndef BMFS_OPS_ELEMENT_H
#define BMFS_OPS_ELEMENT_H

/* Elements of the 14 types as numbers. Elements in memory are in the machine's byte order, whatever
 * their type says: files are swapped when they are read and written. No I/O. */

#include "matrix/dtype.h"

struct cJSON;

/* Holds each value of each type exactly. */
struct number {
    long double re, im;
};

enum { ELEMENT_SIZE_MAX = 16 };

/* "2.5", "-3j", "1+2j", "nan", "-inf", "1e300". 0 or -EINVAL. */
int element_parse(const char *text, struct number *ret, struct err *err);

/* A number, "NaN", "Infinity", "-Infinity", true, or [re, im]: what headers say of fill values. 0
 * or -EINVAL. */
int element_from_json(const struct cJSON *item, struct number *ret, struct err *err);

/* The reverse; NULL when memory runs out. The caller frees. */
struct cJSON *element_to_json(struct number v);

/* Writes one element. -EINVAL when the type has no such value: a fraction or a number out of range
 * for integers, an imaginary part for reals. Fractions of floats are rounded. */
int element_set(struct dtype t, struct number v, void *dst, struct err *err);

/* Writes `n` copies of the element at `element`. */
void element_fill(struct dtype t, const void *element, size_t n, void *dst);

/* The values of `n` elements: `parts` numbers each, 1 or 2. With 2, the second is the imaginary
 * part, which is 0 for real types; complex types need 2. */
void element_widen(struct dtype t, const void *src, size_t n, int parts, long double *dst);

/* Conjugates `n` elements: those of complex types; of others each is its own. */
void element_conjugate(struct dtype t, void *data, size_t n);

bool element_has_nan(struct dtype t, const void *src, size_t n);

/* Turns `n` elements of the type's byte order into the machine's, or back. */
void element_swap(struct dtype t, void *data, size_t n);

/* The type with the machine's byte order. */
struct dtype element_native(struct dtype t);

#endif
