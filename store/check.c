/* Checks of a transaction before it is proposed, in etcd's order: the number of
 * operations, then each compare and operation, then keys that one branch could
 * change twice (claims.c).
 *
 * apply runs the same checks without the limits, which are a node's own: what
 * is applied must not depend on them.
 */

#include "base/must.h"
#include "store/cost.h"
#include "store/internal.h"

static enum status check_level(const struct kv_txn_spec *txn, uint64_t budget,
                               int depth);

static enum status check_range(const struct kv_range_spec *r)
{
    if (r->keys.key.size == 0) {
        return ST_EMPTY_KEY;
    }
    if ((unsigned)r->sort_order > KV_SORT_DESCEND ||
        (unsigned)r->sort_target > KV_SORT_VALUE) {
        return ST_INVALID;
    }
    const bool custom =
        r->sort_order != KV_SORT_NONE || r->sort_target != KV_SORT_KEY ||
        r->min_mod_revision != 0 || r->max_mod_revision != 0 ||
        r->min_create_revision != 0 || r->max_create_revision != 0;
    return r->grouped && custom ? ST_INVALID : ST_OK;
}

static enum status check_put(const struct kv_put *p)
{
    if (p->key.size == 0) {
        return ST_EMPTY_KEY;
    }
    if (p->key.size > KEY_SIZE_MAX) {
        return ST_TOO_LARGE;
    }
    if (p->ignore_value && p->value.size != 0) {
        return ST_VALUE_PROVIDED;
    }
    if ((p->ignore_lease || p->keep_lease) && p->lease != 0) {
        return ST_LEASE_PROVIDED;
    }
    return ST_OK;
}

static enum status check_move(const struct kv_move *m)
{
    if (m->from.size == 0 || m->to.size == 0) {
        return ST_EMPTY_KEY;
    }
    if (m->prefix && (m->exchange || m->keep_target)) {
        return ST_INVALID;
    }
    if (m->exchange && m->keep_target) {
        return ST_INVALID;
    }
    if (m->prefix && !bytes_equal(m->from, m->to) &&
        (bytes_starts_with(m->from, m->to) ||
         bytes_starts_with(m->to, m->from))) {
        return ST_INVALID; /* what is moved would move again */
    }
    return ST_OK;
}

static enum status check_op(const struct kv_op *op, uint64_t budget, int depth)
{
    switch (op->type) {
    case KV_OP_RANGE:
        return check_range(&op->range);
    case KV_OP_PUT:
        return check_put(&op->put);
    case KV_OP_DELETE_RANGE:
        return op->delete_range.keys.key.size == 0 ? ST_EMPTY_KEY : ST_OK;
    case KV_OP_TXN:
        return check_level(op->txn, budget, depth + 1);
    case KV_OP_MOVE:
        return check_move(&op->move);
    }
    return ST_INVALID;
}

static enum status check_ops(const struct kv_op *ops, size_t count,
                             uint64_t budget, int depth)
{
    for (size_t i = 0; i < count; i++) {
        const enum status st = check_op(&ops[i], budget, depth);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static size_t longest_list(const struct kv_txn_spec *txn)
{
    size_t longest = txn->compares_count;
    longest = txn->success_count > longest ? txn->success_count : longest;
    return txn->failure_count > longest ? txn->failure_count : longest;
}

static enum status check_level(const struct kv_txn_spec *txn, uint64_t budget,
                               int depth)
{
    const size_t longest = longest_list(txn);
    if (longest > budget || depth > KV_TXN_DEPTH_MAX) {
        return ST_TOO_MANY_OPS;
    }
    for (size_t i = 0; i < txn->compares_count; i++) {
        const struct kv_compare *c = &txn->compares[i];
        if (c->keys.key.size == 0) {
            return ST_EMPTY_KEY;
        }
        if ((unsigned)c->target > KV_COMPARE_LEASE ||
            (unsigned)c->result > KV_COMPARE_NOT_EQUAL) {
            return ST_INVALID;
        }
    }
    enum status st =
        check_ops(txn->success, txn->success_count, budget - longest, depth);
    if (st == ST_OK) {
        st = check_ops(txn->failure, txn->failure_count, budget - longest,
                       depth);
    }
    return st;
}

enum status check_txn(const struct kv_txn_spec *txn)
{
    const enum status st = check_level(txn, UINT64_MAX, 1);
    return st == ST_OK ? check_claims(txn) : st;
}

enum status store_check_txn(const struct store *s,
                            const struct kv_txn_spec *txn)
{
    enum status st = check_level(txn, s->options.txn_ops_max, 1);
    if (st == ST_OK) {
        st = check_claims(txn);
    }
    if (st == ST_OK && cost_txn_bytes(txn) > s->options.request_bytes_max) {
        return ST_TOO_LARGE;
    }
    return st;
}

static bool ops_are_read(const struct kv_op *ops, size_t count, int depth)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].type == KV_OP_TXN && depth < KV_TXN_DEPTH_MAX) {
            const struct kv_txn_spec *t = ops[i].txn;
            if (!ops_are_read(t->success, t->success_count, depth + 1) ||
                !ops_are_read(t->failure, t->failure_count, depth + 1)) {
                return false;
            }
        } else if (ops[i].type != KV_OP_RANGE) {
            return false;
        }
    }
    return true;
}

bool store_txn_is_read(const struct kv_txn_spec *txn)
{
    return ops_are_read(txn->success, txn->success_count, 1) &&
           ops_are_read(txn->failure, txn->failure_count, 1);
}
