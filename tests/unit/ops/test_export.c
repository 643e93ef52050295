#include "tests/unit/unit.h"

#include "matrix/npy.h"
#include "ops/export.h"
#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rng rng;

static int export_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int export_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

static int export_to(const struct scratch *s, const struct matdir *m, enum export_format format,
                     uint64_t memory, struct err *err)
{
    CLEANUP(closep)
    int fd = open(scratch_at(s, "out"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return export_run(m, fd, format, memory, err);
}

/* Checks that the file holds the matrix, as float64 in rows. */
static void export_check(const struct scratch *s, const struct matdir *m,
                         const double complex *want, bool head)
{
    unsigned char bytes[NPY_HEAD_MAX] = {0};
    struct npy npy = {.data_off = 0};
    struct stat st;
    int64_t n = grid_elements(&m->header.grid);
    CLEANUP(closep) int fd = open(scratch_at(s, "out"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    if (head) {
        size_t len = (size_t)MIN((int64_t)sizeof(bytes), (int64_t)st.st_size);
        assert_int_equal(pread_full(fd, bytes, len, 0), 0);
        assert_int_equal(npy_parse(bytes, len, &npy, NULL), 0);
        assert_false(npy.fortran);
        assert_int_equal(npy.ndim, m->header.grid.ndim);
        assert_memory_equal(npy.shape, m->header.grid.shape, sizeof(int64_t) * (size_t)npy.ndim);
        assert_true(dtype_equal(npy.dtype, (struct dtype){'f', 8, '<'}));
    }
    assert_int_equal(st.st_size, npy.data_off + (size_t)n * 8);
    for (int64_t i = 0; i < n; i++) {
        double v = 0;
        assert_int_equal(pread_full(fd, &v, sizeof(v), npy.data_off + (uint64_t)i * 8), 0);
        assert_true(v == creal(want[i]));
    }
}

static void export_writes_rows_whatever_the_blocks_and_the_memory(void **state)
{
    const struct scratch *s = *state;
    for (int round = 0; round < 60; round++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "M%d", round);
        struct matrices_spec spec = {.name = name,
                                     .dtype = rng_below(&rng, 2) ? "<f8" : ">f8",
                                     .ndim = 1 + (int)rng_below(&rng, 4)};
        for (int a = 0; a < spec.ndim; a++) {
            spec.shape[a] = 1 + (int64_t)rng_below(&rng, 8);
            spec.shard[a] = 1 + (int64_t)rng_below(&rng, 5);
        }
        CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec, rng_next(&rng));
        CLEANUP(freep) double complex *want = matrices_load(&m);
        if (rng_below(&rng, 2))
            matrices_store(&m, want, true);
        static const uint64_t memory[] = {0, 100, 1000, 1 << 20};
        for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
            bool head = i % 2;
            assert_int_equal(export_to(s, &m, head ? EXPORT_NPY : EXPORT_RAW, memory[i], NULL), 0);
            export_check(s, &m, want, head);
        }
    }
}

static void export_stops_at_a_missing_block_without_a_fill_value(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {5, 4}, .shard = {2, 2}};
    struct err err = {0};
    CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec, 1);
    CLEANUP(freep) double complex *want = matrices_load(&m);
    assert_int_equal(unlinkat(m.fd, "block_1_1", 0), 0);
    assert_int_equal(export_to(s, &m, EXPORT_NPY, 1 << 20, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/A/block_1_1: the block is missing"));
    assert_int_equal(matdir_set_fill(&m, (struct number){-7, 0}, NULL), 0);
    want[10] = want[11] = want[14] = want[15] = -7;
    for (uint64_t memory = 0; memory < 200; memory += 33) {
        assert_int_equal(export_to(s, &m, EXPORT_NPY, memory, &err), 0);
        export_check(s, &m, want, true);
    }
}

static void export_of_nothing_is_a_header(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {5, 0}, .shard = {2, 2}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    assert_int_equal(export_to(s, &m, EXPORT_NPY, 0, NULL), 0);
    export_check(s, &m, NULL, true);
    assert_int_equal(export_to(s, &m, EXPORT_RAW, 0, NULL), 0);
    export_check(s, &m, NULL, false);
}

static void export_says_when_it_cannot_write(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {5, 4}, .shard = {2, 2}};
    struct err err = {0};
    CLEANUP(matdir_close) struct matdir m = matrices_random(s, &spec, 1);
    CLEANUP(closep) int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(export_run(&m, fd, EXPORT_NPY, 0, &err), -ENOSPC);
    assert_string_equal(err.msg, "cannot write: No space left on device");
    assert_int_equal(export_run(&m, fd, EXPORT_RAW, 0, &err), -ENOSPC);
}

int main(void)
{
#define EXPORT_TEST(fn) cmocka_unit_test_setup_teardown(fn, export_setup, export_teardown)
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(export_writes_rows_whatever_the_blocks_and_the_memory),
        EXPORT_TEST(export_stops_at_a_missing_block_without_a_fill_value),
        EXPORT_TEST(export_of_nothing_is_a_header),
        EXPORT_TEST(export_says_when_it_cannot_write),
    };
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
