#include "fs/removal.h"

#include "base/lock.h"

#include <string.h>

void removal_begin(struct removal *r, struct fs *fs, const char *key)
{
    LOCK_SCOPE(&fs->mu);
    *r = (struct removal){.next = fs->removals, .fs = fs, .key = key};
    fs->removals = r;
}

void removal_end(struct removal *r)
{
    struct fs *fs = r->fs;
    if (!fs)
        return;
    LOCK_SCOPE(&fs->mu);
    struct removal **at = &fs->removals;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    (void)pthread_cond_broadcast(&fs->released);
}

static bool removal_is_under_way_locked(const struct fs *fs, const char *key)
{
    for (const struct removal *r = fs->removals; r; r = r->next) {
        if (strcmp(r->key, key) == 0)
            return true;
    }
    return false;
}

bool removal_wait(struct fs *fs, const char *key)
{
    bool waited = false;
    LOCK_SCOPE(&fs->mu);
    for (; removal_is_under_way_locked(fs, key); waited = true)
        (void)pthread_cond_wait(&fs->released, &fs->mu);
    return waited;
}
