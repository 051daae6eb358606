/* Carrying out a transaction: what apply.c, txn.c, change.c, move.c and
 * groups.c share. */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "store/command.h"
#include "store/internal.h"

/* One command being applied. */
struct apply {
    struct store *s;
    struct arena *arena; /* of the outcome */
    int64_t time_ns;     /* of the command's stamp */
    int64_t revision;    /* that of its changes: one more than the store's */
    uint32_t sub;        /* of the next change; 0: nothing changed yet */
    bool reads_only;     /* results may be borrowed from memtable and map */
    struct fault *reterr;

    /* While a prefix is moved: new groups below `to` take over the identity of
     * those they replace. */
    const struct kv_move *moving;
};

/* What a reader within the command takes for the newest revision. */
static inline int64_t apply_newest(const struct apply *a)
{
    return a->sub > 0 ? a->revision : a->revision - 1;
}
/* A later time than an earlier one's (but for a clock that says the end of
 * time). */
static inline int64_t apply_time_after(const struct apply *a, int64_t earlier)
{
    if (a->time_ns > earlier || earlier == INT64_MAX) {
        return a->time_ns > earlier ? a->time_ns : earlier;
    }
    return earlier + 1;
}

/* --- compare.c --- */

/* Whether all compares hold at the revision. */
enum status compare_all(const struct store *s, const struct kv_compare *list,
                        size_t count, int64_t revision, bool *ret,
                        struct fault *reterr) MUST_USE;

/* --- txn.c --- */

/* The way through nested transactions, decided before anything is done. */
struct path {
    bool succeeded;
    const struct kv_op *ops; /* of the branch taken */
    size_t ops_count;
    const struct path *inner; /* of the i-th operation, where that is one */
};

enum status txn_decide(const struct store *s, const struct kv_txn_spec *txn,
                       struct arena *arena, struct path *ret,
                       struct fault *reterr) MUST_USE;
/* Everything that may be refused, before anything is done (etcd rule 7). */
enum status txn_validate(const struct store *s, const struct path *path,
                         bool *ret_broken, struct fault *reterr) MUST_USE;
/* After that only the store itself can fail. */
enum status txn_run(struct apply *a, const struct path *path,
                    struct kv_txn_result *ret) MUST_USE;

/* --- change.c --- */

enum status change_put(struct apply *a, const struct kv_put *put,
                       const struct kv_item **ret_prev) MUST_USE;
enum status change_delete_range(struct apply *a,
                                const struct kv_delete_range *d,
                                struct kv_op_result *ret) MUST_USE;
/* Takes a live key away. `moved_to` is empty unless a move does it. */
enum status change_delete(struct apply *a, struct bytes key,
                          const struct version *live,
                          struct bytes moved_to) MUST_USE;
/* The live keys of a range, and nothing else, in order. */
enum status change_list(const struct apply *a, const struct kv_keys *keys,
                        struct bytes **ret, size_t *ret_count) MUST_USE;
/* Completes a version (revision and place) and puts it into the memtable. */
void change_record(struct apply *a, struct bytes key, struct version *v);

/* --- move.c --- */

enum status move_validate(const struct store *s, const struct kv_move *m,
                          bool *ret_broken, struct fault *reterr) MUST_USE;
enum status move_run(struct apply *a, const struct kv_move *m,
                     int64_t *ret_moved) MUST_USE;

/* --- groups.c --- */

/* A key became live. `ino`: the identity it brings along, or 0. *ret_ino is
 * the one it has from now on, *ret_changed how many groups came to be. */
enum status groups_add(struct apply *a, struct bytes key, uint64_t ino,
                       uint64_t *ret_ino, uint32_t *ret_changed) MUST_USE;
/* A key is live no more; *ret_changed: how many groups ceased to be. */
enum status groups_remove(struct apply *a, struct bytes key,
                          uint32_t *ret_changed) MUST_USE;
/* The entry that the key is was replaced by another one. */
enum status groups_touch(struct apply *a, struct bytes key) MUST_USE;

#endif
