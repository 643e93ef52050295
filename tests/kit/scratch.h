#ifndef BMFS_TESTS_KIT_SCRATCH_H
#define BMFS_TESTS_KIT_SCRATCH_H

/* A folder of a test's own below $TMPDIR or /tmp. Failures end the process: a test without its
 * folder has nothing to say. */

#include <limits.h>

struct scratch {
    char path[PATH_MAX]; /* absolute, without links */
};

void scratch_init(struct scratch *s);

/* Removes it with all that is in it; folders that were made unreadable, too. Fits CLEANUP. */
void scratch_fini(const struct scratch *s);

/* "FOLDER/name"; lives until the fourth next call. One thread. */
const char *scratch_at(const struct scratch *s, const char *name);

/* Writes a file, with the folders on the way. */
void scratch_write(const struct scratch *s, const char *name, const char *text);

#endif
