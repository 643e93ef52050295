#include "ops/rand.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/* The constants of Philox4x64. */
#define RAND_MUL_0 UINT64_C(0xD2E7470EE14C6C93)
#define RAND_MUL_1 UINT64_C(0xCA5A826395121157)
#define RAND_KEY_0 UINT64_C(0x9E3779B97F4A7C15) /* golden ratio */
#define RAND_KEY_1 UINT64_C(0xBB67AE8584CAA73B) /* sqrt(3) - 1 */

enum { RAND_ROUNDS = 10 };

static const double rand_two_pi = 6.283185307179586476925286766559;

/* The low half of a product; the high one in *ret_high. */
static uint64_t rand_multiply(uint64_t a, uint64_t b, uint64_t *ret_high)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    *ret_high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}

void rand_philox(const uint64_t counter[4], const uint64_t key[2], uint64_t ret[4])
{
    uint64_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint64_t k[2] = {key[0], key[1]};
    for (int round = 0; round < RAND_ROUNDS; round++) {
        uint64_t high0 = 0;
        uint64_t high1 = 0;
        uint64_t low0 = rand_multiply(RAND_MUL_0, c[0], &high0);
        uint64_t low1 = rand_multiply(RAND_MUL_1, c[2], &high1);
        c[0] = high1 ^ c[1] ^ k[0];
        c[1] = low1;
        c[2] = high0 ^ c[3] ^ k[1];
        c[3] = low0;
        k[0] += RAND_KEY_0;
        k[1] += RAND_KEY_1;
    }
    memcpy(ret, c, sizeof(c));
}

int rand_check(struct dtype t, struct err *err)
{
    size_t part = t.kind == 'c' ? t.size / 2U : t.size;
    if ((t.kind != 'f' && t.kind != 'c') || part < 4)
        return err_set(
            err, -EINVAL,
            "random values are of type float32, float64, complex64 or complex128, not %s",
            dtype_name(t));
    return 0;
}

/* [0, 1) with as many bits as a float has: a double just below 1 would become 1 as a float. */
static double rand_unit(uint64_t word, bool single)
{
    return single ? (double)(word >> 40) * 0x1p-24 : (double)(word >> 11) * 0x1p-53;
}

static void rand_parts(enum rand_kind kind, const uint64_t word[4], bool single, size_t parts,
                       double ret[2])
{
    if (kind == RAND_UNIFORM) {
        ret[0] = rand_unit(word[0], single);
        ret[1] = rand_unit(word[1], single);
        return;
    }
    double radius = sqrt(-2 * log(rand_unit(word[0], false) + 0x1p-53));
    double angle = rand_two_pi * rand_unit(word[1], false);
    ret[0] = radius * cos(angle);
    if (parts == 2)
        ret[1] = radius * sin(angle);
}

void rand_fill(enum rand_kind kind, uint64_t seed, int64_t first, size_t n, struct dtype t,
               void *dst)
{
    const uint64_t key[2] = {seed, 0};
    size_t parts = t.kind == 'c' ? 2 : 1;
    bool single = t.size / parts == sizeof(float);
    float *s = dst;
    double *d = dst;
    for (size_t i = 0; i < n; i++) {
        const uint64_t counter[4] = {(uint64_t)first + i, 0, 0, 0};
        uint64_t word[4];
        double part[2] = {0, 0};
        rand_philox(counter, key, word);
        rand_parts(kind, word, single, parts, part);
        for (size_t k = 0; k < parts; k++) {
            if (single)
                s[parts * i + k] = (float)part[k];
            else
                d[parts * i + k] = part[k];
        }
    }
}
