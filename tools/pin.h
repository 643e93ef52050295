#ifndef BMFS_TOOLS_PIN_H
#define BMFS_TOOLS_PIN_H

/* Which code of OpenBLAS computes. It chooses when it is loaded, by the processor or by the
 * variable OPENBLAS_CORETYPE, so another choice takes another start of the program. */

#include "base/err.h"

/* Remembers the arguments as they are, for another start: parsing them changes their order. First
 * of all. Without memory there is no other start. */
void pin_init(int argc, char **argv);

/* Starts the program again when OpenBLAS took this processor for one that is much older, unless the
 * user chose. Returns otherwise. */
void pin_best(void);

/* Starts the program again with a core, which a matrix was begun with, unless it has it. 0 when it
 * has; -EINVAL when this processor cannot run it, or OpenBLAS does not have it. */
int pin_core(const char *core, struct err *err);

#endif
