/* From what is in the directory to the log it says: which segments count, where
 * the log ends, whether it is whole.  Reads only.
 *
 * Threads: none; one user.
 */
#ifndef WAL_REPLAY_H
#define WAL_REPLAY_H

#include "wal/directory.h"

struct replay {
    struct segment *run; /* that count, in order; at least one */
    size_t count;
    /* after the last good record of the last one */
    uint32_t next, chain;
    uint32_t opening_max; /* seen anywhere in it */
    uint32_t unclean_end; /* 0, or clean it up to here before going on */
    uint32_t synced;      /* sectors of it that a record vouches for */
    struct record_head head;
    uint64_t last_index, last_term;
};

/* Reads the log whose newest segment is `last` and hands over its entries.
 *   ST_CORRUPT  *ret_recovery says what was handed over and what is damaged;
 *               ret is not set
 *   ST_IO                                                                    */
enum status replay_log(struct disk *disk, const struct directory *d,
                       const struct found *last,
                       void (*entry)(void *arg, const struct raft_entry *e),
                       void *arg, struct wal_recovery *ret_recovery,
                       struct replay *ret, struct fault *reterr) MUST_USE;
void replay_fini(struct replay *r);

/* The text of all damage: where, what, and what to do. */
enum status replay_corrupt(struct fault *reterr, uint32_t segment,
                           uint64_t offset, const char *what) MUST_USE;

#endif
