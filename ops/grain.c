#include "ops/grain.h"

#include "ops/kernel.h"
#include "ops/matdir.h"
#include "ops/tri.h"

#include <errno.h>
#include <math.h>

/* Pieces along n rows or columns. */
static int grain_count(int n)
{
    return (n + GRAIN - 1) / GRAIN;
}

/* Piece g's first row or column is g * GRAIN; this is how many it has. */
static int grain_size(int n, int g)
{
    return MIN(GRAIN, n - g * GRAIN);
}

/* Grain (i, j) of a tile. */
static struct tile grain_at(struct tile t, int i, int j)
{
    return tile_part(t, i * GRAIN, j * GRAIN, grain_size(t.m, i), grain_size(t.n, j));
}

/* Grain i of a tile's rows, all columns; and the other way round. */
static struct tile grain_rows(struct tile t, int i)
{
    return tile_part(t, i * GRAIN, 0, grain_size(t.m, i), t.n);
}

static struct tile grain_columns(struct tile t, int j)
{
    return tile_part(t, 0, j * GRAIN, t.m, grain_size(t.n, j));
}

/* Flops of a multiplication and an addition. */
static int64_t grain_pair(char type)
{
    return type == 's' || type == 'd' ? 2 : 8;
}

/* The place of piece p among pairs (i, j) with i >= j, row by row. */
static void grain_pair_at(int p, int *ret_i, int *ret_j)
{
    int i = 0;
    while ((i + 1) * (i + 2) / 2 <= p)
        i++;
    *ret_i = i;
    *ret_j = p - i * (i + 1) / 2;
}

/* --- out += alpha op(in[0]) op(in[1]) --- */

/* A product's pieces. OpenBLAS copies both operands into its own order at each call: of larger
 * pieces it copies less, and most along the order in which the tile is stored. */
struct grain_cut {
    int rows, columns; /* of a piece */
    int down, across;  /* pieces */
};

static struct grain_cut grain_cut_of(struct tile t, int rows, int columns)
{
    return (struct grain_cut){.rows = rows,
                              .columns = columns,
                              .down = (t.m + rows - 1) / rows,
                              .across = (t.n + columns - 1) / columns};
}

enum { GRAIN_FINE = 2 * GRAIN, GRAIN_COARSE = 4 * GRAIN, GRAIN_COARSE_MANY = 16 };

bool grain_is_coarse(int64_t rows, int64_t columns)
{
    int64_t down = (rows + GRAIN_COARSE - 1) / GRAIN_COARSE;
    int64_t across = (columns + GRAIN_COARSE - 1) / GRAIN_COARSE;
    return down > 0 && across >= (GRAIN_COARSE_MANY + down - 1) / down;
}

static struct grain_cut grain_gemm_cut(const struct step_args *x)
{
    int size = x->coarse ? GRAIN_COARSE : GRAIN_FINE;
    return grain_cut_of(x->out, size, size);
}

static struct grain_cut grain_update_cut(struct tile t)
{
    return t.fortran ? grain_cut_of(t, 2 * GRAIN, GRAIN) : grain_cut_of(t, GRAIN, 2 * GRAIN);
}

static void grain_product(const struct step_args *x, struct grain_cut cut, int piece)
{
    int i = piece / cut.across * cut.rows;
    int j = piece % cut.across * cut.columns;
    int m = MIN(cut.rows, x->out.m - i);
    int n = MIN(cut.columns, x->out.n - j);
    const struct tile *a = &x->in[0];
    const struct tile *b = &x->in[1];
    kernel_gemm(x->transa, x->transb, x->alpha,
                x->transa == 'n' ? tile_part(*a, i, 0, m, a->n) : tile_part(*a, 0, i, a->m, m),
                x->transb == 'n' ? tile_part(*b, 0, j, b->m, n) : tile_part(*b, j, 0, n, b->n),
                tile_part(x->out, i, j, m, n));
}

static int grain_gemm_pieces(const struct step_args *x, int phase)
{
    struct grain_cut cut = grain_gemm_cut(x);
    (void)phase;
    return cut.down * cut.across;
}

static int grain_gemm_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)err;
    grain_product(x, grain_gemm_cut(x), piece);
    return 0;
}

static int grain_update_pieces(const struct step_args *x, int phase)
{
    struct grain_cut cut = grain_update_cut(x->out);
    (void)phase;
    return cut.down * cut.across;
}

static int grain_update_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)err;
    grain_product(x, grain_update_cut(x->out), piece);
    return 0;
}

static int64_t grain_gemm_flops(const struct step_args *x)
{
    int64_t k = x->transa == 'n' ? x->in[0].n : x->in[0].m;
    return grain_pair(x->out.type) * x->out.m * x->out.n * k;
}

const struct step_kind grain_gemm = {
    .name = "gemm",
    .inputs = 2,
    .counts = true,
    .pieces = grain_gemm_pieces,
    .run = grain_gemm_run,
    .flops = grain_gemm_flops,
};

const struct step_kind grain_update = {
    .name = "gemm",
    .inputs = 2,
    .counts = true,
    .pieces = grain_update_pieces,
    .run = grain_update_run,
    .flops = grain_gemm_flops,
};

/* --- steps that go through a tile once --- */

static int grain_strips(const struct step_args *x, int phase)
{
    (void)phase;
    return grain_count(x->out.m);
}

static int grain_scale_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)err;
    kernel_scale(x->alpha, grain_rows(x->out, piece));
    return 0;
}

static int64_t grain_each_flops(const struct step_args *x)
{
    return grain_pair(x->out.type) / 2 * x->out.m * x->out.n;
}

const struct step_kind grain_scale = {
    .name = "scale",
    .pieces = grain_strips,
    .run = grain_scale_run,
    .flops = grain_each_flops,
};

static int grain_add_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)err;
    kernel_add(grain_rows(x->in[0], piece), grain_rows(x->out, piece));
    return 0;
}

const struct step_kind grain_add = {
    .name = "add",
    .inputs = 1,
    .pieces = grain_strips,
    .run = grain_add_run,
    .flops = grain_each_flops,
};

static int grain_one(const struct step_args *x, int phase)
{
    (void)x;
    (void)phase;
    return 1;
}

static int grain_shift_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)piece;
    (void)err;
    kernel_shift(x->alpha, x->out);
    return 0;
}

static int64_t grain_shift_flops(const struct step_args *x)
{
    return MIN(x->out.m, x->out.n);
}

const struct step_kind grain_shift = {
    .name = "shift",
    .pieces = grain_one,
    .run = grain_shift_run,
    .flops = grain_shift_flops,
};

/* --- out += alpha in[0] in[0]^H --- */

static int grain_herk_pieces(const struct step_args *x, int phase)
{
    int n = grain_count(x->out.m);
    (void)phase;
    return n * (n + 1) / 2;
}

static int grain_herk_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    int i = 0;
    int j = 0;
    (void)phase;
    (void)err;
    grain_pair_at(piece, &i, &j);
    struct tile c = grain_at(x->out, i, j);
    bool turned = x->transa != 'n';
    struct tile a = turned ? grain_columns(x->in[0], i) : grain_rows(x->in[0], i);
    struct tile b = turned ? grain_columns(x->in[0], j) : grain_rows(x->in[0], j);
    if (i == j)
        tri_herk(x->transa, creal(x->alpha), a, c);
    else
        kernel_gemm(turned ? 'c' : 'n', turned ? 'n' : 'c', x->alpha, a, b, c);
    return 0;
}

static int64_t grain_herk_flops(const struct step_args *x)
{
    int64_t k = x->transa == 'n' ? x->in[0].n : x->in[0].m;
    return grain_pair(x->out.type) * x->out.m * (x->out.m + 1) / 2 * k;
}

const struct step_kind grain_herk = {
    .name = "herk",
    .inputs = 1,
    .counts = true,
    .pieces = grain_herk_pieces,
    .run = grain_herk_run,
    .flops = grain_herk_flops,
};

/* --- the other triangle of a Hermitian matrix --- */

static int64_t grain_no_flops(const struct step_args *x)
{
    (void)x;
    return 0;
}

static int grain_turn_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)err;
    tri_turn(grain_columns(x->in[0], piece), grain_rows(x->out, piece));
    return 0;
}

const struct step_kind grain_turn = {
    .name = "turn",
    .inputs = 1,
    .pieces = grain_strips,
    .run = grain_turn_run,
    .flops = grain_no_flops,
};

static int grain_mirror_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    (void)phase;
    (void)piece;
    (void)err;
    tri_mirror(x->out);
    return 0;
}

const struct step_kind grain_mirror = {
    .name = "mirror",
    .pieces = grain_one,
    .run = grain_mirror_run,
    .flops = grain_no_flops,
};

/* --- triangular systems: columns, or rows, of the right-hand side are independent --- */

static int grain_trsm_pieces(const struct step_args *x, int phase)
{
    (void)phase;
    return grain_count(x->side == 'l' ? x->out.n : x->out.m);
}

static int grain_check_diagonal(const struct step_args *x, struct err *err)
{
    for (int i = 0; i < x->in[0].m; i++) {
        double complex d = kernel_element(x->in[0], i, i);
        long long row = (long long)x->row + i;
        if (d != 0 && isfinite(creal(d)) && isfinite(cimag(d)))
            continue;
        return err_set(err, -EDOM, "%s: singular: element (%lld, %lld) is %.3g",
                       x->matrix ? x->matrix->path : "the matrix", row, row, creal(d));
    }
    return 0;
}

static int grain_trsm_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    int r = x->diag == 'u' ? 0 : grain_check_diagonal(x, err);
    (void)phase;
    if (r == 0)
        tri_trsm(x->side, x->uplo, x->transa, x->diag, x->in[0],
                 x->side == 'l' ? grain_columns(x->out, piece) : grain_rows(x->out, piece));
    return r;
}

static int64_t grain_trsm_flops(const struct step_args *x)
{
    return grain_pair(x->out.type) / 2 * x->out.m * x->out.n * x->in[0].m;
}

const struct step_kind grain_trsm = {
    .name = "trsm",
    .inputs = 1,
    .counts = true,
    .pieces = grain_trsm_pieces,
    .run = grain_trsm_run,
    .flops = grain_trsm_flops,
};

/* --- out := L, for each column of grains: factor the diagonal one, solve below, update to the
 *     right --- */

enum { GRAIN_FACTOR, GRAIN_SOLVE, GRAIN_UPDATE, GRAIN_POTRF_PHASES };

static int grain_potrf_phases(const struct step_args *x)
{
    return GRAIN_POTRF_PHASES * grain_count(x->out.m);
}

static int grain_potrf_pieces(const struct step_args *x, int phase)
{
    int below = grain_count(x->out.m) - phase / GRAIN_POTRF_PHASES - 1;
    switch (phase % GRAIN_POTRF_PHASES) {
    case GRAIN_FACTOR:
        return 1;
    case GRAIN_SOLVE:
        return below;
    default:
        return below * (below + 1) / 2;
    }
}

static int grain_potrf_failed(const struct step_args *x, int row, struct err *err)
{
    double pivot = kernel_real(x->out, row, row);
    (void)err_set(err, -EDOM,
                  "%s: leading minor of order %lld is not positive definite "
                  "(block %lld,%lld row %d, pivot %.3g)",
                  x->matrix ? x->matrix->path : "the matrix", (long long)x->row + row + 1,
                  (long long)x->block, (long long)x->block, row, pivot);
    err_hint(err, "--reg LAMBDA adds a ridge to the diagonal");
    return -EDOM;
}

static int grain_potrf_run(const struct step_args *x, int phase, int piece, struct err *err)
{
    int k = phase / GRAIN_POTRF_PHASES;
    int i = 0;
    int j = 0;
    struct tile diagonal = grain_at(x->out, k, k);
    switch (phase % GRAIN_POTRF_PHASES) {
    case GRAIN_FACTOR:
        i = tri_potrf(diagonal);
        return i > 0 ? grain_potrf_failed(x, k * GRAIN + i - 1, err) : 0;
    case GRAIN_SOLVE:
        tri_trsm('r', 'l', 'c', 'n', diagonal, grain_at(x->out, k + 1 + piece, k));
        return 0;
    default:
        grain_pair_at(piece, &i, &j);
        i += k + 1;
        j += k + 1;
        if (i == j)
            tri_herk('n', -1, grain_at(x->out, i, k), grain_at(x->out, i, i));
        else
            kernel_gemm('n', 'c', -1, grain_at(x->out, i, k), grain_at(x->out, j, k),
                        grain_at(x->out, i, j));
        return 0;
    }
}

static int64_t grain_potrf_flops(const struct step_args *x)
{
    return grain_pair(x->out.type) / 2 * x->out.m * x->out.m * x->out.m / 3;
}

const struct step_kind grain_potrf = {
    .name = "potrf",
    .counts = true,
    .phases = grain_potrf_phases,
    .pieces = grain_potrf_pieces,
    .run = grain_potrf_run,
    .flops = grain_potrf_flops,
};
