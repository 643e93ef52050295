#include "tests/unit/unit.h"

#include "fs/waiter.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that is stopped, so that signals wait for it. */
struct waiter_case {
    pid_t pid;
};

static void waiter_ignore(int number)
{
    (void)number;
}

static void waiter_begin(struct waiter_case *c, int caught, int blocked)
{
    int status = 0;
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (c->pid == 0) {
        sigset_t set;
        (void)sigemptyset(&set);
        if (blocked)
            (void)sigaddset(&set, blocked);
        (void)sigprocmask(SIG_SETMASK, &set, NULL);
        if (caught)
            (void)signal(caught, waiter_ignore);
        (void)raise(SIGSTOP);
        for (;;)
            (void)pause();
    }
    assert_int_equal(waitpid(c->pid, &status, WUNTRACED), c->pid);
    assert_true(WIFSTOPPED(status));
}

static void waiter_end(struct waiter_case *c)
{
    assert_int_equal(kill(c->pid, SIGKILL), 0);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

/* Whether one signal that waits for it counts. */
static bool waiter_hears(int number, int caught, int blocked)
{
    struct waiter_case c;
    waiter_begin(&c, caught, blocked);
    assert_false(waiter_is_signalled(c.pid));
    assert_int_equal(kill(c.pid, number), 0);
    bool hears = waiter_is_signalled(c.pid);
    waiter_end(&c);
    return hears;
}

static void waiter_hears_what_ends_it(void **state)
{
    (void)state;
    assert_true(waiter_hears(SIGINT, 0, 0));
    assert_true(waiter_hears(SIGTERM, 0, 0));
    assert_true(waiter_hears(SIGTERM, SIGTERM, 0));
    assert_true(waiter_hears(SIGALRM, SIGALRM, 0));
    assert_false(waiter_hears(SIGTERM, 0, SIGTERM));
}

static void waiter_hears_no_stop_unless_it_handles_it(void **state)
{
    (void)state;
    assert_false(waiter_hears(SIGTSTP, 0, 0));
    assert_false(waiter_hears(SIGTTIN, 0, 0));
    assert_false(waiter_hears(SIGTTOU, 0, 0));
    assert_true(waiter_hears(SIGTSTP, SIGTSTP, 0));
}

static void waiter_that_cannot_be_seen_is_heard(void **state)
{
    (void)state;
    assert_true(waiter_is_signalled(0)); /* of another PID namespace */
    assert_true(waiter_is_signalled(-1));
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    assert_true(waiter_is_signalled(gone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiter_hears_what_ends_it),
        cmocka_unit_test(waiter_hears_no_stop_unless_it_handles_it),
        cmocka_unit_test(waiter_that_cannot_be_seen_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
