#include "tests/unit/unit.h"

#include "ops/box.h"
#include "tests/kit/rng.h"

#include <string.h>

static struct rng rng;

/* Copies element by element, as the definition has it. */
static void box_by_definition(const struct box_copy *c)
{
    int64_t at[GRID_NDIM_MAX] = {0};
    int last = c->ndim - 1;
    do {
        for (int64_t j = 0; j < c->extent[last]; j++)
            memcpy((char *)c->dst + box_offset(c->ndim, at, c->dst_stride) +
                       j * c->dst_stride[last],
                   (const char *)c->src + box_offset(c->ndim, at, c->src_stride) +
                       j * c->src_stride[last],
                   c->element);
    } while (box_next_line(c->ndim, c->extent, at));
}

/* A box somewhere in a larger array, in either order of axes. */
struct box_case {
    int64_t extent[GRID_NDIM_MAX];
    int64_t stride[GRID_NDIM_MAX];
    size_t bytes; /* of the whole array */
};

static void box_embed(struct box_case *x, int ndim, size_t element)
{
    int64_t whole[GRID_NDIM_MAX];
    int64_t n = (int64_t)element;
    for (int a = 0; a < ndim; a++) {
        whole[a] = x->extent[a] + (int64_t)rng_below(&rng, 2);
        n *= whole[a];
    }
    box_strides(ndim, whole, element, rng_below(&rng, 2) == 0, x->stride);
    x->bytes = (size_t)n;
}

static void box_copy_is_what_it_says_for_any_strides(void **state)
{
    (void)state;
    static const size_t elements[] = {1, 2, 4, 8, 16};
    for (int round = 0; round < 3000; round++) {
        int ndim = 1 + (int)rng_below(&rng, 4);
        size_t element = elements[rng_below(&rng, ARRAY_SIZE(elements))];
        struct box_case from = {0};
        for (int a = 0; a < ndim; a++)
            from.extent[a] = 1 + (int64_t)rng_below(&rng, ndim < 3 ? 70 : 6);
        struct box_case to = from;
        box_embed(&from, ndim, element);
        box_embed(&to, ndim, element);
        CLEANUP(freep) unsigned char *src = malloc(from.bytes);
        CLEANUP(freep) unsigned char *dst = calloc(1, to.bytes);
        CLEANUP(freep) unsigned char *want = calloc(1, to.bytes);
        assert_true(src && dst && want);
        for (size_t i = 0; i < from.bytes; i++)
            src[i] = (unsigned char)rng_next(&rng);
        struct box_copy copy = {.ndim = ndim,
                                .extent = from.extent,
                                .element = element,
                                .dst = dst,
                                .dst_stride = to.stride,
                                .src = src,
                                .src_stride = from.stride};
        box_copy(&copy);
        copy.dst = want;
        box_by_definition(&copy);
        assert_memory_equal(dst, want, to.bytes);
    }
}

static void box_copy_of_an_empty_box_touches_nothing(void **state)
{
    (void)state;
    const int64_t extent[] = {3, 0, 2};
    const int64_t stride[] = {0, 0, 0};
    box_copy(&(struct box_copy){
        .ndim = 3, .extent = extent, .element = 8, .dst_stride = stride, .src_stride = stride});
}

static void box_strides_are_dense_in_either_order(void **state)
{
    (void)state;
    const int64_t extent[] = {5, 3, 2};
    const int64_t rows[] = {48, 16, 8};
    const int64_t columns[] = {8, 40, 120};
    int64_t stride[3];
    box_strides(3, extent, 8, false, stride);
    assert_memory_equal(stride, rows, sizeof(rows));
    box_strides(3, extent, 8, true, stride);
    assert_memory_equal(stride, columns, sizeof(columns));
}

static void box_next_line_visits_each_line_once_in_order(void **state)
{
    (void)state;
    const int64_t extent[] = {3, 2, 7};
    int64_t at[3] = {0};
    int64_t lines = 0;
    do {
        assert_int_equal(at[0] * 2 + at[1], lines);
        assert_int_equal(at[2], 0);
        lines++;
    } while (box_next_line(3, extent, at));
    assert_int_equal(lines, 6);
    assert_false(box_next_line(1, extent, at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(box_copy_is_what_it_says_for_any_strides),
        cmocka_unit_test(box_copy_of_an_empty_box_touches_nothing),
        cmocka_unit_test(box_strides_are_dense_in_either_order),
        cmocka_unit_test(box_next_line_visits_each_line_once_in_order),
    };
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
