#ifndef BMFS_TESTS_FUZZ_FUZZ_H
#define BMFS_TESTS_FUZZ_FUZZ_H

/* What each fuzz target is: a function that takes any bytes and must survive them. libFuzzer calls
 * it with bytes that it makes up, replay.c with the files of a corpus. */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that holds for every input. */
#define FUZZ_CHECK(condition)                                                                    \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                             \
        }                                                                                        \
    } while (0)

#endif
