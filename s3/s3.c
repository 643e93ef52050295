#include "s3/s3.h"

#include "s3/probe.h"
#include "s3/s3_etag.h"
#include "s3/s3_get.h"
#include "s3/s3_list.h"
#include "s3/s3_stat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The most that S3 takes in one PUT. */
#define S3_PUT_MAX (UINT64_C(5) << 30)

/* A body from this size on is worth one HEAD before it is sent in vain: some servers answer "100
 * Continue" before they look at the condition. */
#define S3_LOOK_FIRST_MIN (UINT64_C(1) << 20)

struct s3 {
    struct store base;
    struct client *client;
    struct probe *probe;
    bool read_only;
    _Atomic bool list_v1; /* see s3_list.h */
};

static struct s3 *s3_of(struct store *st)
{
    return (struct s3 *)st; /* base is the first member */
}

static int s3_check_key(const char *key, struct err *err)
{
    size_t len = strlen(key);
    if (len == 0)
        return err_set(err, -EINVAL, "an object's key cannot be empty");
    if (len > STORE_KEY_MAX)
        return err_set(err, -ENAMETOOLONG, "an object's key has at most %d bytes", STORE_KEY_MAX);
    return 0;
}

static int s3_get_op(struct store *st, const char *key, const struct store_get *get,
                     store_sink_fn *sink, void *arg, struct store_stat *ret_stat, struct err *err)
{
    int r = s3_check_key(key, err);
    if (r == 0)
        r = s3_get(s3_of(st)->client, key, get, sink, arg, ret_stat, err);
    return r < 0 ? err_prefix(err, r, "get %s", key) : r;
}

static int s3_head_op(struct store *st, const char *key, struct store_stat *ret_stat,
                      struct err *err)
{
    struct store_stat stat;
    int r = s3_check_key(key, err);
    if (r == 0)
        r = s3_head(s3_of(st)->client, key, &stat, err);
    if (r < 0)
        return err_prefix(err, r, "head %s", key);
    if (ret_stat)
        *ret_stat = stat;
    return 0;
}

/* Compares by a HEAD what the server would not compare by itself. 0: the condition holds now. */
static int s3_compare(struct s3 *s3, const char *key, const char *if_match, struct err *err)
{
    struct store_stat stat;
    int r = s3_head(s3->client, key, &stat, err);
    bool exists = r == 0;
    if (r < 0 && r != -ENOENT)
        return r;
    err_clear(err);
    if (strcmp(if_match, STORE_ABSENT) == 0)
        return exists ? err_set(err, -EEXIST, "the object exists") : 0;
    if (!exists)
        return err_set(err, -ESTALE, "the object is gone");
    if (strcmp(if_match, stat.etag) != 0)
        return err_set(err, -ESTALE, "the object is another version");
    return 0;
}

/* Adds If-Match in the way that this server reads it. */
static int s3_match(struct request *req, enum probe_match how, const char *etag, char *value,
                    struct err *err)
{
    if (how == PROBE_IGNORED)
        return 0;
    int r = s3_etag_write(etag, how == PROBE_QUOTED, value);
    if (r < 0)
        return err_set(err, r, "the condition is not an ETag");
    req->header[req->headers++] = (struct http_header){"if-match", value};
    return 0;
}

/* Prepares a conditional PUT: adds the header that this server honours, or looks by itself. */
static int s3_put_condition(struct s3 *s3, struct request *req, const char *if_match, char *value,
                            struct err *err)
{
    struct probe_verdict verdict;
    bool absent = strcmp(if_match, STORE_ABSENT) == 0;
    bool large = req->body->head_len + req->body->len >= S3_LOOK_FIRST_MIN;
    int r = probe_get(s3->probe, &verdict, err);
    if (r < 0)
        return r;
    bool ignored = absent ? !verdict.absent : verdict.put == PROBE_IGNORED;
    if (ignored || (absent && large))
        r = s3_compare(s3, req->key, if_match, err);
    if (r < 0 && (ignored || r == -EEXIST))
        return r; /* else the server itself will look */
    if (!absent)
        return s3_match(req, verdict.put, if_match, value, err);
    if (verdict.absent)
        req->header[req->headers++] = (struct http_header){"if-none-match", "*"};
    return 0;
}

/* A reply that looks like a success and names no version: what is there may be ours. */
static int s3_put_find(struct s3 *s3, const struct request *req, const struct store_put *put,
                       struct store_stat *ret, struct err *err)
{
    int r = s3_head(s3->client, req->key, ret, err);
    if (r < 0)
        return r == -ENOENT ? -EAGAIN : r;
    if (!put->write_id || strcmp(put->write_id, ret->write_id) != 0)
        return err_set(err, -EAGAIN, "the reply to a PUT has no ETag");
    return 0;
}

/* The new version, from the reply to its PUT. */
static int s3_put_stat(struct s3 *s3, const struct request *req, const struct store_put *put,
                       const struct http_reply *reply, struct store_stat *ret, struct err *err)
{
    const char *etag = http_reply_header(reply, "etag");
    *ret = (struct store_stat){0};
    if (!etag || s3_etag_read(etag, ret->etag) < 0)
        return s3_put_find(s3, req, put, ret, err);
    ret->size = req->body->head_len + req->body->len;
    ret->mtime_ns = s3_stat_time_ns(reply, "date"); /* a second off at most */
    ret->has_crc32c = put->has_crc32c;
    ret->crc32c = put->crc32c;
    if (put->write_id)
        (void)snprintf(ret->write_id, sizeof(ret->write_id), "%s", put->write_id);
    return 0;
}

static int s3_put_send(struct s3 *s3, struct request *req, const struct store_put *put,
                       struct store_stat *ret_stat, struct err *err)
{
    char match[S3_ETAG_HEADER_SIZE];
    char crc[9];
    struct store_stat stat;
    bool absent = put->if_match && strcmp(put->if_match, STORE_ABSENT) == 0;
    int r = put->if_match ? s3_put_condition(s3, req, put->if_match, match, err) : 0;
    if (r < 0)
        return r;
    (void)snprintf(crc, sizeof(crc), "%08" PRIx32, put->crc32c);
    if (put->has_crc32c)
        req->header[req->headers++] = (struct http_header){S3_STAT_CRC32C, crc};
    if (put->write_id)
        req->header[req->headers++] = (struct http_header){S3_STAT_WRITE_ID, put->write_id};
    struct http_reply reply = {0};
    r = client_call(s3->client, req, &reply, err);
    if (r == 0)
        r = s3_put_stat(s3, req, put, &reply, &stat, err);
    http_reply_fini(&reply);
    if (r == STORE_SAME)
        r = err_set(err, -ESTALE, "HTTP 304"); /* from servers that take a PUT for a GET here */
    if (r == -ENOENT && put->if_match)
        r = -ESTALE;
    if (r == 0 && ret_stat)
        *ret_stat = stat;
    return r == -ESTALE && absent ? -EEXIST : r;
}

static int s3_put_check(const struct s3 *s3, const char *key, const struct store_body *body,
                        const struct store_put *put, struct err *err)
{
    int r = s3_check_key(key, err);
    if (r < 0)
        return r;
    if (s3->read_only)
        return err_set(err, -EROFS, "opened read-only");
    if (body->len > S3_PUT_MAX || body->head_len > S3_PUT_MAX - body->len)
        return err_set(err, -EFBIG, "S3 takes at most 5 GiB in one piece");
    if (put->write_id && !s3_stat_is_write_id(put->write_id))
        return err_set(err, -EINVAL, "a write id is 32 hex digits");
    return 0;
}

static int s3_put_op(struct store *st, const char *key, const struct store_body *body,
                     const struct store_put *put, struct store_stat *ret_stat, struct err *err)
{
    struct request req = {.method = "PUT", .key = key, .body = body, .body_max = HTTP_ERROR_MAX};
    int r = s3_put_check(s3_of(st), key, body, put, err);
    if (r == 0)
        r = s3_put_send(s3_of(st), &req, put, ret_stat, err);
    return r < 0 ? err_prefix(err, r, "put %s", key) : 0;
}

static int s3_del_send(struct s3 *s3, struct request *req, const char *if_match, struct err *err)
{
    struct probe_verdict verdict;
    char match[S3_ETAG_HEADER_SIZE];
    int r = if_match ? probe_get(s3->probe, &verdict, err) : 0;
    if (r == 0 && if_match && verdict.remove == PROBE_IGNORED)
        r = s3_compare(s3, req->key, if_match, err);
    if (r == 0 && if_match)
        r = s3_match(req, verdict.remove, if_match, match, err);
    if (r < 0)
        return r;
    struct http_reply reply = {0};
    r = client_call(s3->client, req, &reply, err);
    http_reply_fini(&reply);
    if (r == -ENOENT)
        return if_match ? -ESTALE : 0;
    return r;
}

static int s3_del_op(struct store *st, const char *key, const char *if_match, struct err *err)
{
    struct s3 *s3 = s3_of(st);
    struct request req = {.method = "DELETE", .key = key, .body_max = HTTP_ERROR_MAX};
    int r = s3_check_key(key, err);
    if (r == 0 && s3->read_only)
        r = err_set(err, -EROFS, "opened read-only");
    if (r == 0)
        r = s3_del_send(s3, &req, if_match, err);
    return r < 0 ? err_prefix(err, r, "delete %s", key) : 0;
}

static int s3_list_op(struct store *st, const struct store_list *list, store_list_fn *fn, void *arg,
                      struct err *err)
{
    struct s3 *s3 = s3_of(st);
    int r = s3_list(s3->client, list, &s3->list_v1, fn, arg, err);
    return r < 0 ? err_prefix(err, r, "list %s", list->prefix ? list->prefix : "") : r;
}

static const char *s3_note(struct store *st)
{
    struct probe_verdict verdict;
    if (!probe_known(s3_of(st)->probe, &verdict))
        return NULL;
    if (!verdict.absent)
        return "this endpoint does not make writes conditional: when two mounts write the same "
               "new object at the same moment, one of them is lost without an error";
    if (verdict.put == PROBE_IGNORED)
        return "this endpoint does not make overwriting conditional: when two mounts overwrite "
               "the same object at the same moment, one of them is lost without an error";
    return NULL;
}

static void s3_count(struct store *st, struct store_counters *sum)
{
    client_count(s3_of(st)->client, sum);
}

static void s3_shutdown(struct store *st)
{
    client_stop(s3_of(st)->client);
}

static void s3_free(struct store *st)
{
    struct s3 *s3 = s3_of(st);
    probe_free(s3->probe);
    client_free(s3->client);
    free(s3->base.id);
    free(s3);
}

static const char *s3_request_id_op(struct store *st)
{
    (void)st;
    return client_request_id();
}

static const struct store_ops s3_ops = {
    .name = "s3",
    .get = s3_get_op,
    .put = s3_put_op,
    .head = s3_head_op,
    .del = s3_del_op,
    .list = s3_list_op,
    .count = s3_count,
    .note = s3_note,
    .request_id = s3_request_id_op,
    .shutdown = s3_shutdown,
    .free = s3_free,
};

int s3_new(const struct s3_conf *conf, struct creds_source **creds, struct store **ret,
           struct err *err)
{
    struct s3 *s3 = calloc(1, sizeof(*s3));
    if (!s3)
        return -ENOMEM;
    s3->base.ops = &s3_ops;
    s3->read_only = conf->read_only;
    int r = client_new(&conf->client, creds, &s3->client, err);
    if (r == 0)
        r = probe_new(s3->client, conf->prefix, &s3->probe);
    if (r == 0 && !(s3->base.id = strdup(client_id(s3->client))))
        r = -ENOMEM;
    if (r < 0) {
        s3_free(&s3->base);
        return r;
    }
    *ret = &s3->base;
    return 0;
}
