#include "tests/unit/unit.h"

#include "ops/publish.h"
#include "tests/kit/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUBLISH_THREADS = 8, PUBLISH_ROUNDS = 50 };

struct fixture {
    struct scratch scratch;
    int dir;
};

static int publish_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_init(&f->scratch);
    f->dir = open(f->scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->dir < 0;
}

static int publish_teardown(void **state)
{
    struct fixture *f = *state;
    (void)close(f->dir);
    scratch_fini(&f->scratch);
    free(f);
    return 0;
}

/* The names in the folder, of which scratch files are counted. */
static int publish_names(struct fixture *f, int *ret_scratch)
{
    int n = 0;
    DIR *d = opendir(f->scratch.path);
    assert_non_null(d);
    *ret_scratch = 0;
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        n += e->d_name[0] != '.';
        *ret_scratch += publish_is_scratch(e->d_name);
    }
    (void)closedir(d);
    return n;
}

static void publish_expect(struct fixture *f, const char *name, const char *want)
{
    char text[64] = "";
    FILE *file = fopen(scratch_at(&f->scratch, name), "re");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    assert_string_equal(text, want);
}

static int publish_text(struct fixture *f, const char *name, const char *text, bool replace,
                        struct err *err)
{
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    assert_int_equal(publish_begin(f->dir, &p, err), 0);
    assert_int_equal(write_full(p.fd, text, strlen(text)), 0);
    return replace ? publish_replace(&p, name, err) : publish_link(&p, name, err);
}

static void publish_link_gives_the_name_and_leaves_no_scratch_file(void **state)
{
    struct fixture *f = *state;
    int scratch = 0;
    assert_int_equal(publish_text(f, "a", "one", false, NULL), 0);
    publish_expect(f, "a", "one");
    assert_int_equal(publish_names(f, &scratch), 1);
    assert_int_equal(scratch, 0);
}

static void publish_link_never_replaces(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    int scratch = 0;
    assert_int_equal(publish_text(f, "a", "one", false, &err), 0);
    assert_int_equal(publish_text(f, "a", "two", false, &err), -EEXIST);
    assert_string_equal(err.msg, "it is there already");
    publish_expect(f, "a", "one");
    assert_int_equal(publish_names(f, &scratch), 1);
    assert_int_equal(scratch, 0);
}

static void publish_replace_does(void **state)
{
    struct fixture *f = *state;
    int scratch = 0;
    assert_int_equal(publish_text(f, "a", "one", true, NULL), 0);
    assert_int_equal(publish_text(f, "a", "two", true, NULL), 0);
    publish_expect(f, "a", "two");
    assert_int_equal(publish_names(f, &scratch), 1);
    assert_int_equal(scratch, 0);
}

static void publish_shows_no_name_before_the_end(void **state)
{
    struct fixture *f = *state;
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    int scratch = 0;
    assert_int_equal(publish_begin(f->dir, &p, NULL), 0);
    assert_int_equal(publish_names(f, &scratch), 0);
    assert_int_equal(scratch, 1);
    publish_drop(&p);
    assert_int_equal(publish_names(f, &scratch), 0);
    assert_int_equal(scratch, 0);
}

static void publish_into_a_removed_directory_is_no_missing_input(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct publish p = PUBLISH_NONE;
    assert_int_equal(mkdirat(f->dir, "gone", 0777), 0);
    int dir = openat(f->dir, "gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(unlinkat(f->dir, "gone", AT_REMOVEDIR), 0);
    assert_int_equal(publish_begin(dir, &p, &err), -ESTALE);
    assert_non_null(strstr(err.msg, "cannot make a scratch file"));
    (void)close(dir);
}

static void publish_drop_without_a_file_is_fine(void **state)
{
    (void)state;
    struct publish p = PUBLISH_NONE;
    publish_drop(&p);
}

/* A file that is too large stands for a full disk: the write fails, and nothing stays behind. */
static void publish_leaves_nothing_when_the_disk_is_full(void **state)
{
    struct fixture *f = *state;
    int scratch = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {16, 16};
        CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
        (void)signal(SIGXFSZ, SIG_IGN);
        bool good = setrlimit(RLIMIT_FSIZE, &limit) == 0 && publish_begin(f->dir, &p, NULL) == 0 &&
                    write_full(p.fd, "more than sixteen bytes", 23) == -EFBIG;
        publish_drop(&p);
        _exit(good ? 0 : 1);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(publish_names(f, &scratch), 0);
    assert_int_equal(scratch, 0);
}

struct racer {
    struct fixture *f;
    int number;
    int won;
};

static void *publish_race(void *arg)
{
    struct racer *r = arg;
    for (int i = 0; i < PUBLISH_ROUNDS; i++) {
        char name[16];
        char text[16];
        (void)snprintf(name, sizeof(name), "b%d", i);
        (void)snprintf(text, sizeof(text), "%d", r->number);
        int code = publish_text(r->f, name, text, false, NULL);
        if (code != 0 && code != -EEXIST)
            return r;
        r->won += code == 0;
    }
    return NULL;
}

static void publish_lets_one_of_many_threads_win_each_name(void **state)
{
    struct fixture *f = *state;
    pthread_t thread[PUBLISH_THREADS];
    struct racer racer[PUBLISH_THREADS];
    int won = 0;
    int scratch = 0;
    for (int i = 0; i < PUBLISH_THREADS; i++) {
        racer[i] = (struct racer){.f = f, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, publish_race, &racer[i]), 0);
    }
    for (int i = 0; i < PUBLISH_THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
        won += racer[i].won;
    }
    assert_int_equal(won, PUBLISH_ROUNDS);
    assert_int_equal(publish_names(f, &scratch), PUBLISH_ROUNDS);
    assert_int_equal(scratch, 0);
}

/* In a process of its own, which it ends: two files under way, two threads that never stop. */
static void publish_end_in_child(struct fixture *f)
{
    static struct publish one;
    static struct publish two;
    static struct racer racer[2];
    pthread_t thread;
    if (publish_begin(f->dir, &one, NULL) < 0 || publish_begin(f->dir, &two, NULL) < 0)
        _exit(1);
    for (int i = 0; i < 2; i++) {
        racer[i] = (struct racer){.f = f, .number = i};
        if (pthread_create(&thread, NULL, publish_race, &racer[i]) != 0)
            _exit(1);
    }
    publish_end();
    _exit(0);
}

/* The children end as a command does when a signal comes: with threads that nobody joins. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}

static void publish_end_leaves_no_scratch_file_of_any_thread(void **state)
{
    struct fixture *f = *state;
    int scratch = 0;
    for (int i = 0; i < 20; i++) {
        int status = 1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            publish_end_in_child(f);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        (void)publish_names(f, &scratch);
        assert_int_equal(scratch, 0);
    }
}

int main(void)
{
#define PUBLISH_TEST(fn) cmocka_unit_test_setup_teardown(fn, publish_setup, publish_teardown)
    const struct CMUnitTest tests[] = {
        PUBLISH_TEST(publish_link_gives_the_name_and_leaves_no_scratch_file),
        PUBLISH_TEST(publish_link_never_replaces),
        PUBLISH_TEST(publish_replace_does),
        PUBLISH_TEST(publish_shows_no_name_before_the_end),
        PUBLISH_TEST(publish_into_a_removed_directory_is_no_missing_input),
        PUBLISH_TEST(publish_drop_without_a_file_is_fine),
        PUBLISH_TEST(publish_leaves_nothing_when_the_disk_is_full),
        PUBLISH_TEST(publish_lets_one_of_many_threads_win_each_name),
        PUBLISH_TEST(publish_end_leaves_no_scratch_file_of_any_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
