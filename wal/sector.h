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
 * A tear leaves the stamps of two lives at the two ends (or, torn twice, parts
 * of them); damage of a byte leaves a stamp broken, which the other one mends,
 * or the checksum wrong; a sector of junk has stamps that are none.
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
#define SECTOR_CLEAN_STEPS 2 /* sector_clean_step() has no third */

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
    bool unclean; /* bears this segment's name, whole or in part, or a broken
                     stamp */
};
/* Mends a broken stamp in place when all the rest agrees. */
struct sector_verdict sector_judge(uint8_t *sector, struct sector_place place);

/* One step towards a sector that nobody can take for one of this segment: a
 * stamp is zeroed, the one whose tearing cannot matter.  False: it is clean.
 * Each step must be synced before the next.  A sector is only written for the
 * first time when it is clean: then no row of power cuts, each tearing what was
 * being written, leaves what could be taken for damage. */
bool sector_clean_step(uint8_t *sector, struct sector_place place);

/* Copies plain bytes into the rooms of a row of sectors; `at` is the position
 * in the rooms taken together. */
void sectors_fill(uint8_t *sectors, uint64_t at, struct bytes from);

static inline uint64_t sectors_for(uint64_t bytes)
{
    return (bytes + SECTOR_ROOM - 1) / SECTOR_ROOM;
}

#endif
