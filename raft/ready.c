/* What must happen, handed to the host.
 *
 * Asynchronous mode: the writes are messages themselves, and what has to wait
 * for a write is inside its message.  Synchronous mode: the host writes before
 * it sends, and responses to this member are due at raft_advance(). */

#include "base/must.h"
#include "raft/internal.h"

static bool soft_state_changed(const struct raft *r)
{
    return r->out.soft.leader != r->leader || r->out.soft.role != r->role;
}

static bool hard_state_changed(const struct raft *r)
{
    const struct raft_hard_state *out = &r->out.hard;
    return r->term != out->term || r->vote != out->vote ||
           r->log.committed != out->commit;
}

bool raft_has_ready(const struct raft *r)
{
    const struct raft_unstable *u = &r->log.unstable;
    return soft_state_changed(r) || hard_state_changed(r) ||
           raft_unstable_has_next_snapshot(u) || r->messages.count > 0 ||
           r->after_append.count > 0 ||
           u->offset_in_progress < u->offset + u->count ||
           r->read_states.count > 0 ||
           raft_log_has_next_committed(&r->log,
                                       !r->config.async_storage_writes);
}

/* Says how far the log will be durable when this and all earlier writes are
 * done, with the term: see raft_on_storage_append_response(). */
static struct raft_message append_response(const struct raft *r,
                                           struct raft_snapshot *snapshot)
{
    struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND_RESPONSE,
                             .to = r->id,
                             .from = RAFT_APPEND_THREAD,
                             .term = r->term};
    if (r->log.unstable.count > 0) {
        const struct raft_entry_id last = raft_log_last_id(&r->log);
        m.index = last.index;
        m.log_term = last.term;
    }
    if (snapshot != NULL) {
        m.snapshot = raft_snapshot_hold(snapshot);
    }
    return m;
}

static struct raft_message apply_response(const struct raft *r,
                                          const struct raft_entries *committed)
{
    struct raft_message m = {.type = RAFT_MSG_STORAGE_APPLY_RESPONSE,
                             .to = r->id,
                             .from = RAFT_APPLY_THREAD};
    raft_entries_add(&m.entries, committed->list, committed->count);
    return m;
}

/* The write, and everything that waits for it. */
static void push_append(struct raft *r, const struct raft_ready *rd)
{
    struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND,
                             .to = RAFT_APPEND_THREAD,
                             .from = r->id};
    raft_entries_add(&m.entries, rd->entries, rd->entries_count);
    if (rd->hard_state_changed) {
        m.term = rd->hard_state.term;
        m.vote = rd->hard_state.vote;
        m.commit = rd->hard_state.commit;
    }
    if (rd->snapshot != NULL) {
        m.snapshot = raft_snapshot_hold(rd->snapshot);
    }
    if (r->log.unstable.count > 0 || rd->snapshot != NULL) {
        struct raft_message response = append_response(r, rd->snapshot);
        raft_outbox_push_take(&r->after_append, &response);
    }
    m.responses = r->after_append.list;
    m.responses_count = r->after_append.count;
    r->after_append = (struct raft_outbox){NULL, 0, 0};
    raft_outbox_push_take(&r->out.messages, &m);
}

static void push_apply(struct raft *r)
{
    struct raft_message m = {.type = RAFT_MSG_STORAGE_APPLY,
                             .to = RAFT_APPLY_THREAD,
                             .from = r->id,
                             .responses_count = 1};
    m.responses = xmalloc(sizeof m.responses[0]);
    m.responses[0] = apply_response(r, &r->out.committed);
    /* The entries move from one list to the other. */
    m.entries = r->out.committed;
    r->out.committed = (struct raft_entries){NULL, 0, 0};
    raft_outbox_push_take(&r->out.messages, &m);
}

static void hand_out_async(struct raft *r, struct raft_ready *rd)
{
    if (rd->entries_count > 0 || rd->hard_state_changed ||
        rd->snapshot != NULL || r->after_append.count > 0) {
        push_append(r, rd);
        const struct raft_outbox *o = &r->out.messages;
        rd->entries = o->list[o->count - 1].entries.list;
    }
    if (r->out.committed.count > 0) {
        push_apply(r);
    }
}

static void hand_out_sync(struct raft *r, struct raft_ready *rd)
{
    must(r->out.due.count == 0); /* every ready is advanced before the next */
    for (size_t i = 0; i < r->after_append.count; i++) {
        struct raft_message *m = &r->after_append.list[i];
        raft_outbox_push_take(m->to == r->id ? &r->out.due : &r->out.messages,
                              m);
    }
    r->after_append.count = 0;
    if (r->log.unstable.count > 0 || rd->snapshot != NULL) {
        struct raft_message m = append_response(r, rd->snapshot);
        raft_outbox_push_take(&r->out.due, &m);
    }
    if (r->out.committed.count > 0) {
        struct raft_message m = apply_response(r, &r->out.committed);
        raft_outbox_push_take(&r->out.due, &m);
    }
    raft_entries_add(&r->out.entries, rd->entries, rd->entries_count);
    rd->entries = r->out.entries.list;
}

/* What the last one handed out and nobody took. */
static void take_back(struct raft *r)
{
    raft_entries_clear(&r->out.entries);
    raft_entries_clear(&r->out.committed);
    raft_snapshot_drop(r->out.snapshot);
    r->out.snapshot = NULL;
    raft_outbox_clear(&r->out.messages);
    raft_read_states_clear(&r->out.reads);
}

static uint64_t size_of(const struct raft_entries *entries)
{
    uint64_t size = 0;
    for (size_t i = 0; i < entries->count; i++) {
        size += raft_entry_size(&entries->list[i]);
    }
    return size;
}

void raft_ready(struct raft *r, struct raft_ready *ret_ready)
{
    const bool allow_unstable = !r->config.async_storage_writes;
    take_back(r);
    struct raft_ready rd = {.soft_state_changed = soft_state_changed(r),
                            .hard_state_changed = hard_state_changed(r),
                            .soft_state = raft_soft_state(r),
                            .hard_state = raft_hard_state(r)};
    rd.entries = raft_unstable_next(&r->log.unstable, &rd.entries_count);
    rd.must_sync = rd.entries_count > 0 || r->term != r->out.hard.term ||
                   r->vote != r->out.hard.vote;
    if (raft_unstable_has_next_snapshot(&r->log.unstable)) {
        rd.snapshot = raft_snapshot_hold(r->log.unstable.snapshot);
        r->out.snapshot = rd.snapshot;
    }
    raft_log_next_committed(&r->log, allow_unstable, &r->out.committed);
    rd.committed = r->out.committed.list;
    rd.committed_count = r->out.committed.count;
    if (rd.committed_count > 0) {
        raft_log_accept_applying(&r->log,
                                 rd.committed[rd.committed_count - 1].index,
                                 size_of(&r->out.committed), allow_unstable);
    }
    raft_outbox_swap(&r->messages, &r->out.messages);
    if (r->config.async_storage_writes) {
        hand_out_async(r, &rd);
    } else {
        hand_out_sync(r, &rd);
    }
    rd.messages = r->out.messages.list;
    rd.messages_count = r->out.messages.count;

    const struct raft_read_states reads = r->out.reads;
    r->out.reads = r->read_states;
    r->read_states = reads;
    rd.read_states = r->out.reads.list;
    rd.read_states_count = r->out.reads.count;

    raft_unstable_accept(&r->log.unstable);
    r->out.soft = rd.soft_state;
    r->out.hard = rd.hard_state;
    raft_trace_event(r, RAFT_TRACE_READY);
    *ret_ready = rd;
}

void raft_advance(struct raft *r)
{
    must(!r->config.async_storage_writes);
    struct raft_outbox due = {NULL, 0, 0};
    raft_outbox_swap(&due, &r->out.due);
    for (size_t i = 0; i < due.count; i++) {
        /* Responses are never refused; stale ones are ignored. */
        (void)!raft_dispatch(r, &due.list[i]);
    }
    raft_outbox_clear(&due);
    raft_outbox_swap(&due, &r->out.due); /* keeps the array */
    take_back(r);
}
