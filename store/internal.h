/* What the files of store/ share: the store itself and its reading side. */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <stdatomic.h>

#include "store/arena.h"
#include "store/hub.h"
#include "store/memtable.h"
#include "store/state.h"
#include "store/store.h"
#include "store/tree.h"

/* No key may grow longer than this, whatever the request limit says: moves
 * could lengthen it further and further. */
#define KEY_SIZE_MAX ((size_t)16 << 20)

/* What the loop sees of LMDB: one read transaction, renewed by each flush. */
struct view {
    MDB_txn *txn;
    struct tree trees[TREES_COUNT];
    int64_t revision; /* the newest in it */
};

struct apply;

struct store {
    struct store_options options;
    char *path; /* of the directory; NULL in a shadow */
    int lock_fd;
    struct lmdb_env env;
    struct view view;

    struct memtable *active;
    struct memtable *frozen;   /* NULL, or being flushed */
    struct store_flush *flush; /* likewise */
    struct kept_flushes *kept; /* NULL: flushes are not kept */
    atomic_uint views;         /* held beside the loop's own */
    struct store *original;    /* of a shadow */

    struct state state;           /* newest */
    struct state_numbers durable; /* what LMDB has */
    bool dirty;                   /* state changed since the last freeze */

    struct arena outcome_arena; /* of the latest apply */
    struct kv_txn_result outcome_txn;
    struct hub hub;
};

struct store_results {
    struct arena arena;
};

/* --- view.c --- */

enum status view_open(struct store *s, struct fault *reterr) MUST_USE;
void view_close(struct store *s);
/* Moves the view to the newest commit. */
enum status view_renew(struct store *s, struct fault *reterr) MUST_USE;

/* The version of the key that a reader at the revision sees: *ret_found false
 * when the key is not live then.  The value may be unchecked. */
enum status find_live(const struct store *s, struct bytes key, int64_t revision,
                      bool *ret_found, struct version *ret,
                      struct fault *reterr) MUST_USE;
/* Compares the value's checksum if that is still to be done. */
enum status version_check(struct bytes key, struct version *v,
                          struct fault *reterr) MUST_USE;
/* ST_CORRUPT when the row's head is not a version. */
enum status version_of_row(const struct tree *t, const struct row *row,
                           struct version *ret, struct fault *reterr) MUST_USE;
/* The newest state of a group; all zeros when there is none. */
enum status find_group(const struct store *s, struct bytes name,
                       struct group *ret, struct fault *reterr) MUST_USE;

/* The end of the keys that begin with `prefix`, as kv_keys.end: "\0" when there
 * is none. The arena holds it. */
struct bytes prefix_end(struct arena *a, struct bytes prefix);

/* Whether the keys' end is "\0": no upper bound. */
static inline bool keys_unbounded(const struct kv_keys *k)
{
    return k->end.size == 1 && k->end.data[0] == 0;
}
static inline bool keys_single(const struct kv_keys *k)
{
    return k->end.size == 0;
}
static inline bool keys_contain(const struct kv_keys *k, struct bytes key)
{
    if (keys_single(k)) {
        return bytes_equal(k->key, key);
    }
    return bytes_compare(key, k->key) >= 0 &&
           (keys_unbounded(k) || bytes_compare(key, k->end) < 0);
}

/* --- shadow.c: a store that only reads what is durable in another --- */

enum status shadow_open(struct store *s, struct store **ret,
                        struct fault *reterr) MUST_USE;
void shadow_close(struct store *shadow); /* NULL is fine */

/* --- merge.c: all sources in key order --- */

struct merge {
    const struct store *store;
    int64_t revision;
    const struct mem_key *active, *frozen;
    bool with_history; /* the revision is older than the view */
    struct tree_cursor current, history;
    struct bytes history_key; /* of the history cursor's row */
    struct buf history_scratch, seek_scratch;
    struct arena *keys; /* where keys that need memory go */
    struct bytes end;   /* keys from here on are not looked at; empty: none */
    uint32_t keys_left; /* to look at, live or not, before it pauses */
    bool paused;
};

/* The arena must outlive the keys that are handed out. */
enum status merge_open(struct merge *m, const struct store *s, int64_t revision,
                       struct arena *keys, struct fault *reterr) MUST_USE;
void merge_close(struct merge *m); /* a zeroed one is fine */
enum status merge_seek(struct merge *m, struct bytes key,
                       struct fault *reterr) MUST_USE;
/* The next live key; *ret_found false at the end, or when it pauses. */
enum status merge_next(struct merge *m, bool *ret_found, struct bytes *ret_key,
                       struct version *ret, struct fault *reterr) MUST_USE;

/* For those who want all versions (hash.c): the least key that any source
 * stands on, and what the history cursor stands on after it was moved. */
bool merge_least_key(const struct merge *m, struct bytes *ret);
/* The same, before the end. */
bool merge_stands_on(const struct merge *m, struct bytes *ret);
enum status merge_history_arrived(struct merge *m, int64_t *ret_revision,
                                  struct fault *reterr) MUST_USE;

/* --- items.c --- */

/* copy: nothing stays borrowed from memtable or map. */
struct item_shape {
    bool keys_only;
    bool copy;
};
enum status item_of_version(struct arena *a, struct bytes key,
                            struct version *v, struct item_shape shape,
                            struct kv_item *ret, struct fault *reterr) MUST_USE;

/* --- range.c --- */

/* `newest` is what revision <= 0 means (within a transaction: its own). */
enum status range_run(const struct store *s, const struct kv_range_spec *spec,
                      int64_t newest, struct arena *a, bool copy,
                      struct kv_range_result *ret,
                      struct fault *reterr) MUST_USE;
/* ST_OK, ST_FUTURE_REVISION or ST_COMPACTED. */
enum status range_check_revision(const struct store *s,
                                 const struct kv_range_spec *spec) MUST_USE;

/* --- groups.c: the `dirs` index --- */

/* The length of the longest '/'-ended prefix of the key that is indexed; 0 when
 * it has none. */
size_t group_of(struct bytes key);
/* Whether the key is the marker of an indexed group. */
static inline bool key_is_marker(struct bytes key)
{
    return key.size > 0 && key.data[key.size - 1] == '/' &&
           group_of(key) == key.size;
}

/* --- check.c --- */

/* All checks that need neither state nor limits of this node. */
enum status check_txn(const struct kv_txn_spec *txn) MUST_USE;
/* ST_DUPLICATE_KEY when one branch could change a key twice. */
enum status check_claims(const struct kv_txn_spec *txn) MUST_USE;

#endif
