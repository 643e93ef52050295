#include "tests/unit/unit.h"

#include "base/opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct opts_conf {
    bool foreground;
    const char *cache_dir;
    uint64_t cache_size;
    int64_t jobs;
    int64_t time_ms;
    double alpha;
};

static const struct opts_item item[] = {
    {"foreground", 'f', OPTS_FLAG, offsetof(struct opts_conf, foreground), NULL, "stay"},
    {"cache-dir", 0, OPTS_STRING, offsetof(struct opts_conf, cache_dir), "DIR", "keep it there"},
    {"cache-size", 0, OPTS_SIZE, offsetof(struct opts_conf, cache_size), "N", "keep so much"},
    {"jobs", 'j', OPTS_INT, offsetof(struct opts_conf, jobs), "N", "so many"},
    {"time", 0, OPTS_SECONDS, offsetof(struct opts_conf, time_ms), "T", "so long"},
    {"alpha", 0, OPTS_DOUBLE, offsetof(struct opts_conf, alpha), "X", "factor"},
};

static const struct opts_command command = {
    .name = "bm-test",
    .summary = "test the table",
    .synopsis = "[OPTION]... A B\n",
    .text = "First paragraph.\n\nSecond one.",
    .item = item,
    .items = ARRAY_SIZE(item),
    .operands_min = 1,
    .operands_max = 2,
    .examples = "bm-test a b\n",
    .exit_status = "0  done\n",
};

/* Parses a command line written as words split by one space. */
static int opts_try(const char *line, struct opts_conf *conf, char *words, char **argv,
                    struct err *err)
{
    int argc = 1;
    argv[0] = words;
    (void)stpcpy(words, line);
    for (char *p = strchr(words, ' '); p; p = strchr(p, ' ')) {
        *p++ = '\0';
        argv[argc++] = p;
    }
    argv[argc] = NULL;
    int operands = 0;
    int r = opts_parse(&command, argc, argv, conf, &operands, err);
    return r < 0 ? r : operands;
}

static void opts_takes_every_kind_in_any_order(void **state)
{
    (void)state;
    struct opts_conf c = {0};
    char words[256];
    char *argv[32];
    struct err err = {0};
    assert_int_equal(
        opts_try("t one -f --cache-dir /x --cache-size=1.5GiB -j3 two --time 2m --al -1.5", &c,
                 words, argv, &err),
        2);
    assert_true(c.foreground);
    assert_string_equal(c.cache_dir, "/x");
    assert_true(c.cache_size == 3UL << 29);
    assert_int_equal(c.jobs, 3);
    assert_int_equal(c.time_ms, 120000);
    assert_true(c.alpha == -1.5);
    assert_string_equal(argv[1], "one");
    assert_string_equal(argv[2], "two");
}

static void opts_ends_options_at_two_hyphens(void **state)
{
    (void)state;
    struct opts_conf c = {0};
    char words[256];
    char *argv[32];
    assert_int_equal(opts_try("t -- -f --jobs", &c, words, argv, NULL), 2);
    assert_false(c.foreground);
    assert_string_equal(argv[1], "-f");
}

static void opts_says_what_is_wrong_and_what_was_meant(void **state)
{
    (void)state;
    static const struct {
        const char *line, *msg, *hint;
    } bad[] = {
        {"t --cache-dri /x a", "unknown or ambiguous option '--cache-dri'",
         "did you mean --cache-dir?"},
        {"t --cache x a", "unknown or ambiguous option '--cache'", "see bm-test --help"},
        {"t -x a", "unknown option '-x'", "see bm-test --help"},
        {"t a --jobs", "option '--jobs' needs a value", "see bm-test --help"},
        {"t a --jobs 3x", "--jobs: '3x' is not a whole number", ""},
        {"t a --cache-size 3Q", "--cache-size: '3Q' is not a size",
         "write a size as 4096, 512MiB or 1.5GiB"},
        {"t a --time -3", "--time: '-3' is not a time", "write a time as 30, 90s, 500ms or 2h"},
        {"t a --alpha nan", "--alpha: 'nan' is not a number", ""},
        {"t", "missing operands: got 0, usage: bm-test [OPTION]... A B", "see bm-test --help"},
        {"t a b c", "extra operands: got 3, usage: bm-test [OPTION]... A B", "see bm-test --help"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct opts_conf c = {0};
        char words[256];
        char *argv[32];
        struct err err = {0};
        assert_int_equal(opts_try(bad[i].line, &c, words, argv, &err), -EINVAL);
        assert_string_equal(err.msg, bad[i].msg);
        assert_string_equal(err.hint, bad[i].hint);
    }
}

static void opts_mount_words_are_the_long_options(void **state)
{
    (void)state;
    struct opts_conf c = {0};
    char text[] = "foreground,cache_dir=/a\\,b,cache_size=20G,allow_other,jobs";
    char *list = text;
    assert_int_equal(opts_mount_word(&command, opts_mount_next(&list), &c, NULL), 0);
    assert_int_equal(opts_mount_word(&command, opts_mount_next(&list), &c, NULL), 0);
    assert_int_equal(opts_mount_word(&command, opts_mount_next(&list), &c, NULL), 0);
    assert_int_equal(opts_mount_word(&command, opts_mount_next(&list), &c, NULL), -ENOENT);
    struct err err = {0};
    assert_int_equal(opts_mount_word(&command, opts_mount_next(&list), &c, &err), -EINVAL);
    assert_string_equal(err.msg, "-o jobs: needs a value");
    assert_null(opts_mount_next(&list));
    assert_true(c.foreground);
    assert_string_equal(c.cache_dir, "/a,b");
    assert_true(c.cache_size == 20000000000UL);
}

static void opts_sizes_and_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } size[] = {{"0", 0},        {"4096", 4096}, {"4Ki", 4096},
                {"4KiB", 4096},  {"4k", 4000},   {"1TB", 1000000000000},
                {"1.5Ki", 1536}, {"", -1},       {"B4", -1},
                {"-1", -1},      {"1e30", -1},   {"inf", -1},
                {"4KiX", -1},    {" 4", -1}},
      time[] = {{"5", 5000}, {"90s", 90000}, {"500ms", 500}, {"2h", 7200000}, {"1x", -1}, {"", -1}};
    for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
        uint64_t v = 0;
        int r = opts_size(size[i].text, &v, NULL);
        assert_int_equal(r, size[i].value < 0 ? -EINVAL : 0);
        if (r == 0)
            assert_true((int64_t)v == size[i].value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(time); i++) {
        int64_t v = 0;
        int r = opts_seconds(time[i].text, &v, NULL);
        assert_int_equal(r, time[i].value < 0 ? -EINVAL : 0);
        if (r == 0)
            assert_int_equal(v, time[i].value);
    }
}

static void opts_help_and_man_show_every_option(void **state)
{
    (void)state;
    for (int man = 0; man < 2; man++) {
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        (man ? opts_man : opts_help)(&command, out);
        assert_int_equal(fclose(out), 0);
        assert_non_null(strstr(text, man ? "cache\\-dir" : "--cache-dir DIR"));
        assert_non_null(strstr(text, man ? "bm\\-test a b" : "bm-test a b"));
        assert_non_null(strstr(text, "Second one."));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opts_takes_every_kind_in_any_order),
        cmocka_unit_test(opts_ends_options_at_two_hyphens),
        cmocka_unit_test(opts_says_what_is_wrong_and_what_was_meant),
        cmocka_unit_test(opts_mount_words_are_the_long_options),
        cmocka_unit_test(opts_sizes_and_times),
        cmocka_unit_test(opts_help_and_man_show_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
