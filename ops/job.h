#ifndef BMFS_OPS_JOB_H
#define BMFS_OPS_JOB_H

/* What made a matrix: a field "made_by" in its header, so that a run can be taken up again, and by
 * nothing that would give other bits or another matrix:
 *
 *   {"operation": "gemm", ...parameters..., "grain": 512, "cut": 3, "library": "OpenBLAS 0.3.21",
 *    "core": "SkylakeX", "inputs": [{"name": "A", "digest": "0123456789abcdef"}, ...],
 *    "crc32c": see ops/record.h} */

#include "ops/stamps.h"

struct job {
    const char *operation;
    struct cJSON *parameters;      /* owned: an object, or NULL */
    const struct stamps *input[4]; /* borrowed; those that are not NULL are named in this order */
};

/* Adds the field to the header of what is to be made. 0 or -errno. */
int job_describe(const struct job *job, struct header *h, struct err *err);

/* Whether `there` was begun as `now` would be: 0, or -EINVAL with what differs. `path` is for the
 * message. */
int job_check(const char *path, const struct header *there, const struct header *now,
              struct err *err);

/* The core that the bits of a matrix depend on, or NULL when it was made by nothing known. */
const char *job_core(const struct header *there);

#endif
