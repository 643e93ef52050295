#include "tests/unit/unit.h"

#include "ops/matdir.h"
#include "tests/kit/matrices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MATDIR_HEADER(more) \
    "{\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"<f8\"" more "}"

static int matdir_setup(void **state)
{
    struct scratch *s = calloc(1, sizeof(*s));
    scratch_init(s);
    *state = s;
    return 0;
}

static int matdir_teardown(void **state)
{
    struct scratch *s = *state;
    scratch_fini(s);
    free(s);
    return 0;
}

/* Opens what is at `name` and expects it to fail so. */
static void matdir_refuses(const struct scratch *s, const char *name, int code, const char *says)
{
    struct err err = {0};
    struct matdir m = MATDIR_NONE;
    assert_int_equal(matdir_open(scratch_at(s, name), &m, &err), code);
    assert_non_null(strstr(err.msg, says));
    assert_non_null(strstr(err.msg, name)); /* the path is named */
    assert_int_equal(m.fd, -1);
}

static void matdir_create_writes_a_header_that_open_reads(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = ">c16", .ndim = 3, .shape = {5, 4, 3}, .shard = {2, 4, 2}};
    CLEANUP(matdir_close) struct matdir a = matrices_empty(s, &spec);
    CLEANUP(matdir_close) struct matdir b = MATDIR_NONE;
    assert_int_equal(matdir_open(scratch_at(s, "A"), &b, NULL), 0);
    assert_true(header_equal(&a.header, &b.header));
    assert_int_equal(b.header.dtype.order, '>');
    assert_false(b.inferred);
    assert_false(b.has_fill);
    assert_true(matdir_same(&a.id, &b.id));
}

static void matdir_create_refuses_a_second_one(void **state)
{
    const struct scratch *s = *state;
    const struct matrices_spec spec = {
        .name = "A", .dtype = "f8", .shape = {4, 4}, .shard = {2, 2}};
    CLEANUP(matdir_close) struct matdir a = matrices_empty(s, &spec);
    struct matdir b = MATDIR_NONE;
    struct err err = {0};
    assert_int_equal(matdir_create(scratch_at(s, "A"), &a.header, &b, &err), -EEXIST);
    assert_non_null(strstr(err.msg, "/A: it is there already"));
}

static void matdir_create_takes_an_empty_directory_and_no_other(void **state)
{
    const struct scratch *s = *state;
    struct header h = {.grid = {.ndim = 1, .shape = {4}, .shard = {2}}, .dtype = {'f', 8, '<'}};
    struct err err = {0};
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    assert_int_equal(mkdir(scratch_at(s, "empty"), 0777), 0);
    scratch_write(s, "stale/.bm-0123456789abcdef", "left by a killed program");
    scratch_write(s, "full/notes.txt", "x");
    scratch_write(s, "file", "x");
    assert_int_equal(matdir_create(scratch_at(s, "empty"), &h, &m, &err), 0);
    matdir_close(&m);
    assert_int_equal(matdir_create(scratch_at(s, "stale"), &h, &m, &err), 0);
    assert_int_equal(matdir_create(scratch_at(s, "full"), &h, &m, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "holds other files ('notes.txt')"));
    assert_int_equal(matdir_create(scratch_at(s, "file"), &h, &m, &err), -EINVAL);
    assert_int_equal(access(scratch_at(s, "full/header.json"), F_OK), -1);
}

static void matdir_create_leaves_nothing_behind_when_it_fails(void **state)
{
    const struct scratch *s = *state;
    struct header bad = {.grid = {.ndim = 1, .shape = {-4}, .shard = {2}}, .dtype = {'f', 8, '<'}};
    struct err err = {0};
    struct matdir m = MATDIR_NONE;
    assert_int_equal(matdir_create(scratch_at(s, "A"), &bad, &m, &err), -EINVAL);
    assert_int_equal(access(scratch_at(s, "A"), F_OK), -1);
    bad.grid.shape[0] = 4;
    assert_int_equal(matdir_create(scratch_at(s, "no/where"), &bad, &m, &err), -EINVAL);
    assert_non_null(strstr(err.msg, "the directory around it does not exist"));
}

static void matdir_open_tells_why_not(void **state)
{
    const struct scratch *s = *state;
    scratch_write(s, "file", "x");
    scratch_write(s, "dir/block_0_0", "x");
    scratch_write(s, "bucket/header", "{}");
    scratch_write(s, "broken/header.json", "{\"shape\": [1");
    scratch_write(s, "strange/header.json", MATDIR_HEADER(", \"order\": \"F\""));
    scratch_write(s, "fill/header.json", MATDIR_HEADER(", \"fill_value\": \"none\""));
    scratch_write(s, "directory/header.json/x", "");
    matdir_refuses(s, "nothing", -ENOENT, "no such matrix");
    matdir_refuses(s, "file", -EINVAL, "a matrix is a directory");
    matdir_refuses(s, "dir", -EINVAL, "it has no header.json");
    matdir_refuses(s, "broken", -EBADMSG, "header.json: ");
    matdir_refuses(s, "strange", -EBADMSG, "'order' can only be");
    matdir_refuses(s, "fill", -EBADMSG, "header.json: fill_value: ");
    matdir_refuses(s, "directory", -EBADMSG, "header.json");
    struct err err = {0};
    struct matdir m = MATDIR_NONE;
    assert_int_equal(matdir_open(scratch_at(s, "bucket"), &m, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "mount them with bmfs"));
}

static void matdir_open_refuses_a_header_without_end(void **state)
{
    const struct scratch *s = *state;
    size_t len = (size_t)HEADER_BYTES_MAX + 1;
    char *text = malloc(len + 1);
    assert_non_null(text);
    memset(text, ' ', len);
    text[len] = '\0';
    scratch_write(s, "long/header.json", text);
    free(text);
    matdir_refuses(s, "long", -EBADMSG, "header.json: ");
    assert_int_equal(mkdir(scratch_at(s, "zeros"), 0777), 0);
    assert_int_equal(symlink("/dev/zero", scratch_at(s, "zeros/header.json")), 0);
    matdir_refuses(s, "zeros", -EBADMSG, "longer than");
}

static void matdir_open_reads_what_the_header_says_of_missing_blocks(void **state)
{
    const struct scratch *s = *state;
    CLEANUP(matdir_close) struct matdir m = MATDIR_NONE;
    double fill = 0;
    scratch_write(s, "A/header.json", MATDIR_HEADER(", \"fill_value\": 2.5, \"inferred\": true"));
    assert_int_equal(matdir_open(scratch_at(s, "A"), &m, NULL), 0);
    memcpy(&fill, m.fill, sizeof(fill));
    assert_true(m.has_fill && fill == 2.5 && m.inferred);
    assert_int_equal(matdir_set_fill(&m, (struct number){-1, 0}, NULL), 0);
    memcpy(&fill, m.fill, sizeof(fill));
    assert_true(fill == -1);
    assert_int_equal(matdir_set_fill(&m, (struct number){0, 1}, NULL), -EINVAL);
    matdir_close(&m);
    scratch_write(s, "B/header.json", MATDIR_HEADER(", \"fill_value\": null"));
    assert_int_equal(matdir_open(scratch_at(s, "B"), &m, NULL), 0);
    assert_false(m.has_fill);
}

static void matdir_identity_sees_through_links_and_names(void **state)
{
    const struct scratch *s = *state;
    CLEANUP(matdir_id_fini) struct matdir_id a = {0};
    CLEANUP(matdir_id_fini) struct matdir_id b = {0};
    CLEANUP(matdir_id_fini) struct matdir_id c = {0};
    scratch_write(s, "A/header.json", MATDIR_HEADER());
    scratch_write(s, "B/header.json", MATDIR_HEADER());
    assert_int_equal(symlink("A", scratch_at(s, "link")), 0);
    assert_int_equal(matdir_identify(scratch_at(s, "A"), &a, NULL), 0);
    assert_int_equal(matdir_identify(scratch_at(s, "B/../link/."), &b, NULL), 0);
    assert_int_equal(matdir_identify(scratch_at(s, "B"), &c, NULL), 0);
    assert_true(matdir_same(&a, &b));
    assert_false(matdir_same(&a, &c));
}

/* Two mounts of a store have other devices, but the same names. */
static void matdir_identity_goes_by_the_uri_where_both_have_one(void **state)
{
    (void)state;
    char one[] = "s3://lab/A/";
    char two[] = "s3://lab/B/";
    const struct matdir_id a = {.uri = one, .dev = 1, .ino = 5};
    const struct matdir_id again = {.uri = one, .dev = 2, .ino = 6};
    const struct matdir_id b = {.uri = two, .dev = 1, .ino = 5};
    const struct matdir_id plain = {.dev = 1, .ino = 5};
    assert_true(matdir_same(&a, &again));
    assert_false(matdir_same(&a, &b));
    assert_true(matdir_same(&a, &plain));
}

int main(void)
{
#define MATDIR_TEST(fn) cmocka_unit_test_setup_teardown(fn, matdir_setup, matdir_teardown)
    const struct CMUnitTest tests[] = {
        MATDIR_TEST(matdir_create_writes_a_header_that_open_reads),
        MATDIR_TEST(matdir_create_refuses_a_second_one),
        MATDIR_TEST(matdir_create_takes_an_empty_directory_and_no_other),
        MATDIR_TEST(matdir_create_leaves_nothing_behind_when_it_fails),
        MATDIR_TEST(matdir_open_tells_why_not),
        MATDIR_TEST(matdir_open_refuses_a_header_without_end),
        MATDIR_TEST(matdir_open_reads_what_the_header_says_of_missing_blocks),
        MATDIR_TEST(matdir_identity_sees_through_links_and_names),
        MATDIR_TEST(matdir_identity_goes_by_the_uri_where_both_have_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
