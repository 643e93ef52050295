#ifndef BMFS_TESTS_UNIT_FS_LAB_H
#define BMFS_TESTS_UNIT_FS_LAB_H

/* A mount without the kernel: a store (remote > fault > dir) and a cache in a temporary folder, and
 * a struct fs over them. Objects are made of bytes that follow from a seed and their offset, so
 * that any range can be checked. Failures to set up end the test. */

#include "fs/fs.h"
#include "tests/kit/scratch.h"

struct lab_conf {
    const char *prefix; /* NULL: "" */
    uint64_t cache_max; /* 0: 1 GiB */
    uint64_t free_min;  /* 0: 1 byte */
    uint64_t memory;    /* 0: 64 MiB */
    bool immutable;
    bool no_delete;
    bool local; /* objects are local files, as file:// stores have them */
};

struct lab {
    struct scratch dir;  /* DIR/store, DIR/cache */
    struct store *store; /* for remote_..() */
    struct store *fault; /* within it, for fault_..() */
    struct cache *cache;
    struct fs *fs;
    struct fill_conf fill_conf; /* for fills of the test's own */
    struct err err;
    struct lab_conf conf;
};

void lab_init(struct lab *lab, const struct lab_conf *conf);
void lab_fini(struct lab *lab);

#define LAB(lab, ...)                        \
    CLEANUP(lab_fini) struct lab(lab) = {0}; \
    lab_init(&(lab), &(struct lab_conf){__VA_ARGS__})

/* Stops and starts the mount; the cache folder stays. */
void lab_restart(struct lab *lab);

/* The bytes [off, off + len) of seed's sequence, to be freed; and whether some are these. */
void *lab_bytes(unsigned seed, uint64_t off, size_t len);
bool lab_is(const void *data, unsigned seed, uint64_t off, size_t len);
uint32_t lab_crc(unsigned seed, size_t len);

/* Stores an object of the first `len` bytes, with its checksum, whatever is there. */
struct store_stat lab_put(struct lab *lab, const char *key, unsigned seed, size_t len);

/* The same with a text; and what an object holds now, "" when there is none. */
struct store_stat lab_put_text(struct lab *lab, const char *key, const char *text);
const char *lab_text(struct lab *lab, const char *key);

/* The current version of a key; the test ends when there is none. */
struct store_stat lab_head(struct lab *lab, const char *key);
bool lab_exists(struct lab *lab, const char *key);

/* The first `len` bytes of the stored object are those of the seed, and there are no more. */
bool lab_stored(struct lab *lab, const char *key, unsigned seed, size_t len);

/* The answer of something that calls back. */
struct lab_answer {
    pthread_mutex_t mu;
    /* guarded by mu: */
    pthread_cond_t came;
    int times;
    int code;
    void *data; /* owned */
    size_t len;
};

void lab_answer_init(struct lab_answer *a);
void lab_answer_fini(struct lab_answer *a);

#define LAB_ANSWER(a)                                   \
    CLEANUP(lab_answer_fini) struct lab_answer a = {0}; \
    lab_answer_init(&(a))

/* The callbacks: fill_read_fn and stage_fn. */
void lab_answer_read(void *arg, int code, const void *data, size_t len);
void lab_answer_change(void *arg, int code);

/* Waits for it; the test ends when it does not come. Returns the code. */
int lab_wait(struct lab_answer *a);
bool lab_has_come(struct lab_answer *a);

/* The matrix A of 10 x 7 doubles in blocks of 4 x 3: its header, and block (i, j) as numpy.save
 * would write it, of which element k has the value 100 * i + 10 * j + k. */
struct store_stat lab_put_header(struct lab *lab, const char *dir);
struct buf lab_block(int64_t i, int64_t j);
struct store_stat lab_put_block(struct lab *lab, const char *dir, int64_t i, int64_t j);

/* A writer of a name that is created, as CREATE makes it, with a reference and one handle; NULL
 * with *ret_code when the name is refused. */
struct writer *lab_create(struct lab *lab, const char *dir, const char *name, int *ret_code);

/* Writes to it, or sets its size, and waits. */
int lab_write(struct writer *w, const void *data, size_t len, uint64_t off);
int lab_truncate(struct writer *w, uint64_t size);

/* Closes its handle and lets commit_finish() decide; drops the reference. */
void lab_close(struct writer *w);

/* Files in the recovery folder, and the bytes of one of them. */
int lab_lost(struct lab *lab);
struct buf lab_read_lost(struct lab *lab);

/* Mounts a tmpfs of so many KiB on a folder, for tests of full disks. Ask first, before anything is
 * set up: without the right to mount it says so and the test is to be skipped. */
bool lab_may_mount(void);
void lab_mount_small(const char *path, int size_kib);
void lab_unmount(const char *path);

/* The directory of a path, with a reference that lab_fini() does not need back. */
struct folder *lab_folder(struct lab *lab, const char *path);

#endif
