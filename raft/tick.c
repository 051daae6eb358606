/* Time: elections that are due, heartbeats, and the leader's regular look
 * whether a quorum still answers.
 *
 * election_elapsed counts, on a follower, the ticks since it heard of its
 * leader; on candidates since the election began; on a leader since the last
 * check of the quorum or the start of a hand-over. */

#include "base/must.h"
#include "raft/internal.h"

static void tick_election(struct raft *r)
{
    r->election_elapsed++;
    if (r->election_elapsed >= r->election_timeout && raft_is_promotable(r)) {
        r->election_elapsed = 0;
        raft_campaign(r);
    }
}

/* Section 6.2: a leader that cannot reach a quorum must not go on, or clients
 * would wait for it for ever. */
static void check_quorum(struct raft *r)
{
    if (!raft_members_quorum_is_active(&r->members)) {
        raft_become_follower(r, r->term, RAFT_NONE);
    }
    for (size_t i = 0; i < r->members.count; i++) {
        struct raft_progress *p = &r->members.list[i];
        if (p->id != r->id) {
            p->recent_active = false;
        }
    }
}

static void tick_heartbeat(struct raft *r)
{
    must(r->role == RAFT_LEADER);
    r->heartbeat_elapsed++;
    r->election_elapsed++;
    if (r->election_elapsed >= r->config.election_ticks) {
        r->election_elapsed = 0;
        if (raft_members_find(&r->members, r->id) == NULL &&
            r->config.removed_may_lead) {
            raft_become_follower(r, r->term, RAFT_NONE); /* one of the others */
            return;
        }
        if (r->config.check_quorum) {
            check_quorum(r);
        }
        /* Section 3.10: after an election timeout the heir is taken for failed
         * and the leader goes on. */
        r->transfer_to = RAFT_NONE;
    }
    if (r->role == RAFT_LEADER &&
        r->heartbeat_elapsed >= r->config.heartbeat_ticks) {
        r->heartbeat_elapsed = 0;
        raft_broadcast_heartbeat(r);
    }
}

void raft_tick(struct raft *r)
{
    if (r->role == RAFT_LEADER) {
        tick_heartbeat(r);
    } else {
        tick_election(r);
    }
}
