#include "tests/unit/unit.h"

#include "fs/early.h"

#include "base/crc32c.h"
#include "fs/commit.h"
#include "fs/recover.h"
#include "fs/salvage.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EARLY_KEY "A/block_1_2"
#define BLOCK_KEY "A/4_8_4_6_7_3_"
#define HEADER    "{\"shape\": [10, 7], \"shard_sizes\": [4, 3], \"dtype\": \"<f8\"}"

static int early_notes(struct lab *lab)
{
    struct listing *l = NULL;
    assert_int_equal(listing_new(&l), 0);
    assert_int_equal(listing_run(l, lab->fault, ".bmfs/early/", NULL), 0);
    int n = (int)listing_count(l);
    listing_unref(l);
    return n;
}

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
    return early_is_there(lab->fs, BLOCK_KEY, block.len, crc32c(0, block.data, block.len), &stat);
}

static struct writer *early_header(struct lab *lab)
{
    int code = 0;
    struct writer *w = lab_create(lab, "A/", "header.json", &code);
    assert_non_null(w);
    assert_int_equal(lab_write(w, HEADER, strlen(HEADER), 0), 0);
    return w;
}

/* --immutable: the mount never looks again, so the block stays under its early name. */
static void early_block_finds_early_header_in_a_mount_that_takes_nothing_to_change(void **state)
{
    (void)state;
    LAB(lab, .immutable = true);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(folder_load(lab_folder(&lab, "A/"), 1000, &lab.err), 0);
    (void)lab_put_header(&lab, "A/"); /* another mount, done with its settling */
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    assert_true(early_is_stored(&lab));
    assert_false(lab_exists(&lab, EARLY_KEY));
}

/* The put of the header fails, but took effect: the note must stay. */
static void early_note_stays_while_early_header_may_be_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    struct writer *h = early_header(&lab);
    assert_int_equal(fault_parse(lab.fault, "put:2:lost", NULL), 0); /* 1: the note */
    assert_true(commit(h, COMMIT_FLUSH, &lab.err) < 0);
    assert_int_equal(fault_hits(lab.fault), 1);
    assert_true(lab_exists(&lab, "A/header"));
    assert_int_equal(early_notes(&lab), 1);
    lab_close(h);
    lab_restart(&lab);
    early_resume(lab.fs);
    assert_true(early_is_stored(&lab));
}

static void *early_commit(void *arg)
{
    struct err err = {0};
    (void)commit(arg, COMMIT_FLUSH, &err);
    return NULL;
}

/* A block that comes between the check and the header has no note. */
static void early_block_between_the_check_and_early_header_is_noted(void **state)
{
    (void)state;
    LAB(lab, 0);
    {
        struct folder *d = lab_folder(&lab, "A/");
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
    }
    struct writer *h = early_header(&lab);
    pthread_t thread;
    remote_shut(lab.store, REMOTE_PUT);
    assert_int_equal(pthread_create(&thread, NULL, early_commit, h), 0);
    assert_true(remote_wait(lab.store, 1));
    /* another mount stores its block, sees no header, and answers close with 0 */
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    struct store_body body = {.head = block.data, .head_len = block.len, .fd = -1};
    struct store_put put = {0};
    assert_int_equal(store_put(lab.fault, EARLY_KEY, &body, &put, NULL, NULL), 0);
    assert_false(lab_exists(&lab, "A/header"));
    assert_int_equal(fault_parse(lab.fault, "list:1+:broken", NULL), 0); /* or kill -9 */
    remote_open(lab.store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    fault_clear(lab.fault);
    assert_true(lab_exists(&lab, "A/header"));
    assert_true(lab_exists(&lab, EARLY_KEY));
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(h, true);
    }
    lab_close(h);
    assert_int_equal(early_notes(&lab), 1);
    lab_restart(&lab);
    early_resume(lab.fs);
    assert_true(early_is_stored(&lab));
}

/* The redirect fails once: the next try must create the block, not replace an early version. */
static void early_block_whose_way_to_its_place_failed_is_stored_there_later(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 0, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    (void)lab_put_header(&lab, "A/");
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
    assert_int_equal(fault_parse(lab.fault, "put:2:broken", NULL), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -EIO);
    int r = commit(w, COMMIT_FLUSH, &lab.err);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w, true);
    }
    lab_close(w);
    assert_int_equal(r, 0);
    assert_true(early_is_stored(&lab));
    lab_restart(&lab);
    early_resume(lab.fs);
    assert_true(early_is_stored(&lab));
    assert_false(lab_exists(&lab, EARLY_KEY));
    assert_int_equal(early_notes(&lab), 0);
}

/* What was refused must not come back later. */
static void early_block_that_was_refused_does_not_come_back(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    struct writer *w = early_start(&lab, 1, 2);
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, BLOCK_KEY, "theirs");
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -ESTALE);
    lab_close(w);
    assert_int_equal(lab_lost(&lab), 1);
    bool stray = lab_exists(&lab, EARLY_KEY);
    assert_int_equal(store_del(lab.fault, BLOCK_KEY, NULL, NULL), 0); /* its user removes theirs */
    (void)early_settle(d, &lab.err); /* and stores the header again */
    assert_false(stray);
    assert_false(early_is_stored(&lab));
}

/* The unmount lets go of a writer that carries bytes and has not begun yet. */
static void early_block_is_carried_while_the_mount_ends(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    lab_restart(&lab);
    struct folder *d = lab_folder(&lab, "A/");
    struct place from = {.kind = PLACE_PLAIN};
    (void)stpcpy(from.obj, "block_1_2");
    struct store_stat stat;
    struct writer *c = NULL;
    assert_int_equal(writer_carry(d, "block_1_2", &from, &c, &stat, &lab.err), 0);
    commit_finish(c, true); /* drain_job */
    struct place to = {.kind = PLACE_PLAIN};
    (void)stpcpy(to.obj, "copy");
    struct commit_target t = {.dir = d, .name = "copy", .place = &to, .if_match = STORE_ABSENT};
    struct store_stat ret;
    assert_int_equal(commit_to(c, &t, &ret, &lab.err), 0);
    writer_unref(c);
}

/* An early block that another mount has stored is that one's: who makes one of its name, or goes on
 * from an older version of it, is told. */
static void early_block_of_others_is_not_replaced_by_who_has_not_seen_it(void **state)
{
    (void)state;
    for (int older = 0; older < 2; older++) {
        LAB(lab, 0);
        struct writer *w = early_start(&lab, 0, 2);
        assert_int_equal(older ? commit(w, COMMIT_FLUSH, &lab.err) : 0, 0);
        CLEANUP(buf_fini) struct buf theirs = lab_block(1, 2);
        struct store_body body = {.head = theirs.data, .head_len = theirs.len, .fd = -1};
        assert_int_equal(store_put(lab.store, EARLY_KEY, &body, &(struct store_put){0}, NULL, NULL),
                         0);
        (void)lab_put_header(&lab, "A/");
        assert_int_equal(folder_load(lab_folder(&lab, "A/"), -1, &lab.err), 0);
        assert_int_equal(early_settle(lab_folder(&lab, "A/"), &lab.err), 0);
        CLEANUP(buf_fini) struct buf ours = lab_block(0, 2);
        assert_int_equal(lab_write(w, ours.data, ours.len, 0), 0);
        assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -ESTALE);
        assert_true(early_is_stored(&lab));
        lab_close(w);
        assert_int_equal(lab_lost(&lab), 1);
    }
}

/* One that was stored, though its writer could not know, is his when he goes on. */
static void early_block_whose_outcome_nobody_knew_is_its_writers(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(fault_parse(lab.fault, "put:1:lost", NULL), 0);
    assert_true(commit(w, COMMIT_FLUSH, &lab.err) < 0);
    assert_true(lab_exists(&lab, EARLY_KEY));
    struct writer *h = early_header(&lab);
    assert_int_equal(commit(h, COMMIT_FLUSH, &lab.err), 0);
    lab_close(h);
    assert_true(early_is_stored(&lab));
    CLEANUP(buf_fini) struct buf next = lab_block(0, 2);
    assert_int_equal(lab_write(w, next.data, next.len, 0), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_false(early_is_stored(&lab));
    lab_close(w);
}

/* The same of one who makes the block itself, while it is on its way to its place. */
static void early_block_on_its_way_is_not_replaced_by_a_new_one(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    CLEANUP(buf_fini) struct buf other = lab_block(0, 2);
    struct store_body body = {.head = block.data, .head_len = block.len, .fd = -1};
    assert_int_equal(store_put(lab.store, EARLY_KEY, &body, &(struct store_put){0}, NULL, NULL), 0);
    (void)lab_put_header(&lab, "A/");
    assert_int_equal(folder_load(lab_folder(&lab, "A/"), -1, &lab.err), 0);
    struct writer *w = lab_create(&lab, "A/", "block_1_2", &code);
    assert_non_null(w);
    assert_int_equal(lab_write(w, other.data, other.len, 0), 0);
    assert_int_equal(early_settle(lab_folder(&lab, "A/"), &lab.err), 0);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), -ESTALE);
    assert_true(early_is_stored(&lab));
    lab_close(w);
}

/* bm recover retry of a header leaves the early blocks where nobody sees them. */
static int early_first_lost(void *arg, const struct lost_entry *e)
{
    (void)snprintf(arg, LOST_NAME_SIZE, "%s", e->name);
    return 1;
}

static void early_blocks_are_not_hidden_by_a_recovered_header(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[LOST_NAME_SIZE] = "";
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    lab_close(w);
    struct writer *h = early_header(&lab);
    assert_int_equal(fault_parse(lab.fault, "put:1+:broken", NULL), 0);
    lab_close(h); /* the store is away */
    fault_clear(lab.fault);
    (void)lost_each(cache_dir_fd(lab.cache), early_first_lost, name);
    assert_true(name[0]);
    int r = recover_retry(lab.store, cache_dir_fd(lab.cache), name, false, &lab.err);
    lab_restart(&lab);
    early_resume(lab.fs);
    assert_true(r < 0 || early_is_stored(&lab));
}

/* bm recover retry of an early block beside a header hides it. */
static void early_block_is_not_recovered_to_where_nobody_sees_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[LOST_NAME_SIZE] = "";
    struct writer *w = early_start(&lab, 1, 2);
    assert_int_equal(fault_parse(lab.fault, "put:1+:broken", NULL), 0);
    lab_close(w); /* the store is away */
    fault_clear(lab.fault);
    (void)lab_put_header(&lab, "A/");
    (void)lost_each(cache_dir_fd(lab.cache), early_first_lost, name);
    assert_true(name[0]);
    int r = recover_retry(lab.store, cache_dir_fd(lab.cache), name, false, &lab.err);
    lab_restart(&lab);
    early_resume(lab.fs);
    assert_true(r < 0 || early_is_stored(&lab));
}

/* Killed after the early put was stored and the header's mount had looked: the entry must not
 * be dropped as stored. */
static void early_block_beside_a_header_does_not_count_as_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = early_start(&lab, 1, 2);
    (void)lab_put_header(&lab, "A/"); /* its mount has listed already */
    assert_int_equal(fault_parse(lab.fault, "head:1+:broken", NULL), 0);
    (void)commit(w, COMMIT_FLUSH, &lab.err); /* put, and no further */
    char command[3 * PATH_MAX];
    (void)snprintf(command, sizeof(command), "cd '%s/mounts' && cp -r * %s",
                   scratch_at(&lab.dir, "cache"), "0123456789abcdef0123456789abcdef");
    assert_int_equal(system(command), 0); /* the kill */
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w, true);
    }
    lab_close(w);
    fault_clear(lab.fault);
    struct salvage s = {0};
    assert_int_equal(salvage_all(cache_dir_fd(lab.cache), &s), 0);
    assert_int_equal(lab_lost(&lab), 1);
    (void)recover_settle(lab.store, cache_dir_fd(lab.cache));
    assert_true(early_is_stored(&lab) || lab_lost(&lab) == 1);
}

/* The header goes between the look for it and the redirect. */
static struct head *early_head;
static atomic_bool early_stop;

static void *early_toggle(void *arg)
{
    while (!early_stop) {
        folder_set_head(arg, NULL);
        folder_set_head(arg, early_head);
    }
    return NULL;
}

static void early_block_is_somewhere_though_early_header_comes_and_goes(void **state)
{
    (void)state;
    int gone = 0;
    LAB(lab, 0);
    struct store_stat hs = lab_put_header(&lab, "A/");
    assert_int_equal(
        head_new(&hs, lab_text(&lab, "A/header"), strlen(lab_text(&lab, "A/header")), &early_head),
        0);
    struct folder *d = lab_folder(&lab, "A/");
    pthread_t thread;
    early_stop = false;
    assert_int_equal(pthread_create(&thread, NULL, early_toggle, d), 0);
    for (int i = 0; i < 120 && !gone; i++) {
        CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
        struct place place = {.kind = PLACE_PLAIN};
        struct writer *w = NULL;
        (void)stpcpy(place.obj, "block_1_2");
        struct writer_start start = {
            .dir = d, .name = "block_1_2", .place = &place, .if_match = ""};
        {
            LOCK_SCOPE(&lab.fs->mu);
            assert_int_equal(writer_new_locked(lab.fs, &start, &w), 0);
            w->handles = 1;
        }
        assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
        int r = commit(w, COMMIT_FLUSH, &lab.err);
        if (r == 0 && !lab_exists(&lab, EARLY_KEY) && !lab_exists(&lab, BLOCK_KEY)) {
            gone++;
        }
        {
            LOCK_SCOPE(&lab.fs->mu);
            writer_unlink_locked(w, true);
        }
        lab_close(w);
        (void)store_del(lab.fault, EARLY_KEY, NULL, NULL);
        (void)store_del(lab.fault, BLOCK_KEY, NULL, NULL);
    }
    early_stop = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    head_unref(early_head);
    assert_int_equal(gone, 0);
}

/* An empty early file, and one named "block_". */
static void early_files_that_are_no_blocks_are_seen(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct folder *d = lab_folder(&lab, "A/");
    (void)lab_put_text(&lab, EARLY_KEY, "");
    struct writer *h = early_header(&lab);
    assert_int_equal(commit(h, COMMIT_FLUSH, &lab.err), -EINVAL);
    (void)store_del(lab.fault, EARLY_KEY, NULL, NULL);
    (void)lab_put_text(&lab, "A/block_", "x");
    int r = commit(h, COMMIT_FLUSH, &lab.err);
    lab_close(h);
    (void)d;
    assert_int_equal(r, -EINVAL);
}

/* A mount that deletes nothing, and a block that comes between its check and its header. */
static void early_block_is_left_by_a_mount_that_deletes_nothing(void **state)
{
    (void)state;
    LAB(lab, .no_delete = true);
    {
        struct folder *d = lab_folder(&lab, "A/");
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
    }
    struct writer *h = early_header(&lab);
    pthread_t thread;
    remote_shut(lab.store, REMOTE_PUT);
    assert_int_equal(pthread_create(&thread, NULL, early_commit, h), 0);
    assert_true(remote_wait(lab.store, 1));
    CLEANUP(buf_fini) struct buf block = lab_block(1, 2);
    struct store_body body = {.head = block.data, .head_len = block.len, .fd = -1};
    struct store_put put = {0};
    assert_int_equal(store_put(lab.fault, EARLY_KEY, &body, &put, NULL, NULL), 0);
    remote_open(lab.store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    int dels = remote_count(lab.store).dels;
    lab_close(h);
    assert_int_equal(dels, 0);
}

/* A temporary name that looks like a block's. */
static void early_file_with_a_temporary_name_is_refused(void **state)
{
    (void)state;
    int code = 0;
    LAB(lab, 0);
    {
        struct folder *d = lab_folder(&lab, "A/");
        LOCK_SCOPE(&lab.fs->mu);
        folder_set_local_locked(d, true);
    }
    struct writer *w = lab_create(&lab, "A/", "block_1_2.tmp", &code);
    assert_int_equal(lab_write(w, "x", 1, 0), 0);
    (void)lab_put_header(&lab, "A/");
    code = commit(w, COMMIT_FLUSH, &lab.err);
    lab_close(w);
    assert_int_equal(code, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_block_finds_early_header_in_a_mount_that_takes_nothing_to_change),
        cmocka_unit_test(early_note_stays_while_early_header_may_be_stored),
        cmocka_unit_test(early_block_between_the_check_and_early_header_is_noted),
        cmocka_unit_test(early_block_whose_way_to_its_place_failed_is_stored_there_later),
        cmocka_unit_test(early_block_that_was_refused_does_not_come_back),
        cmocka_unit_test(early_block_of_others_is_not_replaced_by_who_has_not_seen_it),
        cmocka_unit_test(early_block_whose_outcome_nobody_knew_is_its_writers),
        cmocka_unit_test(early_block_on_its_way_is_not_replaced_by_a_new_one),
        cmocka_unit_test(early_blocks_are_not_hidden_by_a_recovered_header),
        cmocka_unit_test(early_block_is_not_recovered_to_where_nobody_sees_it),
        cmocka_unit_test(early_block_beside_a_header_does_not_count_as_stored),
        cmocka_unit_test(early_block_is_somewhere_though_early_header_comes_and_goes),
        cmocka_unit_test(early_files_that_are_no_blocks_are_seen),
        cmocka_unit_test(early_block_is_left_by_a_mount_that_deletes_nothing),
        cmocka_unit_test(early_block_is_carried_while_the_mount_ends),
        cmocka_unit_test(early_file_with_a_temporary_name_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
