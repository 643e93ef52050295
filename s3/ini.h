#ifndef BMFS_S3_INI_H
#define BMFS_S3_INI_H

/* The ini files of AWS tools:
 *
 *     [profile lab]                   # comments begin a line, or follow a blank
 *     region = eu-west-1
 *     s3 =
 *       addressing_style = path       nested settings are indented
 *
 * Names of settings are lower case whatever the file has. Of a setting that is given twice the last
 * one counts. The text may hold secrets: it is wiped when it is freed. */

#include "base/err.h"

enum { INI_FILE_MAX = 1024 * 1024 };

struct ini_item {
    const char *section; /* between the brackets, blanks trimmed: "profile lab" */
    const char *parent;  /* of a nested setting: "s3"; else "" */
    const char *name;
    const char *value; /* blanks trimmed; "" for the parent of nested ones */
};

struct ini {
    char *text; /* owned; cut up in place; the items point into it */
    size_t len;
    struct ini_item *item; /* owned */
    size_t items;
};

/* Reads `len` bytes. Lines that make no sense are passed over, as AWS tools do in part: a file with
 * one bad line still serves. 0, -EINVAL for a text that is too long or holds a NUL, -ENOMEM. */
int ini_parse(const void *text, size_t len, struct ini *ret);

/* Reads a file. 0 and no items when there is none; -errno with the reason. */
int ini_load(const char *path, struct ini *ret, struct err *err);

/* The value of a setting ("" as parent unless it is nested), or NULL. Borrowed. */
const char *ini_get(const struct ini *ini, const char *section, const char *parent,
                    const char *name);

bool ini_has_section(const struct ini *ini, const char *section);

/* A zeroed one is fine; fits CLEANUP. */
void ini_fini(struct ini *ini);

#endif
