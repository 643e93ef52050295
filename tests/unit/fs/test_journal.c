#include "tests/unit/unit.h"

#include "fs/journal.h"

#include "tests/kit/rng.h"
#include "tests/unit/fs/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A private file with its journal. */
struct journal_pair {
    struct cache_file file;
    struct journal *journal;
};

static struct journal_about journal_about(const char *key)
{
    struct journal_about about = {.kind = JOURNAL_BLOCK, .if_match = "e1", .head_len = 2};
    (void)snprintf(about.key, sizeof(about.key), "%s", key);
    memcpy(about.head, "hi", 2);
    return about;
}

static struct journal_pair journal_start(struct cache *c)
{
    struct journal_pair p = {.file = {.fd = -1}};
    struct journal_about about = journal_about("A/0_4_4_0_3_3_");
    assert_int_equal(cache_file_new(c, &p.file, NULL), 0);
    assert_int_equal(journal_new(c, &p.file, &about, &p.journal), 0);
    return p;
}

static int journal_open(struct cache *c, const struct cache_file *f, int flags)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s.note", f->name);
    return openat(cache_mount_fd(c), name, flags | O_CLOEXEC);
}

/* What somebody reads who comes later. */
static int journal_look(struct cache *c, const struct cache_file *f, struct journal_note *ret)
{
    CLEANUP(closep) int fd = journal_open(c, f, O_RDONLY);
    return fd < 0 ? -errno : journal_read(fd, ret);
}

static void journal_end(struct cache *c, struct journal_pair *p)
{
    cache_file_drop(c, &p->file);
    journal_free(TAKE(p->journal));
}

static void journal_says_what_it_was_told_last(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct journal_note note;
    struct extent written = {0};
    struct journal_pair p = journal_start(lab.cache);
    assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
    assert_false(note.dirty);
    assert_string_equal(note.about.key, "A/0_4_4_0_3_3_");
    assert_memory_equal(note.about.head, "hi", 2);
    for (uint64_t i = 0; i < 5; i++) {
        struct journal_about about = journal_about("B/x");
        about.kind = (uint32_t)(i % 4);
        assert_int_equal(extent_add(&written, 10 * i, 10 * i + 5), 0);
        journal_set_dirty(p.journal, &written);
        journal_set_about(p.journal, &about);
        assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
        assert_true(note.dirty);
        assert_int_equal(note.about.kind, i % 4);
        assert_string_equal(note.about.key, "B/x");
        assert_int_equal(note.written.count, i + 1);
        assert_true(extent_covers(&note.written, 10 * i, 10 * i + 5));
        assert_false(extent_covers(&note.written, 10 * i, 10 * i + 6));
        extent_clear(&note.written);
    }
    journal_set_clean(p.journal);
    assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
    assert_false(note.dirty);
    extent_clear(&note.written);
    extent_clear(&written);
    journal_end(lab.cache, &p);
}

static void journal_does_not_know_of_more_ranges_than_it_holds(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct journal_note note;
    struct extent written = {0};
    struct journal_pair p = journal_start(lab.cache);
    for (uint64_t i = 0; i < JOURNAL_RANGES_MAX; i++)
        assert_int_equal(extent_add(&written, 2 * i, 2 * i + 1), 0);
    journal_set_dirty(p.journal, &written);
    assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
    assert_int_equal(note.written.count, JOURNAL_RANGES_MAX);
    extent_clear(&note.written);
    assert_int_equal(extent_add(&written, 2 * JOURNAL_RANGES_MAX, 2 * JOURNAL_RANGES_MAX + 1), 0);
    journal_set_dirty(p.journal, &written);
    assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
    assert_true(note.written.lost);
    assert_false(extent_covers(&note.written, 0, 1));
    extent_clear(&written);
    assert_int_equal(extent_add(&written, 0, 3), 0);
    journal_set_dirty(p.journal, &written); /* and knows again once they are few */
    assert_int_equal(journal_look(lab.cache, &p.file, &note), 0);
    assert_true(extent_covers(&note.written, 0, 3));
    extent_clear(&note.written);
    extent_clear(&written);
    journal_end(lab.cache, &p);
}

static void journal_goes_or_stays_as_it_is_told(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct journal_note note;
    struct journal_pair gone = journal_start(lab.cache);
    struct journal_pair left = journal_start(lab.cache);
    struct cache_file file = gone.file;
    journal_free(TAKE(gone.journal));
    assert_int_equal(journal_look(lab.cache, &file, &note), -ENOENT);
    journal_abandon(TAKE(left.journal));
    assert_int_equal(journal_look(lab.cache, &left.file, &note), 0);
    cache_file_drop(lab.cache, &gone.file);
    cache_file_drop(lab.cache, &left.file);
    journal_free(NULL);
    journal_abandon(NULL);
}

static void journal_read_refuses_what_is_none(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct journal_note note;
    struct rng rng;
    struct journal_pair p = journal_start(lab.cache);
    struct stat st;
    rng_init(&rng);
    CLEANUP(closep) int fd = journal_open(lab.cache, &p.file, O_RDWR);
    assert_int_equal(fstat(fd, &st), 0);
    CLEANUP(freep) char *whole = malloc((size_t)st.st_size);
    assert_int_equal(pread_full(fd, whole, (size_t)st.st_size, 0), 0);
    for (int i = 0; i < 2000; i++) { /* any bytes at all: an answer, and no harm */
        for (int k = 0; k < 8; k++) {
            unsigned char byte = (unsigned char)rng_below(&rng, 256);
            uint64_t at = rng_below(&rng, k < 6 ? 40 : (size_t)st.st_size);
            assert_int_equal(pwrite_full(fd, &byte, 1, at), 0);
        }
        if (journal_read(fd, &note) == 0) {
            assert_true(strlen(note.about.key) > 0 && note.about.kind <= JOURNAL_RAW);
            extent_clear(&note.written);
        }
        assert_int_equal(pwrite_full(fd, whole, (size_t)st.st_size, 0), 0);
    }
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
    assert_int_equal(journal_read(fd, &note), -EBADMSG);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(journal_read(fd, &note), -EBADMSG);
    assert_int_equal(journal_read(-1, &note), -EBADF);
    journal_end(lab.cache, &p);
}

/* Changes both halves of a journal for ever: state n has n ranges and the key "n". */
static void journal_change_for_ever(struct journal *j)
{
    for (uint64_t n = 1;; n = n % JOURNAL_RANGES_MAX + 1) {
        struct extent written = {0};
        char key[32];
        (void)snprintf(key, sizeof(key), "%llu", (unsigned long long)n);
        struct journal_about about = journal_about(key);
        memset(about.head, (int)n, sizeof(about.head));
        for (uint64_t i = 0; i < n; i++)
            assert_int_equal(extent_add(&written, i * 1000 + n, i * 1000 + 2 * n), 0);
        journal_set_about(j, &about);
        journal_set_dirty(j, &written);
        extent_clear(&written);
    }
}

static void journal_holds_whenever_its_keeper_is_killed(void **state)
{
    (void)state;
    struct rng rng;
    struct scratch dir;
    struct cache *c = NULL;
    scratch_init(&dir); /* no threads, which a fork would leave behind */
    struct cache_conf conf = {.dir = scratch_at(&dir, "cache"), .any_fs = true};
    assert_int_equal(cache_open(&conf, &c, NULL), 0);
    rng_init(&rng);
    struct journal_pair p = journal_start(c);
    uint64_t seen = 0;
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            journal_change_for_ever(p.journal);
        (void)usleep((useconds_t)rng_below(&rng, 5000));
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        struct journal_note note;
        assert_int_equal(journal_look(c, &p.file, &note), 0);
        uint64_t n = note.written.count;
        for (uint64_t k = 0; k < n; k++) {
            assert_int_equal(note.written.range[k].from, k * 1000 + n);
            assert_int_equal(note.written.range[k].to, k * 1000 + 2 * n);
        }
        uint64_t about = strtoull(note.about.key, NULL, 10);
        for (size_t k = 0; about > 0 && k < sizeof(note.about.head); k++)
            assert_int_equal((unsigned char)note.about.head[k], about & 255);
        seen += n > 0;
        extent_clear(&note.written);
    }
    assert_true(seen > 20);
    journal_end(c, &p);
    cache_close(c);
    scratch_fini(&dir);
}

static void journal_new_fails_where_there_is_no_room(void **state)
{
    (void)state;
    if (!lab_may_mount())
        skip();
    LAB(lab, 0);
    struct journal *journals[64] = {0};
    struct cache_file files[64];
    size_t made = 0;
    int r = 0;
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_mount_small(scratch_at(&lab.dir, "cache"), 128);
    lab_restart(&lab);
    for (; r == 0 && made < ARRAY_SIZE(journals); made += r == 0) {
        struct journal_about about = journal_about("k");
        files[made] = (struct cache_file){.fd = -1};
        assert_int_equal(cache_file_new(lab.cache, &files[made], NULL), 0);
        r = journal_new(lab.cache, &files[made], &about, &journals[made]);
    }
    struct journal_note note;
    int look = journal_look(lab.cache, &files[made], &note);
    for (size_t i = 0; i < made; i++)
        journal_free(journals[i]);
    for (size_t i = 0; i <= made && i < ARRAY_SIZE(files); i++)
        cache_file_drop(lab.cache, &files[i]);
    fs_free(TAKE(lab.fs));
    cache_close(TAKE(lab.cache));
    lab_unmount(scratch_at(&lab.dir, "cache"));
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(look, -ENOENT); /* nothing is left of the attempt */
    assert_true(made > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal_says_what_it_was_told_last),
        cmocka_unit_test(journal_does_not_know_of_more_ranges_than_it_holds),
        cmocka_unit_test(journal_goes_or_stays_as_it_is_told),
        cmocka_unit_test(journal_read_refuses_what_is_none),
        cmocka_unit_test(journal_holds_whenever_its_keeper_is_killed),
        cmocka_unit_test(journal_new_fails_where_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
