#include "tests/unit/unit.h"

#include "fs/folder.h"

#include "base/crc32c.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void folder_drop_listing(struct listing **l)
{
    listing_unref(*l);
}

#define FOLDER_LISTING(l) CLEANUP(folder_drop_listing) struct listing *l = NULL

static enum folder_kind folder_kind_of(struct folder *d)
{
    LOCK_SCOPE(&d->fs->mu);
    return d->kind;
}

static bool folder_has_header(struct folder *d)
{
    LOCK_SCOPE(&d->fs->mu);
    return folder_header_locked(d);
}

static void folder_of_one_path_is_one_folder(void **state)
{
    (void)state;
    LAB(lab, 0);
    LOCK_SCOPE(&lab.fs->mu);
    struct folder *root = folder_get_locked(lab.fs, "");
    struct folder *a = folder_get_child_locked(root, "a");
    struct folder *b = folder_get_child_locked(a, "b");
    assert_string_equal(b->path, "a/b/");
    assert_ptr_equal(folder_get_locked(lab.fs, "a/b/"), b);
    assert_ptr_equal(folder_find_child_locked(a, "b"), b);
    assert_null(folder_find_child_locked(a, "c"));
    assert_int_not_equal(a->ino, b->ino);
    folder_unref_locked(b);
    folder_unref_locked(b);
    assert_null(folder_find_child_locked(a, "b"));
    folder_unref_locked(a);
    folder_unref_locked(root);
    folder_unref_locked(NULL);
    folder_unref(NULL);
}

static void folder_load_tells_what_a_directory_is(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "matrix/");
    (void)lab_put_block(&lab, "headless/", 0, 0);
    (void)lab_put_text(&lab, "plain/notes", "x");
    (void)lab_put_text(&lab, "bad/header", "nonsense");
    (void)lab_put_text(&lab, ".bmfs/jobs/1", "x");
    static const struct {
        const char *path;
        int code;
        enum folder_kind kind;
    } row[] = {
        {"matrix/", 0, FOLDER_MATRIX},
        {"headless/", 0, FOLDER_HEADLESS},
        {"plain/", 0, FOLDER_PLAIN},
        {"bad/", 0, FOLDER_MATRIX},
        {".bmfs/jobs/", 0, FOLDER_PLAIN},
        {"nothing/", -ENOENT, FOLDER_UNKNOWN},
        {"", 0, FOLDER_PLAIN},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        struct folder *d = lab_folder(&lab, row[i].path);
        assert_int_equal(folder_load(d, 0, &lab.err), row[i].code);
        assert_int_equal(folder_kind_of(d), row[i].kind);
        assert_int_equal(folder_has_header(d), strcmp(row[i].path, "matrix/") == 0);
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(folder_is_fresh_locked(d), row[i].code == 0);
    }
}

static void folder_load_asks_once_a_second(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    struct folder *d = lab_folder(&lab, "A/");
    remote_clear(lab.store);
    assert_int_equal(folder_load(d, FS_FRESH_MS, &lab.err), 0);
    assert_int_equal(folder_load(d, FS_FRESH_MS, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 1);
    assert_int_equal(remote_count(lab.store).lists, 0);
    uint64_t bytes = remote_count(lab.store).bytes;
    struct head *head = NULL;
    {
        LOCK_SCOPE(&lab.fs->mu);
        head = d->head;
    }
    assert_int_equal(folder_load(d, -1, &lab.err), 0); /* whatever its age: but not its bytes */
    assert_int_equal(remote_count(lab.store).gets, 2);
    assert_int_equal(remote_count(lab.store).bytes, bytes);
    LOCK_SCOPE(&lab.fs->mu);
    assert_ptr_equal(d->head, head);
}

static void folder_load_asks_no_more_of_what_never_changes(void **state)
{
    (void)state;
    LAB(lab, .immutable = true);
    (void)lab_put_header(&lab, "A/");
    struct folder *d = lab_folder(&lab, "A/");
    remote_clear(lab.store);
    assert_int_equal(folder_load(d, 0, &lab.err), 0);
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 1);
}

static void folder_load_follows_what_others_do(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    (void)lab_put_block(&lab, "A/", 0, 0);
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(folder_kind_of(d), FOLDER_HEADLESS);
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(folder_kind_of(d), FOLDER_MATRIX);
    assert_int_equal(store_del(lab.fault, "A/header", NULL, NULL), 0);
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(folder_kind_of(d), FOLDER_HEADLESS);
    assert_int_equal(store_del(lab.fault, "A/0_4_4_0_3_3_", NULL, NULL), 0);
    assert_int_equal(folder_load(d, -1, &lab.err), -ENOENT);
    assert_int_equal(folder_kind_of(d), FOLDER_UNKNOWN);
}

static void folder_load_reports_what_the_store_says(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/x", "x");
    struct folder *d = lab_folder(&lab, "d/");
    assert_int_equal(fault_parse(lab.fault, "get:1:broken,list:1:broken", NULL), 0);
    assert_int_equal(folder_load(d, 0, &lab.err), -EIO);
    assert_non_null(strstr(lab.err.msg, "directory d/"));
    assert_int_equal(folder_load(d, 0, &lab.err), -EIO);
    assert_int_equal(folder_load(d, 0, &lab.err), 0);
}

static void folder_load_head_infers_what_is_not_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            (void)lab_put_block(&lab, "A/", i, j);
    }
    (void)lab_put_text(&lab, "plain/x", "x");
    struct head *head = NULL;
    struct folder *d = lab_folder(&lab, "A/");
    assert_int_equal(folder_load_head(d, 0, &head, &lab.err), 0);
    assert_non_null(head);
    assert_false(head->stored);
    assert_int_equal(head->header.grid.shape[0], 10);
    assert_int_equal(head->header.grid.shape[1], 7);
    assert_int_equal(head->header.grid.shard[0], 4);
    assert_int_equal(head->header.dtype.size, 8);
    /* The same again is the same head. */
    struct head *again = NULL;
    FOLDER_LISTING(l);
    assert_int_equal(folder_scan(d, &l, &lab.err), 0);
    assert_int_equal(folder_load_head(d, 0, &again, &lab.err), 0);
    assert_ptr_equal(again, head);
    head_unref(again);
    head_unref(head);
    head = NULL;
    assert_int_equal(folder_load_head(lab_folder(&lab, "plain/"), 0, &head, &lab.err), 0);
    assert_null(head);
    assert_int_equal(folder_load_head(lab_folder(&lab, "no/"), 0, &head, &lab.err), -ENOENT);
}

static void folder_scan_tells_what_a_directory_is(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "matrix/");
    (void)lab_put_block(&lab, "matrix/", 0, 0);
    (void)lab_put_block(&lab, "headless/", 0, 0);
    (void)lab_put_text(&lab, "plain/notes", "x");
    (void)lab_put_text(&lab, "plain/header/x", "a directory of that name is no header");
    (void)lab_put_text(&lab, "unclear/0_4_4_0_3_3_", "no npy");
    (void)lab_put_text(&lab, ".bmfs/0_4_4_0_3_3_", "never a matrix");
    static const struct {
        const char *path;
        int code;
        enum folder_kind kind;
        bool header;
        size_t count;
    } row[] = {
        {"matrix/", 0, FOLDER_MATRIX, true, 2}, {"headless/", 0, FOLDER_HEADLESS, true, 1},
        {"plain/", 0, FOLDER_PLAIN, false, 2},  {"unclear/", 0, FOLDER_HEADLESS, false, 1},
        {".bmfs/", 0, FOLDER_PLAIN, false, 1},  {"no/", -ENOENT, FOLDER_UNKNOWN, false, 0},
        {"", 0, FOLDER_PLAIN, false, 5},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        struct folder *d = lab_folder(&lab, row[i].path);
        FOLDER_LISTING(l);
        assert_int_equal(folder_scan(d, &l, &lab.err), row[i].code);
        assert_int_equal(folder_kind_of(d), row[i].kind);
        assert_int_equal(folder_has_header(d), row[i].header);
        if (row[i].code == 0)
            assert_int_equal(listing_count(l), row[i].count);
    }
    assert_int_equal(fault_parse(lab.fault, "list:1:broken", NULL), 0);
    FOLDER_LISTING(l);
    assert_int_equal(folder_scan(lab_folder(&lab, "plain/"), &l, &lab.err), -EIO);
    assert_null(l);
}

static void folder_made_here_exists_whatever_the_store_says(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "d/");
    assert_int_equal(folder_load(d, 0, NULL), -ENOENT);
    {
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
        folder_set_local_locked(d, true);
    }
    assert_int_equal(folder_load(d, 0, NULL), 0);
    assert_int_equal(folder_kind_of(d), FOLDER_PLAIN);
    FOLDER_LISTING(l);
    assert_int_equal(folder_scan(d, &l, NULL), 0);
    assert_int_equal(listing_count(l), 0);
    assert_int_equal(folder_has_keys(d, NULL), 0);
    {
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, false);
        struct folder *root = folder_get_locked(lab.fs, "");
        folder_set_local_locked(root, true); /* that is no news */
        assert_false(root->local);
    }
    assert_int_equal(folder_load(d, -1, NULL), -ENOENT);
    (void)lab_put_text(&lab, "d/e/f", "");
    assert_int_equal(folder_has_keys(d, NULL), 1);
    assert_int_equal(fault_parse(lab.fault, "list:1:broken", NULL), 0);
    assert_int_equal(folder_has_keys(d, NULL), -EIO);
}

static void folder_collect(void *arg, const char *name, struct folder *child)
{
    assert_true(child->local);
    (void)buf_printf(arg, "%s ", name);
}

static void folder_names_those_made_in_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const char *const made[] = {"b/", "a/", "a/x/", "a/y/", "ab/", "a/x/deep/"};
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        struct folder *d = lab_folder(&lab, made[i]);
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
    }
    LOCK_SCOPE(&lab.fs->mu);
    CLEANUP(buf_fini) struct buf text = BUF_INIT(64);
    folder_each_local_locked(folder_get_locked(lab.fs, ""), folder_collect, &text);
    assert_string_equal(buf_text(&text), "ab a b ");
    buf_clear(&text);
    folder_each_local_locked(folder_get_locked(lab.fs, "a/"), folder_collect, &text);
    assert_string_equal(buf_text(&text), "y x ");
}

static void folder_vouches_for_what_was_listed(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/x", "1");
    (void)lab_put_text(&lab, "d/y", "1");
    struct folder *d = lab_folder(&lab, "d/");
    struct listing_entry e;
    FOLDER_LISTING(l);
    assert_int_equal(folder_scan(d, &l, &lab.err), 0);
    assert_true(folder_hold(l) > 0.5);
    LOCK_SCOPE(&lab.fs->mu);
    assert_true(folder_listed_locked(d, "x", &e));
    assert_false(folder_listed_locked(d, "z", &e));
    folder_changed_locked(d, "x");
    assert_false(folder_listed_locked(d, "x", &e));
    assert_true(folder_listed_locked(d, "y", &e));
}

static void *folder_scan_thread(void *arg)
{
    FOLDER_LISTING(l);
    return folder_scan(arg, &l, NULL) == 0 ? arg : NULL;
}

static void *folder_load_thread(void *arg)
{
    return folder_load(arg, -1, NULL) == 0 ? arg : NULL;
}

/* Runs fn(d) while the store has carried out what `look` on another thread asked of it (`ops`) but
 * has not told it yet. */
static void folder_between(struct lab *lab, struct folder *d, void *(*look)(void *arg), int ops,
                           void (*fn)(struct folder *d))
{
    pthread_t thread;
    void *done = NULL;
    remote_shut_after(lab->store, ops);
    assert_int_equal(pthread_create(&thread, NULL, look, d), 0);
    assert_true(remote_wait(lab->store, 1));
    fn(d);
    remote_open(lab->store);
    assert_int_equal(pthread_join(thread, &done), 0);
    assert_ptr_equal(done, d);
}

static void folder_change_x(struct folder *d)
{
    LOCK_SCOPE(&d->fs->mu);
    folder_changed_locked(d, "x");
}

static void folder_change_during_a_listing_counts(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/x", "1");
    (void)lab_put_text(&lab, "d/y", "1");
    struct folder *d = lab_folder(&lab, "d/");
    struct listing_entry e;
    folder_between(&lab, d, folder_scan_thread, REMOTE_LIST, folder_change_x);
    LOCK_SCOPE(&lab.fs->mu);
    assert_false(folder_listed_locked(d, "x", &e));
    assert_true(folder_listed_locked(d, "y", &e));
}

static void folder_list_is_followed_as_it_grows(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_text(&lab, "d/x", "1");
    struct folder *d = lab_folder(&lab, "d/");
    struct listing_entry e;
    LAB_ANSWER(a);
    FOLDER_LISTING(l);
    FOLDER_LISTING(other);
    remote_shut(lab.store, REMOTE_LIST);
    assert_int_equal(folder_list(d, &l), 0);
    assert_int_equal(listing_at(l, 0, &e), -EAGAIN);
    remote_open(lab.store);
    pool_stop(lab.fs->names);
    assert_int_equal(listing_at(l, 0, &e), 1);
    assert_string_equal(e.name, "x");
    assert_int_equal(folder_list(d, &other), -ESHUTDOWN);
}

static void folder_list_that_fails_says_so(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "d/");
    struct listing_entry e;
    FOLDER_LISTING(l);
    assert_int_equal(fault_parse(lab.fault, "list:1:broken", NULL), 0);
    assert_int_equal(folder_list(d, &l), 0);
    pool_stop(lab.fs->names);
    assert_int_equal(listing_at(l, 0, &e), -EIO);
    LOCK_SCOPE(&lab.fs->mu);
    assert_null(d->listing);
}

static const char folder_text[] = "{\"shape\": [9], \"shard_sizes\": [3], \"dtype\": \"<f8\"}";

static void folder_knows_the_header_that_was_stored_here(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    struct store_stat stat = {.etag = "e"};
    struct head *head = NULL;
    assert_int_equal(head_new(&stat, folder_text, strlen(folder_text), &head), 0);
    remote_clear(lab.store);
    folder_set_head(d, head);
    assert_int_equal(folder_kind_of(d), FOLDER_MATRIX);
    assert_int_equal(folder_load(d, FS_FRESH_MS, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
    folder_set_head(d, NULL);
    assert_int_equal(folder_kind_of(d), FOLDER_UNKNOWN);
    assert_false(folder_has_header(d));
    head_unref(head);
}

static void folder_fetches_no_more_of_a_header_than_a_header_has(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put(&lab, "A/header", 1, (size_t)8 << 20);
    struct folder *d = lab_folder(&lab, "A/");
    remote_clear(lab.store);
    assert_int_equal(folder_load(d, 0, &lab.err), 0);
    assert_int_equal(folder_kind_of(d), FOLDER_MATRIX);
    assert_false(folder_has_header(d));
    assert_in_range(remote_count(lab.store).bytes, 1, HEADER_BYTES_MAX);
}

/* Stores a header of a vector with what is said to be its sum. */
static void folder_put_header(struct lab *lab, const char *key, uint32_t crc)
{
    struct store_body body = {.head = folder_text, .head_len = strlen(folder_text), .fd = -1};
    struct store_put put = {.has_crc32c = true, .crc32c = crc};
    assert_int_equal(store_put(lab->fault, key, &body, &put, NULL, NULL), 0);
}

static void folder_shows_a_header_that_is_damaged(void **state)
{
    (void)state;
    LAB(lab, 0);
    folder_put_header(&lab, "A/header", 0);
    struct folder *d = lab_folder(&lab, "A/");
    remote_clear(lab.store);
    assert_int_equal(folder_load(d, 0, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 2);
    assert_int_equal(folder_kind_of(d), FOLDER_MATRIX);
    assert_false(folder_has_header(d));
    assert_string_equal(buf_text(&d->head->text), folder_text);
    assert_non_null(strstr(d->head->why, "its writer stored 00000000"));
}

static void folder_fetches_a_header_again_that_was_damaged_on_its_way(void **state)
{
    (void)state;
    LAB(lab, 0);
    folder_put_header(&lab, "A/header", crc32c(0, folder_text, strlen(folder_text)));
    struct folder *d = lab_folder(&lab, "A/");
    remote_clear(lab.store);
    remote_damage(lab.store, &(struct remote_damage){.flip = true, .at = 11, .once = 1});
    assert_int_equal(folder_load(d, 0, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 2);
    assert_true(folder_has_header(d));
    assert_int_equal(d->head->header.grid.shape[0], 9);
}

static void folder_says_why_a_damaged_header_cannot_be_fetched_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    folder_put_header(&lab, "A/header", 0);
    assert_int_equal(fault_parse(lab.fault, "get:2:broken", NULL), 0);
    struct folder *d = lab_folder(&lab, "A/");
    assert_int_equal(folder_load(d, 0, &lab.err), -EIO);
    assert_true(lab.err.msg[0]);
}

static void folder_with_impossible_blocks_can_be_listed(void **state)
{
    (void)state;
    LAB(lab, 0);
    /* A block of a matrix with more elements than can be counted. */
    static const char key[] = "A/4611686018427387903_4611686018427387904_1_"
                              "4611686018427387903_4611686018427387904_1_";
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    struct store_body body = {.head = b.data, .head_len = b.len, .fd = -1};
    assert_int_equal(store_put(lab.fault, key, &body, &(struct store_put){0}, NULL, NULL), 0);
    struct folder *d = lab_folder(&lab, "A/");
    FOLDER_LISTING(l);
    assert_int_equal(folder_scan(d, &l, &lab.err), 0);
    assert_int_equal(listing_count(l), 1);
    assert_int_equal(folder_kind_of(d), FOLDER_HEADLESS);
    assert_false(folder_has_header(d));
}

static void folder_store_header(struct folder *d)
{
    static const char text[] = "{\"shape\": [9], \"shard_sizes\": [3], \"dtype\": \"<f8\"}";
    struct store_stat stat = {.etag = "e"};
    struct head *head = NULL;
    assert_int_equal(head_new(&stat, text, strlen(text), &head), 0);
    folder_set_head(d, head);
    head_unref(head);
}

static void folder_remove_header(struct folder *d)
{
    folder_set_head(d, NULL);
}

/* The store's is removed, too. */
static void folder_delete_header(struct folder *d)
{
    assert_int_equal(store_del(d->fs->store, "A/header", NULL, NULL), 0);
    folder_set_head(d, NULL);
}

/* What this mount does itself is newer than what the store answered to a question before it. */
static void folder_keeps_a_header_that_was_stored_during_a_look(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    {
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
    }
    folder_between(&lab, d, folder_scan_thread, REMOTE_LIST, folder_store_header);
    assert_int_equal(folder_kind_of(d), FOLDER_MATRIX);
    assert_true(folder_has_header(d));
    folder_remove_header(d);
    folder_between(&lab, d, folder_load_thread, REMOTE_GET, folder_store_header);
    assert_true(folder_has_header(d));
    folder_remove_header(d);
    folder_between(&lab, d, folder_load_thread, REMOTE_LIST, folder_store_header);
    assert_true(folder_has_header(d));
    (void)lab_put_text(&lab, "A/notes", "x");
    folder_remove_header(d);
    folder_between(&lab, d, folder_load_thread, REMOTE_LIST, folder_store_header);
    assert_true(folder_has_header(d));
}

static void folder_forgets_a_header_that_was_removed_during_a_look(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_block(&lab, "A/", 0, 0);
    struct folder *d = lab_folder(&lab, "A/");
    folder_between(&lab, d, folder_load_thread, REMOTE_GET, folder_delete_header);
    assert_int_equal(folder_kind_of(d), FOLDER_HEADLESS); /* it looked again */
    assert_false(folder_has_header(d));
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    folder_between(&lab, d, folder_load_thread, REMOTE_GET, folder_delete_header);
    assert_false(folder_has_header(d));
}

static void folder_keeps_listings_within_the_memory_given(void **state)
{
    (void)state;
    for (int immutable = 0; immutable < 2; immutable++) {
        LAB(lab, .memory = 1, .immutable = immutable);
        (void)lab_put_text(&lab, "d/x", "1");
        struct folder *d = lab_folder(&lab, "d/");
        FOLDER_LISTING(l);
        assert_int_equal(folder_scan(d, &l, &lab.err), 0);
        LOCK_SCOPE(&lab.fs->mu);
        assert_null(d->listing); /* who asked for it has it, nobody else */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_of_one_path_is_one_folder),
        cmocka_unit_test(folder_load_tells_what_a_directory_is),
        cmocka_unit_test(folder_load_asks_once_a_second),
        cmocka_unit_test(folder_load_asks_no_more_of_what_never_changes),
        cmocka_unit_test(folder_load_follows_what_others_do),
        cmocka_unit_test(folder_load_reports_what_the_store_says),
        cmocka_unit_test(folder_load_head_infers_what_is_not_stored),
        cmocka_unit_test(folder_scan_tells_what_a_directory_is),
        cmocka_unit_test(folder_made_here_exists_whatever_the_store_says),
        cmocka_unit_test(folder_names_those_made_in_it),
        cmocka_unit_test(folder_vouches_for_what_was_listed),
        cmocka_unit_test(folder_change_during_a_listing_counts),
        cmocka_unit_test(folder_list_is_followed_as_it_grows),
        cmocka_unit_test(folder_list_that_fails_says_so),
        cmocka_unit_test(folder_knows_the_header_that_was_stored_here),
        cmocka_unit_test(folder_fetches_no_more_of_a_header_than_a_header_has),
        cmocka_unit_test(folder_shows_a_header_that_is_damaged),
        cmocka_unit_test(folder_fetches_a_header_again_that_was_damaged_on_its_way),
        cmocka_unit_test(folder_says_why_a_damaged_header_cannot_be_fetched_again),
        cmocka_unit_test(folder_with_impossible_blocks_can_be_listed),
        cmocka_unit_test(folder_keeps_a_header_that_was_stored_during_a_look),
        cmocka_unit_test(folder_forgets_a_header_that_was_removed_during_a_look),
        cmocka_unit_test(folder_keeps_listings_within_the_memory_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
