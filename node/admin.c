/* kv/admin.h: what came in, and what is answered. */

#include <stdlib.h>

#include "base/must.h"
#include "node/upkeep.h"

static struct upkeep *upkeep_of(struct admin *a)
{
    return container_of(a, struct upkeep, admin);
}

void upkeep_finish(struct upkeep *u, struct kv_call *call, enum status st)
{
    call->state = NULL;
    call->status = st;
    list_init(&call->link);
    list_push(&u->finished, &call->link);
}

static void answer_all(struct upkeep *u)
{
    struct list now; /* what done() submits waits for the next turn */
    list_init(&now);
    list_splice(&now, &u->finished);
    struct list *link;
    while ((link = list_pop(&now)) != NULL) {
        struct kv_call *call = container_of(link, struct kv_call, link);
        replica_header_of(u->node->replica, &call->header);
        call->done(call);
    }
}

bool upkeep_turn(struct upkeep *u)
{
    if (list_is_empty(&u->finished)) {
        return false;
    }
    answer_all(u);
    return true;
}

void upkeep_stop(struct upkeep *u)
{
    while (upkeep_turn(u)) {
    }
}

/* --- operations --- */

static void alarm(struct admin *a, struct admin_alarm *call)
{
    replica_alarm(upkeep_node(a)->replica, call);
}

static void hash(struct admin *a, struct admin_hash *call)
{
    upkeep_finish(upkeep_of(a), &call->call, ST_UNSUPPORTED);
}

static void defragment(struct admin *a, struct admin_defragment *call)
{
    upkeep_finish(upkeep_of(a), &call->call, ST_UNSUPPORTED);
}

static void snapshot(struct admin *a, struct admin_snapshot *call)
{
    upkeep_finish(upkeep_of(a), &call->call, ST_UNSUPPORTED);
}

static void snapshot_next(struct admin *a, struct admin_snapshot *call)
{
    (void)a;
    (void)call;
}

static void cancel(struct admin *a, struct kv_call *call)
{
    (void)a;
    (void)call;
}

static void status(struct admin *a, struct admin_status *ret)
{
    const struct upkeep *u = upkeep_of(a);
    replica_admin_status(u->node->replica, ret);
}

static const struct admin_ops ops = {
    .members = upkeep_members,
    .move_leader = upkeep_move_leader,
    .alarm = alarm,
    .hash = hash,
    .defragment = defragment,
    .snapshot = snapshot,
    .snapshot_next = snapshot_next,
    .cancel = cancel,
    .status = status,
};

struct upkeep *upkeep_new(struct node *n, const struct node_options *o)
{
    struct upkeep *u = xcalloc(1, sizeof *u);
    u->admin.ops = &ops;
    u->node = n;
    list_init(&u->finished);
    compactor_init(&u->compactor, &o->auto_compaction, loop_now_ns());
    return u;
}

void upkeep_free(struct upkeep *u)
{
    if (u != NULL) {
        must(list_is_empty(&u->finished));
        compactor_fini(&u->compactor);
        free(u);
    }
}

void upkeep_tick(struct upkeep *u)
{
    upkeep_auto_compact(u, loop_now_ns());
}

struct admin *node_admin(struct node *n)
{
    return &n->upkeep->admin;
}
