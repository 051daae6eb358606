/* The write-ahead log: entries and hard state, durable before anything that
 * depends on them is said.  The format is docs/FORMATS.md, byte by byte.
 *
 * Files live in one directory (base/disk.h): segments of a fixed size, filled
 * with zeros when made (an overwrite of existing blocks is one device flush; a
 * growing file is more) and recycled when the store no longer needs them.
 *
 * Promises
 *  W1  What wal_sync() confirmed is found by the next wal_open(), or that open
 *      fails and says where: never silently less.
 *  W2  Every record carries its length, type, segment, offset, how far the log
 *      was known to be synced when it was written, and a CRC-32C chained over
 *      the record before: a byte changed anywhere is noticed.
 *  W3  A tail that was never synced may be torn: it is cut and reported.
 *      Damage at or below a point that was known to be synced is never taken
 *      for a torn tail, nor is any changed byte of the last batch, which no
 *      later record vouches for: every sector vouches for itself. The limit: a
 *      whole sector of the last batch that reads as never written.
 *  W4  A damaged entry below that point is reported with its index and term,
 *      from the identifiers, so that it can be fetched from a peer; and, if
 *      what follows can be read, where the log ended and its hard state.
 *  W5  A failed write or sync is final: every later call fails with ST_IO.
 *
 * Threads: one at a time; the host's WAL thread, or its loop when nothing else
 * is ready. wal_reserve(), wal_unreserve(), wal_wants_tending() and wal_stats()
 * may be called beside it, by one thread (the loop), and do not block.
 */
#ifndef WAL_WAL_H
#define WAL_WAL_H

#include "base/disk.h"
#include "base/fault.h"
#include "raft/types.h"

struct wal;

struct wal_options {
    uint64_t segment_size; /* bytes; 64 MiB by default; >= 4 KiB; of new
                              segments only */
    uint64_t cluster_id;   /* of a new log; checked against an old one's,
                              unless 0 */
    uint64_t member_id;    /* likewise */
    uint32_t recycled_max; /* spare segments kept */
};
void wal_options_default(struct wal_options *ret);

/* What a restart finds. Entries above the start are handed over in order by
 * calling entry(arg, e); one with an index at or below an earlier one's
 * replaces it and all that follow it (a leader's log won over ours).  The
 * payload is borrowed for the call; hold it to keep it. */
struct wal_recovery {
    struct raft_hard_state hard_state; /* commit is between start and end */
    uint64_t cluster_id, member_id;
    uint64_t first_index; /* of the entries that are there; 0: none */
    uint64_t last_index;  /* start_index when there are none */
    uint64_t start_index; /* the log begins after this index, ... */
    uint64_t start_term;  /* ... which had this term (0, 0: from the start) */
    bool torn;            /* a tail was cut: torn_text says where */
    char torn_text[160];
    uint64_t damaged_index; /* 0, or the first entry that is damaged below a
                               synced point; it and what follows was not
                               handed over */
    uint64_t damaged_term;  /* 0: its identifier is damaged too */
    char damaged_text[256]; /* where, and what */
    /* With ST_CORRUPT: what the log says behind the damage, or at it, tells how
     * it ended.  Then hard_state is the newest (but for commit, which is what
     * it says), and the last entry had this index and term; wal_mend() can go
     * on, and who has peers can get back what is lost in between. */
    bool end_is_known;
    uint64_t end_index, end_term;
};

/* Opens the log in the directory, or makes a new one when the directory is
 * empty.  Takes the disk over, also when it fails.
 *   ST_INVALID  the directory holds something else, or another member's log
 *   ST_CORRUPT  damage below a synced point: file, offset and what to do are in
 *               the fault; *ret_recovery says which entry, and *ret is NULL
 *   ST_NO_SPACE, ST_IO                                                       */
enum status wal_open(struct disk *disk, const struct wal_options *options,
                     void (*entry)(void *arg, const struct raft_entry *e),
                     void *arg, struct wal_recovery *ret_recovery,
                     struct wal **ret, struct fault *reterr) MUST_USE;
/* Gives up a log that wal_open() found damaged, and whose end is known: what
 * was found (as wal_open() left it) says whose it is and the hard state, and
 * the new log begins behind (index, term), all of it committed.  The caller has
 * made sure that what is lost will not be missed, and appends what wal_open()
 * handed over and shall stay.  Durable when it returns; a crash before leaves
 * the damaged log.  Takes the disk over, also when it fails.
 *   ST_NO_SPACE, ST_IO, ST_INVALID                                           */
enum status wal_mend(struct disk *disk, const struct wal_options *options,
                     const struct wal_recovery *found, uint64_t index,
                     uint64_t term, struct wal **ret,
                     struct fault *reterr) MUST_USE;
/* Closes without syncing; NULL is fine. */
void wal_close(struct wal *w);

struct wal_batch {
    const struct raft_hard_state *hard_state; /* NULL: unchanged */
    const struct raft_entry *entries;
    size_t entries_count;
};

/* Writes the batch behind what is there: one record and one write for each
 * segment it touches, which is one; not durable before wal_sync().  Indexes
 * rise by one, from at most the last one's successor; what an earlier entry
 * with the same index held is replaced.
 *   ST_NO_SPACE, ST_TOO_LARGE  nothing was written and the log goes on as
 *                              before (but a full disk met while writing is
 *                              final: then ST_IO is what the next call says)
 *   ST_IO                      final                                         */
enum status wal_append(struct wal *w, const struct wal_batch *batch,
                       struct fault *reterr) MUST_USE;
/* One fdatasync; none when nothing was written since. (An append that begins a
 * segment syncs what it leaves in the one before.) */
enum status wal_sync(struct wal *w, struct fault *reterr) MUST_USE;

/* What an entry takes in the log besides its data, at most. */
#define WAL_ENTRY_OVERHEAD 1024

/* Space is promised before an entry enters raft: true when one more entry with
 * `bytes` of data is sure to fit beside all that was promised and not yet
 * written; wal_append() keeps the promise.  For n entries in one call add
 * (n - 1) * WAL_ENTRY_OVERHEAD to the sum of their sizes.  False: the disk has
 * no room for the next segment (or, rarely, more is in flight than two segments
 * hold); nothing was promised, and wal_tend() tries again to make one. */
bool wal_reserve(struct wal *w, uint64_t bytes);
/* Takes one such promise back, for an entry that will not be appended. The
 * loop's, as wal_reserve(). */
void wal_unreserve(struct wal *w, uint64_t bytes);

/* True when there is no segment ready for when this one is full. Any thread. */
bool wal_wants_tending(const struct wal *w);
/* Makes the next segment when there is none, at most bytes_max of it in one
 * call, so that the host can do it while idle: otherwise the append that needs
 * it does it all.  *ret_more: it is not finished.  ST_NO_SPACE is not final. */
enum status wal_tend(struct wal *w, uint64_t bytes_max, bool *ret_more,
                     struct fault *reterr) MUST_USE;

/* Forgets entries at or below index (the term is that entry's): the store has
 * them durably.  Segments that hold nothing else are recycled, which costs a
 * write, a sync and a sync of the directory; when there are none it is free.
 * ST_NO_SPACE is not final: no room for the mark, nothing was changed. */
enum status wal_trim(struct wal *w, uint64_t index, uint64_t term,
                     struct fault *reterr) MUST_USE;

/* Starts again after a snapshot at (index, term) replaced everything; durable
 * when it returns. ST_NO_SPACE is not final. */
enum status wal_restart_at(struct wal *w, uint64_t index, uint64_t term,
                           struct fault *reterr) MUST_USE;

struct wal_stats {
    uint64_t syncs, writes, bytes_written;
    uint64_t segments, bytes_on_disk;
};
void wal_stats(const struct wal *w, struct wal_stats *ret);

#endif
