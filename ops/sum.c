#include "ops/sum.h"

#include "ops/grain.h"
#include "ops/run.h"

/* Results of as many grains keep every thread busy; partial sums of so many elements along k cost
 * next to nothing to add. */
enum { SUM_GRAINS_MANY = 64, SUM_LENGTH = 4096 };

struct sum_cut sum_cut_of(int64_t rows, int64_t columns, int64_t inner, int64_t block)
{
    struct sum_cut cut = {.inner = inner, .chunk = inner};
    int64_t down = run_ceil(rows, GRAIN);
    int64_t across = run_ceil(columns, GRAIN);
    if (down < SUM_GRAINS_MANY && across < SUM_GRAINS_MANY && down * across < SUM_GRAINS_MANY)
        cut.chunk = MIN(inner, run_ceil(SUM_LENGTH, MAX(block, (int64_t)1)));
    return cut;
}

int sum_tiles(const struct sum_cut *cut)
{
    return cut->chunk < cut->inner ? 2 : 1;
}

struct slot *sum_target(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e,
                        const struct result *out, const int64_t index[2])
{
    if (k < cut->chunk)
        return s->c;
    if (k % cut->chunk == 0)
        s->part = engine_blank(e, out, index[0], index[1]);
    return s->part;
}

void sum_added(struct sum *s, const struct sum_cut *cut, int64_t k, struct engine *e)
{
    static const struct step_args none = {.alpha = 1};
    if (k < cut->chunk || ((k + 1) % cut->chunk != 0 && k + 1 != cut->inner))
        return;
    engine_step(e, &grain_add, &none, s->c, s->part, NULL);
    engine_drop(e, s->part);
    s->part = NULL;
}
