/* What a leader knows and assumes of one member's log, and how fast it sends.
 *
 *               rejected, unreachable
 *            +-------------------------+
 *            v                         |
 *         PROBE --- acknowledged --> REPLICATE
 *            | ^                       |
 *   log is   | | snapshot reported     | log is gone
 *   gone     v |                       |
 *         SENDING_SNAPSHOT <-----------+
 *            |
 *            +--- acknowledged inside the log --> REPLICATE
 *
 * PROBE: one append, then wait for its answer or the answer to a heartbeat.
 * REPLICATE: next runs ahead of match by the window.  SENDING_SNAPSHOT: no
 * appends.  The dissertation has only match and next (section 3.5) and leaves
 * the pace to the implementer (section 10.2.1, pipelining). */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/inflights.h"
#include "raft/raft.h"

struct raft_progress {
    uint64_t id;
    enum raft_progress_state state;
    uint64_t match; /* its log is known to agree up to here */
    uint64_t next;  /* the first entry not sent; match < next */
    /* The greatest commit index it was told.  May be too great when a message
     * was lost; heartbeats repair that. */
    uint64_t sent_commit;
    uint64_t pending_snapshot; /* SENDING_SNAPSHOT: next - 1 */
    uint64_t read_position;    /* the newest waiting read it confirmed */
    bool recent_active;        /* since the last check of the quorum */
    bool flow_paused; /* PROBE, REPLICATE: until it answers something */
    bool is_learner;
    struct raft_inflights inflights;
};

void raft_progress_become_probe(struct raft_progress *p);
void raft_progress_become_replicate(struct raft_progress *p);
void raft_progress_become_snapshot(struct raft_progress *p, uint64_t index);
bool raft_progress_is_paused(const struct raft_progress *p);

/* An append with count entries of so many bytes was sent, from next on. */
void raft_progress_sent(struct raft_progress *p, size_t count, uint64_t bytes);
/* Would telling it this commit index be news? */
bool raft_progress_wants_commit(const struct raft_progress *p, uint64_t commit);
/* It acknowledged index.  False: that was known. */
bool raft_progress_acknowledge(struct raft_progress *p, uint64_t index);
/* It rejected an append after `rejected` and suggests its log may agree up to
 * hint.  False: that answer is too old to mean anything. */
bool raft_progress_reject(struct raft_progress *p, uint64_t rejected,
                          uint64_t hint);
/* It lost what it had acknowledged: nothing is known of its log, and `next` is
 * a place to ask at (0: the beginning). */
void raft_progress_forget(struct raft_progress *p, uint64_t next);

#endif
