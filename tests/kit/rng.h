#ifndef BMFS_TESTS_KIT_RNG_H
#define BMFS_TESTS_KIT_RNG_H

/* Random numbers for tests: another sequence in each run, the same one again with SEED=. */

#include "base/util.h"

#include <stdio.h>
#include <stdlib.h>

struct rng {
    uint64_t state;
};

/* Takes the seed from the environment or the kernel, and prints it. Call it before the test starts
 * threads. */
static inline void rng_init(struct rng *rng)
{
    const char *seed = getenv("SEED"); /* NOLINT(concurrency-mt-unsafe): no threads yet */
    rng->state = 1;
    if (seed)
        rng->state = strtoull(seed, NULL, 10);
    else
        (void)random_bytes(&rng->state, sizeof(rng->state));
    (void)printf("SEED=%ju\n", (uintmax_t)rng->state);
}

/* splitmix64: any seed will do. */
static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t x = rng->state += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/* 0 .. n - 1; the bias is below n / 2^64. */
static inline size_t rng_below(struct rng *rng, size_t n)
{
    return (size_t)(rng_next(rng) % n);
}

#endif
