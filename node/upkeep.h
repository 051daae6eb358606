/* kv/admin.h as the node keeps it: what an operator does, beside the replica.
 *
 * A call is with exactly one of these at a time: the replica's table (alarms),
 * an operation of its own below, or `finished`, whose calls are answered at the
 * end of the node's turn: never from inside the call that submitted or
 * cancelled.
 *
 * Operations read what is durable, so each waits until what was applied when it
 * was asked for has been flushed, which is asked for too.  What blocks is done
 * by lanes (lane.h).  Threads: everything here is the loop's.
 */
#ifndef NODE_UPKEEP_H
#define NODE_UPKEEP_H

#include "kv/admin.h"
#include "node/check.h"
#include "node/compactor.h"
#include "node/lane.h"
#include "node/node_internal.h"

#define UPKEEP_OPS_MAX 64

/* An operation that takes its time.
 *
 *   WAITING -> BEGUN -> (ended and freed)
 *      ^----------' (the store was replaced: hashes begin again)            */
struct upkeep_op {
    const struct upkeep_op_kind *kind;
    struct list link;     /* of upkeep.ops */
    struct kv_call *call; /* NULL: nobody waits for it any more */
    uint64_t wait_index;  /* it begins when this is durable */
    int64_t deadline_ns;  /* of waiting and running; INT64_MAX: none */
    bool begun;
    uint64_t turn; /* the one it had last */
};

struct upkeep_op_kind {
    /* What it waits for is there. */
    void (*begin)(struct upkeep *u, struct upkeep_op *op);
    /* It has begun, and is to leave the store soon: nobody wants its result
     * (call is NULL then), or the store is about to be replaced.  It ends
     * itself, or begins again, when it has. */
    void (*leave)(struct upkeep *u, struct upkeep_op *op);
    /* May be NULL.  In each turn of one that has begun; true when it did
     * something; and with each heartbeat interval.  Both may end it. */
    bool (*turn)(struct upkeep *u, struct upkeep_op *op);
    void (*tick)(struct upkeep *u, struct upkeep_op *op, int64_t now_ns);
    /* No thread is at work for it. */
    void (*free)(struct upkeep_op *op);
};

struct upkeep {
    struct admin admin; /* first: the vtable's self */
    struct node *node;
    struct list finished; /* kv_call.link: `done` is due */
    struct list ops;      /* at most UPKEEP_OPS_MAX */
    uint64_t turn;
    bool held;          /* nothing begins: the store is about to be replaced */
    struct lane slow;   /* whole walks over the store */
    struct lane pieces; /* of snapshots */

    struct compactor compactor;
    struct kv_compact auto_compact; /* under way when auto_compact_out */
    bool auto_compact_out;

    struct check check;
};

struct upkeep *upkeep_new(struct node *n, const struct node_options *o);
/* Everything must have been answered; the store is still open. Waits for what
 * is under way. NULL is fine. */
void upkeep_free(struct upkeep *u);
/* One heartbeat interval passed. */
void upkeep_tick(struct upkeep *u);
/* Begins what can begin, answers what is finished; true when there was any. */
bool upkeep_turn(struct upkeep *u);
/* Answers everything ST_STOPPED, now. */
void upkeep_stop(struct upkeep *u);

/* Whether somebody waits for a flush. */
bool upkeep_wants_flush(const struct upkeep *u);
/* The store is to be replaced: true when nothing here uses it any more, and
 * then nothing does until upkeep_store_replaced(). */
bool upkeep_leave_store(struct upkeep *u);
void upkeep_store_replaced(struct upkeep *u);

/* The call's answer is st; `done` comes with the node's turn.  It must not be
 * in any list. */
void upkeep_finish(struct upkeep *u, struct kv_call *call, enum status st);

/* No more can be taken in: the call is finished. */
bool upkeep_refuses(struct upkeep *u, struct kv_call *call);
/* Takes an operation in, which is freed by kind->free. */
void upkeep_add(struct upkeep *u, struct upkeep_op *op, struct kv_call *call);
/* Its answer, if anybody waits; frees it. */
void upkeep_end(struct upkeep *u, struct upkeep_op *op, enum status st);

/* Answers st now; it ends when it has left the store. */
void upkeep_give_up(struct upkeep *u, struct upkeep_op *op, enum status st);

/* admin_defragment.c */
void upkeep_defragment(struct admin *a, struct admin_defragment *call);
/* No flush is to begin now, unless the memtables are full. */
bool upkeep_holds_flushes(const struct upkeep *u);

/* admin_snapshot.c */
void upkeep_snapshot(struct admin *a, struct admin_snapshot *call);
void upkeep_snapshot_next(struct admin *a, struct admin_snapshot *call);

/* admin_hash.c */
void upkeep_hash(struct admin *a, struct admin_hash *call);
/* For ourselves: of the state at call->revision, once the entry at `index` is
 * durable (store/hashes.h, STATE). */
void upkeep_hash_state(struct upkeep *u, struct admin_hash *call,
                       uint64_t index);

/* auto_compact.c */
void upkeep_auto_compact(struct upkeep *u, int64_t now_ns);

/* admin_members.c */
void upkeep_members(struct admin *a, struct admin_members *call);
void upkeep_move_leader(struct admin *a, struct admin_move_leader *call);

static inline struct upkeep *upkeep_of(struct admin *a)
{
    return container_of(a, struct upkeep, admin);
}

static inline struct node *upkeep_node(struct admin *a)
{
    return upkeep_of(a)->node;
}

#endif
