#include "tests/unit/unit.h"

#include "fs/node.h"

#include "fs/writer.h"
#include "tests/unit/fs/lab.h"

#include <string.h>
#include <sys/stat.h>

/* The linker puts this before the real one: time has gone on by so much. */
static int64_t node_skip_ms;

int64_t __real_clock_ms(void);
int64_t __wrap_clock_ms(void);
int64_t __wrap_clock_ms(void)
{
    return __real_clock_ms() + node_skip_ms;
}

static const struct store_stat node_one = {.size = 100, .mtime_ns = 5000000007, .etag = "one"};
static const struct store_stat node_two = {.size = 200, .etag = "two"};

static void node_is_one_for_each_version_and_view(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    struct folder *e = lab_folder(&lab, "B/");
    LOCK_SCOPE(&lab.fs->mu);
    struct node *n = node_object_locked(d, "x", NAME_OBJECT, &node_one, 100);
    struct node *raw = node_object_locked(d, "x", NAME_RAW, &node_one, 36);
    struct node *other = node_object_locked(d, "x", NAME_OBJECT, &node_two, 200);
    struct node *elsewhere = node_object_locked(e, "x", NAME_OBJECT, &node_one, 100);
    assert_ptr_equal(node_object_locked(d, "x", NAME_OBJECT, &node_one, 100), n);
    assert_ptr_not_equal(n, raw);
    assert_ptr_not_equal(n, other);
    assert_ptr_not_equal(n, elsewhere);
    assert_int_equal(n->ino, other->ino); /* of one name */
    assert_int_not_equal(n->ino, raw->ino);
    assert_int_not_equal(n->ino, elsewhere->ino);
    assert_int_equal(raw->size, 36);
    assert_int_equal(raw->object_size, 100);
    struct store_stat stat = node_object_stat(raw);
    assert_string_equal(stat.etag, "one");
    assert_int_equal(stat.size, 100);
    assert_ptr_equal(node_version_locked(d, "x", NAME_OBJECT, "two"), other);
    assert_null(node_version_locked(d, "x", NAME_OBJECT, "three"));
    assert_null(node_version_locked(d, "y", NAME_OBJECT, NULL));
}

static void node_is_current_for_a_second(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    LOCK_SCOPE(&lab.fs->mu);
    struct node *one = node_object_locked(d, "x", NAME_OBJECT, &node_one, 100);
    struct node *two = node_object_locked(d, "x", NAME_OBJECT, &node_two, 200);
    assert_null(node_recent_locked(d, "x", NAME_OBJECT, FS_FRESH_MS)); /* nobody has asked */
    node_checked_locked(one, 7);
    node_skip_ms = 10;
    node_checked_locked(two, 7);
    assert_ptr_equal(node_recent_locked(d, "x", NAME_OBJECT, FS_FRESH_MS), two);
    assert_ptr_equal(node_version_locked(d, "x", NAME_OBJECT, NULL), two);
    assert_true(folder_is_fresh_locked(d));
    node_skip_ms = FS_FRESH_MS + 100;
    assert_null(node_recent_locked(d, "x", NAME_OBJECT, FS_FRESH_MS));
    assert_false(node_use_token_locked(two, 7)); /* too old */
    node_skip_ms = 0;
    node_checked_locked(two, 7);
    node_unsettle_locked(d, "x");
    assert_null(node_recent_locked(d, "x", NAME_OBJECT, FS_FRESH_MS));
    assert_false(node_use_token_locked(two, 7));
    node_checked_locked(two, 0);
    assert_false(node_use_token_locked(two, 0)); /* nobody's */
}

static void node_goes_when_nobody_counts_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    struct node *n = NULL;
    {
        LOCK_SCOPE(&lab.fs->mu);
        n = node_object_locked(d, "x", NAME_OBJECT, &node_one, 100);
        n->lookups = 3;
        n->refs = 1;
    }
    node_forget(lab.fs, node_id(n), 2);
    node_forget(lab.fs, node_id(n), 5); /* more than there are */
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_ptr_equal(node_version_locked(d, "x", NAME_OBJECT, "one"), n); /* a handle has it */
    }
    node_unref(n);
    LOCK_SCOPE(&lab.fs->mu);
    assert_null(node_version_locked(d, "x", NAME_OBJECT, "one"));
}

static void node_of_a_writer_holds_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = lab_create(&lab, "d/", "file", &code);
    struct node *n = NULL;
    {
        LOCK_SCOPE(&lab.fs->mu);
        n = node_writer_locked(w);
        assert_ptr_equal(node_writer_locked(w), n);
        n->lookups = 1;
        assert_int_equal(w->refs, 2);
    }
    assert_int_equal(lab_write(w, "text", 4, 0), 0);
    {
        struct stat st;
        LOCK_SCOPE(&lab.fs->mu);
        node_stat_locked(n, &st);
        assert_int_equal(st.st_size, 4);
        assert_int_equal(st.st_ino, w->ino);
    }
    node_forget(lab.fs, node_id(n), 1);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(w->refs, 1);
        assert_null(w->node);
    }
    lab_close(w);
}

static void node_stat_says_what_is_known(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct stat st;
    struct folder *d = lab_folder(&lab, "A/");
    LOCK_SCOPE(&lab.fs->mu);
    struct node *n = node_object_locked(d, "x", NAME_OBJECT, &node_one, 100);
    node_stat_locked(n, &st);
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    assert_int_equal(st.st_size, 100);
    assert_int_equal(st.st_blocks, 1);
    assert_int_equal(st.st_mtim.tv_sec, 5);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
    assert_int_equal(st.st_nlink, 1);
    node_stat_locked(node_dir_locked(d), &st);
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    assert_int_equal(st.st_ino, d->ino);
    struct folder *own = folder_get_locked(lab.fs, ".bmfs/");
    node_stat_locked(node_virtual_locked(own, 1, "README"), &st);
    assert_int_equal(st.st_mode, S_IFREG | 0444);
    assert_true(st.st_size > 0);
    folder_unref_locked(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_is_one_for_each_version_and_view),
        cmocka_unit_test(node_is_current_for_a_second),
        cmocka_unit_test(node_goes_when_nobody_counts_it),
        cmocka_unit_test(node_of_a_writer_holds_it),
        cmocka_unit_test(node_stat_says_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
