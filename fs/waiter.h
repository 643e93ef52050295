#ifndef BMFS_FS_WAITER_H
#define BMFS_FS_WAITER_H

/* Why the kernel interrupts a request: its INTERRUPT comes for whatever wakes the waiting thread.
 * Any thread. */

#include "base/util.h"

#include <sys/types.h>

/* Whether a signal waits for the thread that ends or handles it. False when it is only to stop, as
 * by Ctrl-Z, SIGSTOP, a debugger or a freezer: it then goes on as if nothing had been. True when
 * that cannot be found out, as for a thread of another PID namespace. */
bool waiter_is_signalled(pid_t thread);

#endif
