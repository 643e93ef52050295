#include "tests/unit/unit.h"

#include "ops/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CHILD_TAIL = 16 };

/* What a shell script did, with "in" to read. */
struct ran {
    int code;
    struct err err;
    char tail[CHILD_TAIL];
    char out[64];
};

static struct ran child_shell(const char *script)
{
    struct ran ran = {0};
    char word[3][1024] = {"sh", "-c"};
    char *argv[] = {word[0], word[1], word[2], NULL};
    char home[] = "HOME=/nowhere";
    char *env[] = {home, NULL};
    CLEANUP(closep) int in = memfd_create("in", MFD_CLOEXEC);
    CLEANUP(closep) int out = memfd_create("out", MFD_CLOEXEC);
    (void)snprintf(word[2], sizeof(word[2]), "%s", script);
    assert_int_equal(pwrite_full(in, "in", 2, 0), 0);
    const struct child c = {.path = "/bin/sh",
                            .argv = argv,
                            .env = env,
                            .in = in,
                            .out = out,
                            .out_max = 1000,
                            .tail = ran.tail,
                            .tail_size = sizeof(ran.tail)};
    ran.code = child_run(&c, &ran.err);
    assert_true(pread(out, ran.out, sizeof(ran.out) - 1, 0) >= 0);
    return ran;
}

static void child_reads_and_writes_files(void **state)
{
    (void)state;
    struct ran ran = child_shell("cat; echo \" $HOME\"");
    assert_int_equal(ran.code, 0);
    assert_string_equal(ran.out, "in /nowhere\n");
    assert_string_equal(ran.tail, "");
}

static void child_that_fails_says_how(void **state)
{
    (void)state;
    struct ran ran = child_shell("exit 7");
    assert_int_equal(ran.code, -ECHILD);
    assert_string_equal(ran.err.msg, "the command ended with exit status 7");
    ran = child_shell("kill -TERM $$");
    assert_int_equal(ran.code, -ECHILD);
    assert_string_equal(ran.err.msg, "the command was ended by signal 15 (Terminated)");
}

static void child_leaves_the_end_of_its_standard_error(void **state)
{
    (void)state;
    assert_string_equal(child_shell("echo one >&2; exit 1").tail, "one\n");
    assert_string_equal(child_shell("for i in 1 2 3 4 5; do echo line $i >&2; done").tail,
                        "\nline 4\nline 5\n");
    assert_string_equal(child_shell("head -c 100000 /dev/zero | tr '\\0' x >&2; echo end >&2").tail,
                        "xxxxxxxxxxxend\n");
}

static void child_that_closes_its_standard_error_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(child_shell("exec 2>&-; sleep 0.3; exit 5").code, -ECHILD);
}

static void child_that_writes_too_much_is_ended(void **state)
{
    (void)state;
    struct ran ran = child_shell("yes");
    assert_int_equal(ran.code, -ECHILD);
    assert_string_equal(ran.err.msg, "the command wrote more than the block can have");
}

static void child_takes_what_it_started_with_it(void **state)
{
    (void)state;
    struct ran ran = child_shell("sleep 1000 >&- 2>&- & echo $!");
    assert_int_equal(ran.code, 0);
    pid_t pid = (pid_t)strtol(ran.out, NULL, 10);
    assert_true(pid > 1);
    for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++) {
        char state_of[64] = "";
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, state_of, sizeof(state_of) - 1) > 0 && strstr(state_of, ") Z"))
            return; /* dead, and nobody's yet */
        (void)usleep(1000);
    }
    assert_int_not_equal(kill(pid, 0), 0);
}

static void child_has_the_signals_of_a_fresh_program(void **state)
{
    (void)state;
    sigset_t set;
    sigset_t before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, &before);
    (void)signal(SIGUSR1, SIG_IGN);
    assert_int_equal(child_shell("kill -TERM $$; exit 0").code, -ECHILD);
    assert_int_equal(child_shell("kill -USR1 $$; exit 0").code, -ECHILD);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void child_that_cannot_be_run_is_an_error_of_ours(void **state)
{
    (void)state;
    char tail[CHILD_TAIL];
    char name[] = "nothing";
    char *argv[] = {name, NULL};
    struct err err = {0};
    const struct child c = {.path = "/nowhere/nothing",
                            .argv = argv,
                            .env = argv + 1,
                            .in = STDIN_FILENO,
                            .out = STDOUT_FILENO,
                            .tail = tail,
                            .tail_size = sizeof(tail)};
    assert_int_equal(child_run(&c, &err), -ENOENT);
    assert_non_null(strstr(err.msg, "cannot run /nowhere/nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(child_reads_and_writes_files),
        cmocka_unit_test(child_that_fails_says_how),
        cmocka_unit_test(child_leaves_the_end_of_its_standard_error),
        cmocka_unit_test(child_that_closes_its_standard_error_is_waited_for),
        cmocka_unit_test(child_that_writes_too_much_is_ended),
        cmocka_unit_test(child_takes_what_it_started_with_it),
        cmocka_unit_test(child_has_the_signals_of_a_fresh_program),
        cmocka_unit_test(child_that_cannot_be_run_is_an_error_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
