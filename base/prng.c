/* xoshiro256** with the state filled by splitmix64. */

#include "base/prng.h"

#include "base/codec.h"
#include "base/must.h"

static uint64_t splitmix64(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15U;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void prng_init(struct prng *p, uint64_t seed)
{
    for (size_t i = 0; i < count_of(p->state); i++) {
        p->state[i] = splitmix64(&seed);
    }
}

uint64_t prng_next(struct prng *p)
{
    uint64_t *s = p->state;
    const uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *p, uint64_t bound)
{
    must(bound > 0);
    /* Values below 2^64 mod bound would make small results likelier. */
    const uint64_t uneven = (0 - bound) % bound;
    uint64_t value;
    do {
        value = prng_next(p);
    } while (value < uneven);
    return value % bound;
}

bool prng_chance(struct prng *p, uint32_t numerator, uint32_t denominator)
{
    must(denominator > 0);
    return prng_below(p, denominator) < numerator;
}

void prng_fill(struct prng *p, uint8_t *to, size_t size)
{
    uint8_t word[8];
    for (size_t done = 0; done < size; done += sizeof word) {
        const size_t left = size - done;
        put_u64(word, prng_next(p));
        memcpy(to + done, word, left < sizeof word ? left : sizeof word);
    }
}
