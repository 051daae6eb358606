/* What comes back from the host's storage: entries and snapshots that are
 * durable, entries that are applied. */

#include "base/must.h"
#include "raft/internal.h"

static void applied_to(struct raft *r, uint64_t index, uint64_t size)
{
    const uint64_t before = r->log.applied;
    raft_log_applied_to(&r->log, index > before ? index : before, size);
    raft_maybe_leave_joint(r);
}

void raft_on_storage_append_response(struct raft *r,
                                     const struct raft_message *m)
{
    /* Entries written in an earlier term may be overwritten by a write on its
     * way, which brings back the same term at the same index: only a response
     * of the present term says what the storage will end up with. */
    if (m->index != 0 && m->term == r->term) {
        raft_unstable_stable_to(&r->log.unstable,
                                (struct raft_entry_id){m->log_term, m->index});
    }
    /* A snapshot is committed state and stays true in every term. */
    if (m->snapshot != NULL) {
        raft_unstable_stable_snapshot_to(&r->log.unstable, m->snapshot->index);
        applied_to(r, m->snapshot->index, 0);
    }
}

void raft_on_storage_apply_response(struct raft *r,
                                    const struct raft_message *m)
{
    must(m->entries.count > 0);
    const struct raft_entry *entries = m->entries.list;
    uint64_t size = 0;
    uint64_t payloads_size = 0;
    for (size_t i = 0; i < m->entries.count; i++) {
        size += raft_entry_size(&entries[i]);
        payloads_size += payload_bytes(entries[i].payload).size;
    }
    applied_to(r, entries[m->entries.count - 1].index, size);
    raft_reduce_uncommitted(r, payloads_size);
}
