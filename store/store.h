/* The replicated state: MVCC keys over LMDB with a memtable before it.
 *
 * One store is one data directory's state machine.  It is deterministic: the
 * same commands at the same indexes give the same logical rows everywhere.
 * store_apply() is the only writer.
 *
 *   loop thread    store_apply(), all reads, the watch hub
 *   store thread   store_flush_run() alone: it moves one frozen memtable into
 *                  LMDB in one synced transaction, sorted by key, together with
 *                  the applied index
 *
 * A version is in exactly one place for a view: active memtable, frozen
 * memtable, or the LMDB snapshot of the view.  Nothing is kept in memory per
 * key; opening does not scan.
 *
 * A key changes at most once in a revision: transactions that could change one
 * twice are refused (ST_DUPLICATE_KEY), moves included.
 *
 * Every record on disk carries a CRC-32C over key and value, verified when it
 * is read: a mismatch is ST_CORRUPT, naming the key, and is never served.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/fault.h"
#include "kv/admin.h"

struct store;

struct store_options {
    uint64_t map_size;    /* LMDB's, sparse; 1 TiB by default */
    uint64_t quota_bytes; /* 2 GiB by default; 0: that default */
    uint64_t
        memtable_bytes_max;     /* the active one wants to be flushed at this
                                   size; 5 MiB by default (a flush of random
                                   keys makes LMDB hold some fifteen times
                                   that); up to five times later while it has
                                   few keys of many versions, which cost less */
    uint32_t sweep_rows_max;    /* of a compaction's garbage, deleted by one
                                   flush; 0: 8192. Half as many keys are looked
                                   at */
    uint32_t watch_changes_max; /* looked at for watches at a time, before
                                   others have their turn; 0: 512 */
    uint32_t txn_ops_max;       /* 128 */
    uint64_t request_bytes_max; /* 1.5 MiB */
};
void store_options_default(struct store_options *ret);

/* Opens the store in `path` (a directory, made when missing).
 *   ST_INVALID  it holds something else, or another format's
 *   ST_BUSY     another process has it; the fault says which
 *   ST_CORRUPT, ST_IO */
enum status store_open(const char *path, const struct store_options *options,
                       struct store **ret, struct fault *reterr) MUST_USE;
/* Without flushing; the log has what is missing. Not while store_flush_run() is
 * at work on another thread. NULL is fine. */
void store_close(struct store *s);

/* --- identity, kept with the state --- */
struct store_identity {
    uint64_t cluster_id, member_id;
};
/* Zeros when never set. */
void store_identity(const struct store *s, struct store_identity *ret);
/* Durable when it returns; not while a flush is under way. */
enum status store_set_identity(struct store *s,
                               const struct store_identity *identity,
                               struct fault *reterr) MUST_USE;

/* --- commands: what a log entry's payload says --- */

/* The size of an encoded transaction is what the request limit counts. */
struct store_stamp {
    int64_t time_ns; /* the proposer's wall clock: mtimes come from it */
    uint64_t ticket; /* the proposer's; comes back in store_outcome */
    uint64_t member; /* who proposed */
};
void store_encode_txn(const struct store_stamp *stamp,
                      const struct kv_txn_spec *txn, struct buf *to);
void store_encode_compact(const struct store_stamp *stamp, int64_t revision,
                          struct buf *to);

/* Raises or clears one alarm. */
struct store_alarm_change {
    bool clear;
    bool
        automatic; /* raised by a member's own judgement, which takes it back */
    struct admin_alarm_member alarm; /* of a member and a type */
};
void store_encode_alarm(const struct store_stamp *stamp,
                        const struct store_alarm_change *change,
                        struct buf *to);
/* A lease as the state has it.  Nobody asks here what time it is: the lease
 * clock is a number in the state that only checkpoints move (the leader's
 * time since its lease clock began).  README.md says how a leader uses it. */
struct store_lease {
    int64_t id; /* not 0 */
    int64_t ttl_s;
    int64_t deadline_ms; /* on the lease clock; 0: a leader that takes over
                            counts the whole TTL from then */
};
/* The id and TTL (>= 1) are those in force. */
void store_encode_lease_grant(const struct store_stamp *stamp, int64_t id,
                              int64_t ttl_s, struct buf *to);
/* term 0: asked for by a client.  Otherwise of a leader that saw it expire: it
 * counts only in an entry of that very term (ST_NOT_LEADER). */
void store_encode_lease_revoke(const struct store_stamp *stamp, int64_t id,
                               uint64_t term, struct buf *to);
/* By the leader of that term, likewise: moves the lease clock forward, and sets
 * deadlines. */
void store_encode_lease_checkpoint(const struct store_stamp *stamp,
                                   uint64_t term, int64_t clock_ms,
                                   const struct store_lease *list, size_t count,
                                   struct buf *to);

/* Refuses what can never be applied, before it is proposed: empty keys, too
 * many operations, duplicate keys, depth, size. etcd's checks in etcd's order.
 */
enum status store_check_txn(const struct store *s,
                            const struct kv_txn_spec *txn) MUST_USE;

/* ST_NO_SPACE when a NOSPACE alarm is up, whosever it is, or when the
 * transaction's puts would take the store over its quota.  Deletes and moves
 * always have room. Of this node alone, hence for whoever proposes: never asked
 * by apply. */
enum status store_check_room(const struct store *s,
                             const struct kv_txn_spec *txn) MUST_USE;

/* Likewise for one lease more. */
enum status store_check_room_for_lease(const struct store *s) MUST_USE;

/* --- apply --- */

enum store_lease_change {
    STORE_LEASE_NONE,
    STORE_LEASE_GRANTED,
    STORE_LEASE_REVOKED,
    STORE_LEASE_CHECKPOINT
};

struct store_outcome {
    struct store_stamp stamp;
    enum status status;      /* the command's own outcome: ST_COMPACTED, ... */
    struct kv_header header; /* revision and nothing else filled in */
    const struct kv_txn_result *txn; /* NULL for other commands */
    /* An alarm's command: what was raised or cleared; type NONE: nothing. */
    struct admin_alarm_member alarm;
    enum store_lease_change lease_change; /* what was carried out */
    int64_t lease_id, lease_ttl_s;        /* GRANTED; REVOKED: the id */
};

/* Applies the entry at `index`: exactly the next one. An empty command (a new
 * leader's) only moves the index. ST_OK unless the store itself is broken:
 *   ST_CORRUPT  the command cannot be decoded, or a record failed its checksum
 *   ST_IO       LMDB failed
 * after which the node stops. *ret is valid until the next apply. */
enum status store_apply(struct store *s, uint64_t index, uint64_t term,
                        struct bytes command, struct store_outcome *ret,
                        struct fault *reterr) MUST_USE;

uint64_t store_applied_index(const struct store *s);
uint64_t store_applied_term(const struct store *s);
/* The applied index and term that are durable in LMDB: the log below may go. */
uint64_t store_durable_index(const struct store *s);
uint64_t store_durable_term(const struct store *s);

/* Configuration state of raft and the like travel with the applied index:
 * small opaque records by name, part of the replicated state. */
enum status store_set_record(struct store *s, const char *name,
                             struct bytes value, struct fault *reterr) MUST_USE;
/* The same, in a commit of its own on top of what is durable: for what is
 * decided at a start, before anything is applied.  Not while a flush is under
 * way. */
enum status store_keep_record(struct store *s, const char *name,
                              struct bytes value,
                              struct fault *reterr) MUST_USE;
/* Empty when never set; borrowed until the next apply. */
struct bytes store_record(const struct store *s, const char *name);

/* --- alarms: part of the replicated state --- */

#define STORE_ALARMS_MAX 128
/* By member, then by type; `to` has room for STORE_ALARMS_MAX. */
size_t store_alarms(const struct store *s, struct admin_alarm_member *to);
/* member 0: of anybody. */
bool store_has_alarm(const struct store *s, uint64_t member,
                     enum admin_alarm_type type);

/* Whether it is up, and was raised so. */
bool store_alarm_is_automatic(const struct store *s, uint64_t member,
                              enum admin_alarm_type type);

/* --- reads, on the loop --- */

int64_t store_revision(const struct store *s);
int64_t store_compact_revision(const struct store *s);

/* Results live in an arena that is cleared by store_results_clear(). */
struct store_results;
struct store_results *store_results_new(void);
void store_results_free(struct store_results *r);
void store_results_clear(struct store_results *r);

/* ST_COMPACTED, ST_FUTURE_REVISION, ST_EMPTY_KEY, ST_INVALID (bad sort),
 * ST_CORRUPT (fault names the key), ST_IO. Values that come from LMDB are
 * borrowed from its map: valid until store_apply(), store_flush_end() or
 * store_results_clear(), whichever comes first. */
enum status store_range(struct store *s, const struct kv_range_spec *spec,
                        struct store_results *r, struct kv_range_result *ret,
                        struct fault *reterr) MUST_USE;
/* A transaction of ranges only. */
enum status store_read_txn(struct store *s, const struct kv_txn_spec *txn,
                           struct store_results *r, struct kv_txn_result *ret,
                           struct fault *reterr) MUST_USE;
/* True when every operation, at every depth and in both branches, is a range.
 */
bool store_txn_is_read(const struct kv_txn_spec *txn);

/* --- leases, newest state --- */

int64_t store_lease_clock_ms(const struct store *s);
uint64_t store_leases_count(const struct store *s);
/* ST_CORRUPT, ST_IO */
enum status store_lease(const struct store *s, int64_t id, bool *ret_found,
                        struct store_lease *ret, struct fault *reterr) MUST_USE;
/* At most count_max leases, in order of their ids taken as unsigned, from `id`
 * on. */
enum status store_leases(const struct store *s, int64_t id,
                         struct store_lease *list, size_t count_max,
                         size_t *ret_count, struct fault *reterr) MUST_USE;
/* The keys attached to a lease, in order; in the results as ranges are. */
enum status store_lease_keys(const struct store *s, int64_t id,
                             struct store_results *r, const struct bytes **ret,
                             size_t *ret_count, struct fault *reterr) MUST_USE;

/* --- memtable to LMDB --- */

struct store_flush;
/* Freezes the active memtable; NULL when there is nothing to write and nothing
 * to sweep (not even an applied index has moved), or a flush is under way.
 * Loop thread. */
struct store_flush *store_flush_begin(struct store *s);
/* Store thread; touches nothing but the frozen memtable and LMDB.  All or
 * nothing: after a failure the same flush may be run again.
 *   ST_NO_SPACE  the disk or the map is full
 *   ST_CORRUPT, ST_IO */
enum status store_flush_run(struct store_flush *f,
                            struct fault *reterr) MUST_USE;
/* Loop thread, after a run that succeeded: the view moves on and the frozen
 * memtable goes. */
enum status store_flush_end(struct store *s, struct store_flush *f,
                            struct fault *reterr) MUST_USE;
/* True when the active memtable is over its bound (begin a flush), and when
 * both are (hold proposals back). */
bool store_wants_flush(const struct store *s);
bool store_is_full(const struct store *s);

/* --- compaction leaves garbage; it is swept in slices by the flushes --- */
bool store_has_garbage(const struct store *s);
/* Nothing is left of what compactions up to this revision superseded. */
int64_t store_swept_revision(const struct store *s);

/* --- watch hub --- */

/* As kv_watch, with the same rules.  Events are delivered by store_deliver()
 * only, so that the node can answer the write first (kv.h rule 4). */
void store_watch(struct store *s, struct kv_watch *w);
void store_unwatch(struct store *s, struct kv_watch *w);
int64_t store_watched(const struct store *s, const struct kv_watch *w);
/* When a later state, in another store, is to take this one's place, what its
 * history does not have is the difference between the two, which is found in
 * steps, beside all other use of both stores, on the loop.  Each looks at
 * rows_max keys, or so; after an error it can only be freed.  *ret_done: `from`
 * has nothing more to tell, and what else there is to tell is known: as long as
 * nothing is applied the watches can be taken.  (Until then watches that begin
 * in the past may have to be told of it; those that come now begin with the
 * other state.)
 *   ST_CORRUPT, ST_IO */
struct store_comparison;
struct store_comparison *store_compare_begin(struct store *from,
                                             struct store *to);
enum status store_compare_step(struct store_comparison *c, size_t rows_max,
                               bool *ret_done, struct fault *reterr) MUST_USE;
/* While both stores are open. NULL is fine. */
void store_compare_free(struct store_comparison *c);

/* Every watch goes on in the other store from the revision after the last it
 * was given, out of the history; or, where that does not reach back to it, with
 * the difference (store/difference.h says how it is told), or ends with
 * ST_COMPACTED if there was no comparison (NULL), or it was not done.  In
 * between no store_unwatch(), and not from inside a delivery. */
struct store_watches;
struct store_watches *store_take_watches(struct store *s,
                                         struct store_comparison *c);
void store_give_watches(struct store *s, struct store_watches *take);
/* Hands out the events of applied commands, and for watches that start in the
 * past a bounded slice of history. True when there is more to do.  Callbacks
 * may watch, unwatch and free their own watch, but not deliver. */
bool store_deliver(struct store *s, struct kv_header header);
/* Instead of it, when nothing is to be served any more: all watches end. True
 * when there were any. */
bool store_end_watches(struct store *s, enum status why);

/* --- facts --- */
struct store_stats {
    uint64_t size_bytes, used_bytes, quota_bytes, keys_count;
    uint64_t memtable_bytes;
};
void store_stats(const struct store *s, struct store_stats *ret);
/* A hash of all logical rows (keys, versions, tombstones, identity numbers,
 * times, groups, leases) at the newest revision, for comparing replicas and for
 * tests. Slow: reads everything. */
enum status store_hash(struct store *s, uint32_t *ret_hash,
                       struct fault *reterr) MUST_USE;

#endif
