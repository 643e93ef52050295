#ifndef BMFS_FS_EXTENT_H
#define BMFS_FS_EXTENT_H

/* Which bytes of a file have been written: the test for "every byte of this block is there".
 *
 * A set of byte ranges, kept sorted, disjoint and merged. Writers that go forward, whatever their
 * step, cost one range. Plain value; the owner's lock guards it. */

#include "base/util.h"

/* Beyond so many separate ranges the set gives up: it holds nothing from then on until it is
 * cleared, and a file is complete only by what its writer says (fsync, last close). */
enum { EXTENT_RANGES_MAX = 65536 };

struct extent_range {
    uint64_t from, to; /* half open */
};

struct extent {
    struct extent_range *range; /* owned */
    size_t count, cap;
    bool lost; /* gave up */
};

/* Adds [from, to). 0, or -ENOMEM with nothing added. Running out of ranges makes the set give up.
 */
int extent_add(struct extent *e, uint64_t from, uint64_t to);

/* Forgets everything from `size` on: the file was truncated. */
void extent_cut(struct extent *e, uint64_t size);

/* True when every byte of [from, to) is in the set. */
bool extent_covers(const struct extent *e, uint64_t from, uint64_t to);

/* Empties the set and frees its memory. */
void extent_clear(struct extent *e);

#endif
