#include "s3/uri.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* isalnum() and its kin follow the locale; these do not. */
static bool uri_is_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool uri_is_plain(unsigned char c)
{
    return uri_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

int uri_encode(struct buf *dst, const char *src, const char *keep)
{
    static const char digit[] = "0123456789ABCDEF";
    int r = buf_reserve(dst, strlen(src));
    for (; r == 0 && *src; src++) {
        unsigned char c = (unsigned char)*src;
        const char escape[3] = {'%', digit[c >> 4], digit[c & 15]};
        if (uri_is_plain(c) || strchr(keep, *src))
            r = buf_append(dst, src, 1);
        else
            r = buf_append(dst, escape, sizeof(escape));
    }
    return r;
}

static int uri_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int uri_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in == '%') {
            int high = uri_hex(in[1]);
            int low = high < 0 ? -1 : uri_hex(in[2]);
            if (low < 0 || high + low == 0)
                return -EBADMSG;
            *out++ = (char)(high * 16 + low);
            in += 2;
        } else {
            *out = *in;
            if (*in == '+')
                *out = ' ';
            out++;
        }
    }
    *out = '\0';
    return 0;
}

/* Between name and value while they are sorted: less than any byte of an encoded name, so that
 * "a" with any value comes before "a-b". */
#define URI_EQUALS '\1'

/* Appends the encoded parameters to `text`, each with its NUL, and notes where they start. */
static int uri_query_encode(struct buf *text, const struct uri_param *param, size_t params,
                            size_t *at)
{
    int r = 0;
    for (size_t i = 0; i < params && r == 0; i++) {
        at[i] = text->len;
        r = uri_encode(text, param[i].name, "");
        if (r == 0)
            r = buf_append(text, &(const char){URI_EQUALS}, 1);
        if (r == 0)
            r = uri_encode(text, param[i].value, "");
        if (r == 0)
            r = buf_append(text, "", 1);
    }
    return r;
}

static void uri_query_sort(const char *text, size_t *at, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t moving = at[i];
        size_t j = i;
        for (; j > 0 && strcmp(text + at[j - 1], text + moving) > 0; j--)
            at[j] = at[j - 1];
        at[j] = moving;
    }
}

int uri_query(struct buf *dst, const struct uri_param *param, size_t params)
{
    if (params > URI_PARAMS_MAX)
        return -EMSGSIZE;
    CLEANUP(buf_fini) struct buf text = BUF_INIT(URI_QUERY_MAX);
    size_t at[URI_PARAMS_MAX] = {0};
    int r = uri_query_encode(&text, param, params, at);
    if (r < 0)
        return r;
    uri_query_sort(buf_text(&text), at, params);
    for (size_t i = 0; i < params && r == 0; i++) {
        char *piece = text.data + at[i];
        *strchr(piece, URI_EQUALS) = '=';
        r = i > 0 ? buf_puts(dst, "&") : 0;
        if (r == 0)
            r = buf_puts(dst, piece);
    }
    return r;
}

/* Reads ":port" of the authority that ends at `end`; *colon is where the host's name ends. */
static int uri_port(const char *host, const char *end, const char **colon, unsigned *ret)
{
    const char *bracket = *host == '[' ? memchr(host, ']', (size_t)(end - host)) : NULL;
    const char *name = bracket ? bracket + 1 : host;
    *colon = memchr(name, ':', (size_t)(end - name));
    *ret = 0;
    if (!*colon) {
        *colon = end;
        return 0;
    }
    for (const char *p = *colon + 1; p < end; p++) {
        if (*p < '0' || *p > '9' || *ret > 65535)
            return -EINVAL;
        *ret = *ret * 10 + (unsigned)(*p - '0');
    }
    return *ret == 0 || *ret > 65535 ? -EINVAL : 0;
}

/* Copies the host's name in lower case, and the port unless the scheme implies it. */
static int uri_host(const char *host, const char *end, struct uri_endpoint *ret)
{
    const char *colon = NULL;
    unsigned port = 0;
    if (uri_port(host, end, &colon, &port) < 0)
        return -EINVAL;
    size_t len = (size_t)(colon - host);
    if (len == 0 || len > 255)
        return -EINVAL;
    bool ipv6 = host[0] == '[' && host[len - 1] == ']' && len > 2;
    for (size_t i = 0; i < len; i++) {
        char c = host[i];
        bool bracket = ipv6 && (i == 0 || i == len - 1 || c == ':');
        if (!bracket && !uri_is_alnum((unsigned char)c) && c != '-' && c != '.' && c != '_')
            return -EINVAL;
        ret->host[i] = c;
        if (c >= 'A' && c <= 'Z')
            ret->host[i] |= 0x20;
    }
    ret->host[len] = '\0';
    if (port && port != (ret->tls ? 443U : 80U))
        (void)snprintf(ret->host + len, sizeof(ret->host) - len, ":%u", port);
    return 0;
}

/* Takes the base path, without '/' at its end; it must be encoded already. */
static int uri_path(const char *path, struct uri_endpoint *ret)
{
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (len >= sizeof(ret->path) / 2) /* the bucket needs its share */
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];
        bool escape = c == '%' && uri_hex(path[i + 1]) >= 0 && uri_hex(path[i + 2]) >= 0;
        if (c != '/' && !escape && !uri_is_plain(c))
            return -EINVAL;
    }
    memcpy(ret->path, path, len);
    ret->path[len] = '\0';
    return 0;
}

int uri_endpoint_parse(const char *url, struct uri_endpoint *ret, struct err *err)
{
    struct uri_endpoint ep = {0};
    const char *host = NULL;
    if (strncasecmp(url, "https://", 8) == 0) {
        ep.tls = true;
        host = url + 8;
    } else if (strncasecmp(url, "http://", 7) == 0) {
        host = url + 7;
    } else {
        int r =
            err_set(err, -EINVAL, "the endpoint '%s' does not start with https:// or http://", url);
        err_hint(err, "write it as https://HOST or http://HOST:PORT");
        return r;
    }
    const char *end = host + strcspn(host, "/");
    if (memchr(host, '@', (size_t)(end - host)))
        return err_set(err, -EINVAL, "the endpoint must not hold a user name or password");
    if (uri_host(host, end, &ep) < 0)
        return err_set(err, -EINVAL, "the endpoint '%s' has no valid host and port", url);
    if (uri_path(end, &ep) < 0)
        return err_set(err, -EINVAL, "the endpoint '%s' has no valid path", url);
    *ret = ep;
    return 0;
}

int uri_endpoint_aws(const char *region, struct uri_endpoint *ret, struct err *err)
{
    size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (len == 0 || len > 40 || region[len])
        return err_set(err, -EINVAL, "'%s' is not the name of an AWS region", region);
    const char *suffix = strncmp(region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
    *ret = (struct uri_endpoint){.tls = true, .aws = true};
    (void)snprintf(ret->host, sizeof(ret->host), "s3.%s.%s", region, suffix);
    return 0;
}

/* True when the name can be one label of a host name, as TLS certificates demand. */
static bool uri_bucket_is_label(const char *bucket)
{
    size_t len = strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len >= 3 && len <= 63 && !bucket[len];
}

int uri_bucket(const struct uri_endpoint *endpoint, const char *bucket, enum uri_style style,
               struct uri_endpoint *ret, struct err *err)
{
    struct uri_endpoint at = *endpoint;
    bool is_virtual = style == URI_STYLE_VIRTUAL ||
                      (style == URI_STYLE_AUTO && endpoint->aws && uri_bucket_is_label(bucket));
    int n = 0;
    size_t room = 0;
    if (is_virtual) {
        room = sizeof(at.host);
        n = snprintf(at.host, room, "%s.%s", bucket, endpoint->host);
    } else {
        room = sizeof(at.path);
        n = snprintf(at.path, room, "%s/%s", endpoint->path, bucket);
    }
    if (n < 0 || (size_t)n >= room)
        return err_set(err, -EINVAL, "the bucket's name '%s' is too long", bucket);
    *ret = at;
    return 0;
}
