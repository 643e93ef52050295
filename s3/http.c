#include "s3/http.h"

#include "base/version.h"
#include "s3/http_pool.h"
#include "s3/s3_errno.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HTTP_POLL_MS = 1000,          /* time is looked at no less often while nothing moves */
    HTTP_BUFFER_IN = 128 * 1024,  /* bytes curl receives at once */
    HTTP_BUFFER_OUT = 128 * 1024, /* bytes curl sends at once; a slot keeps both */
};

struct http {
    struct http_pool *pool;
    char *ca_bundle; /* NULL: the system's */
    int64_t call_time_ms;
};

/* One request under way, on the stack of http_call(). Callbacks of curl run on the same thread. */
struct http_transfer {
    struct http *http;
    const struct http_request *req;
    struct http_reply *reply;
    struct err *err;
    struct http_slot *slot;
    struct curl_slist *lines; /* headers as curl takes them; owned */
    int code;                 /* why a callback ended the transfer: -errno, or 0 */
    bool full;                /* enough of an error's body was read */
    int sends;                /* how often curl began to send the request */
    uint64_t body_at;         /* bytes of the request's body that curl has taken */
    curl_off_t sent;          /* bytes of it that had gone out when somebody looked last */
    int64_t begun_ms;
    int64_t moved_ms;
    char text[CURL_ERROR_SIZE];
};

static pthread_once_t http_once = PTHREAD_ONCE_INIT;
static CURLcode http_init_code;

static void http_init(void)
{
    http_init_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_new(const struct http_conf *conf, struct http **ret, struct err *err)
{
    (void)pthread_once(&http_once, http_init);
    if (http_init_code != CURLE_OK)
        return err_set(err, -ENOMEM, "libcurl cannot start");
    if (curl_version_info(CURLVERSION_NOW)->version_num == 0x080b00)
        return err_set(err, -EOPNOTSUPP, "libcurl 8.11.0 corrupts data: install another version");
    CLEANUP(http_freep) struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return -ENOMEM;
    http->call_time_ms = conf->call_time_ms;
    if (conf->ca_bundle && !(http->ca_bundle = strdup(conf->ca_bundle)))
        return -ENOMEM;
    int r = http_pool_new(conf->connections_max, &http->pool);
    if (r < 0)
        return r;
    *ret = TAKE(http);
    return 0;
}

void http_stop(struct http *http)
{
    http_pool_stop(http->pool);
}

void http_free(struct http *http)
{
    if (!http)
        return;
    http_pool_free(http->pool);
    free(http->ca_bundle);
    free(http);
}

void http_freep(struct http *const *http)
{
    http_free(*http);
}

static bool http_is_success(const struct http_reply *reply)
{
    return reply->status >= 200 && reply->status < 300;
}

static void http_moved(struct http_transfer *t)
{
    t->moved_ms = clock_ms();
    http_pool_moved(t->http->pool);
}

/* Ends the transfer from within a callback. */
static void http_fail(struct http_transfer *t, int code, const char *why)
{
    t->code = err_set(t->err, code, "%s", why);
}

static size_t http_on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * n;
    http_moved(t);
    int r = http_reply_line(t->reply, line, len);
    if (r == 0)
        return len;
    if (r == -ENOMEM)
        http_fail(t, r, "out of memory");
    else
        http_fail(t, -EBADMSG, "the reply's headers are too long");
    return 0;
}

/* Keeps the body of an error, or a 2xx body that nobody receives. */
static size_t http_collect(struct http_transfer *t, const char *data, size_t len)
{
    struct buf *body = &t->reply->body;
    bool success = http_is_success(t->reply);
    body->max = success ? t->req->body_max : HTTP_ERROR_MAX;
    size_t take = MIN(len, body->max - body->len);
    int r = buf_append(body, data, take);
    if (r < 0)
        http_fail(t, r, "out of memory");
    else if (take < len && success)
        http_fail(t, -EBADMSG, "the reply's body is too long");
    t->full = take < len && !success;
    return t->code < 0 || t->full ? CURL_WRITEFUNC_ERROR : len;
}

static size_t http_on_body(char *data, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    size_t len = size * n;
    t->reply->bytes_in += len;
    if (!t->req->sink || !http_is_success(t->reply)) {
        http_moved(t);
        return http_collect(t, data, len);
    }
    int64_t called_ms = clock_ms();
    int r = t->req->sink(t->req->arg, t->reply, data, len, t->err);
    t->begun_ms += clock_ms() - called_ms; /* a slow receiver does not make a slow server */
    http_moved(t);
    if (r >= 0)
        return len;
    t->code = r;
    return CURL_WRITEFUNC_ERROR;
}

/* Gives curl the next bytes of the request's body: the head from memory, the rest from the file. */
static size_t http_on_read(char *dst, size_t size, size_t n, void *arg)
{
    struct http_transfer *t = arg;
    const struct store_body *body = t->req->body;
    size_t room = size * n;
    size_t len = 0;
    http_moved(t);
    if (t->body_at < body->head_len) {
        len = MIN(room, body->head_len - (size_t)t->body_at);
        memcpy(dst, (const char *)body->head + t->body_at, len);
    } else {
        uint64_t at = t->body_at - body->head_len;
        len = (size_t)MIN((uint64_t)room, body->len - at);
        int r = pread_full(body->fd, dst, len, body->off + at);
        if (r < 0) {
            t->code = err_errno(t->err, r == -ENODATA ? -EIO : r, "read what is to be written");
            return CURL_READFUNC_ABORT;
        }
    }
    t->body_at += len;
    t->reply->bytes_out += len;
    return len;
}

static int http_on_seek(void *arg, curl_off_t off, int origin)
{
    struct http_transfer *t = arg;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > t->req->body->head_len + t->req->body->len)
        return CURL_SEEKFUNC_CANTSEEK;
    t->body_at = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

/* curl repeats a request by itself when a connection that it kept dies before a reply. The server
 * may have acted on the first one, so only requests that change nothing may go out again. */
/* NOLINTNEXTLINE(readability-non-const-parameter): curl gives the type */
static int http_on_send(void *arg, char *server, char *client, int server_port, int client_port)
{
    (void)server;
    (void)client;
    (void)server_port;
    (void)client_port;
    struct http_transfer *t = arg;
    bool changes = strcmp(t->req->method, "PUT") == 0 || strcmp(t->req->method, "DELETE") == 0;
    http_moved(t);
    if (++t->sends == 1 || !changes || t->reply->status >= 200)
        return CURL_PREREQFUNC_OK;
    http_fail(t, -EAGAIN, "the connection was lost before the reply");
    return CURL_PREREQFUNC_ABORT;
}

static bool http_add_line(struct http_transfer *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->lines, line);
    if (longer)
        t->lines = longer;
    return longer != NULL;
}

static int http_set_headers(struct http_transfer *t)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(HTTP_HEAD_MAX);
    const struct store_body *body = t->req->body;
    bool expect = body && body->head_len + body->len >= HTTP_EXPECT_MIN;
    bool ok = http_add_line(t, "Accept-Encoding: identity") &&
              http_add_line(t, expect ? "Expect: 100-continue" : "Expect:");
    for (size_t i = 0; i < t->req->headers && ok; i++) {
        const struct http_header *h = &t->req->header[i];
        buf_clear(&line);
        /* "name;" is how curl is told to send a header without a value */
        int r = *h->value ? buf_printf(&line, "%s: %s", h->name, h->value)
                          : buf_printf(&line, "%s;", h->name);
        if (r < 0)
            return r;
        ok = http_add_line(t, buf_text(&line));
    }
    return ok ? 0 : -ENOMEM;
}

/* Settings that are the same for all requests. */
static bool http_set_fixed(const struct http_transfer *t)
{
    static const struct {
        CURLoption option;
        long value;
    } fixed[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1}, /* a name server that is silent delays nobody */
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_PATH_AS_IS, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
        {CURLOPT_SSL_VERIFYPEER, 1},
        {CURLOPT_SSL_VERIFYHOST, 2},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_DNS_SHUFFLE_ADDRESSES, 1},
        {CURLOPT_BUFFERSIZE, HTTP_BUFFER_IN},
        {CURLOPT_UPLOAD_BUFFERSIZE, HTTP_BUFFER_OUT},
    };
    CURL *easy = t->slot->easy;
    bool ok = true;
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        ok = ok && curl_easy_setopt(easy, fixed[i].option, fixed[i].value) == CURLE_OK;
    long connect_ms = (long)MIN((int64_t)HTTP_CONNECT_MS, t->http->call_time_ms);
    return ok && curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "bmfs/" BMFS_VERSION) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           (!t->http->ca_bundle ||
            curl_easy_setopt(easy, CURLOPT_CAINFO, t->http->ca_bundle) == CURLE_OK);
}

static bool http_set_callbacks(struct http_transfer *t)
{
    CURL *easy = t->slot->easy;
    return curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->text) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READFUNCTION, http_on_read) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, http_on_seek) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SEEKDATA, t) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, http_on_send) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, t) == CURLE_OK;
}

static bool http_set_method(const struct http_transfer *t)
{
    CURL *easy = t->slot->easy;
    const char *method = t->req->method;
    const struct store_body *body = t->req->body;
    if (strcmp(method, "HEAD") == 0)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (strcmp(method, "GET") == 0)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    if (strcmp(method, "DELETE") == 0)
        return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                            (curl_off_t)(body->head_len + body->len)) == CURLE_OK;
}

static int http_set_up(struct http_transfer *t)
{
    CURL *easy = t->slot->easy;
    curl_easy_reset(easy); /* keeps connections and the share */
    int r = http_set_headers(t);
    if (r < 0)
        return r;
    bool ok = http_set_fixed(t) && http_set_callbacks(t) && http_set_method(t) &&
              curl_easy_setopt(easy, CURLOPT_URL, t->req->url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->lines) == CURLE_OK;
    return ok ? 0 : -ENOMEM;
}

/* Looks at the time while curl waits: stopped, stalled, or slower than can be borne. */
static int http_check(struct http_transfer *t)
{
    int64_t limit_ms = t->http->call_time_ms;
    curl_off_t sent = 0;
    (void)curl_easy_getinfo(t->slot->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    if (sent != t->sent)
        http_moved(t);
    t->sent = sent;
    int64_t now_ms = clock_ms();
    uint64_t moved = t->reply->bytes_in + t->reply->bytes_out;
    if (http_pool_stopped(t->http->pool))
        return err_set(t->err, -ECANCELED, "the store is shutting down");
    if (now_ms - t->moved_ms >= limit_ms)
        return err_set(t->err, -EAGAIN, "nothing moved for %lld s", (long long)(limit_ms / 1000));
    if (now_ms - t->begun_ms >= 2 * limit_ms + (int64_t)(moved / (HTTP_RATE_MIN / 1000)))
        return err_set(t->err, -EAGAIN, "too slow: %llu bytes in %lld s", (unsigned long long)moved,
                       (long long)((now_ms - t->begun_ms) / 1000));
    return 0;
}

/* How long curl may wait: no longer than until silence has lasted too long. */
static int http_wait_ms(const struct http_transfer *t)
{
    int64_t left_ms = t->moved_ms + t->http->call_time_ms - clock_ms();
    return (int)MAX(MIN(left_ms, (int64_t)HTTP_POLL_MS), (int64_t)1);
}

/* Runs the transfer to its end; what curl says about it, or CURLE_OK while t->code says it. Names
 * are looked up in a thread of curl's; one that is stuck is left to itself (CURLOPT_QUICK_EXIT), or
 * taking the handle out would wait for it. */
static CURLcode http_run(struct http_transfer *t)
{
    CURLM *multi = t->slot->multi;
    int running = 1;
    int left = 0;
    if (curl_multi_add_handle(multi, t->slot->easy) != CURLM_OK)
        return CURLE_OUT_OF_MEMORY;
    CURLMcode m = CURLM_OK;
    while (m == CURLM_OK) {
        m = curl_multi_perform(multi, &running);
        if (!running || t->code < 0)
            break;
        t->code = http_check(t);
        if (t->code < 0)
            break;
        if (m == CURLM_OK)
            m = curl_multi_poll(multi, NULL, 0, http_wait_ms(t), NULL);
    }
    const CURLMsg *msg = running ? NULL : curl_multi_info_read(multi, &left);
    CURLcode code = m != CURLM_OK ? CURLE_OUT_OF_MEMORY : CURLE_OK;
    if (msg && msg->msg == CURLMSG_DONE)
        code = msg->data.result;
    (void)curl_multi_remove_handle(multi, t->slot->easy);
    return code;
}

static int http_transfer_run(struct http_transfer *t)
{
    int r = http_set_up(t);
    if (r < 0)
        return r;
    t->begun_ms = clock_ms();
    t->moved_ms = t->begun_ms;
    CURLcode code = http_run(t);
    if (t->code < 0)
        return t->code;
    if (code == CURLE_OK || t->full)
        return 0;
    const char *text = t->text[0] ? t->text : curl_easy_strerror(code);
    r = err_set(t->err, s3_errno_curl((int)code), "%s", text);
    const char *hint = s3_errno_curl_hint((int)code);
    if (hint)
        err_hint(t->err, "%s", hint);
    return r;
}

int http_call(struct http *http, const struct http_request *req, struct http_reply *reply,
              struct err *err)
{
    struct http_transfer t = {.http = http, .req = req, .reply = reply, .err = err};
    int r = http_pool_take(http->pool, http->call_time_ms, &t.slot);
    if (r == -EAGAIN)
        return err_set(err, r, "all connections are busy and none of them moves");
    if (r == -ECANCELED)
        return err_set(err, r, "the store is shutting down");
    if (r < 0)
        return err_errno(err, r, "connect");
    r = http_transfer_run(&t);
    curl_slist_free_all(t.lines);
    http_pool_give(http->pool, t.slot);
    return r;
}
