#include "ops/child.h"

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_LOOK_MS = 100, CHILD_CHUNK = 4096 };

/* A program that runs. Its process is not waited for before it has left the list, so that a group's
 * number is never that of another one when it is ended. */
struct child_running {
    pid_t pid; /* also its group's */
    int pidfd;
    int errors;  /* the reading end of its standard error */
    size_t tail; /* bytes of it that are kept */
    struct child_running *next;
};

static pthread_mutex_t child_mu = PTHREAD_MUTEX_INITIALIZER;
/* guarded by child_mu: */
static struct child_running *child_list;

static void child_leave(struct child_running *c)
{
    LOCK_SCOPE(&child_mu);
    struct child_running **at = &child_list;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
}

void child_end(void)
{
    (void)pthread_mutex_lock(&child_mu); /* for good: whoever starts a program waits here */
    for (const struct child_running *c = child_list; c; c = c->next)
        (void)kill(-c->pid, SIGKILL);
}

/* --- starting --- */

/* Signals as a program expects them: our threads block some, and ignore SIGUSR1. */
static int child_attributes(posix_spawnattr_t *attr)
{
    sigset_t none;
    sigset_t usr1;
    (void)sigemptyset(&none);
    (void)sigemptyset(&usr1);
    (void)sigaddset(&usr1, SIGUSR1);
    int r = posix_spawnattr_setsigmask(attr, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attr, &usr1);
    if (r == 0)
        r = posix_spawnattr_setpgroup(attr, 0);
    if (r == 0)
        r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETPGROUP);
    return -r;
}

/* The descriptors lie above the standard ones, which our programs keep taken. */
static int child_files(const struct child *s, int errors, posix_spawn_file_actions_t *files)
{
    int r = posix_spawn_file_actions_adddup2(files, s->in, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, s->out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(files, errors, STDERR_FILENO);
    return -r;
}

static int child_launch(const struct child *s, int errors, struct child_running *c)
{
    posix_spawnattr_t attr;
    posix_spawn_file_actions_t files;
    if (posix_spawnattr_init(&attr) != 0)
        return -ENOMEM;
    if (posix_spawn_file_actions_init(&files) != 0) {
        (void)posix_spawnattr_destroy(&attr);
        return -ENOMEM;
    }
    int r = child_attributes(&attr);
    if (r == 0)
        r = child_files(s, errors, &files);
    if (r == 0) {
        LOCK_SCOPE(&child_mu); /* child_end() must not miss it between birth and list */
        r = -posix_spawn(&c->pid, s->path, &files, &attr, s->argv, s->env);
        c->next = child_list;
        if (r == 0)
            child_list = c;
    }
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attr);
    return r;
}

static int child_start(const struct child *s, struct child_running *c)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    c->errors = ends[0];
    int r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
    if (r == 0)
        r = child_launch(s, ends[1], c);
    (void)close(ends[1]);
    return r;
}

/* --- waiting --- */

/* Keeps the last bytes of what is there. False at the end of it. */
static bool child_drain(const struct child *s, struct child_running *c)
{
    char chunk[CHILD_CHUNK];
    size_t room = s->tail_size - 1;
    for (;;) {
        ssize_t got = read(c->errors, chunk, sizeof(chunk));
        if (got <= 0)
            return got < 0 && (errno == EAGAIN || errno == EINTR);
        size_t n = MIN((size_t)got, room);
        size_t keep = MIN(c->tail, room - n);
        memmove(s->tail, s->tail + c->tail - keep, keep);
        memcpy(s->tail + keep, chunk + (size_t)got - n, n);
        c->tail = keep + n;
        s->tail[c->tail] = '\0';
    }
}

/* Until the program has ended. True when it wrote too much and was ended for it. */
static bool child_watch(const struct child *s, struct child_running *c)
{
    struct pollfd fd[2] = {{.fd = c->pidfd, .events = POLLIN}, {.fd = c->errors, .events = POLLIN}};
    bool ended = false;
    for (;;) {
        struct stat st;
        int n = poll(fd, 2, CHILD_LOOK_MS);
        if (n > 0 && fd[1].revents != 0 && !child_drain(s, c))
            fd[1].fd = -1; /* nobody has the other end any more */
        if (n > 0 && fd[0].revents != 0)
            break;
        if (!ended && fstat(s->out, &st) == 0 && (uint64_t)st.st_size > s->out_max)
            ended = kill(-c->pid, SIGKILL) == 0;
    }
    return ended;
}

/* Reads how it ended; its number may then be given to another process. */
static int child_reap(const struct child_running *c)
{
    int status = 0;
    while (waitpid(c->pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return status;
}

static int child_verdict(int status, bool too_much, struct err *err)
{
    if (status < 0)
        return err_errno(err, status, "cannot wait for the command");
    if (too_much)
        return err_set(err, -ECHILD, "the command wrote more than the block can have");
    if (WIFSIGNALED(status)) {
        const char *name = sigdescr_np(WTERMSIG(status));
        return err_set(err, -ECHILD, "the command was ended by signal %d (%s)", WTERMSIG(status),
                       name ? name : "without a name");
    }
    if (WEXITSTATUS(status) != 0)
        return err_set(err, -ECHILD, "the command ended with exit status %d", WEXITSTATUS(status));
    return 0;
}

int child_run(const struct child *s, struct err *err)
{
    struct child_running c = {.pidfd = -1, .errors = -1};
    s->tail[0] = '\0';
    int r = child_start(s, &c);
    if (r < 0) {
        closep(&c.errors);
        return err_errno(err, r, "cannot run %s", s->path);
    }
    c.pidfd = pidfd_open(c.pid, 0);
    bool too_much = c.pidfd >= 0 && child_watch(s, &c);
    if (c.pidfd < 0)
        r = err_errno(err, -errno, "cannot watch the command");
    (void)kill(-c.pid, SIGKILL); /* what is left of the group; a program that ended does not mind */
    child_leave(&c);
    int status = child_reap(&c);
    (void)child_drain(s, &c);
    closep(&c.errors);
    closep(&c.pidfd);
    return r < 0 ? r : child_verdict(status, too_much, err);
}
