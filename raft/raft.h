/* Raft consensus for one member, as a pure state machine.
 *
 * Messages and ticks go in; what must happen comes out of raft_ready().  There
 * is no clock, no I/O and no thread in here; the only chance is the election
 * timeout, drawn from the seed.  The same calls give the same results.
 *
 *   for (;;) {
 *       raft_tick(r) | raft_step(r, &message) | raft_propose(r, …) | …
 *       while (raft_has_ready(r)) {
 *           raft_ready(r, &ready);
 *           …carry it out…
 *       }
 *   }
 *
 * Carrying out, with asynchronous storage writes (what the node uses):
 * everything is in ready.messages, to be handled in order:
 *   to another member      send it now.
 *   to RAFT_APPEND_THREAD  save its entries (from entries.list[0].index on they
 *                          replace what is there), hard state (if term is not
 *                          0) and snapshot; when all of it and everything
 *                          asked for before is durable, deliver its responses:
 *                          send those to others, raft_step() those to this
 *                          member.  Without responses nothing need be durable.
 *   to RAFT_APPLY_THREAD   execute its entries in order, call
 *                          raft_apply_conf_change() for those that change the
 *                          configuration, then deliver its responses.
 * Messages to one of the two are done in order and never lost; between the two
 * any order is right.  Then the storage that raft reads (raft/storage.h) must
 * show the appended entries before the response is stepped; showing them
 * earlier is fine.
 *
 * Carrying out, synchronously: save ready.snapshot, entries and hard_state, in
 * one write that is durable if ready.must_sync or there is a snapshot; then
 * send ready.messages; apply ready.committed; then raft_advance().
 *
 * Ownership: what raft_ready() returns belongs to raft and stays valid and
 * unchanged until the next raft_ready(), raft_advance() or raft_free().  What
 * is needed longer is moved out by raft_message_take() or held; in asynchronous
 * mode ready.entries and ready.committed live in the two storage messages and
 * go where those go.  Everything
 * passed in is borrowed for the call; payloads kept are held, not copied.
 *
 * Threads: one; payload counts are not atomic.  Memory: O(unstable entries +
 * members + messages not yet taken); when there is none the process stops, so
 * no call ends half-way.  Data from peers never stops the process: what breaks
 * the protocol's own rules is ST_CORRUPT, and the host should stop the member.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "raft/confchange.h"
#include "raft/message.h"
#include "raft/storage.h"

struct raft;

enum raft_role {
    RAFT_FOLLOWER = 0,
    RAFT_CANDIDATE = 1,
    RAFT_LEADER = 2,
    RAFT_PRE_CANDIDATE = 3
};

/* Dissertation section 6.4: how a read without a log entry stays
 * linearizable. */
enum raft_read_mode {
    RAFT_READ_SAFE = 0, /* a quorum confirms the leadership for every batch */
    RAFT_READ_LEASE = 1 /* the last check of the quorum is trusted; right only
                         * while clock rates differ less than configured */
};

struct raft_trace;

/* Gets every event of the published TLA+ trace specification (raft/trace.h). */
struct raft_tracer {
    void (*event)(struct raft_tracer *t, const struct raft_trace *event);
};

#define RAFT_NO_LIMIT UINT64_MAX

struct raft_config {
    uint64_t id; /* not RAFT_NONE, not one of the thread ids */
    uint32_t
        election_ticks; /* a follower waits [this, 2 * this) for a leader */
    uint32_t heartbeat_ticks;     /* 0 < this < election_ticks */
    struct raft_storage *storage; /* borrowed, outlives the raft */
    uint64_t applied; /* on restart: the state machine has this already */
    /* On restart: this member's log ended with this entry, which others may
     * have been told, and its end was lost since (index 0: nothing was).  Until
     * the log is as complete again the member votes only for who has that much,
     * and does not campaign (raft/README.md, "A member that lost entries"). */
    uint64_t lost_index, lost_term;

    /* Bytes by raft_entry_size(); an entry larger than a limit passes alone. */
    uint64_t max_size_per_message;         /* 0: one entry each */
    uint64_t max_committed_size_per_ready; /* handed out and not yet applied;
                                            * 0: as max_size_per_message */
    /* Bytes of payloads; 0: no limit. */
    uint64_t max_uncommitted_entries_size; /* beyond it proposals are refused;
                                            * one is let through when nothing
                                            * else is uncommitted */
    uint64_t max_inflight_bytes;    /* per follower, appended, not acknowledged;
                                     * at least max_size_per_message; 0: none */
    uint32_t max_inflight_messages; /* the same in messages; not 0 */

    bool check_quorum; /* a leader without a quorum steps down; followers with
                        * a leader ignore candidates (sections 6.2, 4.2.3) */
    bool pre_vote;     /* section 9.6 */
    enum raft_read_mode read_mode; /* RAFT_READ_LEASE needs check_quorum */
    /* A follower's request for a read index bears its term, and counts as its
     * confirmation of that read (raft/reads.c): two messages instead of six
     * among three.  Who does not know the field ignores it.  Off as published.
     */
    bool asker_confirms;
    /* A forwarded proposal bears the term of the leader it is meant for; no
     * other appends it, nobody passes it on.  So once an entry of a later term
     * is applied, a proposal that was not is lost for good, and may be made
     * again.  Off as published. */
    bool proposals_bear_term;
    bool disable_proposal_forwarding;
    bool disable_conf_change_validation;
    bool step_down_on_removal;
    /* Who was removed may still campaign, without a vote of its own, and leads
     * for an election timeout at most, proposing nothing: it may be the only
     * one with the newest entries, which those who remain need before they can
     * elect one of themselves (section 4.2.2; README.md).  For hosts that let a
     * removed member run until those who remain say that it can go.  Off as
     * published. */
    bool removed_may_lead;
    /* A candidate whose term is over is told so (section 3.3).  Otherwise it
     * learns of later terms from pre-votes, from leaders, and from candidates
     * who ask it: never, without pre_vote, from one whose older configuration
     * does not have it (README.md).  Off as published. */
    bool answer_old_candidates;
    bool async_storage_writes;
    uint64_t seed;              /* different on every member */
    struct raft_tracer *tracer; /* borrowed; NULL: none */
};

struct raft_soft_state {
    uint64_t leader; /* RAFT_NONE: not known */
    enum raft_role role;
};

/* The answer to raft_read_index(): once `index` is applied, a read of the
 * local state is linearizable. */
struct raft_read_state {
    uint64_t index;
    struct payload *context; /* as given */
};

struct raft_ready {
    bool soft_state_changed;
    bool hard_state_changed;
    bool must_sync; /* entries, term or vote: not for the commit index alone */
    struct raft_soft_state soft_state; /* always the present one */
    struct raft_hard_state hard_state; /* always the present one */
    struct raft_snapshot *snapshot;    /* to save; NULL: none */
    const struct raft_entry *entries;  /* to save */
    size_t entries_count;
    const struct raft_entry *committed; /* to apply */
    size_t committed_count;
    struct raft_message *messages; /* may be taken one by one */
    size_t messages_count;
    const struct raft_read_state *read_states;
    size_t read_states_count;
};

/* Starts from what storage holds, as a follower.
 *
 *   ST_INVALID  the configuration contradicts itself
 *   ST_CORRUPT  what is stored contradicts itself
 *   others      from storage->initial_state                                */
enum status raft_new(const struct raft_config *config,
                     struct raft **ret_raft) MUST_USE;
void raft_free(struct raft *r); /* NULL is fine */

/* One unit of time passed. */
void raft_tick(struct raft *r);

/* A message arrived, or a response of a storage write is due.  The host vouches
 * for the sender: a message from the network may not bear this member's id or a
 * thread's as `from`, but for requests that a peer passes back.
 *
 *   ST_NOT_FOUND   a response from somebody who is no member: ignored
 *                  (never for this member's own ones)
 *   ST_INVALID     malformed, or local but not from this host: ignored
 *   ST_NO_LEADER, ST_NOT_LEADER, ST_TOO_MANY  as raft_propose()
 *   ST_CORRUPT     the peer contradicts what is committed here; nothing was
 *                  changed.  One of the two lost data it had promised.     */
enum status raft_step(struct raft *r, const struct raft_message *m) MUST_USE;

/* Proposes count > 0 payloads (NULL: empty) as consecutive entries, here if
 * leader, else forwarded to it.  ST_OK is no promise: they may still be lost,
 * as the leader may be.
 *
 *   ST_NO_LEADER   nobody to propose to, or the leadership is being handed on
 *   ST_NOT_LEADER  not leader and forwarding is off, or removed as leader
 *   ST_TOO_MANY    max_uncommitted_entries_size is reached                 */
enum status raft_propose(struct raft *r, struct payload *const *payloads,
                         size_t count) MUST_USE;
/* A change that is not possible now (another is pending, …) becomes an empty
 * entry.  Type as for raft_conf_change_encode().  Status as above. */
enum status
raft_propose_conf_change(struct raft *r, enum raft_entry_type type,
                         const struct raft_conf_change *cc) MUST_USE;
/* Must be called for every committed entry that changes the configuration,
 * when it is applied; to refuse one, with changes of RAFT_NONE.  index is the
 * entry's: one that a received snapshot has overtaken, or that was applied
 * before, changes nothing.  ret_conf (may be NULL) is what to store with the
 * applied index; borrowed until the next call.
 *
 *   ST_INVALID   not possible in the present configuration, or there is none:
 *                a member that joins gets its first one by a snapshot
 *   ST_TOO_MANY  more than RAFT_MEMBERS_MAX                                */
enum status raft_apply_conf_change(struct raft *r, uint64_t index,
                                   const struct raft_conf_change *cc,
                                   struct raft_conf_state *ret_conf) MUST_USE;

/* Starts an election at once, if this member may lead. */
void raft_campaign(struct raft *r);
/* Asks for the index a linearizable read must wait for.  The answer comes as a
 * raft_read_state with the same context (held; unique among the reads of this
 * member that are waiting, and across restarts), or never: when there is no
 * leader, or the leader changes or a message is lost.  The caller asks again.
 *
 *   ST_NO_LEADER   a follower that knows no leader                         */
enum status raft_read_index(struct raft *r, struct payload *context) MUST_USE;
/* Section 3.10.  Given up after an election timeout; forwarded by followers. */
void raft_transfer_leader(struct raft *r, uint64_t to);
/* A follower that knows better forgets its leader and may vote again; no
 * effect with RAFT_READ_LEASE, which relies on followers' loyalty. */
void raft_forget_leader(struct raft *r);

/* The host could not send to this peer lately. */
void raft_report_unreachable(struct raft *r, uint64_t id);
/* What became of the snapshot in a RAFT_MSG_SNAPSHOT to this peer; has to be
 * called, or the peer gets nothing until it speaks up itself. */
void raft_report_snapshot(struct raft *r, uint64_t id, bool ok);

bool raft_has_ready(const struct raft *r);
/* Hands out everything that is to be done; see the top. */
void raft_ready(struct raft *r, struct raft_ready *ret_ready);
/* Synchronous mode only: the last ready is carried out. */
void raft_advance(struct raft *r);

/* ---- Looking inside ---- */

struct raft_status {
    uint64_t id;
    struct raft_hard_state hard;
    struct raft_soft_state soft;
    uint64_t applied;
    uint64_t first_index;
    uint64_t last_index;
    uint64_t last_term;
    uint64_t transfer_to;      /* the heir; RAFT_NONE: no hand-over */
    uint64_t uncommitted_size; /* bytes, only on a leader */
    bool is_learner;
    bool is_joint;
    bool has_lost; /* entries, and not all of them are back */
    /* A leader that has committed an entry of its own term knows what is
     * committed (section 6.4). */
    bool committed_in_term;
    size_t peers_count; /* members, this one included, for raft_peer() */
};

enum raft_progress_state {
    RAFT_PROBE = 0,     /* one message at a time, to find where logs agree */
    RAFT_REPLICATE = 1, /* a window of messages in flight */
    RAFT_SENDING_SNAPSHOT = 2
};

/* A leader's view of one member; on others only id and is_* mean anything. */
struct raft_peer_status {
    uint64_t id;
    enum raft_progress_state state;
    uint64_t match; /* known to be there */
    uint64_t next;  /* to be sent */
    uint64_t pending_snapshot;
    size_t inflight_messages;
    bool inflights_full;
    bool recent_active; /* heard of since the last check of the quorum */
    bool paused;
    bool is_learner;
    bool is_voter; /* in either half of a joint configuration */
};

void raft_status(const struct raft *r, struct raft_status *ret_status);
/* Of these, what is asked in every turn. */
uint64_t raft_term(const struct raft *r);
uint64_t raft_leader(const struct raft *r); /* RAFT_NONE: not known */
enum raft_role raft_role(const struct raft *r);
uint64_t raft_commit(const struct raft *r);
/* at < raft_status.peers_count, by increasing id. */
void raft_peer(const struct raft *r, size_t at,
               struct raft_peer_status *ret_peer);
/* The configuration in force; borrowed until the next change of it. */
void raft_conf(const struct raft *r, struct raft_conf_state *ret_conf);
/* Any term that is in the log; ST_COMPACTED, ST_NOT_FOUND as in storage.h. */
enum status raft_term_at(const struct raft *r, uint64_t index,
                         uint64_t *ret_term) MUST_USE;

/* Checks the numbered invariants of raft/README.md; stops the process at a
 * broken one.  O(members + unstable entries). */
void raft_check(const struct raft *r);

#endif
