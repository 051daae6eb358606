/* Writes: from submitted transactions to log entries, and from committed
 * entries to answers. */

#include "base/must.h"
#include "node/replica_internal.h"

#define PROPOSALS_BYTES_MAX (16 * 1024 * 1024) /* in one turn */

/* What an entry needs in the log beside its command. */
#define ENTRY_OVERHEAD 128

/* A full disk refuses everything that the memtables have no room for. */
static enum status check_space(struct replica *r, const struct kv_txn_spec *txn)
{
    if (r->disk_full && store_is_full(r->store)) {
        return ST_NO_SPACE;
    }
    const enum status st = store_check_room(r->store, txn);
    if (st == ST_NO_SPACE) {
        replica_note_full(r);
    }
    return st;
}

static void encode_alarm(struct replica *r, const struct store_stamp *stamp,
                         const struct pending *p)
{
    const struct admin_alarm *alarm =
        container_of(p->call, struct admin_alarm, call);
    const struct store_alarm_change change = {
        .clear = alarm->op == ADMIN_ALARM_CLEAR,
        .automatic = alarm == &r->own_alarm,
        .alarm = {.member = alarm->member, .type = alarm->type}};
    store_encode_alarm(stamp, &change, &r->command);
}

static enum status encode(struct replica *r, struct pending *p)
{
    const struct store_stamp stamp = {.time_ns = r->clock.wall_ns,
                                      .ticket = p->ticket,
                                      .member = r->options.member_id};
    buf_clear(&r->command);
    if (p->kind == PENDING_COMPACT) {
        const struct kv_compact *compact =
            container_of(p->call, struct kv_compact, call);
        store_encode_compact(&stamp, compact->revision, &r->command);
        return ST_OK;
    }
    if (p->kind == PENDING_ALARM) {
        encode_alarm(r, &stamp, p);
        return ST_OK;
    }
    if (p->kind == PENDING_LEASE) {
        return lease_encode(r, &stamp, p);
    }
    if (p->kind == PENDING_MEMBERS) {
        replica_encode_members(r, p);
        return ST_OK;
    }
    must(p->kind == PENDING_TXN);
    const struct kv_txn *txn = container_of(p->call, struct kv_txn, call);
    const enum status st = check_space(r, &txn->spec);
    if (st != ST_OK) {
        return st;
    }
    store_encode_txn(&stamp, &txn->spec, &r->command);
    if (r->command.size > r->options.request_bytes_max + ENTRY_OVERHEAD) {
        return ST_TOO_LARGE;
    }
    return ST_OK;
}

/* The leader's log decides about space: followers send it what they have. */
bool replica_leads(const struct replica *r)
{
    return raft_role(r->raft) == RAFT_LEADER;
}

static void add_proposal(struct replica *r, size_t at)
{
    if (at == r->proposals_capacity) {
        r->proposals_capacity = at > 0 ? 2 * at : 64;
        r->proposals = xrealloc(r->proposals, r->proposals_capacity *
                                                  sizeof(struct payload *));
    }
    r->proposals[at] = payload_copy_of(buf_bytes(&r->command));
}

/* What was refused as a batch was refused whole. */
static void refuse(struct replica *r, struct list *batch, enum status st)
{
    struct list *link;
    while ((link = batch->next) != batch) {
        pending_finish(&r->pending, container_of(link, struct pending, link),
                       st);
    }
}

/* Everything queued becomes one run of entries, hence one write and one sync
 * of the log. */
void replica_propose_queued(struct replica *r)
{
    size_t count = 0;
    uint64_t bytes = 0;
    const bool reserves = replica_leads(r);
    struct list batch;
    list_init(&batch);
    while (!list_is_empty(&r->pending.queued_writes) &&
           bytes < PROPOSALS_BYTES_MAX &&
           (!store_is_full(r->store) || r->disk_full)) {
        struct list *link = r->pending.queued_writes.next;
        struct pending *p = container_of(link, struct pending, link);
        if (replica_is_order(r, p)) {
            replica_order(r, p);
            continue;
        }
        enum status st = encode(r, p);
        if (st == ST_OK && reserves &&
            !r->options.reserve(r->options.host, r->command.size)) {
            st = ST_NO_SPACE;
        }
        if (st != ST_OK) {
            pending_finish(&r->pending, p, st);
            continue;
        }
        add_proposal(r, count++);
        bytes += r->command.size;
        list_remove(link);
        list_push(&batch, link);
    }
    if (count == 0) {
        return;
    }
    enum status st = raft_propose(r->raft, r->proposals, count);
    st = st == ST_NOT_LEADER ? ST_NO_LEADER : st; /* removed, yet it leads */
    for (size_t i = 0; i < count; i++) {
        if (st == ST_OK) {
            pending_set_proposed(&r->pending,
                                 container_of(batch.next, struct pending, link),
                                 raft_term(r->raft), r->proposals[i]);
        } else if (reserves) {
            r->options.unreserve(r->options.host, r->proposals[i]->size);
        }
        payload_drop(r->proposals[i]);
    }
    refuse(r, &batch, st); /* what was not taken; else there is none */
}

/* An entry of this term is applied.  Terms never fall along the log, and a
 * proposal becomes an entry in its own term or never
 * (raft_config.proposals_bear_term): what was proposed earlier, to a leader
 * that is gone, and is not applied by now, will not be.  So it may be proposed
 * again, and cannot become two entries. */
static void propose_lost_again(struct replica *r, uint64_t term)
{
    if (term > r->applied_term) {
        r->applied_term = term;
        r->submitted |= pending_requeue_before(&r->pending, term);
    }
}

static void answer(struct replica *r, const struct raft_entry *e,
                   const struct store_outcome *outcome)
{
    if (outcome->stamp.member != r->options.member_id) {
        return;
    }
    struct pending *p = pending_find(&r->pending, outcome->stamp.ticket);
    if (p == NULL) {
        return; /* it gave up, or belongs to an earlier life */
    }
    if (!pending_is_made_of(p, e->payload)) {
        return; /* whoever made it, it is not what was asked for here */
    }
    p->call->header = replica_header(r);
    p->call->header.revision = outcome->header.revision;
    if (p->kind == PENDING_TXN && outcome->status == ST_OK) {
        must(outcome->txn != NULL);
        container_of(p->call, struct kv_txn, call)->result = *outcome->txn;
    }
    if (p->kind == PENDING_LEASE && outcome->status == ST_OK) {
        lease_written(p, outcome);
    }
    if (p->kind == PENDING_ALARM) {
        struct admin_alarm *alarm =
            container_of(p->call, struct admin_alarm, call);
        alarm->alarms = &outcome->alarm;
        alarm->alarms_count = outcome->alarm.type != ADMIN_ALARM_NONE;
    }
    if (p->kind == PENDING_COMPACT && outcome->status == ST_OK &&
        container_of(p->call, struct kv_compact, call)->physical) {
        pending_set_sweeping(&r->pending, p);
        return;
    }
    pending_done(&r->pending, p, outcome->status);
}

bool replica_answer_swept(struct replica *r)
{
    const int64_t swept = store_swept_revision(r->store);
    bool any = false;
    list_each_safe (link, &r->pending.sweeping) {
        struct pending *p = container_of(link, struct pending, link);
        if (container_of(p->call, struct kv_compact, call)->revision <= swept) {
            pending_finish(&r->pending, p, ST_OK);
            any = true;
        }
    }
    return any;
}

/* Members first: the store is told that there was an entry, and what the record
 * says now is of its index. */
static enum status apply(struct replica *r, const struct raft_entry *e,
                         struct store_outcome *ret, struct fault *reterr)
{
    struct bytes command = payload_bytes(e->payload);
    enum status st = ST_OK;
    if (e->type != RAFT_ENTRY_NORMAL) {
        st = replica_apply_conf(r, e, reterr);
        command = BYTES_NONE;
    } else if (membership_is_command(command)) {
        st = replica_apply_members(r, e, reterr);
        command = BYTES_NONE;
    }
    return st == ST_OK
               ? store_apply(r->store, e->index, e->term, command, ret, reterr)
               : st;
}

enum status replica_apply_message(struct replica *r, struct raft_message *m,
                                  struct fault *reterr)
{
    for (size_t i = 0; i < m->entries.count; i++) {
        const struct raft_entry *e = &m->entries.list[i];
        must(e->index == store_applied_index(r->store) + 1); /* N1 */
        struct store_outcome outcome = {.stamp = {.ticket = 0}};
        const enum status st = apply(r, e, &outcome, reterr);
        if (st != ST_OK) {
            return st;
        }
        r->unflushed_bytes += replica_log_bytes_of(e);
        lease_applied(r, &outcome);
        if (outcome.alarm.type != ADMIN_ALARM_NONE) {
            replica_alarm_applied(r, &outcome);
        }
        if (e->type == RAFT_ENTRY_NORMAL && e->payload != NULL &&
            e->payload->size > 0 &&
            !membership_is_command(payload_bytes(e->payload))) {
            answer(r, e, &outcome);
        }
        propose_lost_again(r, e->term);
    }
    return ST_OK;
}
