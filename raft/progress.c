/* One follower as the leader sees it: see the diagram in progress.h. */

#include "raft/progress.h"

#include "base/must.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void enter(struct raft_progress *p, enum raft_progress_state state)
{
    p->state = state;
    p->flow_paused = false;
    p->pending_snapshot = 0;
    raft_inflights_reset(&p->inflights);
}

void raft_progress_become_probe(struct raft_progress *p)
{
    /* A snapshot that was reported as received is where to go on. */
    const uint64_t base = max_u64(p->match, p->pending_snapshot);
    enter(p, RAFT_PROBE);
    p->next = base + 1;
    p->sent_commit = min_u64(p->sent_commit, p->next - 1);
    must(p->match < p->next);
}

void raft_progress_become_replicate(struct raft_progress *p)
{
    enter(p, RAFT_REPLICATE);
    p->next = p->match + 1;
}

void raft_progress_become_snapshot(struct raft_progress *p, uint64_t index)
{
    must(index > 0);
    enter(p, RAFT_SENDING_SNAPSHOT);
    p->pending_snapshot = index;
    p->next = index + 1;
    p->sent_commit = index;
}

bool raft_progress_is_paused(const struct raft_progress *p)
{
    return p->state == RAFT_SENDING_SNAPSHOT || p->flow_paused;
}

void raft_progress_sent(struct raft_progress *p, size_t count, uint64_t bytes)
{
    must(p->state != RAFT_SENDING_SNAPSHOT);
    if (p->state == RAFT_PROBE) {
        p->flow_paused = p->flow_paused || count > 0;
        return;
    }
    if (count > 0) {
        p->next += count;
        raft_inflights_add(&p->inflights,
                           (struct raft_inflight){p->next - 1, bytes});
    }
    /* What is sent with a full window is a probe: if all in the window were
     * lost, its answer starts the flow again. */
    p->flow_paused = raft_inflights_full(&p->inflights);
}

bool raft_progress_wants_commit(const struct raft_progress *p, uint64_t commit)
{
    return commit > p->sent_commit && p->sent_commit < p->next - 1;
}

bool raft_progress_acknowledge(struct raft_progress *p, uint64_t index)
{
    if (index <= p->match) {
        return false;
    }
    p->match = index;
    p->next = max_u64(p->next, index + 1);
    p->flow_paused = false;
    return true;
}

bool raft_progress_reject(struct raft_progress *p, uint64_t rejected,
                          uint64_t hint)
{
    if (p->state == RAFT_REPLICATE) {
        if (rejected <= p->match) {
            return false; /* it has acknowledged that since */
        }
        p->next = p->match + 1;
    } else {
        if (p->state == RAFT_SENDING_SNAPSHOT || rejected != p->next - 1) {
            return false; /* not the answer to the last probe */
        }
        p->next = max_u64(min_u64(rejected, hint + 1), p->match + 1);
        p->flow_paused = false;
    }
    p->sent_commit = min_u64(p->sent_commit, p->next - 1);
    must(p->match < p->next);
    return true;
}

void raft_progress_forget(struct raft_progress *p, uint64_t next)
{
    p->match = 0;
    if (p->state == RAFT_SENDING_SNAPSHOT) {
        return; /* what it gets will tell */
    }
    enter(p, RAFT_PROBE);
    p->next = max_u64(next, 1);
    p->sent_commit = min_u64(p->sent_commit, p->next - 1);
}
