#include "ops/engine_impl.h"

#include "base/lock.h"
#include "ops/grain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* --- begin and end --- */

static int engine_init(struct engine *e, struct err *err)
{
    (void)pthread_mutex_init(&e->mu, NULL);
    (void)pthread_cond_init(&e->changed, NULL);
    (void)pthread_cond_init(&e->room, NULL);
    e->loads.tail = &e->loads.head;
    e->stores.tail = &e->stores.head;
    if (e->conf.dry)
        return 0;
    e->step = calloc(ENGINE_WINDOW, sizeof(*e->step));
    if (!e->step || arena_new(e->conf.memory, &e->arena) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return engine_run_start(e, err);
}

static void engine_free_queue(struct engine *e, struct engine_queue *q)
{
    while (q->head) {
        struct engine_move *m = q->head;
        q->head = m->next;
        engine_unref_locked(e, m->slot);
        free(m);
    }
}

/* After a failure steps and blocks may be left that nobody will do. */
static void engine_free(struct engine *e)
{
    engine_free_queue(e, &e->loads);
    engine_free_queue(e, &e->stores);
    for (int64_t at = e->first; at < e->last; at++) {
        struct engine_step *s = &e->step[at % ENGINE_WINDOW];
        for (int i = 0; !s->finished && i < s->kind->inputs; i++)
            engine_unref_locked(e, s->in[i]);
        if (!s->finished)
            engine_unref_locked(e, s->out);
    }
    arena_free(e->arena);
    free(e->step);
    free(e->threads);
    (void)pthread_cond_destroy(&e->room);
    (void)pthread_cond_destroy(&e->changed);
    (void)pthread_mutex_destroy(&e->mu);
    free(e);
}

int engine_new(const struct engine_conf *conf, struct engine **ret, struct err *err)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (!e)
        return err_set(err, -ENOMEM, "out of memory");
    assert(conf->threads >= 1 && conf->threads <= ENGINE_THREADS_MAX);
    e->conf = *conf;
    e->is_slow = true; /* until one has come */
    int r = engine_init(e, err);
    if (r < 0) {
        engine_run_stop(e);
        engine_free(e);
        return r;
    }
    *ret = e;
    return 0;
}

int engine_finish(struct engine *e, struct engine_count *ret, struct err *err)
{
    engine_run_stop(e);
    int r = e->failed ? e->code : 0;
    if (r < 0 && err)
        *err = e->err;
    if (e->arena)
        e->count.memory_peak = arena_peak(e->arena);
    if (ret)
        *ret = e->count;
    engine_free(e);
    return r;
}

void engine_fail_locked(struct engine *e, int code, const struct err *err)
{
    e->halted = e->halted || code != -EDOM;
    if (!e->failed) {
        e->failed = true;
        e->code = code;
        e->err = *err;
    }
    (void)pthread_cond_broadcast(&e->changed);
    (void)pthread_cond_broadcast(&e->room);
}

void engine_stop(struct engine *e, int code, const char *why)
{
    struct err err = {0};
    (void)err_set(&err, code, "%s", why);
    LOCK_SCOPE(&e->mu);
    engine_fail_locked(e, code, &err);
}

bool engine_goes_on(struct engine *e)
{
    LOCK_SCOPE(&e->mu);
    return !e->failed;
}

/* --- slots --- */

void engine_unref_locked(struct engine *e, struct slot *slot)
{
    assert(slot->refs > 0);
    if (--slot->refs > 0)
        return;
    if (e->arena && slot->tile.a)
        arena_give(e->arena, slot->tile.a);
    free(slot);
    (void)pthread_cond_broadcast(&e->room);
}

static void engine_no_memory(struct engine *e)
{
    struct err err = {0};
    engine_fail_locked(e, err_set(&err, -ENOMEM, "out of memory"), &err);
}

int engine_take_locked(struct engine *e, struct slot *slot)
{
    if (e->failed)
        return -ECANCELED;
    int r = arena_take(e->arena, slot->bytes, &slot->tile.a);
    if (r == 0)
        return 1;
    if (r == -EAGAIN)
        return 0;
    engine_no_memory(e);
    return -ENOMEM;
}

/* Makes the loop nest wait until no more than so many loads are without memory. */
static void engine_wait_for_loads_locked(struct engine *e, int64_t most)
{
    while (!e->failed && e->loads_asked - e->loads_granted > most)
        (void)pthread_cond_wait(&e->room, &e->mu);
}

/* A slot of the loop nest gets its memory behind all that was loaded before. */
static int engine_wait_for_memory_locked(struct engine *e, struct slot *slot)
{
    int r = 0;
    engine_wait_for_loads_locked(e, 0);
    while ((r = engine_take_locked(e, slot)) == 0)
        (void)pthread_cond_wait(&e->room, &e->mu);
    return MIN(r, 0);
}

/* The loop nest holds one more. Whatever waits for memory gets it once all that was asked for
 * before has ended, for no more is in use then than this allows. */
static int engine_hold_locked(struct engine *e, const struct slot *slot)
{
    struct err err = {0};
    if (!e->conf.dry && e->held + slot->bytes > e->conf.memory) {
        (void)err_set(&err, -ENOMEM, "the algorithm needs more than %llu bytes of tiles",
                      (unsigned long long)e->conf.memory);
        engine_fail_locked(e, -ENOMEM, &err);
        return -ENOMEM;
    }
    e->held += slot->bytes;
    e->count.memory_held = MAX(e->count.memory_held, e->held);
    return 0;
}

/* A slot for block (i, j) of a matrix, held by the loop nest; without memory. */
static struct slot *engine_slot_locked(struct engine *e, const struct matdir *m, bool turned,
                                       int64_t i, int64_t j)
{
    const struct grid *g = &m->header.grid;
    const int64_t index[] = {turned ? j : i, turned ? i : j};
    struct slot *slot = calloc(1, sizeof(*slot));
    if (!slot) {
        engine_no_memory(e);
        return NULL;
    }
    slot->tile = (struct tile){.m = (int)grid_block_extent(g, 0, index[0]),
                               .n = (int)grid_block_extent(g, 1, index[1]),
                               .type = dtype_blas(element_native(m->header.dtype))};
    slot->tile.ld = MAX(slot->tile.n, 1);
    if (turned)
        slot->tile = tile_turn(slot->tile);
    slot->bytes = (size_t)grid_block_elements(g, index) * m->header.dtype.size;
    slot->refs = 1;
    if (engine_hold_locked(e, slot) < 0) {
        free(slot);
        return NULL;
    }
    return slot;
}

void engine_drop(struct engine *e, struct slot *slot)
{
    if (!slot)
        return;
    LOCK_SCOPE(&e->mu);
    e->held -= slot->bytes;
    engine_unref_locked(e, slot);
}

int engine_rows(const struct slot *slot)
{
    return slot ? slot->tile.m : 0;
}

int engine_columns(const struct slot *slot)
{
    return slot ? slot->tile.n : 0;
}

/* --- blocks in and out --- */

/* Queues a copy of *move, which then holds the slot. */
static void engine_move_locked(struct engine *e, struct engine_queue *q,
                               const struct engine_move *move)
{
    if (e->conf.dry)
        return;
    struct engine_move *m = malloc(sizeof(*m));
    if (!m) {
        engine_no_memory(e);
        return;
    }
    *m = *move;
    m->next = NULL;
    m->slot->refs++;
    *q->tail = m;
    q->tail = &m->next;
    e->pending++;
    (void)pthread_cond_broadcast(&e->changed);
}

static struct slot *engine_load_locked(struct engine *e, const struct matdir *m, bool turned,
                                       struct engine_move *move)
{
    if (!e->conf.dry)
        engine_wait_for_loads_locked(e, ENGINE_AHEAD - 1);
    struct slot *slot = e->failed ? NULL : engine_slot_locked(e, m, turned, move->i, move->j);
    if (!slot)
        return NULL;
    move->slot = slot;
    move->ordinal = e->loads_asked++;
    slot->wanted = 1;
    engine_move_locked(e, &e->loads, move);
    return slot;
}

static void engine_count_read(struct engine *e, const struct slot *slot)
{
    if (!slot)
        return;
    e->count.reads++;
    e->count.bytes_read += slot->bytes;
}

struct slot *engine_load(struct engine *e, const struct source *s, int64_t i, int64_t j, int flags)
{
    const int64_t index[] = {s->turned ? j : i, s->turned ? i : j};
    struct engine_move move = {.source = *s, .i = i, .j = j, .flags = flags};
    LOCK_SCOPE(&e->mu);
    struct slot *slot = engine_load_locked(e, s->m, s->turned, &move);
    if (!s->stamps || stamps_has(s->stamps, index)) /* a missing one is filled, not read */
        engine_count_read(e, slot);
    return slot;
}

struct slot *engine_reload(struct engine *e, struct result *r, int64_t i, int64_t j)
{
    struct engine_move move = {.result = r, .i = i, .j = j, .flags = ENGINE_ROWS};
    LOCK_SCOPE(&e->mu);
    struct slot *slot = engine_load_locked(e, r->m, r->turned, &move);
    engine_count_read(e, slot);
    if (slot && r->follows)
        slot->follows = r->follows[result_rank(r, i, j)];
    return slot;
}

static struct slot *engine_new_slot(struct engine *e, const struct result *r, int64_t i, int64_t j)
{
    LOCK_SCOPE(&e->mu);
    struct slot *slot = e->failed ? NULL : engine_slot_locked(e, r->m, r->turned, i, j);
    if (slot && e->arena && engine_wait_for_memory_locked(e, slot) < 0) {
        e->held -= slot->bytes;
        free(slot);
        return NULL;
    }
    return slot;
}

struct slot *engine_blank(struct engine *e, const struct result *r, int64_t i, int64_t j)
{
    static const struct step_args zero = {.alpha = 0};
    struct slot *slot = engine_new_slot(e, r, i, j);
    if (slot)
        engine_step(e, &grain_scale, &zero, slot, NULL, NULL);
    return slot;
}

void engine_publish(struct engine *e, struct result *r, int64_t i, int64_t j, struct slot *slot)
{
    LOCK_SCOPE(&e->mu);
    if (e->failed || !slot)
        return;
    const struct engine_move move = {.slot = slot,
                                     .result = r,
                                     .i = i,
                                     .j = j,
                                     .version = slot->wanted,
                                     .ordinal = e->stores_asked++};
    e->count.writes++;
    e->count.bytes_written += slot->bytes;
    if (r->follows) {
        bool *follows = &r->follows[result_rank(r, i, j)];
        slot->follows = *follows = *follows || slot->follows;
    }
    engine_move_locked(e, &e->stores, &move);
}

/* --- steps --- */

/* What a step needs and makes; it holds its slots. */
static void engine_bind_locked(struct engine_step *s, struct slot *out, struct slot *in0,
                               struct slot *in1)
{
    s->out = out;
    s->in[0] = in0;
    s->in[1] = in1;
    s->args.out = out->tile;
    s->out_version = out->wanted++;
    out->refs++;
    for (int i = 0; i < s->kind->inputs; i++) {
        struct slot *in = s->in[i];
        assert(in); /* engine_step() has looked */
        s->args.in[i] = in->tile;
        s->in_version[i] = in->wanted;
        out->follows = out->follows || in->follows;
        in->refs++;
    }
}

static void engine_count_step_locked(struct engine *e, const struct engine_step *s)
{
    e->count.products += s->kind->counts;
    e->count.flops += s->kind->flops(&s->args);
}

/* Waits for a place in the ring. NULL after a failure. */
static struct engine_step *engine_place_locked(struct engine *e)
{
    while (!e->failed && e->last - e->first == ENGINE_WINDOW)
        (void)pthread_cond_wait(&e->room, &e->mu);
    return e->failed ? NULL : &e->step[e->last % ENGINE_WINDOW];
}

void engine_step(struct engine *e, const struct step_kind *kind, const struct step_args *args,
                 struct slot *out, struct slot *in0, struct slot *in1)
{
    struct engine_step fresh = {.kind = kind, .args = *args};
    LOCK_SCOPE(&e->mu);
    struct engine_step *s = e->conf.dry ? &fresh : engine_place_locked(e);
    if (!s || e->failed || !out || (kind->inputs > 0 && !in0) || (kind->inputs > 1 && !in1))
        return;
    *s = fresh;
    engine_bind_locked(s, out, in0, in1);
    engine_count_step_locked(e, s);
    if (e->conf.dry) {
        s->out->refs--;
        for (int i = 0; i < kind->inputs; i++)
            s->in[i]->refs--;
        return;
    }
    s->phases = kind->phases ? kind->phases(&s->args) : 1;
    s->phase = -1; /* see engine_run_phase_locked() */
    e->last++;
    e->pending++;
    (void)pthread_cond_broadcast(&e->changed);
}

void engine_task(struct engine *e)
{
    LOCK_SCOPE(&e->mu);
    e->count.tasks++;
}
