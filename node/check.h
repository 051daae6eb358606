/* Members' states compared after compactions.
 *
 *   leader -> others   ASK number, revision, index
 *   other -> leader    ANSWER number, status, hash
 *
 * After a compaction the leader asks everybody for the hash of the state at the
 * compacted revision (store/hashes.h, STATE), and computes its own: what was
 * compacted is the same everywhere, whenever each gets to it.  `index` is an
 * entry with which the revision is there.  Who differs from a majority gets the
 * CORRUPT alarm (verdict.h).  One at a time, at most one in a minute; whoever
 * has compacted further by the time it is asked has no answer.
 *
 * Frames go over the bulk stream; what is lost is asked again after the next
 * compaction, or a minute later when it matters.
 */
#ifndef NODE_CHECK_H
#define NODE_CHECK_H

#include "kv/admin.h"
#include "node/verdict.h"
#include "raft/types.h"

#define CHECK_MEMBERS_MAX 256

/* Beside enum transfer_frame. */
enum check_frame { CHECK_ASK = 32, CHECK_ANSWER = 33 };

struct upkeep;

struct check {
    /* As the leader. */
    int64_t seen; /* the compact revision that was looked at last */
    bool due;     /* to be compared: `revision` */
    bool asking;  /* under way */
    int64_t revision;
    uint64_t number;  /* of the question */
    int64_t next_ns;  /* not before */
    int64_t until_ns; /* no answer counts after that */
    struct verdict_vote votes[CHECK_MEMBERS_MAX];
    size_t votes_count;
    struct admin_hash own;
    bool own_out;

    /* As one who is asked. */
    struct admin_hash asked;
    bool asked_out;
    uint64_t asked_by, asked_number;

    /* Alarms that follow. */
    struct admin_alarm alarm;
    bool alarm_out;
};

void check_tick(struct upkeep *u, int64_t now_ns);
/* The first byte of the frame was read. */
void check_on_frame(struct upkeep *u, uint64_t from, enum check_frame what,
                    struct bytes body);

#endif
