#include "fs/cache.h"

#include "base/crc32c.h"
#include "base/lock.h"
#include "fs/cache_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CACHE_CHECKED_MAX = 1 << 16, /* versions remembered as checked; a power of two */
    CACHE_EVICT_PAUSE_MS = 500,  /* between evictions that found nothing to evict */
};

/* A number in a mapped file. */
struct cache_count {
    _Atomic uint64_t bytes;
};

struct cache {
    char *dir;
    int dir_fd;     /* DIR */
    int objects_fd; /* DIR/objects */
    int mount_fd;   /* DIR/mounts/<id> */
    int lock_fd;    /* DIR/mounts/<id>/lock, locked */
    char mount_id[CACHE_DIR_MOUNT_DIGITS + 1];
    struct cache_dir_salvage salvage;
    uint64_t size_max, free_min;
    struct cache_count *used; /* DIR/usage, mapped: shared between processes */
    struct cache_count *mine; /* of `used`, what this mount has reserved and not published; in its
                               lock, mapped, so that others see it */
    _Atomic uint64_t next;    /* number of the next private file */
    cache_relief_fn *relief;  /* or NULL */
    void *relief_arg;

    pthread_mutex_t mu;
    /* guarded by mu: */
    uint64_t *checked; /* direct-mapped: ids (first 8 bytes) that passed their check */

    pthread_mutex_t evict_mu; /* one eviction of this process at a time; taken before no other */
    /* guarded by evict_mu: */
    int64_t evict_again_ms; /* not before: the last one could not reach its goal */
};

char *cache_default_dir(void)
{
    static const char *const variable[] = {"SLURM_TMPDIR", "TMPDIR"};
    const char *base = "/var/tmp";
    char *dir = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(variable); i++) {
        const char *value = secure_getenv(variable[i]);
        if (value && value[0] == '/') {
            base = value;
            break;
        }
    }
    return asprintf(&dir, "%s/bmfs-%u", base, (unsigned)geteuid()) < 0 ? NULL : dir;
}

int cache_open_folder(const char *dir, int *ret_fd, struct err *err)
{
    return cache_dir_open(dir, ret_fd, err);
}

int cache_id(const char *store_id, const char *key, const char *etag, char ret[CACHE_ID_SIZE])
{
    unsigned char digest[32] = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    /* The NULs keep ("a", "bc") and ("ab", "c") apart. */
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, store_id, strlen(store_id) + 1) &&
              EVP_DigestUpdate(ctx, key, strlen(key) + 1) &&
              EVP_DigestUpdate(ctx, etag, strlen(etag) + 1) &&
              EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    if (!ok)
        return -ENOMEM;
    hex_encode(ret, digest, sizeof(digest));
    return 0;
}

static uint64_t cache_id_word(const char *id)
{
    uint64_t word = 0;
    for (int i = 0; i < 16; i++)
        word = word << 4 | (uint64_t)(id[i] <= '9' ? id[i] - '0' : id[i] - 'a' + 10);
    return word | 1; /* 0 marks an empty slot */
}

static bool cache_is_checked(struct cache *c, const char *id)
{
    uint64_t word = cache_id_word(id);
    LOCK_SCOPE(&c->mu);
    return c->checked[word >> 1 & (CACHE_CHECKED_MAX - 1)] == word;
}

static void cache_set_checked(struct cache *c, const char *id)
{
    uint64_t word = cache_id_word(id);
    LOCK_SCOPE(&c->mu);
    c->checked[word >> 1 & (CACHE_CHECKED_MAX - 1)] = word;
}

/* Maps the number at the beginning of a file. */
static int cache_map(int fd, struct cache_count **ret)
{
    /* Its disk space is taken now: a full disk met by a store into the mapping would be SIGBUS. */
    int r = posix_fallocate(fd, 0, sizeof(**ret));
    if (r != 0)
        return -r;
    void *at = mmap(NULL, sizeof(**ret), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *ret = at;
    return 0;
}

static void cache_unmap(struct cache_count *count)
{
    if (count)
        (void)munmap(count, sizeof(*count));
}

static int cache_map_counters(struct cache *c)
{
    CLEANUP(closep) int fd = openat(c->dir_fd, "usage", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = cache_map(fd, &c->used);
    return r < 0 ? r : cache_map(c->lock_fd, &c->mine);
}

static int cache_set_up(struct cache *c, const struct cache_conf *conf, struct err *err)
{
    c->salvage = (struct cache_dir_salvage){conf->salvage, conf->salvage_arg};
    int r = cache_dir_make(conf->dir, conf->any_fs, &c->dir_fd, err);
    if (r < 0)
        return r;
    char *absolute = realpath(conf->dir, NULL); /* as messages have it, for users elsewhere */
    if (absolute) {
        free(c->dir);
        c->dir = absolute;
    }
    r = cache_dir_tag(c->dir_fd);
    if (r == 0)
        r = cache_dir_sub(c->dir_fd, "objects", &c->objects_fd);
    int others = 0;
    if (r == 0)
        r = others =
            cache_dir_claim_mount(c->dir_fd, &c->salvage, c->mount_id, &c->mount_fd, &c->lock_fd);
    if (r >= 0)
        r = cache_map_counters(c);
    if (r < 0)
        return err_errno(err, r, "cache folder %s", conf->dir);
    uint64_t used = cache_dir_usage(c->dir_fd);
    /* What other mounts have reserved is not on the disk yet: their count is the better one. */
    if (others == 0 || atomic_load(&c->used->bytes) < used)
        atomic_store(&c->used->bytes, used);
    c->size_max = conf->size_max;
    c->free_min = conf->free_min;
    cache_dir_limits(c->dir_fd, used, &c->size_max, &c->free_min);
    return 0;
}

int cache_open(const struct cache_conf *conf, struct cache **ret, struct err *err)
{
    struct cache *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->dir_fd = c->objects_fd = c->mount_fd = c->lock_fd = -1;
    (void)pthread_mutex_init(&c->mu, NULL);
    (void)pthread_mutex_init(&c->evict_mu, NULL);
    c->dir = strdup(conf->dir);
    c->checked = calloc(CACHE_CHECKED_MAX, sizeof(*c->checked));
    int r = c->dir && c->checked ? cache_set_up(c, conf, err) : -ENOMEM;
    if (r < 0) {
        cache_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    if (c->mount_fd >= 0)
        cache_dir_drop_mount(c->dir_fd, &c->salvage, c->mount_id);
    cache_unmap(c->used);
    cache_unmap(c->mine);
    closep(&c->lock_fd);
    closep(&c->mount_fd);
    closep(&c->objects_fd);
    closep(&c->dir_fd);
    (void)pthread_mutex_destroy(&c->evict_mu);
    (void)pthread_mutex_destroy(&c->mu);
    free(c->checked);
    free(c->dir);
    free(c);
}

const char *cache_dir(const struct cache *c)
{
    return c->dir;
}

int cache_dir_fd(const struct cache *c)
{
    return c->dir_fd;
}

uint64_t cache_size_max(const struct cache *c)
{
    return c->size_max;
}

uint64_t cache_usage(const struct cache *c)
{
    return atomic_load(&c->used->bytes);
}

/* Finds the file of version `id` in its folder: "<rest of the id>.<8 hex digits>". */
static int cache_find(int fan_fd, const char *rest, char *name, size_t size, uint32_t *ret_crc)
{
    int fd = openat(fan_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        closep(&fd);
        return -errno;
    }
    int r = -ENOENT;
    size_t len = strlen(rest);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) { // NOLINT(concurrency-mt-unsafe)
        char *end = NULL;
        if (strncmp(e->d_name, rest, len) != 0 || e->d_name[len] != '.')
            continue;
        unsigned long crc = strtoul(e->d_name + len + 1, &end, 16);
        if (strlen(e->d_name) != len + 9 || *end != '\0' || strlen(e->d_name) >= size)
            continue;
        (void)stpcpy(name, e->d_name);
        *ret_crc = (uint32_t)crc;
        r = 0;
        break;
    }
    (void)closedir(d);
    return r;
}

static int cache_fan(const struct cache *c, const char *id, bool make)
{
    char fan[CACHE_DIR_FAN_DIGITS + 1];
    (void)snprintf(fan, sizeof(fan), "%s", id);
    int fd = -1;
    if (make)
        return cache_dir_sub(c->objects_fd, fan, &fd) < 0 ? -errno : fd;
    fd = openat(c->objects_fd, fan, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Whether an opened file holds what its name says. */
static int cache_check(struct cache *c, const char *id, int fd, uint64_t size, uint32_t crc,
                       struct err *err)
{
    struct stat st;
    uint32_t real = 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size != size)
        return err_set(err, -EBADMSG, "cached version %.16s has %lld bytes, the object %llu", id,
                       (long long)st.st_size, (unsigned long long)size);
    if (cache_is_checked(c, id))
        return 0;
    int r = crc32c_fd(fd, 0, size, 0, &real);
    if (r < 0)
        return err_errno(err, r, "cached version %.16s", id);
    if (real != crc)
        return err_set(err, -EBADMSG, "cached version %.16s fails its check (%08x, not %08x)", id,
                       real, crc);
    cache_set_checked(c, id);
    return 0;
}

int cache_get(struct cache *c, const char *id, uint64_t size, uint32_t *ret_crc, struct err *err)
{
    char name[CACHE_ID_SIZE + 16];
    uint32_t crc = 0;
    CLEANUP(closep) int fan = cache_fan(c, id, false);
    if (fan < 0)
        return -ENOENT;
    if (cache_find(fan, id + CACHE_DIR_FAN_DIGITS, name, sizeof(name), &crc) < 0)
        return -ENOENT;
    CLEANUP(closep) int fd = openat(fan, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -ENOENT;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        return -ENOENT; /* being evicted */
    if (cache_check(c, id, fd, size, crc, err) < 0) {
        (void)unlinkat(fan, name, 0);
        return -ENOENT;
    }
    (void)futimens(fd, NULL); /* the time of last use, for eviction */
    *ret_crc = crc;
    return TAKE_FD(fd);
}

bool cache_has(struct cache *c, const char *id)
{
    char name[CACHE_ID_SIZE + 16];
    uint32_t crc = 0;
    CLEANUP(closep) int fan = cache_fan(c, id, false);
    return fan >= 0 && cache_find(fan, id + CACHE_DIR_FAN_DIGITS, name, sizeof(name), &crc) == 0;
}

/* Subtracts, but not below 0: what others have counted may have been corrected meanwhile. */
static void cache_take_from(struct cache_count *sum, uint64_t bytes)
{
    uint64_t old = atomic_load(&sum->bytes);
    while (!atomic_compare_exchange_weak(&sum->bytes, &old, old > bytes ? old - bytes : 0))
        ;
}

int cache_file_new(struct cache *c, struct cache_file *ret, struct err *err)
{
    (void)snprintf(ret->name, sizeof(ret->name), "%llu",
                   (unsigned long long)atomic_fetch_add(&c->next, 1));
    ret->fd = openat(c->mount_fd, ret->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (ret->fd < 0) {
        int r = -errno;
        ret->name[0] = '\0';
        return err_errno(err, r, "cache folder %s", c->dir);
    }
    return 0;
}

int cache_file_publish(struct cache *c, struct cache_file *f, const char *id, uint32_t crc)
{
    char name[CACHE_ID_SIZE + 16];
    CLEANUP(closep) int fan = cache_fan(c, id, true);
    if (fan < 0)
        return fan;
    (void)snprintf(name, sizeof(name), "%s.%08x", id + CACHE_DIR_FAN_DIGITS, crc);
    if (flock(f->fd, LOCK_SH | LOCK_NB) < 0)
        return -errno;
    struct stat st = {0};
    struct stat old = {0};
    (void)fstatat(fan, name, &old, AT_SYMLINK_NOFOLLOW); /* the same bytes, from somebody else */
    if (fstat(f->fd, &st) < 0 || renameat(c->mount_fd, f->name, fan, name) < 0)
        return -errno;
    f->name[0] = '\0';
    cache_set_checked(c, id);
    (void)atomic_fetch_add(&c->used->bytes, (uint64_t)st.st_size);
    cache_take_from(c->used, (uint64_t)old.st_size);
    cache_release(c, f->reserved);
    f->reserved = 0;
    return 0;
}

void cache_file_drop(struct cache *c, struct cache_file *f)
{
    cache_release(c, f->reserved);
    f->reserved = 0;
    if (f->fd < 0)
        return;
    if (f->name[0])
        (void)unlinkat(c->mount_fd, f->name, 0);
    closep(&f->fd);
    f->fd = -1;
    f->name[0] = '\0';
}

int cache_mount_fd(const struct cache *c)
{
    return c->mount_fd;
}

void cache_file_path(const struct cache *c, const struct cache_file *f, char *dst, size_t size)
{
    (void)snprintf(dst, size, "%s/mounts/%s/%s", c->dir, c->mount_id, f->name);
}

/* True when `bytes` more fit; with `must` the size limit is not asked. */
static bool cache_fits(const struct cache *c, uint64_t bytes, bool must)
{
    uint64_t used = atomic_load(&c->used->bytes);
    if (bytes > INT64_MAX)
        return false;
    if (!must && (used > c->size_max || bytes > c->size_max - used))
        return false;
    return cache_dir_free(c->dir_fd) >= bytes + c->free_min;
}

/* True when not even an empty cache would have room: nothing is to be gained by emptying it. */
static bool cache_is_hopeless(const struct cache *c, uint64_t bytes, bool must)
{
    if (bytes > INT64_MAX || (!must && bytes > c->size_max))
        return true;
    return cache_dir_free(c->dir_fd) + atomic_load(&c->used->bytes) < bytes + c->free_min;
}

/* Evicts for `bytes` more, unless that was tried in vain a moment ago. */
static void cache_make_room(struct cache *c, uint64_t bytes, bool must)
{
    if (cache_is_hopeless(c, bytes, must))
        return;
    LOCK_SCOPE(&c->evict_mu);
    if (cache_fits(c, bytes, false) || clock_ms() < c->evict_again_ms)
        return;
    uint64_t taken = bytes + atomic_load(&c->mine->bytes);
    struct cache_dir_goal goal = {.used_max = c->size_max > taken ? c->size_max - taken : 0,
                                  .free_min = c->free_min + bytes,
                                  .mount_id = c->mount_id};
    uint64_t others = cache_dir_evict(c->dir_fd, &goal);
    atomic_store(&c->used->bytes, others + atomic_load(&c->mine->bytes));
    if (!cache_fits(c, bytes, false))
        c->evict_again_ms = clock_ms() + CACHE_EVICT_PAUSE_MS;
}

void cache_set_relief(struct cache *c, cache_relief_fn *fn, void *arg)
{
    c->relief = fn;
    c->relief_arg = arg;
}

/* Makes more versions fit for eviction; false when that is not possible. */
static bool cache_relieve(struct cache *c)
{
    if (!c->relief || !c->relief(c->relief_arg))
        return false;
    LOCK_SCOPE(&c->evict_mu);
    c->evict_again_ms = 0;
    return true;
}

int cache_reserve(struct cache *c, uint64_t bytes, bool must)
{
    if (!cache_fits(c, bytes, false))
        cache_make_room(c, bytes, must);
    if (!cache_fits(c, bytes, must) && !cache_is_hopeless(c, bytes, must) && cache_relieve(c))
        cache_make_room(c, bytes, must);
    if (!cache_fits(c, bytes, must))
        return -ENOSPC;
    (void)atomic_fetch_add(&c->used->bytes, bytes);
    (void)atomic_fetch_add(&c->mine->bytes, bytes);
    return 0;
}

void cache_release(struct cache *c, uint64_t bytes)
{
    cache_take_from(c->used, bytes);
    cache_take_from(c->mine, bytes);
}
