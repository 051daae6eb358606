/* Putting a configuration in force.  It counts from when it is applied, not
 * from when it is in the log, as the dissertation's does (section 4.1); safe
 * because the next one cannot be proposed before this one is applied by the
 * leader, and no member campaigns with a committed one unapplied. */

#include "base/must.h"
#include "raft/internal.h"

void raft_switch_conf(struct raft *r, const struct raft_conf_sets *sets,
                      const struct raft_ids *replaced)
{
    raft_members_switch(&r->members, sets, replaced,
                        raft_log_last_index(&r->log));
    raft_trace_event(r, RAFT_TRACE_APPLY_CONF_CHANGE);
    const struct raft_progress *own = raft_members_find(&r->members, r->id);
    r->is_learner = own != NULL && own->is_learner;
    if (r->role != RAFT_LEADER) {
        return;
    }
    if (own == NULL || own->is_learner) {
        /* Section 4.2.2: a leader that is no voter any more steps down when
         * that is committed. */
        if (r->config.step_down_on_removal) {
            raft_become_follower(r, r->term, RAFT_NONE);
        }
        return;
    }
    if (raft_maybe_commit(r)) {
        raft_release_early_reads(r);
        raft_broadcast_append(r); /* a smaller quorum may have more */
    } else {
        for (size_t i = 0; i < r->members.count; i++) {
            if (r->members.list[i].id != r->id) {
                (void)raft_send_append_if_news(r, &r->members.list[i]);
            }
        }
    }
    raft_confirm_reads(r);
    if (!raft_conf_has_voter(&r->members.conf, r->transfer_to)) {
        r->transfer_to = RAFT_NONE;
    }
}

void raft_maybe_leave_joint(struct raft *r)
{
    if (!r->members.conf.auto_leave || r->role != RAFT_LEADER ||
        r->log.applied < r->pending_conf_index) {
        return;
    }
    const struct raft_entry leave = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
    /* Refused during a hand-over: tried again when more is applied, by this
     * leader or the next. */
    (void)!raft_propose_entries(r, &leave, 1);
}

enum status raft_apply_conf_change(struct raft *r, uint64_t index,
                                   const struct raft_conf_change *cc,
                                   struct raft_conf_state *ret_conf)
{
    struct raft_conf_step step;
    if (r->members.conf.incoming.count == 0) {
        /* On top of nothing, "add me" would make a group of one out of a
         * member that only joins. */
        return ST_INVALID;
    }
    if (index > r->conf_index) {
        const enum raft_conf_refusal why =
            raft_conf_step_by(&r->members.conf, cc, &step);
        if (why == RAFT_CONF_TOO_MANY_MEMBERS) {
            return ST_TOO_MANY;
        }
        if (why != RAFT_CONF_OK) {
            return ST_INVALID;
        }
        r->conf_index = index;
        raft_switch_conf(r, &step.sets, &step.replaced);
    }
    if (ret_conf != NULL) {
        raft_conf(r, ret_conf);
    }
    return ST_OK;
}
