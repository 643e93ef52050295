#include "fs/recover.h"

#include "base/crc32c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int recover_is_stored(struct store *st, const struct lost_entry *e, struct err *err)
{
    struct store_stat stat;
    if (!e->write_id[0])
        return 0;
    int r = store_head(st, e->key, &stat, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return strcmp(stat.write_id, e->write_id) == 0 && stat.size == e->size;
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
    return 0;
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
