#include "tests/unit/unit.h"

#include "ops/import.h"
#include "tests/kit/matrices.h"
#include "tests/kit/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IMPORT_ELEMENTS = 10 * 7 };

static struct rng rng;

static int import_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int import_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

/* Writes the numbers 0, 1, 2... of float64, which are counted in the file's own order. */
static void import_make(const struct scratch *s, const char *name, struct npy npy, bool head)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(NPY_HEAD_MAX);
    CLEANUP(closep)
    int fd = open(scratch_at(s, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    npy.dtype = (struct dtype){'f', 8, '<'};
    assert_int_equal(npy_format(&npy, &text), 0);
    if (head)
        assert_int_equal(write_full(fd, text.data, text.len), 0);
    for (uint64_t i = 0; i < npy.data_len / 8; i++) {
        double v = (double)i;
        assert_int_equal(write_full(fd, &v, sizeof(v)), 0);
    }
}

/* Imports a file into blocks of that size and checks every element's place. */
static void import_check(const struct scratch *s, const char *path, const struct npy *raw,
                         const int64_t *shard, uint64_t memory)
{
    static int turn;
    char name[16];
    CLEANUP(import_close) struct import im = IMPORT_NONE;
    struct err err = {0};
    assert_int_equal(import_open(path, raw, &im, &err), 0);
    (void)snprintf(name, sizeof(name), "M%d", turn++);
    struct matrices_spec spec = {.name = name, .dtype = "f8", .ndim = im.npy.ndim};
    int64_t n = 1;
    for (int a = 0; a < im.npy.ndim; a++) {
        spec.shape[a] = im.npy.shape[a];
        spec.shard[a] = shard[a];
        n *= spec.shape[a];
    }
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    assert_int_equal(import_run(&im, &m, memory, &err), 0);
    CLEANUP(freep) double complex *all = matrices_load(&m);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i;
        int64_t at = 0;
        int64_t stride = 1;
        if (!im.npy.fortran) {
            at = i;
        } else { /* the element's place in the file, first index fastest */
            int64_t index[GRID_NDIM_MAX];
            for (int a = spec.ndim - 1; a >= 0; a--) {
                index[a] = rest % spec.shape[a];
                rest /= spec.shape[a];
            }
            for (int a = 0; a < spec.ndim; a++) {
                at += index[a] * stride;
                stride *= spec.shape[a];
            }
        }
        assert_true(all[i] == (double)at);
    }
}

static void import_puts_each_element_in_its_place(void **state)
{
    const struct scratch *s = *state;
    for (int round = 0; round < 60; round++) {
        struct npy npy = {.ndim = 1 + (int)rng_below(&rng, 4), .fortran = rng_below(&rng, 2)};
        int64_t shard[4] = {0};
        for (int a = 0; a < npy.ndim; a++) {
            npy.shape[a] = 1 + (int64_t)rng_below(&rng, 9);
            shard[a] = 1 + (int64_t)rng_below(&rng, 5);
        }
        import_make(s, "x.npy", npy, true);
        import_check(s, scratch_at(s, "x.npy"), NULL, shard, 1 << 20);
        import_check(s, scratch_at(s, "x.npy"), NULL, shard, 1); /* block by block */
    }
}

static void import_of_a_raw_file_takes_shape_and_order_as_told(void **state)
{
    const struct scratch *s = *state;
    static const int64_t shard[] = {4, 3};
    for (int fortran = 0; fortran < 2; fortran++) {
        struct npy raw = {.dtype = {'f', 8, '<'},
                          .ndim = 2,
                          .shape = {10, 7},
                          .fortran = fortran,
                          .data_len = IMPORT_ELEMENTS * 8};
        import_make(s, "x.raw", raw, false);
        import_check(s, scratch_at(s, "x.raw"), &raw, shard, 1 << 20);
        import_check(s, scratch_at(s, "x.raw"), &raw, shard, 0);
    }
}

/* Feeds a file to a FIFO in small pieces. */
struct feeder {
    const char *from, *to;
};

static void *import_feed(void *arg)
{
    const struct feeder *f = arg;
    char piece[37];
    CLEANUP(closep) int in = open(f->from, O_RDONLY | O_CLOEXEC);
    CLEANUP(closep) int out = open(f->to, O_WRONLY | O_CLOEXEC);
    for (;;) {
        ssize_t n = read(in, piece, sizeof(piece));
        if (n <= 0 || write_full(out, piece, (size_t)n) < 0)
            return NULL;
    }
}

static void import_reads_what_cannot_seek(void **state)
{
    const struct scratch *s = *state;
    static const int64_t shard[] = {4, 3};
    char fifo[PATH_MAX + 8];
    char file[PATH_MAX + 8];
    (void)snprintf(fifo, sizeof(fifo), "%s", scratch_at(s, "fifo"));
    (void)snprintf(file, sizeof(file), "%s", scratch_at(s, "x.npy"));
    assert_int_equal(mkfifo(fifo, 0666), 0);
    for (int fortran = 0; fortran < 2; fortran++) {
        struct feeder f = {.from = file, .to = fifo};
        pthread_t thread;
        import_make(s, "x.npy", (struct npy){.ndim = 2, .shape = {10, 7}, .fortran = fortran},
                    true);
        assert_int_equal(pthread_create(&thread, NULL, import_feed, &f), 0);
        import_check(s, fifo, NULL, shard, 1 << 20);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void import_of_a_stream_needs_memory_for_a_row(void **state)
{
    const struct scratch *s = *state;
    char fifo[PATH_MAX + 8];
    char file[PATH_MAX + 8];
    struct err err = {0};
    pthread_t thread;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {10, 7}, .shard = {4, 3}};
    (void)snprintf(fifo, sizeof(fifo), "%s", scratch_at(s, "fifo"));
    (void)snprintf(file, sizeof(file), "%s", scratch_at(s, "x.npy"));
    struct feeder f = {.from = file, .to = fifo};
    assert_int_equal(mkfifo(fifo, 0666), 0);
    import_make(s, "x.npy", (struct npy){.ndim = 2, .shape = {10, 7}}, true);
    assert_int_equal(pthread_create(&thread, NULL, import_feed, &f), 0);
    struct import im = IMPORT_NONE;
    assert_int_equal(import_open(fifo, NULL, &im, NULL), 0);
    CLEANUP(matdir_close) struct matdir m = matrices_empty(s, &spec);
    assert_int_equal(import_run(&im, &m, 223, &err), -EINVAL); /* 4 rows of 7 take 224 */
    assert_non_null(strstr(err.msg, "224 bytes"));
    char rest[4096];
    while (read(im.fd, rest, sizeof(rest)) > 0)
        ;
    import_close(&im);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void import_refuses(const char *path, const struct npy *raw, int code, const char *says)
{
    struct import im = IMPORT_NONE;
    struct err err = {0};
    assert_int_equal(import_open(path, raw, &im, &err), code);
    assert_non_null(strstr(err.msg, says));
    assert_non_null(strstr(err.msg, path));
}

static void import_tells_why_not(void **state)
{
    const struct scratch *s = *state;
    struct npy raw = {
        .dtype = {'f', 8, '<'}, .ndim = 2, .shape = {10, 7}, .data_len = IMPORT_ELEMENTS * 8};
    scratch_write(s, "text", "this is no npy file");
    scratch_write(s, "empty", "");
    import_make(s, "scalar", (struct npy){.ndim = 0}, true);
    import_make(s, "short", (struct npy){.ndim = 2, .shape = {10, 7}}, true);
    assert_int_equal(truncate(scratch_at(s, "short"), 600), 0);
    import_make(s, "raw", (struct npy){.ndim = 2, .shape = {10, 8}}, false);
    import_refuses(scratch_at(s, "none"), NULL, -ENOENT, "No such file");
    import_refuses(scratch_at(s, "text"), NULL, -EBADMSG, "magic");
    import_refuses(scratch_at(s, "empty"), NULL, -EBADMSG, "less than the header");
    import_refuses(scratch_at(s, "scalar"), NULL, -EINVAL, "a single number");
    import_refuses(scratch_at(s, "short"), NULL, -EBADMSG, "600 bytes, where");
    import_refuses(scratch_at(s, "raw"), &raw, -EBADMSG, "640 bytes, where");
    import_refuses(s->path, NULL, -EINVAL, "a directory");
}

/* numpy appends arrays to one file; the first one counts. */
static void import_ignores_what_follows_npy(void **state)
{
    const struct scratch *s = *state;
    static const int64_t shard[] = {4, 3};
    import_make(s, "x.npy", (struct npy){.ndim = 2, .shape = {10, 7}}, true);
    CLEANUP(closep) int fd = open(scratch_at(s, "x.npy"), O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write_full(fd, "more", 4), 0);
    import_check(s, scratch_at(s, "x.npy"), NULL, shard, 1 << 20);
}

static void import_of_nothing_makes_a_matrix_without_blocks(void **state)
{
    const struct scratch *s = *state;
    static const int64_t shard[] = {4, 3};
    import_make(s, "x.npy", (struct npy){.ndim = 2, .shape = {0, 7}}, true);
    import_check(s, scratch_at(s, "x.npy"), NULL, shard, 0);
}

static void import_run_refuses_another_matrix(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec shape = {
        .name = "A", .dtype = "f8", .shape = {7, 10}, .shard = {4, 3}};
    const struct matrices_spec type = {
        .name = "B", .dtype = "f4", .shape = {10, 7}, .shard = {4, 3}};
    CLEANUP(matdir_close) struct matdir a = matrices_empty(s, &shape);
    CLEANUP(matdir_close) struct matdir b = matrices_empty(s, &type);
    CLEANUP(import_close) struct import im = IMPORT_NONE;
    import_make(s, "x.npy", (struct npy){.ndim = 2, .shape = {10, 7}}, true);
    assert_int_equal(import_open(scratch_at(s, "x.npy"), NULL, &im, NULL), 0);
    assert_int_equal(import_run(&im, &a, 1 << 20, NULL), -EINVAL);
    assert_int_equal(import_run(&im, &b, 1 << 20, NULL), -EINVAL);
}

int main(void)
{
#define IMPORT_TEST(fn) cmocka_unit_test_setup_teardown(fn, import_setup, import_teardown)
    const struct CMUnitTest tests[] = {
        IMPORT_TEST(import_puts_each_element_in_its_place),
        IMPORT_TEST(import_of_a_raw_file_takes_shape_and_order_as_told),
        IMPORT_TEST(import_reads_what_cannot_seek),
        IMPORT_TEST(import_of_a_stream_needs_memory_for_a_row),
        IMPORT_TEST(import_tells_why_not),
        IMPORT_TEST(import_ignores_what_follows_npy),
        IMPORT_TEST(import_of_nothing_makes_a_matrix_without_blocks),
        IMPORT_TEST(import_run_refuses_another_matrix),
    };
    rng_init(&rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
