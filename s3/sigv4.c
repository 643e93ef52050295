#include "s3/sigv4.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

enum { SIGV4_HASH = 32, SIGV4_DAY = 8 };

bool sigv4_date(time_t when, char *ret)
{
    struct tm tm;
    return gmtime_r(&when, &tm) && strftime(ret, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) > 0;
}

/* Appends a header's value without blanks around it, and with one for each run within. */
static int sigv4_value(struct buf *dst, const char *value)
{
    int r = 0;
    bool blank = false;
    bool begun = false;
    for (; r == 0 && *value; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = true;
            continue;
        }
        if (blank && begun)
            r = buf_puts(dst, " ");
        if (r == 0)
            r = buf_append(dst, value, 1);
        blank = false;
        begun = true;
    }
    return r;
}

static void sigv4_sort(const struct http_header **header, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct http_header *moving = header[i];
        size_t j = i;
        for (; j > 0 && strcmp(header[j - 1]->name, moving->name) > 0; j--)
            header[j] = header[j - 1];
        header[j] = moving;
    }
}

/* Fills `header` in the order of their names. */
static void sigv4_headers(const struct sigv4_request *req, const struct http_header **header)
{
    assert(req->headers <= SIGV4_HEADERS_MAX);
    for (size_t i = 0; i < req->headers; i++)
        header[i] = &req->header[i];
    sigv4_sort(header, req->headers);
}

static int sigv4_signed_names(const struct sigv4_request *req, const struct http_header **header,
                              struct buf *ret)
{
    int r = 0;
    for (size_t i = 0; i < req->headers && r == 0; i++)
        r = buf_printf(ret, "%s%s", i > 0 ? ";" : "", header[i]->name);
    return r;
}

int sigv4_canonical(const struct sigv4_request *req, struct buf *ret)
{
    const struct http_header *header[SIGV4_HEADERS_MAX] = {NULL};
    sigv4_headers(req, header);
    int r = buf_printf(ret, "%s\n%s\n%s\n", req->method, req->path, req->query);
    for (size_t i = 0; i < req->headers && r == 0; i++) {
        r = buf_printf(ret, "%s:", header[i]->name);
        if (r == 0)
            r = sigv4_value(ret, header[i]->value);
        if (r == 0)
            r = buf_puts(ret, "\n");
    }
    if (r == 0)
        r = buf_puts(ret, "\n");
    if (r == 0)
        r = sigv4_signed_names(req, header, ret);
    if (r == 0)
        r = buf_printf(ret, "\n%s", req->payload);
    return r;
}

static int sigv4_hmac(const void *key, size_t key_len, const char *text, unsigned char *ret)
{
    unsigned len = 0;
    const void *done =
        HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), ret, &len);
    return done && len == SIGV4_HASH ? 0 : -ENOMEM;
}

/* Derives the key of a day and a region: a chain of hashes that begins with the secret. */
static int sigv4_derive(const char *secret, const char *date, const char *region,
                        unsigned char *ret)
{
    CLEANUP(buf_fini) struct buf first = BUF_INIT(CREDS_TEXT_MAX + 8);
    char day[SIGV4_DAY + 1];
    (void)snprintf(day, sizeof(day), "%.*s", SIGV4_DAY, date);
    int r = buf_reserve(&first, strlen(secret) + 4); /* grown at once: no copies are left behind */
    if (r == 0)
        r = buf_printf(&first, "AWS4%s", secret);
    if (r == 0)
        r = sigv4_hmac(first.data, first.len, day, ret);
    if (first.data)
        OPENSSL_cleanse(first.data, first.len);
    if (r == 0)
        r = sigv4_hmac(ret, SIGV4_HASH, region, ret);
    if (r == 0)
        r = sigv4_hmac(ret, SIGV4_HASH, "s3", ret);
    if (r == 0)
        r = sigv4_hmac(ret, SIGV4_HASH, "aws4_request", ret);
    return r;
}

/* Makes `key` the one for this request, unless it is already. */
static int sigv4_key_for(const struct sigv4_request *req, const struct creds *creds,
                         struct sigv4_key *key)
{
    char scope[sizeof(key->scope)];
    int n = snprintf(scope, sizeof(scope), "%.*s/%s/s3/aws4_request", SIGV4_DAY, req->date,
                     req->region);
    if (n < 0 || (size_t)n >= sizeof(scope))
        return -EINVAL;
    if (key->serial == creds->serial && strcmp(key->scope, scope) == 0)
        return 0;
    key->scope[0] = '\0';
    int r = sigv4_derive(creds->secret_key, req->date, req->region, key->key);
    if (r < 0)
        return r;
    key->serial = creds->serial;
    memcpy(key->scope, scope, sizeof(scope));
    return 0;
}

/* The signature in hex. */
static int sigv4_signature(const struct sigv4_request *req, const struct sigv4_key *key, char *ret)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(SIGV4_TEXT_MAX);
    unsigned char hash[SIGV4_HASH];
    int r = sigv4_canonical(req, &text);
    if (r < 0)
        return r;
    if (EVP_Digest(text.data, text.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return -ENOMEM;
    hex_encode(ret, hash, sizeof(hash));
    buf_clear(&text);
    r = buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", req->date, key->scope, ret);
    if (r == 0)
        r = sigv4_hmac(key->key, sizeof(key->key), buf_text(&text), hash);
    if (r == 0)
        hex_encode(ret, hash, sizeof(hash));
    return r;
}

int sigv4_sign(const struct sigv4_request *req, const struct creds *creds, struct sigv4_key *key,
               struct buf *ret)
{
    char signature[SIGV4_SHA256_SIZE];
    const struct http_header *header[SIGV4_HEADERS_MAX] = {NULL};
    int r = sigv4_key_for(req, creds, key);
    if (r == 0)
        r = sigv4_signature(req, key, signature);
    if (r < 0)
        return r;
    sigv4_headers(req, header);
    r = buf_printf(ret, "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=", creds->access_key,
                   key->scope);
    if (r == 0)
        r = sigv4_signed_names(req, header, ret);
    if (r == 0)
        r = buf_printf(ret, ",Signature=%s", signature);
    return r;
}
