/* What each role does with a message of the present term (or of none). */

#include "base/must.h"
#include "raft/internal.h"

/* Another member's, for the leader of one term and nobody else. */
static bool is_of_one_term(const struct raft *r, const struct raft_message *m)
{
    return m->type == RAFT_MSG_PROPOSE && m->from != r->id && m->log_term != 0;
}

enum status raft_step_leader(struct raft *r, const struct raft_message *m)
{
    must(r->role == RAFT_LEADER);
    if (is_of_one_term(r, m) && m->log_term != r->term) {
        return ST_NOT_LEADER; /* who made it knows when it is lost */
    }
    if (m->type == RAFT_MSG_PROPOSE) {
        return raft_propose_entries(r, m->entries.list, m->entries.count);
    }
    if (m->type == RAFT_MSG_READ_INDEX) {
        raft_lead_read(r, m);
        return ST_OK;
    }
    struct raft_progress *p = raft_members_find(&r->members, m->from);
    if (p == NULL) {
        return ST_OK; /* removed since it answered */
    }
    if (m->type == RAFT_MSG_APPEND_RESPONSE) {
        raft_on_append_response(r, p, m);
    } else if (m->type == RAFT_MSG_HEARTBEAT_RESPONSE) {
        raft_on_heartbeat_response(r, p, m);
    } else if (m->type == RAFT_MSG_TRANSFER_LEADER) {
        raft_lead_transfer(r, p);
    }
    return ST_OK;
}

/* A message from the leader of this term. */
static void follow(struct raft *r, const struct raft_message *m)
{
    if (m->type == RAFT_MSG_APPEND) {
        raft_on_append(r, m);
    } else if (m->type == RAFT_MSG_HEARTBEAT) {
        raft_on_heartbeat(r, m);
    } else {
        must(m->type == RAFT_MSG_SNAPSHOT);
        raft_on_snapshot(r, m);
    }
}

enum status raft_step_candidate(struct raft *r, const struct raft_message *m)
{
    const bool pre = r->role == RAFT_PRE_CANDIDATE;
    switch (m->type) {
    case RAFT_MSG_PROPOSE:
    case RAFT_MSG_READ_INDEX:
        return ST_NO_LEADER;
    case RAFT_MSG_APPEND:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAPSHOT:
        /* Section 3.4: somebody else won this term. */
        raft_become_follower(r, m->term, m->from);
        follow(r, m);
        return ST_OK;
    case RAFT_MSG_VOTE_RESPONSE:
    case RAFT_MSG_PRE_VOTE_RESPONSE:
        /* Late answers to the pre-vote do not count in the election. */
        if (pre == (m->type == RAFT_MSG_PRE_VOTE_RESPONSE)) {
            raft_on_vote_response(r, m);
        }
        return ST_OK;
    default:
        return ST_OK; /* for leaders and followers */
    }
}

/* Passes a request on to the leader, as from whom it came. */
static MUST_USE enum status forward(struct raft *r,
                                    const struct raft_message *m)
{
    if (r->leader == RAFT_NONE) {
        return ST_NO_LEADER;
    }
    must(r->leader != r->id);
    struct raft_message copy;
    raft_message_hold(&copy, m);
    copy.to = r->leader;
    raft_send_take(r, &copy);
    return ST_OK;
}

enum status raft_step_follower(struct raft *r, const struct raft_message *m)
{
    must(r->role == RAFT_FOLLOWER);
    switch (m->type) {
    case RAFT_MSG_PROPOSE:
        if (is_of_one_term(r, m)) {
            return ST_NOT_LEADER;
        }
        if (r->leader != RAFT_NONE && r->config.disable_proposal_forwarding) {
            return ST_NOT_LEADER;
        }
        return forward(r, m);
    case RAFT_MSG_READ_INDEX:
        return forward(r, m);
    case RAFT_MSG_TRANSFER_LEADER:
        (void)!forward(r, m); /* nobody to ask: nobody waits for an answer */
        return ST_OK;
    case RAFT_MSG_APPEND:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAPSHOT:
        r->election_elapsed = 0;
        r->leader = m->from;
        follow(r, m);
        return ST_OK;
    case RAFT_MSG_TIMEOUT_NOW:
        /* Section 3.10: no pre-vote, the leader is known to be alive. */
        raft_hup(r, RAFT_CAMPAIGN_HEIR);
        return ST_OK;
    case RAFT_MSG_READ_INDEX_RESPONSE:
        raft_add_read_state(r, m->index, m->context);
        return ST_OK;
    default:
        return ST_OK; /* for leaders and candidates */
    }
}
