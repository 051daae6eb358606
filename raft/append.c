/* A follower's receiving of entries and heartbeats.  Dissertation section 3.5
 * and the receiver's half of AppendEntries in figure 3.1. */

#include "base/must.h"
#include "raft/internal.h"

static void acknowledge(struct raft *r, uint64_t to, uint64_t index)
{
    struct raft_message reply = {
        .type = RAFT_MSG_APPEND_RESPONSE, .to = to, .index = index};
    raft_send_take(r, &reply);
}

/* The log differs at m->index or ends before it.  Everything in the leader's
 * log up to there has at most the term m->log_term; so the first place where
 * the two can agree is where ours has no later one. */
static void reject(struct raft *r, const struct raft_message *m)
{
    const uint64_t last = raft_log_last_index(&r->log);
    const uint64_t from = m->index < last ? m->index : last;
    struct raft_message reply = {.type = RAFT_MSG_APPEND_RESPONSE,
                                 .to = m->from,
                                 .index = m->index,
                                 .reject = true,
                                 .lost = r->lost.index > 0};
    reply.reject_hint =
        raft_log_find_by_term(&r->log, from, m->log_term, &reply.log_term);
    raft_send_take(r, &reply);
}

void raft_on_append(struct raft *r, const struct raft_message *m)
{
    must(r->role == RAFT_FOLLOWER);
    must(m->term == r->term);
    if (m->index < r->log.committed) {
        acknowledge(r, m->from, r->log.committed); /* old news */
        return;
    }
    if (!raft_log_has(&r->log, (struct raft_entry_id){m->log_term, m->index})) {
        reject(r, m);
        return;
    }
    const struct raft_entry *entries = m->entries.list;
    const size_t count = m->entries.count;
    /* What is there already stays: the message may be an old one, and entries
     * behind it were acknowledged since (section 3.5, step 3). */
    const size_t known = raft_log_find_conflict(&r->log, entries, count);
    if (known < count) {
        raft_log_append(&r->log, &entries[known], count - known);
        raft_note_regained(r);
    }
    const uint64_t last_new = m->index + count;
    raft_log_commit_to(&r->log, m->commit < last_new ? m->commit : last_new);
    acknowledge(r, m->from, last_new);
}

/* A leader that believes this member has what it lost is told. */
static bool is_told_of_loss(struct raft *r, const struct raft_message *m)
{
    const struct raft_entry_id last = raft_log_last_id(&r->log);
    if (m->commit <= last.index) {
        return false;
    }
    must(r->lost.index > 0); /* raft_contradicts() has seen it */
    struct raft_message reply = {.type = RAFT_MSG_APPEND_RESPONSE,
                                 .to = m->from,
                                 .index = m->commit,
                                 .reject = true,
                                 .lost = true,
                                 .reject_hint = last.index,
                                 .log_term = last.term};
    raft_send_take(r, &reply);
    return true;
}

void raft_on_heartbeat(struct raft *r, const struct raft_message *m)
{
    must(r->role == RAFT_FOLLOWER);
    if (!is_told_of_loss(r, m)) {
        raft_log_commit_to(&r->log, m->commit);
    }
    struct raft_message reply = {
        .type = RAFT_MSG_HEARTBEAT_RESPONSE, .to = m->from, .index = m->index};
    raft_send_take(r, &reply);
}
