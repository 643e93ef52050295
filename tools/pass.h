#ifndef BMFS_TOOLS_PASS_H
#define BMFS_TOOLS_PASS_H

/* Commands that make one matrix from others, block after block. */

#include "tools/output.h"

struct pass {
    const char *label; /* of the progress: "transpose" */
    struct output out;
    const struct header *header; /* of the matrix to be made */
    /* Fills it; 0 or -errno. */
    int (*run)(void *arg, const struct matdir *out, struct err *err);
    void *arg;
};

/* Makes the output and fills it, with progress, report and a line at the end. The operands have
 * been checked. */
int pass_run(struct cmd_call *call, const struct pass *p, struct err *err);

/* Opens an operand, which the caller closes, and names it in the report. */
int pass_open(struct cmd_call *call, const char *path, struct matdir *ret, struct err *err);

#endif
