/* A member whose log lost its end although others were told that it is durable.
 *
 * What it promised is remembered as the identifier of the last entry it had.
 * The election restriction (dissertation section 3.6.1) needs nothing else: the
 * member votes as if its log still ended there.  It does not campaign, for its
 * own vote would be for a log that lacks what was promised.  And it marks the
 * appends it rejects, so that a leader forgets what it took for acknowledged.
 *
 * All is back when the log is as complete again by the same comparison: with
 * the same last term it agrees with the old one by Log Matching, with a later
 * one it holds everything committed before by Leader Completeness.  That stays
 * true whatever a later leader does to the log's end, so it is asked once. */

#include "base/must.h"
#include "raft/internal.h"

bool raft_has_what_was_lost(const struct raft *r, struct raft_entry_id last)
{
    return last.term > r->lost.term ||
           (last.term == r->lost.term && last.index >= r->lost.index);
}

void raft_note_regained(struct raft *r)
{
    if (r->lost.index > 0 &&
        raft_has_what_was_lost(r, raft_log_last_id(&r->log))) {
        must(r->role == RAFT_FOLLOWER); /* nobody else lost anything */
        r->lost = (struct raft_entry_id){0, 0};
    }
}
