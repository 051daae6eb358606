/* The log's files are rows of 512-byte sectors, and each sector can be judged
 * alone: was it written for this place, in which life of the log, and is it
 * whole?  So a sector that a power cut left old or half new is told from one
 * that was damaged later, without asking its neighbours.
 *
 *   0    stamp: number, segment, opening, mark
 *   16   CRC-32C of the rest of the sector
 *   20   476 bytes of a record
 *   496  the stamp once more
 *
 * A tear leaves the stamps of two lives at the two ends; damage of a byte
 * leaves a stamp broken, which the other one mends, or the checksum wrong.
 *
 * Threads: none; no state.
 */
#ifndef WAL_SECTOR_H
#define WAL_SECTOR_H

#include <stdbool.h>

#include "base/bytes.h"

#define SECTOR_SIZE        512
#define SECTOR_ROOM        476 /* bytes of a record in each sector */
#define SECTOR_ROOM_OFFSET 20
#define SECTOR_NUMBER_MAX  0x7fffffffu

struct sector_place {
    uint32_t segment; /* id; the first ever is 1 */
    uint32_t number;  /* in the file, from 0 */
};

/* Stamps and checksums a sector whose room is filled in.  head: a record begins
 * here.  opening: which opening of the log wrote it. */
void sector_seal(uint8_t *sector, struct sector_place place, bool head,
                 uint32_t opening);

enum sector_state {
    SECTOR_GOOD,
    SECTOR_ABSENT, /* never written in this segment's life, or torn */
    SECTOR_DAMAGED
};
struct sector_verdict {
    enum sector_state state;
    bool head;        /* when good */
    uint32_t opening; /* when good */
    bool unclean;     /* when not good: half written under this segment's name,
                         or with a broken stamp. A second tear over it could not
                         be told from damage: it is zeroed before it is used */
};
/* Mends a broken stamp in place when all the rest agrees. */
struct sector_verdict sector_judge(uint8_t *sector, struct sector_place place);

/* Copies between the rooms of a row of sectors and plain bytes; `at` is the
 * position in the row's rooms taken together. */
void sectors_fill(uint8_t *sectors, uint64_t at, struct bytes from);

static inline uint64_t sectors_for(uint64_t bytes)
{
    return (bytes + SECTOR_ROOM - 1) / SECTOR_ROOM;
}

#endif
