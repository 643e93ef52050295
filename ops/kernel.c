#include "ops/kernel.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void kernel_init(void)
{
    openblas_set_num_threads(1);
}

void kernel_library(char *dst, size_t size)
{
    /* The configuration may end with the name of the core that the library was built for; the one
     * it runs on is another matter. */
    (void)snprintf(dst, size, "%s, running on %s", openblas_get_config(), openblas_get_corename());
}

const char *kernel_version(void)
{
    enum { KERNEL_WORDS = 2 };
    static _Thread_local char version[64];
    const char *config = openblas_get_config();
    size_t len = 0;
    for (int word = 0; word < KERNEL_WORDS; word++) {
        len += strspn(config + len, " ");
        len += strcspn(config + len, " ");
    }
    (void)snprintf(version, sizeof(version), "%.*s", (int)len, config);
    return version;
}

const char *kernel_core(void)
{
    return openblas_get_corename();
}

/* Cores with code of their own for what this processor has, best first. */
static const struct {
    const char *name;
    bool avx512;
} kernel_cores[] = {{"SkylakeX", true}, {"Haswell", false}};

static bool kernel_has(bool avx512)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return false;
    return !avx512 || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"));
}

const char *kernel_better_core(void)
{
    static const char *const old[] = {"Prescott", "Core2",  "Penryn",    "Dunnington", "Atom",
                                      "Nehalem",  "Katmai", "Northwood", "Banias",     "Generic"};
    bool taken = false;
    for (size_t i = 0; i < ARRAY_SIZE(old); i++)
        taken = taken || strcmp(kernel_core(), old[i]) == 0;
    for (size_t i = 0; taken && i < ARRAY_SIZE(kernel_cores); i++) {
        if (kernel_has(kernel_cores[i].avx512))
            return kernel_cores[i].name;
    }
    return NULL;
}

bool kernel_can_run(const char *core)
{
    for (size_t i = 0; i < ARRAY_SIZE(kernel_cores); i++) {
        if (strcmp(core, kernel_cores[i].name) == 0)
            return kernel_has(kernel_cores[i].avx512);
    }
    return strcmp(core, kernel_core()) == 0 || strcmp(core, "Prescott") == 0;
}

/* How BLAS is to take an operand: one that is stored in the other order is its own transpose. */
static CBLAS_TRANSPOSE kernel_op(char trans, bool flipped)
{
    if (!flipped)
        return trans == 'n' ? CblasNoTrans : trans == 't' ? CblasTrans : CblasConjTrans;
    return trans == 'n' ? CblasTrans : trans == 't' ? CblasNoTrans : CblasConjNoTrans;
}

/* The arguments that all four types share. */
struct kernel_call {
    CBLAS_ORDER order;
    CBLAS_TRANSPOSE opa, opb;
    int m, n, k;
};

static void kernel_gemm_s(const struct kernel_call *x, float alpha, struct tile a, struct tile b,
                          struct tile c)
{
    cblas_sgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, alpha, a.a, a.ld, b.a, b.ld, 1, c.a,
                c.ld);
}

static void kernel_gemm_d(const struct kernel_call *x, double alpha, struct tile a, struct tile b,
                          struct tile c)
{
    cblas_dgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, alpha, a.a, a.ld, b.a, b.ld, 1, c.a,
                c.ld);
}

static void kernel_gemm_c(const struct kernel_call *x, float complex alpha, struct tile a,
                          struct tile b, struct tile c)
{
    const float complex one = 1;
    cblas_cgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, &alpha, a.a, a.ld, b.a, b.ld, &one, c.a,
                c.ld);
}

static void kernel_gemm_z(const struct kernel_call *x, double complex alpha, struct tile a,
                          struct tile b, struct tile c)
{
    const double complex one = 1;
    cblas_zgemm(x->order, x->opa, x->opb, x->m, x->n, x->k, &alpha, a.a, a.ld, b.a, b.ld, &one, c.a,
                c.ld);
}

/* Whether op(a) is m x n. */
static bool kernel_fits(struct tile a, char trans, int m, int n)
{
    return trans == 'n' ? a.m == m && a.n == n : a.n == m && a.m == n;
}

void kernel_gemm(char transa, char transb, double complex alpha, struct tile a, struct tile b,
                 struct tile c)
{
    struct kernel_call x = {.order = c.fortran ? CblasColMajor : CblasRowMajor,
                            .opa = kernel_op(transa, a.fortran != c.fortran),
                            .opb = kernel_op(transb, b.fortran != c.fortran),
                            .m = c.m,
                            .n = c.n,
                            .k = transa == 'n' ? a.n : a.m};
    assert(a.type == c.type && b.type == c.type);
    assert(kernel_fits(a, transa, x.m, x.k) && kernel_fits(b, transb, x.k, x.n));
    if (alpha == 0 || x.m == 0 || x.n == 0 || x.k == 0)
        return;
    if (c.type == 's')
        kernel_gemm_s(&x, (float)creal(alpha), a, b, c);
    else if (c.type == 'd')
        kernel_gemm_d(&x, creal(alpha), a, b, c);
    else if (c.type == 'c')
        kernel_gemm_c(&x, (float complex)alpha, a, b, c);
    else
        kernel_gemm_z(&x, alpha, a, b, c);
}

/* x := beta x, a line of n numbers. */
static void kernel_scale_line(char type, double complex beta, void *x, size_t n)
{
    float *s = x;
    double *d = x;
    float complex *c = x;
    double complex *z = x;
    for (size_t i = 0; type == 's' && i < n; i++)
        s[i] *= (float)creal(beta);
    for (size_t i = 0; type == 'd' && i < n; i++)
        d[i] *= creal(beta);
    for (size_t i = 0; type == 'c' && i < n; i++)
        c[i] *= (float complex)beta;
    for (size_t i = 0; type == 'z' && i < n; i++)
        z[i] *= beta;
}

void kernel_scale(double complex beta, struct tile c)
{
    int lines = c.fortran ? c.n : c.m;
    size_t n = (size_t)(c.fortran ? c.m : c.n);
    size_t element = tile_element(c.type);
    bool parts = cimag(beta) == 0; /* then each part by itself: 2 (inf + 0i) is inf + 0i */
    char type = c.type;
    if (parts && type == 'c')
        type = 's';
    if (parts && type == 'z')
        type = 'd';
    if (beta == 1)
        return;
    for (int i = 0; i < lines; i++) {
        void *line = (char *)c.a + (size_t)i * (size_t)c.ld * element;
        if (beta == 0)
            memset(line, 0, n * element);
        else
            kernel_scale_line(type, beta, line, n * element / tile_element(type));
    }
}

/* x := x + y, lines of n real numbers. */
static void kernel_add_line(char type, const void *y, void *x, size_t n)
{
    float *s = x;
    double *d = x;
    const float *from_s = y;
    const double *from_d = y;
    for (size_t i = 0; type == 's' && i < n; i++)
        s[i] += from_s[i];
    for (size_t i = 0; type == 'd' && i < n; i++)
        d[i] += from_d[i];
}

void kernel_add(struct tile a, struct tile c)
{
    size_t element = tile_element(c.type);
    bool single = c.type == 's' || c.type == 'c';
    int lines = c.fortran ? c.n : c.m;
    size_t n = (size_t)(c.fortran ? c.m : c.n) * element / (single ? 4 : 8);
    assert(a.type == c.type && a.fortran == c.fortran && a.m == c.m && a.n == c.n);
    for (int i = 0; i < lines; i++)
        kernel_add_line(single ? 's' : 'd', (const char *)a.a + (size_t)i * (size_t)a.ld * element,
                        (char *)c.a + (size_t)i * (size_t)c.ld * element, n);
}

/* The address of an element. */
static void *kernel_at(struct tile t, int i, int j)
{
    return tile_part(t, i, j, 1, 1).a;
}

void kernel_shift(double complex alpha, struct tile c)
{
    for (int i = 0; i < MIN(c.m, c.n); i++) {
        void *at = kernel_at(c, i, i);
        if (c.type == 's')
            *(float *)at += (float)creal(alpha);
        else if (c.type == 'd')
            *(double *)at += creal(alpha);
        else if (c.type == 'c')
            *(float complex *)at += (float complex)alpha;
        else
            *(double complex *)at += alpha;
    }
}

double complex kernel_element(struct tile t, int i, int j)
{
    const void *at = kernel_at(t, i, j);
    switch (t.type) {
    case 's':
        return (double)*(const float *)at;
    case 'd':
        return *(const double *)at;
    case 'c':
        return *(const float complex *)at;
    default:
        return *(const double complex *)at;
    }
}

double kernel_real(struct tile t, int i, int j)
{
    const void *at = kernel_at(t, i, j);
    bool single = t.type == 's' || t.type == 'c';
    return single ? (double)*(const float *)at : *(const double *)at;
}

/* The first of n numbers that is not finite, or n. Infinity and NaN times 0 are NaN, so one sum
 * tells whether there is one. */
static size_t kernel_bad_s(const float *x, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0;
    if (sum == 0)
        return n;
    size_t at = 0;
    while (at < n && isfinite(x[at]))
        at++;
    return at;
}

static size_t kernel_bad_d(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0;
    if (sum == 0)
        return n;
    size_t at = 0;
    while (at < n && isfinite(x[at]))
        at++;
    return at;
}

/* The same for a line of n numbers of any type. */
static int kernel_bad(char type, const void *line, int n)
{
    size_t parts = type == 'c' || type == 'z' ? 2 : 1;
    size_t bad = type == 's' || type == 'c' ? kernel_bad_s(line, (size_t)n * parts)
                                            : kernel_bad_d(line, (size_t)n * parts);
    return (int)(bad / parts);
}

/* The part of line i that counts: all of it, or what is in the lower triangle. */
static void kernel_span(struct tile t, bool lower, int i, int *ret_from, int *ret_to)
{
    int length = t.fortran ? t.m : t.n;
    *ret_from = lower && t.fortran ? MIN(i, length) : 0;
    *ret_to = lower && !t.fortran ? MIN(i + 1, length) : length;
}

bool kernel_is_finite(struct tile t, bool lower, int *ret_i, int *ret_j)
{
    int lines = t.fortran ? t.n : t.m;
    for (int i = 0; i < lines; i++) {
        int from = 0;
        int to = 0;
        kernel_span(t, lower, i, &from, &to);
        const void *line = kernel_at(t, t.fortran ? from : i, t.fortran ? i : from);
        int at = from + kernel_bad(t.type, line, to - from);
        if (at == to)
            continue;
        *ret_i = t.fortran ? at : i;
        *ret_j = t.fortran ? i : at;
        return false;
    }
    return true;
}
