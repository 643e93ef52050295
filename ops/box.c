#include "ops/box.h"

#include <assert.h>
#include <string.h>

enum { BOX_TILE = 32 }; /* edge of the squares in which a transposed copy goes; a power of 2 */

void box_strides(int ndim, const int64_t *extent, size_t element, bool fortran, int64_t *ret)
{
    int64_t stride = (int64_t)element;
    for (int k = 0; k < ndim; k++) {
        int a = fortran ? k : ndim - 1 - k;
        ret[a] = stride;
        stride *= extent[a];
    }
}

bool box_next_line(int ndim, const int64_t *extent, int64_t *at)
{
    for (int a = ndim - 2; a >= 0; a--) {
        if (++at[a] < extent[a])
            return true;
        at[a] = 0;
    }
    return false;
}

int64_t box_offset(int ndim, const int64_t *at, const int64_t *stride)
{
    int64_t off = 0;
    for (int a = 0; a < ndim; a++)
        off += at[a] * stride[a];
    return off;
}

/* A box whose axes have been joined where both sides allow it. */
struct box {
    int ndim;
    int64_t extent[GRID_NDIM_MAX];
    int64_t dst[GRID_NDIM_MAX], src[GRID_NDIM_MAX]; /* strides */
};

/* Joins each axis to the one before when the two make one; leaves out those of extent 1. */
static void box_join(struct box *b, const struct box_copy *c)
{
    b->ndim = 0;
    for (int a = 0; a < c->ndim; a++) {
        int last = b->ndim - 1;
        if (c->extent[a] == 1 && b->ndim > 0)
            continue;
        bool joins = last >= 0 &&
                     (b->extent[last] == 1 || (b->dst[last] == c->dst_stride[a] * c->extent[a] &&
                                               b->src[last] == c->src_stride[a] * c->extent[a]));
        int to = joins ? last : b->ndim++;
        b->extent[to] = joins ? b->extent[to] * c->extent[a] : c->extent[a];
        b->dst[to] = c->dst_stride[a];
        b->src[to] = c->src_stride[a];
    }
}

/* A loop for each size, so that the compiler knows what memcpy moves. */
static void box_copy_line(size_t element, int64_t n, char *dst, int64_t dst_stride, const char *src,
                          int64_t src_stride)
{
#define BOX_LINE(bytes)                                                \
    case bytes:                                                        \
        for (int64_t i = 0; i < n; i++)                                \
            memcpy(dst + i * dst_stride, src + i * src_stride, bytes); \
        break
    switch (element) {
        BOX_LINE(1);
        BOX_LINE(2);
        BOX_LINE(4);
        BOX_LINE(8);
        BOX_LINE(16);
    default:
        break;
    }
#undef BOX_LINE
}

/* The last two axes, in squares: whichever side has the long stride, its lines stay in the cache.
 */
static void box_copy_plane(const struct box *b, size_t element, char *dst, const char *src)
{
    int i = b->ndim - 2;
    int j = b->ndim - 1;
    for (int64_t i0 = 0; i0 < b->extent[i]; i0 += BOX_TILE) {
        int64_t rows = MIN(b->extent[i] - i0, (int64_t)BOX_TILE);
        for (int64_t j0 = 0; j0 < b->extent[j]; j0 += BOX_TILE) {
            int64_t n = MIN(b->extent[j] - j0, (int64_t)BOX_TILE);
            for (int64_t k = i0; k < i0 + rows; k++)
                box_copy_line(element, n, dst + k * b->dst[i] + j0 * b->dst[j], b->dst[j],
                              src + k * b->src[i] + j0 * b->src[j], b->src[j]);
        }
    }
}

void box_copy(const struct box_copy *c)
{
    struct box b;
    int64_t at[GRID_NDIM_MAX] = {0};
    assert(c->ndim >= 1);
    for (int a = 0; a < c->ndim; a++) {
        if (c->extent[a] == 0)
            return;
    }
    box_join(&b, c);
    int j = b.ndim - 1;
    int64_t element = (int64_t)c->element;
    bool dense = b.dst[j] == element && b.src[j] == element;
    bool planes = !dense && b.ndim > 1;
    do {
        char *dst = (char *)c->dst + box_offset(b.ndim, at, b.dst);
        const char *src = (const char *)c->src + box_offset(b.ndim, at, b.src);
        if (dense)
            memcpy(dst, src, (size_t)b.extent[j] * c->element);
        else if (planes)
            box_copy_plane(&b, c->element, dst, src);
        else
            box_copy_line(c->element, b.extent[j], dst, b.dst[j], src, b.src[j]);
    } while (box_next_line(planes ? b.ndim - 1 : b.ndim, b.extent, at));
}
