/* The states of a member and the moves between them.  Dissertation figure 3.3,
 * with the pre-candidate of section 9.6:
 *
 *                 timeout                 pre-votes of a quorum
 *   FOLLOWER ----------------> PRE_CANDIDATE ----------------> CANDIDATE
 *     ^  ^  ^                       |                           |    |
 *     |  |  +-- denied, leader, ----+     denied, leader,       |    | votes
 *     |  |      higher term               higher term           |    | of a
 *     |  +------------------------------------------------------+    | quorum
 *     |                                                              v
 *     +------ higher term, no active quorum, removed ------------- LEADER
 *
 * Without pre_vote, and for the heir of a leader, FOLLOWER goes straight to
 * CANDIDATE.  Every move but the one to PRE_CANDIDATE forgets votes, waiting
 * reads and a hand-over. */

#include "base/must.h"
#include "raft/internal.h"

struct raft_hard_state raft_hard_state(const struct raft *r)
{
    return (struct raft_hard_state){
        .term = r->term, .vote = r->vote, .commit = r->log.committed};
}

struct raft_soft_state raft_soft_state(const struct raft *r)
{
    return (struct raft_soft_state){.leader = r->leader, .role = r->role};
}

static void reset(struct raft *r, uint64_t term)
{
    must(term >= r->term);
    if (term != r->term) {
        r->term = term;
        r->vote = RAFT_NONE;
    }
    r->leader = RAFT_NONE;
    r->election_elapsed = 0;
    r->heartbeat_elapsed = 0;
    /* Section 3.4: random timeouts, so that split votes are rare. */
    r->election_timeout =
        r->config.election_ticks +
        (uint32_t)prng_below(&r->prng, r->config.election_ticks);
    r->transfer_to = RAFT_NONE;
    r->pending_conf_index = 0;
    r->uncommitted_size = 0;
    raft_members_reset_votes(&r->members);
    const uint64_t last = raft_log_last_index(&r->log);
    raft_members_reset(&r->members, last);
    struct raft_progress *own = raft_members_find(&r->members, r->id);
    if (own != NULL) {
        own->match = last;
    }
    raft_read_only_reset(&r->reads);
}

void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader)
{
    must(leader != r->id);
    reset(r, term);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    raft_trace_event(r, RAFT_TRACE_BECOME_FOLLOWER);
}

void raft_become_pre_candidate(struct raft *r)
{
    must(r->role != RAFT_LEADER);
    /* Neither term nor vote change: the question is what would be. */
    raft_members_reset_votes(&r->members);
    r->leader = RAFT_NONE;
    r->role = RAFT_PRE_CANDIDATE;
}

void raft_become_candidate(struct raft *r)
{
    must(r->role != RAFT_LEADER);
    reset(r, r->term + 1);
    r->vote = r->id;
    r->role = RAFT_CANDIDATE;
    raft_trace_event(r, RAFT_TRACE_BECOME_CANDIDATE);
}

void raft_become_leader(struct raft *r)
{
    must(r->role == RAFT_CANDIDATE);
    must(r->vote == r->id);
    reset(r, r->term);
    r->role = RAFT_LEADER;
    r->leader = r->id;
    struct raft_progress *own = raft_members_find(&r->members, r->id);
    must(own != NULL || r->config.removed_may_lead);
    if (own != NULL) {
        raft_progress_become_replicate(own);
        own->recent_active = true;
    }
    /* There may be a change of the configuration in the part of the log that
     * is not applied: finding out would mean to read it all. */
    r->pending_conf_index = raft_log_last_index(&r->log);
    raft_trace_event(r, RAFT_TRACE_BECOME_LEADER);
    /* Section 6.4: what earlier terms left is committed through this one. */
    raft_append_empty(r, RAFT_ENTRY_NORMAL);
}

bool raft_is_promotable(const struct raft *r)
{
    const struct raft_progress *own = raft_members_find(&r->members, r->id);
    const bool may_lead = own != NULL ? !own->is_learner
                                      : r->config.removed_may_lead &&
                                            r->members.conf.incoming.count > 0;
    return may_lead && r->log.unstable.snapshot == NULL && r->lost.index == 0;
}
