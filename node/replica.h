/* One member as a step function: consensus, store and waiting requests.
 *
 * Nothing in here asks for the time, starts a thread or touches a disk other
 * than through the store.  The host (host.c), or a simulator, tells it what
 * happened and carries out what it asks for:
 *
 *   replica_turn()        after anything happened: proposes what was submitted
 *                         since, as one batch; answers reads that may be
 *                         answered; applies what is committed; calls callbacks
 *   replica_take_save()   what the log must make durable, in order; several
 *                         may share one sync.  replica_saved() when it is: only
 *                         then do the answers that depend on it go out
 *   replica_flush_…()     memtable to LMDB, beside everything else
 *   replica_trim_point()  how far the log on disk may be forgotten
 *
 * Invariants (checked in code)
 *   N1  applied <= committed, and entries are applied in order, each once
 *   N2  a write is answered ST_OK only after its entry was applied here
 *   N3  every submitted call gets exactly one done()
 *   N4  a read is run at an applied index at or above the read index that was
 *       confirmed after it was submitted; a presumed one (kv/types.h) by a
 *       leader at its commit index
 *   N5  the log on disk is never trimmed above the store's durable index
 */
#ifndef NODE_REPLICA_H
#define NODE_REPLICA_H

#include "kv/admin.h"
#include "node/membership.h"
#include "raft/raft.h"
#include "store/store.h"
#include "wal/wal.h"

struct replica;

struct replica_options {
    uint64_t cluster_id, member_id;
    /* The members of a new cluster; of an old one the store knows them.  The
     * voters alone, or (copied) all that is to be known of them; a member that
     * joins has no configuration yet. */
    struct raft_conf_state first_conf;
    const struct membership *first;
    /* What this member says of itself once it is in; NULL: nothing. */
    const char *name, *client_urls;
    const char *cluster_token; /* part of the ids of new members; NULL: none */
    bool strict;               /* no change of members may cost the quorum */
    size_t learners_max;       /* at once */
    uint32_t election_ticks, heartbeat_ticks;
    int64_t tick_ns; /* between two ticks */
    uint64_t seed;   /* different on every member and at every start */
    size_t calls_max;
    int64_t timeout_ms; /* of calls that have none of their own */
    uint64_t request_bytes_max;
    uint64_t message_bytes_max; /* of entries in one message to a follower */
    uint64_t log_keep_entries;  /* kept in memory for slow followers, ... */
    uint64_t log_keep_bytes;    /* ... but at most so much */
    uint64_t log_unflushed_max; /* bytes of log after which there is a flush,
                                   however little the store has to write */
    /* Asked of the host, which answers at once: space in the log for an entry
     * of that many bytes is promised, or is not needed after all; the
     * monotonic time of a submission. */
    bool (*reserve)(void *arg, uint64_t bytes);
    void (*unreserve)(void *arg, uint64_t bytes);
    /* Takes the message and sends it, or loses it: raft asks again. */
    void (*send)(void *arg, struct raft_message *take);
    /* A frame about leases for another member; likewise. NULL: lost. */
    void (*send_lease)(void *arg, uint64_t to, struct buf *take);
    int64_t (*now_ns)(void *arg);
    /* Takes a small frame for that member's replica_hear(): false: not now.
     * For how long there has been a connection to it; < 0: there is none.
     * Whether there can be others besides this member.  NULL: none of it. */
    bool (*tell)(void *arg, uint64_t to, struct buf *take);
    int64_t (*connected_ms)(void *arg, uint64_t member);
    bool (*can_grow)(void *arg);
    void (*log_stats)(void *arg, struct wal_stats *ret); /* NULL: no log */
    void *host;
};

/* store is borrowed and outlives the replica. */
struct replica *replica_new(const struct replica_options *options,
                            struct store *store);
/* Every call must have been answered (replica_stop). NULL is fine. */
void replica_free(struct replica *r);

/* --- starting --- */

/* What wal_open() finds goes here, entry by entry; r is a struct replica. */
void replica_recover_entry(void *r, const struct raft_entry *e);
/* The log found belongs to before the state in the store: an installation was
 * interrupted. Forgets what was found; the log starts at (index, term). */
void replica_recover_at(struct replica *r, uint64_t index, uint64_t term);
/* Makes the first members durable, before anything is applied. */
enum status replica_keep_membership(struct replica *r,
                                    struct fault *reterr) MUST_USE;
/* The others are given up, durably: this member alone goes on, with everything
 * in its log, whose last entry is given. */
enum status replica_force_alone(struct replica *r, uint64_t last_index,
                                struct fault *reterr) MUST_USE;
/* The log is damaged from entry `damaged` on: forgets what was found of it, and
 * what the store has.  The rest follows on what the store has, which is entry
 * *ret_index of term *ret_term. */
void replica_recover_until(struct replica *r, uint64_t damaged,
                           uint64_t *ret_index, uint64_t *ret_term);
/* What was found and not forgotten; borrowed until replica_begin(). */
const struct raft_entry *replica_recovered(const struct replica *r,
                                           size_t *ret_count);
/* The log once ended with this entry, and lost its end (node/mend.h). */
void replica_set_lost(struct replica *r, uint64_t index, uint64_t term);
/* The only member there is: nobody has what it loses. */
bool replica_is_alone(const struct replica *r);
/* Then this, once.
 *   ST_CORRUPT  log and store contradict each other                          */
enum status replica_begin(struct replica *r,
                          const struct wal_recovery *recovery,
                          struct fault *reterr) MUST_USE;

/* --- running --- */

struct replica_clock {
    int64_t now_ns;  /* monotonic: deadlines */
    int64_t wall_ns; /* Unix time: commit times */
};

void replica_tick(struct replica *r); /* one heartbeat interval passed */
/* A message from another member arrived; borrowed.  Only ST_CORRUPT is an
 * error: that member and this one contradict each other on what is committed,
 * and this one has to stop. */
enum status replica_receive(struct replica *r, const struct raft_message *m,
                            struct fault *reterr) MUST_USE;
/* A frame of another member's send_lease(); borrowed, and believed nothing. */
void replica_receive_lease(struct replica *r, uint64_t from,
                           struct bytes frame);
/* Nothing can be sent to that member at present. */
/* What another member's host was given by tell(). */
void replica_hear(struct replica *r, uint64_t from, struct bytes frame);
void replica_unreachable(struct replica *r, uint64_t member);

/* True when there is more to do at once.  Anything but ST_OK means that the
 * state can no longer be trusted or kept: the host stops the member. */
enum status replica_turn(struct replica *r, const struct replica_clock *clock,
                         bool *ret_more, struct fault *reterr) MUST_USE;
/* INT64_MAX: never. */
int64_t replica_next_deadline(const struct replica *r);

/* The next thing to make durable; false when there is none.  The message is
 * moved to *to and comes back with replica_saved(). */
bool replica_take_save(struct replica *r, struct raft_message *to);
bool replica_has_save(const struct replica *r);
/* True when the next one carries a snapshot; and when any does. */
bool replica_next_save_is_snapshot(const struct replica *r);
bool replica_snapshot_waits(const struct replica *r);
enum status replica_saved(struct replica *r, struct raft_message *done,
                          struct fault *reterr) MUST_USE;

/* Begins a flush when the store wants one, or when `all` and there is anything
 * to flush; NULL otherwise. */
struct store_flush *replica_flush_begin(struct replica *r, bool all);
/* The disk had no room for a flush, or has again: while set, writes are
 * refused with ST_NO_SPACE once the memtables are full. */
void replica_set_disk_full(struct replica *r, bool full);
/* A save that carries a snapshot: before replica_saved() the host puts the
 * state of exactly that index in place.  In between the replica has no store
 * and nothing of it may be called. */
void replica_release_store(
    struct replica *r,
    struct store_comparison *c); /* done, or NULL; both can be closed now */
/* Before that: whether this member may have that state, which is somebody
 * else's.  ST_INVALID: it waits for its first one, and was in the cluster
 * before; who it asked when it joined did not know. */
enum status replica_check_state(const struct replica *r,
                                const struct store *state,
                                struct fault *reterr) MUST_USE;
void replica_adopt_store(struct replica *r, struct store *store);
/* While a state is on its way to a follower, entries above its index are kept
 * in memory; 0: none is. */
void replica_pin_log(struct replica *r, uint64_t index);
/* What became of the state that a RAFT_MSG_SNAPSHOT asked to send. */
void replica_report_snapshot(struct replica *r, uint64_t member, bool ok);

/* The log on disk may be trimmed up to here: true when that moved. */
bool replica_trim_point(struct replica *r, uint64_t *ret_index,
                        uint64_t *ret_term);

/* Knows a leader and has applied all that was committed when it learnt that. */
bool replica_is_ready(const struct replica *r);
bool replica_leads(const struct replica *r);
/* Its consensus, to look at. */
const struct raft *replica_raft(const struct replica *r);
/* Entries that were promised are not durable here again. */
bool replica_has_lost(const struct replica *r);
/* How many calls wait. */
size_t replica_calls(const struct replica *r);

/* Answers everything with ST_STOPPED, now and from now on. */
void replica_stop(struct replica *r);

struct kv *replica_kv(struct replica *r);

/* --- members --- */

/* As of what is applied here; borrowed until the next turn. */
const struct membership *replica_membership(const struct replica *r);
/* The same for who joins: who is said to be started by an entry that is not
 * applied here yet is started. */
void replica_tell_members(const struct replica *r, struct membership *ret);
/* True once after each change of it. */
bool replica_members_changed(struct replica *r);
/* This member was removed. It goes on answering until somebody says so for whom
 * replica_has_left() is true: they may need it to learn of it. */
bool replica_was_removed(const struct replica *r);
/* That member was removed, which this one will not forget by a crash, and this
 * one votes: it can be told to end. */
bool replica_has_left(const struct replica *r, uint64_t member);
/* The configuration as of entry `index`, from the store's durable one on;
 * borrowed until the next turn. */
bool replica_conf_at(const struct replica *r, uint64_t index,
                     struct raft_conf_state *ret);
/* Of kv/admin.h. */
void replica_members(struct replica *r, struct admin_members *call);
void replica_move_leader(struct replica *r, struct admin_move_leader *call);
/* What every answer carries; what an operator asks (kv/admin.h). */
void replica_header_of(const struct replica *r, struct kv_header *ret);
void replica_alarm(struct replica *r, struct admin_alarm *call);
void replica_admin_status(struct replica *r, struct admin_status *ret);

#endif
