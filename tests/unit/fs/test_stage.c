#include "tests/unit/unit.h"

#include "fs/stage.h"

#include "s3/fault.h"
#include "tests/kit/rng.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"
#include "tests/unit/fs/stages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE_MIB ((uint64_t)1 << 20)

/* The linker puts this before libc's: it fails with this code, EINTR only once. */
static int stage_fallocate_code;

int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
    int code = stage_fallocate_code;
    if (code == 0)
        return __real_fallocate64(fd, mode, off, len);
    if (code == EINTR)
        stage_fallocate_code = 0;
    errno = code;
    return -1;
}

static void stage_starts_empty_and_clean(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stage_size(s), 0);
    assert_false(stage_is_dirty(s));
    assert_true(stages_says(s, "", 0));
    assert_true(stages_says(s, "", 100));
    stage_set_dirty(s);
    assert_true(stage_is_dirty(s));
    stage_set_clean(s);
    assert_false(stage_is_dirty(s));
    struct stage_view view = stages_look(s);
    assert_int_equal(view.size, 0);
    assert_int_equal(view.fd, -1);
    assert_true(view.whole);
    assert_false(view.cut);
}

static void stage_reads_what_was_written(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    int64_t before_ns = stage_mtime_ns(s);
    assert_int_equal(stages_put(s, "world", 6), 0);
    assert_int_equal(stage_size(s), 11);
    assert_true(stage_is_dirty(s));
    assert_true(stage_mtime_ns(s) >= before_ns);
    assert_true(stages_has_zeros(s, 0, 6));
    assert_false(stages_look(s).whole);
    assert_int_equal(stages_put(s, "hello,", 0), 0);
    assert_true(stages_says(s, "hello,world", 0));
    assert_true(stages_says(s, "world", 6));
    struct stage_view view = stages_look(s);
    assert_true(view.whole);
    assert_int_equal(view.size, 11);
    assert_true(view.fd >= 0);
}

static void stage_tells_whole_files_from_those_with_holes(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_resize(s, 100), 0);
    struct stage_view view = stages_look(s);
    assert_false(view.whole);
    assert_true(view.cut);
    assert_int_equal(view.size, 100);
    assert_int_equal(stages_put_bytes(s, 3, 0, 99), 0);
    view = stages_look(s);
    assert_false(view.whole);
    assert_false(view.cut);
    assert_int_equal(stages_put_bytes(s, 3, 99, 1), 0);
    assert_true(stages_look(s).whole);
    assert_int_equal(stages_resize(s, 50), 0);
    view = stages_look(s);
    assert_true(view.whole);
    assert_true(view.cut);
    assert_int_equal(stages_resize(s, 60), 0);
    assert_false(stages_look(s).whole);
    assert_true(stages_has(s, 3, 0, 50));
    assert_true(stages_has_zeros(s, 50, 10));
}

static void stage_reads_through_to_its_base(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, 4 * STAGE_MIB, &s);
    assert_int_equal(stage_size(s), 4 * STAGE_MIB);
    assert_false(stage_is_dirty(s));
    assert_int_equal(cache_usage(lab.cache), 0); /* and costs nothing */
    assert_true(stages_has(s, 1, 3 * STAGE_MIB, 1000));
    assert_int_equal(remote_count(lab.store).bytes, FILL_CHUNK);
}

static void stage_loads_its_base_once_for_all_who_write(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, 2 * STAGE_MIB, &s);
    LAB_ANSWER(a);
    LAB_ANSWER(b);
    LAB_ANSWER(c);
    remote_shut(lab.store, REMOTE_GET);
    stage_write(s, "one", 3, 100, false, lab_answer_change, &a);
    stage_write(s, "twotwo", 6, 101, false, lab_answer_change, &b);
    stage_write(s, "3", 1, 102, true, lab_answer_change, &c);
    assert_true(remote_wait(lab.store, 1));
    assert_false(lab_has_come(&a));
    assert_true(stage_is_dirty(s)); /* they will be */
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(lab_wait(&b), 0);
    assert_int_equal(lab_wait(&c), 0);
    assert_int_equal(remote_count(lab.store).bytes, 2 * STAGE_MIB);
    assert_true(stage_is_mapped_dirty(s));
    assert_true(stages_has(s, 1, 0, 100));
    LAB_ANSWER(r);
    stage_read(s, 100, 7, lab_answer_read, &r);
    assert_int_equal(lab_wait(&r), 0);
    assert_memory_equal(r.data, "ot3otwo", 7); /* in the order in which they came */
    assert_true(stages_has(s, 1, 107, 2 * STAGE_MIB - 107));
    assert_true(stages_look(s).whole); /* what came from the base counts as written */
    stage_set_clean(s);
    assert_false(stage_is_mapped_dirty(s));
}

static void stage_reads_its_base_while_that_is_loaded(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, 8 * STAGE_MIB, &s);
    assert_true(stages_has(s, 1, 5 * STAGE_MIB, 1000));
    LAB_ANSWER(a);
    remote_shut(lab.store, REMOTE_GET);
    stage_write(s, "x", 1, 0, false, lab_answer_change, &a);
    assert_true(remote_wait(lab.store, 1));
    assert_true(stages_has(s, 1, 5 * STAGE_MIB, 1000));
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), 0);
}

static void stage_does_not_fetch_what_is_thrown_away(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, 2 * STAGE_MIB, &s);
    assert_int_equal(stages_resize(s, 0), 0);
    struct stage_view view = stages_look(s);
    assert_int_equal(view.size, 0);
    assert_true(view.cut);
    assert_int_equal(stages_put(s, "new", 0), 0);
    assert_true(stages_says(s, "new", 0));
    assert_true(stages_look(s).whole);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void stage_cuts_and_grows_its_base(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    assert_int_equal(stages_resize(s, 1000), 0);
    assert_true(stages_has(s, 1, 0, 1000));
    assert_int_equal(stages_resize(s, 1500), 0);
    assert_true(stages_has_zeros(s, 1000, 500));
    assert_false(stages_look(s).whole);
}

static void stage_fails_writes_when_its_base_cannot_be_loaded(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    assert_int_equal(fault_parse(lab.fault, "get:1:broken", NULL), 0);
    assert_int_equal(stages_put(s, "x", 10), -EIO);
    assert_false(stage_is_dirty(s));
    assert_int_equal(stage_error(s), -EIO);      /* till it has been told */
    assert_int_equal(stages_put(s, "x", 10), 0); /* the next one tries again */
    assert_true(stages_has(s, 1, 11, STAGE_MIB - 11));
    stage_forgive(s);
    assert_int_equal(stage_error(s), -EIO); /* half an update is there */
}

static void stage_forgives_what_changed_nothing(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    assert_int_equal(fault_parse(lab.fault, "get:1:broken", NULL), 0);
    assert_int_equal(stages_put(s, "x", 10), -EIO);
    stage_forgive(s);
    assert_int_equal(stage_error(s), 0);
    assert_int_equal(stages_put(s, "x", 10), 0);
    assert_int_equal(stage_error(s), 0);
}

static void stage_that_is_retired_takes_no_change(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct stage_view view;
    stages_start_over(&lab, STAGE_MIB, &s);
    stage_retire(s);
    assert_int_equal(stages_put(s, "x", 10), -ESTALE);
    assert_int_equal(stage_hold(s, &view), -ESTALE);
    assert_int_equal(stage_size(s), STAGE_MIB);
}

static void stage_fails_writes_when_nobody_can_load(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    pool_close(lab.fs->load);
    assert_int_equal(stages_put(s, "x", 10), -ESHUTDOWN);
    struct stage_view view;
    assert_int_equal(stage_hold(s, &view), -ESHUTDOWN);
    assert_int_equal(cache_usage(lab.cache), 0);
}

static void stage_hold_fails_when_the_base_cannot_be_loaded(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    struct stage_view view;
    assert_int_equal(fault_parse(lab.fault, "get:1+:broken", NULL), 0);
    assert_int_equal(stage_hold(s, &view), -EIO);
    fault_clear(lab.fault);
    assert_int_equal(stage_hold(s, &view), 0); /* nothing was held, and it may work later */
    stage_settle(s, false);
}

static void stage_holds_writes_back_until_it_is_settled(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "before", 0), 0);
    struct stage_view view;
    LAB_ANSWER(a);
    LAB_ANSWER(b);
    assert_int_equal(stage_hold(s, &view), 0);
    stage_write(s, "A", 1, 0, false, lab_answer_change, &a);
    stage_truncate(s, 3, lab_answer_change, &b);
    assert_false(lab_has_come(&a));
    assert_true(stages_says(s, "before", 0));
    char held[6];
    assert_int_equal(pread_full(view.fd, held, 6, 0), 0);
    assert_memory_equal(held, "before", 6);
    stage_settle(s, true);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(lab_wait(&b), 0);
    assert_true(stages_says(s, "Aef", 0));
    assert_true(stage_is_dirty(s)); /* by what was held back */
    assert_int_equal(stage_hold(s, &view), 0);
    stage_settle(s, true);
    assert_false(stage_is_dirty(s));
}

static void stage_stays_dirty_when_it_was_not_sent(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "x", 0), 0);
    struct stage_view view;
    assert_int_equal(stage_hold(s, &view), 0);
    stage_settle(s, false);
    assert_true(stage_is_dirty(s));
}

/* The bytes are a version of the cache already, but whoever stores them is not done. */
static void stage_holds_writes_back_though_it_froze(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "before", 0), 0);
    struct stage_view view;
    LAB_ANSWER(a);
    assert_int_equal(stage_hold(s, &view), 0);
    stage_set_frozen(s);
    stage_write(s, "A", 1, 0, false, lab_answer_change, &a);
    assert_false(lab_has_come(&a));
    stage_settle(s, true);
    stage_wait_settled(s);
    assert_int_equal(lab_wait(&a), 0);
    assert_true(stages_says(s, "Aefore", 0));
    assert_true(stage_is_dirty(s));
}

static void stage_holds_a_base_by_loading_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start_over(&lab, STAGE_MIB, &s);
    struct stage_view view;
    assert_int_equal(stage_hold(s, &view), 0);
    assert_int_equal(view.size, STAGE_MIB);
    assert_true(view.whole);
    CLEANUP(freep) void *data = malloc(STAGE_MIB);
    assert_int_equal(pread_full(view.fd, data, STAGE_MIB, 0), 0);
    assert_true(lab_is(data, 1, 0, STAGE_MIB));
    stage_settle(s, false);
    assert_false(stage_is_dirty(s));
}

/* Publishes the held bytes as a version of the cache, as a commit does. */
static void stage_freeze(struct lab *lab, struct stage *s, const char *etag,
                         struct store_stat *stat)
{
    struct stage_view view;
    uint64_t size = stage_size(s);
    assert_int_equal(stage_hold(s, &view), 0);
    *stat = (struct store_stat){.size = size};
    (void)stpcpy(stat->etag, etag);
    objects_adopt(lab->fs->objects, "k", stat, lab_crc(5, (size_t)size), stage_file(s));
    assert_string_equal(stage_file(s)->name, "");
    stage_set_frozen(s);
    stage_settle(s, true);
}

static bool stage_cached(struct lab *lab, const struct store_stat *stat, unsigned seed)
{
    struct object *o = NULL;
    CLEANUP(freep) void *data = malloc((size_t)stat->size);
    assert_int_equal(objects_open(lab->fs->objects, "k", stat, &o, &lab->err), 0);
    int64_t n = object_pread(o, data, (size_t)stat->size, 0);
    object_unref(o);
    return n == (int64_t)stat->size && lab_is(data, seed, 0, (size_t)stat->size);
}

static void stage_copies_what_was_published_before_it_changes(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct store_stat stat;
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 5, 0, 2 * STAGE_MIB), 0);
    stage_freeze(&lab, s, "one", &stat);
    assert_false(stage_is_dirty(s));
    assert_true(stages_has(s, 5, 0, 2 * STAGE_MIB));
    assert_int_equal(stages_put(s, "changed", 100), 0);
    assert_true(stages_has(s, 5, 107, 1000));
    assert_false(stages_has(s, 5, 100, 7));
    assert_true(stages_look(s).whole);
    assert_true(stage_cached(&lab, &stat, 5)); /* what was stored is as it was */
}

static void stage_lets_go_of_what_was_published_when_it_is_emptied(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct store_stat stat;
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 5, 0, STAGE_MIB), 0);
    stage_freeze(&lab, s, "one", &stat);
    assert_int_equal(stages_resize(s, 0), 0);
    assert_int_equal(stages_put(s, "new", 0), 0);
    assert_true(stages_says(s, "new", 0));
    assert_true(stages_look(s).whole);
    assert_true(stage_cached(&lab, &stat, 5));
}

static void stage_runs_what_waited_while_it_was_published(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct store_stat stat = {.size = 1000, .etag = "one"};
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 5, 0, 1000), 0);
    struct stage_view view;
    LAB_ANSWER(a);
    assert_int_equal(stage_hold(s, &view), 0);
    stage_write(s, "A", 1, 0, false, lab_answer_change, &a);
    objects_adopt(lab.fs->objects, "k", &stat, lab_crc(5, 1000), stage_file(s));
    stage_set_frozen(s);
    stage_settle(s, true);
    assert_int_equal(lab_wait(&a), 0);
    assert_true(stage_is_dirty(s));
    assert_true(stages_has(s, 5, 1, 999));
    assert_true(stage_cached(&lab, &stat, 5));
}

static void stage_fails_what_waited_when_no_copy_can_be_made(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct store_stat stat = {.size = 1000, .etag = "one"};
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 5, 0, 1000), 0);
    struct stage_view view;
    LAB_ANSWER(a);
    assert_int_equal(stage_hold(s, &view), 0);
    stage_write(s, "A", 1, 0, false, lab_answer_change, &a);
    objects_adopt(lab.fs->objects, "k", &stat, lab_crc(5, 1000), stage_file(s));
    stage_set_frozen(s);
    pool_close(lab.fs->load);
    stage_settle(s, true);
    assert_int_equal(lab_wait(&a), -ESHUTDOWN);
}

static void stage_allocates_room(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "abc", 0), 0);
    assert_int_equal(stages_ask_room(s, 0, 10000, false), 0);
    assert_int_equal(stage_size(s), 3);
    assert_true(stages_look(s).whole);
    assert_int_equal(stages_ask_room(s, 1000, 1000, true), 0);
    assert_int_equal(stage_size(s), 2000);
    assert_true(stages_has_zeros(s, 3, 1997));
    assert_false(stages_look(s).whole); /* allocated is not written */
    assert_int_equal(stages_ask_room(s, 0, 10, true), 0);
    assert_int_equal(stage_size(s), 2000);
}

static void stage_refuses_what_no_file_can_hold(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "x", INT64_MAX), -EFBIG);
    assert_int_equal(stages_put(s, "x", UINT64_MAX), -EFBIG);
    assert_int_equal(stages_resize(s, UINT64_MAX), -EFBIG);
    assert_int_equal(stages_ask_room(s, 1, UINT64_MAX, true), -EFBIG);
    assert_int_equal(stage_size(s), 0);
}

static void stage_fails_writes_below_the_floor(void **state)
{
    (void)state;
    LAB(lab, .free_min = 1ULL << 60);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "x", 0), -ENOSPC);
    assert_int_equal(stages_resize(s, 10), -ENOSPC);
    assert_int_equal(stages_resize(s, 0), 0);
    assert_int_equal(stage_size(s), 0);
    STAGE(over);
    stages_start_over(&lab, 1000, &over);
    assert_int_equal(stages_put(over, "x", 0), -ENOSPC);
}

static void stage_fails_writes_on_a_full_disk(void **state)
{
    (void)state;
    if (!lab_may_mount())
        skip();
    LAB(lab, 0);
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_mount_small(scratch_at(&lab.dir, "cache"), 256);
    lab_restart(&lab);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    int first = stages_put_bytes(s, 2, 0, 100000);
    int alloc = stages_ask_room(s, 0, STAGE_MIB, true);
    int second = stages_put_bytes(s, 2, 100000, 400000);
    bool kept = stages_has(s, 2, 0, 100000);
    stage_unref(TAKE(s));
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_unmount(scratch_at(&lab.dir, "cache"));
    assert_int_equal(first, 0);
    assert_int_equal(alloc, -ENOSPC);
    assert_int_equal(second, -ENOSPC);
    assert_true(kept);
}

static void stage_stays_cut_when_it_is_cut_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "text", 0), 0);
    assert_int_equal(stages_resize(s, 0), 0);
    assert_int_equal(stages_resize(s, 0), 0);
    assert_true(stages_look(s).cut);
}

static void stage_knows_that_a_copy_is_whole(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    struct store_stat stat;
    stages_start(&lab, NULL, &s);
    /* Backwards with gaps: more ranges than are remembered. */
    for (uint64_t i = EXTENT_RANGES_MAX + 1; i-- > 0;)
        assert_int_equal(stages_put(s, "x", 2 * i), 0);
    assert_int_equal(stages_put_bytes(s, 5, 0, 2 * EXTENT_RANGES_MAX + 1), 0);
    assert_false(stages_look(s).whole); /* it gave up */
    stage_freeze(&lab, s, "one", &stat);
    assert_int_equal(stages_put(s, "x", 7), 0);
    assert_true(stages_look(s).whole);
}

static void stage_gives_a_length_where_no_room_can_be_promised(void **state)
{
    (void)state;
    LAB(lab, 0);
    STAGE(s);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put(s, "abc", 0), 0);
    stage_fallocate_code = EOPNOTSUPP;
    assert_int_equal(stages_ask_room(s, 0, 1000, false), 0);
    assert_int_equal(stage_size(s), 3);
    assert_int_equal(stages_ask_room(s, 0, 2, true), 0);
    assert_true(stages_says(s, "abc", 0));
    assert_int_equal(stages_ask_room(s, 0, 1000, true), 0);
    stage_fallocate_code = EINTR;
    assert_int_equal(stages_ask_room(s, 0, 2000, true), 0);
    assert_int_equal(stage_fallocate_code, 0);
    struct stage_view view;
    struct stat st;
    assert_int_equal(stage_hold(s, &view), 0);
    assert_int_equal(view.size, 2000);
    assert_int_equal(fstat(view.fd, &st), 0);
    assert_int_equal(st.st_size, 2000); /* else it could not be sent */
    stage_settle(s, false);
}

static void stage_gives_its_room_back(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct stage *s = NULL;
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 2, 0, STAGE_MIB), 0);
    assert_true(cache_usage(lab.cache) >= STAGE_MIB);
    stage_retire(s);
    assert_int_equal(cache_usage(lab.cache), 0);
    assert_int_equal(stage_size(s), STAGE_MIB); /* that much is still known */
    stage_retire(s);
    assert_true(stage_ref(s) == s);
    stage_unref(s);
    stage_unref(s);
    stage_unref(NULL);
    stages_start(&lab, NULL, &s);
    assert_int_equal(stages_put_bytes(s, 2, 0, STAGE_MIB), 0);
    stage_unref(s);
    assert_int_equal(cache_usage(lab.cache), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stage_starts_empty_and_clean),
        cmocka_unit_test(stage_reads_what_was_written),
        cmocka_unit_test(stage_tells_whole_files_from_those_with_holes),
        cmocka_unit_test(stage_reads_through_to_its_base),
        cmocka_unit_test(stage_loads_its_base_once_for_all_who_write),
        cmocka_unit_test(stage_reads_its_base_while_that_is_loaded),
        cmocka_unit_test(stage_does_not_fetch_what_is_thrown_away),
        cmocka_unit_test(stage_cuts_and_grows_its_base),
        cmocka_unit_test(stage_fails_writes_when_its_base_cannot_be_loaded),
        cmocka_unit_test(stage_forgives_what_changed_nothing),
        cmocka_unit_test(stage_that_is_retired_takes_no_change),
        cmocka_unit_test(stage_fails_writes_when_nobody_can_load),
        cmocka_unit_test(stage_hold_fails_when_the_base_cannot_be_loaded),
        cmocka_unit_test(stage_holds_writes_back_until_it_is_settled),
        cmocka_unit_test(stage_stays_dirty_when_it_was_not_sent),
        cmocka_unit_test(stage_holds_writes_back_though_it_froze),
        cmocka_unit_test(stage_holds_a_base_by_loading_it),
        cmocka_unit_test(stage_copies_what_was_published_before_it_changes),
        cmocka_unit_test(stage_lets_go_of_what_was_published_when_it_is_emptied),
        cmocka_unit_test(stage_runs_what_waited_while_it_was_published),
        cmocka_unit_test(stage_fails_what_waited_when_no_copy_can_be_made),
        cmocka_unit_test(stage_allocates_room),
        cmocka_unit_test(stage_refuses_what_no_file_can_hold),
        cmocka_unit_test(stage_fails_writes_below_the_floor),
        cmocka_unit_test(stage_fails_writes_on_a_full_disk),
        cmocka_unit_test(stage_stays_cut_when_it_is_cut_again),
        cmocka_unit_test(stage_knows_that_a_copy_is_whole),
        cmocka_unit_test(stage_gives_a_length_where_no_room_can_be_promised),
        cmocka_unit_test(stage_gives_its_room_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
