/* Elections, both halves: asking for votes and giving them.  Dissertation
 * sections 3.4, 3.6.1 (who may win), 4.2.3 (disruptive servers), 9.6
 * (pre-vote), 3.10 (the heir). */

#include "base/must.h"
#include "raft/internal.h"

/* A committed change of the configuration that is not applied here: leading
 * with the old one could commit with the wrong quorum. */
static bool has_unapplied_conf_change(const struct raft *r)
{
    uint64_t lo = r->log.applied + 1;
    const uint64_t hi = r->log.committed + 1;
    bool found = false;
    while (lo < hi && !found) {
        struct raft_entries page = {NULL, 0, 0};
        const enum status st = raft_log_slice(
            &r->log, lo, hi, r->config.max_committed_size_per_ready, &page);
        must(st == ST_OK);
        for (size_t i = 0; i < page.count; i++) {
            found = found || page.list[i].type != RAFT_ENTRY_NORMAL;
        }
        lo += page.count;
        raft_entries_fini(&page);
    }
    return found;
}

static void ask_for_votes(struct raft *r, enum raft_campaign kind,
                          uint64_t term)
{
    const bool pre = kind == RAFT_CAMPAIGN_PRE;
    const struct raft_entry_id last = raft_log_last_id(&r->log);
    for (size_t i = 0; i < r->members.count; i++) {
        const uint64_t id = r->members.list[i].id;
        if (!raft_conf_has_voter(&r->members.conf, id)) {
            continue;
        }
        struct raft_message m = {.to = id, .term = term};
        if (id == r->id) {
            /* The own vote counts when it is durable, as every other does. */
            m.type = pre ? RAFT_MSG_PRE_VOTE_RESPONSE : RAFT_MSG_VOTE_RESPONSE;
        } else {
            m.type = pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE;
            m.index = last.index;
            m.log_term = last.term;
            m.transfer = kind == RAFT_CAMPAIGN_HEIR;
        }
        raft_send_take(r, &m);
    }
}

static void campaign(struct raft *r, enum raft_campaign kind)
{
    if (kind == RAFT_CAMPAIGN_PRE) {
        raft_become_pre_candidate(r);
        ask_for_votes(r, kind, r->term + 1);
    } else {
        raft_become_candidate(r);
        ask_for_votes(r, kind, r->term);
    }
}

void raft_hup(struct raft *r, enum raft_campaign kind)
{
    if (r->role == RAFT_LEADER || !raft_is_promotable(r) ||
        has_unapplied_conf_change(r)) {
        return;
    }
    campaign(r, kind);
}

void raft_campaign(struct raft *r)
{
    raft_hup(r, r->config.pre_vote ? RAFT_CAMPAIGN_PRE : RAFT_CAMPAIGN_REAL);
}

bool raft_leader_is_alive(const struct raft *r)
{
    return r->config.check_quorum && r->leader != RAFT_NONE &&
           r->election_elapsed < r->config.election_ticks;
}

void raft_on_vote_request(struct raft *r, const struct raft_message *m)
{
    const bool pre = m->type == RAFT_MSG_PRE_VOTE;
    must(pre || m->type == RAFT_MSG_VOTE);
    must(pre || m->term == r->term);
    /* Section 3.4: one vote a term, which may be said again; none when the
     * term has a leader.  A pre-vote is about a term to come. */
    const bool can_vote = r->vote == m->from ||
                          (r->vote == RAFT_NONE && r->leader == RAFT_NONE) ||
                          (pre && m->term > r->term);
    const struct raft_entry_id last = {m->log_term, m->index};
    /* A learner votes too: it may have been promoted without knowing yet. */
    const bool granted = can_vote && raft_log_is_up_to_date(&r->log, last) &&
                         raft_has_what_was_lost(r, last);
    if (!granted && r->term == 0) {
        return; /* before its first term a member has none to refuse in */
    }
    /* The answer to a granted pre-vote bears the term asked about, which is
     * not this member's: with the own, older one it would be ignored. */
    struct raft_message reply = {.type = pre ? RAFT_MSG_PRE_VOTE_RESPONSE
                                             : RAFT_MSG_VOTE_RESPONSE,
                                 .to = m->from,
                                 .term = granted ? m->term : r->term,
                                 .reject = !granted};
    raft_send_take(r, &reply);
    if (granted && !pre) {
        r->election_elapsed = 0;
        r->vote = m->from;
    }
}

void raft_on_vote_response(struct raft *r, const struct raft_message *m)
{
    const bool pre = r->role == RAFT_PRE_CANDIDATE;
    must(pre || r->role == RAFT_CANDIDATE);
    raft_members_record_vote(&r->members, m->from, !m->reject);
    switch (raft_members_tally(&r->members)) {
    case RAFT_VOTE_PENDING:
        break;
    case RAFT_VOTE_WON:
        if (pre) {
            campaign(r, RAFT_CAMPAIGN_REAL);
        } else {
            raft_become_leader(r);
            raft_broadcast_append(r);
        }
        break;
    case RAFT_VOTE_LOST:
        /* A pre-vote's answers may bear a later term: the own one stays. */
        raft_become_follower(r, r->term, RAFT_NONE);
        break;
    }
}
