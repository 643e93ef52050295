#include "tests/unit/unit.h"

#include "fs/salvage.h"

#include "fs/commit.h"
#include "fs/recover.h"
#include "fs/resolve.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SALVAGE_KEY "A/0_4_4_0_3_3_"

static int salvage_cache(struct lab *lab)
{
    return cache_dir_fd(lab->cache);
}

/* Leaves the mount's folder as a mount leaves it that is killed now. */
static void salvage_kill(struct lab *lab)
{
    char command[3 * PATH_MAX];
    (void)snprintf(command, sizeof(command), "cd '%s/mounts' && cp -r * %s",
                   scratch_at(&lab->dir, "cache"), "0123456789abcdef0123456789abcdef");
    assert_int_equal(system(command), 0);
}

/* The one entry of the recovery folder, or of this key. */
struct salvage_want {
    const char *key;
    struct lost_entry found; /* its name and plain values */
    int count;
};

static int salvage_match(void *arg, const struct lost_entry *e)
{
    struct salvage_want *want = arg;
    if (strcmp(e->key, want->key) != 0)
        return 0;
    want->count++;
    (void)snprintf(want->found.name, sizeof(want->found.name), "%s", e->name);
    want->found.incomplete = e->incomplete;
    want->found.size = e->size;
    return 0;
}

static struct lost_entry salvage_find(struct lab *lab, const char *key)
{
    struct salvage_want want = {.key = key};
    assert_int_equal(lost_each(salvage_cache(lab), salvage_match, &want), 0);
    if (want.count != 1)
        fail_msg("%s: %d entries", key, want.count);
    return want.found;
}

static struct writer *salvage_write(struct lab *lab, const char *dir, const char *name,
                                    const void *data, size_t len)
{
    int code = 0;
    struct writer *w = lab_create(lab, dir, name, &code);
    assert_non_null(w);
    assert_int_equal(lab_write(w, data, len, 0), 0);
    return w;
}

/* Lets go of a writer whose mount has died in the meantime, as far as this test goes. */
static void salvage_forget(struct writer *w)
{
    {
        LOCK_SCOPE(&w->fs->mu);
        writer_unlink_locked(w, true);
    }
    lab_close(w);
}

/* Whole blocks, of both forms, whose close could not store them. */
static void salvage_keeps_a_block_without_a_header(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w[] = {
        salvage_write(&lab, "A/", "block_0_0", block.data, block.len),
        salvage_write(&lab, "A/", "block_0_1.raw", block.data + 128, block.len - 128),
    };
    folder_set_head(lab_folder(&lab, "A/"), NULL);
    for (size_t i = 0; i < ARRAY_SIZE(w); i++)
        lab_close(w[i]);
    assert_int_equal(lab_lost(&lab), 0);
    salvage_kill(&lab);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 2);
    assert_int_equal(s.incomplete, 0);
    assert_int_equal(s.left, 0);
    assert_int_equal(lab_lost(&lab), 2);
}

/* One that was opened again after it had waited to be completed, and is whole now, though somebody
 * else asks for its name. */
static void salvage_keeps_a_block_that_waited_to_be_completed(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = salvage_write(&lab, "A/", "block_0_0", block.data, 128);
    writer_note_process_locked(w, 1);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_ref_locked(w);
    }
    lab_close(w); /* its header alone */
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_open_locked(w);
    }
    assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
    folder_set_head(lab_folder(&lab, "A/"), NULL);
    struct writer *other = w;
    {
        LOCK_SCOPE(&lab.fs->mu);
        w->handles--; /* the job of this close has yet to begin */
        w->changes++;
    }
    assert_true(commit_left_behind(lab_folder(&lab, "A/"), "block_0_0", &w->place, 2));
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(writer_make_way_locked(&other, 2), 0);
        assert_null(other);
    }
    commit_finish(w, false);
    writer_unref(w);
    salvage_kill(&lab);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    assert_int_equal(s.incomplete, 0);
}

/* A change that failed: its file may be half of what it was to become. */
static void salvage_takes_no_file_for_whole_of_which_a_write_failed(void **state)
{
    (void)state;
    for (int anew = 0; anew < 2; anew++) {
        LAB(lab, 0);
        struct salvage s;
        CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
        (void)lab_put_header(&lab, "A/");
        struct writer *w = salvage_write(&lab, "A/", "block_0_0", block.data, block.len);
        assert_int_equal(lab_write(w, "x", 1, INT64_MAX), -EFBIG);
        assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
        if (anew) {
            assert_int_equal(lab_truncate(w, 0), 0);
            assert_int_equal(lab_write(w, block.data, block.len, 0), 0);
        }
        salvage_kill(&lab);
        salvage_forget(w);
        assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
        assert_int_equal(s.files, 1);
        assert_int_equal(s.incomplete, !anew);
    }
}

/* Bytes that have got another name, which somebody has removed again, and are still to be stored
 * under their own. */
static void salvage_keeps_what_was_linked_to_another_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    struct store_stat stat;
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = salvage_write(&lab, "d/", "own", "text", 4);
    struct place place = {.kind = PLACE_PLAIN, .obj = "other"};
    struct commit_target to = {
        .dir = lab_folder(&lab, "d/"), .name = "other", .place = &place, .if_match = STORE_ABSENT};
    assert_int_equal(commit_to(w, &to, &stat, &lab.err), 0);
    assert_string_equal(lab_text(&lab, "d/other"), "text");
    salvage_kill(&lab);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    assert_false(salvage_find(&lab, "d/own").incomplete);
    salvage_forget(w);
}

/* In a Latin-1 name there are bytes that are no UTF-8. */
static void salvage_keeps_a_file_of_any_name(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = salvage_write(&lab, "d/", "caf\xe9", "text", 4);
    salvage_kill(&lab);
    salvage_forget(w);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    struct lost_entry e = salvage_find(&lab, "d/caf\xe9");
    assert_int_equal(recover_retry(lab.store, salvage_cache(&lab), e.name, false, &lab.err), 0);
}

static void salvage_keeps_what_was_being_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    static const char header[] = "{\"shape\": [4], \"shard_sizes\": [2], \"dtype\": \"<f8\"}";
    (void)lab_put_header(&lab, "A/");
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w[] = {
        salvage_write(&lab, "A/", "block_0_0", block.data, block.len),
        salvage_write(&lab, "A/", "block_0_1.raw", block.data + 128, block.len - 128),
        salvage_write(&lab, "A/", "block_1_0", block.data, 150),
        salvage_write(&lab, "A/", "block_1_1.F.raw", block.data, 10),
        salvage_write(&lab, "d/", "plain", "text", 4),
        salvage_write(&lab, "d/", "header.json", header, sizeof(header) - 1),
        salvage_write(&lab, "A/", "x.tmp", "scratch", 7),
    };
    salvage_kill(&lab);
    for (size_t i = 0; i < ARRAY_SIZE(w); i++)
        salvage_forget(w[i]);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 6);
    assert_int_equal(s.incomplete, 2);
    assert_int_equal(s.left, 0);
    static const struct {
        const char *key;
        bool incomplete;
    } row[] = {
        {"A/0_4_4_0_3_3_", false}, {"A/0_4_4_3_6_3_", false}, {"A/4_8_4_0_3_3_", true},
        {"A/4_8_4_3_6_3_", true},  {"d/plain", false},        {"d/header", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
        struct lost_entry e = salvage_find(&lab, row[i].key);
        assert_int_equal(e.incomplete, row[i].incomplete);
        int r = recover_retry(lab.store, salvage_cache(&lab), e.name, false, &lab.err);
        assert_int_equal(r, row[i].incomplete ? -EINVAL : 0);
    }
    assert_int_equal(lab_head(&lab, "A/0_4_4_3_6_3_").size, block.len); /* with an npy header */
    assert_string_equal(lab_text(&lab, "d/plain"), "text");
    assert_null(strstr(lab_text(&lab, "d/header"), "<f8")); /* in the stored form */
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 0); /* once */
}

static void salvage_passes_over_what_is_stored(void **state)
{
    (void)state;
    LAB(lab, .local = true); /* stored files stay the stage's own */
    struct salvage s;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    (void)lab_put_header(&lab, "A/");
    struct writer *w = salvage_write(&lab, "A/", "block_0_0", block.data, block.len);
    assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), 0);
    salvage_kill(&lab);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 0);
    assert_int_equal(lab_write(w, "\x93", 1, 0), 0); /* written again */
    salvage_kill(&lab);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    struct lost_entry e = salvage_find(&lab, SALVAGE_KEY);
    assert_int_equal(recover_retry(lab.store, salvage_cache(&lab), e.name, false, &lab.err), 0);
    salvage_forget(w);
}

static void salvage_knows_a_put_that_took_effect(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    CLEANUP(buf_fini) struct buf block = lab_block(0, 0);
    (void)lab_put_header(&lab, "A/");
    for (int again = 0; again < 2; again++) {
        struct writer *w =
            salvage_write(&lab, "A/", again ? "block_1_0" : "block_0_0", block.data, block.len);
        assert_int_equal(fault_parse(lab.fault, "put:1:lost", &lab.err), 0);
        assert_int_equal(commit(w, COMMIT_SYNC, &lab.err), -EAGAIN); /* no retry */
        fault_clear(lab.fault);
        if (again) /* these are other bytes than took effect */
            assert_int_equal(lab_write(w, "\x93", 1, 0), 0);
        salvage_kill(&lab);
        salvage_forget(w);
        assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
        assert_int_equal(s.files, 1);
        assert_int_equal(recover_settle(lab.store, salvage_cache(&lab)), !again);
        assert_int_equal(recover_count(salvage_cache(&lab)), again);
    }
}

static void salvage_passes_over_broken_journals(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = salvage_write(&lab, "d/", "plain", "text", 4);
    salvage_kill(&lab);
    scratch_write(&lab.dir, "cache/mounts/0123456789abcdef0123456789abcdef/7.note", "short");
    scratch_write(&lab.dir, "cache/mounts/0123456789abcdef0123456789abcdef/7", "bytes");
    scratch_write(&lab.dir, "cache/mounts/0123456789abcdef0123456789abcdef/.note", "short");
    scratch_write(&lab.dir, "cache/mounts/0123456789abcdef0123456789abcdef/8", "no journal");
    salvage_forget(w);
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    struct stat st;
    assert_int_equal(
        stat(scratch_at(&lab.dir, "cache/mounts/0123456789abcdef0123456789abcdef"), &st), -1);
}

static void salvage_leaves_what_it_cannot_move(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct salvage s;
    char name[64];
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = salvage_write(&lab, "d/", "plain", "text", 4);
    salvage_kill(&lab);
    salvage_forget(w);
    for (int i = 0; i < LOST_FILES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "cache/lost/%d", i);
        scratch_write(&lab.dir, name, "");
    }
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 0);
    assert_int_equal(s.left, 1);
    assert_non_null(strstr(s.err.msg, "full"));
    (void)unlink(scratch_at(&lab.dir, "cache/lost/0"));
    (void)unlink(scratch_at(&lab.dir, "cache/lost/1"));
    (void)unlink(scratch_at(&lab.dir, "cache/lost/2"));
    assert_int_equal(salvage_all(salvage_cache(&lab), &s), 0);
    assert_int_equal(s.files, 1);
    assert_false(salvage_find(&lab, "d/plain").incomplete);
}

static void salvage_refuses_another_store_and_odd_names(void **state)
{
    (void)state;
    LAB(lab, 0);
    char name[LOST_NAME_SIZE];
    struct lost_entry e = {0};
    struct lost_bytes bytes = {.fd = -1};
    struct lost_note note = {.store_id = "s3://elsewhere/lab",
                             .key = "k",
                             .write_id = "",
                             .reason = "why",
                             .head = "text",
                             .head_len = 4};
    assert_int_equal(lost_keep_bytes(salvage_cache(&lab), &bytes, &note, name, &lab.err), 0);
    assert_int_equal(recover_retry(lab.store, salvage_cache(&lab), name, true, &lab.err), -EINVAL);
    assert_non_null(strstr(lab.err.msg, "elsewhere"));
    static const char *const odd[] = {"../x", "", "1-", "-a", "1-g", "1-a/..", "1-A", "usage"};
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        assert_int_equal(lost_open(salvage_cache(&lab), odd[i], &e), -EINVAL);
        assert_int_equal(lost_drop(salvage_cache(&lab), odd[i]), -EINVAL);
    }
    assert_int_equal(lost_open(salvage_cache(&lab), "1-a", &e), -ENOENT);
    scratch_write(&lab.dir, "cache/lost/1-a.data", "bytes without a note");
    assert_int_equal(lost_open(salvage_cache(&lab), "1-a", &e), -ENOENT);
    scratch_write(&lab.dir, "cache/lost/1-a.json", "{\"store\": 7}");
    assert_int_equal(lost_open(salvage_cache(&lab), "1-a", &e), -EBADMSG);
    assert_int_equal(recover_count(salvage_cache(&lab)), 1);
    assert_int_equal(lost_drop(salvage_cache(&lab), name), 0);
    assert_int_equal(recover_count(salvage_cache(&lab)), 0);
    assert_int_equal(recover_count(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(salvage_keeps_what_was_being_written),
        cmocka_unit_test(salvage_keeps_a_block_without_a_header),
        cmocka_unit_test(salvage_keeps_a_block_that_waited_to_be_completed),
        cmocka_unit_test(salvage_takes_no_file_for_whole_of_which_a_write_failed),
        cmocka_unit_test(salvage_keeps_what_was_linked_to_another_name),
        cmocka_unit_test(salvage_keeps_a_file_of_any_name),
        cmocka_unit_test(salvage_passes_over_what_is_stored),
        cmocka_unit_test(salvage_knows_a_put_that_took_effect),
        cmocka_unit_test(salvage_passes_over_broken_journals),
        cmocka_unit_test(salvage_leaves_what_it_cannot_move),
        cmocka_unit_test(salvage_refuses_another_store_and_odd_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
