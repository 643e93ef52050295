#include "tests/unit/unit.h"

#include "fs/early.h"

#include "base/crc32c.h"
#include "fs/commit.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define EARLY_KEY "A/block_1_2"
#define BLOCK_KEY "A/4_8_4_6_7_3_"
#define NOTE_KEY  ".bmfs/early/00112233445566778899aabbccddeeff"

/* A directory made here, and a block being written to it that has no header yet. */
static struct writer *early_start(struct lab *lab, int64_t i, int64_t j)
{
    int code = 0;
    struct folder *d = lab_folder(lab, "A/");
    {
        LOCK_SCOPE(&lab->fs->mu);
        folder_set_local_locked(d, true);
    }
    struct writer *w = lab_create(lab, "A/", "block_1_2", &code);
    assert_non_null(w);
    assert_true(early_is(&w->place));
    CLEANUP(buf_fini) struct buf block = lab_block(i, j);
    assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
    return w;
}

static bool early_is_stored(struct lab *lab)
{
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    struct store_stat stat = {0};
    uint32_t crc = crc32c(0, block.data, block.len);
    return early_is_there(lab->fs, BLOCK_KEY, block.len, crc, &stat);
}

static void early_block_is_a_file_until_the_header_comes(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    assert_true(lab_exists(&lab, EARLY_KEY));
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(lab_folder(&lab, "A/"), -1, &lab.err), 0);
    assert_int_equal(early_settle(lab_folder(&lab, "A/"), &lab.err), 0);
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_true(early_is_stored(&lab));
    assert_int_equal(early_settle(lab_folder(&lab, "A/"), &lab.err), 0); /* nothing to do */
}

static void early_block_that_meets_a_header_is_put_in_its_place(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    (void)lab_put_header(&lab, "A/"); /* another mount */
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_true(early_is_stored(&lab));
    /* Its writer goes on with the block. */
    CLEANUP(buf_fini) struct buf other = lab_block(0, 2);
    assert_int_equal(lab_write(w, other.data + 128, other.len - 128, 128), 0);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    assert_false(early_is_stored(&lab));
    assert_false(lab_exists(&lab, EARLY_KEY));
    lab_close(w);
    assert_int_equal(lab_lost(&lab), 0);
}

static void early_file_that_meets_a_header_it_does_not_fit_is_refused(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 0, 0); /* another shape */
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EINVAL);
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_false(lab_exists(&lab, BLOCK_KEY));
    lab_close(w);
}

struct early_thread {
    struct writer *w;
    struct err err;
    int code;
};

static void *early_commit(void *arg)
{
    struct early_thread *t = arg;
    t->code = commit(t->w, COMMIT_FLUSH, &t->err);
    return NULL;
}

/* The writer has stored its file and is about to look for a header; the one who stores the header
 * finds the file, and moves it. */
static void early_block_moved_by_the_other_side_is_no_conflict(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct early_thread t = {.w = early_start(&lab, 1, 2)};
    pthread_t thread;
    remote_shut(lab.store, REMOTE_HEAD);
    assert_int_equal(pthread_create(&thread, NULL, early_commit, &t), 0);
    assert_true(remote_wait(lab.store, 1));
    struct folder *d = lab_folder(&lab, "A/");
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    assert_int_equal(early_settle(d, &lab.err), 0);
    remote_open(lab.store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(t.code, 0);
    assert_true(early_is_stored(&lab));
    assert_false(lab_exists(&lab, EARLY_KEY));
    lab_close(t.w);
    assert_int_equal(lab_lost(&lab), 0);
}

static void early_block_that_cannot_look_for_a_header_is_stored_again_later(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(fault_parse(lab.fault, "head:1:broken", NULL), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EIO);
    assert_int_equal(fault_hits(lab.fault), 1);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    assert_true(lab_exists(&lab, EARLY_KEY));
    assert_int_equal(lab_lost(&lab), 0);
}

static void early_settle_goes_on_where_it_failed(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(d, -1, &lab.err), 0);
    static const char *const fault[] = {"list:1:broken", "get:1:broken", "put:1:broken",
                                        "del:1:broken"};
    for (size_t i = 0; i < ARRAY_SIZE(fault); i++) {
        fault_clear(lab.fault);
        lab_restart(&lab); /* else the cache has the bytes */
        d = lab_folder(&lab, "A/");
        assert_int_equal(folder_load(d, -1, &lab.err), 0);
        assert_int_equal(fault_parse(lab.fault, fault[i], NULL), 0);
        assert_int_equal(early_settle(d, &lab.err), -EIO);
        assert_true(lab_exists(&lab, EARLY_KEY));
    }
    assert_int_equal(early_settle(d, &lab.err), 0); /* the block is there already */
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_true(early_is_stored(&lab));
}

static void early_resume_does_what_a_note_says_and_no_more(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const char *const hostile[] = {"A",   "/A/",  "../A/",    "A/../B/",
                                          "A//", "./A/", ".bmfs/A/", "A/./B/"};
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    (void)lab_put_header(&lab, "A/");
    struct store_body body = {.head = block.data, .head_len = block.len, .fd = -1};
    struct store_put put = {0};
    assert_int_equal(store_put(lab.store, EARLY_KEY, &body, &put, NULL, &lab.err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
        (void)lab_put_text(&lab, NOTE_KEY, hostile[i]);
        early_resume(lab.fs);
        assert_true(lab_exists(&lab, EARLY_KEY));
    }
    (void)lab_put_text(&lab, NOTE_KEY, "none/"); /* its header may still come */
    early_resume(lab.fs);
    assert_true(lab_exists(&lab, NOTE_KEY));
    (void)lab_put_text(&lab, NOTE_KEY, "A/");
    early_resume(lab.fs);
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_false(lab_exists(&lab, NOTE_KEY));
    assert_string_equal(lab_text(&lab, BLOCK_KEY), buf_text(&block));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_block_is_a_file_until_the_header_comes),
        cmocka_unit_test(early_block_that_meets_a_header_is_put_in_its_place),
        cmocka_unit_test(early_file_that_meets_a_header_it_does_not_fit_is_refused),
        cmocka_unit_test(early_block_moved_by_the_other_side_is_no_conflict),
        cmocka_unit_test(early_block_that_cannot_look_for_a_header_is_stored_again_later),
        cmocka_unit_test(early_settle_goes_on_where_it_failed),
        cmocka_unit_test(early_resume_does_what_a_note_says_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
