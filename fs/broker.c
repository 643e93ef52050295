#include "fs/broker.h"

#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BROKER_SOCKET 3 /* its descriptor in the broker */

enum broker_what { BROKER_TAKE_OVER, BROKER_OPEN, BROKER_CLOSE, BROKER_UNMOUNT };

struct broker_request {
    enum broker_what what;
    int32_t backing; /* CLOSE */
    char path[4096]; /* TAKE_OVER */
};

struct broker {
    pid_t pid;
    int fd;             /* a socket of whole messages */
    pthread_mutex_t mu; /* one request at a time: held until its answer has come */
};

/* Newer than the headers of Debian 12: struct fuse_backing_map, FUSE_DEV_IOC_BACKING_OPEN and
 * _CLOSE of protocol 7.40. */
struct broker_backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BROKER_IOC_OPEN  _IOW(229, 1, struct broker_backing_map)
#define BROKER_IOC_CLOSE _IOW(229, 2, uint32_t)

/* Sends a request, with a descriptor unless fd is -1. */
static int broker_send(int sock, const struct broker_request *req, int fd)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct broker_request copy = *req;
    struct iovec iov = {.iov_base = &copy, .iov_len = sizeof(copy)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Receives a request and the descriptor that came with it (-1: none). False: the daemon is gone. */
static bool broker_receive(int sock, struct broker_request *req, int *ret_fd)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = req, .iov_len = sizeof(*req)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.space,
                         .msg_controllen = sizeof(control.space)};
    ssize_t n = 0;
    do {
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    const struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    *ret_fd = -1;
    if (n > 0 && c && c->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
    return n == (ssize_t)sizeof(*req);
}

/* What the broker has taken over. */
struct broker_state {
    int fuse_fd;
    char path[4096];
};

/* True when somebody else has unmounted: what is at the path by now is not this mount. */
static bool broker_is_unmounted(int fuse_fd)
{
    struct pollfd poll_fd = {.fd = fuse_fd};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLERR);
}

static int32_t broker_do(struct broker_state *s, const struct broker_request *req, int fd)
{
    struct broker_backing_map map = {.fd = fd};
    uint32_t backing = (uint32_t)req->backing;
    int r = 0;
    switch (req->what) {
    case BROKER_TAKE_OVER: /* once: it is no way to have other paths unmounted */
        if (s->fuse_fd >= 0)
            return -EBUSY;
        s->fuse_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        memcpy(s->path, req->path, sizeof(s->path));
        s->path[sizeof(s->path) - 1] = '\0';
        return s->fuse_fd < 0 ? -errno : 0;
    case BROKER_OPEN:
        r = ioctl(s->fuse_fd, BROKER_IOC_OPEN, &map);
        return r < 0 ? -errno : r;
    case BROKER_CLOSE:
        return ioctl(s->fuse_fd, BROKER_IOC_CLOSE, &backing) < 0 ? -errno : 0;
    case BROKER_UNMOUNT:
        if (broker_is_unmounted(s->fuse_fd))
            return 0;
        return umount2(s->path, MNT_DETACH) < 0 ? -errno : 0;
    }
    return -EINVAL;
}

/* Lets go of all that the daemon had open but the socket, which becomes descriptor 3: whoever
 * waits for the end of the daemon's output, or locks its cache folder, does not mean the broker. */
static bool broker_leave_all_but(int sock)
{
    int high = fcntl(sock, F_DUPFD, BROKER_SOCKET);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool ok = high >= 0 && null >= 0 && chdir("/") == 0;
    for (int fd = 0; ok && fd < BROKER_SOCKET; fd++)
        ok = dup2(null, fd) == fd;
    return ok && dup2(high, BROKER_SOCKET) == BROKER_SOCKET &&
           close_range(BROKER_SOCKET + 1, ~0U, 0) == 0;
}

/* The broker's whole life. Signals to the group of the terminal are the daemon's to act on. */
static void broker_serve(int sock)
{
    struct broker_state s = {.fuse_fd = -1};
    struct broker_request req;
    int fd = -1;
    if (!broker_leave_all_but(sock))
        _exit(1);
    sock = BROKER_SOCKET;
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "bmfs-broker", 0, 0, 0);
    while (broker_receive(sock, &req, &fd)) {
        int32_t answer = broker_do(&s, &req, fd);
        closep(&fd);
        if (send(sock, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
            break;
    }
    _exit(0);
}

static int broker_capabilities(uint32_t keep, bool *ret_admin)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    if (ret_admin) {
        *ret_admin = data[0].effective & (1U << CAP_SYS_ADMIN);
        return 0;
    }
    data[0].effective &= keep;
    data[0].permitted &= keep;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int broker_start(struct broker **ret, struct err *err)
{
    int fd[2];
    bool admin = false;
    *ret = NULL;
    if (broker_capabilities(0, &admin) < 0 || !admin)
        return -EPERM;
    struct broker *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0) {
        free(b);
        return err_errno(err, -errno, "cannot start the broker");
    }
    b->pid = fork();
    if (b->pid == 0) {
        (void)close(fd[0]);
        broker_serve(fd[1]);
    }
    (void)close(fd[1]);
    if (b->pid < 0) {
        (void)close(fd[0]);
        free(b);
        return err_errno(err, -errno, "cannot start the broker");
    }
    b->fd = fd[0];
    (void)pthread_mutex_init(&b->mu, NULL);
    *ret = b;
    return 0;
}

static int broker_ask(struct broker *b, const struct broker_request *req, int fd)
{
    int32_t answer = 0;
    LOCK_SCOPE(&b->mu);
    int r = broker_send(b->fd, req, fd);
    if (r < 0)
        return r;
    ssize_t n = 0;
    do {
        n = recv(b->fd, &answer, sizeof(answer), 0);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(answer) ? answer : -EPIPE;
}

int broker_take_over(struct broker *b, int fuse_fd, const char *mountpoint, struct err *err)
{
    static const uint32_t keep =
        1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | 1U << CAP_CHOWN;
    struct broker_request req = {.what = BROKER_TAKE_OVER};
    if (strlen(mountpoint) >= sizeof(req.path))
        return -ENAMETOOLONG;
    (void)stpcpy(req.path, mountpoint);
    int r = broker_ask(b, &req, fuse_fd);
    if (r == 0)
        r = broker_capabilities(keep, NULL);
    return r < 0 ? err_errno(err, r, "cannot give up privileges") : 0;
}

int broker_backing_open(struct broker *b, int fd)
{
    return broker_ask(b, &(struct broker_request){.what = BROKER_OPEN}, fd);
}

void broker_backing_close(struct broker *b, int backing)
{
    (void)broker_ask(b, &(struct broker_request){.what = BROKER_CLOSE, .backing = backing}, -1);
}

int broker_unmount(struct broker *b)
{
    return broker_ask(b, &(struct broker_request){.what = BROKER_UNMOUNT}, -1);
}

void broker_stop(struct broker *b)
{
    if (!b)
        return;
    (void)close(b->fd);
    while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    (void)pthread_mutex_destroy(&b->mu);
    free(b);
}
