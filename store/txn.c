/* Transactions, in three steps as in etcd: decide which branches are taken, at
 * every depth, from the state before the transaction; refuse what has to be
 * refused; then run, which only a broken store can stop.
 */

#include "base/must.h"
#include "store/apply.h"
#include "store/lease.h"

enum status txn_decide(const struct store *s, const struct kv_txn_spec *txn,
                       struct arena *arena, struct path *ret,
                       struct fault *reterr)
{
    enum status st =
        compare_all(s, txn->compares, txn->compares_count,
                    s->state.numbers.revision, &ret->succeeded, reterr);
    if (st != ST_OK) {
        return st;
    }
    ret->ops = ret->succeeded ? txn->success : txn->failure;
    ret->ops_count = ret->succeeded ? txn->success_count : txn->failure_count;
    struct path *inner = NULL;
    for (size_t i = 0; i < ret->ops_count && st == ST_OK; i++) {
        if (ret->ops[i].type != KV_OP_TXN) {
            continue;
        }
        if (inner == NULL) {
            inner = arena_get_zeroed(arena, ret->ops_count * sizeof *inner);
        }
        st = txn_decide(s, ret->ops[i].txn, arena, &inner[i], reterr);
    }
    ret->inner = inner;
    return st;
}

static enum status validate_put(const struct store *s, const struct kv_put *put,
                                bool *ret_broken, struct fault *reterr)
{
    if (put->ignore_value || put->ignore_lease) {
        struct version v;
        bool found;
        const enum status st = find_live(s, put->key, s->state.numbers.revision,
                                         &found, &v, reterr);
        if (st != ST_OK) {
            *ret_broken = true;
            return st;
        }
        if (!found) {
            return ST_KEY_NOT_FOUND;
        }
    }
    if (put->lease == 0) {
        return ST_OK;
    }
    struct lease_row lease;
    const enum status st = lease_find(s, put->lease, &lease, reterr);
    if (st != ST_OK) {
        *ret_broken = true;
        return st;
    }
    return lease.live ? ST_OK : ST_LEASE_NOT_FOUND;
}

/* Inside a transaction etcd holds the revision of a read against the compacted
 * one as it stands, negative or not, where a plain read takes every negative
 * one for the newest. A store that was never compacted is compacted at -1. */
static enum status validate_range(const struct store *s,
                                  const struct kv_range_spec *range)
{
    const int64_t compacted = s->state.numbers.compact_revision;
    if (range->revision < 0 &&
        range->revision < (compacted == 0 ? -1 : compacted)) {
        return ST_COMPACTED;
    }
    return range_check_revision(s, range);
}

static enum status validate_change(const struct store *s,
                                   const struct kv_op *op, bool *ret_broken,
                                   struct fault *reterr)
{
    switch (op->type) {
    case KV_OP_PUT:
        return validate_put(s, &op->put, ret_broken, reterr);
    case KV_OP_MOVE:
        return move_validate(s, &op->move, ret_broken, reterr);
    case KV_OP_RANGE:
    case KV_OP_DELETE_RANGE:
    case KV_OP_TXN:
        return ST_OK;
    }
    unreachable("check_txn() knows all operations");
}

/* Which of several errors is answered: that of the first change, at any depth,
 * before that of the first read. */
static enum status validate_pass(const struct store *s, const struct path *path,
                                 bool changes, bool *ret_broken,
                                 struct fault *reterr)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < path->ops_count && st == ST_OK; i++) {
        const struct kv_op *op = &path->ops[i];
        if (op->type == KV_OP_TXN) {
            st = validate_pass(s, &path->inner[i], changes, ret_broken, reterr);
        } else if (changes) {
            st = validate_change(s, op, ret_broken, reterr);
        } else if (op->type == KV_OP_RANGE) {
            st = validate_range(s, &op->range);
        }
    }
    return st;
}

enum status txn_validate(const struct store *s, const struct path *path,
                         bool *ret_broken, struct fault *reterr)
{
    const enum status st = validate_pass(s, path, true, ret_broken, reterr);
    return st == ST_OK ? validate_pass(s, path, false, ret_broken, reterr) : st;
}

static enum status run_inner(struct apply *a, const struct path *path,
                             const struct kv_txn_result **ret)
{
    struct kv_txn_result *result = arena_get(a->arena, sizeof *result);
    *ret = result;
    return txn_run(a, path, result);
}

static enum status run_op(struct apply *a, const struct path *path, size_t i,
                          struct kv_op_result *ret)
{
    const struct kv_op *op = &path->ops[i];
    ret->type = op->type;
    switch (op->type) {
    case KV_OP_RANGE:
        return range_run(a->s, &op->range, apply_newest(a), a->arena,
                         !a->reads_only, &ret->range, a->reterr);
    case KV_OP_PUT:
        return change_put(a, &op->put, &ret->put.prev);
    case KV_OP_DELETE_RANGE:
        return change_delete_range(a, &op->delete_range, ret);
    case KV_OP_TXN:
        return run_inner(a, &path->inner[i], &ret->txn);
    case KV_OP_MOVE:
        return move_run(a, &op->move, &ret->move.moved);
    }
    unreachable("check_txn() knows all operations");
}

enum status txn_run(struct apply *a, const struct path *path,
                    struct kv_txn_result *ret)
{
    struct kv_op_result *results =
        arena_get_zeroed(a->arena, path->ops_count * sizeof *results);
    for (size_t i = 0; i < path->ops_count; i++) {
        const enum status st = run_op(a, path, i, &results[i]);
        if (st != ST_OK) {
            return st;
        }
    }
    *ret = (struct kv_txn_result){.succeeded = path->succeeded,
                                  .results = results,
                                  .results_count = path->ops_count};
    return ST_OK;
}
