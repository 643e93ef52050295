#include "tests/unit/unit.h"

#include "ops/job.h"
#include "ops/kernel.h"
#include "tests/kit/matrices.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct matdir job_matrix(const struct scratch *s)
{
    struct matrices_spec spec = {.name = "A", .dtype = "f8", .shape = {6, 6}, .shard = {2, 2}};
    return matrices_random(s, &spec, 1);
}

static struct header job_header(double reg, const struct stamps *input)
{
    struct header h = {.grid = {.ndim = 2, .shape = {6, 6}, .shard = {2, 2}},
                       .dtype = {.kind = 'f', .size = 8, .order = '<'}};
    struct job job = {.operation = "chol", .parameters = cJSON_CreateObject(), .input = {input}};
    (void)cJSON_AddNumberToObject(job.parameters, "reg", reg);
    assert_int_equal(job_describe(&job, &h, NULL), 0);
    cJSON_Delete(job.parameters);
    return h;
}

/* Sets a block's time, as a new one of the same size has it. */
static void job_touch(const struct matdir *m, const char *block)
{
    const struct timespec times[2] = {{.tv_sec = 7}, {.tv_sec = 7}};
    assert_int_equal(utimensat(m->fd, block, times, 0), 0);
}

static void job_of_the_same_run_is_taken_up(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = job_matrix(&s);
    CLEANUP(stamps_fini) struct stamps stamps = {0};
    assert_int_equal(stamps_take(&a, STAMPS_LOWER, &stamps, NULL), 0);
    struct header h = job_header(1, &stamps);
    struct header same = job_header(1, &stamps);
    CLEANUP(matdir_close) struct matdir l = MATDIR_NONE;
    assert_int_equal(matdir_create(scratch_at(&s, "L"), &h, &l, NULL), 0);
    assert_int_equal(job_check("L", &l.header, &same, NULL), 0);
    assert_string_equal(job_core(&l.header), kernel_core());
    header_fini(&h);
    header_fini(&same);
}

static void job_says_what_differs(void **state)
{
    CLEANUP(scratch_fini) struct scratch s;
    struct err err = {0};
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = job_matrix(&s);
    CLEANUP(stamps_fini) struct stamps stamps = {0};
    CLEANUP(stamps_fini) struct stamps later = {0};
    assert_int_equal(stamps_take(&a, STAMPS_LOWER, &stamps, NULL), 0);
    job_touch(&a, "block_2_0");
    assert_int_equal(stamps_take(&a, STAMPS_LOWER, &later, NULL), 0);
    struct header h = job_header(1, &stamps);
    struct header other = job_header(2, &stamps);
    struct header changed = job_header(1, &later);
    struct header bare = {.grid = h.grid, .dtype = h.dtype};
    struct header larger = bare;
    larger.grid.shape[0]++;
    assert_int_equal(job_check("L", &h, &other, &err), -EINVAL);
    assert_string_equal(err.msg, "L: it was begun with --reg 1, not 2");
    assert_int_equal(job_check("L", &h, &changed, &err), -EINVAL);
    assert_string_equal(err.msg,
                        "L: its input A changed since it was begun: blocks of it are new or gone");
    assert_int_equal(job_check("L", &bare, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "does not say what made it"));
    assert_int_equal(job_check("L", &larger, &h, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "another shape"));
    assert_null(job_core(&bare));
    header_fini(&h);
    header_fini(&other);
    header_fini(&changed);
}

/* Other bits than a result's could not be told from its. */
static void job_tells_neighbouring_numbers_apart(void **state)
{
    struct err err = {0};
    (void)state;
    struct header h = job_header(1, NULL);
    struct header next = job_header(nextafter(1, 2), NULL);
    assert_int_equal(job_check("L", &h, &next, &err), -EINVAL);
    assert_string_equal(err.msg, "L: it was begun with --reg 1, not 1.0000000000000002");
    header_fini(&h);
    header_fini(&next);
}

/* Which is added to while the run goes on, by whichever run. */
static void job_does_not_depend_on_the_record(void **state)
{
    (void)state;
    struct header h = job_header(1, NULL);
    struct header other = job_header(1, NULL);
    struct cJSON *made_by = cJSON_Duplicate(header_extra(&h, "made_by"), true);
    (void)cJSON_AddStringToObject(made_by, "crc32c", "00000000");
    assert_int_equal(header_set_extra(&h, "made_by", &made_by), 0);
    assert_int_equal(job_check("L", &h, &other, NULL), 0);
    assert_int_equal(job_check("L", &other, &h, NULL), 0);
    header_fini(&h);
    header_fini(&other);
}

static void stamps_notice_a_block_that_changes(void **state)
{
    static const int64_t at[] = {1, 0};
    static const int64_t above[] = {0, 1};
    CLEANUP(scratch_fini) struct scratch s;
    struct err err = {0};
    (void)state;
    scratch_init(&s);
    CLEANUP(matdir_close) struct matdir a = job_matrix(&s);
    CLEANUP(stamps_fini) struct stamps stamps = {0};
    assert_int_equal(unlinkat(a.fd, "block_2_2", 0), 0);
    assert_int_equal(stamps_take(&a, STAMPS_LOWER, &stamps, NULL), 0);
    assert_true(stamps_has(&stamps, at));
    assert_false(stamps_has(&stamps, above));
    assert_false(stamps_has(&stamps, (const int64_t[]){2, 2}));
    CLEANUP(closep) int fd = openat(a.fd, "block_1_0", O_RDONLY | O_CLOEXEC);
    assert_int_equal(stamps_check(&stamps, at, fd, NULL), 0);
    job_touch(&a, "block_1_0");
    assert_int_equal(stamps_check(&stamps, at, fd, &err), -ESTALE);
    assert_non_null(strstr(err.msg, "/A/block_1_0: the block changed"));
    assert_int_equal(stamps_check(&stamps, at, -1, NULL), -ESTALE); /* it went */
    assert_int_equal(stamps_check(&stamps, (const int64_t[]){2, 2}, -1, NULL), 0);
    assert_int_equal(stamps_check(&stamps, (const int64_t[]){2, 2}, fd, NULL), -ESTALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_of_the_same_run_is_taken_up),
        cmocka_unit_test(job_says_what_differs),
        cmocka_unit_test(job_tells_neighbouring_numbers_apart),
        cmocka_unit_test(job_does_not_depend_on_the_record),
        cmocka_unit_test(stamps_notice_a_block_that_changes),
    };
    kernel_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
