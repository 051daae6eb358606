/* Handing the leadership to a chosen voter.  Dissertation section 3.10: stop
 * proposals, bring the heir's log up to date, tell it to campaign at once. */

#include "base/must.h"
#include "raft/internal.h"

static void send_timeout_now(struct raft *r, uint64_t to)
{
    struct raft_message m = {.type = RAFT_MSG_TIMEOUT_NOW, .to = to};
    raft_send_take(r, &m);
}

void raft_lead_transfer(struct raft *r, struct raft_progress *p)
{
    must(r->role == RAFT_LEADER);
    if (p->is_learner || p->id == r->transfer_to) {
        return;
    }
    r->transfer_to = RAFT_NONE;
    if (p->id == r->id) {
        return; /* it leads already; a hand-over under way is given up */
    }
    /* It has one election timeout: see tick.c. */
    r->election_elapsed = 0;
    r->transfer_to = p->id;
    if (p->match == raft_log_last_index(&r->log)) {
        send_timeout_now(r, p->id);
    } else {
        raft_send_append(r, p);
    }
}

void raft_continue_transfer(struct raft *r, const struct raft_progress *p)
{
    if (p->id == r->transfer_to && p->match == raft_log_last_index(&r->log)) {
        send_timeout_now(r, p->id);
    }
}

void raft_transfer_leader(struct raft *r, uint64_t to)
{
    if (to == RAFT_NONE) {
        return;
    }
    const struct raft_message m = {.type = RAFT_MSG_TRANSFER_LEADER,
                                   .from = to};
    /* Without effect when there is no leader or no such member. */
    (void)!raft_dispatch(r, &m);
}
