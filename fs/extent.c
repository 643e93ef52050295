#include "fs/extent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first range that ends at or after `at`. */
static size_t extent_find(const struct extent *e, uint64_t at)
{
    size_t low = 0;
    size_t high = e->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->range[mid].to < at)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void extent_give_up(struct extent *e)
{
    extent_clear(e);
    e->lost = true;
}

/* Makes room for one more. */
static int extent_grow(struct extent *e)
{
    if (e->count < e->cap)
        return 0;
    size_t cap = MAX(e->cap * 2, (size_t)8);
    struct extent_range *range = realloc(e->range, cap * sizeof(*range));
    if (!range)
        return -ENOMEM;
    e->range = range;
    e->cap = cap;
    return 0;
}

int extent_add(struct extent *e, uint64_t from, uint64_t to)
{
    if (e->lost || from >= to)
        return 0;
    size_t first = extent_find(e, from);
    size_t last = first; /* one past the ranges that touch [from, to) */
    while (last < e->count && e->range[last].from <= to) {
        from = MIN(from, e->range[last].from);
        to = MAX(to, e->range[last].to);
        last++;
    }
    if (last == first && e->count == EXTENT_RANGES_MAX) {
        extent_give_up(e);
        return 0;
    }
    int r = last == first ? extent_grow(e) : 0;
    if (r < 0)
        return r;
    size_t tail = e->count - last;
    memmove(&e->range[first + 1], &e->range[last], tail * sizeof(*e->range));
    e->range[first] = (struct extent_range){from, to};
    e->count = first + 1 + tail;
    return 0;
}

void extent_cut(struct extent *e, uint64_t size)
{
    while (e->count > 0 && e->range[e->count - 1].from >= size)
        e->count--;
    if (e->count > 0)
        e->range[e->count - 1].to = MIN(e->range[e->count - 1].to, size);
}

bool extent_covers(const struct extent *e, uint64_t from, uint64_t to)
{
    if (from >= to)
        return true;
    size_t at = extent_find(e, to);
    return at < e->count && e->range[at].from <= from;
}

void extent_clear(struct extent *e)
{
    free(e->range);
    *e = (struct extent){0};
}
