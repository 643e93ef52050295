#include "fs/recover.h"

#include "base/crc32c.h"
#include "matrix/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The last part of a key. */
static const char *recover_name(const char *key)
{
    const char *slash = strrchr(key, '/');
    return slash ? slash + 1 : key;
}

static int recover_see(void *arg, const char *key, const struct store_stat *stat)
{
    (void)arg;
    (void)key;
    (void)stat;
    return 1;
}

/* Whether what is stored under a key would part blocks from their header: a block that came before
 * it, or a header after which such blocks wait. Only a mount moves them, see fs/early.h. 1, 0 or
 * -errno. */
static int recover_is_early(struct store *st, const char *key, struct err *err)
{
    struct store_stat stat;
    const char *name = recover_name(key);
    CLEANUP(freep) char *other = NULL;
    bool block = name_is_block_like(name);
    if (!block && strcmp(name, "header") != 0)
        return 0;
    if (asprintf(&other, "%.*s%s", (int)(name - key), key, block ? "header" : "block_") < 0)
        return -ENOMEM;
    struct store_list list = {.prefix = other, .delimiter = '/', .page_max = 1};
    int r =
        block ? store_head(st, other, &stat, err) : store_list(st, &list, recover_see, NULL, err);
    if (block && r == 0)
        return 1;
    return block && r == -ENOENT ? 0 : r;
}

int recover_is_stored(struct store *st, const struct lost_entry *e, struct err *err)
{
    struct store_stat stat;
    if (!e->write_id[0])
        return 0;
    int r = store_head(st, e->key, &stat, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (strcmp(stat.write_id, e->write_id) != 0 || stat.size != e->size)
        return 0;
    r = name_is_block_like(recover_name(e->key)) ? recover_is_early(st, e->key, err) : 0;
    return r < 0 ? r : r == 0; /* beside a header nobody sees it */
}

/* Whether an entry may be stored here at all. */
static int recover_check(struct store *st, const struct lost_entry *e, struct err *err)
{
    if (strcmp(e->store_id, store_id(st)) != 0) {
        (void)err_set(err, -EINVAL, "%s was written to %s, this is %s", e->name, e->store_id,
                      store_id(st));
        err_hint(err, "give the endpoint as it was given to bmfs (--endpoint-url, --region)");
        return -EINVAL;
    }
    if (e->incomplete) {
        (void)err_set(err, -EINVAL, "%s is not a whole file: it is not stored", e->name);
        err_hint(err, "export %s FILE writes what is there to FILE", e->name);
        return -EINVAL;
    }
    int r = recover_is_early(st, e->key, err);
    if (r <= 0)
        return r;
    (void)err_set(err, -EINVAL, "%s: blocks came before the header: only a mount moves them",
                  e->key);
    err_hint(err, "export %s FILE, and copy FILE to the mount", e->name);
    return -EINVAL;
}

static int recover_put(struct store *st, const struct lost_entry *e, int fd, bool force,
                       struct err *err)
{
    uint32_t crc = 0;
    int r = crc32c_fd(fd, 0, e->size, 0, &crc);
    if (r < 0)
        return err_errno(err, r, "%s", e->name);
    r = recover_is_stored(st, e, err);
    if (r != 0)
        return MIN(r, 0);
    struct store_body body = {.fd = e->size > 0 ? fd : -1, .len = e->size};
    struct store_put put = {.if_match = force ? NULL : e->if_match,
                            .write_id = e->write_id[0] ? e->write_id : NULL,
                            .has_crc32c = true,
                            .crc32c = crc};
    r = store_put(st, e->key, &body, &put, NULL, err);
    if (r == -ESTALE || r == -EEXIST) {
        r = err_prefix(err, r, "%s: somebody else has written it", e->key);
        err_hint(err, "--force overwrites what is there; export keeps both");
    }
    return r;
}

int recover_retry(struct store *st, int cache_fd, const char *name, bool force, struct err *err)
{
    struct lost_entry e = {0};
    CLEANUP(closep) int fd = lost_open(cache_fd, name, &e);
    if (fd < 0)
        return err_errno(err, fd, "%s", name);
    int r = recover_check(st, &e, err);
    if (r == 0)
        r = recover_put(st, &e, fd, force, err);
    lost_entry_fini(&e);
    if (r < 0)
        return r;
    r = lost_drop(cache_fd, name);
    return r < 0 ? err_errno(err, r, "%s is stored, but cannot be removed", name) : 0;
}

struct recover_settle {
    struct store *st;
    int cache_fd;
    int asks, settled;
};

static int recover_settle_one(void *arg, const struct lost_entry *e)
{
    struct recover_settle *s = arg;
    if (!e->write_id[0] || strcmp(e->store_id, store_id(s->st)) != 0)
        return 0;
    int r = recover_is_stored(s->st, e, NULL);
    if (r == 1)
        s->settled += lost_drop(s->cache_fd, e->name) == 0;
    return r < 0 || ++s->asks == RECOVER_ASKS_MAX;
}

int recover_settle(struct store *st, int cache_fd)
{
    struct recover_settle s = {.st = st, .cache_fd = cache_fd};
    (void)lost_each(cache_fd, recover_settle_one, &s);
    return s.settled;
}

static int recover_count_one(void *arg, const struct lost_entry *e)
{
    int *n = arg;
    (void)e;
    ++*n;
    return 0;
}

int recover_count(int cache_fd)
{
    int n = 0;
    (void)lost_each(cache_fd, recover_count_one, &n);
    return n;
}
