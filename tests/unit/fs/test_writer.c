#include "tests/unit/unit.h"

#include "fs/writer.h"

#include "fs/node.h"
#include "tests/unit/fs/lab.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct place writer_plain = {.kind = PLACE_PLAIN, .obj = "file"};

static struct writer *writer_make(struct lab *lab, const char *name, const struct place *place)
{
    struct writer *w = NULL;
    struct writer_start start = {
        .dir = lab_folder(lab, "d/"), .name = name, .place = place, .if_match = STORE_ABSENT};
    LOCK_SCOPE(&lab->fs->mu);
    assert_int_equal(writer_new_locked(lab->fs, &start, &w), 0);
    return w;
}

static void writer_is_found_by_what_its_name_stands_for(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct place scratch = {.kind = PLACE_SCRATCH};
    struct place block = {.kind = PLACE_BLOCK, .view = NAME_OBJECT, .obj = "0_4_4_0_3_3_"};
    struct place raw = {.kind = PLACE_BLOCK, .view = NAME_RAW, .obj = "0_4_4_0_3_3_"};
    struct writer *plain = writer_make(&lab, "file", &writer_plain);
    struct writer *a = writer_make(&lab, "a.tmp", &scratch);
    struct writer *b = writer_make(&lab, "b.tmp", &scratch);
    struct writer *w = writer_make(&lab, "block_0_0", &block);
    struct folder *d = plain->dir;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_ptr_equal(writer_find_locked(d, "file", &writer_plain), plain);
        assert_ptr_equal(writer_find_locked(d, "a.tmp", &scratch), a);
        assert_ptr_equal(writer_find_locked(d, "b.tmp", &scratch), b);
        assert_null(writer_find_locked(d, "c.tmp", &scratch));
        assert_ptr_equal(writer_find_locked(d, "block_0_0.npy", &block), w); /* the same file */
        assert_null(writer_find_locked(d, "block_0_0.raw", &raw));
        writer_unlink_locked(w, false);
        assert_null(writer_find_locked(d, "block_0_0", &block));
        assert_false(w->dropped);
        writer_unlink_locked(w, true);
        assert_true(w->dropped);
        assert_int_equal(d->writer_count, 3);
    }
    writer_unref(plain);
    writer_unref(a);
    writer_unref(b);
    writer_unref(w);
    assert_int_equal(d->writer_count, 0);
    assert_null(d->writers);
}

static void writer_remembers_the_latest_tries_that_nobody_decided(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = writer_make(&lab, "file", &writer_plain);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_false(writer_has_undecided_locked(w, NULL));
        assert_false(writer_has_undecided_locked(w, ""));
        for (int i = 0; i < 30; i++) {
            char id[STORE_WRITE_ID_SIZE];
            for (int k = 0; k < 30; k++) {
                (void)snprintf(id, sizeof(id), "id-%d", k);
                assert_int_equal(writer_has_undecided_locked(w, id),
                                 k < i && k >= i - WRITER_UNDECIDED_MAX);
            }
            (void)snprintf(id, sizeof(id), "id-%d", i);
            writer_note_undecided_locked(w, id);
            assert_true(writer_has_undecided_locked(w, NULL));
        }
    }
    writer_unref(w);
}

static void writer_moves_with_its_bytes(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = writer_make(&lab, "file", &writer_plain);
    struct folder *from = w->dir;
    struct folder *to = lab_folder(&lab, "e/");
    struct place place = {.kind = PLACE_PLAIN, .obj = "other"};
    uint64_t ino = w->ino;
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_int_equal(writer_move_locked(w, to, "other", &place), 0);
        assert_null(writer_find_locked(from, "file", &writer_plain));
        assert_ptr_equal(writer_find_locked(to, "other", &place), w);
        assert_int_equal(w->ino, ino);
        assert_string_equal(w->name, "other");
    }
    writer_unref(w);
}

static void writer_is_shown_to_those_who_write_it(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w = writer_make(&lab, "file", &writer_plain);
    {
        LOCK_SCOPE(&lab.fs->mu);
        assert_true(w->unseen);
        assert_false(writer_is_visible_locked(w, 7));
        assert_true(writer_is_visible_locked(w, 0)); /* who asks cannot be told */
        writer_note_process_locked(w, 7);
        writer_note_process_locked(w, 7);
        assert_int_equal(w->processes, 1);
        assert_true(writer_is_visible_locked(w, 7));
        assert_false(writer_is_visible_locked(w, 8));
        w->unseen = false; /* stored */
        assert_true(writer_is_visible_locked(w, 8));
        w->unseen = true;
        for (pid_t p = 100; p < 100 + WRITER_OWNERS_MAX; p++)
            writer_note_process_locked(w, p);
        assert_true(writer_is_visible_locked(w, 8)); /* too many to tell */
        for (uint64_t o = 0; o <= WRITER_OWNERS_MAX; o++) {
            assert_false(writer_has_owner_locked(w, o));
            writer_note_owner_locked(w, o);
            assert_true(writer_has_owner_locked(w, o));
        }
        assert_true(writer_has_owner_locked(w, 12345));
    }
    writer_unref(w);
}

static void writer_tells_the_process_of_a_thread(void **state)
{
    (void)state;
    assert_int_equal(writer_process(gettid()), getpid());
    assert_int_equal(writer_process(-1), 0);
}

static void writer_says_when_it_cannot_tell_the_process(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    pid_t process = writer_process(gettid());
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(process, -EMFILE);
}

static void writer_lingers_until_it_is_let_go(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct place scratch = {.kind = PLACE_SCRATCH};
    struct writer *w = writer_make(&lab, "file", &writer_plain);
    struct writer *tmp = writer_make(&lab, "a.tmp", &scratch);
    struct writer *busy = writer_make(&lab, "busy", &writer_plain);
    struct folder *d = w->dir;
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_linger_locked(w, true);
        writer_linger_locked(w, true); /* holds one reference, not two */
        writer_linger_locked(tmp, true);
        writer_linger_locked(busy, true);
        busy->handles = 1;
    }
    writer_unref(w);
    writer_unref(tmp);
    writer_unref(busy);
    assert_int_equal(d->writer_count, 3);
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_linger_locked(w, false);
        assert_int_equal(d->writer_count, 2);
        assert_ptr_equal(writer_find_locked(d, "a.tmp", &scratch), tmp);
        writer_linger_locked(tmp, false);
        writer_linger_locked(busy, false);
        assert_int_equal(d->writer_count, 0);
    }
}

struct writer_visit {
    int count;
    struct writer *drop; /* let go of in the middle */
};

static void writer_visited(struct writer *w, void *arg)
{
    struct writer_visit *v = arg;
    v->count++;
    if (w == v->drop)
        writer_unref(w);
}

static void writer_each_visits_all_while_they_go(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct writer *w[4];
    static const char *const name[] = {"a", "b", "c", "d"};
    for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
        struct place place = {.kind = PLACE_PLAIN};
        (void)stpcpy(place.obj, name[i]);
        w[i] = writer_make(&lab, name[i], &place);
    }
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w[2], true); /* found by no name, and still there */
    }
    struct writer_visit v = {.drop = w[1]};
    writer_each(lab.fs, writer_visited, &v);
    assert_int_equal(v.count, 4);
    v = (struct writer_visit){0};
    writer_each(lab.fs, writer_visited, &v);
    assert_int_equal(v.count, 3);
    writer_unref(w[0]);
    writer_unref(w[2]);
    writer_unref(w[3]);
}

static void writer_refuses_what_no_key_can_be(void **state)
{
    (void)state;
    LAB(lab, 0);
    char path[STORE_KEY_MAX + 2];
    memset(path, 'x', sizeof(path));
    path[STORE_KEY_MAX] = '/';
    path[STORE_KEY_MAX + 1] = '\0';
    struct writer *w = NULL;
    struct folder *d = lab_folder(&lab, path);
    struct writer_start start = {
        .dir = d, .name = "file", .place = &writer_plain, .if_match = STORE_ABSENT};
    LOCK_SCOPE(&lab.fs->mu);
    assert_int_equal(writer_new_locked(lab.fs, &start, &w), -ENAMETOOLONG);
    assert_int_equal(d->writer_count, 0);
}

/* A rename that goes on although its caller was interrupted, and has removed the old name since. */
static void writer_that_was_dropped_is_not_found_after_a_move(void **state)
{
    (void)state;
    LAB(lab, 0);
    int code = 0;
    (void)lab_put_text(&lab, "d/x", "");
    struct writer *w = lab_create(&lab, "d/", "a.tmp", &code);
    assert_non_null(w);
    struct place place = {.kind = PLACE_PLAIN, .obj = "b"};
    {
        LOCK_SCOPE(&lab.fs->mu);
        writer_unlink_locked(w, true);
        assert_int_equal(writer_move_locked(w, w->dir, "b", &place), 0);
        assert_null(writer_find_locked(w->dir, "b", &place));
        assert_int_equal(w->dir->writer_count, 0);
    }
    lab_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer_is_found_by_what_its_name_stands_for),
        cmocka_unit_test(writer_remembers_the_latest_tries_that_nobody_decided),
        cmocka_unit_test(writer_moves_with_its_bytes),
        cmocka_unit_test(writer_is_shown_to_those_who_write_it),
        cmocka_unit_test(writer_tells_the_process_of_a_thread),
        cmocka_unit_test(writer_says_when_it_cannot_tell_the_process),
        cmocka_unit_test(writer_lingers_until_it_is_let_go),
        cmocka_unit_test(writer_each_visits_all_while_they_go),
        cmocka_unit_test(writer_refuses_what_no_key_can_be),
        cmocka_unit_test(writer_that_was_dropped_is_not_found_after_a_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
