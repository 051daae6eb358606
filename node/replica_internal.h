/* What the files of the replica share. */
#ifndef NODE_REPLICA_INTERNAL_H
#define NODE_REPLICA_INTERNAL_H

#include "node/lease.h"
#include "node/pending.h"
#include "node/replica.h"

#define REPLICA_ORDERS_MAX 64

/* The first byte of a frame between two replicas. */
enum replica_tell {
    REPLICA_TELL_ORDER = 1, /* of who sends it */
    REPLICA_TELL_REFUSED = 2,
    REPLICA_TELL_PASSED = 3 /* an order, of anybody, that a leader passes on */
};

struct member_urls {
    struct bytes peer[ADMIN_URLS_MAX], client[ADMIN_URLS_MAX];
};

struct replica {
    struct kv kv; /* first: the vtable's self */
    struct replica_options options;
    struct store *store;
    struct kv_member members[MEMBERSHIP_MAX]; /* as told last */
    struct raft_memory_storage *log;          /* recent entries, ... */
    struct raft_storage storage;              /* ... as raft sees them */
    struct raft *raft;                        /* NULL until replica_begin() */
    struct replica_clock clock;               /* of the present turn */

    struct pending_table pending;
    struct store_results *results;
    struct buf command;         /* scratch: one encoded command */
    struct payload **proposals; /* scratch: one turn's */
    size_t proposals_capacity;

    /* Saves that raft asked for and the host has not taken yet. */
    struct raft_message *saves;
    size_t saves_count, saves_capacity;

    /* The read index that is being confirmed for the calls in
     * pending.reading. */
    uint64_t read_batch; /* counts batches */
    bool read_in_flight;
    bool read_confirmed;
    uint64_t read_index;
    int64_t read_retry_ns; /* ask again then */
    uint64_t read_leader;  /* whom the question went to */

    /* Entries found at start, until replica_begin(). */
    struct raft_entries recovered;
    size_t recovered_first;             /* those before it were dropped */
    uint64_t before_index, before_term; /* the entry before the first */
    uint64_t lost_index, lost_term; /* 0: all that was promised is durable */

    uint64_t applied_term; /* of the last applied entry; 0: none yet */
    uint64_t trimmed_index;
    uint64_t unflushed_bytes; /* in the log, of entries applied since the last
                                 flush began: an upper bound */
    uint64_t log_pin;         /* 0: none */
    struct store_watches *watches; /* while there is no store */
    uint64_t ready_index;          /* committed when a leader was first known */
    bool leader_was_known;

    struct leases leases;

    /* Alarms that this member raises and clears by its own judgement. */
    struct admin_alarm own_alarm; /* under way when own_alarm_out */
    bool own_alarm_out;
    bool alarms_due; /* to be looked at in this turn */
    bool was_full;   /* a write was refused for the quota's sake */
    struct admin_alarm_member alarms[STORE_ALARMS_MAX]; /* as told last */

    /* Members (replica_conf.c, replica_members.c). */
    struct membership *membership; /* as of the applied index */
    struct {
        uint64_t index;
        struct membership_conf conf;
    } * confs; /* since the durable index, the oldest first */
    size_t confs_count, confs_capacity;
    bool members_changed, removed;
    bool conf_unsafe; /* the newest configuration is not durable yet */
    struct buf orders[REPLICA_ORDERS_MAX]; /* a leader's: commands */
    size_t orders_count;
    bool order_out; /* one is proposed, and this is whose: */
    uint64_t order_ticket, order_member, order_term;
    bool
        hands_on; /* the leadership, for the first order (replica_handover.c) */
    int64_t hands_on_until_ns;
    struct admin_members publish; /* under way when publish_out */
    bool publish_out, publish_due;
    struct admin_member told[MEMBERSHIP_MAX]; /* as told last, */
    struct member_urls told_urls[MEMBERSHIP_MAX];
    struct admin_move_leader *move; /* under way */
    uint32_t move_ticks;            /* since it began */
    bool flush_wanted; /* a state is to be sent and there is none */

    bool disk_full;
    bool submitted; /* a call, since the turn began */
    bool stopped;
};

/* replica_log.c */
extern const struct raft_storage_ops replica_log_ops;
/* How many applied entries are kept for slow followers. */
uint64_t replica_entries_kept(const struct replica *r);
/* What an entry takes in the log on disk, at most. */
uint64_t replica_log_bytes_of(const struct raft_entry *e);
/* Forgets what no follower is kept for. */
void replica_compact_log(struct replica *r);
/* After something became durable in it. */
void replica_note_regained(struct replica *r);
enum status replica_fill_log(struct replica *r,
                             const struct wal_recovery *recovery,
                             struct fault *reterr) MUST_USE;

/* replica_kv.c */
extern const struct kv_ops replica_kv_ops;
struct kv_header replica_header(const struct replica *r);

/* Takes a call in; `refused` is its answer unless that is ST_OK. */
struct pending *replica_submit(struct replica *r, struct kv_call *call,
                               enum pending_kind kind, bool is_write,
                               enum status refused);
enum status replica_has_leader(const struct replica *r) MUST_USE;
/* ST_CORRUPT while this member is known to differ from the others. */
enum status replica_may_serve(const struct replica *r) MUST_USE;

/* replica_alarm.c */
/* Raises and clears what this member judges by itself. */
void replica_watch_alarms(struct replica *r);
/* A write was refused because the store has no room for it. */
void replica_note_full(struct replica *r);
void replica_answer_alarms(struct replica *r, struct admin_alarm *call);
void replica_alarm_applied(struct replica *r,
                           const struct store_outcome *outcome);

/* replica_conf.c */
void replica_membership_from_first(struct replica *r);
/* A newcomer gets the configuration by a state, never entry 1: so that is kept
 * for nobody once there was a change. */
void replica_drop_first_entry(struct replica *r);
/* From the store, whose state may be another one now. */
enum status replica_load_membership(struct replica *r,
                                    struct fault *reterr) MUST_USE;
/* An entry that changes the configuration; one that changes the rest. */
enum status replica_apply_conf(struct replica *r, const struct raft_entry *e,
                               struct fault *reterr) MUST_USE;
enum status replica_apply_members(struct replica *r, const struct raft_entry *e,
                                  struct fault *reterr) MUST_USE;

/* What the host may conclude of them once it is durable. */
void replica_watch_members(struct replica *r);

/* replica_members.c */
void replica_answer_members(struct replica *r, struct admin_members *call);
void replica_encode_members(struct replica *r, const struct pending *p);
/* Whether it goes to the leader's judgement; then that way. */
/* Of the leader (replica_judge.c): ST_OK, or why not. */
enum status replica_judge(const struct replica *r,
                          const struct membership_change *changes,
                          size_t count) MUST_USE;
bool replica_is_order(const struct replica *r, const struct pending *p);
void replica_order(struct replica *r, struct pending *p);
void replica_lead_orders(struct replica *r);
/* True: the order waits until the leadership is handed on, or cannot be. */
bool replica_hands_on(struct replica *r,
                      const struct membership_change *changes, size_t count);
enum replica_passing {
    REPLICA_PASS_NOT,   /* it is nobody's */
    REPLICA_PASS_LATER, /* when the new leader is known */
    REPLICA_PASSED
};
/* An order of one that leads no more, to who leads now. */
enum replica_passing replica_pass_on(struct replica *r,
                                     const struct raft_status *s,
                                     struct bytes command);
void replica_drop_orders(struct replica *r);
void replica_publish(struct replica *r);

/* replica_move.c */
void replica_watch_move(struct replica *r);

/* replica_write.c: takes queued writes to the log, and commands out of it. */
void replica_propose_queued(struct replica *r);
/* Ends the compactions whose garbage is gone. */
bool replica_answer_swept(struct replica *r);
enum status replica_apply_message(struct replica *r, struct raft_message *m,
                                  struct fault *reterr) MUST_USE;

/* replica_read.c */
void replica_begin_reads(struct replica *r);
void replica_on_read_state(struct replica *r,
                           const struct raft_read_state *state);
/* Runs what may be run; true when a call was answered. */
bool replica_answer_reads(struct replica *r);

#endif
