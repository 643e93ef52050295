#ifndef BMFS_OPS_RECORD_H
#define BMFS_OPS_RECORD_H

/* The CRC-32C of each block that runs have published, so that one that is lost later is known to
 * have been made again as it was: "crc32c" in the header's "made_by", eight hex digits a block in
 * the order of ranks, "--------" for one that is not known. Of the elements, last index fastest, in
 * the machine's byte order.
 *
 * Written when a run ends, so it does not know the blocks of runs that were killed; nor those of
 * matrices of more than RECORD_BLOCKS_MAX blocks. It is a help, not a part of the result: that it
 * cannot be written is no error. */

#include "ops/matdir.h"

enum { RECORD_BLOCKS_MAX = 1 << 14 };

struct record {
    int64_t *of;          /* owned: by rank, or -1; NULL: nothing is recorded */
    _Atomic int64_t lost; /* 1 + the rank of a block that record_check() refused, or 0 */
};

/* What the header says. 0 or -ENOMEM. */
int record_init(const struct matdir *m, struct record *ret, struct err *err);

/* 0; -EBADMSG when block `index` had another CRC. */
int record_check(struct record *r, const struct matdir *m, const int64_t *index, uint32_t crc,
                 struct err *err);

void record_set(struct record *r, const struct matdir *m, const int64_t *index, uint32_t crc);

/* Adds what is known to the header on the disk. */
void record_save(const struct record *r, const struct matdir *m);

/* Fits CLEANUP. */
void record_fini(struct record *r);

#endif
