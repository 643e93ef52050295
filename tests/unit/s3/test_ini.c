#include "tests/unit/unit.h"

#include "s3/ini.h"

#include <errno.h>
#include <string.h>

static void ini_parse_text(const char *text, struct ini *ret)
{
    assert_int_equal(ini_parse(text, strlen(text), ret), 0);
}

static void ini_reads_settings_as_aws_tools_do(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf# a comment\n"
                               "lost = before any section\n"
                               "[default]\r\n"
                               "region = eu-west-1 # after a blank\r\n"
                               "Output=json\n"
                               "; another\n"
                               "aws_secret_access_key = a#b;c/+=\n"
                               "colon: value:with = more\n"
                               "novalue\n"
                               "empty =\n"
                               "[ profile lab ] ; comment\n"
                               "region=one\n"
                               "region = two\n"
                               "s3 =\n"
                               "  addressing_style = path\n"
                               "\n"
                               "\tmax = 3\n"
                               "after = x\n"
                               "[empty]\n"
                               "[broken\n"
                               "region = still in empty\n"
                               "[]\n"
                               "nowhere = x\n";
    static const struct {
        const char *section, *parent, *name, *value;
    } want[] = {
        {"default", "", "region", "eu-west-1"},
        {"default", "", "output", "json"},
        {"default", "", "aws_secret_access_key", "a#b;c/+="},
        {"default", "", "colon", "value:with = more"},
        {"default", "", "novalue", NULL},
        {"default", "", "empty", ""},
        {"profile lab", "", "region", "two"},
        {"profile lab", "", "s3", ""},
        {"profile lab", "s3", "addressing_style", "path"},
        {"profile lab", "s3", "max", "3"},
        {"profile lab", "", "max", NULL},
        {"profile lab", "", "after", "x"},
        {"empty", "", "region", "still in empty"},
        {"", "", "nowhere", NULL},
        {"", "", "lost", NULL},
    };
    CLEANUP(ini_fini) struct ini ini = {0};
    ini_parse_text(text, &ini);
    for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
        const char *got = ini_get(&ini, want[i].section, want[i].parent, want[i].name);
        if (want[i].value)
            assert_string_equal(got ? got : "(none)", want[i].value);
        else
            assert_null(got);
    }
    assert_true(ini_has_section(&ini, "empty"));
    assert_false(ini_has_section(&ini, "lab"));
}

static void ini_takes_a_file_that_is_indented_throughout(void **state)
{
    (void)state;
    CLEANUP(ini_fini) struct ini ini = {0};
    ini_parse_text("  [lab]\n  a = 1\n  b =\n    c = 2\n  d = 3", &ini);
    assert_string_equal(ini_get(&ini, "lab", "", "a"), "1");
    assert_string_equal(ini_get(&ini, "lab", "b", "c"), "2");
    assert_string_equal(ini_get(&ini, "lab", "", "d"), "3");
}

static void ini_refuses_what_is_no_text(void **state)
{
    (void)state;
    struct ini ini = {0};
    assert_int_equal(ini_parse("a\0b", 3, &ini), -EINVAL);
    static char large[INI_FILE_MAX + 1];
    memset(large, 'x', sizeof(large));
    assert_int_equal(ini_parse(large, sizeof(large), &ini), -EINVAL);
    assert_int_equal(ini_parse(NULL, 0, &ini), 0);
    assert_null(ini_get(&ini, "default", "", "region"));
    ini_fini(&ini);
}

static void ini_load_takes_no_file_for_an_empty_one(void **state)
{
    (void)state;
    struct ini ini;
    struct err err = {0};
    assert_int_equal(ini_load("/dev/null", &ini, &err), 0);
    assert_int_equal(ini_load("/nowhere/at/all", &ini, &err), 0);
    assert_int_equal(ini.items, 0);
    assert_int_equal(ini_load("/", &ini, &err), -EINVAL);
    assert_string_equal(err.msg, "read /: Invalid argument");
    ini_fini(&ini);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ini_reads_settings_as_aws_tools_do),
        cmocka_unit_test(ini_takes_a_file_that_is_indented_throughout),
        cmocka_unit_test(ini_refuses_what_is_no_text),
        cmocka_unit_test(ini_load_takes_no_file_for_an_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
