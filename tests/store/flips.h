/* Random single-bit damage to the store's file. */
#ifndef TESTS_STORE_FLIPS_H
#define TESTS_STORE_FLIPS_H

#include <stdint.h>

struct flips_options {
    uint64_t seed;
    unsigned flips;
};

/* Fails the test when anything wrong was served, naming seed and bit. */
void flips_run(const struct flips_options *options);

#endif
