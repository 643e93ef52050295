#include "ops/sum.h"

#include "ops/grain.h"
#include "ops/run.h"

/* Results of as many grains keep every thread busy; partial sums of so many elements along k cost
 * next to nothing to add. */
enum { SUM_GRAINS_MANY = 64, SUM_LENGTH = 4096 };

/* A span is worth a file when so many elements along k, and so many of the operands, went into it,
 * and so many times more of them than it has itself. */
enum { SUM_SPAN_LENGTH = 1 << 16, SUM_SPAN_READ = 1 << 22, SUM_SPAN_RATIO = 32 };

/* Elements along k that a span has at least. Rows and columns are few. */
static int64_t sum_span_length(int64_t rows, int64_t columns, int64_t length)
{
    int64_t line = MAX(rows + columns, (int64_t)1); /* of both operands at one place along k */
    int64_t least = MAX((int64_t)SUM_SPAN_LENGTH, run_ceil(SUM_SPAN_READ, line));
    least = MAX(least, run_ceil(SUM_SPAN_RATIO * rows * columns, line));
    return MAX(least, run_ceil(length, SUM_SPANS_MAX));
}

struct sum_cut sum_cut_of(int64_t rows, int64_t columns, int64_t inner, int64_t block)
{
    struct sum_cut cut = {.inner = inner, .span = inner, .chunk = inner};
    int64_t down = run_ceil(rows, GRAIN);
    int64_t across = run_ceil(columns, GRAIN);
    block = MAX(block, (int64_t)1);
    if (down >= SUM_GRAINS_MANY || across >= SUM_GRAINS_MANY || down * across >= SUM_GRAINS_MANY)
        return cut;
    cut.chunk = MIN(inner, run_ceil(SUM_LENGTH, block));
    if (cut.chunk == inner)
        return cut;
    int64_t span = run_ceil(sum_span_length(rows, columns, inner * block), block);
    cut.span = MIN(inner, run_ceil(span, cut.chunk) * cut.chunk);
    return cut;
}

int64_t sum_spans(const struct sum_cut *cut)
{
    return cut->span < cut->inner ? run_ceil(cut->inner, cut->span) : 0;
}

int sum_tiles(const struct sum_cut *cut)
{
    return 1 + (cut->span < cut->inner) + (cut->chunk < cut->span);
}

/* The stored sums of the span that k is in; NULL when there are none. */
static struct result *sum_result(const struct sum_cut *cut, const struct result *out, int64_t k)
{
    return out->sums ? &out->sums[k / cut->span] : NULL;
}

bool sum_had(const struct sum_cut *cut, const struct result *out, int64_t k, int64_t i, int64_t j)
{
    const struct result *stored = sum_result(cut, out, k);
    return stored && result_had(stored, i, j);
}

struct slot *sum_target(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
                        const struct result *out, const int64_t index[2])
{
    int64_t at = k % cut->span;
    bool spans = cut->span < cut->inner;
    if (sum_had(cut, out, k, index[0], index[1]))
        return NULL;
    if (spans && at == 0)
        s->span = engine_blank(e, out, index[0], index[1]);
    if (at < cut->chunk)
        return spans ? s->span : s->c;
    if (at % cut->chunk == 0)
        s->part = engine_blank(e, out, index[0], index[1]);
    return s->part;
}

/* *part is complete: it is added to `to`. */
static void sum_add(struct engine *e, struct slot *to, struct slot **part)
{
    static const struct step_args none = {.alpha = 1};
    engine_step(e, &grain_add, &none, to, *part, NULL);
    engine_drop(e, *part);
    *part = NULL;
}

void sum_added(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
               const struct result *out, const int64_t index[2])
{
    int64_t next = k % cut->span + 1;
    bool spans = cut->span < cut->inner;
    bool ends = next == cut->span || k + 1 == cut->inner;
    struct result *stored = sum_result(cut, out, k);
    if (s->part && (ends || next % cut->chunk == 0))
        sum_add(e, spans ? s->span : s->c, &s->part);
    if (!spans || !ends)
        return;
    if (sum_had(cut, out, k, index[0], index[1]))
        s->span = engine_reload(e, stored, index[0], index[1]);
    else if (stored && !stored->absent)
        engine_publish(e, stored, index[0], index[1], s->span);
    sum_add(e, s->c, &s->span);
}
