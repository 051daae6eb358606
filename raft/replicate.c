/* A leader's sending: appends at the pace each follower can take, snapshots
 * for those whose place in the log is gone, heartbeats; and what their answers
 * tell.  Dissertation sections 3.5, 3.6.2 and 10.2. */

#include "base/must.h"
#include "raft/internal.h"

static uint64_t payloads_size(const struct raft_entries *entries)
{
    uint64_t size = 0;
    for (size_t i = 0; i < entries->count; i++) {
        size += payload_bytes(entries->list[i].payload).size;
    }
    return size;
}

static MUST_USE enum status latest_snapshot(const struct raft *r,
                                            struct raft_snapshot **ret_snapshot)
{
    if (r->log.unstable.snapshot != NULL) {
        *ret_snapshot = raft_snapshot_hold(r->log.unstable.snapshot);
        return ST_OK;
    }
    struct raft_storage *storage = r->log.storage;
    return storage->ops->snapshot(storage, ret_snapshot);
}

static bool is_in(const uint64_t *ids, size_t count, uint64_t id)
{
    size_t at = 0;
    while (at < count && ids[at] != id) {
        at++;
    }
    return at < count;
}

static bool is_member_in(const struct raft_snapshot *s, uint64_t id)
{
    const struct raft_conf_state *conf = &s->conf;
    return is_in(conf->voters, conf->voters_count, id) ||
           is_in(conf->learners, conf->learners_count, id) ||
           is_in(conf->voters_outgoing, conf->voters_outgoing_count, id);
}

/* False: not now, another occasion will come. */
static bool send_snapshot(struct raft *r, struct raft_progress *p)
{
    if (!p->recent_active) {
        return false; /* nobody there to receive so much */
    }
    struct raft_snapshot *snapshot = NULL;
    if (latest_snapshot(r, &snapshot) != ST_OK) {
        return false;
    }
    must(snapshot->index > 0);
    if (!is_member_in(snapshot, p->id)) {
        /* Older than its joining: it would not take it for its own. */
        raft_snapshot_drop(snapshot);
        return false;
    }
    raft_progress_become_snapshot(p, snapshot->index);
    struct raft_message m = {
        .type = RAFT_MSG_SNAPSHOT, .to = p->id, .snapshot = snapshot};
    raft_send_take(r, &m);
    return true;
}

static bool send_append(struct raft *r, struct raft_progress *p,
                        bool also_empty)
{
    must(r->role == RAFT_LEADER);
    if (raft_progress_is_paused(p)) {
        return false;
    }
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .to = p->id,
                             .index = p->next - 1,
                             .commit = r->log.committed};
    if (raft_log_term(&r->log, m.index, &m.log_term) != ST_OK) {
        return send_snapshot(r, p);
    }
    const uint64_t last = raft_log_last_index(&r->log);
    /* With a full window only an empty one goes out: if all in the window were
     * lost, its answer tells. */
    const bool window_is_open =
        p->state != RAFT_REPLICATE || !raft_inflights_full(&p->inflights);
    if (window_is_open && p->next <= last) {
        const enum status st =
            raft_log_slice(&r->log, p->next, last + 1,
                           r->config.max_size_per_message, &m.entries);
        if (st == ST_COMPACTED) {
            return send_snapshot(r, p);
        }
        if (st != ST_OK) {
            return false; /* not at hand: at the next heartbeat's answer */
        }
    }
    const size_t count = m.entries.count;
    if (count == 0 && !also_empty) {
        return false;
    }
    const uint64_t bytes = payloads_size(&m.entries);
    raft_send_take(r, &m);
    raft_progress_sent(p, count, bytes);
    p->sent_commit = r->log.committed;
    return true;
}

void raft_send_append(struct raft *r, struct raft_progress *p)
{
    (void)send_append(r, p, true); /* paused: something will wake it */
}

bool raft_send_append_if_news(struct raft *r, struct raft_progress *p)
{
    return send_append(r, p, false);
}

void raft_broadcast_append(struct raft *r)
{
    for (size_t i = 0; i < r->members.count; i++) {
        if (r->members.list[i].id != r->id) {
            raft_send_append(r, &r->members.list[i]);
        }
    }
}

void raft_broadcast_heartbeat(struct raft *r)
{
    must(r->role == RAFT_LEADER);
    for (size_t i = 0; i < r->members.count; i++) {
        struct raft_progress *p = &r->members.list[i];
        if (p->id == r->id) {
            continue;
        }
        /* Nothing is said to agree beyond match, so no more may be called
         * committed: the rest of its log could be another leader's. */
        const uint64_t commit =
            p->match < r->log.committed ? p->match : r->log.committed;
        struct raft_message m = {.type = RAFT_MSG_HEARTBEAT,
                                 .to = p->id,
                                 .commit = commit,
                                 .index = raft_read_only_position(&r->reads)};
        raft_send_take(r, &m);
        p->sent_commit = commit;
    }
}

bool raft_maybe_commit(struct raft *r)
{
    must(r->role == RAFT_LEADER);
    const uint64_t index = raft_members_committed(&r->members);
    /* Section 3.6.2: only entries of the own term are committed by counting;
     * those before them follow. */
    const bool moves = index > r->log.committed &&
                       raft_log_term_or_zero(&r->log, index) == r->term;
    if (moves) {
        raft_log_commit_to(&r->log, index);
    }
    raft_trace_event(r, RAFT_TRACE_COMMIT);
    return moves;
}

/* The follower's log ends or differs before m->index.  It named an index and
 * the term it has there; nothing of ours with a later term can match, so one
 * probe for each term is enough (section 3.5, the end).  One that lost entries
 * takes back what it acknowledged (lost.c). */
static void on_rejection(struct raft *r, struct raft_progress *p,
                         const struct raft_message *m)
{
    uint64_t hint = m->reject_hint;
    if (m->log_term > 0) {
        uint64_t term = 0;
        hint = raft_log_find_by_term(&r->log, hint, m->log_term, &term);
    }
    if (m->lost && m->index <= p->match) {
        raft_progress_forget(p, m->index < hint + 1 ? m->index : hint + 1);
        raft_send_append(r, p);
        return;
    }
    if (!raft_progress_reject(p, m->index, hint)) {
        return;
    }
    if (p->state == RAFT_REPLICATE) {
        raft_progress_become_probe(p);
    }
    raft_send_append(r, p);
}

static void advance_state(struct raft *r, struct raft_progress *p)
{
    switch (p->state) {
    case RAFT_PROBE:
        raft_progress_become_replicate(p);
        break;
    case RAFT_REPLICATE:
        raft_inflights_free_to(&p->inflights, p->match);
        break;
    case RAFT_SENDING_SNAPSHOT:
        /* Whatever snapshot it got, from whomever: the log can take over. */
        if (p->match + 1 >= raft_log_first_index(&r->log)) {
            raft_progress_become_probe(p);
            raft_progress_become_replicate(p);
        }
        break;
    }
}

void raft_on_append_response(struct raft *r, struct raft_progress *p,
                             const struct raft_message *m)
{
    p->recent_active = true;
    if (m->reject) {
        on_rejection(r, p, m);
        return;
    }
    /* A probed follower may confirm what was known: it can replicate. */
    const bool is_news = raft_progress_acknowledge(p, m->index) ||
                         (p->state == RAFT_PROBE && p->match == m->index);
    if (!is_news) {
        return;
    }
    advance_state(r, p);
    if (raft_maybe_commit(r)) {
        raft_release_early_reads(r);
        raft_broadcast_append(r);
    } else if (p->id != r->id &&
               raft_progress_wants_commit(p, r->log.committed)) {
        raft_send_append(r, p);
    }
    if (p->id != r->id) {
        while (raft_send_append_if_news(r, p)) {
        }
        raft_continue_transfer(r, p);
    }
}

void raft_on_heartbeat_response(struct raft *r, struct raft_progress *p,
                                const struct raft_message *m)
{
    p->recent_active = true;
    p->flow_paused = false;
    if (p->match < raft_log_last_index(&r->log) || p->state == RAFT_PROBE) {
        raft_send_append(r, p);
    }
    if (m->index > p->read_position &&
        m->index <= raft_read_only_position(&r->reads)) {
        p->read_position = m->index;
        raft_confirm_reads(r);
    }
}

void raft_on_snapshot_status(struct raft *r, struct raft_progress *p,
                             bool rejected)
{
    must(r->role == RAFT_LEADER);
    if (p->state != RAFT_SENDING_SNAPSHOT) {
        return;
    }
    if (rejected) {
        p->pending_snapshot = 0; /* not there: probe from match */
    }
    raft_progress_become_probe(p);
    /* Sent: its acknowledgement is on the way.  Failed: a heartbeat's pause
     * before the next try. */
    p->flow_paused = true;
}
