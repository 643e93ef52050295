#include "tests/unit/unit.h"

#include "fs/object.h"

#include "base/crc32c.h"
#include "s3/fault.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBJECT_MIB ((uint64_t)1 << 20)

static void object_drop(struct object **o)
{
    object_unref(*o);
}

#define OBJECT(o) CLEANUP(object_drop) struct object *o = NULL

static bool object_reads(struct object *o, unsigned seed, uint64_t off, size_t len)
{
    CLEANUP(freep) void *data = malloc(len + 1);
    return object_pread(o, data, len, off) == (int64_t)len && lab_is(data, seed, off, len);
}

static void object_opens_the_current_version_with_its_first_get(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = lab_put(&lab, "k", 1, 4 * OBJECT_MIB);
    remote_clear(lab.store);
    {
        OBJECT(o);
        assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), 0);
        assert_string_equal(lab.err.msg, ""); /* it is no local file, but that is no error */
        assert_string_equal(object_stat(o)->etag, stat.etag);
        assert_int_equal(object_stat(o)->size, 4 * OBJECT_MIB);
        remote_shut(lab.store, REMOTE_GET);
        assert_true(object_reads(o, 1, 10, 4096)); /* the first chunk is here already */
        remote_open(lab.store);
    }
    struct remote_counts n = remote_count(lab.store);
    assert_in_range(n.gets, 1, 2); /* and what is read ahead */
    assert_int_equal(n.heads, 0);
}

static void object_asks_only_for_the_version_when_bytes_are_at_hand(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    OBJECT(other);
    struct store_stat stat = lab_put(&lab, "k", 1, 1000);
    struct objects *os = lab.fs->objects;
    assert_false(objects_has(os, "k", stat.etag));
    assert_int_equal(objects_current(os, "k", NULL, &o, &lab.err), 0);
    assert_true(objects_has(os, "k", stat.etag));
    remote_clear(lab.store);
    assert_int_equal(objects_current(os, "k", stat.etag, &other, &lab.err), OBJECT_SAME);
    assert_null(other);
    assert_int_equal(remote_count(lab.store).gets, 1);
    assert_int_equal(remote_count(lab.store).bytes, 0);
    (void)lab_put(&lab, "k", 2, 2000);
    assert_int_equal(objects_current(os, "k", stat.etag, &other, &lab.err), 0);
    assert_true(object_reads(other, 2, 0, 2000));
    assert_true(object_reads(o, 1, 0, 1000)); /* an open version stays what it is */
}

static void object_reports_what_the_store_says(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), -ENOENT);
    (void)lab_put(&lab, "k", 1, 10);
    assert_int_equal(fault_parse(lab.fault, "get:1:broken", NULL), 0);
    assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), -EIO);
    assert_non_null(strstr(lab.err.msg, "broken"));
    assert_null(o);
}

static void object_of_one_version_is_one_object(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(a);
    OBJECT(b);
    OBJECT(c);
    struct objects *os = lab.fs->objects;
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    struct store_stat other = lab_put(&lab, "l", 1, OBJECT_MIB);
    assert_int_equal(objects_open(os, "k", &stat, &a, &lab.err), 0);
    assert_int_equal(objects_open(os, "k", &stat, &b, &lab.err), 0);
    assert_int_equal(objects_open(os, "l", &other, &c, &lab.err), 0);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
}

static void object_asks_nothing_to_open_a_known_version(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    remote_clear(lab.store);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
    assert_int_equal(object_fd(o), -1);
    assert_true(object_reads(o, 1, 0, 100));
}

static void object_is_found_again_after_a_restart(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = lab_put(&lab, "k", 1, 3 * OBJECT_MIB);
    {
        OBJECT(o);
        assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
        assert_int_equal(object_all(o, &lab.err), 0);
        assert_true(object_fd(o) >= 0);
    }
    lab_restart(&lab);
    remote_clear(lab.store);
    assert_true(objects_has(lab.fs->objects, "k", stat.etag));
    OBJECT(o);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_int_equal(object_all(o, &lab.err), 0);
    assert_true(object_fd(o) >= 0);
    assert_true(object_reads(o, 1, 0, 3 * OBJECT_MIB));
    assert_int_equal(object_pread(o, (char[1]){0}, 1, 3 * OBJECT_MIB), 0); /* at the end */
    assert_int_equal(object_pread(o, (char[1]){0}, 1, UINT64_MAX), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void object_is_fetched_again_when_the_cache_is_damaged(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    char id[CACHE_ID_SIZE];
    char path[128];
    {
        OBJECT(o);
        assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
        assert_int_equal(object_all(o, &lab.err), 0);
    }
    lab_restart(&lab);
    assert_int_equal(cache_id(store_id(lab.store), "k", stat.etag, id), 0);
    (void)snprintf(path, sizeof(path), "cache/objects/%.3s/%s.%08x", id, id + 3,
                   lab_crc(1, OBJECT_MIB));
    CLEANUP(closep) int fd = open(scratch_at(&lab.dir, path), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite_full(fd, "!", 1, 77777), 0);
    OBJECT(o);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_true(object_reads(o, 1, 0, OBJECT_MIB));
    assert_true(remote_count(lab.store).gets > 0);
}

static void object_is_fetched_again_when_the_cache_has_other_bytes(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = lab_put(&lab, "k", 1, 1000);
    struct cache_file f = {.fd = -1};
    CLEANUP(freep) void *data = lab_bytes(2, 0, 1000);
    char id[CACHE_ID_SIZE];
    assert_int_equal(cache_id(store_id(lab.store), "k", stat.etag, id), 0);
    assert_int_equal(cache_file_new(lab.cache, &f, NULL), 0);
    assert_int_equal(pwrite_full(f.fd, data, 1000, 0), 0);
    assert_int_equal(cache_file_publish(lab.cache, &f, id, lab_crc(2, 1000)), 0);
    cache_file_drop(lab.cache, &f);
    OBJECT(o);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_true(object_reads(o, 1, 0, 1000));
}

static void object_of_a_local_store_is_the_file_itself(void **state)
{
    (void)state;
    LAB(lab, .local = true);
    OBJECT(o);
    OBJECT(p);
    OBJECT(q);
    struct objects *os = lab.fs->objects;
    struct store_stat old = lab_put(&lab, "k", 1, OBJECT_MIB);
    assert_int_equal(objects_current(os, "k", NULL, &o, &lab.err), 0);
    assert_true(object_fd(o) >= 0);
    assert_true(object_reads(o, 1, 5, 1000));
    assert_int_equal(objects_current(os, "k", old.etag, &p, &lab.err), OBJECT_SAME);
    assert_int_equal(objects_open(os, "k", &old, &p, &lab.err), 0);
    assert_ptr_equal(o, p);
    struct store_stat stat = lab_put(&lab, "k", 2, OBJECT_MIB);
    assert_true(object_reads(o, 1, 5, 1000));
    assert_int_equal(objects_current(os, "k", old.etag, &q, &lab.err), 0);
    assert_string_equal(object_stat(q)->etag, stat.etag);
    assert_true(object_reads(q, 2, 5, 1000));
    assert_int_equal(cache_usage(lab.cache), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void object_of_a_local_store_is_stale_when_it_changed(void **state)
{
    (void)state;
    LAB(lab, .local = true);
    OBJECT(o);
    struct store_stat old = lab_put(&lab, "k", 1, 1000);
    (void)lab_put(&lab, "k", 2, 1000);
    assert_int_equal(objects_open(lab.fs->objects, "k", &old, &o, &lab.err), -ESTALE);
    assert_int_equal(store_del(lab.fault, "k", NULL, NULL), 0);
    assert_int_equal(objects_open(lab.fs->objects, "k", &old, &o, &lab.err), -ENOENT);
    assert_int_equal(objects_current(lab.fs->objects, "k", NULL, &o, &lab.err), -ENOENT);
}

static void object_that_shrank_in_a_local_store_is_an_error(void **state)
{
    (void)state;
    LAB(lab, .local = true);
    OBJECT(o);
    struct store_stat stat = lab_put(&lab, "k", 1, 10000);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_int_equal(truncate(scratch_at(&lab.dir, "store/k"), 100), 0);
    char data[200];
    assert_int_equal(object_pread(o, data, 200, 0), -EIO);
}

static void object_stays_a_while_after_its_last_reader(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct objects *os = lab.fs->objects;
    struct store_stat stat = lab_put(&lab, "k", 1, 4 * OBJECT_MIB);
    for (int i = 0; i < 2; i++) {
        OBJECT(o);
        assert_int_equal(objects_open(os, "k", &stat, &o, &lab.err), 0);
        assert_true(object_reads(o, 1, 3 * OBJECT_MIB, 100));
    }
    assert_int_equal(remote_count(lab.store).gets, 1); /* the second time it was still there */
    assert_true(objects_has(os, "k", stat.etag));
    /* ... but not when many others came since */
    for (int i = 0; i < 64; i++) {
        char key[16];
        OBJECT(o);
        (void)snprintf(key, sizeof(key), "o%d", i);
        (void)lab_put(&lab, key, 1, 100);
        assert_int_equal(objects_current(os, key, NULL, &o, &lab.err), 0);
    }
    assert_false(objects_has(os, "k", stat.etag));
}

static void object_that_nobody_reads_makes_room_for_others(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 4 * OBJECT_MIB);
    struct objects *os = lab.fs->objects;
    char key[8];
    for (unsigned i = 0; i < 12; i++) {
        OBJECT(o);
        (void)snprintf(key, sizeof(key), "o%u", i);
        struct store_stat stat = lab_put(&lab, key, i, OBJECT_MIB);
        assert_int_equal(objects_open(os, key, &stat, &o, &lab.err), 0);
        assert_int_equal(object_all(o, &lab.err), 0);
        assert_true(objects_has(os, key, stat.etag));
    }
    assert_in_range(cache_usage(lab.cache), OBJECT_MIB, 4 * OBJECT_MIB);
    assert_false(objects_has(os, "o0", lab_head(&lab, "o0").etag));
    /* One that is read stays; a large one that is read in part and left goes. */
    OBJECT(held);
    assert_int_equal(objects_current(os, "o11", NULL, &held, &lab.err), 0);
    (void)lab_put(&lab, "large", 99, 3 * OBJECT_MIB);
    {
        OBJECT(o);
        assert_int_equal(objects_current(os, "large", NULL, &o, &lab.err), 0);
        assert_true(object_reads(o, 99, 0, 4096));
    }
    OBJECT(o);
    assert_int_equal(objects_current(os, "o3", NULL, &o, &lab.err), 0);
    assert_int_equal(object_all(o, &lab.err), 0);
    assert_true(object_reads(held, 11, 0, OBJECT_MIB));
}

static void object_without_bytes_is_not_kept(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    {
        OBJECT(o);
        assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    }
    assert_false(objects_has(lab.fs->objects, "k", stat.etag));
    object_unref(NULL);
}

/* A derived version: the sequence of `seed`. */
struct object_recipe {
    unsigned seed;
    size_t len;
    int code;
    int times;
};

static int object_cook(void *arg, int fd, struct err *err)
{
    struct object_recipe *r = arg;
    CLEANUP(freep) void *data = lab_bytes(r->seed, 0, r->len);
    r->times++;
    if (r->code < 0)
        return err_set(err, r->code, "no luck");
    return pwrite_full(fd, data, r->len, 0);
}

static void object_derived_is_made_once(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = {.size = 5000, .etag = "e#raw"};
    struct object_recipe recipe = {.seed = 9, .len = 5000};
    for (int i = 0; i < 2; i++) {
        OBJECT(o);
        OBJECT(p);
        assert_int_equal(
            objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err), 0);
        assert_int_equal(
            objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &p, &lab.err), 0);
        assert_ptr_equal(o, p);
        assert_true(object_reads(o, 9, 0, 5000));
        assert_true(object_fd(o) >= 0);
    }
    lab_restart(&lab);
    OBJECT(o);
    assert_int_equal(
        objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err), 0);
    assert_true(object_reads(o, 9, 0, 5000));
    assert_int_equal(recipe.times, 1);
}

static void object_derived_fails_without_a_trace(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    struct store_stat stat = {.size = 5000, .etag = "e#raw"};
    struct object_recipe recipe = {.seed = 9, .len = 5000, .code = -EBADMSG};
    assert_int_equal(
        objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err), -EBADMSG);
    assert_string_equal(lab.err.msg, "no luck");
    recipe.code = 0;
    recipe.len = 4999; /* too short */
    assert_true(objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err) <
                0);
    assert_int_equal(cache_usage(lab.cache), 0);
    recipe.len = 5000;
    assert_int_equal(
        objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err), 0);
}

static void object_derived_needs_room(void **state)
{
    (void)state;
    LAB(lab, .free_min = 1ULL << 60);
    OBJECT(o);
    struct store_stat stat = {.size = 5000, .etag = "e#raw"};
    struct object_recipe recipe = {.seed = 9, .len = 5000};
    assert_int_equal(
        objects_derived(lab.fs->objects, "k", &stat, object_cook, &recipe, &o, &lab.err), -ENOSPC);
    assert_non_null(strstr(lab.err.msg, "no room"));
}

static void object_adopted_is_not_fetched(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    struct cache_file f = {.fd = -1};
    CLEANUP(freep) void *data = lab_bytes(1, 0, OBJECT_MIB);
    assert_int_equal(cache_file_new(lab.cache, &f, NULL), 0);
    assert_int_equal(pwrite_full(f.fd, data, OBJECT_MIB, 0), 0);
    objects_adopt(lab.fs->objects, "k", &stat, lab_crc(1, OBJECT_MIB), &f);
    assert_string_equal(f.name, "");
    cache_file_drop(lab.cache, &f);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_true(object_reads(o, 1, 0, OBJECT_MIB));
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void object_that_failed_is_not_given_to_the_next(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    OBJECT(p);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    remote_damage(lab.store, &(struct remote_damage){.flip = true});
    assert_int_equal(object_all(o, &lab.err), -EBADMSG);
    remote_damage(lab.store, &(struct remote_damage){0}); /* it was on the way, not in the store */
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &p, &lab.err), 0);
    assert_true(object_reads(p, 1, 0, OBJECT_MIB));
    assert_int_equal(object_pread(o, (char[1]){0}, 1, 0), -EBADMSG);
    OBJECT(q);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &q, &lab.err), 0);
    assert_ptr_equal(p, q);
}

static void object_all_says_why_not(void **state)
{
    (void)state;
    LAB(lab, 0);
    OBJECT(o);
    struct store_stat stat = lab_put(&lab, "k", 1, OBJECT_MIB);
    assert_int_equal(objects_open(lab.fs->objects, "k", &stat, &o, &lab.err), 0);
    assert_int_equal(fault_parse(lab.fault, "get:1+:broken", NULL), 0);
    assert_int_equal(object_all(o, &lab.err), -EIO);
    assert_non_null(strstr(lab.err.msg, "read k"));
}

/* What is stored, removed by others and asked for, all within a millisecond. */
static void object_that_was_stored_is_gone_when_the_store_says_so_later(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct store_stat stat = {.etag = "\"e\"", .size = 1};
    struct store_stat got;
    for (int i = 0; i < 100; i++) {
        int64_t before = clock_ns();
        objects_note_latest(lab.fs->objects, "k", &stat);
        objects_note_absent(lab.fs->objects, "k", before);
        assert_true(objects_stored(lab.fs->objects, "k", &got));
        objects_note_absent(lab.fs->objects, "k", clock_ns() + 1);
        assert_false(objects_stored(lab.fs->objects, "k", &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(object_opens_the_current_version_with_its_first_get),
        cmocka_unit_test(object_asks_only_for_the_version_when_bytes_are_at_hand),
        cmocka_unit_test(object_reports_what_the_store_says),
        cmocka_unit_test(object_of_one_version_is_one_object),
        cmocka_unit_test(object_asks_nothing_to_open_a_known_version),
        cmocka_unit_test(object_is_found_again_after_a_restart),
        cmocka_unit_test(object_is_fetched_again_when_the_cache_is_damaged),
        cmocka_unit_test(object_is_fetched_again_when_the_cache_has_other_bytes),
        cmocka_unit_test(object_of_a_local_store_is_the_file_itself),
        cmocka_unit_test(object_of_a_local_store_is_stale_when_it_changed),
        cmocka_unit_test(object_that_shrank_in_a_local_store_is_an_error),
        cmocka_unit_test(object_stays_a_while_after_its_last_reader),
        cmocka_unit_test(object_that_nobody_reads_makes_room_for_others),
        cmocka_unit_test(object_without_bytes_is_not_kept),
        cmocka_unit_test(object_derived_is_made_once),
        cmocka_unit_test(object_derived_fails_without_a_trace),
        cmocka_unit_test(object_derived_needs_room),
        cmocka_unit_test(object_adopted_is_not_fetched),
        cmocka_unit_test(object_that_failed_is_not_given_to_the_next),
        cmocka_unit_test(object_all_says_why_not),
        cmocka_unit_test(object_that_was_stored_is_gone_when_the_store_says_so_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
