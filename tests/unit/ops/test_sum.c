#include "tests/unit/unit.h"

#include "ops/grain.h"
#include "ops/kernel.h"
#include "ops/run.h"
#include "ops/sum.h"
#include "ops/sums.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void sum_cuts_small_results_of_a_long_k(void **state)
{
    (void)state;
    struct sum_cut cut = sum_cut_of(1000, 1000, 1000, 1000); /* X'X of 10^6 rows */
    assert_int_equal(cut.inner, 1000);
    assert_int_equal(cut.chunk, 5); /* the blocks that reach 4096 rows */
    assert_int_equal(cut.span, 70); /* the chunks that reach 65,536 */
    assert_int_equal(sum_spans(&cut), 15);
    assert_int_equal(sum_tiles(&cut), 3);
    cut = sum_cut_of(1000, 1000, 65, 1000); /* no more than a span */
    assert_int_equal(cut.chunk, 5);
    assert_int_equal(sum_spans(&cut), 0);
    assert_int_equal(sum_tiles(&cut), 2);
}

/* Rows, columns, blocks along k and their length, and the span that follows. */
static void sum_stores_what_is_worth_a_file(void **state)
{
    static const int64_t shape[][5] = {
        {3000, 3000, 1000, 1024, 64},         /* 65,536 along k */
        {3500, 2800, 1000, 1024, 64},         /* 32 times its own size are 49,778: that is less */
        {5, 5, 10000, 1024, 412},             /* 4,194,304 elements of the operands */
        {1, 1, INT64_C(1) << 30, 1, 1 << 24}, /* one in 64 of all */
        {100, 1000, 800, 5000, 14},           /* chunks of one block */
        {100, 1000, 60, 70000, 1},            /* spans of one block */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
        struct sum_cut cut = sum_cut_of(shape[i][0], shape[i][1], shape[i][2], shape[i][3]);
        assert_int_equal(cut.span, shape[i][4]);
        assert_int_equal(cut.span % cut.chunk, 0);
        assert_in_range(sum_spans(&cut), 2, SUM_SPANS_MAX);
        assert_int_equal(sum_tiles(&cut), cut.chunk < cut.span ? 3 : 2);
    }
}

static void sum_leaves_others_whole(void **state)
{
    static const int64_t shape[][4] = {
        {4096, 4096, 100, 512},   /* 64 grains: enough for every thread */
        {32768, 1, 100, 512},     /* in one direction */
        {1, 32768, 100, 512},     /* or the other */
        {10, 10, 1, 100000},      /* one block */
        {10, 10, 2, 2048},        /* no more than a chunk */
        {10, 10, 0, 5},           /* nothing to add */
        {INT64_C(1) << 40, 1, 3}, /* blocks of nothing */
        {1, INT64_MAX / 2, 9999, 1000},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(shape); i++) {
        struct sum_cut cut = sum_cut_of(shape[i][0], shape[i][1], shape[i][2], shape[i][3]);
        assert_int_equal(cut.chunk, cut.inner);
        assert_int_equal(sum_spans(&cut), 0);
        assert_int_equal(sum_tiles(&cut), 1);
    }
}

/* A result of one element: the sum of the 1 x 1 blocks of A, a line of which is long. */
struct sum_case {
    struct scratch s;
    struct matdir a, c;
    struct sum_cut cut;
    struct run_algorithm algorithm;
    int *walks; /* counts them; as the second one begins the sums go. Or NULL */
};

static void sum_remove(const struct sum_case *p)
{
    CLEANUP(freep) char *place = sums_place(p->c.path);
    assert_non_null(place);
    assert_int_equal(sums_remove(place, NULL), 0);
}

static void sum_walk(const void *x, struct result *out, struct engine *e)
{
    static const struct step_args add = {.alpha = 1};
    static const int64_t index[] = {0, 0};
    const struct sum_case *p = x;
    const struct source a = {.m = &p->a};
    if (result_had(out, 0, 0))
        return;
    struct sum s = {.c = engine_blank(e, out, 0, 0)};
    engine_task(e);
    if (p->walks && ++*p->walks == 2) /* the first one is the plan's */
        sum_remove(p);
    for (int64_t k = 0; k < p->cut.inner; k++) {
        struct slot *to = sum_target(&s, &p->cut, k, e, out, index);
        struct slot *term = sum_had(&p->cut, out, k, 0, 0) ? NULL : engine_load(e, &a, 0, k, 0);
        engine_step(e, &grain_add, &add, to, term, NULL);
        engine_drop(e, term);
        sum_added(&s, &p->cut, k, e, out, index);
    }
    assert_null(s.part);
    assert_null(s.span);
    engine_publish(e, out, 0, 0, s.c);
    engine_drop(e, s.c);
}

enum { SUM_TERMS = 11 };

/* Terms of which every order of additions makes another sum. */
static double sum_term(int k)
{
    return 1.0 / (k + 3);
}

static void sum_begin(struct sum_case *p, int64_t chunk, int64_t span)
{
    struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {1, SUM_TERMS}, .shard = {1, 1}};
    double complex term[SUM_TERMS];
    p->walks = NULL;
    scratch_init(&p->s);
    p->a = matrices_empty(&p->s, &spec);
    for (int k = 0; k < SUM_TERMS; k++)
        term[k] = sum_term(k);
    matrices_store(&p->a, term, false);
    spec = (struct matrices_spec){.name = "C", .dtype = "f8", .shape = {1, 1}, .shard = {1, 1}};
    p->c = matrices_empty(&p->s, &spec);
    p->cut = (struct sum_cut){.inner = SUM_TERMS, .chunk = chunk, .span = span};
    p->algorithm = (struct run_algorithm){.walk = sum_walk, .x = p, .spans = sum_spans(&p->cut)};
}

static void sum_end(struct sum_case *p)
{
    matdir_close(&p->a);
    matdir_close(&p->c);
    scratch_fini(&p->s);
}

/* Makes the result, whatever the plan was. */
static double sum_made(struct sum_case *p, struct engine_count *ret)
{
    const struct run_conf conf = {.memory = 8 * sizeof(double), .threads = 2};
    assert_int_equal(run_do(&p->algorithm, &p->c, &conf, ret, NULL), 0);
    CLEANUP(freep) double complex *c = matrices_load(&p->c);
    return creal(c[0]);
}

/* Makes the result. What was read and written in *ret, and as the plan said. */
static double sum_make(struct sum_case *p, int tiles, struct engine_count *ret)
{
    struct engine_count plan;
    const struct run_conf conf = {.memory = (uint64_t)tiles * sizeof(double), .threads = 3};
    assert_int_equal(run_plan(&p->algorithm, &p->c, false, &plan, NULL), 0);
    assert_int_equal(run_do(&p->algorithm, &p->c, &conf, ret, NULL), 0);
    assert_true(ret->memory_peak <= conf.memory);
    assert_int_equal(ret->reads, plan.reads);
    assert_int_equal(ret->writes, plan.writes);
    CLEANUP(freep) double complex *c = matrices_load(&p->c);
    return creal(c[0]);
}

/* Begins chunks of 2 in spans of 4, of which a first run in another folder says the sum. */
static double sum_begin_again(struct sum_case *p)
{
    struct engine_count n;
    sum_begin(p, 2, 4);
    double sum = sum_make(p, 4, &n);
    sum_end(p);
    sum_begin(p, 2, 4);
    return sum;
}

static double sum_run(int64_t chunk, int64_t span, int tiles)
{
    struct sum_case p;
    struct engine_count n;
    sum_begin(&p, chunk, span);
    double sum = sum_make(&p, tiles, &n);
    assert_int_equal(n.reads, SUM_TERMS);
    assert_int_equal(n.writes, 1 + sum_spans(&p.cut));
    CLEANUP(freep) char *left = matdir_beside(p.c.path, ".sums");
    assert_int_equal(access(left, F_OK), -1);
    sum_end(&p);
    return sum;
}

/* From one term to another: the first chunk's sum, plus the second's, and so on. */
static double sum_of_chunks(int first, int end, int chunk)
{
    double total = 0;
    for (int at = first; at < end; at += chunk) {
        double part = 0;
        for (int k = at; k < end && k < at + chunk; k++)
            part += sum_term(k);
        total = at == first ? part : total + part;
    }
    return total;
}

static void sum_adds_chunks_in_ascending_order_with_any_memory(void **state)
{
    (void)state;
    for (int chunk = 1; chunk <= SUM_TERMS; chunk++) {
        double want = sum_of_chunks(0, SUM_TERMS, chunk);
        for (int tiles = chunk < SUM_TERMS ? 3 : 2; tiles < 6; tiles++)
            assert_true(sum_run(chunk, SUM_TERMS, tiles) == want);
    }
    assert_true(sum_of_chunks(0, SUM_TERMS, 3) != sum_of_chunks(0, SUM_TERMS, SUM_TERMS));
}

static void sum_adds_spans_in_ascending_order_with_any_memory(void **state)
{
    static const int cut[][2] = {{1, 2}, {2, 4}, {1, 5}, {5, 5}, {2, 6}, {1, 1}, {3, 9}, {10, 10}};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cut); i++) {
        int chunk = cut[i][0];
        int span = cut[i][1];
        double want = 0;
        for (int at = 0; at < SUM_TERMS; at += span)
            want += sum_of_chunks(at, MIN(SUM_TERMS, at + span), chunk);
        for (int tiles = chunk < span ? 4 : 3; tiles < 8; tiles++)
            assert_true(sum_run(chunk, span, tiles) == want);
    }
}

/* A number that no term makes, as the sum of one span. */
static void sum_store(struct sum_case *p, int64_t span, double value)
{
    struct sums sums;
    int64_t count = sum_spans(&p->cut);
    sums_make(&p->c, count);
    assert_int_equal(sums_load(&p->c, count, false, &sums, NULL), 0);
    matrices_store(&sums.m[span], (const double complex[]){value}, false);
    sums_fini(&sums);
}

static void sum_goes_on_behind_what_is_stored(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    for (int64_t span = 0; span < 3; span++) {
        double want = 0;
        sum_begin(&p, 2, 4);
        sum_store(&p, span, 1000);
        for (int i = 0; i < 3; i++)
            want += i == span ? 1000 : sum_of_chunks(4 * i, MIN(SUM_TERMS, 4 * i + 4), 2);
        assert_true(sum_make(&p, 4, &n) == want);
        assert_int_equal(n.reads, SUM_TERMS - (span < 2 ? 4 : 3) + 1);
        assert_int_equal(n.writes, 3);
        sum_end(&p);
    }
}

static void sum_of_a_result_that_is_there_only_clears_up(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    sum_begin(&p, 2, 4);
    double sum = sum_make(&p, 4, &n);
    sum_store(&p, 1, 1000);
    CLEANUP(freep) char *left = matdir_beside(p.c.path, ".sums");
    assert_int_equal(access(left, F_OK), 0);
    assert_true(sum_make(&p, 4, &n) == sum);
    assert_int_equal(n.reads + n.writes, 0);
    assert_int_equal(access(left, F_OK), -1);
    sum_end(&p);
}

/* C.sums/1 with such a text as what made it. */
static void sum_store_other(struct sum_case *p, const char *made_by)
{
    char text[512];
    struct matdir m;
    struct header h;
    CLEANUP(freep) char *dir = matdir_beside(p->c.path, ".sums");
    CLEANUP(freep) char *path = matdir_beside(dir, "/1");
    (void)snprintf(text, sizeof(text),
                   "{\"shape\": [1, 1], \"shard_sizes\": [1, 1], \"dtype\": \"<f8\", "
                   "\"made_by\": %s}",
                   made_by);
    assert_int_equal(mkdir(dir, 0777), 0);
    assert_int_equal(header_parse(text, strlen(text), &h, NULL), 0);
    assert_int_equal(matdir_create(path, &h, &m, NULL), 0);
    matrices_store(&m, (const double complex[]){1000}, false);
    matdir_close(&m);
    header_fini(&h);
}

static void sum_is_not_taken_from_another_job(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    double sum = sum_begin_again(&p);
    sum_store_other(&p, "{\"operation\": \"x\", \"sum\": [2, 3]}"); /* of other spans */
    assert_true(sum_make(&p, 4, &n) == sum);
    assert_int_equal(n.reads, SUM_TERMS);
    sum_end(&p);
}

static void sum_takes_what_a_killed_run_had_not_finished(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    sum_begin(&p, 2, 4);
    CLEANUP(freep) char *dir = matdir_beside(p.c.path, ".sums");
    CLEANUP(freep) char *one = matdir_beside(dir, "/1");
    CLEANUP(freep) char *scratch = matdir_beside(one, "/.bm-0123456789abcdef");
    assert_int_equal(mkdir(dir, 0777), 0);
    assert_int_equal(mkdir(one, 0777), 0);
    CLEANUP(closep) int fd = open(scratch, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    (void)sum_make(&p, 4, &n);
    assert_int_equal(access(dir, F_OK), -1);
    sum_end(&p);
}

static bool sum_left(const struct sum_case *p, const char *name)
{
    CLEANUP(freep) char *path = matdir_beside(p->c.path, name);
    return access(path, F_OK) == 0;
}

/* Also where it cannot keep its own then. */
static void sum_touches_nobody_elses_matrix(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    double sum = sum_begin_again(&p);
    sum_store_other(&p, "{\"operation\": \"gemm\"}");
    assert_true(sum_made(&p, &n) == sum);
    assert_true(sum_left(&p, ".sums/1/block_0_0"));
    assert_false(sum_left(&p, ".sums/0"));
    sum_remove(&p);
    assert_true(sum_left(&p, ".sums/1/block_0_0"));
    sum_end(&p);
}

/* A directory without a header, as a run leaves it that stored while another one removed; a file;
 * a matrix; and no right to make one. */
static void sum_goes_without_where_there_is_no_place(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        sum_begin(&p, 2, 4);
        CLEANUP(freep) char *dir = matdir_beside(p.c.path, ".sums");
        CLEANUP(freep) char *inner = matdir_beside(dir, i == 2 ? "/header.json" : "/0/block_0_0");
        CLEANUP(freep) char *zero = matdir_beside(dir, "/0");
        if (i == 1)
            assert_int_equal(mknod(dir, S_IFREG | 0666, 0), 0);
        if (i >= 2)
            assert_int_equal(mkdir(dir, 0777), 0);
        if (i == 3)
            assert_int_equal(mkdir(zero, 0777), 0);
        if (i >= 2)
            assert_int_equal(mknod(inner, S_IFREG | 0666, 0), 0);
        if (i == 0)
            sum = sum_make(&p, 4, &n);
        else
            assert_true(sum_made(&p, &n) == sum);
        assert_int_equal(n.writes, i == 0 ? 4 : i == 3 ? 3 : 1); /* the other two have theirs */
        if (i > 0)
            assert_true(sum_left(&p, ".sums"));
        sum_end(&p);
    }
}

static void sum_that_cannot_be_read_is_computed(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    double sum = sum_begin_again(&p);
    sum_store(&p, 1, 1000);
    CLEANUP(freep) char *block = matdir_beside(p.c.path, ".sums/1/block_0_0");
    assert_int_equal(truncate(block, 100), 0);
    assert_true(sum_made(&p, &n) == sum);
    assert_false(sum_left(&p, ".sums"));
    sum_end(&p);
}

static void sum_that_is_removed_in_the_middle_is_no_loss(void **state)
{
    struct sum_case p;
    struct engine_count n;
    (void)state;
    double sum = sum_begin_again(&p);
    sum_store(&p, 1, 1000);
    int walks = 0;
    p.walks = &walks;
    assert_true(sum_made(&p, &n) == sum);
    assert_int_equal(walks, 4);
    assert_false(sum_left(&p, ".sums"));
    sum_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_cuts_small_results_of_a_long_k),
        cmocka_unit_test(sum_stores_what_is_worth_a_file),
        cmocka_unit_test(sum_leaves_others_whole),
        cmocka_unit_test(sum_adds_chunks_in_ascending_order_with_any_memory),
        cmocka_unit_test(sum_adds_spans_in_ascending_order_with_any_memory),
        cmocka_unit_test(sum_goes_on_behind_what_is_stored),
        cmocka_unit_test(sum_of_a_result_that_is_there_only_clears_up),
        cmocka_unit_test(sum_is_not_taken_from_another_job),
        cmocka_unit_test(sum_takes_what_a_killed_run_had_not_finished),
        cmocka_unit_test(sum_touches_nobody_elses_matrix),
        cmocka_unit_test(sum_goes_without_where_there_is_no_place),
        cmocka_unit_test(sum_that_cannot_be_read_is_computed),
        cmocka_unit_test(sum_that_is_removed_in_the_middle_is_no_loss),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
