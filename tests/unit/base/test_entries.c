#include "tests/unit/unit.h"

#include "base/entries.h"
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES_FILES = 100 };

struct entries_seen {
    int count, stop_at;
};

static int entries_see(void *arg, const struct dirent *e)
{
    struct entries_seen *seen = arg;
    assert_int_equal(strncmp(e->d_name, "file", 4), 0); /* neither "." nor ".." */
    return ++seen->count == seen->stop_at ? 7 : 0;
}

static void entries_are_listed_each_time_until_told_to_stop(void **state)
{
    (void)state;
    char path[] = "/tmp/test-entries-XXXXXX";
    char name[16];
    assert_non_null(mkdtemp(path));
    CLEANUP(closep) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < ENTRIES_FILES; i++) {
        (void)snprintf(name, sizeof(name), "file%d", i);
        CLEANUP(closep) int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
    }
    for (int turn = 0; turn < 2; turn++) {
        struct entries_seen all = {0};
        assert_int_equal(entries_each(dir, entries_see, &all), 0);
        assert_int_equal(all.count, ENTRIES_FILES);
    }
    struct entries_seen some = {.stop_at = 3};
    assert_int_equal(entries_each(dir, entries_see, &some), 7);
    assert_int_equal(some.count, 3);
    for (int i = 0; i < ENTRIES_FILES; i++) {
        (void)snprintf(name, sizeof(name), "file%d", i);
        assert_int_equal(unlinkat(dir, name, 0), 0);
    }
    assert_int_equal(rmdir(path), 0);
}

static void entries_of_what_is_no_directory_are_an_error(void **state)
{
    (void)state;
    struct entries_seen none = {0};
    CLEANUP(closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(entries_each(fd, entries_see, &none), -ENOTDIR);
    assert_int_equal(entries_each(-1, entries_see, &none), -EBADF);
    assert_int_equal(none.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_listed_each_time_until_told_to_stop),
        cmocka_unit_test(entries_of_what_is_no_directory_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
