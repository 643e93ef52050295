/* The same questions, put to Python's numpy and to us.
 *
 * Usage: test_numpy PYTHON SCRIPT. Without arguments it is skipped: no numpy was found. */
#include "tests/unit/unit.h"

#include "matrix/header.h"
#include "matrix/npy.h"
#include "matrix/pickle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMPY_SKIPPED = 77 }; /* what meson takes for "skipped" */

static const char *numpy_python;
static const char *numpy_script;

static FILE *numpy_open(const char *question, const char *mode)
{
    CLEANUP(buf_fini) struct buf command = BUF_INIT(8192);
    assert_int_equal(buf_printf(&command, "'%s' '%s' %s", numpy_python, numpy_script, question), 0);
    FILE *f = popen(buf_text(&command), mode);
    assert_non_null(f);
    return f;
}

/* Cuts the next word off *line. */
static const char *numpy_word(char **line)
{
    const char *word = strsep(line, " \n");
    assert_non_null(word);
    return word;
}

static int numpy_sizes(const char *text, int64_t *size)
{
    int n = 0;
    if (strcmp(text, "-") == 0)
        return 0;
    for (char *end = NULL;; text = end + 1) {
        size[n++] = strtoll(text, &end, 10);
        if (*end != ',')
            return n;
    }
}

static struct dtype numpy_dtype(const char *descr)
{
    struct dtype t = {0};
    assert_int_equal(dtype_from_descr(descr, strlen(descr), &t, NULL), 0);
    return t;
}

static void numpy_check_pickle(char *line)
{
    const char *base64 = numpy_word(&line);
    const char *descr = numpy_word(&line);
    struct dtype t = {0};
    struct err err = {0};
    if (pickle_read_base64(base64, strlen(base64), &t, &err) < 0)
        fail_msg("%s (%s): %s", base64, descr, err.msg);
    if (!dtype_equal(t, numpy_dtype(descr)))
        fail_msg("%s is not %s", base64, descr);
}

static void numpy_check_npy(char *line)
{
    struct npy npy = {.dtype = numpy_dtype(numpy_word(&line))};
    npy.fortran = *numpy_word(&line) == 'F';
    npy.ndim = numpy_sizes(numpy_word(&line), npy.shape);
    uint64_t data_len = strtoull(numpy_word(&line), NULL, 10);
    const char *hex = numpy_word(&line);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(NPY_HEAD_MAX);
    assert_int_equal(npy_format(&npy, &out), 0);
    CLEANUP(freep) char *our_hex = malloc(2 * out.len + 1);
    assert_non_null(our_hex);
    hex_encode(our_hex, out.data, out.len);
    assert_string_equal(our_hex, hex);
    assert_true(npy.data_len == data_len);
    struct npy back = {0};
    assert_int_equal(npy_parse(out.data, out.len, &back, NULL), 0);
    assert_memory_equal(back.shape, npy.shape, sizeof(npy.shape));
    assert_true(dtype_equal(back.dtype, npy.dtype));
    assert_int_equal(back.fortran, npy.fortran);
    assert_true(back.data_len == data_len && back.data_off == out.len);
}

static void numpy_check_header(char *line)
{
    CLEANUP(header_fini) struct header h = {.dtype = numpy_dtype(numpy_word(&line))};
    h.grid.ndim = numpy_sizes(numpy_word(&line), h.grid.shape);
    assert_int_equal(numpy_sizes(numpy_word(&line), h.grid.shard), h.grid.ndim);
    CLEANUP(buf_fini) struct buf out = BUF_INIT(HEADER_BYTES_MAX);
    assert_int_equal(header_store(&h, &out), 0);
    assert_int_equal(buf_puts(&out, "\n"), 0);
    assert_string_equal(buf_text(&out), line);
    struct header back = {0};
    assert_int_equal(header_parse(line, strlen(line), &back, NULL), 0);
    assert_true(header_equal(&h, &back));
}

/* Calls `check` with each line of an answer, of which there are at least `lines`. */
static void numpy_ask(const char *question, int lines, void (*check)(char *line))
{
    FILE *f = numpy_open(question, "r");
    CLEANUP(freep) char *line = NULL;
    size_t size = 0;
    for (; getline(&line, &size, f) > 0; lines--)
        check(line);
    assert_int_equal(pclose(f), 0);
    assert_true(lines <= 0);
}

static void numpy_types_are_read_from_every_pickle(void **state)
{
    (void)state;
    numpy_ask("pickles", 2000, numpy_check_pickle);
}

static void numpy_save_writes_the_same_bytes(void **state)
{
    (void)state;
    numpy_ask("npy", 7000, numpy_check_npy);
}

static void numpy_headers_are_json_dumps(void **state)
{
    (void)state;
    numpy_ask("headers", 300, numpy_check_header);
}

static void numpy_loads_every_pickle_we_write(void **state)
{
    (void)state;
    static const char *const type[] = {"b1", "i1", "u1", "i2", "u2", "i4", "u4",
                                       "i8", "u8", "f2", "f4", "f8", "c8", "c16"};
    FILE *f = numpy_open("check-pickles", "w");
    for (size_t i = 0; i < 2 * ARRAY_SIZE(type); i++) {
        char descr[DTYPE_TEXT_SIZE];
        (void)snprintf(descr, sizeof(descr), "%c%s", i % 2 ? '>' : '<', type[i / 2]);
        struct dtype t = numpy_dtype(descr);
        if (t.order == '|' && i % 2)
            continue;
        CLEANUP(buf_fini) struct buf out = BUF_INIT(1024);
        assert_int_equal(pickle_write_base64(t, &out), 0);
        assert_true(fprintf(f, "%s %s\n", buf_text(&out), dtype_descr(t, descr)) > 0);
    }
    assert_int_equal(pclose(f), 0);
}

#define NUMPY_F8 \
    "\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"gANjbnVtcHkKZmxvYXQ2NApxAC4=\""

static void numpy_finds_further_fields_unchanged(void **state)
{
    (void)state;
    static const char *const original[] = {
        "{" NUMPY_F8 "}",
        "{" NUMPY_F8 ", \"fill_value\": null}",
        "{" NUMPY_F8 ", \"fill_value\": 0.30000000000000004, \"x\": [0.1, -1e-300, 5e-324, 1e22]}",
        "{" NUMPY_F8 ", \"a\": {\"b\": [{}, [], \"\\u00e9\\ud83d\\ude00\\\"\\\\\\n\\u0001\"]}}",
        "{" NUMPY_F8 ", \"\": true, \"n\": [9007199254740991, -9007199254740991, 0, 1.5]}",
    };
    FILE *f = numpy_open("check-headers", "w");
    for (size_t i = 0; i < ARRAY_SIZE(original); i++) {
        CLEANUP(header_fini) struct header h = {0};
        CLEANUP(buf_fini) struct buf stored = BUF_INIT(HEADER_BYTES_MAX);
        CLEANUP(buf_fini) struct buf presented = BUF_INIT(HEADER_BYTES_MAX);
        assert_int_equal(header_parse(original[i], strlen(original[i]), &h, NULL), 0);
        assert_int_equal(header_store(&h, &stored), 0);
        assert_int_equal(header_present(&h, &presented), 0);
        for (char *p = presented.data; *p; p++)
            if (*p == '\n')
                *p = ' ';
        assert_true(fprintf(f, "%s\t%s\t%s\n", original[i], stored.data, presented.data) > 0);
    }
    assert_int_equal(pclose(f), 0);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)puts("no Python with numpy was found when the build was set up");
        return NUMPY_SKIPPED;
    }
    numpy_python = argv[1];
    numpy_script = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpy_types_are_read_from_every_pickle),
        cmocka_unit_test(numpy_save_writes_the_same_bytes),
        cmocka_unit_test(numpy_headers_are_json_dumps),
        cmocka_unit_test(numpy_loads_every_pickle_we_write),
        cmocka_unit_test(numpy_finds_further_fields_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
