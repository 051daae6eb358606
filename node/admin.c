/* kv/admin.h: what came in, and what is answered. */

#include <stdlib.h>

#include "base/must.h"
#include "node/upkeep.h"

/* --- answers --- */

void upkeep_finish(struct upkeep *u, struct kv_call *call, enum status st)
{
    call->state = NULL;
    call->status = st;
    list_init(&call->link);
    list_push(&u->finished, &call->link);
}

static bool answer_all(struct upkeep *u)
{
    struct list now; /* what done() submits waits for the next turn */
    list_init(&now);
    list_splice(&now, &u->finished);
    const bool any = !list_is_empty(&now);
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        struct kv_call *call = container_of(link, struct kv_call, link);
        replica_header_of(u->node->replica, &call->header);
        call->done(call);
    }
    return any;
}

/* --- operations --- */

void upkeep_add(struct upkeep *u, struct upkeep_op *op, struct kv_call *call)
{
    call->state = op;
    op->call = call;
    op->wait_index = store_applied_index(u->node->store);
    op->deadline_ns = call->timeout_ms > 0
                          ? loop_now_ns() + call->timeout_ms * INT64_C(1000000)
                          : INT64_MAX;
    list_push(&u->ops, &op->link);
}

static void answer(struct upkeep *u, struct upkeep_op *op, enum status st)
{
    struct kv_call *call = op->call;
    op->call = NULL;
    if (call != NULL) {
        upkeep_finish(u, call, st);
    }
}

bool upkeep_refuses(struct upkeep *u, struct kv_call *call)
{
    size_t count = 0;
    list_each (link, &u->ops) {
        count++;
    }
    if (u->node->broken || count >= UPKEEP_OPS_MAX) {
        upkeep_finish(u, call, u->node->broken ? ST_STOPPED : ST_TOO_MANY);
        return true;
    }
    return false;
}

void upkeep_end(struct upkeep *u, struct upkeep_op *op, enum status st)
{
    answer(u, op, st);
    list_remove(&op->link);
    op->kind->free(op);
}

void upkeep_give_up(struct upkeep *u, struct upkeep_op *op, enum status st)
{
    answer(u, op, st);
    if (op->begun) {
        op->kind->leave(u, op);
    } else {
        upkeep_end(u, op, st);
    }
}

static void begin_ready(struct upkeep *u)
{
    const uint64_t durable = store_durable_index(u->node->store);
    list_each_safe (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (!op->begun && op->wait_index <= durable) {
            op->begun = true;
            op->kind->begin(u, op);
        }
    }
}

bool upkeep_wants_flush(const struct upkeep *u)
{
    const uint64_t durable = store_durable_index(u->node->store);
    const uint64_t applied = store_applied_index(u->node->store);
    list_each (link, &u->ops) {
        const struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (!op->begun && op->wait_index > durable &&
            op->wait_index <= applied) {
            return true;
        }
    }
    return false;
}

bool upkeep_leave_store(struct upkeep *u)
{
    bool any = false;
    u->held = true;
    list_each_safe (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->begun) {
            op->kind->leave(u, op);
        }
    }
    list_each (link, &u->ops) {
        any |= container_of(link, struct upkeep_op, link)->begun;
    }
    return !any;
}

void upkeep_store_replaced(struct upkeep *u)
{
    u->held = false;
}

/* One whose turn it is still; NULL: all had theirs. */
static struct upkeep_op *next_turn(struct upkeep *u)
{
    list_each (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->begun && op->kind->turn != NULL && op->turn != u->turn) {
            return op;
        }
    }
    return NULL;
}

/* on_chunk() may cancel and submit: the list changes under us. */
static bool turn_begun(struct upkeep *u)
{
    struct upkeep_op *op;
    bool any = false;
    u->turn++;
    while ((op = next_turn(u)) != NULL) {
        op->turn = u->turn;
        any |= op->kind->turn(u, op);
    }
    return any;
}

bool upkeep_turn(struct upkeep *u)
{
    if (!u->held) {
        begin_ready(u);
    }
    const bool any = turn_begun(u);
    return answer_all(u) || any;
}

void upkeep_stop(struct upkeep *u)
{
    list_each_safe (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->call != NULL) {
            upkeep_give_up(u, op, ST_STOPPED);
        }
    }
    while (answer_all(u)) {
    }
}

static void cancel(struct admin *a, struct kv_call *call)
{
    struct upkeep *u = upkeep_of(a);
    list_each (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->call == call) {
            upkeep_give_up(u, op, ST_CANCELED);
            return;
        }
    }
    if (call->state != NULL) {
        kv_cancel(node_kv(u->node), call); /* the replica has it */
    }
}

/* --- the vtable --- */

static void alarm(struct admin *a, struct admin_alarm *call)
{
    replica_alarm(upkeep_node(a)->replica, call);
}

static void status(struct admin *a, struct admin_status *ret)
{
    replica_admin_status(upkeep_node(a)->replica, ret);
}

static const struct admin_ops ops = {
    .members = upkeep_members,
    .move_leader = upkeep_move_leader,
    .alarm = alarm,
    .hash = upkeep_hash,
    .defragment = upkeep_defragment,
    .snapshot = upkeep_snapshot,
    .snapshot_next = upkeep_snapshot_next,
    .cancel = cancel,
    .status = status,
};

/* --- life --- */

struct upkeep *upkeep_new(struct node *n, const struct node_options *o)
{
    struct upkeep *u = xcalloc(1, sizeof *u);
    u->admin.ops = &ops;
    u->node = n;
    list_init(&u->finished);
    list_init(&u->ops);
    lane_init(&u->slow, n->loop, "keelfs-upkeep");
    lane_init(&u->pieces, n->loop, "keelfs-pieces");
    compactor_init(&u->compactor, &o->auto_compaction, loop_now_ns());
    return u;
}

void upkeep_free(struct upkeep *u)
{
    if (u == NULL) {
        return;
    }
    must(list_is_empty(&u->finished));
    lane_fini(&u->slow);
    lane_fini(&u->pieces);
    struct list *link;
    while ((link = list_pop(&u->ops)) != NULL) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        must(op->call == NULL);
        op->kind->free(op);
    }
    compactor_fini(&u->compactor);
    free(u);
}

void upkeep_tick(struct upkeep *u)
{
    const int64_t now_ns = loop_now_ns();
    list_each_safe (link, &u->ops) {
        struct upkeep_op *op = container_of(link, struct upkeep_op, link);
        if (op->call != NULL && now_ns >= op->deadline_ns) {
            upkeep_give_up(u, op, ST_TIMEOUT);
        } else if (op->begun && op->kind->tick != NULL) {
            op->kind->tick(u, op, now_ns);
        }
    }
    upkeep_auto_compact(u, now_ns);
    check_tick(u, now_ns);
}

struct admin *node_admin(struct node *n)
{
    return &n->upkeep->admin;
}
