#include "tests/unit/unit.h"

#include "fs/cache.h"

#include "base/crc32c.h"
#include "fs/cache_dir.h"
#include "tests/kit/scratch.h"
#include "tests/unit/fs/lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker puts this before libc's: the folder seems to lie on the file system of this number. */
static long cache_fs_type;

int __real_fstatfs64(int fd, struct statfs *buf);
int __wrap_fstatfs64(int fd, struct statfs *buf);
int __wrap_fstatfs64(int fd, struct statfs *buf)
{
    int r = __real_fstatfs64(fd, buf);
    if (cache_fs_type)
        buf->f_type = cache_fs_type;
    return r;
}

struct cache_case {
    struct scratch s;
    struct cache *c;
    struct err err;
};

static int cache_case_open(struct cache_case *k, uint64_t size_max, struct cache **ret)
{
    struct cache_conf conf = {
        .dir = scratch_at(&k->s, "cache"), .any_fs = true, .size_max = size_max, .free_min = 1};
    return cache_open(&conf, ret, &k->err);
}

static void cache_case_init(struct cache_case *k)
{
    *k = (struct cache_case){0};
    scratch_init(&k->s);
    assert_int_equal(cache_case_open(k, 1 << 30, &k->c), 0);
}

static void cache_case_fini(struct cache_case *k)
{
    cache_close(k->c);
    scratch_fini(&k->s);
}

#define CACHE_CASE(k)                                   \
    CLEANUP(cache_case_fini) struct cache_case k = {0}; \
    cache_case_init(&(k))

/* For messages to users who are in another directory. */
static void cache_knows_its_folder_by_its_full_name(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache *c = NULL;
    struct cache_conf conf = {
        .dir = scratch_at(&k.s, "./cache"), .any_fs = true, .size_max = 1 << 30, .free_min = 1};
    assert_int_equal(cache_open(&conf, &c, &k.err), 0);
    assert_string_equal(cache_dir(c), cache_dir(k.c));
    assert_int_equal(cache_dir(c)[0], '/');
    assert_null(strstr(cache_dir(c), "/./"));
    cache_close(c);
}

static void cache_reopen(struct cache_case *k, uint64_t size_max)
{
    cache_close(TAKE(k->c));
    assert_int_equal(cache_case_open(k, size_max, &k->c), 0);
}

/* The id of version `n`. */
static const char *cache_id_of(unsigned n)
{
    static char id[CACHE_ID_SIZE];
    char etag[16];
    (void)snprintf(etag, sizeof(etag), "v%u", n);
    assert_int_equal(cache_id("file:///lab", "key", etag, id), 0);
    return id;
}

/* Publishes version `n`: the first `len` bytes of its sequence. Returns its descriptor. */
static int cache_publish(struct cache *c, unsigned n, size_t len)
{
    struct cache_file f = {.fd = -1};
    CLEANUP(freep) void *data = lab_bytes(n, 0, len);
    assert_int_equal(cache_reserve(c, len, false), 0);
    f.reserved = len;
    assert_int_equal(cache_file_new(c, &f, NULL), 0);
    assert_int_equal(pwrite_full(f.fd, data, len, 0), 0);
    assert_int_equal(cache_file_publish(c, &f, cache_id_of(n), crc32c(0, data, len)), 0);
    assert_string_equal(f.name, "");
    return f.fd;
}

static void cache_publish_closed(struct cache *c, unsigned n, size_t len)
{
    (void)close(cache_publish(c, n, len));
}

/* Whether version `n` is there, whole and right. */
static bool cache_holds(struct cache *c, unsigned n, size_t len)
{
    uint32_t crc = 0;
    CLEANUP(closep) int fd = cache_get(c, cache_id_of(n), len, &crc, NULL);
    CLEANUP(freep) char *data = malloc(len + 1);
    return fd >= 0 && pread_full(fd, data, len, 0) == 0 && lab_is(data, n, 0, len) &&
           crc == lab_crc(n, len);
}

/* Names in a folder of the cache. */
static int cache_count_files(struct cache_case *k, const char *below)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "cache/%s", below);
    int n = 0;
    DIR *d = opendir(scratch_at(&k->s, path));
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) // NOLINT(concurrency-mt-unsafe)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

/* The only version's path, relative to the scratch folder. */
static const char *cache_path_of(struct cache_case *k, unsigned n, size_t len)
{
    static char path[256];
    const char *id = cache_id_of(n);
    (void)snprintf(path, sizeof(path), "cache/objects/%.3s/%s.%08x", id, id + 3, lab_crc(n, len));
    assert_int_equal(access(scratch_at(&k->s, path), F_OK), 0);
    return path;
}

static void cache_ids_differ_with_each_part(void **state)
{
    (void)state;
    static const char *const part[][3] = {
        {"s", "k", "e"}, {"s2", "k", "e"}, {"s", "k2", "e"}, {"s", "k", "e2"},
        {"sk", "", "e"}, {"", "sk", "e"},  {"s", "ke", ""},
    };
    char id[ARRAY_SIZE(part)][CACHE_ID_SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
        assert_int_equal(cache_id(part[i][0], part[i][1], part[i][2], id[i]), 0);
        assert_int_equal(strlen(id[i]), CACHE_ID_SIZE - 1);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(id[i], id[j]);
    }
    char again[CACHE_ID_SIZE];
    assert_int_equal(cache_id("s", "k", "e", again), 0);
    assert_string_equal(again, id[0]);
}

static void cache_makes_its_folder_for_this_user_alone(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct stat st;
    assert_int_equal(stat(cache_dir(k.c), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(cache_size_max(k.c), 1 << 30);
    assert_int_equal(access(scratch_at(&k.s, "cache/CACHEDIR.TAG"), F_OK), 0);
    assert_int_equal(cache_count_files(&k, "mounts"), 1);
    cache_close(TAKE(k.c));
    assert_int_equal(cache_count_files(&k, "mounts"), 0);
    cache_close(NULL);
}

static void cache_follows_only_links_of_its_user(void **state)
{
    (void)state;
    CACHE_CASE(k);
    int fd = -1;
    const char *link = scratch_at(&k.s, "link");
    assert_int_equal(symlink(cache_dir(k.c), link), 0);
    assert_int_equal(cache_dir_open(link, &fd, &k.err), 0);
    closep(&fd);
    assert_int_equal(cache_dir_open(scratch_at(&k.s, "absent"), &fd, &k.err), -ENOENT);
    if (geteuid() != 0)
        return; /* only root can give a link away */
    link = scratch_at(&k.s, "link");
    assert_int_equal(lchown(link, 65534, 65534), 0);
    assert_int_equal(cache_dir_open(link, &fd, &k.err), -EACCES);
    assert_int_equal(cache_dir_make(link, true, &fd, &k.err), -EACCES);
    assert_non_null(strstr(k.err.msg, "symbolic link"));
}

static void cache_refuses_a_folder_that_is_open_to_others(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache *other = NULL;
    assert_int_equal(chmod(cache_dir(k.c), 0770), 0);
    assert_int_equal(cache_case_open(&k, 0, &other), -EACCES);
    assert_non_null(strstr(k.err.hint, "chmod 700"));
    assert_int_equal(chmod(cache_dir(k.c), 0755), 0);
    assert_int_equal(cache_case_open(&k, 0, &other), 0);
    cache_close(other);
    if (geteuid() != 0)
        return; /* only root can give a folder away */
    assert_int_equal(chown(cache_dir(k.c), 65534, 65534), 0);
    assert_int_equal(cache_case_open(&k, 0, &other), -EACCES);
}

static void cache_refuses_what_is_no_folder(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache *c = NULL;
    struct cache_conf conf = {.dir = scratch_at(&k.s, "no/where"), .any_fs = true};
    assert_int_equal(cache_open(&conf, &c, &k.err), -ENOENT);
    assert_non_null(strstr(k.err.hint, "--cache-dir"));
    scratch_write(&k.s, "file", "");
    conf.dir = scratch_at(&k.s, "file");
    assert_int_equal(cache_open(&conf, &c, &k.err), -ENOTDIR);
    /* something of ours is in the way */
    static const char *const part[] = {"objects", "mounts", "lock", "usage"};
    for (size_t i = 0; i < ARRAY_SIZE(part); i++) {
        char name[64];
        bool dir = i < 2;
        (void)snprintf(name, sizeof(name), "c%zu/%s%s", i, part[i], dir ? "" : "/x");
        scratch_write(&k.s, name, "");
        (void)snprintf(name, sizeof(name), "c%zu", i);
        assert_int_equal(chmod(scratch_at(&k.s, name), 0700), 0);
        conf.dir = scratch_at(&k.s, name);
        assert_int_equal(cache_open(&conf, &c, &k.err), dir ? -ENOTDIR : -EISDIR);
    }
}

static void cache_takes_a_network_file_system_only_when_named(void **state)
{
    (void)state;
    CACHE_CASE(k);
    static const long remote[] = {NFS_SUPER_MAGIC, FUSE_SUPER_MAGIC, 0x0bd00bd0};
    for (size_t i = 0; i < ARRAY_SIZE(remote); i++) {
        struct cache *c = NULL;
        struct cache_conf conf = {.dir = scratch_at(&k.s, "cache")};
        cache_fs_type = remote[i];
        int refused = cache_open(&conf, &c, &k.err);
        conf.any_fs = true;
        int taken = cache_open(&conf, &c, NULL);
        cache_fs_type = 0;
        assert_int_equal(refused, -EMEDIUMTYPE);
        assert_non_null(strstr(k.err.hint, "local disk"));
        assert_int_equal(taken, 0);
        cache_close(c);
    }
}

static void cache_default_dir_follows_the_environment(void **state)
{
    (void)state;
    char expected[64];
    (void)unsetenv("SLURM_TMPDIR"); // NOLINT(concurrency-mt-unsafe): no threads
    (void)unsetenv("TMPDIR");       // NOLINT(concurrency-mt-unsafe)
    CLEANUP(freep) char *plain = cache_default_dir();
    (void)snprintf(expected, sizeof(expected), "/var/tmp/bmfs-%u", geteuid());
    assert_string_equal(plain, expected);
    (void)setenv("TMPDIR", "/t", 1); // NOLINT(concurrency-mt-unsafe)
    CLEANUP(freep) char *tmp = cache_default_dir();
    (void)snprintf(expected, sizeof(expected), "/t/bmfs-%u", geteuid());
    assert_string_equal(tmp, expected);
    (void)setenv("SLURM_TMPDIR", "/slurm", 1); // NOLINT(concurrency-mt-unsafe)
    CLEANUP(freep) char *slurm = cache_default_dir();
    (void)snprintf(expected, sizeof(expected), "/slurm/bmfs-%u", geteuid());
    assert_string_equal(slurm, expected);
    (void)setenv("SLURM_TMPDIR", "relative", 1); // NOLINT(concurrency-mt-unsafe)
    CLEANUP(freep) char *relative = cache_default_dir();
    (void)snprintf(expected, sizeof(expected), "/t/bmfs-%u", geteuid());
    assert_string_equal(relative, expected);
    (void)unsetenv("SLURM_TMPDIR"); // NOLINT(concurrency-mt-unsafe)
    (void)unsetenv("TMPDIR");       // NOLINT(concurrency-mt-unsafe)
}

static void cache_keeps_versions_over_a_restart(void **state)
{
    (void)state;
    CACHE_CASE(k);
    assert_false(cache_has(k.c, cache_id_of(1)));
    assert_false(cache_holds(k.c, 1, 5000));
    CLEANUP(closep) int fd = cache_publish(k.c, 1, 5000);
    assert_true(fd >= 0); /* and it can still be read through */
    assert_true(cache_has(k.c, cache_id_of(1)));
    assert_true(cache_holds(k.c, 1, 5000));
    assert_false(cache_holds(k.c, 2, 5000));
    cache_reopen(&k, 1 << 30);
    assert_true(cache_has(k.c, cache_id_of(1)));
    assert_true(cache_holds(k.c, 1, 5000));
    assert_in_range(cache_usage(k.c), 5000, 65536);
    cache_publish_closed(k.c, 3, 0);
    assert_true(cache_holds(k.c, 3, 0));
}

static void cache_private_files_go_unless_published(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache_file f = {.fd = -1};
    struct cache_file g = {.fd = -1};
    char path[4096];
    assert_int_equal(cache_file_new(k.c, &f, &k.err), 0);
    assert_int_equal(cache_file_new(k.c, &g, &k.err), 0);
    assert_string_not_equal(f.name, g.name);
    cache_file_path(k.c, &f, path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0);
    cache_file_drop(k.c, &f);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(f.fd, -1);
    cache_file_drop(k.c, &f);
    assert_int_equal(cache_file_publish(k.c, &g, cache_id_of(1), 0), 0);
    cache_file_drop(k.c, &g);
    assert_true(cache_holds(k.c, 1, 0));
    /* publishing the same again is no harm, and a file that is gone stays private */
    assert_int_equal(cache_file_new(k.c, &f, &k.err), 0);
    assert_int_equal(cache_file_publish(k.c, &f, cache_id_of(1), 0), 0);
    cache_file_drop(k.c, &f);
    assert_int_equal(cache_file_new(k.c, &f, &k.err), 0);
    cache_file_path(k.c, &f, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(cache_file_publish(k.c, &f, cache_id_of(2), 0), -ENOENT);
    assert_true(f.name[0] != '\0');
    cache_file_drop(k.c, &f);
}

static void cache_says_when_no_private_file_can_be_made(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache_file f = {.fd = -1};
    char path[8192];
    struct cache_file g = {.fd = -1};
    assert_int_equal(cache_file_new(k.c, &g, NULL), 0);
    cache_file_path(k.c, &g, path, sizeof(path));
    cache_file_drop(k.c, &g);
    *strrchr(path, '/') = '\0';
    char lock[8300];
    (void)snprintf(lock, sizeof(lock), "%s/lock", path);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(cache_file_new(k.c, &f, &k.err), -ENOENT);
    assert_non_null(strstr(k.err.msg, "cache folder"));
    assert_string_equal(f.name, "");
}

static void cache_drops_what_fails_its_check(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_publish_closed(k.c, 1, 5000);
    const char *path = scratch_at(&k.s, cache_path_of(&k, 1, 5000));
    CLEANUP(closep) int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite_full(fd, "!", 1, 4999), 0);
    uint32_t crc = 0;
    /* this mount has just written it: it is not checked again ... */
    CLEANUP(closep) int same = cache_get(k.c, cache_id_of(1), 5000, &crc, &k.err);
    assert_true(same >= 0);
    closep(&same);
    same = -1;
    /* ... but after a restart */
    cache_reopen(&k, 1 << 30);
    assert_int_equal(cache_get(k.c, cache_id_of(1), 5000, &crc, &k.err), -ENOENT);
    assert_non_null(strstr(k.err.msg, "fails its check"));
    assert_false(cache_has(k.c, cache_id_of(1)));
}

static void cache_drops_what_has_another_size(void **state)
{
    (void)state;
    CACHE_CASE(k);
    uint32_t crc = 0;
    cache_publish_closed(k.c, 1, 5000);
    assert_int_equal(truncate(scratch_at(&k.s, cache_path_of(&k, 1, 5000)), 4999), 0);
    assert_int_equal(cache_get(k.c, cache_id_of(1), 5000, &crc, &k.err), -ENOENT);
    assert_non_null(strstr(k.err.msg, "4999 bytes"));
    assert_false(cache_has(k.c, cache_id_of(1)));
}

static void cache_checks_a_version_once_after_each_start(void **state)
{
    (void)state;
    CACHE_CASE(k);
    uint32_t crc = 0;
    cache_publish_closed(k.c, 1, 5000);
    cache_reopen(&k, 1 << 30);
    assert_true(cache_holds(k.c, 1, 5000));
    CLEANUP(closep)
    int fd = open(scratch_at(&k.s, cache_path_of(&k, 1, 5000)), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite_full(fd, "!", 1, 0), 0);
    CLEANUP(closep) int again = cache_get(k.c, cache_id_of(1), 5000, &crc, &k.err);
    assert_true(again >= 0); /* had it been checked, it would be gone */
}

static void cache_ignores_files_that_are_no_versions(void **state)
{
    (void)state;
    CACHE_CASE(k);
    char name[256];
    const char *id = cache_id_of(1);
    static const char *const suffix[] = {"", ".", ".1234567", ".1234567x", ".123456789"};
    for (size_t i = 0; i < ARRAY_SIZE(suffix); i++) {
        (void)snprintf(name, sizeof(name), "cache/objects/%.3s/%s%s", id, id + 3, suffix[i]);
        scratch_write(&k.s, name, "");
    }
    assert_false(cache_has(k.c, id));
    assert_false(cache_holds(k.c, 1, 0));
}

static void cache_reserves_up_to_its_limit(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_reopen(&k, 1000000);
    uint64_t before = cache_usage(k.c);
    assert_int_equal(cache_reserve(k.c, 1000001, false), -ENOSPC);
    assert_int_equal(cache_reserve(k.c, 900000, false), 0);
    assert_int_equal(cache_usage(k.c), before + 900000);
    cache_release(k.c, 900000);
    cache_release(k.c, 1ULL << 40); /* never below nothing */
    assert_int_equal(cache_usage(k.c), 0);
    assert_int_equal(cache_reserve(k.c, 1000001, true), 0); /* only the floor counts */
}

static void cache_keeps_the_floor_whatever_is_written(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_close(TAKE(k.c));
    struct cache_conf conf = {.dir = scratch_at(&k.s, "cache"),
                              .any_fs = true,
                              .size_max = 1 << 20,
                              .free_min = 1ULL << 60};
    assert_int_equal(cache_open(&conf, &k.c, NULL), 0);
    assert_int_equal(cache_reserve(k.c, 1, false), -ENOSPC);
    assert_int_equal(cache_reserve(k.c, 1, true), -ENOSPC);
}

/* Makes version `n` seem to have been used `s` seconds after the epoch. */
static void cache_age(struct cache_case *k, unsigned n, size_t len, time_t s)
{
    const struct timespec ts[2] = {{.tv_sec = s}, {.tv_sec = s}};
    assert_int_equal(utimensat(AT_FDCWD, scratch_at(&k->s, cache_path_of(k, n, len)), ts, 0), 0);
}

#define CACHE_BIG ((uint64_t)1 << 20)

static void cache_evicts_what_was_used_longest_ago(void **state)
{
    (void)state;
    CACHE_CASE(k);
    for (unsigned n = 1; n <= 4; n++) {
        cache_publish_closed(k.c, n, CACHE_BIG);
        cache_age(&k, n, CACHE_BIG, 1000 + n);
    }
    cache_age(&k, 1, CACHE_BIG, 5000);           /* 2, 3, 4, 1 */
    assert_true(cache_holds(k.c, 3, CACHE_BIG)); /* 2, 4, 1, 3 */
    cache_reopen(&k, 4 * CACHE_BIG + 65536);
    assert_int_equal(cache_reserve(k.c, 2 * CACHE_BIG, false), 0);
    assert_false(cache_has(k.c, cache_id_of(2)));
    assert_false(cache_has(k.c, cache_id_of(4)));
    assert_true(cache_has(k.c, cache_id_of(3)));
}

static void cache_evicts_nothing_that_is_open_in_any_mount(void **state)
{
    (void)state;
    CACHE_CASE(k);
    uint32_t crc = 0;
    struct cache *other = NULL;
    assert_int_equal(cache_case_open(&k, 1 << 30, &other), 0);
    for (unsigned n = 1; n <= 3; n++) {
        cache_publish_closed(k.c, n, CACHE_BIG);
        cache_age(&k, n, CACHE_BIG, 1000 + n);
    }
    CLEANUP(closep) int here = cache_get(k.c, cache_id_of(1), CACHE_BIG, &crc, NULL);
    CLEANUP(closep) int there = cache_get(other, cache_id_of(2), CACHE_BIG, &crc, NULL);
    assert_true(here >= 0 && there >= 0);
    cache_age(&k, 1, CACHE_BIG, 1001);
    cache_age(&k, 2, CACHE_BIG, 1002);
    cache_close(TAKE(k.c));
    assert_int_equal(cache_case_open(&k, CACHE_BIG, &k.c), 0);
    assert_int_equal(cache_reserve(k.c, CACHE_BIG, false), -ENOSPC);
    assert_true(cache_has(k.c, cache_id_of(1)));
    assert_true(cache_has(k.c, cache_id_of(2)));
    assert_false(cache_has(k.c, cache_id_of(3)));
    cache_close(other);
}

static void cache_limit_holds_over_all_mounts(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache *other = NULL;
    cache_reopen(&k, 4 * CACHE_BIG);
    assert_int_equal(cache_case_open(&k, 4 * CACHE_BIG, &other), 0);
    for (unsigned n = 0; n < 20; n++) {
        struct cache *c = n % 2 ? other : k.c;
        cache_publish_closed(c, n, CACHE_BIG);
        assert_in_range(cache_usage(c), 1, 4 * CACHE_BIG + 65536);
        assert_int_equal(cache_usage(k.c), cache_usage(other));
        assert_true(cache_holds(k.c, n, CACHE_BIG));
        assert_true(cache_holds(other, n, CACHE_BIG));
    }
    CLEANUP(closep) int dir = open(cache_dir(k.c), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_in_range(cache_dir_usage(dir), CACHE_BIG, 4 * CACHE_BIG + 65536);
    cache_close(other);
}

static void cache_removes_the_private_files_of_dead_mounts_only(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache_file f = {.fd = -1};
    assert_int_equal(cache_file_new(k.c, &f, NULL), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cache *c = NULL;
        struct cache_file g = {.fd = -1};
        if (cache_case_open(&k, 1 << 30, &c) < 0 || cache_file_new(c, &g, NULL) < 0)
            _exit(1);
        _exit(0); /* without a word */
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(cache_count_files(&k, "mounts"), 2);
    struct cache *c = NULL;
    assert_int_equal(cache_case_open(&k, 1 << 30, &c), 0);
    assert_int_equal(cache_count_files(&k, "mounts"), 2); /* this one and the first */
    char path[4096];
    cache_file_path(k.c, &f, path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0);
    cache_file_drop(k.c, &f);
    cache_close(c);
}

static void cache_touches_nothing_that_is_not_its_own(void **state)
{
    (void)state;
    CACHE_CASE(k);
    static const char *const other[] = {
        "cache/mounts/backup/photo.jpg",
        "cache/mounts/0123456789abcdef0123456789abcdef/photo.jpg", /* no lock: no mount's */
        "cache/objects/ab/cdef0123456789abcdef0123456789abcdef01", /* git's */
        "cache/objects/abc/readme",
        "cache/objects/abc/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc.txt",
        "cache/objects/xyz/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc.00000000",
    };
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        scratch_write(&k.s, other[i], "precious");
    cache_publish_closed(k.c, 1, CACHE_BIG);
    cache_reopen(&k, 1);
    assert_int_equal(cache_reserve(k.c, 1, false), -ENOSPC);
    assert_false(cache_has(k.c, cache_id_of(1)));
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        if (access(scratch_at(&k.s, other[i]), F_OK) < 0)
            fail_msg("%s is gone", other[i]);
    }
    /* The folder of a mount that died before it had its lock is its own. */
    assert_int_equal(mkdir(scratch_at(&k.s, "cache/mounts/00000000000000000000000000000000"), 0700),
                     0);
    cache_reopen(&k, 1);
    assert_int_equal(cache_count_files(&k, "mounts"), 3);
}

/* In a process of its own: what goes wrong here is a signal. */
static int cache_open_in_child(struct cache_case *k)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cache *c = NULL;
        (void)signal(SIGBUS, SIG_DFL); /* cmocka catches it */
        int r = cache_case_open(k, 1 << 20, &c);
        cache_close(c);
        _exit(-r);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void cache_says_when_the_disk_is_full(void **state)
{
    (void)state;
    if (!lab_may_mount())
        skip();
    CACHE_CASE(k);
    cache_close(TAKE(k.c));
    lab_mount_small(scratch_at(&k.s, "cache"), 64);
    int first = cache_open_in_child(&k);
    char block[4096] = {0};
    int fd = open(scratch_at(&k.s, "cache/filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)unlink(scratch_at(&k.s, "cache/usage"));
    while (write(fd, block, sizeof(block)) > 0)
        ;
    int full = cache_open_in_child(&k);
    (void)close(fd);
    lab_unmount(scratch_at(&k.s, "cache"));
    assert_int_equal(first, 0);
    assert_true(WIFEXITED(full));
    assert_int_equal(WEXITSTATUS(full), ENOSPC);
}

static void cache_counts_what_lies_in_lost(void **state)
{
    (void)state;
    CACHE_CASE(k);
    CLEANUP(freep) char *text = malloc(CACHE_BIG + 1);
    memset(text, 'x', CACHE_BIG);
    text[CACHE_BIG] = '\0';
    scratch_write(&k.s, "cache/lost/1-a.data", text);
    CLEANUP(closep) int dir = open(cache_dir(k.c), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_in_range(cache_dir_usage(dir), CACHE_BIG, CACHE_BIG + 65536);
    struct cache_dir_goal goal = {.used_max = 1};
    assert_in_range(cache_dir_evict(dir, &goal), CACHE_BIG, CACHE_BIG + 65536);
    cache_reopen(&k, 1 << 30);
    assert_in_range(cache_usage(k.c), CACHE_BIG, CACHE_BIG + 65536);
}

static void cache_evicts_nothing_in_vain(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_reopen(&k, 4 * CACHE_BIG);
    cache_publish_closed(k.c, 1, CACHE_BIG);
    assert_int_equal(cache_reserve(k.c, 5 * CACHE_BIG, false), -ENOSPC); /* above the limit */
    assert_true(cache_has(k.c, cache_id_of(1)));
    assert_int_equal(cache_reserve(k.c, 1ULL << 60, true), -ENOSPC); /* above any disk */
    assert_int_equal(cache_reserve(k.c, UINT64_MAX, true), -ENOSPC);
    assert_int_equal(cache_reserve(k.c, UINT64_MAX, false), -ENOSPC);
    assert_true(cache_has(k.c, cache_id_of(1)));
    assert_int_equal(cache_reserve(k.c, 5 * CACHE_BIG, true), 0); /* bytes that are written do */
    assert_false(cache_has(k.c, cache_id_of(1)));
}

static void cache_remembers_what_is_reserved_through_an_eviction(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_reopen(&k, 4 * CACHE_BIG);
    cache_publish_closed(k.c, 1, CACHE_BIG);
    assert_int_equal(cache_reserve(k.c, 3 * CACHE_BIG, false), 0); /* and nothing written yet */
    assert_int_equal(cache_reserve(k.c, CACHE_BIG / 2, false), 0); /* version 1 goes for it */
    assert_false(cache_has(k.c, cache_id_of(1)));
    assert_int_equal(cache_usage(k.c), 3 * CACHE_BIG + CACHE_BIG / 2);
    assert_int_equal(cache_reserve(k.c, CACHE_BIG, false), -ENOSPC);
    /* Another mount that starts takes nothing of it back, and does not forget it. */
    struct cache *other = NULL;
    assert_int_equal(cache_case_open(&k, 4 * CACHE_BIG, &other), 0);
    assert_int_equal(cache_usage(other), 3 * CACHE_BIG + CACHE_BIG / 2);
    assert_int_equal(cache_reserve(other, CACHE_BIG, false), -ENOSPC);
    cache_close(other);
}

static void cache_counts_a_file_once_however_it_came(void **state)
{
    (void)state;
    CACHE_CASE(k);
    struct cache_file f = {.fd = -1};
    cache_publish_closed(k.c, 1, CACHE_BIG);
    assert_int_equal(cache_usage(k.c), CACHE_BIG);
    cache_publish_closed(k.c, 1, CACHE_BIG); /* the same again */
    assert_int_equal(cache_usage(k.c), CACHE_BIG);
    assert_int_equal(cache_reserve(k.c, 3 * CACHE_BIG, false), 0);
    f.reserved = 3 * CACHE_BIG; /* more than it needs */
    assert_int_equal(cache_file_new(k.c, &f, NULL), 0);
    assert_int_equal(pwrite_full(f.fd, "abc", 3, 0), 0);
    assert_int_equal(cache_file_publish(k.c, &f, cache_id_of(2), crc32c(0, "abc", 3)), 0);
    assert_int_equal(cache_usage(k.c), CACHE_BIG + 3);
    cache_file_drop(k.c, &f);
    assert_int_equal(cache_usage(k.c), CACHE_BIG + 3);
}

static void cache_dir_limits_are_the_users_or_follow_the_disk(void **state)
{
    (void)state;
    CACHE_CASE(k);
    uint64_t size = 7;
    uint64_t floor = 8;
    CLEANUP(closep) int dir = open(cache_dir(k.c), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cache_dir_limits(dir, 0, &size, &floor);
    assert_int_equal(size, 7);
    assert_int_equal(floor, 8);
    size = floor = 0;
    cache_dir_limits(dir, 0, &size, &floor);
    assert_in_range(size, 1, 20ULL << 30);
    assert_in_range(floor, 1, 4ULL << 30);
    /* A folder that is full already does not make it smaller with each start. */
    size = 0;
    cache_dir_limits(dir, 1ULL << 50, &size, &floor);
    assert_int_equal(size, 20ULL << 30);
    assert_int_equal(cache_dir_free(-1), 0);
}

static void cache_dir_evicts_nothing_when_the_goal_is_reached(void **state)
{
    (void)state;
    CACHE_CASE(k);
    cache_publish_closed(k.c, 1, CACHE_BIG);
    CLEANUP(closep) int dir = open(cache_dir(k.c), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct cache_dir_goal goal = {.used_max = 1ULL << 40};
    assert_in_range(cache_dir_evict(dir, &goal), CACHE_BIG, CACHE_BIG + 65536);
    assert_true(cache_has(k.c, cache_id_of(1)));
    goal.free_min = UINT64_MAX; /* more than there is: everything goes */
    assert_in_range(cache_dir_evict(dir, &goal), 0, 65536);
    assert_false(cache_has(k.c, cache_id_of(1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_knows_its_folder_by_its_full_name),
        cmocka_unit_test(cache_ids_differ_with_each_part),
        cmocka_unit_test(cache_makes_its_folder_for_this_user_alone),
        cmocka_unit_test(cache_follows_only_links_of_its_user),
        cmocka_unit_test(cache_refuses_a_folder_that_is_open_to_others),
        cmocka_unit_test(cache_refuses_what_is_no_folder),
        cmocka_unit_test(cache_takes_a_network_file_system_only_when_named),
        cmocka_unit_test(cache_default_dir_follows_the_environment),
        cmocka_unit_test(cache_keeps_versions_over_a_restart),
        cmocka_unit_test(cache_private_files_go_unless_published),
        cmocka_unit_test(cache_says_when_no_private_file_can_be_made),
        cmocka_unit_test(cache_drops_what_fails_its_check),
        cmocka_unit_test(cache_drops_what_has_another_size),
        cmocka_unit_test(cache_checks_a_version_once_after_each_start),
        cmocka_unit_test(cache_ignores_files_that_are_no_versions),
        cmocka_unit_test(cache_reserves_up_to_its_limit),
        cmocka_unit_test(cache_keeps_the_floor_whatever_is_written),
        cmocka_unit_test(cache_evicts_what_was_used_longest_ago),
        cmocka_unit_test(cache_evicts_nothing_that_is_open_in_any_mount),
        cmocka_unit_test(cache_limit_holds_over_all_mounts),
        cmocka_unit_test(cache_removes_the_private_files_of_dead_mounts_only),
        cmocka_unit_test(cache_touches_nothing_that_is_not_its_own),
        cmocka_unit_test(cache_says_when_the_disk_is_full),
        cmocka_unit_test(cache_counts_what_lies_in_lost),
        cmocka_unit_test(cache_evicts_nothing_in_vain),
        cmocka_unit_test(cache_remembers_what_is_reserved_through_an_eviction),
        cmocka_unit_test(cache_counts_a_file_once_however_it_came),
        cmocka_unit_test(cache_dir_limits_are_the_users_or_follow_the_disk),
        cmocka_unit_test(cache_dir_evicts_nothing_when_the_goal_is_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
