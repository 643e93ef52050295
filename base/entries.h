#ifndef BMFS_BASE_ENTRIES_H
#define BMFS_BASE_ENTRIES_H

/* What is in a directory. Any thread. */

#include <dirent.h>

/* Called for one entry, which lasts as long as the call. Other than 0 ends the listing. */
typedef int entries_fn(void *arg, const struct dirent *e);

/* Calls fn for each entry of an open directory but "." and "..", in no order. Does not move the
 * position of `dir_fd`. 0, -errno when the directory cannot be listed, or what fn returned. */
int entries_each(int dir_fd, entries_fn *fn, void *arg);

#endif
