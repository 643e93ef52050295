#include "tests/unit/unit.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

static void err_reads_from_the_outside_in(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(err_set(&err, -EIO, "HTTP %d", 503), -EIO);
    assert_int_equal(err_prefix(&err, -EIO, "get %s", "a/0"), -EIO);
    assert_int_equal(err_prefix(&err, -EIO, "gave up after %d tries", 3), -EIO);
    assert_string_equal(err.msg, "gave up after 3 tries: get a/0: HTTP 503");
}

static void err_may_be_absent(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, -EIO, "x"), -EIO);
    assert_int_equal(err_prefix(NULL, -EIO, "x"), -EIO);
    assert_int_equal(err_errno(NULL, -EIO, "x"), -EIO);
    err_hint(NULL, "x");
    err_clear(NULL);
}

static void err_keeps_one_line_whatever_the_names_hold(void **state)
{
    (void)state;
    struct err err = {0};
    (void)err_set(&err, -EINVAL, "key %s", "a\nerror fs: forged\r\033[2J");
    assert_null(strpbrk(err.msg, "\n\r\033"));
}

static void err_says_when_it_was_cut(void **state)
{
    (void)state;
    struct err err = {0};
    char name[2 * ERR_MSG_MAX];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)err_set(&err, -EINVAL, "%s", name);
    assert_int_equal(strlen(err.msg), ERR_MSG_MAX - 1);
    assert_string_equal(err.msg + ERR_MSG_MAX - 4, "...");
    (void)err_prefix(&err, -EINVAL, "outside");
    assert_int_equal(strncmp(err.msg, "outside: xxx", 12), 0);
}

static void err_wish_for_a_pause_goes_with_its_message(void **state)
{
    (void)state;
    struct err err = {0};
    (void)err_set(&err, -EAGAIN, "HTTP 503");
    err.retry_after_ms = 1500;
    (void)err_prefix(&err, -EAGAIN, "get a/0");
    assert_int_equal(err.retry_after_ms, 1500);
    (void)err_errno(&err, -EAGAIN, "connect");
    assert_int_equal(err.retry_after_ms, 0);
}

static void err_hint_goes_with_its_message(void **state)
{
    (void)state;
    struct err err = {0};
    (void)err_errno(&err, -ENOENT, "open %s", "x");
    assert_string_equal(err.msg, "open x: No such file or directory");
    err_clear(&err);
    (void)err_prefix(&err, -ENOENT, "open %s", "y"); /* nothing was said */
    assert_string_equal(err.msg, "open y: No such file or directory");
    err_hint(&err, "make it");
    assert_string_equal(err.hint, "make it");
    (void)err_prefix(&err, -ENOENT, "read");
    assert_string_equal(err.hint, "make it");
    (void)err_set(&err, -EIO, "other");
    assert_string_equal(err.hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_reads_from_the_outside_in),
        cmocka_unit_test(err_may_be_absent),
        cmocka_unit_test(err_keeps_one_line_whatever_the_names_hold),
        cmocka_unit_test(err_says_when_it_was_cut),
        cmocka_unit_test(err_wish_for_a_pause_goes_with_its_message),
        cmocka_unit_test(err_hint_goes_with_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
