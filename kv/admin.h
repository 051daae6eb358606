/* The asynchronous interface to a member's and its cluster's upkeep: members,
 * leadership, alarms, hashes, snapshots, space.  What an operator does, beside
 * kv/kv.h, which is what a program does.
 *
 * The rules of kv/kv.h hold: the caller owns the request until `done`, which
 * comes exactly once, on the loop, never from inside the submission; results
 * are borrowed until `done` returns.  kv_cancel() does not know these calls:
 * admin_cancel() does.
 */
#ifndef KV_ADMIN_H
#define KV_ADMIN_H

#include "kv/kv.h"

#define ADMIN_URLS_MAX 16 /* of one member and kind */

/* One member as everybody in the cluster knows it. */
struct admin_member {
    uint64_t id;
    struct bytes name; /* empty: it has not started yet */
    const struct bytes *peer_urls;
    size_t peer_urls_count;
    const struct bytes *client_urls;
    size_t client_urls_count;
    bool is_learner;
};

enum admin_member_op {
    ADMIN_MEMBER_LIST,
    ADMIN_MEMBER_ADD,     /* peer_urls, is_learner; ST_PEER_URL_EXISTS,
                             ST_MEMBER_EXISTS, ST_TOO_MANY_LEARNERS */
    ADMIN_MEMBER_REMOVE,  /* id; ST_MEMBER_NOT_FOUND */
    ADMIN_MEMBER_UPDATE,  /* id, peer_urls; ST_MEMBER_NOT_FOUND,
                             ST_PEER_URL_EXISTS */
    ADMIN_MEMBER_PROMOTE, /* id; ST_MEMBER_NOT_LEARNER, ST_LEARNER_NOT_READY */
    ADMIN_MEMBER_CHANGE   /* changes: all of them at once, or none */
};

#define ADMIN_MEMBER_CHANGES_MAX 16

/* One of several: ADD, REMOVE or PROMOTE. */
struct admin_member_change {
    enum admin_member_op op;
    uint64_t id; /* ADD: given back */
    const struct bytes *peer_urls;
    size_t peer_urls_count;
    bool is_learner;
};

/* All changes: ST_NOT_ENOUGH_STARTED, ST_UNHEALTHY (strict reconfiguration
 * check), ST_NO_LEADER, ST_TIMEOUT. */
struct admin_members {
    struct kv_call call;
    enum admin_member_op op;
    uint64_t id;
    const struct bytes *peer_urls;
    size_t peer_urls_count;
    bool is_learner;
    bool linearizable;                   /* LIST */
    struct admin_member_change *changes; /* CHANGE */
    size_t changes_count;

    struct admin_member member; /* ADD: the new one */
    const struct admin_member *members;
    size_t members_count;
};

/* Hands leadership to a voter. ST_NOT_LEADER, ST_BAD_TRANSFEREE,
 * ST_TRANSFER_TIMEOUT. */
struct admin_move_leader {
    struct kv_call call;
    uint64_t to;
};

enum admin_alarm_type {
    ADMIN_ALARM_NONE,
    ADMIN_ALARM_NOSPACE,
    ADMIN_ALARM_CORRUPT
};
enum admin_alarm_op { ADMIN_ALARM_GET, ADMIN_ALARM_RAISE, ADMIN_ALARM_CLEAR };
struct admin_alarm_member {
    uint64_t member;
    enum admin_alarm_type type;
};
/* GET: type NONE and member 0 stand for all. */
struct admin_alarm {
    struct kv_call call;
    enum admin_alarm_op op;
    uint64_t member;
    enum admin_alarm_type type;

    const struct admin_alarm_member *alarms; /* found, raised or cleared */
    size_t alarms_count;
};

/* etcd's HashKV: CRC-32C over the kept versions up to `revision` (0: the
 * newest).  ST_COMPACTED, ST_FUTURE_REVISION. Runs beside the loop. */
struct admin_hash {
    struct kv_call call;
    int64_t revision;
    bool whole; /* Maintenance.Hash: over everything there is */

    uint32_t hash;
    int64_t compact_revision, hash_revision;
};

/* Gives unused space of the store's file back to the disk, beside reads and
 * writes. */
struct admin_defragment {
    struct kv_call call;
};

/* The member's whole state as a file's bytes, from one consistent view.
 * on_chunk(s, bytes, remaining) is called for each piece, at most 32 KiB; the
 * next comes only after admin_snapshot_next().  The last 32 bytes of the
 * stream are the SHA-256 of all before them.  `done` ends it. */
struct admin_snapshot {
    struct kv_call call;
    void (*on_chunk)(struct admin_snapshot *s, struct bytes chunk,
                     uint64_t remaining);
};

/* Beyond kv_status: what an operator asks one member. */
struct admin_status {
    struct kv_status kv;
    uint64_t raft_index;   /* of the log's committed end */
    uint64_t raft_applied; /* index of the last entry in the state */
    bool is_learner;
    const struct admin_alarm_member *alarms;
    size_t alarms_count;
};

struct admin;

struct admin_ops {
    void (*members)(struct admin *a, struct admin_members *call);
    void (*move_leader)(struct admin *a, struct admin_move_leader *call);
    void (*alarm)(struct admin *a, struct admin_alarm *call);
    void (*hash)(struct admin *a, struct admin_hash *call);
    void (*defragment)(struct admin *a, struct admin_defragment *call);
    void (*snapshot)(struct admin *a, struct admin_snapshot *call);
    void (*snapshot_next)(struct admin *a, struct admin_snapshot *call);
    void (*cancel)(struct admin *a, struct kv_call *call);
    void (*status)(struct admin *a, struct admin_status *ret);
};

struct admin {
    const struct admin_ops *ops;
};

static inline void admin_members(struct admin *a, struct admin_members *call)
{
    a->ops->members(a, call);
}

static inline void admin_move_leader(struct admin *a,
                                     struct admin_move_leader *call)
{
    a->ops->move_leader(a, call);
}

static inline void admin_alarm(struct admin *a, struct admin_alarm *call)
{
    a->ops->alarm(a, call);
}

static inline void admin_hash(struct admin *a, struct admin_hash *call)
{
    a->ops->hash(a, call);
}

static inline void admin_defragment(struct admin *a,
                                    struct admin_defragment *call)
{
    a->ops->defragment(a, call);
}

static inline void admin_snapshot(struct admin *a, struct admin_snapshot *call)
{
    a->ops->snapshot(a, call);
}

/* The piece last given has been used; not from inside on_chunk is fine too. */
static inline void admin_snapshot_next(struct admin *a,
                                       struct admin_snapshot *call)
{
    a->ops->snapshot_next(a, call);
}

static inline void admin_cancel(struct admin *a, struct kv_call *call)
{
    a->ops->cancel(a, call);
}

/* Without waiting. */
static inline void admin_status(struct admin *a, struct admin_status *ret)
{
    a->ops->status(a, ret);
}

#endif
