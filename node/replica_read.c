/* Reads: linearizable ones wait for a read index (dissertation section 6.4),
 * one confirmation for all that were submitted before it began. */

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/replica_internal.h"

#define READ_RETRY_NS (500 * INT64_C(1000000)) /* as etcd */
#define CONTEXT_SIZE  16

static bool is_serializable(const struct pending *p)
{
    if (p->kind == PENDING_ALARM || p->kind == PENDING_LEASE) {
        return false;
    }
    if (p->kind == PENDING_MEMBERS) {
        return !container_of(p->call, struct admin_members, call)->linearizable;
    }
    if (p->kind == PENDING_RANGE) {
        return container_of(p->call, struct kv_range, call)->spec.serializable;
    }
    const struct kv_txn *txn = container_of(p->call, struct kv_txn, call);
    return txn->spec.success_count > 0 &&
           txn->spec.success[0].type == KV_OP_RANGE &&
           txn->spec.success[0].range.serializable;
}

/* What a leader has applied is all that was ever acknowledged, if it leads. */
static bool may_presume(const struct replica *r, const struct pending *p)
{
    if (p->kind != PENDING_RANGE ||
        !container_of(p->call, struct kv_range, call)->spec.may_presume) {
        return false;
    }
    struct raft_status s;
    raft_status(r->raft, &s);
    return s.soft.role == RAFT_LEADER && s.committed_in_term &&
           store_applied_index(r->store) == s.hard.commit;
}

static void run(struct replica *r, struct pending *p, bool presumed)
{
    struct fault fault;
    enum status st;
    store_results_clear(r->results);
    if (p->kind == PENDING_ALARM) {
        replica_answer_alarms(r,
                              container_of(p->call, struct admin_alarm, call));
        st = ST_OK;
    } else if (p->kind == PENDING_MEMBERS) {
        replica_answer_members(
            r, container_of(p->call, struct admin_members, call));
        st = ST_OK;
    } else if ((st = replica_may_serve(r)) != ST_OK) {
        /* nothing of this state is to be believed */
    } else if (p->kind == PENDING_LEASE) {
        st = lease_list(r, p, &fault);
    } else if (p->kind == PENDING_RANGE) {
        struct kv_range *range = container_of(p->call, struct kv_range, call);
        st = store_range(r->store, &range->spec, r->results, &range->result,
                         &fault);
        range->result.presumed = presumed;
    } else {
        struct kv_txn *txn = container_of(p->call, struct kv_txn, call);
        st = store_read_txn(r->store, &txn->spec, r->results, &txn->result,
                            &fault);
    }
    if (st == ST_CORRUPT || st == ST_IO) {
        log_error("a read failed: %s", fault.text);
    }
    p->call->header = replica_header(r);
    pending_done(&r->pending, p, st);
}

/* The context names the batch and this life of the member. */
static struct payload *batch_context(const struct replica *r)
{
    struct payload *context = payload_new(CONTEXT_SIZE);
    put_u64(context->data, r->options.seed);
    put_u64(context->data + 8, r->read_batch);
    return context;
}

static void ask(struct replica *r)
{
    r->read_leader = raft_leader(r->raft);
    struct payload *context = batch_context(r);
    /* ST_NO_LEADER: the same as no answer, asked again until the deadline. */
    (void)!raft_read_index(r->raft, context);
    payload_drop(context);
    r->read_retry_ns = r->clock.now_ns + READ_RETRY_NS;
}

void replica_begin_reads(struct replica *r)
{
    if (r->read_in_flight && !r->read_confirmed) {
        if (list_is_empty(&r->pending.reading)) {
            r->read_in_flight = false; /* all of them gave up */
        } else if (r->clock.now_ns >= r->read_retry_ns ||
                   raft_leader(r->raft) != r->read_leader) {
            ask(r); /* a new leader has not heard of it */
        }
    }
    struct list local; /* done() may change any list but this one's order */
    list_init(&local);
    bool any = false;
    list_each_safe (link, &r->pending.queued_reads) {
        struct pending *p = container_of(link, struct pending, link);
        if (is_serializable(p) || may_presume(r, p)) {
            list_remove(link);
            list_push(&local, link);
        } else if (!r->read_in_flight) {
            pending_set_reading(&r->pending, p);
            any = true;
        }
    }
    if (any) {
        r->read_in_flight = true;
        r->read_confirmed = false;
        r->read_batch++;
        ask(r);
    }
    while (!list_is_empty(&local)) {
        struct pending *p = container_of(local.next, struct pending, link);
        run(r, p, !is_serializable(p));
    }
}

void replica_on_read_state(struct replica *r,
                           const struct raft_read_state *state)
{
    const struct bytes context = payload_bytes(state->context);
    if (lease_on_read_state(r, state)) {
        return;
    }
    if (!r->read_in_flight || context.size != CONTEXT_SIZE ||
        get_u64(context.data) != r->options.seed ||
        get_u64(context.data + 8) != r->read_batch) {
        return; /* an answer that came too late */
    }
    r->read_confirmed = true;
    r->read_index = state->index;
}

bool replica_answer_reads(struct replica *r)
{
    if (!r->read_in_flight || !r->read_confirmed ||
        store_applied_index(r->store) < r->read_index) {
        return false;
    }
    r->read_in_flight = false;
    struct list now; /* done() may submit: those are the next batch's */
    list_init(&now);
    list_splice(&now, &r->pending.reading);
    const bool any = !list_is_empty(&now);
    while (!list_is_empty(&now)) {
        run(r, container_of(now.next, struct pending, link), false);
    }
    return any || !list_is_empty(&r->pending.queued_reads);
}
