#include "s3/client.h"

#include "base/lock.h"
#include "s3/s3_errno.h"
#include "s3/s3_xml.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CLIENT_SKEW_MIN_S = 300,           /* a clock that is off by less is not to blame */
    CLIENT_RETRY_AFTER_MAX_S = 5 * 60, /* a server's wish to wait longer is cut to this */
    CLIENT_ROOT_MAX = 256,             /* bytes of an XML body that hold its root */
    CLIENT_ID_SIZE = 64,               /* what is kept of a request's id */
};

/* What the names of regions are made of, on servers other than AWS too. */
#define CLIENT_REGION_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

/* A store is asked by one thread a request, and only that thread can say which it was. */
static _Thread_local char client_latest_id[CLIENT_ID_SIZE];

struct client {
    struct http *http;
    struct creds_source *creds;
    char *bucket;
    char *id;
    enum uri_style style;
    bool tls;
    bool aws; /* the endpoint follows from the region */
    int64_t clock_ahead_s;
    _Atomic int64_t clock_offset_s; /* the server's clock minus this machine's, once found wrong */
    _Atomic bool bucket_seen;       /* the bucket exists, so that a HEAD's 404 means the key */
    _Atomic uint64_t gets, puts, heads, dels, lists, bytes_in, bytes_out;
    pthread_mutex_t mu;
    /* guarded by mu: */
    struct uri_endpoint base; /* where the bucket's keys are */
    char region[REQUEST_REGION_SIZE];
    struct sigv4_key key; /* the latest one derived */
};

static int client_id_new(const struct uri_endpoint *endpoint, const char *bucket, char **ret)
{
    const char *host = endpoint->aws ? "s3.amazonaws.com" : endpoint->host; /* regions may change */
    return asprintf(ret, "s3://%s%s/%s", host, endpoint->path, bucket) < 0 ? -ENOMEM : 0;
}

static int client_init(struct client *c, const struct client_conf *conf, struct err *err)
{
    struct uri_endpoint endpoint;
    int r = conf->endpoint_url ? uri_endpoint_parse(conf->endpoint_url, &endpoint, err)
                               : uri_endpoint_aws(conf->region, &endpoint, err);
    if (r == 0)
        r = uri_bucket(&endpoint, conf->bucket, conf->style, &c->base, err);
    if (r < 0)
        return r;
    size_t len = strspn(conf->region, CLIENT_REGION_CHARS);
    if (len == 0 || len >= sizeof(c->region) || conf->region[len])
        return err_set(err, -EINVAL, "'%s' is not the name of a region", conf->region);
    memcpy(c->region, conf->region, len);
    c->style = conf->style;
    c->tls = endpoint.tls;
    c->aws = endpoint.aws;
    c->clock_ahead_s = conf->clock_ahead_s;
    c->bucket = strdup(conf->bucket);
    if (!c->bucket)
        return -ENOMEM;
    r = client_id_new(&endpoint, conf->bucket, &c->id);
    return r < 0 ? r : http_new(&conf->http, &c->http, err);
}

int client_new(const struct client_conf *conf, struct creds_source **creds, struct client **ret,
               struct err *err)
{
    CLEANUP(client_freep) struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    (void)pthread_mutex_init(&c->mu, NULL);
    c->creds = TAKE(*creds);
    int r = client_init(c, conf, err);
    if (r < 0)
        return r;
    *ret = TAKE(c);
    return 0;
}

const char *client_id(const struct client *c)
{
    return c->id;
}

bool client_is_aws(const struct client *c)
{
    return c->aws;
}

void client_stop(struct client *c)
{
    http_stop(c->http);
}

void client_free(struct client *c)
{
    if (!c)
        return;
    http_free(c->http);
    creds_source_free(c->creds);
    OPENSSL_cleanse(&c->key, sizeof(c->key));
    (void)pthread_mutex_destroy(&c->mu);
    free(c->bucket);
    free(c->id);
    free(c);
}

void client_freep(struct client *const *c)
{
    client_free(*c);
}

const char *client_request_id(void)
{
    return client_latest_id;
}

void client_count(const struct client *c, struct store_counters *sum)
{
    sum->gets += atomic_load(&c->gets);
    sum->puts += atomic_load(&c->puts);
    sum->heads += atomic_load(&c->heads);
    sum->dels += atomic_load(&c->dels);
    sum->lists += atomic_load(&c->lists);
    sum->bytes_in += atomic_load(&c->bytes_in);
    sum->bytes_out += atomic_load(&c->bytes_out);
}

static void client_count_try(struct client *c, const struct request *req,
                             const struct http_reply *reply)
{
    _Atomic uint64_t *count = &c->gets;
    if (!req->key)
        count = &c->lists;
    else if (strcmp(req->method, "PUT") == 0)
        count = &c->puts;
    else if (strcmp(req->method, "HEAD") == 0)
        count = &c->heads;
    else if (strcmp(req->method, "DELETE") == 0)
        count = &c->dels;
    (void)atomic_fetch_add(count, 1);
    (void)atomic_fetch_add(&c->bytes_in, reply->bytes_in);
    (void)atomic_fetch_add(&c->bytes_out, reply->bytes_out);
}

/* This machine's clock, right or wrong. */
static int64_t client_clock_s(const struct client *c)
{
    return (int64_t)time(NULL) + c->clock_ahead_s;
}

/* Copies into `s` what the client knows now, and builds and signs the request. */
static int client_build(struct client *c, const struct request *req, struct request_signed *s,
                        struct err *err)
{
    struct sigv4_key key;
    int r = creds_source_get(c->creds, &s->creds, err);
    if (r < 0)
        return r;
    {
        LOCK_SCOPE(&c->mu);
        s->base = c->base;
        memcpy(s->region, c->region, sizeof(s->region));
        key = c->key;
    }
    s->clock_offset_s = atomic_load(&c->clock_offset_s);
    r = request_sign(s, req, client_clock_s(c) + s->clock_offset_s, &key);
    if (r == 0) {
        LOCK_SCOPE(&c->mu);
        c->key = key;
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return r < 0 ? err_errno(err, r, "sign the request") : 0;
}

/* 0 when a reply came. */
static int client_send(struct client *c, const struct request *req, struct request_signed *s,
                       struct http_reply *reply, struct err *err)
{
    int r = client_build(c, req, s, err);
    if (r < 0)
        return r;
    const struct http_request http = {
        .method = req->method,
        .url = buf_text(&s->url),
        .header = s->header,
        .headers = s->headers,
        .body = req->body,
        .sink = req->sink,
        .arg = req->arg,
        .body_max = req->body_max,
    };
    r = http_call(c->http, &http, reply, err);
    const char *id = http_reply_header(reply, "x-amz-request-id");
    (void)snprintf(client_latest_id, sizeof(client_latest_id), "%s", id ? id : "");
    client_count_try(c, req, reply);
    return r;
}

/* How far the server's clock is ahead of this machine's; 0 when the reply does not tell. */
static int64_t client_skew_s(const struct client *c, const struct http_reply *reply)
{
    const char *date = http_reply_header(reply, "date");
    int64_t server_s = 0;
    if (!date || !http_reply_date(date, &server_s))
        return 0;
    return server_s - client_clock_s(c);
}

/* True when the time that the request was signed for was too wrong to be accepted. */
static bool client_is_skewed(const struct request_signed *s, int64_t skew_s)
{
    int64_t off_s = skew_s - s->clock_offset_s;
    return skew_s != 0 && (off_s > CLIENT_SKEW_MIN_S || off_s < -CLIENT_SKEW_MIN_S);
}

/* When the server asks to be left alone: seconds, or a date. */
static int64_t client_retry_after_ms(const struct http_reply *reply)
{
    const char *text = http_reply_header(reply, "retry-after");
    const char *date = http_reply_header(reply, "date");
    int64_t at_s = 0;
    int64_t now_s = 0;
    int64_t wait_s = 0;
    if (!text)
        return 0;
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && !text[digits])
        wait_s = digits > 6 ? CLIENT_RETRY_AFTER_MAX_S : strtol(text, NULL, 10);
    else if (date && http_reply_date(text, &at_s) && http_reply_date(date, &now_s))
        wait_s = at_s - now_s;
    return MAX(MIN(wait_s, (int64_t)CLIENT_RETRY_AFTER_MAX_S), (int64_t)0) * 1000;
}

/* Puts a reply that is not 2xx into words. */
static void client_say(const struct client *c, const struct request_signed *s,
                       const struct http_reply *reply, const struct s3_xml_error *e,
                       const struct s3_errno *means, struct err *err)
{
    const char *id =
        e->request_id[0] ? e->request_id : http_reply_header(reply, "x-amz-request-id");
    int64_t skew_s = client_skew_s(c, reply);
    (void)err_set(err, 0, "HTTP %d%s%s%s%s (region %s%s%s)", reply->status, e->code[0] ? " " : "",
                  e->code, e->message[0] ? ": " : "", e->message, s->region, id ? ", request " : "",
                  id ? id : "");
    if (means->code == -ENXIO)
        (void)err_prefix(err, 0, "bucket %s", c->bucket);
    if (means->code == -EACCES && !s->creds->access_key)
        err_hint(err, "it is not open to everybody: leave out --no-sign-request");
    else if (means->hint)
        err_hint(err, "%s", means->hint);
    if (means->fix == S3_ERRNO_FIX_CLOCK && skew_s != 0)
        err_hint(err, "the clock of this machine is %lld s %s the server's: set it",
                 (long long)(skew_s < 0 ? -skew_s : skew_s), skew_s < 0 ? "ahead of" : "behind");
    if (err)
        err->retry_after_ms = client_retry_after_ms(reply);
}

/* Moves to the region that the reply names. False when it names none, or the one in use. */
static bool client_fix_region(struct client *c, const struct request_signed *s,
                              const struct http_reply *reply, const struct s3_xml_error *e)
{
    const char *region = e->region[0] ? e->region : http_reply_header(reply, "x-amz-bucket-region");
    struct uri_endpoint endpoint;
    struct uri_endpoint base = s->base;
    if (!region || strcmp(region, s->region) == 0 || strlen(region) >= REQUEST_REGION_SIZE ||
        uri_endpoint_aws(region, &endpoint, NULL) < 0)
        return false;
    if (c->aws && uri_bucket(&endpoint, c->bucket, c->style, &base, NULL) < 0)
        return false;
    LOCK_SCOPE(&c->mu);
    (void)snprintf(c->region, sizeof(c->region), "%s", region);
    c->base = base;
    return true;
}

/* Signs by the server's clock from now on. */
static bool client_fix_clock(struct client *c, const struct request_signed *s,
                             const struct http_reply *reply)
{
    int64_t skew_s = client_skew_s(c, reply);
    if (!client_is_skewed(s, skew_s))
        return false;
    atomic_store(&c->clock_offset_s, skew_s);
    return true;
}

/* True when something was put right, so that the request is worth sending again. */
static bool client_fix(struct client *c, const struct request_signed *s,
                       const struct http_reply *reply, const struct s3_xml_error *e,
                       enum s3_errno_fix fix)
{
    switch (fix) {
    case S3_ERRNO_FIX_REGION:
        return client_fix_region(c, s, reply, e);
    case S3_ERRNO_FIX_CLOCK:
        return client_fix_clock(c, s, reply);
    case S3_ERRNO_FIX_CREDS:
        return creds_source_refresh(c->creds, s->creds, NULL) == 1;
    case S3_ERRNO_FIX_NONE:
    default:
        return false;
    }
}

/* What a reply means, and what may be put right about it. */
static struct s3_errno client_judge(struct client *c, const struct request *req,
                                    const struct request_signed *s, const struct http_reply *reply,
                                    const struct s3_xml_error *e)
{
    struct s3_errno means = s3_errno_reply(reply->status, e->code);
    bool head = strcmp(req->method, "HEAD") == 0;
    if (means.code == -ENOENT)
        atomic_store(&c->bucket_seen, true);
    if (head && reply->status == 404 && atomic_load(&c->bucket_seen))
        means = (struct s3_errno){.code = -ENOENT};
    if (means.code == -EACCES && means.fix == S3_ERRNO_FIX_NONE &&
        client_is_skewed(s, client_skew_s(c, reply)))
        means.fix = S3_ERRNO_FIX_CLOCK; /* some servers call it by another name */
    return means;
}

/* Servers that had to begin their reply before they were done tell of a failure in the body of a
 * 200. */
static bool client_is_success(const struct http_reply *reply)
{
    size_t look = MIN(reply->body.len, (size_t)CLIENT_ROOT_MAX);
    return reply->status >= 200 && reply->status < 300 &&
           !memmem(buf_text(&reply->body), look, "<Error", strlen("<Error"));
}

/* Sends once. `*tried` gathers what was put right so far; when something new was, -ERESTART. */
static int client_once(struct client *c, const struct request *req, const char *payload,
                       unsigned *tried, struct http_reply *reply, struct err *err)
{
    CLEANUP(request_signed_fini) struct request_signed s = {.payload = payload};
    struct s3_xml_error e;
    int r = client_send(c, req, &s, reply, err);
    if (r < 0)
        return r;
    if (client_is_success(reply)) {
        atomic_store(&c->bucket_seen, true);
        return 0;
    }
    s3_xml_error(buf_text(&reply->body), reply->body.len, &e);
    struct s3_errno means = client_judge(c, req, &s, reply, &e);
    if (means.fix && !(*tried & means.fix) && client_fix(c, &s, reply, &e, means.fix)) {
        *tried |= means.fix;
        return -ERESTART;
    }
    if (means.code < 0)
        client_say(c, &s, reply, &e, &means, err);
    return means.code;
}

static int client_repeat(struct client *c, const struct request *req, const char *payload,
                         struct http_reply *reply, struct err *err)
{
    unsigned tried = 0; /* a set of enum s3_errno_fix: each is a reason for one more attempt */
    for (;;) {
        int r = client_once(c, req, payload, &tried, reply, err);
        if (r != -ERESTART)
            return r;
        http_reply_fini(reply);
        *reply = (struct http_reply){0};
        err_clear(err);
    }
}

/* True when a HEAD failed in a way that only a body can explain. */
static bool client_is_mute(const struct http_reply *reply, int r)
{
    return r < 0 && r != -ENOENT && r != -ESTALE && r != -EAGAIN && reply->status >= 300 &&
           reply->status < 500;
}

/* The reply to a HEAD has no body that could say why it failed; the same GET's has. 0 when that
 * did not fail, perhaps because it put something right. */
static int client_ask_why(struct client *c, const struct request *head, struct err *err)
{
    const struct request get = {
        .method = "GET",
        .key = head->key,
        .header = {{"range", "bytes=0-0"}},
        .headers = 1,
        .body_max = HTTP_ERROR_MAX,
    };
    struct http_reply reply = {0};
    int r = client_repeat(c, &get, SIGV4_EMPTY, &reply, err);
    http_reply_fini(&reply);
    return r == -ERANGE ? 0 : r; /* the object is there, and empty */
}

static int client_head(struct client *c, const struct request *req, struct http_reply *reply,
                       struct err *err)
{
    int r = client_repeat(c, req, SIGV4_EMPTY, reply, err);
    if (!client_is_mute(reply, r))
        return r;
    r = client_ask_why(c, req, err);
    if (r < 0)
        return r;
    err_clear(err);
    http_reply_fini(reply);
    *reply = (struct http_reply){0};
    return client_repeat(c, req, SIGV4_EMPTY, reply, err);
}

int client_call(struct client *c, const struct request *req, struct http_reply *reply,
                struct err *err)
{
    char hash[SIGV4_SHA256_SIZE] = SIGV4_EMPTY;
    if (strcmp(req->method, "HEAD") == 0)
        return client_head(c, req, reply, err);
    if (req->body && c->tls)
        return client_repeat(c, req, SIGV4_UNSIGNED, reply, err); /* TLS protects the body */
    int r = req->body ? request_hash(req->body, hash) : 0;
    if (r < 0)
        return err_errno(err, r, "read what is to be written");
    return client_repeat(c, req, hash, reply, err);
}
