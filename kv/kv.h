/* The asynchronous interface to a keystore.  The filesystem and the API know
 * nothing else; the local node, a client of a remote cluster and a fake for
 * tests implement it.
 *
 * Rules
 *  1. A request is a struct that the caller owns, zeroes, fills in and hands
 *     over; neither it nor the bytes it points to move or change until its
 *     `done` has been called.
 *  2. `done` is called exactly once, on the loop's thread, never from inside
 *     the call that submitted the request (nor from inside kv_cancel).
 *     Freeing or reusing the request from `done` is fine; so is submitting.
 *  3. Results are borrowed: valid until `done` or the watch callback returns.
 *  4. `done` of a write is called before any watch of the same implementation
 *     delivers the events of that write's revision.
 *  5. Requests of one caller are not ordered among each other, except that a
 *     request submitted after another's `done` sees its effects.
 *
 * Threads: everything here belongs to one loop thread.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/list.h"
#include "kv/types.h"

/* On whose behalf; borrowed for the length of the request. */
struct kv_caller {
    struct bytes user;      /* empty: nobody in particular */
    uint64_t auth_revision; /* of the store's roles when user was checked */
};

/* The common head of all requests. */
struct kv_call {
    /* Filled in by the caller. */
    const struct kv_caller *caller; /* NULL: the process itself */
    int64_t timeout_ms;             /* 0: the implementation's default */
    void (*done)(struct kv_call *call);

    /* Filled in by the implementation before `done`.
     *   ST_TIMEOUT    of a write: the outcome is not known
     *   ST_NO_LEADER  nothing was done and nothing will be                   */
    enum status status;
    struct kv_header header; /* header.revision: the store's after this */

    /* Private to the implementation. */
    struct list link;
    uint64_t ticket;
    int64_t deadline_ns;
    void *state;
};

struct kv_range {
    struct kv_call call;
    struct kv_range_spec spec;
    struct kv_range_result result; /* when status is ST_OK */
};

/* A transaction of only KV_OP_RANGE operations is a read: it is not written
 * to the log, all its ranges see one state, and `serializable` of its first
 * range goes for all. */
struct kv_txn {
    struct kv_call call;
    struct kv_txn_spec spec;
    struct kv_txn_result result; /* when status is ST_OK */
};

/* Forgets what was superseded at or before `revision`.  ST_COMPACTED when that
 * was done already, ST_FUTURE_REVISION beyond the present. */
struct kv_compact {
    struct kv_call call;
    int64_t revision;
    bool physical; /* `done` waits until what was superseded is gone from this
                      member's file: as long as that takes, unless timeout_ms
                      says otherwise */
};

/* Leases (etcd-surface 1.6): a lease lives as long as somebody keeps it alive;
 * its keys are deleted with it, in key order and in one revision. */
enum kv_lease_op {
    KV_LEASE_GRANT,     /* ST_LEASE_EXISTS, ST_LEASE_TTL_TOO_LARGE */
    KV_LEASE_REVOKE,    /* ST_LEASE_NOT_FOUND */
    KV_LEASE_KEEPALIVE, /* unknown: ST_OK and ttl_s 0; no revision, no event */
    KV_LEASE_TTL,       /* unknown: ST_OK and ttl_s -1, granted_ttl_s 0 */
    KV_LEASE_LIST
};
#define KV_LEASE_TTL_MAX INT64_C(9000000000) /* seconds */

struct kv_lease_result {
    int64_t id;
    int64_t ttl_s; /* GRANT, KEEPALIVE: the TTL in force, perhaps raised; TTL:
                      the seconds left */
    int64_t granted_ttl_s;
    const struct bytes *keys; /* TTL, when asked for; in key order */
    size_t keys_count;
    const int64_t *ids; /* LIST, those that end first before the others */
    size_t ids_count;
};

struct kv_lease {
    struct kv_call call;
    enum kv_lease_op op;
    int64_t id;                    /* GRANT: 0 lets the store choose */
    int64_t ttl_s;                 /* GRANT: below the least it is raised */
    bool with_keys;                /* TTL */
    struct kv_lease_result result; /* when status is ST_OK */
};

/* A standing request for the events of a range, in revision order, each once.
 * All events of one revision come in one call (a revision is never split), and
 * one call may bring several revisions. */
struct kv_watch {
    /* Filled in by the caller. */
    struct kv_keys keys;
    int64_t start_revision; /* first wanted; 0: those after now */
    bool prev_kv;
    void (*on_events)(struct kv_watch *watch, const struct kv_event *events,
                      size_t events_count, struct kv_header header);
    /* The watch is over: ST_COMPACTED (start_revision is no longer there;
     * compact_revision says from where it could), ST_TOO_MANY (did not keep
     * up), ST_STOPPED.  Not called after kv_unwatch. */
    void (*on_end)(struct kv_watch *watch, enum status why,
                   int64_t compact_revision);

    /* Private to the implementation. */
    struct list link;
    int64_t next_revision;
    void *state;
};

enum kv_role { KV_ROLE_UNKNOWN, KV_FOLLOWER, KV_CANDIDATE, KV_LEADER };

struct kv_member {
    uint64_t id;
    const char *name; /* "": not known here */
    bool is_self, is_learner;
};

/* Facts about the local view, without waiting. */
struct kv_status {
    struct kv_header header;
    int64_t compact_revision;
    uint64_t leader;   /* member id; 0: none known */
    enum kv_role role; /* of the member that answers */
    uint64_t applied;  /* index of the last log entry in the state */
    /* The cluster's, by increasing id; none where they are not known. Borrowed
     * until the next call of any kind. */
    const struct kv_member *members;
    size_t members_count;
    bool disk_full;             /* the store cannot grow on its disk */
    bool no_space;              /* a member's store is full (its NOSPACE alarm):
                                   puts are refused everywhere */
    bool corrupt;               /* this member's state differs from the others'
                                   (its CORRUPT alarm): it serves nothing */
    bool writable;              /* a write begun now has a leader to go to */
    uint64_t size_bytes;        /* of the store's file, never below used */
    uint64_t used_bytes;        /* of it, in use */
    uint64_t quota_bytes;       /* writes beyond are refused */
    uint64_t keys_count;        /* live keys */
    uint64_t log_bytes;         /* of the log's files; 0: none is known of */
    uint64_t log_entries;       /* that it keeps */
    uint64_t log_written_bytes; /* since the start */
    uint64_t request_bytes_max; /* largest request, hence about the largest
                                   value */
};

struct kv;

struct kv_ops {
    void (*range)(struct kv *kv, struct kv_range *range);
    void (*txn)(struct kv *kv, struct kv_txn *txn);
    void (*compact)(struct kv *kv, struct kv_compact *compact);
    void (*lease)(struct kv *kv, struct kv_lease *lease);
    void (*cancel)(struct kv *kv, struct kv_call *call);
    void (*watch)(struct kv *kv, struct kv_watch *watch);
    void (*unwatch)(struct kv *kv, struct kv_watch *watch);
    int64_t (*watched)(struct kv *kv, const struct kv_watch *watch);
    void (*status)(struct kv *kv, struct kv_status *ret);
};

struct kv {
    const struct kv_ops *ops;
};

static inline void kv_range(struct kv *kv, struct kv_range *range)
{
    kv->ops->range(kv, range);
}

static inline void kv_txn(struct kv *kv, struct kv_txn *txn)
{
    kv->ops->txn(kv, txn);
}

static inline void kv_compact(struct kv *kv, struct kv_compact *compact)
{
    kv->ops->compact(kv, compact);
}

static inline void kv_lease(struct kv *kv, struct kv_lease *lease)
{
    kv->ops->lease(kv, lease);
}

/* Asks for an early end: `done` follows soon, with ST_CANCELED unless the
 * answer was already there.  A write so cancelled may still take place. */
static inline void kv_cancel(struct kv *kv, struct kv_call *call)
{
    kv->ops->cancel(kv, call);
}

/* Events begin after this returns, never from inside it. */
static inline void kv_watch(struct kv *kv, struct kv_watch *watch)
{
    kv->ops->watch(kv, watch);
}

/* No callback comes after this returns. */
static inline void kv_unwatch(struct kv *kv, struct kv_watch *watch)
{
    kv->ops->unwatch(kv, watch);
}

/* Everything up to this revision that the watch wants has been handed to it:
 * the store's revision when it keeps up.  Not from inside a watch's callbacks.
 */
static inline int64_t kv_watched(struct kv *kv, const struct kv_watch *watch)
{
    return kv->ops->watched(kv, watch);
}

static inline void kv_status(struct kv *kv, struct kv_status *ret)
{
    kv->ops->status(kv, ret);
}

#endif
