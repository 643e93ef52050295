#include "ops/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ARENA_ALIGN = 64, ARENA_HUGE = 2 << 20 };

/* One piece of memory, in one of two lists. */
struct arena_piece {
    void *p;
    size_t bytes; /* as they were allocated */
    struct arena_piece *next;
};

struct arena {
    uint64_t budget;
    uint64_t used, kept; /* bytes of the two lists */
    uint64_t peak;       /* of `used` */
    struct arena_piece *taken;
    struct arena_piece *spare; /* most recently given back first */
};

int arena_new(uint64_t budget, struct arena **ret)
{
    struct arena *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->budget = budget;
    *ret = a;
    return 0;
}

static struct arena_piece *arena_unlink(struct arena_piece **at)
{
    struct arena_piece *piece = *at;
    *at = piece->next;
    piece->next = NULL;
    return piece;
}

static void arena_drop(struct arena_piece *piece)
{
    free(piece->p);
    free(piece);
}

static void arena_use(struct arena *a, struct arena_piece *piece)
{
    piece->next = a->taken;
    a->taken = piece;
    a->used += piece->bytes;
    a->peak = MAX(a->peak, a->used);
}

/* A spare piece of that size. A larger one would count for more than its taker planned with. */
static struct arena_piece *arena_find(struct arena *a, size_t bytes)
{
    for (struct arena_piece **at = &a->spare; *at; at = &(*at)->next) {
        if ((*at)->bytes == bytes)
            return arena_unlink(at);
    }
    return NULL;
}

static struct arena_piece *arena_allocate(size_t bytes)
{
    size_t align = bytes >= ARENA_HUGE ? ARENA_HUGE : ARENA_ALIGN;
    struct arena_piece *piece = calloc(1, sizeof(*piece));
    if (!piece)
        return NULL;
    piece->bytes = bytes;
    /* aligned_alloc() wants a multiple of the alignment; pages that are never touched cost nothing.
     */
    piece->p = aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!piece->p) {
        free(piece);
        return NULL;
    }
    if (align == ARENA_HUGE)
        (void)madvise(piece->p, bytes / align * align, MADV_HUGEPAGE);
    return piece;
}

int arena_take(struct arena *a, size_t bytes, void **ret)
{
    if (bytes > a->budget)
        return -EDQUOT;
    struct arena_piece *piece = arena_find(a, bytes);
    if (piece) {
        a->kept -= piece->bytes;
    } else {
        if (a->used + bytes > a->budget)
            return -EAGAIN;
        while (a->spare && a->used + a->kept + bytes > a->budget) {
            a->kept -= a->spare->bytes;
            arena_drop(arena_unlink(&a->spare));
        }
        piece = arena_allocate(bytes);
        if (!piece)
            return -ENOMEM;
    }
    arena_use(a, piece);
    *ret = piece->p;
    return 0;
}

void arena_give(struct arena *a, void *p)
{
    struct arena_piece **at = &a->taken;
    while (*at && (*at)->p != p)
        at = &(*at)->next;
    assert(*at);
    struct arena_piece *piece = arena_unlink(at);
    a->used -= piece->bytes;
    a->kept += piece->bytes;
    piece->next = a->spare;
    a->spare = piece;
}

uint64_t arena_peak(const struct arena *a)
{
    return a->peak;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    while (a->taken)
        arena_drop(arena_unlink(&a->taken));
    while (a->spare)
        arena_drop(arena_unlink(&a->spare));
    free(a);
}
