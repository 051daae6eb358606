/* Reproducible pseudo-random numbers (xoshiro256**, seeded by splitmix64, both
 * by Blackman and Vigna): the only source of chance below the host.  Not for
 * secrets. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

void prng_init(struct prng *p, uint64_t seed);
uint64_t prng_next(struct prng *p);
/* Uniform in [0, bound); bound > 0. */
uint64_t prng_below(struct prng *p, uint64_t bound);
/* True `numerator` times in `denominator`. */
bool prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator);
void prng_fill(struct prng *p, uint8_t *to, size_t size);

#endif
