/* Sealing and judging sectors: docs/FORMATS.md, "Sectors". */

#include "wal/sector.h"

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

#define STAMP_SIZE   16
#define STAMP_MARKED 12 /* bytes of a stamp that its mark covers */
#define CRC_OFFSET   16
#define END_OFFSET   496
#define HEAD_BIT     0x80000000u

enum edge { EDGE_ZERO, EDGE_VALID, EDGE_BROKEN };

struct stamp {
    enum edge edge;
    bool misplaced; /* broken: valid, but of another place */
    bool head;
    uint32_t segment;
    uint32_t opening;
};

static uint32_t sector_crc(const uint8_t *sector)
{
    const uint32_t crc = crc32c(0, (struct bytes){sector, CRC_OFFSET});
    return crc32c(crc, (struct bytes){sector + SECTOR_ROOM_OFFSET,
                                      SECTOR_SIZE - SECTOR_ROOM_OFFSET});
}

static void stamp_put(uint8_t *at, struct sector_place place, bool head,
                      uint32_t opening)
{
    put_u32(at, place.number | (head ? HEAD_BIT : 0));
    put_u32(at + 4, place.segment);
    put_u32(at + 8, opening);
    put_u32(at + 12, crc32c(0, (struct bytes){at, STAMP_MARKED}));
}

static struct stamp stamp_get(const uint8_t *at, uint32_t number)
{
    static const uint8_t zeros[STAMP_SIZE];
    if (memcmp(at, zeros, STAMP_SIZE) == 0) {
        return (struct stamp){.edge = EDGE_ZERO};
    }
    const uint32_t first = get_u32(at);
    if (get_u32(at + 12) != crc32c(0, (struct bytes){at, STAMP_MARKED})) {
        return (struct stamp){.edge = EDGE_BROKEN};
    }
    if ((first & ~HEAD_BIT) != number) {
        return (struct stamp){.edge = EDGE_BROKEN, .misplaced = true};
    }
    return (struct stamp){.edge = EDGE_VALID,
                          .head = (first & HEAD_BIT) != 0,
                          .segment = get_u32(at + 4),
                          .opening = get_u32(at + 8)};
}

void sector_seal(uint8_t *sector, struct sector_place place, bool head,
                 uint32_t opening)
{
    must(place.segment > 0);
    must(place.number <= SECTOR_NUMBER_MAX);
    stamp_put(sector, place, head, opening);
    stamp_put(sector + END_OFFSET, place, head, opening);
    put_u32(sector + CRC_OFFSET, sector_crc(sector));
}

static bool same_life(const struct stamp *a, const struct stamp *b)
{
    return a->segment == b->segment && a->opening == b->opening &&
           a->head == b->head;
}

static bool is_unclean(const struct stamp *s, uint32_t segment)
{
    return s->edge == EDGE_BROKEN ||
           (s->edge == EDGE_VALID && s->segment == segment);
}

/* Of another life: whatever else is in the sector, it is not all ours. */
static bool is_not_ours(const struct stamp *s, uint32_t segment)
{
    return s->edge == EDGE_ZERO ||
           (s->edge == EDGE_VALID && s->segment != segment);
}

/* A stamp that was torn has bytes of two lives, and the numbers in both are the
 * same; one that was never written is zero.  Junk is something else. */
static bool may_be_torn(const uint8_t *at, uint32_t number)
{
    uint8_t whole[4];
    put_u32(whole, number);
    for (size_t i = 0; i < 3; i++) { /* the fourth has the head's bit */
        if (at[i] != 0 && at[i] != whole[i]) {
            return false;
        }
    }
    return true;
}

struct sector_verdict sector_judge(uint8_t *sector, struct sector_place place)
{
    const struct stamp front = stamp_get(sector, place.number);
    const struct stamp end = stamp_get(sector + END_OFFSET, place.number);
    struct sector_verdict verdict = {.state = SECTOR_ABSENT,
                                     .unclean =
                                         is_unclean(&front, place.segment) ||
                                         is_unclean(&end, place.segment)};
    const bool both = front.edge == EDGE_VALID && end.edge == EDGE_VALID;
    if (is_not_ours(&front, place.segment) ||
        is_not_ours(&end, place.segment) ||
        (both && !same_life(&front, &end))) {
        return verdict;
    }
    if (front.edge == EDGE_BROKEN && end.edge == EDGE_BROKEN) {
        if (front.misplaced || end.misplaced ||
            !may_be_torn(sector, place.number) ||
            !may_be_torn(sector + END_OFFSET, place.number)) {
            verdict.state = SECTOR_DAMAGED;
        }
        return verdict;
    }
    verdict.state = SECTOR_DAMAGED;
    if (front.edge == EDGE_BROKEN) {
        stamp_put(sector, place, end.head, end.opening);
    } else if (end.edge == EDGE_BROKEN) {
        stamp_put(sector + END_OFFSET, place, front.head, front.opening);
    }
    if (sector_crc(sector) != get_u32(sector + CRC_OFFSET)) {
        return verdict;
    }
    const struct stamp *known = front.edge == EDGE_VALID ? &front : &end;
    verdict.state = SECTOR_GOOD;
    verdict.head = known->head;
    verdict.opening = known->opening;
    return verdict;
}

/* While one end is not ours the sector is absent, however the other one tears.
 * When neither is, it is whole (or torn twice), and stays so while the front
 * one tears: the end one mends it. */
bool sector_clean_step(uint8_t *sector, struct sector_place place)
{
    const struct stamp front = stamp_get(sector, place.number);
    const struct stamp end = stamp_get(sector + END_OFFSET, place.number);
    if (is_unclean(&front, place.segment)) {
        memset(sector, 0, STAMP_SIZE);
        return true;
    }
    if (is_unclean(&end, place.segment)) {
        memset(sector + END_OFFSET, 0, STAMP_SIZE);
        return true;
    }
    return false;
}

void sectors_fill(uint8_t *sectors, uint64_t at, struct bytes from)
{
    while (from.size > 0) {
        const size_t in_room = (size_t)(at % SECTOR_ROOM);
        const size_t left = SECTOR_ROOM - in_room;
        const size_t n = from.size < left ? from.size : left;
        memcpy(sectors + at / SECTOR_ROOM * SECTOR_SIZE + SECTOR_ROOM_OFFSET +
                   in_room,
               from.data, n);
        from = bytes_after(from, n);
        at += n;
    }
}
