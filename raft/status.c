/* Looking inside without changing anything. */

#include "base/must.h"
#include "raft/internal.h"

void raft_status(const struct raft *r, struct raft_status *ret_status)
{
    const struct raft_entry_id last = raft_log_last_id(&r->log);
    *ret_status = (struct raft_status){
        .id = r->id,
        .hard = raft_hard_state(r),
        .soft = raft_soft_state(r),
        .applied = r->log.applied,
        .first_index = raft_log_first_index(&r->log),
        .last_index = last.index,
        .last_term = last.term,
        .transfer_to = r->transfer_to,
        .uncommitted_size = r->role == RAFT_LEADER ? r->uncommitted_size : 0,
        .is_learner = r->is_learner,
        .is_joint = raft_conf_is_joint(&r->members.conf),
        .has_lost = r->lost.index > 0,
        .committed_in_term =
            r->role == RAFT_LEADER && raft_committed_in_term(r),
        .peers_count = r->members.count};
}

uint64_t raft_term(const struct raft *r)
{
    return r->term;
}

uint64_t raft_leader(const struct raft *r)
{
    return r->leader;
}

enum raft_role raft_role(const struct raft *r)
{
    return r->role;
}

uint64_t raft_commit(const struct raft *r)
{
    return r->log.committed;
}

void raft_peer(const struct raft *r, size_t at,
               struct raft_peer_status *ret_peer)
{
    must(at < r->members.count);
    const struct raft_progress *p = &r->members.list[at];
    *ret_peer = (struct raft_peer_status){
        .id = p->id,
        .state = p->state,
        .match = p->match,
        .next = p->next,
        .pending_snapshot = p->pending_snapshot,
        .inflight_messages = p->inflights.count,
        .inflights_full = raft_inflights_full(&p->inflights),
        .recent_active = p->recent_active,
        .paused = raft_progress_is_paused(p),
        .is_learner = p->is_learner,
        .is_voter = raft_conf_has_voter(&r->members.conf, p->id)};
}

void raft_conf(const struct raft *r, struct raft_conf_state *ret_conf)
{
    *ret_conf = raft_conf_view(&r->members.conf);
}

enum status raft_term_at(const struct raft *r, uint64_t index,
                         uint64_t *ret_term)
{
    return raft_log_term(&r->log, index, ret_term);
}
