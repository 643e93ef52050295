/* How fast the store reads and writes one large object: bench_s3 BUCKET KEY MIB. Prints MiB/s for
 * one connection and for four at a time; tests/rgw/bench compares them with other clients'. */

#include "base/util.h"
#include "s3/location.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { BENCH_ROUNDS = 8, BENCH_THREADS_MAX = 4 };

struct bench {
    struct store *st;
    const char *key;
    uint64_t bytes;
    _Atomic int code; /* of a get that failed */
};

static int bench_sink(void *arg, const struct store_stat *stat, uint64_t off, const void *data,
                      size_t len)
{
    (void)arg;
    (void)stat;
    (void)off;
    (void)data;
    (void)len;
    return 0;
}

static void *bench_get(void *arg)
{
    struct bench *b = arg;
    for (int i = 0; i < BENCH_ROUNDS && b->code == 0; i++) {
        struct err err = {0};
        const struct store_get whole = {0};
        int r = store_get(b->st, b->key, &whole, bench_sink, NULL, NULL, &err);
        if (r < 0) {
            (void)fprintf(stderr, "%s\n", err.msg);
            b->code = r;
        }
    }
    return NULL;
}

static void bench_gets(struct bench *b, int threads)
{
    pthread_t thread[BENCH_THREADS_MAX];
    int64_t begun_ns = clock_ns();
    for (int i = 0; i < threads; i++)
        (void)pthread_create(&thread[i], NULL, bench_get, b);
    for (int i = 0; i < threads; i++)
        (void)pthread_join(thread[i], NULL);
    double s = (double)(clock_ns() - begun_ns) / 1e9;
    (void)printf("bmfs get x%d  %.0f MiB/s\n", threads,
                 (double)b->bytes * BENCH_ROUNDS * threads / s / 1048576);
}

static int bench_put(struct bench *b, struct err *err)
{
    CLEANUP(closep) int fd = memfd_create("body", MFD_CLOEXEC);
    static char chunk[1 << 20];
    const struct store_body body = {.fd = fd, .len = b->bytes};
    (void)random_bytes(chunk, sizeof(chunk));
    for (uint64_t at = 0; at < b->bytes; at += sizeof(chunk)) {
        if (pwrite_full(fd, chunk, sizeof(chunk), at) < 0)
            return err_set(err, -EIO, "no memory for the object");
    }
    int64_t begun_ns = clock_ns();
    int r = store_put(b->st, b->key, &body, &(struct store_put){0}, NULL, err);
    double s = (double)(clock_ns() - begun_ns) / 1e9;
    (void)printf("bmfs put     %.0f MiB/s\n", (double)b->bytes / s / 1048576);
    return r;
}

int main(int argc, char **argv)
{
    CLEANUP(location_fini) struct location loc = {0};
    CLEANUP(store_freep) struct store *st = NULL;
    struct err err = {0};
    if (argc != 4 || location_parse(argv[1], &loc, &err) < 0 ||
        location_open(&loc, &(struct location_conf){0}, &st, &err) < 0) {
        (void)fprintf(stderr, "usage: bench_s3 BUCKET KEY MIB %s\n", err.msg);
        return 2;
    }
    struct bench b = {.st = st, .key = argv[2], .bytes = strtoull(argv[3], NULL, 10) << 20};
    if (bench_put(&b, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    bench_gets(&b, 1);
    bench_gets(&b, BENCH_THREADS_MAX);
    return b.code < 0;
}
