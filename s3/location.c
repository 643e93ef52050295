#include "s3/location.h"

#include "s3/dir.h"
#include "s3/retry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCATION_PREFIX "numpywren.objects/"

enum {
    LOCATION_PREFIX_MAX = STORE_KEY_MAX / 2, /* matrices and blocks need their share of a key */
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
        int r = err_set(err, -EINVAL, "'%.*s' cannot be the name of a bucket", (int)MIN(len, 256UL),
                        text);
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

int location_open(const struct location *loc, const struct location_conf *conf, struct store **ret,
                  struct err *err)
{
    CLEANUP(store_freep) struct store *below = NULL;
    if (!loc->is_dir)
        return err_set(err, -EOPNOTSUPP, "%s: only directories yet", loc->bucket);
    int r = dir_new(loc->bucket, conf->read_only, &below, err);
    if (r == 0)
        r = retry_new(&below, NULL, ret);
    return r;
}
