#include "s3/request.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

enum {
    REQUEST_URL_MAX = 128 * 1024,
    REQUEST_HASH_CHUNK = 256 * 1024, /* bytes of a body that are hashed at once */
};

/* Feeds the part of a body that is in a file to the hash. */
static int request_hash_file(EVP_MD_CTX *md, const struct store_body *body)
{
    CLEANUP(freep) char *chunk = malloc(REQUEST_HASH_CHUNK);
    if (!chunk)
        return -ENOMEM;
    for (uint64_t at = 0; at < body->len;) {
        size_t len = (size_t)MIN((uint64_t)REQUEST_HASH_CHUNK, body->len - at);
        int r = pread_full(body->fd, chunk, len, body->off + at);
        if (r < 0)
            return r == -ENODATA ? -EIO : r;
        if (EVP_DigestUpdate(md, chunk, len) != 1)
            return -ENOMEM;
        at += len;
    }
    return 0;
}

int request_hash(const struct store_body *body, char *ret)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int r = -ENOMEM;
    if (md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
        EVP_DigestUpdate(md, body->head, body->head_len) == 1)
        r = body->len > 0 ? request_hash_file(md, body) : 0;
    if (r == 0 && EVP_DigestFinal_ex(md, hash, NULL) != 1)
        r = -ENOMEM;
    EVP_MD_CTX_free(md);
    if (r == 0)
        hex_encode(ret, hash, (SIGV4_SHA256_SIZE - 1) / 2);
    return r;
}

void request_signed_fini(struct request_signed *s)
{
    creds_unref(s->creds);
    buf_fini(&s->path);
    buf_fini(&s->query);
    buf_fini(&s->url);
    buf_fini(&s->authorization);
}

static int request_url(struct request_signed *s, const struct request *req)
{
    int r = buf_printf(&s->path, "%s%s", s->base.path, req->key || !s->base.path[0] ? "/" : "");
    if (r == 0 && req->key)
        r = uri_encode(&s->path, req->key, "/");
    if (r == 0)
        r = uri_query(&s->query, req->param, req->params);
    if (r == 0)
        r = buf_printf(&s->url, "%s://%s%s%s%s", s->base.tls ? "https" : "http", s->base.host,
                       buf_text(&s->path), s->query.len > 0 ? "?" : "", buf_text(&s->query));
    return r;
}

static void request_header(struct request_signed *s, const char *name, const char *value)
{
    s->header[s->headers++] = (struct http_header){name, value};
}

/* Adds the header that holds the signature of all before it. */
static int request_authorize(struct request_signed *s, const struct request *req,
                             struct sigv4_key *key)
{
    const struct sigv4_request sigv4 = {
        .method = req->method,
        .path = buf_text(&s->path),
        .query = buf_text(&s->query),
        .header = s->header,
        .headers = s->headers,
        .payload = s->payload,
        .date = s->date,
        .region = s->region,
    };
    int r = sigv4_sign(&sigv4, s->creds, key, &s->authorization);
    request_header(s, "authorization", buf_text(&s->authorization));
    return r;
}

int request_sign(struct request_signed *s, const struct request *req, int64_t now_s,
                 struct sigv4_key *key)
{
    s->path.max = s->query.max = s->url.max = REQUEST_URL_MAX;
    s->authorization.max = HTTP_HEAD_MAX;
    int r = request_url(s, req);
    if (r < 0)
        return r;
    request_header(s, "host", s->base.host);
    for (size_t i = 0; i < req->headers; i++)
        request_header(s, req->header[i].name, req->header[i].value);
    if (!s->creds->access_key)
        return 0;
    if (!sigv4_date((time_t)now_s, s->date))
        return -EIO; /* a clock beyond the year 9999 */
    request_header(s, "x-amz-date", s->date);
    request_header(s, "x-amz-content-sha256", s->payload);
    if (s->creds->session_token)
        request_header(s, "x-amz-security-token", s->creds->session_token);
    return request_authorize(s, req, key);
}
