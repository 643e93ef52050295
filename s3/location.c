#include "s3/location.h"

#include "s3/aws_conf.h"
#include "s3/aws_creds.h"
#include "s3/dir.h"
#include "s3/retry.h"
#include "s3/s3.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCATION_PREFIX "numpywren.objects/"

enum {
    LOCATION_PREFIX_MAX = STORE_KEY_MAX / 2, /* matrices and blocks need their share of a key */
    LOCATION_CALL_TIME_MS = 60 * 1000,
};

void location_fini(struct location *loc)
{
    free(loc->bucket);
    free(loc->prefix);
    *loc = (struct location){0};
}

/* Names of buckets, old ones included; what the server thinks of one is for it to say. */
static bool location_is_bucket(const char *name, size_t len)
{
    if (len < 3 || len > 255)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || (c != '-' && c != '.' && c != '_')))
            return false;
    }
    return true;
}

/* BUCKET, BUCKET/ or BUCKET/P[/]. */
static int location_parse_bucket(const char *text, struct location *loc, struct err *err)
{
    size_t len = strcspn(text, "/");
    if (!location_is_bucket(text, len)) {
        int r = len == 0 ? err_set(err, -EINVAL, "%.256s is a path, not the name of a bucket", text)
                         : err_set(err, -EINVAL, "'%.*s' cannot be the name of a bucket",
                                   (int)MIN(len, 256UL), text);
        err_hint(err, "write BUCKET, BUCKET/PREFIX/ or, for a directory, file:///DIR");
        return r;
    }
    const char *prefix = text[len] ? text + len + 1 : LOCATION_PREFIX;
    size_t prefix_len = strlen(prefix);
    if (prefix_len > LOCATION_PREFIX_MAX)
        return err_set(err, -EINVAL, "the prefix is longer than %d bytes", LOCATION_PREFIX_MAX);
    bool closed = prefix_len == 0 || prefix[prefix_len - 1] == '/';
    loc->bucket = strndup(text, len);
    loc->prefix = malloc(prefix_len + 2);
    if (!loc->bucket || !loc->prefix)
        return -ENOMEM;
    (void)stpcpy(stpcpy(loc->prefix, prefix), closed ? "" : "/");
    return 0;
}

/* /DIR or /DIR/; "/" itself is the root, everything below it. */
static int location_parse_dir(const char *path, struct location *loc, struct err *err)
{
    size_t len = strlen(path);
    if (path[0] != '/') {
        int r = err_set(err, -EINVAL, "file:// must be followed by an absolute path");
        err_hint(err, "write file:///DIR");
        return r;
    }
    bool everything = path[len - 1] == '/';
    while (len > 1 && path[len - 1] == '/')
        len--;
    loc->is_dir = true;
    loc->bucket = strndup(path, len);
    loc->prefix = strdup(everything ? "" : LOCATION_PREFIX);
    return loc->bucket && loc->prefix ? 0 : -ENOMEM;
}

int location_parse(const char *text, struct location *ret, struct err *err)
{
    CLEANUP(location_fini) struct location loc = {0};
    int r = 0;
    if (strncmp(text, "file://", 7) == 0)
        r = location_parse_dir(text + 7, &loc, err);
    else
        r = location_parse_bucket(strncmp(text, "s3://", 5) == 0 ? text + 5 : text, &loc, err);
    if (r < 0)
        return r;
    *ret = loc;
    loc = (struct location){0};
    return 0;
}

/* Finds credentials, and fails right here when there are none. */
static int location_creds(const struct aws_conf *aws, bool sign, struct creds_source **ret,
                          struct err *err)
{
    struct creds_provider *provider = NULL;
    CLEANUP(creds_source_freep) struct creds_source *source = NULL;
    CLEANUP(creds_unrefp) struct creds *creds = NULL;
    int r = sign ? aws_creds_new(aws, environ, &provider) : aws_creds_new_none(&provider);
    if (r < 0)
        return r;
    r = creds_source_new(&provider, &source);
    if (r < 0) {
        provider->ops->free(provider);
        return r;
    }
    r = creds_source_get(source, &creds, err);
    if (r < 0)
        return r;
    *ret = TAKE(source);
    return 0;
}

static int location_open_s3(const struct location *loc, const struct location_conf *conf,
                            struct store **ret, struct err *err)
{
    CLEANUP(aws_conf_fini) struct aws_conf aws = {0};
    CLEANUP(creds_source_freep) struct creds_source *creds = NULL;
    int connections = conf->connections_max ? conf->connections_max : HTTP_CONNECTIONS_MAX;
    if (connections < 1 || connections > HTTP_CONNECTIONS_MAX)
        return err_set(err, -EINVAL, "the number of connections must be 1 to %d",
                       HTTP_CONNECTIONS_MAX);
    if (conf->call_time_ms < 0)
        return err_set(err, -EINVAL, "a call's time cannot be negative");
    int r = aws_conf_load(conf, environ, &aws, err);
    if (r == 0)
        r = location_creds(&aws, !conf->no_sign_request, &creds, err);
    if (r < 0)
        return r;
    const struct s3_conf s3 = {
        .client =
            {
                .bucket = loc->bucket,
                .endpoint_url = aws.endpoint_url,
                .region = aws.region,
                .style = aws.style,
                .http =
                    {
                        .ca_bundle = aws.ca_bundle,
                        .connections_max = connections,
                        .call_time_ms =
                            conf->call_time_ms ? conf->call_time_ms : LOCATION_CALL_TIME_MS,
                    },
            },
        .prefix = loc->prefix,
        .read_only = conf->read_only,
    };
    return s3_new(&s3, &creds, ret, err);
}

int location_open_base(const struct location *loc, const struct location_conf *conf,
                       struct store **ret, struct err *err)
{
    if (loc->is_dir)
        return dir_new(loc->bucket, conf->read_only, ret, err);
    return location_open_s3(loc, conf, ret, err);
}

int location_open(const struct location *loc, const struct location_conf *conf, struct store **ret,
                  struct err *err)
{
    CLEANUP(store_freep) struct store *below = NULL;
    const struct retry_conf retry = {.tries_max = conf->tries_max,
                                     .total_ms_max = conf->call_time_ms,
                                     .watch = conf->watch,
                                     .watch_arg = conf->watch_arg};
    int r = location_open_base(loc, conf, &below, err);
    return r < 0 ? r : retry_new(&below, &retry, ret);
}
