#ifndef BMFS_OPS_MAP_H
#define BMFS_OPS_MAP_H

/* B := a program over every block of A. For each block the program is run once, with
 *
 *   standard input    the block as it is stored (npy), a file that can seek; a missing block of a
 *                     matrix with a fill value is a block of that
 *   standard output   a file that takes the block of B (npy)
 *   standard error    its end is kept for the message when the program fails
 *   BM_BLOCK          block_2_0
 *   BM_INDEX          "2 0": the block's index on each axis; BM_I and BM_J the first two
 *   BM_START          "4096 0": its first element on each axis
 *   BM_SHAPE          "10000 10000": of A
 *
 * in a process group of its own. What it leaves running is ended with it. A try succeeds when the
 * program exits with 0 and what it wrote is that block of B: type, shape and length; otherwise the
 * block is tried again, as often as wanted. The first block that fails for good keeps further ones
 * from being started. Memory: none that depends on blocks, except for missing ones. */

#include "ops/matdir.h"

enum {
    MAP_JOBS_MAX = 1024,
    MAP_RETRIES_MAX = 1000,
    MAP_TAIL_MAX = 4096, /* bytes of standard error */
};

struct map {
    char **argv; /* borrowed: the program's, NULL at the end */
    int jobs;    /* programs at a time: 1 to MAP_JOBS_MAX */
    int retries; /* after the first try: 0 to MAP_RETRIES_MAX */
};

struct map_result {
    int64_t done;                /* blocks */
    int64_t retried;             /* further tries, of all blocks */
    int64_t failed;              /* blocks, at the last try */
    char tail[MAP_TAIL_MAX + 1]; /* what the one in the message said last on standard error */
};

/* Whether B can be A's image: as many blocks on each axis. 0 or -EINVAL. */
int map_check(const struct matdir *a, const struct header *b, struct err *err);

/* Finds a program as a shell would. 0 with its path, which the caller frees; -EINVAL when there is
 * none that can be run. */
int map_find(const char *name, char **ret_path, struct err *err);

/* 0; -ECHILD when a block failed for good, which the message names; or another -errno. */
int map_run(const struct matdir *a, const struct map *map, const struct matdir *b,
            struct map_result *ret, struct err *err);

#endif
