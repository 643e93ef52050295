#include "tests/unit/unit.h"

#include "base/crc32c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 3720, appendix B.4. */
static void crc32c_matches_the_published_vectors(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void crc32c_may_be_fed_in_pieces_and_from_a_file(void **state)
{
    (void)state;
    const size_t len = (3 << 20) + 17;
    CLEANUP(freep) uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i * 2654435761U >> 24);
    uint32_t whole = crc32c(0, bytes, len);
    uint32_t pieces = crc32c(crc32c(0, bytes, 1000), bytes + 1000, len - 1000);
    assert_int_equal(whole, pieces);
    FILE *f = tmpfile();
    assert_non_null(f);
    assert_int_equal(pwrite_full(fileno(f), bytes, len, 5), 0);
    uint32_t file = 0;
    assert_int_equal(crc32c_fd(fileno(f), 5, len, 0, &file), 0);
    assert_int_equal(file, whole);
    assert_true(crc32c_fd(fileno(f), 5, len + 1, 0, &file) < 0);
    (void)fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_the_published_vectors),
        cmocka_unit_test(crc32c_may_be_fed_in_pieces_and_from_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
