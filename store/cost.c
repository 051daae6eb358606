/* Sizes of transactions, and the quota. */

#include "store/cost.h"

#include "store/internal.h"

/* What a key costs beside its bytes (etcd's figure). */
#define ROOM_OF_KEY 256u

static uint64_t ops_bytes(const struct kv_op *ops, size_t count);

uint64_t cost_txn_bytes(const struct kv_txn_spec *txn)
{
    uint64_t size = 0;
    for (size_t i = 0; i < txn->compares_count; i++) {
        const struct kv_compare *c = &txn->compares[i];
        size += c->keys.key.size + c->keys.end.size + c->value.size;
    }
    return size + ops_bytes(txn->success, txn->success_count) +
           ops_bytes(txn->failure, txn->failure_count);
}

static uint64_t op_bytes(const struct kv_op *op)
{
    switch (op->type) {
    case KV_OP_RANGE:
        return op->range.keys.key.size + op->range.keys.end.size;
    case KV_OP_PUT:
        return op->put.key.size + op->put.value.size + op->put.attrs.size;
    case KV_OP_DELETE_RANGE:
        return op->delete_range.keys.key.size + op->delete_range.keys.end.size;
    case KV_OP_TXN:
        return cost_txn_bytes(op->txn);
    case KV_OP_MOVE:
        return op->move.from.size + op->move.to.size;
    }
    return 0;
}

static uint64_t ops_bytes(const struct kv_op *ops, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += op_bytes(&ops[i]);
    }
    return size;
}

static uint64_t ops_room(const struct kv_op *ops, size_t count)
{
    uint64_t room = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].type == KV_OP_PUT) {
            room += ROOM_OF_KEY + op_bytes(&ops[i]);
        } else if (ops[i].type == KV_OP_TXN) {
            room += cost_txn_room(ops[i].txn);
        }
    }
    return room;
}

uint64_t cost_txn_room(const struct kv_txn_spec *txn)
{
    const uint64_t success = ops_room(txn->success, txn->success_count);
    const uint64_t failure = ops_room(txn->failure, txn->failure_count);
    return success > failure ? success : failure;
}

enum status store_check_room(const struct store *s,
                             const struct kv_txn_spec *txn)
{
    const uint64_t room = cost_txn_room(txn);
    if (room == 0) {
        return ST_OK; /* deletes and moves get through: they make room */
    }
    if (store_has_alarm(s, 0, ADMIN_ALARM_NOSPACE)) {
        return ST_NO_SPACE;
    }
    struct store_stats stats;
    store_stats(s, &stats);
    return stats.used_bytes + room > stats.quota_bytes ? ST_NO_SPACE : ST_OK;
}
