/* The whole state of one member, and what raft's own files offer each other.
 * Nobody outside raft/ and its tests includes this. */
#ifndef RAFT_INTERNAL_H
#define RAFT_INTERNAL_H

#include "base/prng.h"
#include "raft/log.h"
#include "raft/members.h"
#include "raft/raft.h"
#include "raft/read_only.h"
#include "raft/trace.h"

/* Messages to be handed out; owned. */
struct raft_outbox {
    struct raft_message *list;
    size_t count;
    size_t capacity;
};

struct raft_read_states {
    struct raft_read_state *list; /* contexts held */
    size_t count;
    size_t capacity;
};

/* What the last raft_ready() handed out and still owns. */
struct raft_handed_out {
    struct raft_soft_state soft;
    struct raft_hard_state hard;
    struct raft_entries entries;
    struct raft_entries committed;
    struct raft_snapshot *snapshot;
    struct raft_outbox messages;
    struct raft_read_states reads;
    /* Synchronous mode: responses to this member, due at raft_advance(). */
    struct raft_outbox due;
};

struct raft {
    uint64_t id;
    struct raft_config config; /* limits made explicit: see raft_new() */
    struct prng prng;

    uint64_t term;
    uint64_t vote;
    struct raft_log log;
    struct raft_members members;
    enum raft_role role;
    uint64_t leader;
    bool is_learner;
    uint64_t conf_index; /* the configuration in force is as of this entry */

    /* The last entry of the log before its end was lost; index 0: all that
     * was promised is there (lost.c). */
    struct raft_entry_id lost;

    uint64_t transfer_to; /* leader: the heir (section 3.10) */
    /* Leader: no change of the configuration may be proposed before this index
     * is applied (section 4.1; see raft_propose_entries()). */
    uint64_t pending_conf_index;
    uint64_t uncommitted_size; /* leader: bytes of payloads, an estimate that
                                * is never too great */
    struct raft_read_only reads;

    uint32_t election_elapsed;  /* ticks; see tick.c */
    uint32_t heartbeat_elapsed; /* ticks, leader only */
    uint32_t election_timeout;  /* ticks, drawn from [n, 2n) */

    struct raft_outbox messages;     /* may go at once */
    struct raft_outbox after_append; /* when all that is unstable is durable */
    struct raft_read_states read_states;
    struct raft_handed_out out;
};

/* ---- role.c: who this member is ---- */
void raft_become_follower(struct raft *r, uint64_t term, uint64_t leader);
void raft_become_pre_candidate(struct raft *r);
void raft_become_candidate(struct raft *r);
void raft_become_leader(struct raft *r);
/* Voter, or removed and allowed to, and not waiting for a snapshot or lost
 * entries: may campaign. */
bool raft_is_promotable(const struct raft *r);
struct raft_hard_state raft_hard_state(const struct raft *r);
struct raft_soft_state raft_soft_state(const struct raft *r);

/* ---- outbox.c: sending ---- */
/* Takes *m: fills in from and term, and decides what it has to wait for. */
void raft_send_take(struct raft *r, struct raft_message *m);
void raft_outbox_push_take(struct raft_outbox *o, struct raft_message *m);
void raft_outbox_clear(struct raft_outbox *o);
void raft_outbox_fini(struct raft_outbox *o);
void raft_outbox_swap(struct raft_outbox *a, struct raft_outbox *b);

/* ---- election.c ---- */
enum raft_campaign {
    RAFT_CAMPAIGN_PRE,
    RAFT_CAMPAIGN_REAL,
    RAFT_CAMPAIGN_HEIR
};
/* An election is due or asked for; nothing if this member may not lead. */
void raft_hup(struct raft *r, enum raft_campaign kind);
void raft_on_vote_request(struct raft *r, const struct raft_message *m);
void raft_on_vote_response(struct raft *r, const struct raft_message *m);
/* Sections 4.2.3, 6.2: a leader was heard of within an election timeout. */
bool raft_leader_is_alive(const struct raft *r);

/* ---- replicate.c: a leader's sending ---- */
void raft_send_append(struct raft *r, struct raft_progress *p);
/* With news only: false if there was nothing to send. */
bool raft_send_append_if_news(struct raft *r, struct raft_progress *p);
void raft_broadcast_append(struct raft *r);
void raft_broadcast_heartbeat(struct raft *r);
/* Section 3.6.2; true if the commit index moved. */
bool raft_maybe_commit(struct raft *r);
void raft_on_append_response(struct raft *r, struct raft_progress *p,
                             const struct raft_message *m);
void raft_on_heartbeat_response(struct raft *r, struct raft_progress *p,
                                const struct raft_message *m);
void raft_on_snapshot_status(struct raft *r, struct raft_progress *p,
                             bool rejected);

/* ---- append.c: a follower's receiving ---- */
void raft_on_append(struct raft *r, const struct raft_message *m);
void raft_on_heartbeat(struct raft *r, const struct raft_message *m);

/* ---- lost.c: a member that lost entries it had promised to keep ---- */
/* False: a log that ends with this lacks some that this member promised. */
bool raft_has_what_was_lost(const struct raft *r, struct raft_entry_id last);
/* After the log grew: is all of it back? */
void raft_note_regained(struct raft *r);

/* ---- restore.c ---- */
void raft_on_snapshot(struct raft *r, const struct raft_message *m);

/* ---- propose.c ---- */
/* Appends entries to a leader's log; term and index are filled in. */
enum status raft_propose_entries(struct raft *r,
                                 const struct raft_entry *entries,
                                 size_t count) MUST_USE;
/* The leader's own empty entry, and leaving a joint configuration. */
void raft_append_empty(struct raft *r, enum raft_entry_type type);
void raft_reduce_uncommitted(struct raft *r, uint64_t size);

/* ---- reads.c ---- */
void raft_lead_read(struct raft *r, const struct raft_message *m);
/* Something was committed in the leader's term. */
void raft_release_early_reads(struct raft *r);
void raft_confirm_reads(struct raft *r);
void raft_add_read_state(struct raft *r, uint64_t index,
                         struct payload *context);
void raft_read_states_clear(struct raft_read_states *s);
bool raft_committed_in_term(const struct raft *r);

/* ---- transfer.c ---- */
void raft_lead_transfer(struct raft *r, struct raft_progress *p);
/* The heir acknowledged something: is it time? */
void raft_continue_transfer(struct raft *r, const struct raft_progress *p);

/* ---- membership.c ---- */
void raft_switch_conf(struct raft *r, const struct raft_conf_sets *sets,
                      const struct raft_ids *replaced);
/* Leaves a joint configuration that is to be left automatically. */
void raft_maybe_leave_joint(struct raft *r);

/* ---- applied.c: what comes back from the storage ---- */
void raft_on_storage_append_response(struct raft *r,
                                     const struct raft_message *m);
void raft_on_storage_apply_response(struct raft *r,
                                    const struct raft_message *m);

/* ---- validate.c: messages from outside ---- */
enum status raft_validate(const struct raft *r,
                          const struct raft_message *m) MUST_USE;
/* What the sender says contradicts what is committed here. */
bool raft_contradicts(const struct raft *r, const struct raft_message *m);

/* ---- step.c, leader.c, follower.c ---- */
/* A message that passed validation, or one of this member's own. */
enum status raft_dispatch(struct raft *r,
                          const struct raft_message *m) MUST_USE;
enum status raft_step_leader(struct raft *r,
                             const struct raft_message *m) MUST_USE;
enum status raft_step_candidate(struct raft *r,
                                const struct raft_message *m) MUST_USE;
enum status raft_step_follower(struct raft *r,
                               const struct raft_message *m) MUST_USE;

/* ---- trace.c ---- */
void raft_trace_event(struct raft *r, enum raft_trace_kind kind);
void raft_trace_sent(struct raft *r, const struct raft_message *m);
void raft_trace_received(struct raft *r, const struct raft_message *m);
void raft_trace_change(struct raft *r, const struct raft_conf_change *cc);

#endif
