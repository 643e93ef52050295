#include "tests/unit/unit.h"

#include "fs/commit.h"

#include "base/log.h"
#include "fs/salvage.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A writer with a whole block, of a store that takes nothing. */
static struct writer *commit_start(struct lab *lab)
{
    int code = 0;
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    (void)lab_put_header(lab, "A/");
    struct writer *w = lab_create(lab, "A/", "block_0_0", &code);
    assert_non_null(w);
    assert_int_equal(lab_write(w, b.data, b.len, 0), 0);
    assert_int_equal(fault_parse(lab->fault, "put:1+:broken", NULL), 0);
    return w;
}

static void commit_assert_kept(struct lab *lab)
{
    assert_int_equal(lab_lost(lab), 1);
    CLEANUP(buf_fini) struct buf kept = lab_read_lost(lab);
    CLEANUP(buf_fini) struct buf bytes = lab_block(0, 0);
    assert_int_equal(kept.len, bytes.len);
    assert_memory_equal(kept.data, bytes.data, bytes.len);
}

/* Whoever says first that the store has failed waits until it has failed twice. */
struct commit_pair {
    struct lab *lab;
    _Atomic bool said;
};

static void commit_pair_hook(void *arg, const char *line)
{
    struct commit_pair *p = arg;
    int64_t until_ms = clock_ms() + 10000;
    if (!strstr(line, "cannot store") || atomic_exchange(&p->said, true))
        return;
    while (fault_hits(p->lab->fault) < 2 && clock_ms() < until_ms)
        (void)usleep(1000);
}

static void *commit_finish_run(void *arg)
{
    commit_finish(arg, false);
    return NULL;
}

static void commit_finish_keeps_the_bytes_of_a_writer_once(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct commit_pair pair = {.lab = &lab};
    struct writer *w = commit_start(&lab);
    pthread_t last_close;
    {
        LOCK_SCOPE(&lab.fs->mu);
        w->handles = 0;
    }
    log_set_hook(commit_pair_hook, &pair);
    assert_int_equal(pthread_create(&last_close, NULL, commit_finish_run, w), 0);
    commit_finish(w, true); /* the unmount */
    (void)pthread_join(last_close, NULL);
    log_set_hook(NULL, NULL);
    assert_int_equal(fault_hits(lab.fault), 2);
    commit_assert_kept(&lab);
    writer_unref(w);
}

/* Makes the recovery folder one that takes nothing, or takes that back. */
static void commit_block_lost(struct lab *lab, bool on)
{
    char command[2 * PATH_MAX];
    (void)snprintf(command, sizeof(command), on ? "touch '%s'" : "rm '%s'",
                   scratch_at(&lab->dir, "cache/lost"));
    assert_int_equal(system(command), 0);
}

/* The mount's folder as it is now, as that of a mount that died. */
static void commit_salvage(struct lab *lab, struct salvage *ret)
{
    char command[2 * PATH_MAX];
    (void)snprintf(command, sizeof(command), "cd '%s/mounts' && cp -r * %032d",
                   scratch_at(&lab->dir, "cache"), 0);
    assert_int_equal(system(command), 0);
    assert_int_equal(salvage_all(cache_dir_fd(lab->cache), ret), 0);
}

static void commit_finish_leaves_in_the_mounts_folder_what_nobody_takes(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    struct writer *w = commit_start(&lab);
    commit_block_lost(&lab, true);
    lab_close(w);
    commit_block_lost(&lab, false);
    assert_int_equal(lab_lost(&lab), 0);
    commit_salvage(&lab, &s);
    assert_int_equal(s.files, 1);
    commit_assert_kept(&lab);
}

static void commit_finish_does_not_let_what_it_left_be_written_over(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    struct writer *w = commit_start(&lab);
    commit_block_lost(&lab, true);
    commit_finish(w, true); /* though it is open */
    assert_false(stage_is_dirty(w->stage));
    assert_int_equal(lab_write(w, "changed!", 8, 128), 0);
    commit_block_lost(&lab, false);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w, true); /* the rest is of no interest */
    }
    lab_close(w);
    commit_salvage(&lab, &s);
    assert_int_equal(s.files, 1);
    commit_assert_kept(&lab);
}

static void commit_finish_keeps_nothing_that_was_removed(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w, true);
    }
    lab_close(w);
    assert_int_equal(lab_lost(&lab), 0);
    assert_int_equal(fault_hits(lab.fault), 0);
}

static void commit_stores_what_came_in_too_many_pieces_when_asked_to(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    size_t len = 2 * EXTENT_RANGES_MAX + 2;
    CLEANUP(freep) char *zeros = calloc(1, len);
    char header[100];
    char key[100];
    (void)snprintf(key, sizeof(key), "B/0_%zu_%zu_", len, len);
    (void)snprintf(header, sizeof(header),
                   "{\"shape\": [%zu], \"shard_sizes\": [%zu], \"dtype\": \"|u1\"}", len, len);
    (void)lab_put_text(&lab, "B/header", header);
    struct writer *w = lab_create(&lab, "B/", "block_0.raw", &code);
    assert_non_null(w);
    for (size_t at = 1; at < len; at += 2)
        assert_int_equal(lab_write(w, "x", 1, at), 0);
    assert_int_equal(lab_write(w, zeros, len, 0), 0); /* nobody knows any more */
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), COMMIT_WAITS);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    assert_int_equal(lab_write(w, "y", 1, 0), 0);
    struct store_stat synced = lab_head(&lab, key);
    lab_close(w);
    assert_string_not_equal(lab_head(&lab, key).etag, synced.etag);
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_finish_keeps_nothing_of_an_empty_file(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "d/other", "x");
    struct writer *w = lab_create(&lab, "d/", "lock", &code);
    assert_non_null(w);
    stage_set_dirty(w->stage);
    (void)lab_put_text(&lab, "d/lock", "somebody else's");
    lab_close(w);
    assert_string_equal(lab_text(&lab, "d/lock"), "somebody else's");
    assert_int_equal(lab_lost(&lab), 0);
}

/* The writer is of process 1 and closed, but the job of that has not begun. */
static void commit_close(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    writer_note_process_locked(w, 1);
    w->handles = 0;
    w->changes++;
}

static int commit_make_way(struct writer *w)
{
    LOCK_SCOPE(&w->fs->mu);
    return writer_make_way_locked(&w, 2);
}

/* Process 2 comes for its name. Whether it has got that. */
static bool commit_take_over(struct writer *w)
{
    commit_close(w);
    if (!commit_left_behind(w->dir, "block_0_0", &w->place, 2))
        return false;
    bool is_stored = !stage_is_dirty(w->stage);
    return commit_make_way(w) == (is_stored ? WRITER_AGAIN : 0) && !w->linked;
}

static void commit_left_behind_leaves_alone_what_is_open(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_false(commit_left_behind(w->dir, "block_0_0", &w->place, 2));
    assert_false(commit_left_behind(w->dir, "block_0_1", &w->place, 2));
    assert_false(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    lab_close(w);
}

static void commit_left_behind_stores_what_is_whole(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_true(commit_take_over(w));
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    assert_false(w->linked);
    commit_finish(w, false);
    writer_unref(w);
    assert_int_equal(lab_lost(&lab), 0);
}

static void commit_left_behind_loses_nothing_that_cannot_be_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    assert_true(commit_take_over(w));
    assert_false(w->linked);
    commit_finish(w, false);
    writer_unref(w);
    commit_assert_kept(&lab);
}

/* The store is back before the job of the last close begins: that finds the name taken. */
static void commit_left_behind_is_not_tried_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    struct writer *w = commit_start(&lab);
    assert_true(commit_take_over(w));
    fault_clear(lab.fault);
    struct writer *newcomer = lab_create(&lab, "A/", "block_0_0", &code);
    assert_non_null(newcomer);
    commit_finish(w, false);
    writer_unref(w);
    assert_false(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    commit_assert_kept(&lab);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    assert_int_equal(lab_write(newcomer, b.data, b.len, 0), 0);
    assert_int_equal(commit(newcomer, COMMIT_FLUSH, &lab.err), 0);
    lab_close(newcomer);
}

/* It was still open when it was looked at. */
static void commit_left_behind_is_tried_before_it_is_dropped(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_false(commit_left_behind(w->dir, "block_0_0", &w->place, 2));
    commit_close(w);
    assert_int_equal(commit_make_way(w), WRITER_AGAIN);
    assert_true(w->linked);
    assert_true(commit_take_over(w));
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    writer_unref(w);
}

/* Its writer went on with it after that, up to a whole block with a hole. */
static void commit_left_behind_is_tried_after_each_change(void **state)
{
    (void)state;
    LAB(lab, 0);
    CLEANUP(buf_fini) struct buf b = lab_block(0, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_int_equal(lab_truncate(w, 0), 0);
    assert_int_equal(lab_write(w, "\x93NUMPY", 6, 0), 0);
    commit_close(w);
    assert_true(commit_left_behind(w->dir, "block_0_0", &w->place, 2));
    assert_int_equal(lab_write(w, b.data, b.len - 8, 0), 0);
    assert_int_equal(lab_truncate(w, b.len), 0);
    commit_close(w);
    assert_int_equal(commit_make_way(w), WRITER_AGAIN);
    assert_true(commit_take_over(w));
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    writer_unref(w);
}

/* Nobody takes the name after all, and its writer comes back to it. */
static void commit_left_behind_goes_on_when_nobody_takes_the_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_close(w);
    assert_true(commit_left_behind(w->dir, "block_0_0", &w->place, 2));
    fault_clear(lab.fault);
    w->handles = 1;
    assert_int_equal(commit(w, COMMIT_FLUSH, &lab.err), 0);
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    lab_close(w);
}

/* A directory is removed while more files than one in it have not been stored yet. */
static void commit_all_left_behind_loses_nothing(void **state)
{
    (void)state;
    LAB(lab, 0);
    enum { FILES = 100 };
    struct writer *w[FILES];
    int code = 0;
    (void)lab_put_text(&lab, "d/other", "x");
    for (int i = 0; i < FILES; i++) {
        char name[20];
        (void)snprintf(name, sizeof(name), "f%d", i);
        w[i] = lab_create(&lab, "d/", name, &code);
        assert_non_null(w[i]);
        stage_set_dirty(w[i]->stage);
        commit_close(w[i]);
    }
    struct folder *d = w[0]->dir;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_false(writer_may_clear_locked(d, 2));
    }
    commit_all_left_behind(d, 2);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(writer_may_clear_locked(d, 2));
        writer_clear_locked(d, 2);
        assert_null(d->writers);
    }
    for (int i = 0; i < FILES; i++) {
        char key[20];
        (void)snprintf(key, sizeof(key), "d/f%d", i);
        assert_true(lab_exists(&lab, key));
        writer_unref(w[i]);
    }
}

static void commit_clear_keeps_what_could_not_be_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    commit_close(w);
    commit_all_left_behind(w->dir, 2);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_clear_locked(w->dir, 2);
    }
    commit_finish(w, false);
    writer_unref(w);
    commit_assert_kept(&lab);
}

/* Between the look at its handles and the store it was opened again. */
static void commit_stores_no_part_of_what_was_opened_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_int_equal(w->handles, 1);
    assert_int_equal(commit(w, COMMIT_CLOSE, &lab.err), COMMIT_WAITS);
    commit_finish(w, false);
    assert_false(w->lingers);
    assert_false(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    assert_int_equal(commit(w, COMMIT_UNMOUNT, &lab.err), 0);
    assert_true(lab_exists(&lab, "A/0_4_4_0_3_3_"));
    lab_close(w);
}

/* Else who makes a file anew, after others have removed it, would be told of a conflict. */
static void commit_left_behind_is_not_shared_once_it_is_stored(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    commit_close(w);
    {
        LOCK_SCOPE(&lab.fs->mu);
        struct writer *mine = w;
        assert_int_equal(writer_make_way_locked(&mine, 1), 0);
        assert_ptr_equal(mine, w);
    }
    assert_int_equal(commit(w, COMMIT_CLOSE, &lab.err), 0);
    LOCK_SCOPE(&lab.fs->mu);
    struct writer *mine = w;
    assert_int_equal(writer_make_way_locked(&mine, 1), WRITER_AGAIN);
    assert_null(mine);
    writer_unref_locked(w);
}

static void commit_left_behind_lets_parts_be_dropped(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = commit_start(&lab);
    fault_clear(lab.fault);
    assert_int_equal(lab_truncate(w, 0), 0);
    assert_int_equal(lab_write(w, "\x93NUMPY", 6, 0), 0);
    assert_true(commit_take_over(w));
    assert_true(w->dropped);
    commit_finish(w, false);
    writer_unref(w);
    assert_int_equal(lab_lost(&lab), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_finish_keeps_the_bytes_of_a_writer_once),
        cmocka_unit_test(commit_finish_leaves_in_the_mounts_folder_what_nobody_takes),
        cmocka_unit_test(commit_finish_does_not_let_what_it_left_be_written_over),
        cmocka_unit_test(commit_finish_keeps_nothing_that_was_removed),
        cmocka_unit_test(commit_finish_keeps_nothing_of_an_empty_file),
        cmocka_unit_test(commit_left_behind_leaves_alone_what_is_open),
        cmocka_unit_test(commit_left_behind_stores_what_is_whole),
        cmocka_unit_test(commit_left_behind_loses_nothing_that_cannot_be_stored),
        cmocka_unit_test(commit_left_behind_is_not_tried_again),
        cmocka_unit_test(commit_left_behind_is_tried_before_it_is_dropped),
        cmocka_unit_test(commit_left_behind_is_tried_after_each_change),
        cmocka_unit_test(commit_left_behind_goes_on_when_nobody_takes_the_name),
        cmocka_unit_test(commit_left_behind_is_not_shared_once_it_is_stored),
        cmocka_unit_test(commit_left_behind_lets_parts_be_dropped),
        cmocka_unit_test(commit_all_left_behind_loses_nothing),
        cmocka_unit_test(commit_clear_keeps_what_could_not_be_stored),
        cmocka_unit_test(commit_stores_no_part_of_what_was_opened_again),
        cmocka_unit_test(commit_stores_what_came_in_too_many_pieces_when_asked_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
