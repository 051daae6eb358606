/* Linearizable reads without log entries.  Dissertation section 6.4: the read
 * waits for the commit index of now, after the leader made sure that it knows
 * what is committed (a first commit in its term) and that it still leads (a
 * quorum's answers, or the lease of section 6.4.1). */

#include "base/must.h"
#include "raft/internal.h"

bool raft_committed_in_term(const struct raft *r)
{
    return raft_log_term_or_zero(&r->log, r->log.committed) == r->term;
}

void raft_add_read_state(struct raft *r, uint64_t index,
                         struct payload *context)
{
    struct raft_read_states *s = &r->read_states;
    if (s->count == s->capacity) {
        s->capacity = s->capacity == 0 ? 8 : s->capacity * 2;
        s->list = xrealloc(s->list, s->capacity * sizeof s->list[0]);
    }
    s->list[s->count] = (struct raft_read_state){index, payload_hold(context)};
    s->count++;
}

void raft_read_states_clear(struct raft_read_states *s)
{
    for (size_t i = 0; i < s->count; i++) {
        payload_drop(s->list[i].context);
    }
    s->count = 0;
}

static void answer(struct raft *r, const struct raft_read *read)
{
    if (read->from == r->id) {
        raft_add_read_state(r, read->index, read->context);
        return;
    }
    struct raft_message reply = {.type = RAFT_MSG_READ_INDEX_RESPONSE,
                                 .to = read->from,
                                 .index = read->index,
                                 .context = payload_hold(read->context)};
    raft_send_take(r, &reply);
}

/* Answers those that a quorum has confirmed by now. */
void raft_confirm_reads(struct raft *r)
{
    must(r->role == RAFT_LEADER);
    size_t count = raft_read_only_confirm(
        &r->reads, raft_members_read_position(&r->members));
    while (count > 0) {
        const struct raft_read read = raft_read_queue_pop(&r->reads.waiting);
        answer(r, &read);
        payload_drop(read.context);
        count--;
    }
}

static void begin(struct raft *r, struct raft_read *read)
{
    must(raft_committed_in_term(r));
    read->index = r->log.committed;
    if (r->config.read_mode == RAFT_READ_LEASE) {
        answer(r, read);
        return;
    }
    raft_read_queue_push(&r->reads.waiting, read);
    struct raft_progress *own = raft_members_find(&r->members, r->id);
    if (own != NULL) {
        own->read_position = raft_read_only_position(&r->reads);
    }
}

/* Who asks says in which term it asked (log_term).  If that is this leader's,
 * and the two are a quorum, then nobody was elected in a later term before the
 * question was put: such a leader has a vote of one of them, and neither had
 * left the term, the asker when it asked and the leader now.  So whatever was
 * acknowledged before is committed here.  This holds for this one question: the
 * message may be old, and tells nothing about others that wait. */
static bool is_confirmed_by_asker(const struct raft *r,
                                  const struct raft_message *m)
{
    return r->config.asker_confirms && m->log_term == r->term &&
           m->from != r->id &&
           raft_members_are_quorum(&r->members, r->id, m->from);
}

void raft_lead_read(struct raft *r, const struct raft_message *m)
{
    must(r->role == RAFT_LEADER);
    struct raft_read read = {.from = m->from, .context = m->context};
    if (!raft_committed_in_term(r)) {
        raft_read_queue_push(&r->reads.early, &read);
        return;
    }
    if (is_confirmed_by_asker(r, m)) {
        read.index = r->log.committed;
        answer(r, &read);
        return;
    }
    begin(r, &read);
    if (r->reads.waiting.count > 0) {
        raft_broadcast_heartbeat(r);
        raft_confirm_reads(r); /* a single voter confirms alone */
    }
}

void raft_release_early_reads(struct raft *r)
{
    must(r->role == RAFT_LEADER);
    if (r->reads.early.count == 0 || !raft_committed_in_term(r)) {
        return;
    }
    while (r->reads.early.count > 0) {
        struct raft_read read = raft_read_queue_pop(&r->reads.early);
        begin(r, &read);
        payload_drop(read.context);
    }
    if (r->reads.waiting.count > 0) {
        raft_broadcast_heartbeat(r);
        raft_confirm_reads(r);
    }
}

enum status raft_read_index(struct raft *r, struct payload *context)
{
    const struct raft_message m = {.type = RAFT_MSG_READ_INDEX,
                                   .from = r->id,
                                   .log_term =
                                       r->config.asker_confirms ? r->term : 0,
                                   .context = context};
    return raft_dispatch(r, &m);
}
