#include "tests/unit/unit.h"

#include "matrix/npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct dtype npy_f8 = {'f', 8, '<'};

/* A file's head with this version and text. The copy has exactly its size, so that a sanitizer sees
 * a byte read beyond it. */
static unsigned char *npy_make(unsigned char major, const char *text, size_t len, size_t *ret_len)
{
    size_t width = major == 1 ? 2 : 4;
    unsigned char *head = malloc(8 + width + len);
    assert_non_null(head);
    memcpy(head, "\x93NUMPY", 6);
    head[6] = major;
    head[7] = 0;
    for (size_t i = 0; i < width; i++)
        head[8 + i] = (unsigned char)(len >> (8 * i));
    memcpy(head + 8 + width, text, len);
    *ret_len = 8 + width + len;
    return head;
}

static int npy_try(unsigned char major, const char *text, struct npy *ret, struct err *err)
{
    size_t len = 0;
    CLEANUP(freep) unsigned char *head = npy_make(major, text, strlen(text), &len);
    return npy_parse(head, len, ret, err);
}

static void npy_reads_every_way_to_write_the_same(void **state)
{
    (void)state;
    static const struct {
        unsigned char major;
        const char *text;
    } same[] = {
        {1, "{'descr': '<f8', 'fortran_order': True, 'shape': (4, 3), }     \n"},
        {1, "{'descr': '<f8', 'fortran_order': True, 'shape': (4, 3)}"},
        {1, "{\"shape\":(4,3),\"fortran_order\":True,\"descr\":\"<f8\"}"},
        {2, "{'shape': (4L, 3L), 'descr': 'float64', 'fortran_order': True}\n\n"},
        {3, " \t{ 'shape' : ( 4 , 3 , ) ,\r\n 'descr' : '=f8' , 'fortran_order' : True , } \n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        struct npy npy = {0};
        assert_int_equal(npy_try(same[i].major, same[i].text, &npy, NULL), 0);
        assert_true(dtype_equal(npy.dtype, npy_f8));
        assert_true(npy.fortran);
        assert_int_equal(npy.ndim, 2);
        assert_int_equal(npy.shape[0], 4);
        assert_int_equal(npy.shape[1], 3);
        assert_int_equal(npy.data_off, (same[i].major == 1 ? 10 : 12) + strlen(same[i].text));
        assert_int_equal(npy.data_len, 96);
    }
}

static void npy_reads_scalars_and_empty_arrays(void **state)
{
    (void)state;
    struct npy npy = {0};
    assert_int_equal(
        npy_try(1, "{'descr': '>c16', 'fortran_order': False, 'shape': ()}", &npy, NULL), 0);
    assert_int_equal(npy.ndim, 0);
    assert_int_equal(npy.data_len, 16);
    assert_int_equal(npy.dtype.order, '>');
    assert_int_equal(
        npy_try(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (7, 0,)}", &npy, NULL), 0);
    assert_int_equal(npy.ndim, 2);
    assert_int_equal(npy.data_len, 0);
}

#define NPY_TEXT(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }"

static void npy_refuses_hostile_text_and_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *msg;
    } bad[] = {
        {"", "the header is no dictionary"},
        {"[]", "the header is no dictionary"},
        {"{", "the header is no dictionary"},
        {"{}", "'descr' is missing"},
        {"{'descr'", "the header is no dictionary"},
        {"{'descr: '<f8'}", "the header is no dictionary"},
        {"{'descr': '<f8", "'descr' is no text"},
        {"{'descr': '<f8'}", "'fortran_order' is missing"},
        {"{'descr': '<f8', 'fortran_order': False}", "'shape' is missing"},
        {"{'descr': '<f8', 'descr': '<f8'}", "'descr' is there twice"},
        {"{'descr': '<f8' 'shape': ()}", "lacks a comma or a brace"},
        {"{'descr': '<f8',, 'shape': ()}", "no dictionary"},
        {"{'magic': 1}", "a key that is none of npy's"},
        {"{'descr\\x00': 1}", "a key that is none of npy's"},
        {NPY_TEXT("[('a', '<f8')]", "(3,)"), "structured type"},
        {NPY_TEXT("('<f8', (2,))", "(3,)"), "structured type"},
        {NPY_TEXT("'|O'", "(3,)"), "Python objects"},
        {NPY_TEXT("'O'", "(3,)"), "Python objects"},
        {NPY_TEXT("'<U5'", "(3,)"), "'<U5' is none of bool, int8 to int64"},
        {NPY_TEXT("'<f16'", "(3,)"), "'<f16' is none of bool, int8 to int64"},
        {NPY_TEXT("''", "(3,)"), "none of bool, int8 to int64"},
        {NPY_TEXT("None", "(3,)"), "'descr' is no text"},
        {NPY_TEXT("'<f8\\'", "(3,)"), "none of bool, int8 to int64"},
        {NPY_TEXT("'<f8'", "3"), "'shape' is no tuple"},
        {NPY_TEXT("'<f8'", "[3]"), "'shape' is no tuple"},
        {NPY_TEXT("'<f8'", "(3)"), "'shape' is no tuple"},
        {NPY_TEXT("'<f8'", "(-3,)"), "axis 0 is no size"},
        {NPY_TEXT("'<f8'", "(3, 4.0)"), "lacks a comma or a parenthesis"},
        {NPY_TEXT("'<f8'", "(3 4)"), "lacks a comma or a parenthesis"},
        {NPY_TEXT("'<f8'", "(03,)"), "axis 0 is no size"},
        {NPY_TEXT("'<f8'", "(3,,)"), "axis 1 is no size"},
        {NPY_TEXT("'<f8'", "(,)"), "axis 0 is no size"},
        {NPY_TEXT("'<f8'", "(True,)"), "axis 0 is no size"},
        {NPY_TEXT("'<f8'", "(9223372036854775808,)"), "axis 0 is too large"},
        {NPY_TEXT("'<f8'", "(4294967296, 4294967296)"), "too many elements"},
        {NPY_TEXT("'<f8'", "(1152921504606846976,)"), "too many elements"},
        {NPY_TEXT("'<f8'", "(0, 4294967296, 4294967296)"), "too many elements"},
        {NPY_TEXT("'<f8'", "((((((((((((((((3,)"), "axis 0 is no size"},
        {NPY_TEXT("'<f8'", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)"),
         "more than 32 axes"},
        {"{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}", "neither True nor False"},
        {"{'descr': '<f8', 'fortran_order': Falsely, 'shape': (3,)}", "lacks a comma or a brace"},
        {NPY_TEXT("'<f8'", "(3,)") " x", "text follows the dictionary"},
        {NPY_TEXT("'<f8'", "(3,)") "{}", "text follows the dictionary"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct npy npy = {.ndim = 42};
        struct err err = {0};
        assert_int_equal(npy_try(1, bad[i].text, &npy, &err), -EBADMSG);
        if (!strstr(err.msg, bad[i].msg))
            fail_msg("%s: %s", bad[i].text, err.msg);
        assert_int_equal(strncmp(err.msg, "npy: ", 5), 0);
        assert_int_equal(npy.ndim, 42);
    }
    struct err err = {0};
    struct npy npy = {0};
    assert_int_equal(npy_try(3, NPY_TEXT("'<f8'", "(4L,)"), &npy, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "lacks a comma or a parenthesis"));
}

static void npy_refuses_a_nul_in_the_text(void **state)
{
    (void)state;
    static const char text[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}\0";
    size_t len = 0;
    CLEANUP(freep) unsigned char *head = npy_make(1, text, sizeof(text), &len);
    struct npy npy;
    struct err err = {0};
    assert_int_equal(npy_parse(head, len, &npy, &err), -EBADMSG);
    assert_non_null(strstr(err.msg, "text follows"));
}

static void npy_refuses_other_files_from_their_first_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *msg;
    } bad[] = {
        {"{", 1, "magic"},
        {"\x93NUMPX", 6, "magic"},
        {"\x93NUMPY\4\0ab", 10, "version 4.0"},
        {"\x93NUMPY\0\0ab", 10, "version 0.0"},
        {"\x93NUMPY\1\1ab", 10, "version 1.1"},
        {"\x93NUMPY\1\0\x11\x27", 10, "a header of 10001 bytes"},
        {"\x93NUMPY\2\0\xff\xff\xff\xff", 12, "a header of 4294967295 bytes"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct npy npy;
        struct err err = {0};
        assert_int_equal(npy_parse(bad[i].bytes, bad[i].len, &npy, &err), -EBADMSG);
        assert_non_null(strstr(err.msg, bad[i].msg));
    }
}

static void npy_asks_for_more_until_the_header_is_there(void **state)
{
    (void)state;
    for (unsigned char major = 1; major <= 3; major++) {
        size_t len = 0;
        const char *text = NPY_TEXT("'<f8'", "(3,)") "\n";
        CLEANUP(freep) unsigned char *head = npy_make(major, text, strlen(text), &len);
        struct npy npy;
        for (size_t n = 0; n < len; n++) {
            CLEANUP(freep) unsigned char *part = malloc(n + 1);
            assert_non_null(part);
            memcpy(part + 1, head, n); /* flush with the end of its memory */
            struct err err = {0};
            assert_int_equal(npy_parse(part + 1, n, &npy, &err), -ENODATA);
            assert_non_null(strstr(err.msg, "less than the header"));
        }
        assert_int_equal(npy_parse(head, len, &npy, NULL), 0);
    }
}

static void npy_never_asks_for_more_than_the_most(void **state)
{
    (void)state;
    CLEANUP(freep) unsigned char *head = calloc(1, NPY_HEAD_MAX);
    assert_non_null(head);
    static const unsigned char prefix[] = {0x93, 'N', 'U', 'M', 'P', 'Y', 3, 0, 0x10, 0x27, 0, 0};
    memcpy(head, prefix, sizeof(prefix));
    struct npy npy;
    assert_int_equal(npy_parse(head, NPY_HEAD_MAX, &npy, NULL), -EBADMSG);
    assert_int_equal(npy_parse(head, NPY_HEAD_MAX - 1, &npy, NULL), -ENODATA);
}

static void npy_writes_what_numpy_writes(void **state)
{
    (void)state;
    struct npy npy = {.dtype = npy_f8, .ndim = 2, .shape = {4, 3}};
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    assert_int_equal(npy_format(&npy, &out), 0);
    assert_int_equal(out.len, 128);
    assert_memory_equal(out.data,
                        "\x93NUMPY\1\0\x76\0{'descr': '<f8', 'fortran_order': False, 'shape': "
                        "(4, 3), }  ",
                        70);
    assert_int_equal(out.data[127], '\n');
    assert_int_equal(npy.data_off, 128);
    assert_int_equal(npy.data_len, 96);
    struct npy back = {0};
    assert_int_equal(npy_parse(out.data, out.len, &back, NULL), 0);
    assert_int_equal(back.data_off, 128);
    assert_int_equal(back.ndim, 2);
}

static void npy_calls_an_array_fortran_only_when_that_means_something(void **state)
{
    (void)state;
    static const struct {
        int64_t shape[3];
        int ndim;
        bool fortran;
    } form[] = {
        {{0}, 0, false},       {{5}, 1, false},       {{5, 1}, 2, false}, {{1, 5}, 2, false},
        {{5, 0}, 2, false},    {{2, 0, 2}, 3, false}, {{5, 2}, 2, true},  {{1, 2, 2}, 3, true},
        {{1, 1, 1}, 3, false}, {{1, 9, 1}, 3, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(form); i++) {
        struct npy npy = {.dtype = npy_f8, .fortran = true, .ndim = form[i].ndim};
        memcpy(npy.shape, form[i].shape, sizeof(form[i].shape));
        CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
        assert_int_equal(npy_format(&npy, &out), 0);
        assert_int_equal(npy.fortran, form[i].fortran);
    }
}

static void npy_writes_the_longest_header_whole(void **state)
{
    (void)state;
    struct npy npy = {.dtype = {'c', 16, '>'}, .ndim = GRID_NDIM_MAX};
    for (int a = 0; a < GRID_NDIM_MAX; a++)
        npy.shape[a] = 1;
    npy.shape[0] = INT64_MAX / 16;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    assert_int_equal(npy_format(&npy, &out), 0);
    struct npy back = {0};
    assert_int_equal(npy_parse(out.data, out.len, &back, NULL), 0);
    assert_memory_equal(back.shape, npy.shape, sizeof(npy.shape));
    assert_int_equal(back.data_off, out.len);
    for (size_t max = 0; max < out.len; max++) {
        CLEANUP(buf_fini) struct buf small = BUF_INIT(max);
        assert_int_equal(npy_format(&npy, &small), -EMSGSIZE);
    }
}

static void npy_format_refuses_what_it_could_not_read_back(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf out = BUF_INIT(4096);
    struct npy npy = {.dtype = npy_f8, .ndim = 33};
    assert_int_equal(npy_format(&npy, &out), -EINVAL);
    npy.ndim = -1;
    assert_int_equal(npy_format(&npy, &out), -EINVAL);
    npy = (struct npy){.dtype = npy_f8, .ndim = 1, .shape = {INT64_MAX}};
    assert_int_equal(npy_format(&npy, &out), -EINVAL);
    assert_int_equal(out.len, 0);
}

static void npy_check_block_says_what_differs(void **state)
{
    (void)state;
    const struct grid g = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}};
    const int64_t index[] = {2, 1};
    struct npy good;
    npy_for_block(&g, npy_f8, index, &good);
    assert_int_equal(good.ndim, 2);
    assert_int_equal(good.shape[0], 2);
    assert_int_equal(good.shape[1], 3);
    good.data_off = 128;
    good.data_len = 48;
    struct err err = {0};
    assert_int_equal(npy_check_block(&good, 176, &g, npy_f8, index, &err), 0);
    good.fortran = true;
    assert_int_equal(npy_check_block(&good, 176, &g, npy_f8, index, &err), 0);

    assert_int_equal(npy_check_block(&good, 175, &g, npy_f8, index, &err), -EINVAL);
    assert_string_equal(err.msg, "175 bytes, where the block has 176");
    assert_int_equal(npy_check_block(&good, 177, &g, npy_f8, index, &err), -EINVAL);
    const struct dtype big = {'f', 8, '>'};
    assert_int_equal(npy_check_block(&good, 176, &g, big, index, &err), -EINVAL);
    assert_string_equal(err.msg, "type <f8, where the matrix has >f8");
    assert_int_equal(npy_check_block(&good, 176, &g, npy_f8, (const int64_t[]){0, 0}, &err),
                     -EINVAL);
    assert_string_equal(err.msg, "shape (2, 3), where the block has (4, 3)");
    assert_int_equal(npy_check_block(&good, 176, &g, npy_f8, (const int64_t[]){3, 0}, &err),
                     -EINVAL);
    assert_string_equal(err.msg, "the block is outside the grid");
    good.ndim = 1;
    assert_int_equal(npy_check_block(&good, 176, &g, npy_f8, index, &err), -EINVAL);
    assert_string_equal(err.msg, "shape (2,), where the block has (2, 3)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_reads_every_way_to_write_the_same),
        cmocka_unit_test(npy_reads_scalars_and_empty_arrays),
        cmocka_unit_test(npy_refuses_hostile_text_and_says_why),
        cmocka_unit_test(npy_refuses_a_nul_in_the_text),
        cmocka_unit_test(npy_refuses_other_files_from_their_first_bytes),
        cmocka_unit_test(npy_asks_for_more_until_the_header_is_there),
        cmocka_unit_test(npy_never_asks_for_more_than_the_most),
        cmocka_unit_test(npy_writes_what_numpy_writes),
        cmocka_unit_test(npy_calls_an_array_fortran_only_when_that_means_something),
        cmocka_unit_test(npy_writes_the_longest_header_whole),
        cmocka_unit_test(npy_format_refuses_what_it_could_not_read_back),
        cmocka_unit_test(npy_check_block_says_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
