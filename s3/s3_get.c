#include "s3/s3_get.h"

#include "s3/s3_etag.h"
#include "s3/s3_stat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A get under way. */
struct s3_get {
    const struct store_get *get;
    store_sink_fn *sink;
    void *arg;
    bool begun; /* the two below are known */
    struct store_stat stat;
    struct s3_stat_range left; /* bytes that are still to come */
};

int s3_head(struct client *client, const char *key, struct store_stat *ret_stat, struct err *err)
{
    const struct request req = {.method = "HEAD", .key = key};
    struct store_stat stat;
    struct http_reply reply = {0};
    int r = client_call(client, &req, &reply, err);
    if (r == 0)
        r = s3_stat_reply(&reply, &stat, NULL, err);
    http_reply_fini(&reply);
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return r;
}

/* Reads the head of the reply, which must be about the very bytes that were asked for: a server
 * that does not know ranges would send all of them. */
static int s3_get_begin(struct s3_get *g, const struct http_reply *reply, struct err *err)
{
    const struct store_get *get = g->get;
    int r = s3_stat_reply(reply, &g->stat, &g->left, err);
    if (r < 0)
        return r;
    if (get->if_match && strcmp(get->if_match, g->stat.etag) != 0)
        return err_set(err, -ESTALE, "the object is another version");
    if (g->left.first != get->off || (get->len > 0 && g->left.end - get->off > get->len))
        return err_set(err, -EBADMSG, "the reply holds other bytes than were asked for");
    g->begun = true;
    return 0;
}

static int s3_get_sink(void *arg, const struct http_reply *reply, const void *data, size_t len,
                       struct err *err)
{
    struct s3_get *g = arg;
    int r = g->begun ? 0 : s3_get_begin(g, reply, err);
    if (r < 0)
        return r;
    if (len > g->left.end - g->left.first)
        return err_set(err, -EBADMSG, "the reply is longer than it said");
    r = g->sink(g->arg, &g->stat, g->left.first, data, len);
    if (r < 0)
        return err_errno(err, r, "the receiver");
    g->left.first += len;
    return 0;
}

/* No byte at `off`: beyond the end, or the object is empty and its version must be asked for. */
static int s3_get_nothing(struct client *client, const char *key, struct s3_get *g, struct err *err)
{
    if (g->get->off > 0)
        return err_set(err, -ERANGE, "the object ends before byte %" PRIu64, g->get->off);
    int r = s3_head(client, key, &g->stat, err);
    if (r < 0)
        return r;
    if (g->get->if_match && strcmp(g->get->if_match, g->stat.etag) != 0)
        return err_set(err, -ESTALE, "the object is another version");
    if (g->stat.size > 0)
        return err_set(err, -EAGAIN, "the object has just changed");
    return 0;
}

/* What a get adds to its request; the texts live as long as the request. */
struct s3_get_text {
    char range[64];
    char if_match[S3_ETAG_HEADER_SIZE];
    char if_none_match[S3_ETAG_HEADER_SIZE];
};

static void s3_get_header(struct request *req, const char *name, const char *value)
{
    req->header[req->headers++] = (struct http_header){name, value};
}

/* Quoted ETags are what the standard wants and every known server takes in a GET. */
static int s3_get_headers(const struct store_get *get, struct request *req, struct s3_get_text *t,
                          struct err *err)
{
    uint64_t room = (uint64_t)INT64_MAX - get->off; /* servers count in signed numbers */
    int r = 0;
    if (get->len > 0)
        (void)snprintf(t->range, sizeof(t->range), "bytes=%" PRIu64 "-%" PRIu64, get->off,
                       get->off + MIN(get->len - 1, room));
    else
        (void)snprintf(t->range, sizeof(t->range), "bytes=%" PRIu64 "-", get->off);
    if (get->off > 0 || get->len > 0)
        s3_get_header(req, "range", t->range);
    if (get->if_match) {
        r = s3_etag_write(get->if_match, true, t->if_match);
        s3_get_header(req, "if-match", t->if_match);
    }
    if (get->if_none_match && r == 0) {
        r = s3_etag_write(get->if_none_match, true, t->if_none_match);
        s3_get_header(req, "if-none-match", t->if_none_match);
    }
    return r < 0 ? err_set(err, r, "the condition is not an ETag") : 0;
}

static int s3_get_send(struct client *client, const char *key, struct s3_get *g, struct err *err)
{
    struct s3_get_text text;
    struct request req = {
        .method = "GET",
        .key = key,
        .sink = s3_get_sink,
        .arg = g,
        .body_max = HTTP_ERROR_MAX,
    };
    int r = s3_get_headers(g->get, &req, &text, err);
    if (r < 0)
        return r;
    struct http_reply reply = {0};
    r = client_call(client, &req, &reply, err);
    if (r == 0 && !g->begun)
        r = s3_get_begin(g, &reply, err); /* an empty object */
    bool nothing = r < 0 && reply.status == 416;
    http_reply_fini(&reply);
    if (nothing)
        return s3_get_nothing(client, key, g, err);
    if (r == 0 && g->left.first < g->left.end)
        return err_set(err, -EAGAIN, "the reply ended %" PRIu64 " bytes early",
                       g->left.end - g->left.first);
    return r;
}

int s3_get(struct client *client, const char *key, const struct store_get *get, store_sink_fn *sink,
           void *arg, struct store_stat *ret_stat, struct err *err)
{
    struct s3_get g = {.get = get, .sink = sink, .arg = arg};
    if (get->off > INT64_MAX)
        return err_set(err, -ERANGE, "no object is that long");
    int r = s3_get_send(client, key, &g, err);
    if (r == 0 && ret_stat)
        *ret_stat = g.stat;
    return r;
}
