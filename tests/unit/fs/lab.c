#include "tests/unit/fs/lab.h"

#include "base/crc32c.h"
#include "fs/commit.h"
#include "fs/folder.h"
#include "fs/resolve.h"
#include "matrix/name.h"
#include "matrix/npy.h"
#include "s3/dir.h"
#include "s3/fault.h"
#include "tests/kit/texts.h"
#include "tests/unit/fs/remote.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

enum { LAB_PATIENCE_MS = 20000 };

static const struct header lab_header = {
    .grid = {.ndim = 2, .shape = {10, 7}, .shard = {4, 3}},
    .dtype = {.kind = 'f', .size = 8, .order = '<'},
};

static void lab_start(struct lab *lab)
{
    const struct lab_conf *conf = &lab->conf;
    struct cache_conf cache = {.dir = scratch_at(&lab->dir, "cache"),
                               .any_fs = true,
                               .size_max = conf->cache_max ? conf->cache_max : 1 << 30,
                               .free_min = conf->free_min ? conf->free_min : 1};
    struct fs_conf fs = {.prefix = conf->prefix ? conf->prefix : "",
                         .immutable = conf->immutable,
                         .no_delete = conf->no_delete,
                         .memory = conf->memory ? conf->memory : 64 << 20,
                         .umask = 022};
    assert_int_equal(cache_open(&cache, &lab->cache, &lab->err), 0);
    assert_int_equal(fs_new(&fs, lab->store, lab->cache, &lab->fs, &lab->err), 0);
    lab->fs->local = conf->local;
    lab->fill_conf = (struct fill_conf){.store = lab->store,
                                        .cache = lab->cache,
                                        .pool = lab->fs->data,
                                        .etags = objects_etags(lab->fs->objects)};
}

void lab_init(struct lab *lab, const struct lab_conf *conf)
{
    struct store *dir = NULL;
    struct store *fault = NULL;
    *lab = (struct lab){.conf = *conf};
    scratch_init(&lab->dir);
    assert_int_equal(mkdir(scratch_at(&lab->dir, "store"), 0700), 0);
    assert_int_equal(dir_new(scratch_at(&lab->dir, "store"), false, &dir, &lab->err), 0);
    assert_int_equal(fault_new(&dir, &fault), 0);
    lab->fault = fault;
    assert_int_equal(remote_new(&fault, &lab->store), 0);
    remote_be_local(lab->store, conf->local);
    lab_start(lab);
}

static void lab_stop(struct lab *lab)
{
    fs_free(lab->fs);
    cache_close(lab->cache);
    lab->fs = NULL;
    lab->cache = NULL;
}

void lab_restart(struct lab *lab)
{
    lab_stop(lab);
    lab_start(lab);
}

void lab_fini(struct lab *lab)
{
    if (lab->store)
        remote_open(lab->store); /* a test that failed may have left it shut */
    lab_stop(lab);
    store_free(lab->store);
    if (lab->dir.path[0])
        scratch_fini(&lab->dir);
}

static unsigned char lab_byte(unsigned seed, uint64_t at)
{
    uint64_t x = (at >> 3) * 0x9e3779b97f4a7c15ULL + (uint64_t)seed * 0xbf58476d1ce4e5b9ULL;
    x ^= x >> 29;
    return (unsigned char)((x >> (at % 8 * 8)) ^ at);
}

void *lab_bytes(unsigned seed, uint64_t off, size_t len)
{
    unsigned char *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = lab_byte(seed, off + i);
    return data;
}

bool lab_is(const void *data, unsigned seed, uint64_t off, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) {
        if (p[i] != lab_byte(seed, off + i))
            return false;
    }
    return true;
}

uint32_t lab_crc(unsigned seed, size_t len)
{
    CLEANUP(freep) void *data = lab_bytes(seed, 0, len);
    return crc32c(0, data, len);
}

static struct store_stat lab_put_bytes(struct lab *lab, const char *key, const void *data,
                                       size_t len)
{
    struct store_stat stat;
    struct store_body body = {.head = data, .head_len = len, .fd = -1};
    struct store_put put = {.has_crc32c = true, .crc32c = crc32c(0, data, len)};
    int r = store_put(lab->fault, key, &body, &put, &stat, &lab->err);
    if (r < 0)
        fail_msg("put %s: %s", key, lab->err.msg);
    return stat;
}

struct store_stat lab_put(struct lab *lab, const char *key, unsigned seed, size_t len)
{
    CLEANUP(freep) void *data = lab_bytes(seed, 0, len);
    return lab_put_bytes(lab, key, data, len);
}

struct store_stat lab_put_text(struct lab *lab, const char *key, const char *text)
{
    return lab_put_bytes(lab, key, text, strlen(text));
}

const char *lab_text(struct lab *lab, const char *key)
{
    static char text[4096];
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    text[0] = '\0';
    if (texts_get(lab->fault, key, &b) == 0)
        (void)snprintf(text, sizeof(text), "%s", buf_text(&b));
    return text;
}

struct store_stat lab_head(struct lab *lab, const char *key)
{
    struct store_stat stat;
    if (store_head(lab->fault, key, &stat, &lab->err) < 0)
        fail_msg("head %s: %s", key, lab->err.msg);
    return stat;
}

bool lab_exists(struct lab *lab, const char *key)
{
    struct store_stat stat;
    return store_head(lab->fault, key, &stat, NULL) == 0;
}

bool lab_stored(struct lab *lab, const char *key, unsigned seed, size_t len)
{
    CLEANUP(buf_fini) struct buf b = TEXTS_BUF;
    return texts_get(lab->fault, key, &b) == 0 && b.len == len &&
           lab_is(buf_text(&b), seed, 0, len);
}

void lab_answer_init(struct lab_answer *a)
{
    *a = (struct lab_answer){0};
    (void)pthread_mutex_init(&a->mu, NULL);
    lock_cond_init(&a->came);
}

void lab_answer_fini(struct lab_answer *a)
{
    free(a->data);
    (void)pthread_cond_destroy(&a->came);
    (void)pthread_mutex_destroy(&a->mu);
}

void lab_answer_read(void *arg, int code, const void *data, size_t len)
{
    struct lab_answer *a = arg;
    LOCK_SCOPE(&a->mu);
    if (a->times++ == 0) {
        a->code = code;
        a->len = len;
        a->data = malloc(len + 1);
        if (a->data && len > 0)
            memcpy(a->data, data, len);
    }
    (void)pthread_cond_signal(&a->came);
}

void lab_answer_change(void *arg, int code)
{
    lab_answer_read(arg, code, NULL, 0);
}

int lab_wait(struct lab_answer *a)
{
    int64_t until_ms = clock_ms() + LAB_PATIENCE_MS;
    LOCK_SCOPE(&a->mu);
    while (a->times == 0) {
        if (!lock_cond_wait_until(&a->came, &a->mu, until_ms))
            fail_msg("no answer came");
    }
    assert_int_equal(a->times, 1);
    return a->code;
}

bool lab_has_come(struct lab_answer *a)
{
    LOCK_SCOPE(&a->mu);
    return a->times > 0;
}

static void lab_key(const char *dir, const char *obj, char *dst, size_t size)
{
    assert_true(snprintf(dst, size, "%s%s", dir, obj) < (int)size);
}

struct store_stat lab_put_header(struct lab *lab, const char *dir)
{
    char key[STORE_KEY_MAX];
    CLEANUP(buf_fini) struct buf text = TEXTS_BUF;
    assert_int_equal(header_store(&lab_header, &text), 0);
    lab_key(dir, "header", key, sizeof(key));
    return lab_put_text(lab, key, buf_text(&text));
}

struct buf lab_block(int64_t i, int64_t j)
{
    struct buf b = TEXTS_BUF;
    struct npy npy;
    const int64_t index[GRID_NDIM_MAX] = {i, j};
    npy_for_block(&lab_header.grid, lab_header.dtype, index, &npy);
    assert_int_equal(npy_format(&npy, &b), 0);
    for (int64_t k = 0; k < (int64_t)(npy.data_len / sizeof(double)); k++) {
        double x = (double)(100 * i + 10 * j + k);
        assert_int_equal(buf_append(&b, &x, sizeof(x)), 0);
    }
    return b;
}

struct store_stat lab_put_block(struct lab *lab, const char *dir, int64_t i, int64_t j)
{
    char obj[NAME_OBJECT_SIZE];
    char key[STORE_KEY_MAX];
    const int64_t index[GRID_NDIM_MAX] = {i, j};
    CLEANUP(buf_fini) struct buf b = lab_block(i, j);
    assert_int_equal(name_object(&lab_header.grid, index, obj), 0);
    lab_key(dir, obj, key, sizeof(key));
    return lab_put_bytes(lab, key, b.data, b.len);
}

struct writer *lab_create(struct lab *lab, const char *dir, const char *name, int *ret_code)
{
    struct folder *d = lab_folder(lab, dir);
    struct place place;
    struct writer *w = NULL;
    *ret_code = resolve_prepare(d, name, &lab->err);
    LOCK_SCOPE(&lab->fs->mu);
    if (*ret_code == 0)
        *ret_code = resolve_place_locked(d, name, true, &place, &lab->err);
    if (*ret_code < 0)
        return NULL;
    struct writer_start start = {.dir = d, .name = name, .place = &place, .if_match = STORE_ABSENT};
    *ret_code = writer_new_locked(lab->fs, &start, &w);
    if (*ret_code == 0)
        w->handles = 1;
    return w;
}

int lab_write(struct writer *w, const void *data, size_t len, uint64_t off)
{
    LAB_ANSWER(a);
    stage_write(w->stage, data, len, off, false, lab_answer_change, &a);
    return lab_wait(&a);
}

int lab_truncate(struct writer *w, uint64_t size)
{
    LAB_ANSWER(a);
    stage_truncate(w->stage, size, lab_answer_change, &a);
    return lab_wait(&a);
}

void lab_close(struct writer *w)
{
    {
        LOCK_SCOPE(&w->fs->mu);
        w->handles--;
    }
    commit_finish(w, false);
    writer_unref(w);
}

/* Counts the files of the recovery folder; `ret` (may be NULL) receives the name of the last. */
static int lab_list_lost(struct lab *lab, char *ret, size_t size)
{
    int n = 0;
    DIR *d = opendir(scratch_at(&lab->dir, "cache/lost"));
    if (!d)
        return 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) { // NOLINT(concurrency-mt-unsafe)
        if (!strstr(e->d_name, ".data"))
            continue;
        n++;
        if (ret)
            (void)snprintf(ret, size, "cache/lost/%s", e->d_name);
    }
    (void)closedir(d);
    return n;
}

int lab_lost(struct lab *lab)
{
    return lab_list_lost(lab, NULL, 0);
}

struct buf lab_read_lost(struct lab *lab)
{
    struct buf b = TEXTS_BUF;
    struct stat st;
    char name[300];
    assert_true(lab_list_lost(lab, name, sizeof(name)) > 0);
    CLEANUP(closep) int fd = open(scratch_at(&lab->dir, name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(buf_reserve(&b, (size_t)st.st_size), 0);
    assert_int_equal(pread_full(fd, b.data, (size_t)st.st_size, 0), 0);
    b.len = (size_t)st.st_size;
    return b;
}

bool lab_may_mount(void)
{
    struct scratch s;
    scratch_init(&s);
    bool may = mount("tmpfs", s.path, "tmpfs", 0, "size=16k") == 0;
    if (may)
        (void)umount2(s.path, MNT_DETACH);
    else
        print_message("needs the right to mount a tmpfs\n");
    scratch_fini(&s);
    return may;
}

void lab_mount_small(const char *path, int size_kib)
{
    char options[64];
    (void)snprintf(options, sizeof(options), "size=%dk,mode=0700", size_kib);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, options), 0);
}

void lab_unmount(const char *path)
{
    (void)umount2(path, MNT_DETACH);
}

struct folder *lab_folder(struct lab *lab, const char *path)
{
    LOCK_SCOPE(&lab->fs->mu);
    struct folder *d = folder_get_locked(lab->fs, path);
    assert_non_null(d);
    return d;
}
