/* Where raft reads the log that it has handed out for saving, and the log in
 * memory that does for most hosts.
 *
 * The host writes; raft only reads, and never modifies through this
 * interface.  All calls come from inside raft_… functions, on their thread,
 * and must answer at once: a storage that would have to go to the disk says
 * ST_BUSY and raft asks again at the next occasion. */
#ifndef RAFT_STORAGE_H
#define RAFT_STORAGE_H

#include "raft/message.h"

struct raft_storage;

struct raft_storage_ops {
    /* What was durable when the process started; asked once by raft_new().
     * ret_conf is the configuration as of the entry that is applied; its arrays
     * are borrowed until the storage changes.  It is empty on a member that
     * joins: such a one must get a snapshot first, so a group's log begins
     * with one (an index above 0), whose configuration is the first. */
    enum status (*initial_state)(struct raft_storage *s,
                                 struct raft_hard_state *ret_state,
                                 struct raft_conf_state *ret_conf);
    /* Adds the entries of [lo, hi) to *to, oldest first, as many as max_bytes
     * (by raft_entry_size) allow, but at least one.  lo < hi.
     *   ST_COMPACTED  lo is below first_index
     *   ST_NOT_FOUND  hi is above last_index + 1
     *   ST_BUSY       not at hand now: *to is unchanged; never for entries
     *                 that are committed and not applied                    */
    enum status (*entries)(struct raft_storage *s, uint64_t lo, uint64_t hi,
                           uint64_t max_bytes, struct raft_entries *to);
    /* The term of the entry at index, for [first_index - 1, last_index].
     *   ST_COMPACTED  below that
     *   ST_NOT_FOUND  above                                                 */
    enum status (*term)(struct raft_storage *s, uint64_t index,
                        uint64_t *ret_term);
    /* The oldest entry that can be had: one above the last compacted one, even
     * if there is none. */
    uint64_t (*first_index)(struct raft_storage *s);
    /* The newest entry saved, or the last compacted one. */
    uint64_t (*last_index)(struct raft_storage *s);
    /* The latest snapshot; the caller becomes a holder.  Its index is at least
     * first_index - 1.  One that does not know the follower as a member is not
     * sent: after a change of the configuration there should be a new one.
     *   ST_BUSY  being made: raft asks again at a later occasion            */
    enum status (*snapshot)(struct raft_storage *s,
                            struct raft_snapshot **ret_snapshot);
};

/* Embedded first in the host's own struct. */
struct raft_storage {
    const struct raft_storage_ops *ops;
};

/* The log in memory: entries above a compacted index, one hard state, one
 * snapshot.  A host keeps its recent entries in one and its own snapshots
 * beside it by wrapping the ops. */
struct raft_memory_storage;

struct raft_memory_storage *raft_memory_storage_new(void);
void raft_memory_storage_free(struct raft_memory_storage *s);
/* For struct raft_config; lives as long as s. */
struct raft_storage *raft_memory_storage_base(struct raft_memory_storage *s);

void raft_memory_storage_set_hard_state(struct raft_memory_storage *s,
                                        const struct raft_hard_state *state);
/* What initial_state answers as long as there is no snapshot.  Copied. */
void raft_memory_storage_set_conf(struct raft_memory_storage *s,
                                  const struct raft_conf_state *conf);
/* Adds consecutive entries (held); those from the first one's index on are
 * replaced, those that were compacted already are skipped.
 *
 *   ST_INVALID  they would leave a gap                                      */
enum status raft_memory_storage_append(struct raft_memory_storage *s,
                                       const struct raft_entry *entries,
                                       size_t count) MUST_USE;
/* Forgets the entries up to and including index.
 *
 *   ST_COMPACTED  they are gone already
 *   ST_NOT_FOUND  index is above the last one                               */
enum status raft_memory_storage_compact(struct raft_memory_storage *s,
                                        uint64_t index) MUST_USE;
/* Replaces the whole log by a snapshot (held).
 *
 *   ST_COMPACTED  a snapshot at least as new is there                       */
enum status
raft_memory_storage_apply_snapshot(struct raft_memory_storage *s,
                                   struct raft_snapshot *snapshot) MUST_USE;
/* Makes the snapshot of the state machine as of index; the log stays until it
 * is compacted.  conf is copied, data held.  ret_snapshot may be NULL; the
 * caller becomes a holder of *ret_snapshot.
 *
 *   ST_COMPACTED  a snapshot at least as new is there
 *   ST_NOT_FOUND  index is above the last entry                             */
enum status raft_memory_storage_create_snapshot(
    struct raft_memory_storage *s, uint64_t index,
    const struct raft_conf_state *conf, struct payload *data,
    struct raft_snapshot **ret_snapshot) MUST_USE;

/* For the host's own bookkeeping. */
uint64_t raft_memory_storage_first_index(const struct raft_memory_storage *s);
uint64_t raft_memory_storage_last_index(const struct raft_memory_storage *s);
/* Borrowed until the storage changes; NULL when it is not there. */
const struct raft_entry *
raft_memory_storage_entry(const struct raft_memory_storage *s, uint64_t index);
/* Bytes of all entries by raft_entry_size(). */
uint64_t raft_memory_storage_size(const struct raft_memory_storage *s);

#endif
