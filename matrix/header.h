#ifndef BMFS_MATRIX_HEADER_H
#define BMFS_MATRIX_HEADER_H

/* What a BigMatrix says of itself, in its two forms.
 *
 *   stored     the object `<key>/header`, numpywren's: {"shape": [10, 7], "shard_sizes": [4, 3],
 *              "dtype": "<base64 of a pickle>"}, with any further fields that others put there
 *   presented  the file `header.json`, for people: the same with "dtype": "<f8" and fields that
 *              follow from the rest (order, grid, block_name, block_encoding, views, format)
 *
 * Further fields are kept and written back. Source: numpywren's matrix.py. No I/O. */

#include "base/buf.h"
#include "matrix/dtype.h"
#include "matrix/grid.h"

struct cJSON;

enum { HEADER_BYTES_MAX = 1 << 20 };

struct header {
    struct grid grid;
    struct dtype dtype;
    bool inferred; /* from object names: nothing is stored */
    struct cJSON
        *extra; /* owned: an object with the further fields, or NULL. "fill_value" is one */
};

/* Reads either form: the presented one has a type's name as its dtype, and its fields that follow
 * from the rest are dropped. 0, -ENOMEM, or -EBADMSG with the field and the reason. Integers beyond
 * 2^53 - 1, names that are there twice and anything that could not be written back as it was are
 * refused. The caller frees with header_fini(). */
int header_parse(const char *text, size_t len, struct header *ret, struct err *err);

/* Appends the stored form: exactly Python's json.dumps of numpywren's three fields, then the
 * further ones. 0; -EINVAL when JSON cannot say a further field; or as buf_append(). After an error
 * `out` holds a part. */
int header_store(const struct header *h, struct buf *out);

/* Appends the presented form, one field a line, with a newline at the end. A further field that has
 * the name of a derived one is not shown. Errors as header_store(). */
int header_present(const struct header *h, struct buf *out);

/* The value of a further field, or NULL. Borrowed. */
const struct cJSON *header_extra(const struct header *h, const char *name);

/* Sets a further field, replacing one of that name; takes ownership of *value and NULLs it. -EINVAL
 * for names that mean something in either form, -ENOMEM; *value is then still the caller's. */
int header_set_extra(struct header *h, const char *name, struct cJSON **value);

/* Same shape, shard sizes and dtype. */
bool header_equal(const struct header *a, const struct header *b);

/* A deep copy. 0 or -ENOMEM. */
int header_copy(const struct header *h, struct header *ret);

void header_fini(struct header *h);

#endif
