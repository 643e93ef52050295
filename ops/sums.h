#ifndef BMFS_OPS_SUMS_H
#define BMFS_OPS_SUMS_H

/* The sums of spans of k that a product keeps while it is made (ops/sum.h), so that a run goes on
 * behind what another one had read: matrices like the result, in a directory beside it that goes
 * when the result is complete. C.sums/0 holds what the first span adds to C, C.sums/1 the second:
 * where they are, they are added instead of being computed.
 *
 * They are a help: where they cannot be made or stored, a run goes without.
 *
 * The header of each says what made the result ("made_by", see ops/job.h), and besides which sum of
 * how many it is: "sum": [0, 16]. Nothing without that field is touched here. */

#include "ops/result.h"

struct sums {
    int64_t count;
    struct matdir *m;      /* owned: of each sum; fd -1 where it is not there */
    struct result *result; /* owned: of each, to be the result's `sums` */
};

/* Makes the headers of `count` sums of the result where they are not there, and deletes sums of
 * other jobs, as far as that can be done. */
void sums_make(const struct matdir *out, int64_t count);

/* Looks which blocks of them are there. With `fresh` none are, and no directory is needed. 0 or
 * -errno. */
int sums_load(const struct matdir *out, int64_t count, bool fresh, struct sums *ret,
              struct err *err);

/* Lets nothing be stored in those that are not there: for a run, after the plan. */
void sums_only_there(struct sums *s);

/* The result is complete: deletes those that are there, and what earlier runs have left. 0, or
 * -errno when some remain. */
int sums_finish(const struct matdir *out, const struct sums *s, struct err *err);

/* The directory beside the matrix at a path, which must be there now, in which its sums are or
 * would be. For the caller to free; NULL when there is no place for them. */
char *sums_place(const char *path);

/* Deletes all sums in such a directory, whichever job made them, and the directory. 0, also when
 * there are none, and for NULL; or -errno. */
int sums_remove(const char *place, struct err *err);

/* Fits CLEANUP. */
void sums_fini(struct sums *s);

#endif
