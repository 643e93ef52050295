#ifndef BMFS_OPS_CHILD_H
#define BMFS_OPS_CHILD_H

/* Running a program with its output in a file of limited size. */

#include "base/err.h"

#include <sys/types.h>

struct child {
    const char *path; /* the program */
    char *const *argv, *const *env;
    int in, out;      /* its standard input and output; borrowed */
    uint64_t out_max; /* bytes that `out` may get; then the program is ended */
    char *tail;       /* gets the end of its standard error, with a NUL */
    size_t tail_size; /* with the NUL */
};

/* Runs a program in a process group of its own and waits until it has ended; then ends what is left
 * of the group. Any thread. 0 when it exited with 0; -ECHILD when not, with the reason; or another
 * -errno. */
int child_run(const struct child *s, struct err *err);

/* Ends all that run and lets no other start, for a process that must end at once. Any thread. */
void child_end(void);

#endif
