/* Messages from outside, judged before they change anything.  A peer may be
 * broken or hostile: what it sends never reaches a must() below. */

#include "base/must.h"
#include "raft/internal.h"

/* Terms and indexes beyond this are nobody's: sums of them cannot overflow. */
#define NUMBER_MAX (UINT64_MAX / 4)

static bool is_thread(uint64_t id)
{
    return id == RAFT_APPEND_THREAD || id == RAFT_APPLY_THREAD;
}

/* From a member, about something it was asked. */
static bool is_response(enum raft_message_type type)
{
    return type == RAFT_MSG_APPEND_RESPONSE || type == RAFT_MSG_VOTE_RESPONSE ||
           type == RAFT_MSG_HEARTBEAT_RESPONSE ||
           type == RAFT_MSG_READ_INDEX_RESPONSE ||
           type == RAFT_MSG_PRE_VOTE_RESPONSE;
}

static bool entry_is_good(const struct raft_entry *e)
{
    if (e->type == RAFT_ENTRY_NORMAL) {
        return true;
    }
    if (e->type != RAFT_ENTRY_CONF_CHANGE &&
        e->type != RAFT_ENTRY_CONF_CHANGE_V2) {
        return false;
    }
    struct raft_conf_change cc;
    return raft_conf_change_decode(e->type, payload_bytes(e->payload), &cc) ==
           ST_OK;
}

/* What a member may get from itself: own votes and acknowledgements, and
 * requests that others passed on and back. */
static bool may_be_from_itself(const struct raft_message *m)
{
    const enum raft_message_type type = m->type;
    return (type == RAFT_MSG_APPEND_RESPONSE && !m->reject) ||
           type == RAFT_MSG_VOTE_RESPONSE ||
           type == RAFT_MSG_PRE_VOTE_RESPONSE || type == RAFT_MSG_PROPOSE ||
           type == RAFT_MSG_READ_INDEX || type == RAFT_MSG_TRANSFER_LEADER;
}

/* Consecutive indexes from m->index on, terms that never fall. */
static bool append_is_good(const struct raft_message *m)
{
    uint64_t term = m->log_term;
    for (size_t i = 0; i < m->entries.count; i++) {
        const struct raft_entry *e = &m->entries.list[i];
        if (e->index != m->index + 1 + i || e->term < term || e->term == 0 ||
            !entry_is_good(e)) {
            return false;
        }
        term = e->term;
    }
    return term <= m->term && (m->index == 0) == (m->log_term == 0);
}

static bool proposal_is_good(const struct raft_message *m)
{
    for (size_t i = 0; i < m->entries.count; i++) {
        if (!entry_is_good(&m->entries.list[i])) {
            return false;
        }
    }
    return m->entries.count > 0;
}

static bool snapshot_is_good(const struct raft_message *m)
{
    const struct raft_snapshot *s = m->snapshot;
    struct raft_conf_sets sets;
    return s != NULL && s->index > 0 && s->index <= NUMBER_MAX && s->term > 0 &&
           s->term <= m->term && raft_conf_read(&s->conf, &sets) == ST_OK &&
           sets.incoming.count > 0;
}

static bool body_is_good(const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_MSG_APPEND:
        return append_is_good(m);
    case RAFT_MSG_PROPOSE:
        return proposal_is_good(m);
    case RAFT_MSG_SNAPSHOT:
        return snapshot_is_good(m);
    case RAFT_MSG_APPEND_RESPONSE:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESPONSE:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESPONSE:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESPONSE:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESPONSE:
        return m->entries.count == 0;
    case RAFT_MSG_HUP:
    case RAFT_MSG_BEAT:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_SNAPSHOT_STATUS:
    case RAFT_MSG_CHECK_QUORUM:
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESPONSE:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESPONSE:
    case RAFT_MSG_FORGET_LEADER:
        return false; /* local: nobody else may send them */
    }
    return false; /* a number that is no type */
}

/* Responses of the host's storage, made by raft_ready(). */
static bool is_from_storage(const struct raft *r, const struct raft_message *m)
{
    if (!r->config.async_storage_writes) {
        return false;
    }
    return (m->type == RAFT_MSG_STORAGE_APPEND_RESPONSE &&
            m->from == RAFT_APPEND_THREAD) ||
           (m->type == RAFT_MSG_STORAGE_APPLY_RESPONSE &&
            m->from == RAFT_APPLY_THREAD && m->entries.count > 0);
}

enum status raft_validate(const struct raft *r, const struct raft_message *m)
{
    if (m->to != r->id || m->responses_count > 0) {
        return ST_INVALID;
    }
    if (is_from_storage(r, m)) {
        return ST_OK;
    }
    const bool is_request_of_no_term =
        m->type == RAFT_MSG_PROPOSE || m->type == RAFT_MSG_READ_INDEX;
    if (m->from == RAFT_NONE || is_thread(m->from) ||
        (m->from == r->id && !may_be_from_itself(m)) ||
        (m->term == 0) != is_request_of_no_term || m->term > NUMBER_MAX ||
        m->index > NUMBER_MAX || m->reject_hint > NUMBER_MAX ||
        !body_is_good(m)) {
        return ST_INVALID;
    }
    if (is_response(m->type) && m->from != r->id &&
        raft_members_find(&r->members, m->from) == NULL) {
        return ST_NOT_FOUND;
    }
    return ST_OK;
}

/* Leader Completeness (section 3.6.3): a leader has all that is committed. */
static bool denies_committed(const struct raft *r, const struct raft_message *m)
{
    const uint64_t committed = r->log.committed;
    uint64_t own = raft_log_term_or_zero(&r->log, m->index);
    if (m->index <= committed && own != 0 && own != m->log_term) {
        return true;
    }
    for (size_t i = 0; i < m->entries.count; i++) {
        const struct raft_entry *e = &m->entries.list[i];
        if (e->index > committed) {
            break;
        }
        own = raft_log_term_or_zero(&r->log, e->index);
        if (own != 0 && own != e->term) {
            return true;
        }
    }
    return false;
}

bool raft_contradicts(const struct raft *r, const struct raft_message *m)
{
    if (m->term < r->term) {
        return false; /* no leader's and no member's word any more */
    }
    const bool is_leader = m->term == r->term && r->role == RAFT_LEADER;
    if (m->type == RAFT_MSG_HEARTBEAT) {
        /* Section 3.4: one leader a term.  It calls committed only what this
         * member acknowledged. */
        return is_leader ||
               (m->commit > raft_log_last_index(&r->log) && r->lost.index == 0);
    }
    if (m->type == RAFT_MSG_APPEND) {
        return is_leader || denies_committed(r, m);
    }
    if (m->type == RAFT_MSG_APPEND_RESPONSE) {
        /* Nobody has more of this leader's log than the leader. */
        return is_leader && !m->reject &&
               m->index > raft_log_last_index(&r->log);
    }
    return false;
}
