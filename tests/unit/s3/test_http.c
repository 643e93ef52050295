#include "tests/unit/unit.h"

#include "tests/unit/s3/canned.h"

#include "base/lock.h"
#include "s3/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct http *http_open(int64_t call_time_ms, int connections_max)
{
    const struct http_conf conf = {.connections_max = connections_max,
                                   .call_time_ms = call_time_ms};
    struct http *http = NULL;
    assert_int_equal(http_new(&conf, &http, NULL), 0);
    return http;
}

static int http_ask(struct http *http, const char *method, const char *url,
                    struct http_reply *reply, struct err *err)
{
    const struct http_request req = {.method = method, .url = url, .body_max = 100};
    return http_call(http, &req, reply, err);
}

static int http_put(struct http *http, const char *url, const struct store_body *body,
                    struct http_reply *reply, struct err *err)
{
    const struct http_request req = {.method = "PUT", .url = url, .body = body, .body_max = 100};
    return http_call(http, &req, reply, err);
}

static void http_keeps_its_connection(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nX-One: 1\r\nContent-Length: 3\r\n\r\none", CANNED_KEEP, 0},
        {"HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnone", CANNED_KEEP, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", CANNED_KEEP, 0}, /* to a HEAD */
        {"HTTP/1.1 204 No Content\r\n\r\n", CANNED_KEEP, 0},
    };
    static const char *const method[] = {"GET", "GET", "HEAD", "DELETE"};
    static const char *const body[] = {"one", "none", "", ""};
    static const int status[] = {200, 404, 200, 204};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        assert_int_equal(http_ask(http, method[i], canned_url(server), &got, NULL), 0);
        assert_int_equal(got.status, status[i]);
        assert_string_equal(buf_text(&got.body), body[i]);
        assert_int_equal(got.bytes_in, strlen(body[i]));
    }
    assert_int_equal(canned_connections(server), 1);
}

static void http_sends_headers_as_given_and_few_of_its_own(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
    };
    static const struct http_header header[] = {
        {"host", "bucket.example"}, {"x-amz-date", "today"}, {"x-empty", ""}};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    char url[128];
    (void)snprintf(url, sizeof(url), "%s/a/./../%%2e//b%%20c?x=%%2B", canned_url(server));
    const struct http_request req = {
        .method = "GET", .url = url, .header = header, .headers = ARRAY_SIZE(header)};
    assert_int_equal(http_call(http, &req, &got, NULL), 0);
    const char *text = canned_request(server, 0);
    assert_ptr_equal(strstr(text, "GET /a/./../%2e//b%20c?x=%2B HTTP/1.1\r\n"), text);
    assert_non_null(strcasestr(text, "\r\nhost: bucket.example\r\n"));
    assert_non_null(strstr(text, "\r\nx-amz-date: today\r\n"));
    assert_non_null(strstr(text, "\r\nx-empty:\r\n"));
    assert_non_null(strstr(text, "\r\nAccept-Encoding: identity\r\n"));
    assert_null(strcasestr(text, "\r\nexpect"));
    assert_null(strcasestr(text, "\r\nauthorization"));
}

static void http_does_not_follow_redirects(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
         CANNED_KEEP, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    assert_int_equal(http_ask(http, "GET", canned_url(server), &got, NULL), 0);
    assert_int_equal(got.status, 307);
}

static void http_puts_memory_then_file(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    CLEANUP(closep) int fd = memfd_create("body", MFD_CLOEXEC);
    assert_int_equal(pwrite_full(fd, "0123456789", 10, 0), 0);
    assert_int_equal(ftruncate(fd, HTTP_EXPECT_MIN + 10), 0);
    const struct store_body body[] = {
        {"head:", 5, fd, 3, 5}, {NULL, 0, -1, 0, 0}, {NULL, 0, fd, 0, HTTP_EXPECT_MIN}};
    for (size_t i = 0; i < ARRAY_SIZE(body); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        assert_int_equal(http_put(http, canned_url(server), &body[i], &got, NULL), 0);
        assert_int_equal(got.bytes_out, body[i].head_len + body[i].len);
    }
    assert_non_null(strstr(canned_request(server, 0), "\r\n\r\nhead:34567"));
    assert_null(strcasestr(canned_request(server, 0), "\r\nexpect"));
    assert_non_null(strcasestr(canned_request(server, 1), "\r\ncontent-length: 0\r\n"));
    assert_non_null(strcasestr(canned_request(server, 2), "\r\nexpect: 100-continue"));
}

static void http_reports_a_file_that_is_shorter_than_it_was(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {{"", CANNED_HANG, 0}};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    CLEANUP(closep) int fd = memfd_create("body", MFD_CLOEXEC);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    struct err err = {0};
    const struct store_body body = {.fd = fd, .len = 10};
    assert_int_equal(http_put(http, canned_url(server), &body, &got, &err), -EIO);
    assert_non_null(strstr(err.msg, "read what is to be written"));
}

static void http_bounds_what_it_collects(void **state)
{
    (void)state;
    static char head[2 * HTTP_HEAD_MAX] = "HTTP/1.1 200 OK\r\n";
    for (char *end = head + strlen(head); end < head + sizeof(head) - 50;)
        end = stpcpy(end, "X-Header: x\r\n");
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\nwhy", CANNED_CLOSE, 999997},
        {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n", CANNED_CLOSE, 101},
        {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", CANNED_CLOSE, 100},
        {head, CANNED_CLOSE, 0},
    };
    static const int code[] = {0, -EBADMSG, 0, -EBADMSG};
    static const size_t len[] = {HTTP_ERROR_MAX, 100, 100, 0};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        struct err err = {0};
        assert_int_equal(http_ask(http, "GET", canned_url(server), &got, &err), code[i]);
        assert_int_equal(got.body.len, len[i]);
        assert_true(code[i] == 0 || err.msg[0]);
    }
}

/* Receives at most `room` bytes. */
struct http_receiver {
    uint64_t got, room;
};

static int http_receive(void *arg, const struct http_reply *reply, const void *data, size_t len,
                        struct err *err)
{
    (void)data;
    struct http_receiver *r = arg;
    assert_int_equal(reply->status, 200);
    assert_string_equal(http_reply_header(reply, "etag"), "e");
    r->got += len;
    return r->got > r->room ? err_set(err, -ENOSPC, "no room") : 0;
}

static void http_gives_the_receiver_success_only(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", CANNED_KEEP, 0},
        {"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 100000\r\n\r\n", CANNED_KEEP, 100000},
        {"HTTP/1.1 200 OK\r\nETag: e\r\nContent-Length: 100000\r\n\r\n", CANNED_CLOSE, 100000},
    };
    static const uint64_t room[] = {0, 100000, 5000};
    static const int code[] = {0, 0, -ENOSPC};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        struct http_receiver receiver = {.room = room[i]};
        struct err err = {0};
        const struct http_request req = {.method = "GET",
                                         .url = canned_url(server),
                                         .sink = http_receive,
                                         .arg = &receiver,
                                         .body_max = 100};
        assert_int_equal(http_call(http, &req, &got, &err), code[i]);
        assert_int_equal(receiver.got > 0, i > 0);
        assert_string_equal(err.msg, i == 2 ? "no room" : "");
    }
}

static void http_tells_a_body_that_was_cut(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", CANNED_CLOSE, 0},
        {"", CANNED_CLOSE, 0},
        {"HTTP/1.1 200", CANNED_CLOSE, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        struct err err = {0};
        assert_int_equal(http_ask(http, "GET", canned_url(server), &got, &err), -EAGAIN);
    }
}

/* curl would send the PUT again by itself on a fresh connection. */
static void http_never_sends_a_put_twice(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
        {"", CANNED_CLOSE, 0}, /* the server may have acted on it */
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
        {"", CANNED_CLOSE, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(5000, 1);
    const struct store_body body = {.fd = -1};
    for (int i = 0; i < 4; i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        struct err err = {0};
        int r = i == 3 ? http_ask(http, "GET", canned_url(server), &got, &err)
                       : http_put(http, canned_url(server), &body, &got, &err);
        assert_int_equal(r, i == 1 ? -EAGAIN : 0);
    }
    assert_non_null(canned_request(server, 4)); /* but a GET is */
    assert_null(canned_request(server, 5));
}

static void http_gives_up_when_nothing_moves(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"", CANNED_HANG, 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", CANNED_HANG, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(300, 4);
    for (size_t i = 0; i < ARRAY_SIZE(reply); i++) {
        CLEANUP(http_reply_fini) struct http_reply got = {0};
        struct err err = {0};
        int64_t begun_ms = clock_ms();
        assert_int_equal(http_ask(http, "GET", canned_url(server), &got, &err), -EAGAIN);
        assert_non_null(strstr(err.msg, "nothing moved for"));
        assert_in_range(clock_ms() - begun_ms, 300, 3000);
    }
}

static void http_says_when_nobody_listens(void **state)
{
    (void)state;
    CLEANUP(http_freep) struct http *http = http_open(5000, 4);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    struct err err = {0};
    int64_t begun_ms = clock_ms();
    assert_int_equal(http_ask(http, "GET", "http://127.0.0.1:1/", &got, &err), -EAGAIN);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    assert_string_equal(err.hint, "check the endpoint");
    assert_true(clock_ms() - begun_ms < 3000);
    assert_int_equal(http_ask(http, "GET", "ftp://127.0.0.1/", &got, &err), -EBADMSG);
}

/* A listener whose queue is full leaves further connections without an answer. */
static void http_gives_up_when_nobody_accepts(void **state)
{
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd[8]; /* the listener, then what fills its queue */
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (i > 0 ? SOCK_NONBLOCK : 0), 0);
        if (i > 0)
            (void)connect(fd[i], (struct sockaddr *)&at, len);
        if (i > 0)
            continue;
        assert_int_equal(bind(fd[0], (struct sockaddr *)&at, len), 0);
        assert_int_equal(listen(fd[0], 0), 0);
        assert_int_equal(getsockname(fd[0], (struct sockaddr *)&at, &len), 0);
    }
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(at.sin_port));
    CLEANUP(http_freep) struct http *http = http_open(400, 4);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    struct err err = {0};
    int64_t begun_ms = clock_ms();
    assert_int_equal(http_ask(http, "GET", url, &got, &err), -EAGAIN);
    /* curl counts the time of a connection itself, and may end it a millisecond early */
    assert_in_range(clock_ms() - begun_ms, 390, 3000);
    assert_true(err.msg[0]);
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
        (void)close(fd[i]);
}

struct http_caller {
    struct http *http;
    const char *url;
    pthread_t thread;
    int code;
    int64_t took_ms;
};

static void *http_caller_run(void *arg)
{
    struct http_caller *c = arg;
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    int64_t begun_ms = clock_ms();
    c->code = http_ask(c->http, "GET", c->url, &got, NULL);
    c->took_ms = clock_ms() - begun_ms;
    return NULL;
}

static void http_stop_ends_calls_at_once(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", CANNED_KEEP, 0},
        {"", CANNED_HANG, 0},
    };
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(30000, 1);
    CLEANUP(http_reply_fini) struct http_reply got = {0};
    assert_int_equal(http_ask(http, "GET", canned_url(server), &got, NULL), 0);
    struct http_caller caller[3]; /* one is with the server, two wait for the connection */
    for (size_t i = 0; i < ARRAY_SIZE(caller); i++) {
        caller[i] = (struct http_caller){.http = http, .url = canned_url(server)};
        assert_int_equal(pthread_create(&caller[i].thread, NULL, http_caller_run, &caller[i]), 0);
    }
    for (int64_t until_ms = clock_ms() + 10000; !canned_request(server, 1);)
        assert_true(clock_ms() < until_ms);
    int64_t stopped_ms = clock_ms();
    http_stop(http);
    for (size_t i = 0; i < ARRAY_SIZE(caller); i++) {
        assert_int_equal(pthread_join(caller[i].thread, NULL), 0);
        assert_int_equal(caller[i].code, -ECANCELED);
    }
    assert_true(clock_ms() - stopped_ms < 900);
    assert_int_equal(http_ask(http, "GET", canned_url(server), &got, NULL), -ECANCELED);
}

static void http_waits_for_a_connection_no_longer_than_a_call(void **state)
{
    (void)state;
    static const struct canned_reply reply[] = {{"", CANNED_HANG, 0}, {"", CANNED_HANG, 0}};
    CLEANUP(canned_freep) struct canned *server = canned_new(reply, ARRAY_SIZE(reply));
    CLEANUP(http_freep) struct http *http = http_open(500, 1);
    struct http_caller caller[2];
    for (size_t i = 0; i < ARRAY_SIZE(caller); i++) {
        caller[i] = (struct http_caller){.http = http, .url = canned_url(server)};
        assert_int_equal(pthread_create(&caller[i].thread, NULL, http_caller_run, &caller[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(caller); i++) {
        assert_int_equal(pthread_join(caller[i].thread, NULL), 0);
        assert_int_equal(caller[i].code, -EAGAIN);
        assert_true(caller[i].took_ms < 4000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_keeps_its_connection),
        cmocka_unit_test(http_sends_headers_as_given_and_few_of_its_own),
        cmocka_unit_test(http_does_not_follow_redirects),
        cmocka_unit_test(http_puts_memory_then_file),
        cmocka_unit_test(http_reports_a_file_that_is_shorter_than_it_was),
        cmocka_unit_test(http_bounds_what_it_collects),
        cmocka_unit_test(http_gives_the_receiver_success_only),
        cmocka_unit_test(http_tells_a_body_that_was_cut),
        cmocka_unit_test(http_never_sends_a_put_twice),
        cmocka_unit_test(http_gives_up_when_nothing_moves),
        cmocka_unit_test(http_says_when_nobody_listens),
        cmocka_unit_test(http_gives_up_when_nobody_accepts),
        cmocka_unit_test(http_stop_ends_calls_at_once),
        cmocka_unit_test(http_waits_for_a_connection_no_longer_than_a_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
