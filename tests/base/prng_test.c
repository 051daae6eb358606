/* The generator: every simulation's replay rests on its being the same
 * everywhere and for ever. */

#include "base/must.h"
#include "base/prng.h"
#include "tests/lib/test.h"

/* The first outputs of the reference implementation for the state 1 2 3 4
 * (prng.di.unimi.it/xoshiro256starstar.c; also in rand_xoshiro's tests). */
TEST(prng, is_xoshiro256_starstar)
{
    static const uint64_t wanted[] = {
        11520U,
        0U,
        1509978240U,
        1215971899390074240U,
        1216172134540287360U,
        607988272756665600U,
        16172922978634559625U,
        8476171486693032832U,
        10595114339597558777U,
        2904607092377533576U,
    };
    struct prng p = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < count_of(wanted); i++) {
        EXPECT(prng_next(&p) == wanted[i]);
    }
}

/* The reference outputs of splitmix64 for the seed 1234567. */
TEST(prng, is_seeded_by_splitmix64)
{
    struct prng p;
    prng_init(&p, 1234567);
    EXPECT(p.state[0] == 6457827717110365317U);
    EXPECT(p.state[1] == 3203168211198807973U);
    EXPECT(p.state[2] == 9817491932198370423U);
    EXPECT(p.state[3] == 4593380528125082431U);
}

/* Danger: a generator that never gives the last value never tries it. */
TEST(prng, below_gives_every_value_and_nothing_else)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (uint64_t bound = 1; bound <= 20; bound++) {
        unsigned seen[20] = {0};
        for (unsigned i = 0; i < 20000; i++) {
            const uint64_t value = prng_below(&p, bound);
            EXPECT(value < bound);
            seen[value]++;
        }
        for (uint64_t v = 0; v < bound; v++) { /* about 1000 at the least */
            EXPECT(seen[v] > 700);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        EXPECT(prng_below(&p, UINT64_MAX) < UINT64_MAX);
        EXPECT(prng_below(&p, ((uint64_t)1 << 63) + 1) <= (uint64_t)1 << 63);
    }
}

/* A plain remainder gives small numbers more often; for a bound of three
 * quarters of 2^64 it would give the first third half of the time. */
TEST(prng, below_is_even_for_large_bounds)
{
    struct prng p;
    prng_init(&p, test_seed());
    const uint64_t third = (uint64_t)1 << 62;
    unsigned first = 0;
    for (unsigned i = 0; i < 9000; i++) {
        first += prng_below(&p, 3 * third) < third;
    }
    EXPECT(first > 2700 && first < 3300);
}

TEST(prng, chance_is_as_stated)
{
    struct prng p;
    prng_init(&p, test_seed());
    unsigned hits = 0;
    for (unsigned i = 0; i < 10000; i++) {
        hits += prng_chance(&p, 1, 4);
        EXPECT(!prng_chance(&p, 0, 4));
        EXPECT(prng_chance(&p, 4, 4));
    }
    EXPECT(hits > 2100 && hits < 2900);
}

TEST(prng, fill_writes_all_and_no_more)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (size_t size = 0; size < 40; size++) {
        uint8_t together[41] = {0};
        for (unsigned round = 0; round < 40; round++) {
            uint8_t data[41] = {0};
            prng_fill(&p, data, size);
            for (size_t i = 0; i < sizeof data; i++) {
                together[i] |= data[i];
            }
        }
        for (size_t i = 0; i < sizeof together; i++) {
            EXPECT_INT(together[i] != 0, i < size);
        }
    }
}
