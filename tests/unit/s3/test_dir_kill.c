#include "tests/unit/unit.h"

#include "s3/dir.h"
#include "s3/dir_path.h"
#include "tests/kit/rng.h"
#include "tests/kit/scratch.h"
#include "tests/kit/texts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIR_KILLS = 50, DIR_BODY = 256 << 10, DIR_PIPE_BYTES = 4096 };

/* Puts bodies of one byte value each, 1 after `last` and so on, and reports each that was done. */
static void dir_kill_child(const char *path, unsigned char last, int report)
{
    static unsigned char body[DIR_BODY];
    struct store *st = NULL;
    if (dir_new(path, false, &st, NULL) != 0)
        _exit(1);
    for (;;) {
        last++;
        memset(body, last, sizeof(body));
        struct store_body b = {.head = body, .head_len = sizeof(body), .fd = -1};
        struct store_put put = {.has_crc32c = true, .crc32c = last};
        if (store_put(st, "a/k", &b, &put, NULL, NULL) != 0 || write_full(report, &last, 1) != 0)
            _exit(2);
    }
}

/* The value that the object is made of. */
static unsigned char dir_kill_value(struct store *st)
{
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    struct store_stat stat;
    assert_int_equal(texts_get(st, "a/k", &b), 0);
    assert_int_equal(b.len, DIR_BODY);
    unsigned char value = (unsigned char)b.data[0];
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal((unsigned char)b.data[i], value);
    assert_int_equal(store_head(st, "a/k", &stat, NULL), 0);
    assert_true(stat.has_crc32c);
    assert_int_equal(stat.crc32c, value);
    return value;
}

/* Lets a child put until some moment after its nth put, and kills it there. Returns the last value
 * that it reported. */
static unsigned char dir_kill_round(const char *path, unsigned char last, struct rng *rng)
{
    int fd[2];
    unsigned char said[DIR_PIPE_BYTES];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        dir_kill_child(path, last, fd[1]);
    assert_int_equal(close(fd[1]), 0);
    size_t puts = 1 + rng_below(rng, 5);
    for (size_t i = 0; i < puts; i++)
        assert_int_equal(read(fd[0], &last, 1), 1);
    struct timespec moment = {.tv_nsec = (long)rng_below(rng, 2000000)};
    (void)nanosleep(&moment, NULL);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    ssize_t n = read(fd[0], said, sizeof(said));
    assert_int_equal(close(fd[0]), 0);
    return n > 0 ? said[n - 1] : last;
}

/* How many temporary files there are; makes them look two hours old. */
static int dir_kill_temps(const struct scratch *s)
{
    struct dirent **e = NULL;
    int n = scandir(scratch_at(s, DIR_PATH_HIDDEN "/tmp"), &e, NULL, NULL);
    assert_true(n >= 2);
    struct timespec t[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
    for (int i = 0; i < n; i++) {
        char name[512];
        (void)snprintf(name, sizeof(name), DIR_PATH_HIDDEN "/tmp/%s", e[i]->d_name);
        assert_int_equal(utimensat(AT_FDCWD, scratch_at(s, name), t, 0), 0);
        free(e[i]);
    }
    free(e);
    return n - 2;
}

static void dir_put_is_all_or_nothing_when_the_process_is_killed(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng);
    CLEANUP(scratch_fini) struct scratch s = {0};
    scratch_init(&s);
    CLEANUP(store_freep) struct store *st = NULL;
    assert_int_equal(dir_new(s.path, false, &st, NULL), 0);
    unsigned char value = 0;
    for (int i = 0; i < DIR_KILLS; i++) {
        unsigned char said = dir_kill_round(s.path, value, &rng);
        value = dir_kill_value(st);
        /* What was reported is there, or the one put after it whose report was cut off. */
        assert_true(value == said || value == (unsigned char)(said + 1));
    }
    print_message("%d kills left %d temporary files\n", DIR_KILLS, dir_kill_temps(&s));
    struct store *again = NULL;
    assert_int_equal(dir_new(s.path, false, &again, NULL), 0);
    store_free(again);
    assert_int_equal(dir_kill_temps(&s), 0);
}

static bool dir_tell_kernel(const char *path, const char *text)
{
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write_full(fd, text, strlen(text)) == 0;
}

/* Lets this process mount things, as root or in a user namespace where it stays who it is. */
static bool dir_may_mount(void)
{
    char user[64];
    char group[64];
    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0;
    (void)snprintf(user, sizeof(user), "%u %u 1", geteuid(), geteuid());
    (void)snprintf(group, sizeof(group), "%u %u 1", getegid(), getegid());
    return unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0 &&
           dir_tell_kernel("/proc/self/setgroups", "deny") &&
           dir_tell_kernel("/proc/self/uid_map", user) &&
           dir_tell_kernel("/proc/self/gid_map", group);
}

/* Runs `fn` in a process that has a file system of 1 MiB at "small" of a folder. False where none
 * can be had. */
static bool dir_with_small_mount(int (*fn)(const struct scratch *s))
{
    enum { DIR_NO_MOUNT = 77 };
    CLEANUP(scratch_fini) struct scratch s = {0};
    scratch_init(&s);
    assert_int_equal(mkdir(scratch_at(&s, "small"), 0777), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (!dir_may_mount() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", scratch_at(&s, "small"), "tmpfs", 0, "size=1m") != 0)
            _exit(DIR_NO_MOUNT);
        _exit(fn(&s));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == DIR_NO_MOUNT)
        return false;
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

/* Stops the child with the number of the line that does not hold. */
static void dir_expect(bool ok, int line)
{
    if (!ok)
        _exit(line % 250 + 1);
}

#define DIR_EXPECT(condition) dir_expect(condition, __LINE__)

/* What is not on the file system of the store's own folder. */
static int dir_use_small_mount(const struct scratch *s)
{
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    CLEANUP(store_freep) struct store *st = NULL;
    struct store_list list = {.prefix = "small/"};
    static char big[2 << 20];
    memset(big, 'x', sizeof(big) - 1);
    DIR_EXPECT(dir_new(s->path, false, &st, NULL) == 0);
    DIR_EXPECT(texts_put(st, "small/a/k", "one") == 0);
    DIR_EXPECT(texts_put_if(st, "small/a/k", "x", STORE_ABSENT, NULL, NULL) == -EEXIST);
    DIR_EXPECT(texts_put_if(st, "small/a/l", "x", STORE_ABSENT, NULL, NULL) == 0);
    DIR_EXPECT(texts_get(st, "small/a/k", &b) == 0);
    DIR_EXPECT(strcmp(buf_text(&b), "one") == 0);
    DIR_EXPECT(texts_put(st, "small/a/k", big) == -ENOSPC);
    DIR_EXPECT(texts_get(st, "small/a/k", &b) == 0);
    DIR_EXPECT(strcmp(buf_text(&b), "one") == 0);
    DIR_EXPECT(texts_list(st, &list, &b, NULL) == 0);
    DIR_EXPECT(strcmp(buf_text(&b), "small/a/k small/a/l") == 0);
    DIR_EXPECT(texts_clear(st, "") == 0); /* the mount point itself cannot be removed */
    return 0;
}

static int dir_fill_small_mount(const struct scratch *s)
{
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    CLEANUP(store_freep) struct store *st = NULL;
    struct dirent **e = NULL;
    static char big[2 << 20];
    memset(big, 'x', sizeof(big) - 1);
    DIR_EXPECT(dir_new(scratch_at(s, "small"), false, &st, NULL) == 0);
    DIR_EXPECT(texts_put(st, "k", "one") == 0);
    DIR_EXPECT(texts_put(st, "k", big) == -ENOSPC);
    DIR_EXPECT(texts_get(st, "k", &b) == 0);
    DIR_EXPECT(strcmp(buf_text(&b), "one") == 0);
    DIR_EXPECT(scandir(scratch_at(s, "small/" DIR_PATH_HIDDEN "/tmp"), &e, NULL, NULL) == 2);
    big[(1 << 20) - (256 << 10)] = '\0';
    DIR_EXPECT(texts_put(st, "k", big) == 0);
    return 0;
}

static void dir_works_across_file_systems(void **state)
{
    (void)state;
    if (!dir_with_small_mount(dir_use_small_mount))
        skip();
}

static void dir_leaves_nothing_behind_on_a_full_file_system(void **state)
{
    (void)state;
    if (!dir_with_small_mount(dir_fill_small_mount))
        skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dir_put_is_all_or_nothing_when_the_process_is_killed),
        cmocka_unit_test(dir_works_across_file_systems),
        cmocka_unit_test(dir_leaves_nothing_behind_on_a_full_file_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
