/* The end of the log that is not known to be durable here: new entries, and a
 * snapshot on its way into the storage.
 *
 *      storage           | being written | to be written
 *   -- … -- … -- … -- …  |  …  --  …  -- |  …  --  …
 *                        ^ offset        ^ offset_in_progress
 *
 * offset may lie below the storage's last index: then the entries from offset
 * on replace what the storage has there. */
#ifndef RAFT_UNSTABLE_H
#define RAFT_UNSTABLE_H

#include "raft/message.h"

/* Names one entry: two logs that hold the same one are equal up to it
 * (section 3.5, Log Matching). */
struct raft_entry_id {
    uint64_t term;
    uint64_t index;
};

struct raft_unstable {
    struct raft_entry *list; /* a queue: from start on, without a wrap */
    size_t start;
    size_t count;
    size_t capacity;
    uint64_t offset; /* the index of the first one, also when there is none */
    uint64_t offset_in_progress;    /* offset <= this <= offset + count */
    struct raft_snapshot *snapshot; /* NULL: none; index < offset */
    bool snapshot_in_progress;
};

void raft_unstable_init(struct raft_unstable *u, uint64_t offset);
void raft_unstable_fini(struct raft_unstable *u);

/* offset <= index < offset + count; borrowed. */
const struct raft_entry *raft_unstable_at(const struct raft_unstable *u,
                                          uint64_t index);
/* False: neither an unstable entry nor the snapshot has this index. */
bool raft_unstable_term(const struct raft_unstable *u, uint64_t index,
                        uint64_t *ret_term);
/* Consecutive entries, held; all from the first one's index on is replaced. */
void raft_unstable_append(struct raft_unstable *u,
                          const struct raft_entry *entries, size_t count);
/* Everything is replaced by a snapshot, held. */
void raft_unstable_restore(struct raft_unstable *u, struct raft_snapshot *s);

/* What is to be written and not being written yet. */
const struct raft_entry *raft_unstable_next(const struct raft_unstable *u,
                                            size_t *ret_count);
bool raft_unstable_has_next_snapshot(const struct raft_unstable *u);
/* All of that is being written now. */
void raft_unstable_accept(struct raft_unstable *u);
/* Everything up to this entry is durable, if it is still the one here: a
 * response may come after the entries were replaced. */
void raft_unstable_stable_to(struct raft_unstable *u, struct raft_entry_id id);
void raft_unstable_stable_snapshot_to(struct raft_unstable *u, uint64_t index);

#endif
