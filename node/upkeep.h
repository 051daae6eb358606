/* kv/admin.h as the node keeps it: what an operator does, beside the replica.
 *
 * A call is with exactly one of these at a time: the replica's table (alarms),
 * an operation's own list, or `finished`, whose calls are answered at the end
 * of the node's turn: never from inside the call that submitted or cancelled.
 *
 * call->state says who has a call: NULL while it is finished, else the
 * operation's own.  Threads: the loop's; what blocks is done by the upkeep
 * worker, one job at a time (upkeep_job).
 */
#ifndef NODE_UPKEEP_H
#define NODE_UPKEEP_H

#include "kv/admin.h"
#include "node/compactor.h"
#include "node/node_internal.h"

struct upkeep {
    struct admin admin; /* first: the vtable's self */
    struct node *node;
    struct list finished; /* kv_call.link: `done` is due */

    struct compactor compactor;
    struct kv_compact auto_compact; /* under way when auto_compact_out */
    bool auto_compact_out;
};

struct upkeep *upkeep_new(struct node *n, const struct node_options *o);
/* Everything must have been answered. NULL is fine. */
void upkeep_free(struct upkeep *u);
/* One heartbeat interval passed. */
void upkeep_tick(struct upkeep *u);
/* Answers what is finished; true when there was any. */
bool upkeep_turn(struct upkeep *u);
/* Answers everything ST_STOPPED, now. */
void upkeep_stop(struct upkeep *u);

/* The call's answer is st; `done` comes with the node's turn.  It must not be
 * in any list. */
void upkeep_finish(struct upkeep *u, struct kv_call *call, enum status st);

/* auto_compact.c */
void upkeep_auto_compact(struct upkeep *u, int64_t now_ns);

/* admin_members.c */
void upkeep_members(struct admin *a, struct admin_members *call);
void upkeep_move_leader(struct admin *a, struct admin_move_leader *call);

static inline struct node *upkeep_node(struct admin *a)
{
    return container_of(a, struct upkeep, admin)->node;
}

#endif
