#include "tests/unit/unit.h"

#include "ops/block.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct scratch scratch;
    struct matdir m; /* A: 10 x 7 of float64 in blocks of 4 x 3 */
};

static const struct matrices_spec block_spec = {
    .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};

static int block_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_init(&f->scratch);
    f->m = matrices_empty(&f->scratch, &block_spec);
    *state = f;
    return 0;
}

static int block_teardown(void **state)
{
    struct fixture *f = *state;
    matdir_close(&f->m);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* Puts a file of an npy header and zeros in the place of block_0_0. */
static void block_put(struct fixture *f, const char *dict, size_t zeros)
{
    char head[4096];
    size_t len = strlen(dict) + 1;
    CLEANUP(closep)
    int fd = openat(f->m.fd, "block_0_0", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    assert_true(fd >= 0 && len < sizeof(head) - 10);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)(len & 0xff);
    head[9] = (char)(len >> 8);
    memcpy(head + 10, dict, len - 1);
    head[10 + len - 1] = '\n';
    assert_int_equal(write_full(fd, head, 10 + len), 0);
    assert_int_equal(ftruncate(fd, (off_t)(10 + len + zeros)), 0);
}

static void block_refuses(struct fixture *f, int code, const char *says)
{
    static const int64_t index[] = {0, 0};
    double data[12];
    bool fortran = false;
    struct err err = {0};
    assert_int_equal(block_load(&f->m, index, data, &fortran, &err), code);
    assert_non_null(strstr(err.msg, "/A/block_0_0: "));
    assert_non_null(strstr(err.msg, says));
}

static void block_store_and_load_agree_for_each_block(void **state)
{
    struct fixture *f = *state;
    int64_t index[GRID_NDIM_MAX];
    const struct grid *g = &f->m.header.grid;
    for (bool more = grid_first(g, index); more; more = grid_next(g, index)) {
        double out[12];
        double in[12] = {0};
        size_t n = (size_t)grid_block_elements(g, index);
        for (size_t i = 0; i < n; i++)
            out[i] = (double)(grid_rank(g, index) * 100) + (double)i;
        assert_int_equal(block_store(&f->m, index, out, NULL), 0);
        assert_int_equal(block_load_rows(&f->m, index, in, NULL), 0);
        assert_memory_equal(in, out, n * sizeof(double));
    }
}

static void block_store_never_replaces(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {0, 0};
    double one[12] = {1};
    double two[12] = {2};
    double in[12];
    struct err err = {0};
    assert_int_equal(block_store(&f->m, index, one, &err), 0);
    assert_int_equal(block_store(&f->m, index, two, &err), -EEXIST);
    assert_non_null(strstr(err.msg, "/A/block_0_0: it is there already"));
    assert_int_equal(block_load_rows(&f->m, index, in, NULL), 0);
    assert_memory_equal(in, one, sizeof(one));
}

static void block_load_turns_big_endian_and_fortran_order(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {">f8", "<f4", ">c8", "c16"};
    const double complex from[] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        for (int fortran = 0; fortran < 2; fortran++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "T%zu%d", i, fortran);
            const struct matrices_spec spec = {
                .name = name, .dtype = types[i], .shape = {2, 3}, .shard = {2, 3}};
            CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
            matrices_store(&m, from, fortran);
            CLEANUP(freep) double complex *back = matrices_load(&m);
            assert_memory_equal(back, from, sizeof(from));
        }
    }
}

static void block_store_writes_the_byte_order_of_the_matrix(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {0, 0};
    const struct matrices_spec spec = {
        .name = "B", .dtype = ">f8", .shape = {300, 200}, .shard = {300, 200}};
    CLEANUP(matdir_close) struct matdir m = matrices_empty(&f->scratch, &spec);
    CLEANUP(freep) double *out = block_alloc(&m, 60000, NULL);
    CLEANUP(freep) double *in = block_alloc(&m, 60000, NULL);
    for (int i = 0; i < 60000; i++)
        out[i] = i;
    assert_int_equal(block_store(&m, index, out, NULL), 0);
    assert_int_equal(block_load_rows(&m, index, in, NULL), 0);
    assert_memory_equal(in, out, 60000 * sizeof(*in));
    unsigned char bytes[8];
    CLEANUP(closep) int fd = openat(m.fd, "block_0_0", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread_full(fd, bytes, sizeof(bytes), 128 + 8), 0);
    assert_memory_equal(bytes, "\x3f\xf0\0\0\0\0\0\0", 8); /* 1.0 */
}

static void block_read_takes_a_part(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {1, 1};
    double out[12];
    double in[5];
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    struct watch watch = {0};
    for (int i = 0; i < 12; i++)
        out[i] = i;
    f->m.watch = &watch;
    assert_int_equal(block_store(&f->m, index, out, NULL), 0);
    assert_int_equal(block_open(&f->m, index, &b, NULL), 0);
    assert_int_equal(block_read(&b, 4, 5, in, NULL), 0);
    assert_memory_equal(in, out + 4, sizeof(in));
    assert_int_equal(watch.bytes_written, 96);
    assert_int_equal(watch.bytes_read, 40);
}

static void block_that_is_missing_says_so(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const int64_t index[] = {0, 0};
    double data[12];
    block_refuses(f, -ENOENT, "the block is missing");
    scratch_write(&f->scratch, "A/block_0_0.npy", "x");
    assert_int_equal(block_load_rows(&f->m, index, data, &err), -ENOENT);
    assert_non_null(strstr(err.hint, "there is a block_0_0.npy"));
}

static void block_that_is_missing_is_filled_where_the_header_says_so(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {2, 2}; /* 2 x 1 */
    double data[12] = {0};
    assert_int_equal(matdir_set_fill(&f->m, (struct number){2.5L, 0}, NULL), 0);
    assert_int_equal(block_load_rows(&f->m, index, data, NULL), 0);
    assert_true(data[0] == 2.5 && data[1] == 2.5 && data[2] == 0);
}

static void block_that_is_none_of_this_matrix_is_refused_with_the_reason(void **state)
{
    struct fixture *f = *state;
    block_put(f, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }", 96);
    block_refuses(f, -EBADMSG, "shape (3, 4), where the block has (4, 3)");
    block_put(f, "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }", 48);
    block_refuses(f, -EBADMSG, "type <f4, where the matrix has <f8");
    block_put(f, "{'descr': '>f8', 'fortran_order': False, 'shape': (4, 3), }", 96);
    block_refuses(f, -EBADMSG, "type >f8, where the matrix has <f8");
    block_put(f, "{'descr': '<f8', 'fortran_order': False, 'shape': (4, 3), }", 95);
    block_refuses(f, -EBADMSG, "bytes, where the block has");
    block_put(f, "{'descr': '|O', 'fortran_order': False, 'shape': (4, 3), }", 96);
    block_refuses(f, -EBADMSG, "Python objects");
    scratch_write(&f->scratch, "A/block_0_0", "not npy at all");
    block_refuses(f, -EBADMSG, "magic");
    scratch_write(&f->scratch, "A/block_0_0", "");
    block_refuses(f, -EBADMSG, "less than the header");
    scratch_write(&f->scratch, "A/block_0_0", "\x93NUMPY\x01");
    block_refuses(f, -EBADMSG, "less than the header");
}

static void block_with_a_long_header_is_read(void **state)
{
    struct fixture *f = *state;
    char dict[3000];
    int n = snprintf(dict, sizeof(dict),
                     "{'descr': '<f8', 'fortran_order': False, "
                     "'shape': (4, 3), }");
    memset(dict + n, ' ', sizeof(dict) - 1 - (size_t)n);
    dict[sizeof(dict) - 1] = '\0';
    static const int64_t index[] = {0, 0};
    double data[12] = {1};
    block_put(f, dict, 96);
    assert_int_equal(block_load_rows(&f->m, index, data, NULL), 0);
    assert_true(data[0] == 0);
}

static void block_may_be_a_link_but_not_a_fifo_or_a_directory(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {0, 1};
    static const int64_t other[] = {0, 0};
    double out[12] = {7};
    double in[12] = {0};
    assert_int_equal(block_store(&f->m, index, out, NULL), 0);
    assert_int_equal(symlinkat("block_0_1", f->m.fd, "block_0_0"), 0);
    assert_int_equal(block_load_rows(&f->m, other, in, NULL), 0);
    assert_true(in[0] == 7);
    assert_int_equal(unlinkat(f->m.fd, "block_0_0", 0), 0);
    assert_int_equal(mkfifoat(f->m.fd, "block_0_0", 0666), 0);
    block_refuses(f, -EBADMSG, "not a file");
    assert_int_equal(unlinkat(f->m.fd, "block_0_0", 0), 0);
    assert_int_equal(mkdirat(f->m.fd, "block_0_0", 0777), 0);
    block_refuses(f, -EBADMSG, "not a file");
}

/* Reads a box of block_0_0 and compares it with the block as a whole. */
static void block_check_box(struct fixture *f, const int64_t *start, const int64_t *extent)
{
    static const int64_t index[] = {0, 0};
    const int64_t stride[] = {5 * 8, 8}; /* gaps in the destination stay as they are */
    double whole[12];
    double bounce[12];
    double part[20];
    struct watch watch = {0};
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    for (int i = 0; i < 20; i++)
        part[i] = -1;
    f->m.watch = &watch;
    assert_int_equal(block_open(&f->m, index, &b, NULL), 0);
    const struct block_box box = {
        .start = start, .extent = extent, .dst = part, .stride = stride, .bounce = bounce};
    assert_int_equal(block_read_box(&b, &box, NULL), 0);
    assert_true(watch.bytes_read >= (uint64_t)(extent[0] * extent[1] * 8));
    assert_true(watch.bytes_read <= sizeof(whole));
    assert_int_equal(block_load_rows(&f->m, index, whole, NULL), 0);
    for (int64_t i = 0; i < 4; i++) {
        for (int64_t j = 0; j < 5; j++) {
            bool in = i < extent[0] && j < extent[1];
            double want = in ? whole[(start[0] + i) * 3 + start[1] + j] : -1;
            assert_true(part[5 * i + j] == want);
        }
    }
}

static void block_read_box_brings_every_box_of_both_orders(void **state)
{
    struct fixture *f = *state;
    CLEANUP(freep) double complex *all = calloc(70, sizeof(*all));
    for (int i = 0; i < 70; i++)
        all[i] = i;
    for (int turn = 0; turn < 2; turn++) {
        matrices_store(&f->m, all, turn == 1);
        for (int i = 0; i < 4 * 4 * 3 * 3; i++) {
            const int64_t start[] = {i % 4, i / 16 % 3};
            const int64_t extent[] = {1 + i / 4 % 4, 1 + i / 48};
            if (start[0] + extent[0] <= 4 && start[1] + extent[1] <= 3)
                block_check_box(f, start, extent);
        }
    }
    f->m.watch = NULL;
}

/* Runs of a page and more are read by themselves, shorter ones with what is between. */
static void block_read_box_reads_long_runs_only(void **state)
{
    struct fixture *f = *state;
    const struct matrices_spec spec = {
        .name = "W", .dtype = "f8", .shape = {4, 2000}, .shard = {4, 2000}};
    static const int64_t index[] = {0, 0};
    static const int64_t start[] = {1, 100};
    struct watch watch = {0};
    CLEANUP(matdir_close) struct matdir m = matrices_random(&f->scratch, &spec, 1);
    CLEANUP(block_close) struct block b = BLOCK_NONE;
    CLEANUP(freep) void *dst = block_alloc(&m, 8000, NULL);
    CLEANUP(freep) void *bounce = block_alloc(&m, 8000, NULL);
    m.watch = &watch;
    assert_int_equal(block_open(&m, index, &b, NULL), 0);
    for (int64_t n = 400; n <= 1600; n += 400) {
        const int64_t extent[] = {3, n};
        const int64_t stride[] = {n * 8, 8};
        const struct block_box box = {
            .start = start, .extent = extent, .dst = dst, .stride = stride, .bounce = bounce};
        watch.bytes_read = 0;
        assert_int_equal(block_read_box(&b, &box, NULL), 0);
        assert_int_equal(watch.bytes_read, n < 512 ? (2 * 2000 + n) * 8 : 3 * n * 8);
    }
}

static void block_load_if_there_tells_what_is_missing(void **state)
{
    struct fixture *f = *state;
    static const int64_t index[] = {0, 0};
    double data[12] = {5};
    bool fortran = false;
    assert_int_equal(block_load_if_there(&f->m, index, data, &fortran, NULL), -ENOENT);
    assert_int_equal(matdir_set_fill(&f->m, (struct number){3, 0}, NULL), 0);
    assert_int_equal(block_load_if_there(&f->m, index, data, &fortran, NULL), 0);
    assert_int_equal(block_load_rows_if_there(&f->m, index, data, NULL), 0);
    assert_true(data[0] == 5);
    assert_int_equal(block_store(&f->m, index, data, NULL), 0);
    assert_int_equal(block_load_if_there(&f->m, index, data, &fortran, NULL), 1);
    assert_int_equal(block_load_rows_if_there(&f->m, index, data, NULL), 1);
}

static void block_alloc_says_how_much_there_is_not(void **state)
{
    struct fixture *f = *state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(BMFS_SANITIZED) /* they end the process instead */
    struct err err = {0};
    assert_null(block_alloc(&f->m, INT64_C(1) << 58, &err));
    assert_non_null(strstr(err.msg, "no memory for 2305843009213693952 bytes"));
#endif
    CLEANUP(freep) void *p = block_alloc(&f->m, 0, NULL);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    assert_int_equal(block_elements_max(&f->m), 12);
}

int main(void)
{
#define BLOCK_TEST(fn) cmocka_unit_test_setup_teardown(fn, block_setup, block_teardown)
    const struct CMUnitTest tests[] = {
        BLOCK_TEST(block_store_and_load_agree_for_each_block),
        BLOCK_TEST(block_store_never_replaces),
        BLOCK_TEST(block_load_turns_big_endian_and_fortran_order),
        BLOCK_TEST(block_store_writes_the_byte_order_of_the_matrix),
        BLOCK_TEST(block_read_takes_a_part),
        BLOCK_TEST(block_that_is_missing_says_so),
        BLOCK_TEST(block_that_is_missing_is_filled_where_the_header_says_so),
        BLOCK_TEST(block_that_is_none_of_this_matrix_is_refused_with_the_reason),
        BLOCK_TEST(block_with_a_long_header_is_read),
        BLOCK_TEST(block_may_be_a_link_but_not_a_fifo_or_a_directory),
        BLOCK_TEST(block_read_box_brings_every_box_of_both_orders),
        BLOCK_TEST(block_read_box_reads_long_runs_only),
        BLOCK_TEST(block_load_if_there_tells_what_is_missing),
        BLOCK_TEST(block_alloc_says_how_much_there_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
