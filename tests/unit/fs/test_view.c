#include "tests/unit/unit.h"

#include "fs/view.h"

#include "base/buf.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIEW_BYTES_MAX = 64 << 20 };

/* A block of some type, order and shape. */
struct view_block {
    struct dtype dtype;
    bool fortran;
    int ndim;
    int64_t shape[4];
};

static int64_t view_elements(const struct view_block *b)
{
    int64_t n = 1;
    for (int k = 0; k < b->ndim; k++)
        n *= b->shape[k];
    return n;
}

/* The position of element `at` of the row-major order in the column-major one. */
static int64_t view_column_major(const struct view_block *b, int64_t at)
{
    int64_t pos = 0;
    int64_t step = view_elements(b);
    int64_t rest = at;
    for (int k = b->ndim - 1; k >= 0; k--) {
        step /= b->shape[k];
        pos += rest % b->shape[k] * step;
        rest /= b->shape[k];
    }
    return pos;
}

/* Writes the element with row-major number `at`, in this byte order: bytes that all differ. */
static void view_element(const struct view_block *b, int64_t at, char order, unsigned char *dst)
{
    size_t size = b->dtype.size;
    size_t unit = b->dtype.kind == 'c' ? size / 2 : size;
    for (size_t i = 0; i < size; i++) {
        size_t in = i % unit;
        size_t from = order == '>' ? i - in + (unit - 1 - in) : i;
        dst[i] = (unsigned char)((uint64_t)at * 31 + from * 7 + ((uint64_t)at >> 8));
    }
}

static void view_fill(const struct view_block *b, bool fortran, char order, unsigned char *dst)
{
    size_t size = b->dtype.size;
    for (int64_t at = 0; at < view_elements(b); at++) {
        int64_t pos = fortran ? view_column_major(b, at) : at;
        view_element(b, at, order, dst + (size_t)pos * size);
    }
}

/* Stores the block under "k" and opens it. */
static struct object *view_store(struct lab *lab, const struct view_block *b, struct npy *npy)
{
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(VIEW_BYTES_MAX);
    struct object *o = NULL;
    *npy = (struct npy){.dtype = b->dtype, .fortran = b->fortran, .ndim = b->ndim};
    memcpy(npy->shape, b->shape, sizeof(b->shape));
    assert_int_equal(npy_format(npy, &bytes), 0);
    size_t len = (size_t)view_elements(b) * b->dtype.size;
    assert_int_equal(buf_reserve(&bytes, len), 0);
    view_fill(b, npy->fortran, b->dtype.order, (unsigned char *)bytes.data + bytes.len);
    bytes.len += len;
    struct store_body body = {.head = bytes.data, .head_len = bytes.len, .fd = -1};
    assert_int_equal(store_put(lab->fault, "k", &body, &(struct store_put){0}, NULL, NULL), 0);
    assert_int_equal(objects_current(lab->fs->objects, "k", NULL, &o, &lab->err), 0);
    return o;
}

/* Opens a view both ways and compares every byte. */
static void view_check(struct lab *lab, const struct view_block *b, enum name_view view)
{
    struct npy npy;
    struct view_source s;
    struct object *whole = NULL;
    struct object *block = view_store(lab, b, &npy);
    size_t len = (size_t)view_elements(b) * b->dtype.size;
    CLEANUP(freep) unsigned char *expected = malloc(len + 1);
    CLEANUP(freep) unsigned char *data = malloc(len + 1);
    view_fill(b, view == NAME_RAW_F, '<', expected);
    assert_int_equal(view_open(lab->fs->objects, "k", block, view, &s, &lab->err), 0);
    assert_int_equal(s.size, len);
    assert_int_equal(object_pread(s.object, data, len, s.off), len);
    if (memcmp(data, expected, len) != 0)
        fail_msg("view %d of %c%c%d, ndim %d, %s order", (int)view, b->dtype.order, b->dtype.kind,
                 b->dtype.size, b->ndim, b->fortran ? "F" : "C");
    /* Only what has another order is made anew. */
    bool same = (b->dtype.order != '>') && (npy.fortran == (view == NAME_RAW_F) || b->ndim == 1);
    if (same)
        assert_ptr_equal(s.object, block);
    assert_int_equal(view_open_whole(lab->fs->objects, "k", block, view, &whole, &lab->err), 0);
    assert_int_equal(object_stat(whole)->size, len);
    assert_int_equal(object_pread(whole, data, len, 0), len);
    assert_memory_equal(data, expected, len);
    object_unref(whole);
    object_unref(s.object);
    object_unref(block);
}

static void view_check_all(struct lab *lab, struct view_block b)
{
    for (int fortran = 0; fortran < 2; fortran++) {
        b.fortran = fortran;
        view_check(lab, &b, NAME_RAW);
        view_check(lab, &b, NAME_RAW_F);
    }
}

#define F8                                   \
    {                                        \
        .kind = 'f', .size = 8, .order = '<' \
    }

static void view_puts_blocks_of_any_number_of_axes_in_order(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const struct view_block block[] = {
        {F8, false, 1, {17}},         {F8, false, 2, {5, 7}},
        {F8, false, 2, {1, 9}}, /* a vector has one order */
        {F8, false, 2, {9, 1}},       {F8, false, 2, {1, 1}},
        {F8, false, 2, {65, 64}},     {F8, false, 2, {130, 131}}, /* more than one tile */
        {F8, false, 3, {3, 4, 5}},    {F8, false, 3, {1, 4, 5}},
        {F8, false, 3, {4, 1, 5}},    {F8, false, 3, {4, 5, 1}},
        {F8, false, 4, {2, 3, 4, 5}}, {F8, false, 4, {70, 1, 2, 66}},
        {F8, false, 2, {3, 5000}}, /* more than one step along a row */
        {F8, false, 2, {5000, 3}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(block); i++)
        view_check_all(&lab, block[i]);
}

static void view_puts_bytes_of_any_type_in_order(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const struct dtype type[] = {
        {'b', 1, '|'}, {'i', 1, '|'}, {'u', 2, '<'}, {'u', 2, '>'},  {'i', 4, '>'},  {'f', 4, '<'},
        {'f', 8, '>'}, {'c', 8, '<'}, {'c', 8, '>'}, {'c', 16, '<'}, {'c', 16, '>'},
    };
    for (size_t i = 0; i < ARRAY_SIZE(type); i++) {
        view_check_all(&lab, (struct view_block){type[i], false, 2, {13, 66}});
        view_check_all(&lab, (struct view_block){type[i], false, 1, {70}});
    }
    /* one that takes more than one step to swap */
    view_check(&lab, &(struct view_block){{'f', 8, '>'}, false, 1, {286720}}, NAME_RAW);
}

static void view_of_an_empty_block_is_empty(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const struct view_block block[] = {
        {F8, false, 1, {0}},
        {F8, false, 2, {0, 5}},
        {F8, false, 3, {3, 0, 5}},
        {{'f', 8, '>'}, false, 2, {0, 0}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(block); i++) {
        struct npy npy;
        struct view_source s;
        struct object *o = view_store(&lab, &block[i], &npy);
        assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW_F, &s, &lab.err), 0);
        assert_int_equal(s.size, 0);
        object_unref(s.object);
        object_unref(o);
    }
}

static void view_of_the_object_is_the_object(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct view_source s;
    struct object *o = NULL;
    struct object *whole = NULL;
    (void)lab_put_text(&lab, "k", "no npy at all");
    assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), 0);
    assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_OBJECT, &s, &lab.err), 0);
    assert_ptr_equal(s.object, o);
    assert_int_equal(s.off, 0);
    assert_int_equal(s.size, 13);
    assert_int_equal(view_open_whole(lab.fs->objects, "k", o, NAME_OBJECT, &whole, &lab.err), 0);
    assert_ptr_equal(whole, o);
    object_unref(whole);
    object_unref(s.object);
    object_unref(o);
}

static void view_refuses_what_is_no_block(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const char cut[] = "\x93NUMPY\x01\x00\x76";
    static const char *const text[] = {"no npy at all", "", cut};
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        struct view_source s;
        struct object *o = NULL;
        struct object *whole = NULL;
        (void)lab_put_text(&lab, "k", text[i]);
        assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), 0);
        assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW, &s, &lab.err), -EBADMSG);
        assert_true(lab.err.msg[0] != '\0');
        assert_int_equal(view_open_whole(lab.fs->objects, "k", o, NAME_RAW, &whole, &lab.err),
                         -EBADMSG);
        object_unref(o);
    }
}

static void view_refuses_a_block_that_is_too_short(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct view_source s;
    struct npy npy = {.dtype = F8, .ndim = 2, .shape = {5, 7}};
    CLEANUP(buf_fini) struct buf bytes = BUF_INIT(VIEW_BYTES_MAX);
    struct object *o = NULL;
    assert_int_equal(npy_format(&npy, &bytes), 0);
    struct store_body body = {.head = bytes.data, .head_len = bytes.len, .fd = -1};
    assert_int_equal(store_put(lab.fault, "k", &body, &(struct store_put){0}, NULL, NULL), 0);
    assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), 0);
    assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW, &s, &lab.err), -EBADMSG);
    assert_non_null(strstr(lab.err.msg, "announces"));
    object_unref(o);
}

static void view_is_made_once_and_kept(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct npy npy;
    const struct view_block b = {F8, false, 2, {50, 70}};
    object_unref(view_store(&lab, &b, &npy));
    struct store_stat stat = lab_head(&lab, "k");
    for (int i = 0; i < 2; i++) {
        struct view_source s;
        struct object *o = NULL;
        lab_restart(&lab);
        assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
        uint64_t before = cache_usage(lab.cache);
        assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW_F, &s, &lab.err), 0);
        if (i == 0)
            assert_true(cache_usage(lab.cache) > before);
        else
            assert_int_equal(cache_usage(lab.cache), before);
        object_unref(s.object);
        object_unref(o);
    }
}

static void view_fails_when_there_is_no_room_for_it(void **state)
{
    (void)state;
    LAB(lab, .local = true, .free_min = 1ULL << 60);
    struct npy npy;
    struct view_source s;
    const struct view_block b = {F8, false, 2, {50, 70}};
    struct object *o = view_store(&lab, &b, &npy);
    assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW_F, &s, &lab.err), -ENOSPC);
    assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW, &s, &lab.err), 0); /* as it is */
    object_unref(s.object);
    object_unref(o);
}

static void view_of_a_local_block_that_shrinks_is_an_error(void **state)
{
    (void)state;
    LAB(lab, .local = true);
    struct npy npy;
    struct view_source s;
    const struct view_block b = {F8, false, 2, {50, 70}};
    struct object *o = view_store(&lab, &b, &npy);
    assert_int_equal(truncate(scratch_at(&lab.dir, "store/k"), 1000), 0);
    assert_int_equal(view_open(lab.fs->objects, "k", o, NAME_RAW_F, &s, &lab.err), -EIO);
    object_unref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(view_puts_blocks_of_any_number_of_axes_in_order),
        cmocka_unit_test(view_puts_bytes_of_any_type_in_order),
        cmocka_unit_test(view_of_an_empty_block_is_empty),
        cmocka_unit_test(view_of_the_object_is_the_object),
        cmocka_unit_test(view_refuses_what_is_no_block),
        cmocka_unit_test(view_refuses_a_block_that_is_too_short),
        cmocka_unit_test(view_is_made_once_and_kept),
        cmocka_unit_test(view_fails_when_there_is_no_room_for_it),
        cmocka_unit_test(view_of_a_local_block_that_shrinks_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
