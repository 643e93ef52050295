#include "ops/engine_impl.h"

#include "base/crc32c.h"
#include "base/lock.h"
#include "ops/block.h"
#include "ops/kernel.h"
#include "ops/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- steps --- */

static bool engine_run_is_ready_locked(struct engine_step *s)
{
    if (s->ready)
        return true;
    s->ready = s->out->made >= s->out_version;
    for (int i = 0; s->ready && i < s->kind->inputs; i++)
        s->ready = s->in[i]->made >= s->in_version[i];
    if (!s->ready)
        return false;
    s->args.out = s->out->tile; /* which order a tile has is known when it is loaded */
    for (int i = 0; i < s->kind->inputs; i++)
        s->args.in[i] = s->in[i]->tile;
    return true;
}

static void engine_run_finish_locked(struct engine *e, struct engine_step *s)
{
    s->finished = true;
    s->out->made++;
    if (s->kind->counts)
        watch_done(e->conf.watch, 1);
    watch_flops(e->conf.watch, s->kind->flops(&s->args));
    for (int i = 0; i < s->kind->inputs; i++)
        engine_unref_locked(e, s->in[i]);
    engine_unref_locked(e, s->out);
    while (e->first < e->last && e->step[e->first % ENGINE_WINDOW].finished)
        e->first++;
    e->pending--;
    (void)pthread_cond_broadcast(&e->changed);
    (void)pthread_cond_broadcast(&e->room);
}

/* Goes on to a phase with pieces that nobody has begun; false when there is none now, or no more.
 */
static bool engine_run_phase_locked(struct engine *e, struct engine_step *s)
{
    while (s->ended == s->pieces) { /* all of the phase: on to the next one */
        s->phase++;
        s->begun = s->ended = 0;
        s->pieces = s->phase < s->phases ? s->kind->pieces(&s->args, s->phase) : 0;
        if (s->phase == s->phases) {
            engine_run_finish_locked(e, s);
            return false;
        }
    }
    return s->begun < s->pieces;
}

/* A step that has a piece to do: the oldest one. */
static struct engine_step *engine_run_pick_locked(struct engine *e)
{
    int64_t last = MIN(e->last, e->first + ENGINE_LOOK);
    for (int64_t at = e->first; at < last; at++) {
        struct engine_step *s = &e->step[at % ENGINE_WINDOW];
        if (!s->finished && engine_run_is_ready_locked(s) && engine_run_phase_locked(e, s))
            return s;
    }
    return NULL;
}

static void engine_run_piece_locked(struct engine_thread *t, struct engine_step *s)
{
    struct engine *e = t->e;
    struct err err = {0};
    int phase = s->phase;
    int piece = s->begun++;
    (void)pthread_mutex_unlock(&e->mu);
    int64_t start = clock_ns();
    int r = s->kind->run(&s->args, phase, piece, &err);
    int64_t end = clock_ns();
    trace_event(e->conf.trace, t->row, s->kind->name, "", start, end);
    (void)pthread_mutex_lock(&e->mu);
    e->count.kernel_ns += end - start;
    s->ended++;
    if (r < 0)
        engine_fail_locked(e, r, &err);
    else if (s->ended == s->pieces)
        (void)engine_run_phase_locked(e, s);
    if (s->begun < s->pieces)
        (void)pthread_cond_broadcast(&e->changed);
}

static bool engine_run_ends_locked(const struct engine *e)
{
    return e->failed || (e->ending && e->pending == 0);
}

static void *engine_run_compute(void *arg)
{
    struct engine_thread *t = arg;
    struct engine *e = t->e;
    (void)pthread_setname_np(pthread_self(), "compute");
    LOCK_SCOPE(&e->mu);
    while (!engine_run_ends_locked(e)) {
        int64_t first = e->first;
        struct engine_step *s = engine_run_pick_locked(e);
        if (s)
            engine_run_piece_locked(t, s);
        else if (e->first == first) /* else steps without pieces ended, and others may follow */
            (void)pthread_cond_wait(&e->changed, &e->mu);
    }
    return NULL;
}

/* --- loads --- */

static struct engine_move *engine_run_next_locked(struct engine_queue *q)
{
    struct engine_move *m = q->head;
    if (!m)
        return NULL;
    q->head = m->next;
    if (!q->head)
        q->tail = &q->head;
    return m;
}

static void engine_run_index(const struct engine_move *m, int64_t index[2])
{
    bool turned = m->result ? m->result->turned : m->source.turned;
    index[0] = turned ? m->j : m->i;
    index[1] = turned ? m->i : m->j;
}

/* Everything above the diagonal becomes 0. */
static void engine_run_lower(struct tile t)
{
    size_t element = tile_element(t.type);
    for (int j = 0; j < t.n; j++) {
        for (int i = 0; i < MIN(j, t.m); i++)
            memset(tile_part(t, i, j, 1, 1).a, 0, element);
    }
}

static int engine_run_check(const struct matdir *m, const int64_t *index, bool turned,
                            struct tile t, struct err *err)
{
    int i = 0;
    int j = 0;
    const struct grid *g = &m->header.grid;
    if (kernel_is_finite(t, false, &i, &j))
        return 0;
    int64_t row = grid_block_start(g, 0, index[0]) + (turned ? j : i);
    int64_t column = grid_block_start(g, 1, index[1]) + (turned ? i : j);
    return err_set(err, -EDOM, "%s: element (%lld, %lld) is NaN or infinite (block %lld,%lld)",
                   m->path, (long long)row, (long long)column, (long long)index[0],
                   (long long)index[1]);
}

/* *ret is the slot's tile, with the order that the block has. */
static int engine_run_load(const struct engine_move *m, const struct block *expected,
                           struct tile *ret, struct err *err)
{
    int64_t index[2];
    bool fortran = false;
    const struct matdir *from = m->result ? m->result->m : m->source.m;
    bool turned = m->result ? m->result->turned : m->source.turned;
    engine_run_index(m, index);
    const struct block_source s = {.stamps = m->source.stamps, .expected = expected};
    int r = m->flags & ENGINE_ROWS ? block_load_rows_source(from, index, &s, ret->a, err)
                                   : block_load_source(from, index, &s, ret->a, &fortran, err);
    if (r < 0)
        return r;
    ret->fortran = fortran != turned;
    ret->ld = MAX(ret->fortran ? ret->m : ret->n, 1);
    if (m->flags & ENGINE_LOWER)
        engine_run_lower(*ret);
    return m->flags & ENGINE_FINITE ? engine_run_check(from, index, turned, *ret, err) : 0;
}

/* What was kept on the way may be gone, for a run of the same job that has ended removed it, or
 * unreadable. */
static int engine_run_load_code(const struct engine_move *m, int r)
{
    return r < 0 && r != -ENOMEM && m->result && m->result->scratch ? ENGINE_AGAIN : r;
}

/* A block of the result can be loaded when it is there. */
static bool engine_run_waits_locked(const struct engine *e, const struct engine_move *m)
{
    return m->result && !m->result->there[result_rank(m->result, m->i, m->j)] && !e->failed;
}

static const char *engine_run_what(const struct engine_move *m, char dst[ENGINE_WHAT_SIZE])
{
    (void)snprintf(dst, ENGINE_WHAT_SIZE, "%lld,%lld", (long long)m->i, (long long)m->j);
    return dst;
}

static void engine_run_expect_locked(struct engine_thread *t, const struct engine_move *m,
                                     struct block *ret)
{
    struct engine *e = t->e;
    int64_t index[2];
    char what[ENGINE_WHAT_SIZE];
    engine_run_index(m, index);
    (void)pthread_mutex_unlock(&e->mu);
    int64_t start = clock_ns();
    block_expect(m->source.m, index, ret);
    trace_event(e->conf.trace, t->row, "expect", engine_run_what(m, what), start, clock_ns());
    (void)pthread_mutex_lock(&e->mu);
}

/* Loads get memory in the order in which they were asked for. One that must wait has the system
 * read its block ahead, so that only a copy is left to do; but not where reading is hardly more
 * than that, for it costs processor time. False after a failure. */
static bool engine_run_take_locked(struct engine_thread *t, struct engine_move *m,
                                   struct block *ret)
{
    struct engine *e = t->e;
    bool expects = !m->result && e->is_slow; /* one of the result may not be there yet */
    int r = 0;
    while (!e->failed && r == 0) {
        if (e->loads_granted == m->ordinal)
            r = engine_take_locked(e, m->slot);
        if (r == 0 && expects)
            engine_run_expect_locked(t, m, ret);
        else if (r == 0)
            (void)pthread_cond_wait(&e->room, &e->mu);
        expects = false;
    }
    if (r <= 0)
        return false;
    e->loads_granted++;
    (void)pthread_cond_broadcast(&e->room);
    return true;
}

static void engine_run_load_locked(struct engine_thread *t, struct engine_move *m)
{
    struct engine *e = t->e;
    struct err err = {0};
    char what[ENGINE_WHAT_SIZE];
    CLEANUP(block_close) struct block expected = BLOCK_NONE;
    if (!engine_run_take_locked(t, m, &expected))
        return;
    while (engine_run_waits_locked(e, m))
        (void)pthread_cond_wait(&e->changed, &e->mu);
    if (e->failed)
        return;
    struct tile tile = m->slot->tile;
    (void)pthread_mutex_unlock(&e->mu);
    int64_t start = clock_ns();
    int r = engine_run_load_code(m, engine_run_load(m, &expected, &tile, &err));
    int64_t end = clock_ns();
    trace_event(e->conf.trace, t->row, "read", engine_run_what(m, what), start, end);
    (void)pthread_mutex_lock(&e->mu);
    if (expected.fd < 0)
        e->is_slow = (end - start) * ENGINE_COPY > (int64_t)m->slot->bytes;
    m->slot->tile = tile;
    m->slot->made++;
    if (r < 0)
        engine_fail_locked(e, r, &err);
}

/* --- stores --- */

static int engine_run_prepare(struct engine_move *m, struct publish *p, struct err *err)
{
    int64_t index[2];
    struct result *r = m->result;
    engine_run_index(m, index);
    m->crc = crc32c(0, m->slot->tile.a, m->slot->bytes);
    int code = r->finite ? engine_run_check(r->m, index, r->turned, m->slot->tile, err) : 0;
    if (code == 0)
        code = record_check(&r->record, r->m, index, m->crc, err);
    return code < 0 ? code : block_prepare(r->m, index, m->slot->tile.a, p, err);
}

/* Another run was quicker: its block stays. If others were computed from ours and it differs, what
 * follows from it would fit neither. */
static int engine_run_lost(const struct engine_move *m, struct err *err)
{
    int64_t index[2];
    engine_run_index(m, index);
    if (!m->result->ordered)
        return 0;
    err_clear(err);
    int same = block_is(m->result->m, index, m->slot->tile.a, err);
    if (same == 0)
        return err_set(err, ENGINE_AGAIN, "%s: another run published other blocks",
                       m->result->m->path);
    return MIN(same, 0);
}

static int engine_run_commit(const struct engine_move *m, struct publish *p, struct err *err)
{
    int64_t index[2];
    engine_run_index(m, index);
    int r = block_commit(m->result->m, index, p, err);
    if (r == 0)
        record_set(&m->result->record, m->result->m, index, m->crc);
    return r == -EEXIST ? engine_run_lost(m, err) : r;
}

/* Whether a store must wait for its tile, or for those ahead of it before it gets its name. */
static bool engine_run_unmade_locked(const struct engine_move *m)
{
    return m->slot->made < m->version;
}

static bool engine_run_early_locked(const struct engine *e, const struct engine_move *m)
{
    return m->result->ordered && e->stores_linked < m->ordinal;
}

static int engine_run_store_in_order(struct engine *e, struct engine_move *m, struct publish *p,
                                     struct err *err)
{
    int r = engine_run_prepare(m, p, err);
    (void)pthread_mutex_lock(&e->mu);
    while (!e->halted && engine_run_early_locked(e, m)) /* also to fail in turn */
        (void)pthread_cond_wait(&e->changed, &e->mu);
    bool halted = e->halted;
    (void)pthread_mutex_unlock(&e->mu);
    if (r < 0 || halted)
        return r;
    return engine_run_commit(m, p, err);
}

static void engine_run_store_locked(struct engine_thread *t, struct engine_move *m)
{
    struct engine *e = t->e;
    struct err err = {0};
    char what[ENGINE_WHAT_SIZE];
    CLEANUP(publish_drop) struct publish p = PUBLISH_NONE;
    while (engine_run_unmade_locked(m) && !e->failed)
        (void)pthread_cond_wait(&e->changed, &e->mu);
    if (engine_run_unmade_locked(m))
        e->stores_linked++; /* nor will any that depend on it be made */
    if (e->halted || engine_run_unmade_locked(m))
        return;
    (void)pthread_mutex_unlock(&e->mu);
    int64_t start = clock_ns();
    int r = engine_run_store_in_order(e, m, &p, &err);
    trace_event(e->conf.trace, t->row, "write", engine_run_what(m, what), start, clock_ns());
    (void)pthread_mutex_lock(&e->mu);
    if (r < 0 && m->result->scratch) { /* the run goes on without */
        m->result->absent = true;
        return;
    }
    if (r < 0) {
        e->halted = true;
        engine_fail_locked(e, r, &err);
    }
    if (e->halted)
        return;
    e->stores_linked++;
    m->result->there[result_rank(m->result, m->i, m->j)] = true;
}

/* --- threads --- */

/* One that moves blocks: takes the next one of a queue, again and again. */
static void engine_run_moves_locked(struct engine_thread *t, struct engine_queue *q,
                                    void (*fn)(struct engine_thread *t, struct engine_move *m))
{
    struct engine *e = t->e;
    for (;;) {
        bool ends = engine_run_ends_locked(e);
        if (ends && (q == &e->loads || e->halted))
            return;
        struct engine_move *m = engine_run_next_locked(q);
        if (!m && ends)
            return;
        if (!m) {
            (void)pthread_cond_wait(&e->changed, &e->mu);
            continue;
        }
        fn(t, m);
        engine_unref_locked(e, m->slot);
        free(m);
        e->pending--;
        (void)pthread_cond_broadcast(&e->changed);
        (void)pthread_cond_broadcast(&e->room);
    }
}

static void *engine_run_read(void *arg)
{
    struct engine_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), "read");
    LOCK_SCOPE(&t->e->mu);
    engine_run_moves_locked(t, &t->e->loads, engine_run_load_locked);
    return NULL;
}

static void *engine_run_write(void *arg)
{
    struct engine_thread *t = arg;
    (void)pthread_setname_np(pthread_self(), "write");
    LOCK_SCOPE(&t->e->mu);
    engine_run_moves_locked(t, &t->e->stores, engine_run_store_locked);
    return NULL;
}

/* The rows of a trace: threads that read, then those that compute, then those that write. */
static void engine_run_name(struct engine *e, int row, const char *what, int number)
{
    char name[ENGINE_WHAT_SIZE];
    (void)snprintf(name, sizeof(name), "%s %d", what, number);
    trace_row(e->conf.trace, row, name);
}

static int engine_run_thread(struct engine *e, void *(*fn)(void *), const char *what, int number)
{
    struct engine_thread *t = &e->threads[e->started];
    *t = (struct engine_thread){.e = e, .row = e->started + 1};
    int r = pthread_create(&t->thread, NULL, fn, t);
    if (r != 0)
        return -r;
    e->started++;
    engine_run_name(e, t->row, what, number);
    return 0;
}

int engine_run_start(struct engine *e, struct err *err)
{
    int r = 0;
    size_t threads = (size_t)ENGINE_READERS + ENGINE_WRITERS + (size_t)e->conf.threads;
    e->threads = calloc(threads, sizeof(*e->threads));
    if (!e->threads)
        return err_set(err, -ENOMEM, "out of memory");
    for (int i = 0; r == 0 && i < ENGINE_READERS; i++)
        r = engine_run_thread(e, engine_run_read, "read", i);
    for (int i = 0; r == 0 && i < e->conf.threads; i++)
        r = engine_run_thread(e, engine_run_compute, "compute", i);
    for (int i = 0; r == 0 && i < ENGINE_WRITERS; i++)
        r = engine_run_thread(e, engine_run_write, "write", i);
    if (r == 0)
        return 0;
    (void)err_errno(err, r, "cannot start a thread");
    if (e->conf.threads > 1)
        err_hint(err, "--threads: fewer may be within the limits");
    return -ENOMEM; /* of what a process may have */
}

void engine_run_stop(struct engine *e)
{
    (void)pthread_mutex_lock(&e->mu);
    e->ending = true;
    (void)pthread_cond_broadcast(&e->changed);
    (void)pthread_mutex_unlock(&e->mu);
    for (int i = 0; i < e->started; i++)
        (void)pthread_join(e->threads[i].thread, NULL);
    e->started = 0;
}
