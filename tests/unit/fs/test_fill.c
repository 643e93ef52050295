#include "tests/unit/unit.h"

#include "fs/fill.h"

#include "s3/fault.h"
#include "tests/kit/rng.h"
#include "tests/kit/texts.h"
#include "tests/unit/fs/lab.h"
#include "tests/unit/fs/remote.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILL_SEED = 7 };

#define FILL_MIB ((uint64_t)1 << 20)

/* The linker puts this before the real one. */
static int fill_sum_code;

void __real_proof_feed(struct proof *p, const struct proof_etags *etags,
                       const struct store_stat *stat, int fd, uint64_t to);
void __wrap_proof_feed(struct proof *p, const struct proof_etags *etags,
                       const struct store_stat *stat, int fd, uint64_t to);
void __wrap_proof_feed(struct proof *p, const struct proof_etags *etags,
                       const struct store_stat *stat, int fd, uint64_t to)
{
    if (fill_sum_code < 0)
        p->error = fill_sum_code;
    else
        __real_proof_feed(p, etags, stat, fd, to);
}

/* A lab with one object "k" and a fill of it. */
struct fill_case {
    struct lab *lab;
    struct store_stat stat;
    struct fill *f;
};

static void fill_case_start(struct fill_case *c, struct lab *lab, uint64_t size)
{
    *c = (struct fill_case){.lab = lab};
    c->stat = lab_put(lab, "k", FILL_SEED, (size_t)size);
    assert_int_equal(fill_new(&lab->fill_conf, "k", &c->stat, &c->f), 0);
    remote_clear(lab->store);
}

static void fill_case_end(struct fill_case *c)
{
    fill_unref(c->f);
}

/* The lab is freed after the fill, and waits for its pools before it goes. */
#define FILL_CASE(lab, c, size)                      \
    CLEANUP(fill_case_end) struct fill_case c = {0}; \
    fill_case_start(&(c), &(lab), size)

/* Reads and waits. The code, or -EILSEQ when the bytes are others or not as many as asked for. */
static int fill_get(struct fill *f, uint64_t off, size_t len)
{
    LAB_ANSWER(a);
    fill_read(f, off, len, lab_answer_read, &a);
    int r = lab_wait(&a);
    if (r == 0 && (a.len != len || !lab_is(a.data, FILL_SEED, off, len)))
        return -EILSEQ;
    return r;
}

static bool fill_is_cached(const struct fill_case *c)
{
    char id[CACHE_ID_SIZE];
    assert_int_equal(cache_id(store_id(c->lab->store), "k", c->stat.etag, id), 0);
    return cache_has(c->lab->cache, id);
}

static void fill_reads_the_beginning_with_one_get(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_false(fill_is_useful(c.f));
    assert_int_equal(fill_get(c.f, 0, FILL_CHUNK), 0);
    struct remote_counts n = remote_count(lab.store);
    assert_int_equal(n.gets, 1);
    assert_int_equal(n.heads, 0);
    assert_int_equal(n.lists, 0);
    assert_true(fill_is_useful(c.f));
    assert_int_equal(fill_complete_fd(c.f), -1);
}

static void fill_fetches_only_the_chunk_of_a_small_read_far_off(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 5 * FILL_MIB + 3, 128), 0);
    assert_int_equal(remote_count(lab.store).gets, 1);
    assert_int_equal(remote_count(lab.store).bytes, FILL_CHUNK);
    assert_int_equal(fill_get(c.f, 5 * FILL_MIB + 4000, 128), 0); /* the same chunk, there now */
}

static void fill_moves_only_the_chunks_of_random_reads(void **state)
{
    (void)state;
    enum { CHUNKS = 240 };
    LAB(lab, 0);
    FILL_CASE(lab, c, (uint64_t)CHUNKS * FILL_CHUNK);
    bool wanted[CHUNKS] = {0};
    int chunks = 0;
    uint64_t at = 0;
    for (int i = 0; i < 40; i++) {
        at = (at + 97) % CHUNKS; /* never near the last one */
        chunks += !wanted[at];
        wanted[at] = true;
        assert_int_equal(fill_get(c.f, at * FILL_CHUNK + 5, 4096), 0);
    }
    assert_int_equal(remote_count(lab.store).gets, chunks);
    assert_int_equal(remote_count(lab.store).bytes, (uint64_t)chunks * FILL_CHUNK);
}

static void fill_reads_ahead_of_a_reader_that_goes_forward(void **state)
{
    (void)state;
    LAB(lab, 0);
    uint64_t size = 24 * FILL_MIB + 12345;
    FILL_CASE(lab, c, size);
    for (uint64_t off = 0; off < size; off += FILL_CHUNK) {
        size_t len = (size_t)MIN((uint64_t)FILL_CHUNK, size - off);
        assert_int_equal(fill_get(c.f, off, len), 0);
    }
    assert_int_equal(remote_count(lab.store).bytes, size); /* each byte once */
    assert_in_range(remote_count(lab.store).gets, 6, 24);  /* of 193 chunks */
    assert_true(fill_is_cached(&c));
    assert_true(fill_complete_fd(c.f) >= 0);
}

static void fill_has_more_than_one_get_under_way(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 40 * FILL_MIB);
    LAB_ANSWER(a);
    remote_shut(lab.store, REMOTE_GET);
    fill_read(c.f, 0, 9 * FILL_MIB, lab_answer_read, &a);
    assert_true(remote_wait(lab.store, 3)); /* 9 MiB and one ahead, in parts of 4 */
    assert_false(lab_has_come(&a));
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), 0);
    assert_true(lab_is(a.data, FILL_SEED, 0, 9 * FILL_MIB));
    assert_int_equal(remote_count(lab.store).gets, 3);
}

static void fill_reads_more_than_it_can_plan_for(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 5 * FILL_MIB);
    /* Every second chunk first: the rest falls into more parts than are planned at a time. */
    for (uint64_t i = 0; i < 38; i += 2)
        assert_int_equal(fill_get(c.f, (i * 17 % 38) * FILL_CHUNK, 1), 0);
    assert_int_equal(fill_get(c.f, 0, 5 * FILL_MIB), 0);
}

static void fill_reads_up_to_the_end_and_not_beyond(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB + 100);
    LAB_ANSWER(a);
    fill_read(c.f, FILL_MIB, 5000, lab_answer_read, &a);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(a.len, 100);
    assert_true(lab_is(a.data, FILL_SEED, FILL_MIB, 100));
    LAB_ANSWER(b);
    fill_read(c.f, UINT64_MAX - 5, 5000, lab_answer_read, &b);
    assert_int_equal(lab_wait(&b), 0);
    assert_int_equal(b.len, 0);
}

static void fill_reads_an_empty_object_without_asking(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 0);
    assert_int_equal(fill_get(c.f, 0, 0), 0);
    LAB_ANSWER(a);
    fill_read(c.f, 0, 4096, lab_answer_read, &a);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(a.len, 0);
    assert_int_equal(fill_all(c.f, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

/* Threads that read pieces in an order of their own. */
struct fill_reader {
    struct fill *f;
    uint64_t size;
    uint64_t seed;
    int wrong;
};

static void *fill_reader_run(void *arg)
{
    struct fill_reader *r = arg;
    struct rng rng = {r->seed};
    for (int i = 0; i < 60; i++) {
        uint64_t off = rng_below(&rng, r->size);
        size_t len = (size_t)MIN((uint64_t)1 + rng_below(&rng, 300000), r->size - off);
        r->wrong += fill_get(r->f, off, len) != 0;
    }
    return NULL;
}

static void fill_serves_many_threads_in_any_order(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct rng rng;
    rng_init(&rng);
    uint64_t size = 6 * FILL_MIB + 77;
    FILL_CASE(lab, c, size);
    pthread_t thread[8];
    struct fill_reader reader[ARRAY_SIZE(thread)];
    for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
        reader[i] = (struct fill_reader){.f = c.f, .size = size, .seed = rng_next(&rng)};
        assert_int_equal(pthread_create(&thread[i], NULL, fill_reader_run, &reader[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(reader[i].wrong, 0);
    }
    assert_int_equal(fill_all(c.f, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).bytes, size); /* no byte came twice */
    assert_true(fill_is_cached(&c));
    assert_int_equal(fill_get(c.f, 0, (size_t)size), 0);
}

static void fill_shares_a_get_among_readers(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    LAB_ANSWER(a);
    LAB_ANSWER(b);
    remote_shut(lab.store, REMOTE_GET);
    fill_read(c.f, 5 * FILL_MIB, 4096, lab_answer_read, &a);
    assert_true(remote_wait(lab.store, 1));
    fill_read(c.f, 5 * FILL_MIB + 8192, 4096, lab_answer_read, &b);
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(lab_wait(&b), 0);
    assert_true(lab_is(b.data, FILL_SEED, 5 * FILL_MIB + 8192, 4096));
    assert_in_range(remote_count(lab.store).gets, 1, 2); /* the second one goes forward */
}

static void fill_waits_only_for_what_was_asked_for(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 8 * FILL_MIB, 4096), 0);
    LAB_ANSWER(a);
    remote_shut(lab.store, REMOTE_GET);
    fill_read(c.f, 0, 4096, lab_answer_read, &a);
    assert_true(remote_wait(lab.store, 1));
    assert_int_equal(fill_get(c.f, 8 * FILL_MIB + 100, 4096), 0);
    assert_false(lab_has_come(&a));
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), 0);
}

static void fill_takes_a_head_that_came_along(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 2 * FILL_MIB);
    CLEANUP(freep) void *head = lab_bytes(FILL_SEED, 0, FILL_CHUNK);
    fill_give_head(c.f, &c.stat, head, FILL_CHUNK - 1); /* less than a chunk is of no use */
    assert_false(fill_is_useful(c.f));
    fill_give_head(c.f, &c.stat, head, FILL_CHUNK);
    assert_true(fill_is_useful(c.f));
    fill_give_head(c.f, &c.stat, head, FILL_CHUNK);
    remote_shut(lab.store, REMOTE_GET);
    assert_int_equal(fill_get(c.f, 100, 4096), 0); /* what is read ahead waits at the gate */
    remote_open(lab.store);
    assert_int_equal(fill_all(c.f, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).bytes, 2 * FILL_MIB - FILL_CHUNK);
}

static void fill_needs_no_get_when_the_head_is_the_whole(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 1000);
    CLEANUP(freep) void *head = lab_bytes(FILL_SEED, 0, 1000);
    fill_give_head(c.f, &c.stat, head, 1000);
    assert_true(fill_complete_fd(c.f) >= 0);
    assert_true(fill_is_cached(&c));
    assert_int_equal(fill_get(c.f, 0, 1000), 0);
    assert_int_equal(fill_all(c.f, &lab.err), 0);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void fill_is_stale_when_the_object_changes_in_the_middle(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 8 * FILL_MIB, 4096), 0);
    (void)lab_put(&lab, "k", FILL_SEED + 1, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 0, 4096), -ESTALE);
    assert_int_equal(fill_get(c.f, 8 * FILL_MIB, 4096), 0); /* that much of the old one is here */
    assert_int_equal(fill_get(c.f, 4 * FILL_MIB, 4096), -ESTALE);
    assert_false(fill_is_useful(c.f));
    assert_int_equal(fill_all(c.f, &lab.err), -ESTALE);
    assert_true(lab.err.msg[0] != '\0');
    assert_false(fill_is_cached(&c));
}

static void fill_is_stale_when_the_object_is_gone(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(store_del(lab.fault, "k", NULL, NULL), 0);
    assert_int_equal(fill_get(c.f, 0, 4096), -ESTALE);
}

static void fill_lets_no_damaged_object_through(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (int known = 0; known < 2; known++) {
        FILL_CASE(lab, c, 3 * FILL_MIB + 5);
        fill_unref(TAKE(c.f));
        c.stat.has_crc32c = known; /* a listing does not tell it, but each GET does */
        assert_int_equal(fill_new(&lab.fill_conf, "k", &c.stat, &c.f), 0);
        remote_damage(lab.store, &(struct remote_damage){.flip = true, .at = 2 * FILL_MIB});
        int failed = 0;
        for (uint64_t off = 0; off < c.stat.size; off += FILL_CHUNK) {
            size_t len = (size_t)MIN((uint64_t)FILL_CHUNK, c.stat.size - off);
            LAB_ANSWER(a);
            fill_read(c.f, off, len, lab_answer_read, &a);
            int r = lab_wait(&a);
            assert_true(r == 0 || r == -EBADMSG);
            failed += r < 0;
        }
        assert_true(failed > 0);
        assert_int_equal(fill_get(c.f, 0, 1), -EBADMSG); /* and nobody after that */
        assert_int_equal(fill_all(c.f, NULL), -EBADMSG);
        assert_int_equal(fill_complete_fd(c.f), -1);
        assert_false(fill_is_useful(c.f));
        assert_false(fill_is_cached(&c));
        remote_damage(lab.store, &(struct remote_damage){0});
    }
}

static void fill_checks_before_it_answers_who_waits_for_the_end(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 3 * FILL_MIB);
    LAB_ANSWER(all);
    LAB_ANSWER(tail);
    remote_damage(lab.store, &(struct remote_damage){.flip = true, .at = 5});
    remote_shut(lab.store, REMOTE_GET);
    fill_read(c.f, 0, 3 * FILL_MIB, lab_answer_read, &all);
    fill_read(c.f, 3 * FILL_MIB - 10, 10, lab_answer_read, &tail);
    assert_true(remote_wait(lab.store, 1));
    remote_open(lab.store);
    assert_int_equal(lab_wait(&all), -EBADMSG);
    assert_int_equal(lab_wait(&tail), -EBADMSG);
}

static void fill_trusts_what_has_no_checksum(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    fill_unref(TAKE(c.f));
    c.stat.has_crc32c = false;
    assert_int_equal(fill_new(&lab.fill_conf, "k", &c.stat, &c.f), 0);
    remote_damage(lab.store, &(struct remote_damage){.hide_crc = true});
    assert_int_equal(fill_get(c.f, 0, FILL_MIB), 0);
    assert_true(fill_is_cached(&c));
}

/* A server that gives no sums, and one whose ETags look like some. */
/* Of two objects: one alone could be a wrong one. Then none is asked for twice any more. */
static void fill_learns_that_etags_are_no_sums(void **state)
{
    (void)state;
    LAB(lab, 0);
    static const char *const key[] = {"k", "k", "other", "k"};
    static const uint64_t times[] = {2, 2, 2, 1};
    for (size_t turn = 0; turn < ARRAY_SIZE(key); turn++) {
        struct fill *f = NULL;
        struct store_stat stat = lab_put(&lab, key[turn], FILL_SEED, FILL_MIB); /* a new version */
        stat.has_crc32c = false;
        assert_int_equal(fill_new(&lab.fill_conf, key[turn], &stat, &f), 0);
        remote_clear(lab.store);
        remote_damage(lab.store, &(struct remote_damage){.hide_crc = true, .md5_etag = true});
        assert_int_equal(fill_get(f, 0, FILL_MIB), 0);
        assert_true(fill_complete_fd(f) >= 0);
        assert_int_equal(remote_count(lab.store).bytes, times[turn] * FILL_MIB);
        fill_unref(f);
    }
}

/* The version went away between the two. */
static void fill_is_stale_when_it_cannot_ask_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    fill_unref(TAKE(c.f));
    c.stat.has_crc32c = false;
    assert_int_equal(fill_new(&lab.fill_conf, "k", &c.stat, &c.f), 0);
    remote_damage(lab.store, &(struct remote_damage){.hide_crc = true, .md5_etag = true});
    LAB_ANSWER(a);
    remote_shut_after(lab.store, REMOTE_GET);
    fill_read(c.f, 0, FILL_MIB, lab_answer_read, &a);
    assert_true(remote_wait(lab.store, 1));
    assert_int_equal(store_del(lab.fault, "k", NULL, NULL), 0);
    remote_open(lab.store);
    assert_int_equal(lab_wait(&a), -ESTALE);
    assert_false(fill_is_cached(&c));
}

static void fill_asks_again_before_it_believes_an_etag(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    fill_unref(TAKE(c.f));
    c.stat.has_crc32c = false;
    assert_int_equal(fill_new(&lab.fill_conf, "k", &c.stat, &c.f), 0);
    remote_damage(
        lab.store,
        &(struct remote_damage){
            .hide_crc = true, .md5_etag = true, .flip = true, .at = FILL_MIB / 2, .once = 1});
    assert_int_equal(fill_get(c.f, 0, FILL_MIB), -EBADMSG);
    assert_true(fill_is_damaged(c.f));
    assert_false(fill_is_cached(&c));
}

static void fill_fails_when_it_cannot_ask_again(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    fill_unref(TAKE(c.f));
    c.stat.has_crc32c = false;
    assert_int_equal(fill_new(&lab.fill_conf, "k", &c.stat, &c.f), 0);
    remote_damage(lab.store, &(struct remote_damage){.hide_crc = true, .md5_etag = true});
    assert_int_equal(fault_parse(lab.fault, "get:2:broken", NULL), 0);
    assert_int_equal(fill_get(c.f, 0, FILL_MIB), -EIO);
    assert_int_equal(fault_hits(lab.fault), 1);
    assert_false(fill_is_cached(&c));
}

static void fill_reads_around_a_cache_without_room(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 65536);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 5 * FILL_MIB + 1, 4000), 0);
    assert_int_equal(remote_count(lab.store).bytes, 4000); /* its own bytes, no chunk */
    assert_int_equal(fill_get(c.f, 1, 4000), 0);
    assert_int_equal(remote_count(lab.store).gets, 2);
    assert_false(fill_is_useful(c.f));
    assert_int_equal(cache_usage(lab.cache), 0);
    (void)lab_put(&lab, "k", FILL_SEED + 1, 10 * FILL_MIB);
    assert_int_equal(fill_get(c.f, 0, 4000), -ESTALE);
    assert_int_equal(store_del(lab.fault, "k", NULL, NULL), 0);
    assert_int_equal(fill_get(c.f, 0, 4000), -ESTALE);
    (void)lab_put(&lab, "k", FILL_SEED, 10);
}

static void fill_takes_no_head_into_a_cache_without_room(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 65536);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    CLEANUP(freep) void *head = lab_bytes(FILL_SEED, 0, FILL_CHUNK);
    fill_give_head(c.f, &c.stat, head, FILL_CHUNK);
    assert_false(fill_is_useful(c.f));
    assert_int_equal(fill_get(c.f, 0, 4000), 0);
    assert_int_equal(remote_count(lab.store).bytes, 4000);
}

static void fill_fails_a_read_and_serves_the_next(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fault_parse(lab.fault, "get:1:broken", NULL), 0);
    assert_int_equal(fill_get(c.f, 5 * FILL_MIB, 4096), -EIO);
    assert_int_equal(fault_hits(lab.fault), 1);
    assert_int_equal(fill_get(c.f, 5 * FILL_MIB, 4096), 0);
}

static void fill_keeps_what_came_before_a_failure(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fault_parse(lab.fault, "get:1:cut=300000", NULL), 0);
    LAB_ANSWER(a);
    LAB_ANSWER(b);
    fill_read(c.f, 0, FILL_CHUNK + 1, lab_answer_read, &a); /* reading on, not a look */
    fill_read(c.f, (uint64_t)5 * FILL_CHUNK, 4096, lab_answer_read, &b);
    assert_int_equal(lab_wait(&a), 0); /* its chunk had come */
    assert_true(lab_wait(&b) <= 0);
    remote_clear(lab.store);
    remote_shut(lab.store, REMOTE_GET);
    assert_int_equal(fill_get(c.f, FILL_CHUNK, 4096), 0); /* two whole chunks had */
    remote_open(lab.store);
    assert_int_equal(fill_all(c.f, &lab.err), 0);
    assert_int_equal(fill_get(c.f, 0, 10 * FILL_MIB), 0);
}

static void fill_fails_reads_when_nobody_can_fetch(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    struct pool *pool = NULL;
    assert_int_equal(pool_new("test", 1, 1, &pool), 0);
    pool_close(pool);
    lab.fill_conf.pool = pool;
    assert_int_equal(fill_get(c.f, 0, 4096), -EIO);
    assert_int_equal(fill_all(c.f, &lab.err), -EIO);
    pool_free(pool);
    lab.fill_conf.pool = lab.fs->data;
    assert_int_equal(fill_get(c.f, 0, 4096), 0);
}

static void fill_asks_for_room_once_for_each_chunk(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fault_parse(lab.fault, "get:1+:cut=1000", NULL), 0);
    for (int i = 0; i < 20; i++)
        assert_true(fill_get(c.f, 9 * FILL_MIB, FILL_MIB) < 0);
    pool_stop(lab.fs->data); /* so that each GET has ended */
    assert_int_equal(cache_usage(lab.cache), 0);
}

static void fill_all_ends_when_there_is_no_room(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 65536);
    FILL_CASE(lab, c, 10 * FILL_MIB);
    assert_int_equal(fill_all(c.f, &lab.err), -ENOSPC);
    assert_non_null(strstr(lab.err.msg, "no room"));
    assert_in_range(remote_count(lab.store).gets, 1, 2); /* not one for each chunk */
}

static void fill_serves_nothing_that_could_not_be_checked(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    fill_sum_code = -EIO; /* a bad disk */
    int r = fill_get(c.f, 0, FILL_MIB);
    fill_sum_code = 0;
    assert_int_equal(r, -EIO);
    assert_int_equal(fill_complete_fd(c.f), -1);
    assert_true(fill_has_failed(c.f));
}

static void fill_is_served_though_it_cannot_be_kept(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, FILL_MIB);
    char id[CACHE_ID_SIZE];
    char path[64];
    assert_int_equal(cache_id(store_id(lab.store), "k", c.stat.etag, id), 0);
    (void)snprintf(path, sizeof(path), "cache/objects/%.3s", id);
    scratch_write(&lab.dir, path, "in the way");
    assert_int_equal(fill_get(c.f, 0, FILL_MIB), 0);
    assert_true(fill_complete_fd(c.f) >= 0);
    assert_false(fill_is_cached(&c));
}

static void fill_takes_no_bytes_that_leave_others_out(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (int around = 0; around < 2; around++) {
        FILL_CASE(lab, c, 2 * FILL_MIB);
        remote_damage(lab.store,
                      &(struct remote_damage){.skip = true, .hide_crc = true, .at = FILL_MIB + 3});
        if (around) {
            uint64_t room = cache_size_max(lab.cache) - cache_usage(lab.cache);
            assert_int_equal(cache_reserve(lab.cache, room, false), 0);
        }
        assert_int_equal(fill_get(c.f, FILL_MIB, 4096), -EBADMSG);
        remote_damage(lab.store, &(struct remote_damage){0});
        assert_int_equal(fill_get(c.f, FILL_MIB, 4096), 0);
    }
}

static void fill_takes_no_bytes_of_an_object_of_another_size(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 2 * FILL_MIB);
    remote_damage(lab.store, &(struct remote_damage){.size_more = 1});
    assert_int_equal(fill_get(c.f, FILL_MIB, 4096), -EBADMSG);
}

static void fill_refuses_a_size_that_no_object_has(void **state)
{
    (void)state;
    LAB(lab, 0);
    struct fill *f = NULL;
    struct store_stat stat = {.size = UINT64_MAX, .etag = "e"};
    assert_int_equal(fill_new(&lab.fill_conf, "k", &stat, &f), -EFBIG);
    stat.size = 1ULL << 50;
    assert_int_equal(fill_new(&lab.fill_conf, "k", &stat, &f), -EFBIG);
    stat.size = 1ULL << 40; /* this one may be */
    assert_int_equal(fill_new(&lab.fill_conf, "k", &stat, &f), 0);
    fill_unref(f);
}

static void fill_asks_nothing_to_read_at_the_end(void **state)
{
    (void)state;
    LAB(lab, 0);
    FILL_CASE(lab, c, 2 * FILL_MIB + 5);
    assert_int_equal(fill_get(c.f, 2 * FILL_MIB + 5, 0), 0);
    LAB_ANSWER(a);
    fill_read(c.f, 3 * FILL_MIB, 4096, lab_answer_read, &a);
    assert_int_equal(lab_wait(&a), 0);
    assert_int_equal(a.len, 0);
    pool_stop(lab.fs->data);
    assert_int_equal(remote_count(lab.store).gets, 0);
}

static void fill_may_be_left_while_bytes_are_coming(void **state)
{
    (void)state;
    LAB(lab, 0);
    uint64_t used = cache_usage(lab.cache);
    {
        FILL_CASE(lab, c, 10 * FILL_MIB);
        LAB_ANSWER(a);
        fill_ref(c.f);
        remote_shut_after(lab.store, REMOTE_GET);
        fill_read(c.f, 0, 4096, lab_answer_read, &a);
        assert_int_equal(lab_wait(&a), 0); /* before the GET has returned */
        fill_unref(c.f);
    }
    remote_open(lab.store);
    pool_stop(lab.fs->data);
    assert_int_equal(cache_usage(lab.cache), used); /* nothing is reserved for it any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fill_reads_the_beginning_with_one_get),
        cmocka_unit_test(fill_fetches_only_the_chunk_of_a_small_read_far_off),
        cmocka_unit_test(fill_moves_only_the_chunks_of_random_reads),
        cmocka_unit_test(fill_reads_ahead_of_a_reader_that_goes_forward),
        cmocka_unit_test(fill_has_more_than_one_get_under_way),
        cmocka_unit_test(fill_reads_more_than_it_can_plan_for),
        cmocka_unit_test(fill_reads_up_to_the_end_and_not_beyond),
        cmocka_unit_test(fill_reads_an_empty_object_without_asking),
        cmocka_unit_test(fill_serves_many_threads_in_any_order),
        cmocka_unit_test(fill_shares_a_get_among_readers),
        cmocka_unit_test(fill_waits_only_for_what_was_asked_for),
        cmocka_unit_test(fill_takes_a_head_that_came_along),
        cmocka_unit_test(fill_needs_no_get_when_the_head_is_the_whole),
        cmocka_unit_test(fill_is_stale_when_the_object_changes_in_the_middle),
        cmocka_unit_test(fill_is_stale_when_the_object_is_gone),
        cmocka_unit_test(fill_lets_no_damaged_object_through),
        cmocka_unit_test(fill_checks_before_it_answers_who_waits_for_the_end),
        cmocka_unit_test(fill_trusts_what_has_no_checksum),
        cmocka_unit_test(fill_learns_that_etags_are_no_sums),
        cmocka_unit_test(fill_is_stale_when_it_cannot_ask_again),
        cmocka_unit_test(fill_asks_again_before_it_believes_an_etag),
        cmocka_unit_test(fill_fails_when_it_cannot_ask_again),
        cmocka_unit_test(fill_reads_around_a_cache_without_room),
        cmocka_unit_test(fill_takes_no_head_into_a_cache_without_room),
        cmocka_unit_test(fill_fails_a_read_and_serves_the_next),
        cmocka_unit_test(fill_keeps_what_came_before_a_failure),
        cmocka_unit_test(fill_fails_reads_when_nobody_can_fetch),
        cmocka_unit_test(fill_asks_for_room_once_for_each_chunk),
        cmocka_unit_test(fill_all_ends_when_there_is_no_room),
        cmocka_unit_test(fill_serves_nothing_that_could_not_be_checked),
        cmocka_unit_test(fill_is_served_though_it_cannot_be_kept),
        cmocka_unit_test(fill_takes_no_bytes_that_leave_others_out),
        cmocka_unit_test(fill_takes_no_bytes_of_an_object_of_another_size),
        cmocka_unit_test(fill_refuses_a_size_that_no_object_has),
        cmocka_unit_test(fill_asks_nothing_to_read_at_the_end),
        cmocka_unit_test(fill_may_be_left_while_bytes_are_coming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
