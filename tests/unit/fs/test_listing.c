#include "tests/unit/unit.h"

#include "fs/listing.h"

#include "tests/kit/rng.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LISTING(l)                                  \
    CLEANUP(listing_drop) struct listing *l = NULL; \
    assert_int_equal(listing_new(&(l)), 0)

static void listing_drop(struct listing **l)
{
    listing_unref(*l);
}

/* A store of nothing but a list, made by the test. */
struct listing_store {
    struct store base;
    const char *const *key;
    size_t keys; /* 0: `made` keys "p/NNNNNN" */
    size_t made;
    int code;
};

static int listing_store_list(struct store *st, const struct store_list *list, store_list_fn *fn,
                              void *arg, struct err *err)
{
    const struct listing_store *s = (const struct listing_store *)st;
    struct store_stat stat = {.size = 7, .mtime_ns = 9, .etag = "e"};
    char key[64];
    (void)list;
    for (size_t i = 0; i < (s->keys ? s->keys : s->made); i++) {
        const char *text = s->keys ? s->key[i] : key;
        (void)snprintf(key, sizeof(key), "p/%06zu", i);
        bool dir = text[strlen(text) - 1] == '/' && strcmp(text, "p/") != 0;
        int r = fn(arg, text, dir ? NULL : &stat);
        if (r != 0)
            return r;
    }
    return s->code < 0 ? err_set(err, s->code, "listing store") : 0;
}

static const struct store_ops listing_store_ops = {.name = "test", .list = listing_store_list};

static void listing_fill(struct listing *l, const char *const *key, size_t keys)
{
    struct listing_store s = {.base = {.ops = &listing_store_ops}, .key = key, .keys = keys};
    assert_int_equal(listing_run(l, &s.base, "p/", NULL), 0);
}

static const char *const listing_keys[] = {
    "p/",   "p/a",  "p/a!",  "p/a-/", "p/a-b", "p/a.b/",
    "p/a/", "p/a0", "p/a0/", "p/ab",  "p/b",   "p/\xc3\xa9/",
};

static void listing_keeps_order_and_finds_every_name(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_entry e;
    assert_int_equal(listing_at(l, 0, &e), -EAGAIN);
    assert_false(listing_done(l));
    assert_false(listing_find(l, "a!", &e));
    listing_fill(l, listing_keys, ARRAY_SIZE(listing_keys));
    assert_true(listing_done(l));
    assert_int_equal(listing_count(l), ARRAY_SIZE(listing_keys) - 1); /* the marker has no name */
    for (size_t i = 0; i + 1 < ARRAY_SIZE(listing_keys); i++) {
        const char *key = listing_keys[i + 1] + 2;
        size_t len = strcspn(key, "/");
        assert_int_equal(listing_at(l, i, &e), 1);
        assert_int_equal(strlen(e.name), len);
        assert_memory_equal(e.name, key, len);
        assert_int_equal(e.is_dir, key[len] == '/');
        assert_string_equal(e.etag, e.is_dir ? "" : "e");
        assert_int_equal(e.size, e.is_dir ? 0 : 7);
        struct listing_entry found;
        assert_true(listing_find(l, e.name, &found));
        assert_string_equal(found.name, e.name);
    }
    assert_int_equal(listing_at(l, listing_count(l), &e), 0);
    static const char *const absent[] = {"", "A", "a\"", "a.", "a1", "aa", "c", "\xc3"};
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_false(listing_find(l, absent[i], &e));
}

static void listing_finds_the_directory_of_two_with_one_name(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_entry e;
    listing_fill(l, listing_keys, ARRAY_SIZE(listing_keys));
    assert_true(listing_find(l, "a", &e));
    assert_true(e.is_dir);
    assert_true(listing_find(l, "a0", &e));
    assert_true(e.is_dir);
    assert_true(listing_find(l, "a!", &e));
    assert_false(e.is_dir);
}

static void listing_finds_what_a_real_store_lists(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct rng rng;
    rng_init(&rng);
    static const char letter[] = "ab-/.0~ ";
    for (int i = 0; i < 60; i++) {
        char key[16] = "p/";
        size_t len = 1 + rng_below(&rng, 5);
        for (size_t k = 0; k < len; k++)
            key[2 + k] = letter[rng_below(&rng, sizeof(letter) - 1)];
        key[2 + len] = '\0';
        (void)store_put(lab.fault, key, &(struct store_body){.fd = -1}, &(struct store_put){0},
                        NULL, NULL); /* some cannot be keys beside others: let them be */
    }
    LISTING(l);
    assert_int_equal(listing_run(l, lab.store, "p/", &lab.err), 0);
    struct listing_entry e;
    struct listing_entry found;
    for (size_t i = 0; listing_at(l, i, &e) == 1; i++) {
        if (!listing_find(l, e.name, &found) || strcmp(found.name, e.name) != 0)
            fail_msg("'%s' is listed and not found", e.name);
    }
    assert_int_equal(remote_count(lab.store).lists, 1);
}

static void listing_ends_with_the_error_of_the_store(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_entry e;
    struct err err = {0};
    struct listing_store s = {.base = {.ops = &listing_store_ops}, .made = 3, .code = -EACCES};
    assert_int_equal(listing_run(l, &s.base, "p/", &err), -EACCES);
    assert_string_equal(err.msg, "listing store");
    assert_int_equal(listing_at(l, 2, &e), 1);
    assert_int_equal(listing_at(l, 3, &e), -EACCES);
    assert_false(listing_done(l));
    assert_false(listing_find(l, "000001", &e));
    LISTING(other);
    listing_fail(other, -ENOMEM);
    assert_int_equal(listing_at(other, 0, &e), -ENOMEM);
}

static void listing_doubts_names_that_changed_since(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_entry e;
    listing_note_change(l, "ab"); /* while it runs */
    size_t before = listing_bytes(l);
    listing_fill(l, listing_keys, ARRAY_SIZE(listing_keys));
    assert_true(listing_bytes(l) > before);
    assert_false(listing_find(l, "ab", &e));
    assert_true(listing_find(l, "b", &e));
    listing_note_change(l, "b");
    listing_note_change(l, "b");
    assert_false(listing_find(l, "b", &e));
    assert_true(listing_find(l, "a", &e));
    assert_int_equal(listing_at(l, 9, &e), 1); /* it is still listed */
    assert_string_equal(e.name, "b");
}

static void listing_doubts_all_names_when_too_many_changed(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_entry e;
    char name[32];
    listing_fill(l, listing_keys, ARRAY_SIZE(listing_keys));
    for (int i = 0; i < 2048; i++) {
        (void)snprintf(name, sizeof(name), "other%d", i);
        listing_note_change(l, name);
    }
    assert_true(listing_find(l, "a", &e));
    listing_note_change(l, "one more");
    assert_false(listing_find(l, "a", &e));
}

static void listing_trusts_for_a_second_or_twice_its_time(void **state)
{
    (void)state;
    LAB(lab, 0);
    (void)lab_put(&lab, "p/a", 1, 10);
    LISTING(l);
    int64_t begun_ms = clock_ms();
    assert_int_equal(listing_run(l, lab.store, "p/", NULL), 0);
    int64_t ended_ms = clock_ms();
    assert_true(listing_begun_ms(l) <= begun_ms);
    assert_in_range(listing_good_until_ms(l), begun_ms + 1000,
                    ended_ms + 1000 + 2 * (ended_ms - begun_ms));
    int64_t good = listing_good_until_ms(l);
    while (clock_ms() <= ended_ms + 2)
        ;
    listing_note_use(l);
    assert_true(listing_good_until_ms(l) > good);
}

/* Those who wait for an entry, and how often each was called. */
struct listing_call {
    _Atomic int times;
    size_t count_then; /* entries when it was called */
    struct listing *l;
};

static void listing_called(void *arg)
{
    struct listing_call *c = arg;
    c->count_then = listing_count(c->l);
    c->times++;
}

static void listing_calls_each_waiter_once_when_its_entry_is_there(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_call first = {.l = l};
    struct listing_call middle = {.l = l};
    struct listing_call last = {.l = l};
    struct listing_call late = {.l = l};
    assert_int_equal(listing_wait(l, 0, listing_called, &first), 0);
    assert_int_equal(listing_wait(l, 1500, listing_called, &middle), 0);
    assert_int_equal(listing_wait(l, 1000000, listing_called, &last), 0);
    assert_int_equal(first.times, 0);
    struct listing_store s = {.base = {.ops = &listing_store_ops}, .made = 2500};
    assert_int_equal(listing_run(l, &s.base, "p/", NULL), 0);
    assert_int_equal(first.times, 1);
    assert_int_equal(first.count_then, 1000); /* with the first page, not at the end */
    assert_int_equal(middle.times, 1);
    assert_int_equal(middle.count_then, 2000);
    assert_int_equal(last.times, 1);
    assert_int_equal(last.count_then, 2500);
    assert_int_equal(listing_wait(l, 7, listing_called, &late), 0);
    assert_int_equal(listing_wait(l, 7000000, listing_called, &late), 0);
    assert_int_equal(late.times, 2); /* at once */
}

static void listing_calls_waiters_when_it_fails(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_call c = {.l = l};
    assert_int_equal(listing_wait(l, 0, listing_called, &c), 0);
    listing_fail(l, -EIO);
    assert_int_equal(c.times, 1);
}

static void *listing_reader(void *arg)
{
    struct listing *l = arg;
    struct listing_entry e;
    size_t wrong = 0;
    char name[32];
    for (size_t i = 0;;) {
        int r = listing_at(l, i, &e);
        if (r == 0)
            return (void *)(uintptr_t)(wrong * 100000 + i); // NOLINT(performance-no-int-to-ptr)
        if (r == -EAGAIN)
            continue;
        (void)snprintf(name, sizeof(name), "%06zu", i++);
        wrong += strcmp(name, e.name) != 0;
    }
}

static void listing_is_followed_by_readers_as_it_grows(void **state)
{
    (void)state;
    LISTING(l);
    pthread_t thread[4];
    for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, listing_reader, l), 0);
    struct listing_store s = {.base = {.ops = &listing_store_ops}, .made = 5000};
    assert_int_equal(listing_run(l, &s.base, "p/", NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
        void *ret = NULL;
        assert_int_equal(pthread_join(thread[i], &ret), 0);
        assert_int_equal((uintptr_t)ret, 5000);
    }
}

static void listing_packs_its_entries(void **state)
{
    (void)state;
    LISTING(l);
    struct listing_store s = {.base = {.ops = &listing_store_ops}, .made = 100000};
    assert_int_equal(listing_run(l, &s.base, "p/", NULL), 0);
    assert_in_range(listing_bytes(l) / 100000, 1, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listing_keeps_order_and_finds_every_name),
        cmocka_unit_test(listing_finds_the_directory_of_two_with_one_name),
        cmocka_unit_test(listing_finds_what_a_real_store_lists),
        cmocka_unit_test(listing_ends_with_the_error_of_the_store),
        cmocka_unit_test(listing_doubts_names_that_changed_since),
        cmocka_unit_test(listing_doubts_all_names_when_too_many_changed),
        cmocka_unit_test(listing_trusts_for_a_second_or_twice_its_time),
        cmocka_unit_test(listing_calls_each_waiter_once_when_its_entry_is_there),
        cmocka_unit_test(listing_calls_waiters_when_it_fails),
        cmocka_unit_test(listing_is_followed_by_readers_as_it_grows),
        cmocka_unit_test(listing_packs_its_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
