/* A follower's receiving of a snapshot in place of the log's beginning.
 * Dissertation section 5.1 and figure 5.3. */

#include "base/must.h"
#include "raft/internal.h"

/* False: not needed, or not for this member. */
static bool restore(struct raft *r, struct raft_snapshot *s)
{
    must(r->role == RAFT_FOLLOWER);
    if (s->index <= r->log.committed) {
        return false;
    }
    struct raft_conf_sets sets;
    const enum status st = raft_conf_read(&s->conf, &sets);
    must(st == ST_OK); /* raft_validate() has seen it */
    if (!raft_conf_has_member(&sets, r->id)) {
        return false; /* of a group this member is not in */
    }
    if (raft_log_has(&r->log, (struct raft_entry_id){s->term, s->index})) {
        /* All of it is in the log: only its being committed is news. */
        raft_log_commit_to(&r->log, s->index);
        return false;
    }
    raft_log_restore(&r->log, s);
    raft_note_regained(r);
    /* Changes that are on their way to be applied are in it already. */
    r->conf_index = s->index;
    raft_members_fini(&r->members);
    raft_switch_conf(r, &sets, NULL);
    return true;
}

void raft_on_snapshot(struct raft *r, const struct raft_message *m)
{
    must(m->snapshot != NULL);
    const bool restored = restore(r, m->snapshot);
    struct raft_message reply = {
        .type = RAFT_MSG_APPEND_RESPONSE,
        .to = m->from,
        .index = restored ? raft_log_last_index(&r->log) : r->log.committed};
    raft_send_take(r, &reply);
}
