#include "tests/contract/contract.h"

#include "s3/retry.h"
#include "tests/kit/texts.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CONTRACT_THREADS = 8,
    CONTRACT_PROCESSES = 4,
    CONTRACT_ROUNDS = 10,
    CONTRACT_ADDS = 20,     /* of each thread that counts */
    CONTRACT_VERSIONS = 40, /* that each writer puts while others read */
    CONTRACT_VERSION_BYTES = 200000,
    CONTRACT_TEXT_SIZE = 24,
};

/* One racer; all of a race wait at the barrier. */
struct contract_racer {
    struct store *st;
    const char *key;
    const char *if_match;
    pthread_barrier_t *start;
    char text[CONTRACT_TEXT_SIZE];
    struct store_stat stat;
    int r;
};

/* A text that nobody wrote before: equal bytes may have equal ETags, and then a condition on the
 * old ones would hold again. */
static void contract_race_text(char *ret)
{
    static unsigned turn;
    (void)snprintf(ret, CONTRACT_TEXT_SIZE, "racer %u", turn++);
}

static void *contract_race_put(void *arg)
{
    struct contract_racer *racer = arg;
    (void)pthread_barrier_wait(racer->start);
    racer->r =
        texts_put_if(racer->st, racer->key, racer->text, racer->if_match, &racer->stat, NULL);
    return NULL;
}

/* Lets threads put with one condition: exactly one may win, and its text stays. */
static void contract_race_threads(struct contract *c, const char *key, const char *if_match,
                                  int loss)
{
    struct contract_racer racer[CONTRACT_THREADS];
    pthread_t thread[CONTRACT_THREADS];
    pthread_barrier_t start;
    assert_int_equal(pthread_barrier_init(&start, NULL, CONTRACT_THREADS), 0);
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        racer[i] =
            (struct contract_racer){.st = c->st, .key = key, .if_match = if_match, .start = &start};
        contract_race_text(racer[i].text);
        assert_int_equal(pthread_create(&thread[i], NULL, contract_race_put, &racer[i]), 0);
    }
    for (int i = 0; i < CONTRACT_THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(pthread_barrier_destroy(&start), 0);
    int winner = -1;
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        if (racer[i].r != 0) {
            assert_int_equal(racer[i].r, loss);
            continue;
        }
        assert_int_equal(winner, -1);
        winner = i;
    }
    assert_true(winner >= 0);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    assert_string_equal(buf_text(&c->b), racer[winner].text);
}

static void contract_race_of_threads_to_create(struct contract *c)
{
    for (int i = 0; i < CONTRACT_ROUNDS; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%d/k", i);
        contract_race_threads(c, contract_key(c, name), STORE_ABSENT, -EEXIST);
    }
}

static void contract_race_of_threads_to_replace(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat;
    contract_expect(c, texts_put_if(c->st, key, "start", NULL, &stat, &c->err), 0);
    for (int i = 0; i < CONTRACT_ROUNDS; i++) {
        contract_race_threads(c, key, stat.etag, -ESTALE);
        contract_expect(c, store_head(c->st, key, &stat, &c->err), 0);
    }
}

/* Adds one to the number in the object, so often until nobody was in between. */
static int contract_race_add(struct store *st, const char *key)
{
    struct buf b = BUF_INIT(64);
    int r;
    do {
        char text[32];
        struct store_stat stat;
        struct store_get get = {0};
        r = texts_get_range(st, key, &get, &b, &stat, NULL);
        if (r < 0)
            break;
        (void)snprintf(text, sizeof(text), "%ld", strtol(buf_text(&b), NULL, 10) + 1);
        r = texts_put_if(st, key, text, stat.etag, NULL, NULL);
    } while (r == -ESTALE);
    buf_fini(&b);
    return r;
}

static void *contract_race_count(void *arg)
{
    struct contract_racer *racer = arg;
    (void)pthread_barrier_wait(racer->start);
    for (int i = 0; i < CONTRACT_ADDS && racer->r == 0; i++)
        racer->r = contract_race_add(racer->st, racer->key);
    return NULL;
}

static void contract_race_loses_no_update(struct contract *c)
{
    enum { CONTRACT_COUNTERS = 4 };
    const char *key = contract_key(c, "number");
    struct contract_racer racer[CONTRACT_COUNTERS];
    pthread_t thread[CONTRACT_COUNTERS];
    pthread_barrier_t start;
    contract_expect(c, texts_put(c->st, key, "0"), 0);
    assert_int_equal(pthread_barrier_init(&start, NULL, CONTRACT_COUNTERS), 0);
    for (int i = 0; i < CONTRACT_COUNTERS; i++) {
        racer[i] = (struct contract_racer){.st = c->st, .key = key, .start = &start};
        assert_int_equal(pthread_create(&thread[i], NULL, contract_race_count, &racer[i]), 0);
    }
    for (int i = 0; i < CONTRACT_COUNTERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(racer[i].r, 0);
    }
    assert_int_equal(pthread_barrier_destroy(&start), 0);
    char want[16];
    (void)snprintf(want, sizeof(want), "%d", CONTRACT_COUNTERS * CONTRACT_ADDS);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    assert_string_equal(buf_text(&c->b), want);
}

/* Writers put bodies of one letter, readers check that they never see two. */
struct contract_mixer {
    struct store *st;
    const char *key;
    char letter; /* of a writer; 0 for a reader */
    atomic_int *writers;
    int r;
    int gets;
};

static int contract_race_read(struct store *st, const char *key, struct buf *b)
{
    struct store_get get = {0};
    struct store_stat stat;
    int r = texts_get_range(st, key, &get, b, &stat, NULL);
    if (r < 0)
        return r;
    if (b->len != CONTRACT_VERSION_BYTES || stat.size != b->len)
        return -EMSGSIZE;
    for (size_t i = 1; i < b->len; i++) {
        if (b->data[i] != b->data[0])
            return -EILSEQ;
    }
    return 0;
}

static void *contract_race_reads(void *arg)
{
    struct contract_mixer *m = arg;
    struct buf b = TEXTS_BUF;
    do {
        m->r = contract_race_read(m->st, m->key, &b);
        m->gets++;
    } while (m->r == 0 && atomic_load(m->writers) > 0);
    buf_fini(&b);
    return NULL;
}

static int contract_race_write(struct store *st, const char *key, int letter)
{
    char *text = calloc(1, CONTRACT_VERSION_BYTES + 1);
    if (!text)
        return -ENOMEM;
    memset(text, letter, CONTRACT_VERSION_BYTES);
    int r = texts_put(st, key, text);
    free(text);
    return r;
}

static void *contract_race_writes(void *arg)
{
    struct contract_mixer *m = arg;
    for (int i = 0; m->r == 0 && i < CONTRACT_VERSIONS; i++)
        m->r = contract_race_write(m->st, m->key, m->letter + 2 * (i % 10));
    atomic_fetch_sub(m->writers, 1);
    return NULL;
}

static void contract_race_never_mixes_versions(struct contract *c)
{
    enum { CONTRACT_MIXERS = 4 };
    atomic_int writers = 2;
    const char *key = contract_key(c, "k");
    struct contract_mixer m[CONTRACT_MIXERS];
    pthread_t thread[CONTRACT_MIXERS];
    for (int i = 0; i < CONTRACT_MIXERS; i++)
        m[i] = (struct contract_mixer){.st = c->st, .key = key, .writers = &writers};
    m[0].letter = 'a';
    m[1].letter = 'b';
    contract_expect(c, contract_race_write(c->st, key, 'z'), 0);
    for (int i = 0; i < CONTRACT_MIXERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL,
                                        m[i].letter ? contract_race_writes : contract_race_reads,
                                        &m[i]),
                         0);
    for (int i = 0; i < CONTRACT_MIXERS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(m[i].r, 0);
        assert_true(m[i].letter || m[i].gets > 0);
    }
}

/* --- processes --- */

enum { CONTRACT_WON = 0, CONTRACT_LOST = 3, CONTRACT_BROKEN = 4 };

int contract_race_child(const char *location, char **argv)
{
    char prefix[32];
    char byte = 'r';
    struct err err = {0};
    CLEANUP(store_freep) struct store *below = NULL;
    CLEANUP(store_freep) struct store *st = NULL;
    if (!argv[0] || !argv[1] || !argv[2] ||
        contract_open(location, &below, prefix, sizeof(prefix), &err) < 0 ||
        retry_new(&below, NULL, &st) < 0)
        return CONTRACT_BROKEN;
    /* Ready; the race begins when standard input ends. */
    if (write_full(STDOUT_FILENO, &byte, 1) < 0 || read(STDIN_FILENO, &byte, 1) != 0)
        return CONTRACT_BROKEN;
    int r = texts_put_if(st, argv[0], argv[2], argv[1], NULL, &err);
    if (r == 0)
        return CONTRACT_WON;
    return r == (*argv[1] ? -ESTALE : -EEXIST) ? CONTRACT_LOST : CONTRACT_BROKEN;
}

static char *contract_race_word(const char *text)
{
    char *word = NULL;
    memcpy(&word, &text, sizeof(word)); /* posix_spawn() lacks the const */
    return word;
}

static pid_t contract_race_spawn(const struct contract *c, const char *key, const char *if_match,
                                 const char *text, const int in[2], const int out[2])
{
    pid_t pid = -1;
    char *const argv[] = {
        contract_race_word(c->program),
        contract_race_word("--child"),
        contract_race_word(c->location),
        contract_race_word(key),
        contract_race_word(if_match),
        contract_race_word(text),
        NULL,
    };
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn(&pid, c->program, &actions, NULL, argv, environ), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    return pid;
}

/* Waits for all; the index of the one that won. */
static int contract_race_finish(const pid_t pid[CONTRACT_PROCESSES])
{
    int winner = -1;
    int winners = 0;
    for (int i = 0; i < CONTRACT_PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == CONTRACT_WON) {
            winner = i;
            winners++;
        } else {
            assert_int_equal(WEXITSTATUS(status), CONTRACT_LOST);
        }
    }
    assert_int_equal(winners, 1);
    return winner;
}

static void contract_race_processes(struct contract *c, const char *key, const char *if_match)
{
    int in[2];
    int out[2];
    pid_t pid[CONTRACT_PROCESSES];
    char text[CONTRACT_PROCESSES][CONTRACT_TEXT_SIZE];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    for (int i = 0; i < CONTRACT_PROCESSES; i++) {
        contract_race_text(text[i]);
        pid[i] = contract_race_spawn(c, key, if_match, text[i], in, out);
    }
    closep(&out[1]);
    for (int i = 0; i < CONTRACT_PROCESSES; i++) {
        char byte;
        assert_int_equal(read(out[0], &byte, 1), 1);
    }
    closep(&in[1]);
    int winner = contract_race_finish(pid);
    closep(&in[0]);
    closep(&out[0]);
    contract_expect(c, texts_get(c->st, key, &c->b), 0);
    assert_string_equal(buf_text(&c->b), text[winner]);
}

static void contract_race_of_processes_to_create(struct contract *c)
{
    for (int i = 0; i < CONTRACT_ROUNDS; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "%d/k", i);
        contract_race_processes(c, contract_key(c, name), STORE_ABSENT);
    }
}

static void contract_race_of_processes_to_replace(struct contract *c)
{
    const char *key = contract_key(c, "k");
    struct store_stat stat;
    contract_expect(c, texts_put_if(c->st, key, "start", NULL, &stat, &c->err), 0);
    for (int i = 0; i < CONTRACT_ROUNDS; i++) {
        contract_race_processes(c, key, stat.etag);
        contract_expect(c, store_head(c->st, key, &stat, &c->err), 0);
    }
}

/* Puts and deletes that make and remove the same directories, where there are such. */
static void *contract_race_churns(void *arg)
{
    struct contract_racer *racer = arg;
    (void)pthread_barrier_wait(racer->start);
    for (int i = 0; i < 50 && racer->r == 0; i++) {
        racer->r = texts_put(racer->st, racer->key, "text");
        if (racer->r == 0)
            racer->r = store_del(racer->st, racer->key, NULL, NULL);
    }
    return NULL;
}

static void contract_race_of_put_and_del_in_one_place(struct contract *c)
{
    struct contract_racer racer[CONTRACT_THREADS];
    pthread_t thread[CONTRACT_THREADS];
    pthread_barrier_t start;
    struct store_list list = {.prefix = c->prefix};
    char key[CONTRACT_THREADS][256];
    assert_int_equal(pthread_barrier_init(&start, NULL, CONTRACT_THREADS), 0);
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        (void)snprintf(key[i], sizeof(key[i]), "%sa/b/c/%d", c->prefix, i);
        racer[i] = (struct contract_racer){.st = c->st, .key = key[i], .start = &start};
        assert_int_equal(pthread_create(&thread[i], NULL, contract_race_churns, &racer[i]), 0);
    }
    for (int i = 0; i < CONTRACT_THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(racer[i].r, 0);
    }
    assert_int_equal(pthread_barrier_destroy(&start), 0);
    contract_expect(c, texts_list(c->st, &list, &c->b, &c->err), 0);
    assert_string_equal(buf_text(&c->b), "");
}

const struct contract_case contract_race_cases[] = {
    {.name = "race_of_threads_to_create", .run = contract_race_of_threads_to_create, .once = true},
    {.name = "race_of_threads_to_replace",
     .run = contract_race_of_threads_to_replace,
     .once = true},
    {.name = "race_of_processes_to_create",
     .run = contract_race_of_processes_to_create,
     .once = true},
    {.name = "race_of_processes_to_replace",
     .run = contract_race_of_processes_to_replace,
     .once = true},
    {.name = "race_loses_no_update", .run = contract_race_loses_no_update, .once = true},
    {.name = "race_never_mixes_versions", .run = contract_race_never_mixes_versions, .once = true},
    {.name = "race_of_put_and_del_in_one_place",
     .run = contract_race_of_put_and_del_in_one_place,
     .once = true},
    {.name = NULL},
};
