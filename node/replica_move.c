/* Handing the leadership to a chosen voter, and seeing that it happened. */

#include "base/must.h"
#include "node/replica_internal.h"

static bool is_voter(const struct replica *r, uint64_t id)
{
    const struct membership *m = r->membership;
    return membership_find(m, id) != NULL && !membership_is_learner(m, id);
}

static bool has_place(const struct pending *p, enum pending_place place)
{
    return p != NULL && p->place == place;
}

static enum status may_move(const struct replica *r,
                            const struct admin_move_leader *call)
{
    if (raft_leader(r->raft) == RAFT_NONE) {
        return ST_NO_LEADER;
    }
    if (raft_role(r->raft) != RAFT_LEADER) {
        return ST_NOT_LEADER;
    }
    if (!is_voter(r, call->to)) {
        return ST_BAD_TRANSFEREE;
    }
    return r->move != NULL ? ST_TOO_MANY : ST_OK;
}

void replica_move_leader(struct replica *r, struct admin_move_leader *call)
{
    replica_submit(r, &call->call, PENDING_MOVE, true, may_move(r, call));
    if (has_place(call->call.state, PENDING_QUEUED)) {
        pending_set_moving(&r->pending, call->call.state);
        r->move = call;
        r->move_ticks = 0;
        raft_transfer_leader(r->raft, call->to);
    }
}

/* It is over when the heir leads; raft gives up after an election timeout. */
void replica_watch_move(struct replica *r)
{
    struct pending *p = NULL;
    list_each (link, &r->pending.moving) {
        p = container_of(link, struct pending, link);
    }
    if (p == NULL) { /* there is none, or it timed out or was cancelled */
        r->move = NULL;
        return;
    }
    const bool done = raft_leader(r->raft) == r->move->to;
    if (done || r->move_ticks > 2 * r->options.election_ticks) {
        r->move = NULL;
        pending_finish(&r->pending, p, done ? ST_OK : ST_TRANSFER_TIMEOUT);
    }
}
