/* The vocabulary of the keystore: items, ranges, compares, operations, events.
 *
 * Semantics are etcd v3's (revisions, range_end, transactions) with the few
 * extensions a filesystem needs, each marked "extension": the size and commit
 * time of a value beside its key, an identity number for a key's life, an
 * opaque attribute record, listings grouped by a delimiter, and moves.
 *
 * Every struct borrows its bytes: from the caller in requests, from the
 * implementation in results (valid until the callback they came with returns).
 */
#ifndef KV_TYPES_H
#define KV_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/* A key, or a range of keys: etcd's convention.
 *   end empty     the single key `key`
 *   end "\0"      all keys >= key  (key "\0": all keys)
 *   otherwise     key <= k < end; empty when end <= key                      */
struct kv_keys {
    struct bytes key;
    struct bytes end;
};

/* One version of one key. */
struct kv_item {
    struct bytes key;
    struct bytes value;  /* empty where only keys were asked for */
    uint64_t value_size; /* extension: always filled in */
    int64_t create_revision;
    int64_t mod_revision;
    int64_t version; /* 1 when created, +1 with each change */
    int64_t lease;   /* 0: none */

    /* Extensions. */
    uint64_t ino; /* identity of this key's life: differs between lives, kept
                     by a move, never reused; 0 where the store has none */
    int64_t mtime_ns;   /* commit time, Unix; grows with each revision of a key;
                           0 where the store has none */
    struct bytes attrs; /* opaque attribute record; empty: none */
    bool group;         /* this stands for all keys that begin with `key` (see
                           kv_range_spec.grouped); ino and mtime_ns are the group's,
                           lease, versions and revisions are 0 */
};

enum kv_sort_order { KV_SORT_NONE, KV_SORT_ASCEND, KV_SORT_DESCEND };
enum kv_sort_target {
    KV_SORT_KEY,
    KV_SORT_VERSION,
    KV_SORT_CREATE,
    KV_SORT_MOD,
    KV_SORT_VALUE
};

struct kv_range_spec {
    struct kv_keys keys;
    int64_t limit;    /* items; 0: no limit */
    int64_t revision; /* <= 0: the newest */
    bool keys_only;   /* values are left out, value_size is not */
    bool count_only;
    bool serializable; /* of a whole request: answer from the local replica */
    enum kv_sort_order sort_order;
    enum kv_sort_target sort_target;
    int64_t min_mod_revision, max_mod_revision;
    int64_t min_create_revision, max_create_revision;

    /* Extension: keys that have '/' at or after offset group_from are not
     * listed one by one; all those that agree up to and including that first
     * '/' are answered by one item with group set, whose key ends in that '/'.
     * The cost is O(items returned), whatever lies below.  `count` is then the
     * number of items, and sorting and revision filters must be off. */
    bool grouped;
    uint32_t group_from;

    /* Extension, of kv_range only: the answer may be presumed, that is, given
     * by a leader from what it has applied although no quorum has confirmed
     * that it still leads; `presumed` says so.  For who changes what was read
     * next: when a transaction that was submitted behind it is answered with
     * the same header.raft_term, the presumption was right. */
    bool may_presume;

    /* Extension: with a limit, `count` may stop where the items do (`more` is
     * exact).  Spares a walk over the rest of the range, which the pages of a
     * long listing would each repeat. */
    bool count_bounded;

    /* Extension, of kv_range only, for a range in key order without groups and
     * filters: it may be answered in slices, so that a long one does not hold
     * up others. After about so many keys looked at, or bytes of keys and
     * values gathered, the answer ends, and its `next` says from where to ask
     * for the rest (at the same revision).  `count` and `more` are then the
     * slice's own.  0: no such bound.  Who does not know slices answers
     * everything. */
    uint32_t slice_keys;
    uint32_t slice_bytes;
};

struct kv_range_result {
    const struct kv_item *items;
    size_t items_count;
    bool more;     /* the limit cut the answer */
    bool presumed; /* see may_presume */
    int64_t count; /* keys in the range, whatever the limit */
    /* Where a slice ended: perhaps the key of what comes then.  Empty: nothing
     * is left. */
    struct bytes next;
};

struct kv_put {
    struct bytes key;
    struct bytes value;
    int64_t lease; /* 0 detaches */
    bool prev_kv;
    bool ignore_value; /* keep the value; the key must exist */
    bool ignore_lease; /* keep the lease; the key must exist */

    /* Extensions. */
    bool keep_lease;    /* keep the lease if the key exists; lease must be 0 */
    bool set_attrs;     /* else the attribute record is kept */
    struct bytes attrs; /* empty: none */
};

struct kv_delete_range {
    struct kv_keys keys;
    bool prev_kv;
};

/* Extension: moves one key, or every key that begins with `from`, to the name
 * in which `to` replaces `from`.  Lease, attributes and ino go along.  A key
 * that stands at a target is replaced (PUT event; its own life ends).  The
 * range written to must not overlap the one moved, save that from == to is a
 * no-op.  Nothing to move: nothing happens, moved is 0.
 * ST_TOO_MANY_OPS when more than KV_MOVE_KEYS_MAX keys would move.           */
struct kv_move {
    struct bytes from;
    struct bytes to;
    bool prefix;
    bool keep_target; /* single key over an existing one: the target's lease,
                         create_revision, version and ino live on, unless the
                         source has a lease of its own */
    bool exchange;    /* single keys, both must exist: they change places */
};
#define KV_MOVE_KEYS_MAX 4096

enum kv_compare_result {
    KV_COMPARE_EQUAL,
    KV_COMPARE_GREATER,
    KV_COMPARE_LESS,
    KV_COMPARE_NOT_EQUAL
};
enum kv_compare_target {
    KV_COMPARE_VERSION,
    KV_COMPARE_CREATE,
    KV_COMPARE_MOD,
    KV_COMPARE_VALUE,
    KV_COMPARE_LEASE
};

/* Holds when `item <result> operand`, for every key in the range.  A key that
 * is not there compares as zeros, except KV_COMPARE_VALUE, which is false. */
struct kv_compare {
    struct kv_keys keys;
    enum kv_compare_target target;
    enum kv_compare_result result;
    int64_t number;     /* all targets but VALUE */
    struct bytes value; /* VALUE */
};

enum kv_op_type {
    KV_OP_RANGE,
    KV_OP_PUT,
    KV_OP_DELETE_RANGE,
    KV_OP_TXN,
    KV_OP_MOVE
};

struct kv_txn_spec;

struct kv_op {
    enum kv_op_type type;
    union {
        struct kv_range_spec range;
        struct kv_put put;
        struct kv_delete_range delete_range;
        const struct kv_txn_spec *txn;
        struct kv_move move;
    };
};

/* If all compares hold then `success` else `failure`, in list order, at one
 * revision; an operation sees what those before it did. */
struct kv_txn_spec {
    const struct kv_compare *compares;
    size_t compares_count;
    const struct kv_op *success;
    size_t success_count;
    const struct kv_op *failure;
    size_t failure_count;
};
#define KV_TXN_DEPTH_MAX 16 /* nesting; deeper is ST_TOO_MANY_OPS */

struct kv_txn_result;

struct kv_op_result {
    enum kv_op_type type; /* that of the operation */
    union {
        struct kv_range_result range;
        struct {
            const struct kv_item *prev; /* NULL: not asked for, or none */
        } put;
        struct {
            int64_t deleted;
            const struct kv_item *prevs; /* `deleted` of them, or NULL */
        } delete_range;
        const struct kv_txn_result *txn;
        struct {
            int64_t moved;
        } move;
    };
};

struct kv_txn_result {
    bool succeeded;
    const struct kv_op_result *results; /* one for each op that was run */
    size_t results_count;
};

enum kv_event_type { KV_EVENT_PUT, KV_EVENT_DELETE };

struct kv_event {
    enum kv_event_type type;
    struct kv_item item; /* DELETE: key, mod_revision, and ino and mtime_ns of
                            the deletion */
    const struct kv_item *prev; /* when asked for and still there */

    /* Extensions. */
    struct bytes moved_from; /* PUT by a move: the old key */
    struct bytes moved_to;   /* DELETE by a move: the new key */
    uint32_t groups_changed; /* how many of the key's '/'-ended prefixes, from
                                the longest up, this PUT gave their first key
                                or this DELETE took the last from */
    bool attrs_only; /* PUT that changed nothing but attributes or lease */
};

/* What every answer carries. */
struct kv_header {
    uint64_t cluster_id;
    uint64_t member_id;
    int64_t revision;
    uint64_t raft_term;
};

#endif
