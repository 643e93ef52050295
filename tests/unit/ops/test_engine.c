#include "tests/unit/unit.h"

#include "ops/engine.h"
#include "ops/grain.h"
#include "ops/kernel.h"
#include "ops/machine.h"
#include "ops/run.h"
#include "tests/kit/matrices.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An algorithm of its own: each block of B is 2 A - A + A, in three steps on one tile. */
struct engine_case {
    struct source a;
    int64_t blocks;
    int hold; /* blocks of A held at a time, for nothing */
};

static void engine_walk(const void *x, struct result *out, struct engine *e)
{
    const struct engine_case *c = x;
    const struct step_args twice = {.alpha = 2};
    const struct step_args minus = {.alpha = -1};
    for (int64_t i = 0; i < c->blocks && engine_goes_on(e); i++) {
        struct slot *held[8] = {NULL};
        engine_task(e);
        for (int h = 0; h < c->hold; h++)
            held[h] = engine_load(e, &c->a, i, 0, 0);
        struct slot *a = engine_load(e, &c->a, i, 0, ENGINE_ROWS);
        struct slot *b = engine_blank(e, out, i, 0);
        engine_step(e, &grain_scale, &minus, b, NULL, NULL);
        engine_step(e, &grain_add, &twice, b, a, NULL);
        engine_step(e, &grain_scale, &twice, b, NULL, NULL);
        engine_publish(e, out, i, 0, b);
        engine_drop(e, a);
        engine_drop(e, b);
        for (int h = 0; h < c->hold; h++)
            engine_drop(e, held[h]);
    }
}

struct engine_place {
    struct scratch s;
    struct matdir a, b;
    struct engine_case c;
    struct run_algorithm algorithm;
    struct run_conf conf;
};

enum { ENGINE_BLOCKS = 9, ENGINE_SIDE = 4 };

static int engine_setup(void **state)
{
    struct engine_place *p = calloc(1, sizeof(*p));
    struct matrices_spec spec = {.name = "A",
                                 .dtype = "f8",
                                 .shape = {ENGINE_BLOCKS * ENGINE_SIDE, ENGINE_SIDE},
                                 .shard = {ENGINE_SIDE, ENGINE_SIDE}};
    scratch_init(&p->s);
    p->a = matrices_random(&p->s, &spec, 1);
    spec.name = "B";
    p->b = matrices_empty(&p->s, &spec);
    p->c = (struct engine_case){.a = {.m = &p->a}, .blocks = ENGINE_BLOCKS};
    p->algorithm = (struct run_algorithm){.walk = engine_walk, .x = &p->c};
    p->conf = (struct run_conf){.memory = 3 * ENGINE_SIDE * ENGINE_SIDE * 8, .threads = 3};
    *state = p;
    return 0;
}

static int engine_teardown(void **state)
{
    struct engine_place *p = *state;
    matdir_close(&p->a);
    matdir_close(&p->b);
    scratch_fini(&p->s);
    free(p);
    return 0;
}

static void engine_keeps_the_order_of_steps_on_a_tile(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, NULL), 0);
    CLEANUP(freep) double complex *a = matrices_load(&p->a);
    CLEANUP(freep) double complex *b = matrices_load(&p->b);
    for (int i = 0; i < ENGINE_BLOCKS * ENGINE_SIDE * ENGINE_SIDE; i++)
        assert_true(b[i] == 2 * a[i]);
    assert_true(n.memory_peak <= p->conf.memory);
}

static void engine_does_what_it_counted(void **state)
{
    struct engine_place *p = *state;
    struct engine_count plan;
    struct engine_count n;
    assert_int_equal(run_plan(&p->algorithm, &p->b, true, &plan, NULL), 0);
    assert_int_equal(plan.tasks, ENGINE_BLOCKS);
    assert_int_equal(plan.reads, ENGINE_BLOCKS);
    assert_int_equal(plan.bytes_read, ENGINE_BLOCKS * ENGINE_SIDE * ENGINE_SIDE * 8);
    assert_int_equal(plan.memory_held, 2 * ENGINE_SIDE * ENGINE_SIDE * 8);
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, NULL), 0);
    assert_int_equal(n.reads, plan.reads);
    assert_int_equal(n.bytes_read, plan.bytes_read);
    assert_int_equal(n.writes, plan.writes);
    assert_int_equal(n.bytes_written, plan.bytes_written);
    assert_int_equal(n.flops, plan.flops);
    assert_int_equal(n.memory_held, plan.memory_held);
}

/* Adds all blocks of A to the first, and holds every one of them until the end. */
static void engine_greedy_walk(const void *x, struct result *out, struct engine *e)
{
    static const struct step_args once = {.alpha = 1};
    const struct engine_case *c = x;
    struct slot *held[ENGINE_BLOCKS] = {0};
    for (int64_t i = 0; i < c->blocks; i++) {
        held[i] = engine_load(e, &c->a, i, 0, ENGINE_ROWS);
        if (i > 0)
            engine_step(e, &grain_add, &once, held[0], held[i], NULL);
    }
    engine_publish(e, out, 0, 0, held[0]);
    for (int64_t i = 0; i < c->blocks; i++)
        engine_drop(e, held[i]);
}

static void engine_ends_when_an_algorithm_holds_too_much(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    struct err err = {0};
    p->c.hold = 4;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), -ENOMEM);
    assert_non_null(strstr(err.msg, "needs more than 384 bytes of tiles"));
    p->conf.memory = 8;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), -ENOMEM);
    /* Also where steps were asked for that need what has no memory. */
    p->algorithm.walk = engine_greedy_walk;
    for (int64_t tiles = 1; tiles < ENGINE_BLOCKS; tiles++) {
        p->conf.memory = (uint64_t)tiles * ENGINE_SIDE * ENGINE_SIDE * 8;
        assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), -ENOMEM);
        assert_non_null(strstr(err.msg, "the algorithm needs more than"));
    }
}

static void engine_ends_at_the_first_failure(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    struct err err = {0};
    assert_int_equal(unlinkat(p->a.fd, "block_4_0", 0), 0);
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "/A/block_4_0: the block is missing"));
    assert_int_not_equal(faccessat(p->b.fd, "block_8_0", F_OK, 0), 0);
}

static void engine_publishes_no_number_that_is_none(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    struct err err = {0};
    CLEANUP(freep) double complex *a = matrices_load(&p->a);
    a[5 * ENGINE_SIDE * ENGINE_SIDE + 6] = 1e308; /* twice that overflows */
    matrices_store(&p->a, a, false);
    p->algorithm.finite = true;
    p->algorithm.ordered = true;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), -EDOM);
    assert_non_null(strstr(err.msg, "/B: element (21, 2) is NaN or infinite (block 5,0)"));
    assert_int_equal(faccessat(p->b.fd, "block_4_0", F_OK, 0), 0);
    assert_int_not_equal(faccessat(p->b.fd, "block_5_0", F_OK, 0), 0);
    assert_int_not_equal(faccessat(p->b.fd, "block_6_0", F_OK, 0), 0);
}

static void engine_writes_a_trace_that_can_be_read(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    struct trace *t = NULL;
    char text[1 << 16] = {0};
    assert_int_equal(trace_open(scratch_at(&p->s, "trace"), &t, NULL), 0);
    p->conf.trace = t;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, NULL), 0);
    assert_int_equal(trace_close(t, NULL), 0);
    CLEANUP(closep) int fd = open(scratch_at(&p->s, "trace"), O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    struct cJSON *root = cJSON_Parse(text);
    assert_true(cJSON_GetArraySize(root) >= 4 * ENGINE_BLOCKS);
    cJSON_Delete(root);
    assert_int_equal(trace_open("/nowhere/trace", &t, NULL), -EINVAL);
    assert_int_equal(trace_close(NULL, NULL), 0);
}

/* Whether this process comes to have a block of A open. */
static bool engine_sees_open(const char *block)
{
    for (int64_t end = clock_ms() + 10000; clock_ms() < end; usleep(1000)) {
        DIR *fds = opendir("/proc/self/fd");
        bool found = false;
        for (struct dirent *d = NULL; !found && (d = readdir(fds));) {
            char path[4096] = {0};
            (void)readlinkat(dirfd(fds), d->d_name, path, sizeof(path) - 1);
            found = strlen(path) > strlen(block) &&
                    strcmp(path + strlen(path) - strlen(block), block) == 0;
        }
        (void)closedir(fds);
        if (found)
            return true;
    }
    return false;
}

static int engine_one(const struct step_args *x, int phase)
{
    (void)x;
    (void)phase;
    return 1;
}

static int64_t engine_none(const struct step_args *x)
{
    (void)x;
    return 0;
}

static int engine_look_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)x;
    (void)phase;
    (void)piece;
    if (engine_sees_open("/A/block_1_0") && engine_sees_open("/A/block_2_0"))
        return 0;
    return err_set(err, -EIO, "nothing was opened ahead");
}

/* While a step has all the memory, B's block 0 is made. */
static void engine_ahead_walk(const void *x, struct result *out, struct engine *e)
{
    static const struct step_kind look = {.name = "look",
                                          .inputs = 1,
                                          .pieces = engine_one,
                                          .run = engine_look_run,
                                          .flops = engine_none};
    static const struct step_args twice = {.alpha = 2};
    const struct engine_case *c = x;
    struct slot *a = engine_load(e, &c->a, 0, 0, ENGINE_ROWS);
    struct slot *b = engine_blank(e, out, 0, 0);
    engine_step(e, &look, &twice, b, a, NULL);
    engine_drop(e, a);
    for (int64_t i = 1; i < c->blocks; i++) {
        a = engine_load(e, &c->a, i, 0, ENGINE_ROWS);
        engine_step(e, &grain_add, &twice, b, a, NULL);
        engine_drop(e, a);
    }
    engine_publish(e, out, 0, 0, b);
    engine_drop(e, b);
}

static void engine_has_blocks_read_while_memory_is_full(void **state)
{
    struct engine_place *p = *state;
    struct engine_count n;
    struct err err = {0};
    p->algorithm.walk = engine_ahead_walk;
    p->conf.memory = 2 * ENGINE_SIDE * ENGINE_SIDE * 8;
    assert_int_equal(run_do(&p->algorithm, &p->b, &p->conf, &n, &err), 0);
    assert_int_equal(n.reads, ENGINE_BLOCKS);
    assert_int_equal(n.memory_peak, p->conf.memory);
}

static void machine_has_a_processor_and_memory(void **state)
{
    (void)state;
    int all = machine_cpus();
    assert_true(all >= 1 && all <= sysconf(_SC_NPROCESSORS_CONF));
    assert_int_equal(setenv("SLURM_CPUS_PER_TASK", "1", 1), 0);
    assert_int_equal(machine_cpus(), 1);
    assert_int_equal(setenv("SLURM_CPUS_PER_TASK", "nonsense", 1), 0);
    assert_int_equal(machine_cpus(), all);
    assert_int_equal(unsetenv("SLURM_CPUS_PER_TASK"), 0);
    assert_true(machine_memory() > 1 << 20);
}

int main(void)
{
#define ENGINE_TEST(fn) cmocka_unit_test_setup_teardown(fn, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(engine_keeps_the_order_of_steps_on_a_tile),
        ENGINE_TEST(engine_does_what_it_counted),
        ENGINE_TEST(engine_ends_when_an_algorithm_holds_too_much),
        ENGINE_TEST(engine_ends_at_the_first_failure),
        ENGINE_TEST(engine_publishes_no_number_that_is_none),
        ENGINE_TEST(engine_writes_a_trace_that_can_be_read),
        ENGINE_TEST(engine_has_blocks_read_while_memory_is_full),
        cmocka_unit_test(machine_has_a_processor_and_memory),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
