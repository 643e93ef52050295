#include "tests/unit/unit.h"

#include "base/buf.h"

#include <errno.h>
#include <string.h>

static void buf_grows_up_to_its_maximum_and_not_beyond(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = BUF_INIT(100);
    for (int i = 0; i < 10; i++)
        assert_int_equal(buf_puts(&b, "0123456789"), 0);
    assert_int_equal(buf_puts(&b, "x"), -EMSGSIZE);
    assert_int_equal(b.len, 100);
    assert_int_equal(strlen(buf_text(&b)), 100);
}

static void buf_refuses_a_length_that_would_overflow(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = BUF_INIT(100);
    assert_int_equal(buf_puts(&b, "x"), 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(buf_reserve(&b, 100), -EMSGSIZE);
    assert_int_equal(buf_reserve(&b, 99), 0);
}

static void buf_prints_and_is_always_a_string(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf b = BUF_INIT(10);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_reserve(&b, 5), 0);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "ab"), 0);
    assert_string_equal(buf_text(&b), "42-ab");
    assert_int_equal(buf_printf(&b, "%s", "too long"), -EMSGSIZE);
    assert_string_equal(buf_text(&b), "42-ab");
    buf_clear(&b);
    assert_string_equal(buf_text(&b), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_grows_up_to_its_maximum_and_not_beyond),
        cmocka_unit_test(buf_refuses_a_length_that_would_overflow),
        cmocka_unit_test(buf_prints_and_is_always_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
