#ifndef BMFS_FS_TRIM_H
#define BMFS_FS_TRIM_H

/* Gives memory that was freed back to the system, every TRIM_EVERY_MS.
 *
 * The allocator by itself returns no more than the end of an arena. What is freed below one thing
 * that is still in use stays: a daemon that runs for weeks would be as large as its largest burst.
 */

enum { TRIM_EVERY_MS = 10000 };

struct trim;

/* Starts a thread that does so. NULL when it cannot be started: the mount is as good without. */
struct trim *trim_start(void);

/* Ends it. NULL is fine. */
void trim_stop(struct trim *t);

#endif
