#include "tests/unit/unit.h"

#include "fs/stage.h"

#include "tests/unit/fs/stages.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define STAGE_MIB ((uint64_t)1 << 20)

/* Threads that write every eighth piece. */
struct stage_writer {
    struct stage *s;
    size_t number;
    uint64_t size;
    int wrong;
};

static void *stage_writer_run(void *arg)
{
    struct stage_writer *w = arg;
    enum { PIECE = 5000 };
    for (uint64_t i = w->number; i * PIECE < w->size; i += 8) {
        size_t len = (size_t)MIN((uint64_t)PIECE, w->size - i * PIECE);
        w->wrong += stages_put_bytes(w->s, 6, i * PIECE, len) != 0;
        w->wrong += !stages_has(w->s, 6, i * PIECE, len);
    }
    return NULL;
}

static void stage_takes_writes_from_many_threads(void **state)
{
    (void)state;
    LAB(lab, 0);
    for (int over = 0; over < 2; over++) {
        STAGE(s);
        if (over)
            stages_start_over(&lab, STAGE_MIB, &s);
        else
            stages_start(&lab, NULL, &s);
        pthread_t thread[8];
        struct stage_writer writer[ARRAY_SIZE(thread)];
        for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
            writer[i] = (struct stage_writer){.s = s, .number = i, .size = STAGE_MIB};
            assert_int_equal(pthread_create(&thread[i], NULL, stage_writer_run, &writer[i]), 0);
        }
        for (int i = 0; i < 20; i++) { /* and somebody holds it now and then */
            struct stage_view view;
            assert_int_equal(stage_hold(s, &view), 0);
            stage_settle(s, i % 2);
        }
        for (size_t i = 0; i < ARRAY_SIZE(thread); i++) {
            assert_int_equal(pthread_join(thread[i], NULL), 0);
            assert_int_equal(writer[i].wrong, 0);
        }
        assert_true(stages_has(s, 6, 0, STAGE_MIB));
        struct stage_view view = stages_look(s);
        assert_true(view.whole);
        assert_int_equal(view.size, STAGE_MIB);
    }
}

/* How many descriptors of this process lead to the file that `fd` leads to. They are looked at by
 * name: other threads may close theirs meanwhile. */
static int stage_count_open(int fd)
{
    int n = 0;
    struct stat want;
    struct stat st;
    assert_int_equal(fstat(fd, &want), 0);
    for (int i = 0; i < 256; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
        n += stat(path, &st) == 0 && st.st_dev == want.st_dev && st.st_ino == want.st_ino;
    }
    return n;
}

/* Waits until some other thread of this process has opened a lock to ask for it. */
static void stage_wait_for_lock(int lock)
{
    int64_t until_ms = clock_ms() + 10000;
    while (stage_count_open(lock) < 2) {
        if (clock_ms() > until_ms)
            fail_msg("nobody waits for a lock");
    }
}

struct stage_asker {
    struct stage *s;
    struct lab_answer *answer;
};

static void *stage_ask_size(void *arg)
{
    struct stage_asker *asker = arg;
    lab_answer_change(asker->answer, (int)stage_size(asker->s));
    return NULL;
}

static void *stage_write_much(void *arg)
{
    struct stage *s = arg;
    (void)stages_put_bytes(s, 2, 0, 3 * STAGE_MIB);
    return NULL;
}

/* An eviction may take seconds, and who asks for attributes holds the mutex of all names. */
static void stage_can_be_asked_for_its_size_while_the_cache_evicts(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 2 * STAGE_MIB);
    STAGE(s);
    pthread_t writer;
    pthread_t reader;
    LAB_ANSWER(a);
    stages_start(&lab, NULL, &s);
    struct stage_asker asker = {s, &a};
    int lock = open(scratch_at(&lab.dir, "cache/lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0); /* another mount evicts */
    assert_int_equal(pthread_create(&writer, NULL, stage_write_much, s), 0);
    stage_wait_for_lock(lock);
    assert_int_equal(pthread_create(&reader, NULL, stage_ask_size, &asker), 0);
    int r = lab_wait(&a);
    (void)close(lock);
    (void)pthread_join(writer, NULL);
    (void)pthread_join(reader, NULL);
    assert_int_equal(r, 0);
    assert_true(stages_has(s, 2, 0, 3 * STAGE_MIB));
}

static void stage_truncations_run_alone(void **state)
{
    (void)state;
    LAB(lab, .cache_max = 2 * STAGE_MIB);
    STAGE(s);
    pthread_t writer;
    LAB_ANSWER(cut);
    LAB_ANSWER(late);
    stages_start(&lab, NULL, &s);
    int lock = open(scratch_at(&lab.dir, "cache/lock"), O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(pthread_create(&writer, NULL, stage_write_much, s), 0);
    stage_wait_for_lock(lock); /* the write has begun and asks for room */
    stage_truncate(s, 10, lab_answer_change, &cut);
    stage_write(s, "late", 4, 20, false, lab_answer_change, &late);
    assert_false(lab_has_come(&cut));
    assert_false(lab_has_come(&late));
    (void)close(lock);
    (void)pthread_join(writer, NULL);
    assert_int_equal(lab_wait(&cut), 0);
    assert_int_equal(lab_wait(&late), 0);
    assert_int_equal(stage_size(s), 24);
    assert_true(stages_has(s, 2, 0, 10));
    assert_true(stages_has_zeros(s, 10, 10));
    assert_false(stages_look(s).whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stage_takes_writes_from_many_threads),
        cmocka_unit_test(stage_can_be_asked_for_its_size_while_the_cache_evicts),
        cmocka_unit_test(stage_truncations_run_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
