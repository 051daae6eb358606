/* Records: what one append put into the log, and the log's small state with it.
 *
 * A record begins at a sector and fills whole ones.  Its head and the
 * identifiers of its entries come first, in sectors of their own; the data of
 * the entries follow in other sectors, so that damage to the one leaves the
 * other readable.  Every record repeats the hard state and where the log
 * begins, so that the last record alone says both, however much was trimmed.
 *
 * Threads: none; no state.
 */
#ifndef WAL_RECORD_H
#define WAL_RECORD_H

#include "base/buf.h"
#include "raft/types.h"
#include "wal/sector.h"

#define RECORD_HEAD_SIZE  88
#define SEGMENT_HEAD_SIZE 124 /* of a RECORD_SEGMENT: the head and more */
#define IDENTIFIER_SIZE   28
#define RECORD_DATA_MAX   ((uint64_t)16 << 20) /* unless one entry is larger */

enum record_type {
    RECORD_SEGMENT = 1, /* the first of its segment */
    RECORD_BATCH = 2
};
#define RECORD_RESET 1u /* flag: nothing of the log before counts */

struct record_head {
    uint32_t type;
    uint32_t sectors; /* all of the record */
    uint32_t entries; /* count */
    uint32_t flags;
    uint32_t chain;    /* checksum of the record before; 0 for the first */
    uint32_t checksum; /* of head and identifiers, continuing `chain` */
    uint64_t synced;   /* bytes of this segment that were known to be synced */
    struct raft_hard_state hard_state; /* with this record */
    uint64_t start_index, start_term;  /* the log begins after it */
    uint64_t last_index, last_term;    /* end of the log before this record */
    /* only of RECORD_SEGMENT */
    uint64_t cluster_id, member_id;
    uint32_t previous;     /* id of the segment before; 0: none */
    uint32_t previous_end; /* sectors that were used of it */
    uint32_t file_sectors; /* of this segment */
};

struct identifier {
    uint64_t index;
    uint64_t term;
    uint32_t size;     /* bytes of data */
    uint32_t checksum; /* CRC-32C of the data */
    uint32_t type;
};

/* Bytes of head and identifiers. */
uint64_t record_meta_size(uint32_t type, uint64_t entries);
/* Sectors of a batch of so many entries with so many bytes of data. */
uint64_t record_sectors(uint64_t entries, uint64_t data_size);

/* Appends the record's sectors to `out`, to be written at `place`; fills in
 * head->sectors and head->checksum.  The entries' count is head->entries. */
void record_write(struct buf *out, struct sector_place place, uint32_t opening,
                  struct record_head *head, const struct raft_entry *entries);

enum record_format {
    RECORD_OK,
    RECORD_WRONG,   /* contradicts itself */
    RECORD_TOO_NEW, /* a format of a later program */
};
/* Reads a head from the first bytes of a record and checks what can be checked
 * of it alone; room_sectors: how long it may be at most. */
enum record_format record_head_read(struct bytes first, uint64_t room_sectors,
                                    struct record_head *ret);
/* Whether the head and identifiers have their checksum, and agree with each
 * other; meta has record_meta_size() bytes. */
bool record_meta_is_right(const struct record_head *head, struct bytes meta);
struct identifier record_identifier(const struct record_head *head,
                                    struct bytes meta, uint32_t i);

#endif
