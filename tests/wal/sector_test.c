/* What a sector says about itself: torn, damaged, or good. */

#include "base/prng.h"
#include "tests/wal/rig.h"
#include "wal/sector.h"

#define PLACE ((struct sector_place){.segment = 7, .number = 12})

static void fill(uint8_t *sector, uint32_t segment, uint32_t opening,
                 uint8_t value)
{
    memset(sector, 0, SECTOR_SIZE);
    memset(sector + SECTOR_ROOM_OFFSET, value, SECTOR_ROOM);
    sector_seal(sector, (struct sector_place){segment, PLACE.number}, true,
                opening);
}

/* A power cut may leave any part of a sector new and the rest old, whatever the
 * old was.  To call that damage would stop a node that lost nothing; to believe
 * it would serve garbage. */
static void check_tears(const uint8_t *old, const uint8_t *new)
{
    for (size_t cut = 0; cut <= SECTOR_SIZE; cut++) {
        for (int new_first = 0; new_first < 2; new_first++) {
            uint8_t torn[SECTOR_SIZE];
            memcpy(torn, new_first ? new : old, cut);
            memcpy(torn + cut, (new_first ? old : new) + cut,
                   SECTOR_SIZE - cut);
            const struct sector_verdict v = sector_judge(torn, PLACE);
            if (v.state == SECTOR_DAMAGED) {
                print_error("cut at %zu, new first %d: damaged\n", cut,
                            new_first);
                fail();
            }
            if (v.state == SECTOR_GOOD && v.opening == 3) {
                EXPECT(memcmp(torn, new, SECTOR_SIZE) == 0);
            }
        }
    }
}

TEST(sector, a_tear_is_no_damage)
{
    uint8_t new[SECTOR_SIZE];
    uint8_t old[SECTOR_SIZE] = {0};
    fill(new, PLACE.segment, 3, 0xab);
    check_tears(old, new);
    fill(old, 2, 1, 0x55); /* recycled */
    check_tears(old, new);
    fill(old, PLACE.segment, 2, 0x55); /* of a tail that was cut */
    check_tears(old, new);
}

static void tear(uint8_t *sector, const uint8_t *image, size_t cut,
                 bool image_first)
{
    memcpy(sector + (image_first ? 0 : cut), image + (image_first ? 0 : cut),
           image_first ? cut : SECTOR_SIZE - cut);
}

/* Where cuts do something: every byte of the ends, some between. */
static size_t next_cut(size_t cut)
{
    return cut < 40 || cut >= SECTOR_SIZE - 24 ? cut + 1 : cut + 31;
}

static void expect_no_damage(const uint8_t *sector, const char *when)
{
    uint8_t copy[SECTOR_SIZE];
    memcpy(copy, sector, SECTOR_SIZE);
    if (sector_judge(copy, PLACE).state == SECTOR_DAMAGED) {
        print_error("damaged %s\n", when);
        fail();
    }
}

/* A write torn over `base`, cleaned with every step torn once, then another
 * write torn over the result. */
static void check_row(const uint8_t *base, const uint8_t *first,
                      const uint8_t *second, size_t cut1, size_t cut2,
                      unsigned ways)
{
    uint8_t s[SECTOR_SIZE];
    memcpy(s, base, SECTOR_SIZE);
    if (ways & 8) { /* the write itself was interrupted, then torn */
        uint8_t begun[SECTOR_SIZE];
        memcpy(begun, base, SECTOR_SIZE);
        tear(begun, first, cut2, true);
        tear(s, begun, cut1, ways & 1);
    } else {
        tear(s, first, cut1, ways & 1);
    }
    expect_no_damage(s, "by the first tear");
    for (;;) {
        uint8_t cleaner[SECTOR_SIZE];
        memcpy(cleaner, s, SECTOR_SIZE);
        if (!sector_clean_step(cleaner, PLACE)) {
            break;
        }
        tear(s, cleaner, cut2, ways & 2);
        expect_no_damage(s, "while cleaned");
        memcpy(cleaner, s, SECTOR_SIZE);
        if (sector_clean_step(cleaner, PLACE)) { /* the next opening's */
            memcpy(s, cleaner, SECTOR_SIZE);
        }
    }
    EXPECT_INT(sector_judge(s, PLACE).state, SECTOR_ABSENT);
    tear(s, second, cut2, ways & 4);
    expect_no_damage(s, "by the second tear");
}

/* Power may go again while a log is opened after power went. */
TEST(sector, a_row_of_tears_is_no_damage)
{
    uint8_t first[SECTOR_SIZE];
    uint8_t second[SECTOR_SIZE];
    uint8_t old[SECTOR_SIZE];
    const uint8_t empty[SECTOR_SIZE] = {0};
    fill(first, PLACE.segment, 3, 0xab);
    fill(second, PLACE.segment, 4, 0xcd);
    fill(old, 2, 1, 0x55);
    for (size_t cut1 = 0; cut1 <= SECTOR_SIZE; cut1 = next_cut(cut1)) {
        for (size_t cut2 = 0; cut2 <= SECTOR_SIZE; cut2 = next_cut(cut2)) {
            for (unsigned ways = 0; ways < 16; ways++) {
                check_row(empty, first, second, cut1, cut2, ways);
                check_row(old, first, second, cut1, cut2, ways);
            }
        }
    }
}

/* Damage that passed for a tear would cut off what was acknowledged. */
TEST(sector, a_changed_byte_is_damage_or_is_mended)
{
    uint8_t good[SECTOR_SIZE];
    fill(good, PLACE.segment, 3, 0xab);
    for (size_t i = 0; i < SECTOR_SIZE; i++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t changed[SECTOR_SIZE];
            memcpy(changed, good, SECTOR_SIZE);
            changed[i] = (uint8_t)value;
            const struct sector_verdict v = sector_judge(changed, PLACE);
            if (v.state == SECTOR_GOOD) {
                EXPECT(memcmp(changed, good, SECTOR_SIZE) == 0);
                EXPECT_INT(v.opening, 3);
                EXPECT(v.head);
            } else {
                EXPECT_INT(v.state, SECTOR_DAMAGED);
            }
        }
    }
}

/* A write that the disk put in the wrong place must not pass for the one that
 * belongs there, nor for a place that was never written. */
TEST(sector, another_places_sector_is_damage)
{
    uint8_t sector[SECTOR_SIZE];
    fill(sector, PLACE.segment, 3, 0xab);
    const struct sector_place elsewhere = {PLACE.segment, PLACE.number + 1};
    EXPECT_INT(sector_judge(sector, elsewhere).state, SECTOR_DAMAGED);
    const struct sector_place far = {PLACE.segment, PLACE.number + 0x1000000};
    EXPECT_INT(sector_judge(sector, far).state, SECTOR_DAMAGED);
}

/* A sector full of junk (CORDS, Ganesan et al., FAST 2017) is no tear. */
TEST(sector, of_junk_is_damage)
{
    struct prng p;
    prng_init(&p, test_seed());
    uint8_t sector[SECTOR_SIZE];
    for (int i = 0; i < 10000; i++) {
        prng_fill(&p, sector, SECTOR_SIZE);
        EXPECT_INT(sector_judge(sector, PLACE).state, SECTOR_DAMAGED);
    }
    memset(sector, 0xff, SECTOR_SIZE);
    EXPECT_INT(sector_judge(sector, PLACE).state, SECTOR_DAMAGED);
}

/* Space that was used before is no record of now. */
TEST(sector, recycled_and_empty_space_is_absent)
{
    uint8_t sector[SECTOR_SIZE] = {0};
    EXPECT_INT(sector_judge(sector, PLACE).state, SECTOR_ABSENT);
    fill(sector, 6, 9, 0xab);
    EXPECT_INT(sector_judge(sector, PLACE).state, SECTOR_ABSENT);
    sector[100] ^= 1; /* rotten: nobody needs it */
    EXPECT_INT(sector_judge(sector, PLACE).state, SECTOR_ABSENT);
}
