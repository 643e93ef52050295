#include "tests/unit/unit.h"

#include "base/util.h"

#include <errno.h>
#include <string.h>

static void util_random_hex_is_digits_and_never_the_same(void **state)
{
    (void)state;
    char a[34];
    char b[34];
    char too_long[2 * 64 + 3];
    memset(a, 'x', sizeof(a));
    assert_int_equal(random_hex(a, 33), 0);
    assert_int_equal(random_hex(b, 33), 0);
    assert_int_equal(strspn(a, "0123456789abcdef"), 32);
    assert_int_equal(a[32], '\0');
    assert_int_equal(a[33], 'x'); /* no further than it was told */
    assert_string_not_equal(a, b);
    assert_int_equal(random_hex(too_long, sizeof(too_long)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(util_random_hex_is_digits_and_never_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
