#include "tests/unit/s3/canned.h"

#include "tests/unit/unit.h"

#include "base/buf.h"
#include "base/lock.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CANNED_REQUESTS_MAX = 64, CANNED_REQUEST_MAX = 8 * 1024 * 1024 };

struct canned {
    char url[64];
    int listener;
    int stop; /* an eventfd: becomes readable when the thread shall end */
    pthread_t thread;
    const struct canned_reply *reply;
    size_t replies;
    pthread_mutex_t mu;
    /* guarded by mu: */
    char *request[CANNED_REQUESTS_MAX];
    size_t requests;
    size_t connections;
};

/* False when the server shall stop. */
static bool canned_wait(const struct canned *c, int fd)
{
    struct pollfd p[] = {{.fd = c->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (poll(p, ARRAY_SIZE(p), -1) < 0)
        continue;
    return p[0].revents == 0;
}

/* The value of Content-Length, and whether the client waits to be told to go on. */
static size_t canned_body_len(const char *head, bool *expects)
{
    const char *length = strcasestr(head, "\r\ncontent-length:");
    *expects = strcasestr(head, "\r\nexpect: 100-continue") != NULL;
    return length ? strtoul(length + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

/* Reads one request. False at the end of the connection, or when the server shall stop. */
static bool canned_read(const struct canned *c, int fd, struct buf *request)
{
    char chunk[65536];
    size_t want = 0;
    while (want == 0 || request->len < want) {
        ssize_t n = canned_wait(c, fd) ? read(fd, chunk, sizeof(chunk)) : 0;
        if (n <= 0 || buf_append(request, chunk, (size_t)n) < 0)
            return false;
        const char *end = want ? NULL : strstr(request->data, "\r\n\r\n");
        if (!end)
            continue;
        bool expects = false;
        want = (size_t)(end - request->data) + 4 + canned_body_len(request->data, &expects);
        if (expects)
            (void)write_full(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    return true;
}

static void canned_send(int fd, const struct canned_reply *reply)
{
    static const char zeros[65536];
    (void)send(fd, reply->text, strlen(reply->text), MSG_NOSIGNAL);
    for (size_t left = reply->zeros; left > 0;) {
        ssize_t n = send(fd, zeros, MIN(left, sizeof(zeros)), MSG_NOSIGNAL);
        if (n <= 0)
            return;
        left -= (size_t)n;
    }
}

/* Serves one connection to its end. */
static void canned_serve(struct canned *c, int fd)
{
    for (;;) {
        CLEANUP(buf_fini) struct buf request = BUF_INIT(CANNED_REQUEST_MAX);
        if (!canned_read(c, fd, &request))
            return;
        size_t i = 0;
        {
            LOCK_SCOPE(&c->mu);
            i = c->requests;
            if (i < CANNED_REQUESTS_MAX)
                c->request[c->requests++] = TAKE(request.data);
        }
        if (i >= c->replies)
            return;
        canned_send(fd, &c->reply[i]);
        if (c->reply[i].then == CANNED_HANG)
            (void)canned_wait(c, fd);
        if (c->reply[i].then != CANNED_KEEP)
            return;
    }
}

static void *canned_run(void *arg)
{
    struct canned *c = arg;
    while (canned_wait(c, c->listener)) {
        CLEANUP(closep) int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
        {
            LOCK_SCOPE(&c->mu);
            c->connections++;
        }
        if (fd >= 0)
            canned_serve(c, fd);
    }
    return NULL;
}

struct canned *canned_new(const struct canned_reply *reply, size_t replies)
{
    struct canned *c = calloc(1, sizeof(*c));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    assert_non_null(c);
    c->reply = reply;
    c->replies = replies;
    c->stop = eventfd(0, EFD_CLOEXEC);
    c->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(c->listener, 16), 0);
    assert_int_equal(getsockname(c->listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(c->url, sizeof(c->url), "http://127.0.0.1:%d", ntohs(at.sin_port));
    (void)pthread_mutex_init(&c->mu, NULL);
    assert_int_equal(pthread_create(&c->thread, NULL, canned_run, c), 0);
    return c;
}

const char *canned_url(const struct canned *c)
{
    return c->url;
}

const char *canned_request(struct canned *c, size_t i)
{
    LOCK_SCOPE(&c->mu);
    return i < c->requests ? c->request[i] : NULL;
}

size_t canned_connections(struct canned *c)
{
    LOCK_SCOPE(&c->mu);
    return c->connections;
}

void canned_free(struct canned *c)
{
    (void)eventfd_write(c->stop, 1);
    (void)pthread_join(c->thread, NULL);
    (void)close(c->listener);
    (void)close(c->stop);
    for (size_t i = 0; i < c->requests; i++)
        free(c->request[i]);
    (void)pthread_mutex_destroy(&c->mu);
    free(c);
}

void canned_freep(struct canned *const *c)
{
    canned_free(*c);
}
