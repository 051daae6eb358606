/* One message into the state machine: first its term, then what it is.
 * Dissertation section 3.3: terms are a clock; who sees a later one follows,
 * who sees an earlier one refuses. */

#include "base/must.h"
#include "raft/internal.h"

static bool is_vote_request(const struct raft_message *m)
{
    return m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
}

static bool is_from_leader(const struct raft_message *m)
{
    return m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT ||
           m->type == RAFT_MSG_SNAPSHOT;
}

/* False: the message is not to be looked at. */
static bool on_later_term(struct raft *r, const struct raft_message *m)
{
    /* Section 4.2.3: as long as a leader is heard of, a candidate is somebody
     * who was removed or cut off; unless the leader itself sent it. */
    if (is_vote_request(m) && !m->transfer && raft_leader_is_alive(r)) {
        return false;
    }
    /* Pre-votes ask and answer about a term that has not begun.  A refusal
     * bears the term of who refuses. */
    const bool is_hypothetical =
        m->type == RAFT_MSG_PRE_VOTE ||
        (m->type == RAFT_MSG_PRE_VOTE_RESPONSE && !m->reject);
    if (!is_hypothetical) {
        raft_become_follower(r, m->term,
                             is_from_leader(m) ? m->from : RAFT_NONE);
    }
    return true;
}

static void on_earlier_term(struct raft *r, const struct raft_message *m)
{
    if ((m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_APPEND) &&
        (r->config.check_quorum || r->config.pre_vote || r->lost.index > 0)) {
        /* A leader that was replaced, or one whose followers do not answer a
         * candidate with a later term (this member) because it is alive: the
         * term of this answer makes it step down, and all are free again.  One
         * that lost entries cannot campaign to make its term known. */
        struct raft_message reply = {.type = RAFT_MSG_APPEND_RESPONSE,
                                     .to = m->from};
        raft_send_take(r, &reply);
    } else if (m->type == RAFT_MSG_PRE_VOTE ||
               (m->type == RAFT_MSG_VOTE && r->config.answer_old_candidates)) {
        /* So that one whose term is behind learns of it. */
        struct raft_message reply = {.type = m->type == RAFT_MSG_PRE_VOTE
                                                 ? RAFT_MSG_PRE_VOTE_RESPONSE
                                                 : RAFT_MSG_VOTE_RESPONSE,
                                     .to = m->from,
                                     .term = r->term,
                                     .reject = true};
        raft_send_take(r, &reply);
    } else if (m->type == RAFT_MSG_STORAGE_APPEND_RESPONSE) {
        raft_on_storage_append_response(r, m);
    }
}

static MUST_USE enum status step_by_role(struct raft *r,
                                         const struct raft_message *m)
{
    switch (r->role) {
    case RAFT_FOLLOWER:
        return raft_step_follower(r, m);
    case RAFT_PRE_CANDIDATE:
    case RAFT_CANDIDATE:
        return raft_step_candidate(r, m);
    case RAFT_LEADER:
        return raft_step_leader(r, m);
    }
    unreachable("four roles");
}

enum status raft_dispatch(struct raft *r, const struct raft_message *m)
{
    if (m->term > r->term) {
        if (!on_later_term(r, m)) {
            return ST_OK;
        }
    } else if (m->term > 0 && m->term < r->term) {
        on_earlier_term(r, m);
        return ST_OK;
    }
    if (is_vote_request(m)) {
        raft_on_vote_request(r, m);
        return ST_OK;
    }
    if (m->type == RAFT_MSG_STORAGE_APPEND_RESPONSE) {
        raft_on_storage_append_response(r, m);
        return ST_OK;
    }
    if (m->type == RAFT_MSG_STORAGE_APPLY_RESPONSE) {
        raft_on_storage_apply_response(r, m);
        return ST_OK;
    }
    return step_by_role(r, m);
}

enum status raft_step(struct raft *r, const struct raft_message *m)
{
    const enum status st = raft_validate(r, m);
    if (st != ST_OK) {
        return st;
    }
    raft_trace_received(r, m);
    if (raft_contradicts(r, m)) {
        return ST_CORRUPT;
    }
    return raft_dispatch(r, m);
}

void raft_forget_leader(struct raft *r)
{
    if (r->role == RAFT_FOLLOWER && r->config.read_mode != RAFT_READ_LEASE) {
        r->leader = RAFT_NONE;
    }
}

void raft_report_unreachable(struct raft *r, uint64_t id)
{
    struct raft_progress *p = raft_members_find(&r->members, id);
    /* Appends were probably lost: find out from the acknowledged ones on. */
    if (r->role == RAFT_LEADER && p != NULL && p->state == RAFT_REPLICATE) {
        raft_progress_become_probe(p);
    }
}

void raft_report_snapshot(struct raft *r, uint64_t id, bool ok)
{
    struct raft_progress *p = raft_members_find(&r->members, id);
    if (r->role == RAFT_LEADER && p != NULL) {
        raft_on_snapshot_status(r, p, !ok);
    }
}
