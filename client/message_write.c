/* kv's requests as etcd's messages: rpc.proto's field numbers. */

#include "client/message.h"

static uint64_t bits(int64_t number)
{
    return (uint64_t)number;
}

void message_write_range(struct buf *to, const struct kv_range_spec *spec,
                         bool with_values)
{
    wire_add_bytes(to, 1, spec->keys.key);
    wire_add_bytes(to, 2, spec->keys.end);
    wire_add_number(to, 3, bits(spec->limit));
    wire_add_number(to, 4, bits(spec->revision > 0 ? spec->revision : 0));
    wire_add_number(to, 5, spec->sort_order);
    wire_add_number(to, 6, spec->sort_target);
    wire_add_number(to, 7, spec->serializable);
    wire_add_number(to, 8, spec->keys_only && !with_values);
    wire_add_number(to, 9, spec->count_only);
    wire_add_number(to, 10, bits(spec->min_mod_revision));
    wire_add_number(to, 11, bits(spec->max_mod_revision));
    wire_add_number(to, 12, bits(spec->min_create_revision));
    wire_add_number(to, 13, bits(spec->max_create_revision));
}

static void write_put(struct buf *to, const struct kv_put *put,
                      bool ignore_lease)
{
    wire_add_bytes(to, 1, put->key);
    wire_add_bytes(to, 2, put->value);
    wire_add_number(to, 3, bits(put->lease));
    wire_add_number(to, 4, put->prev_kv);
    wire_add_number(to, 5, put->ignore_value);
    wire_add_number(to, 6, ignore_lease);
}

static void write_put_op(struct buf *to, uint32_t field,
                         const struct kv_put *put, bool ignore_lease)
{
    const size_t op = wire_begin(to, field), inside = wire_begin(to, 2);
    write_put(to, put, ignore_lease);
    wire_end(to, inside);
    wire_end(to, op);
}

/* keep_lease: "if the key exists then put and ignore the lease else put". */
static void write_keeping_put(struct buf *to, const struct kv_put *put)
{
    const size_t txn = wire_begin(to, 4), compare = wire_begin(to, 1);
    wire_add_number(to, 1, KV_COMPARE_GREATER);
    wire_add_number(to, 2, KV_COMPARE_CREATE);
    wire_add_bytes(to, 3, put->key);
    /* A member of a oneof is there even when it is zero. */
    buf_append(to, (struct bytes){(const uint8_t *)"\x28\x00", 2});
    wire_end(to, compare);
    write_put_op(to, 2, put, true);
    write_put_op(to, 3, put, false);
    wire_end(to, txn);
}

static void write_delete(struct buf *to, const struct kv_delete_range *delete)
{
    wire_add_bytes(to, 1, delete->keys.key);
    wire_add_bytes(to, 2, delete->keys.end);
    wire_add_number(to, 3, delete->prev_kv);
}

static void write_compare(struct buf *to, const struct kv_compare *compare)
{
    static const uint8_t fields[] = {[KV_COMPARE_VERSION] = 4,
                                     [KV_COMPARE_CREATE] = 5,
                                     [KV_COMPARE_MOD] = 6,
                                     [KV_COMPARE_VALUE] = 7,
                                     [KV_COMPARE_LEASE] = 8};
    wire_add_number(to, 1, compare->result);
    wire_add_number(to, 2, compare->target);
    wire_add_bytes(to, 3, compare->keys.key);
    if (compare->target == KV_COMPARE_VALUE) {
        wire_add_element(to, fields[compare->target], compare->value);
    } else if (compare->number != 0) {
        wire_add_number(to, fields[compare->target], bits(compare->number));
    } else {
        const uint8_t zero[2] = {(uint8_t)(fields[compare->target] << 3), 0};
        buf_append(to, (struct bytes){zero, 2});
    }
    wire_add_bytes(to, 64, compare->keys.end);
}

static void write_op(struct buf *to, uint32_t field, const struct kv_op *op,
                     const bool *serializable)
{
    const size_t outside = wire_begin(to, field);
    size_t inside;
    switch (op->type) {
    case KV_OP_RANGE: {
        struct kv_range_spec spec = op->range;
        spec.serializable = serializable != NULL && *serializable;
        inside = wire_begin(to, 1);
        message_write_range(to, &spec, true);
        wire_end(to, inside);
        break;
    }
    case KV_OP_PUT:
        if (op->put.keep_lease) {
            write_keeping_put(to, &op->put);
        } else {
            inside = wire_begin(to, 2);
            write_put(to, &op->put, op->put.ignore_lease);
            wire_end(to, inside);
        }
        break;
    case KV_OP_DELETE_RANGE:
        inside = wire_begin(to, 3);
        write_delete(to, &op->delete_range);
        wire_end(to, inside);
        break;
    case KV_OP_TXN:
        inside = wire_begin(to, 4);
        message_write_txn(to, op->txn, serializable != NULL);
        wire_end(to, inside);
        break;
    case KV_OP_MOVE:
        unreachable("message_check_txn() refuses moves");
    }
    wire_end(to, outside);
}

void message_write_txn(struct buf *to, const struct kv_txn_spec *spec,
                       bool read_only)
{
    bool serializable = false;
    const bool *of_reads = NULL;
    if (read_only) {
        serializable =
            spec->success_count > 0 && spec->success[0].range.serializable;
        of_reads = &serializable;
    }
    for (size_t i = 0; i < spec->compares_count; i++) {
        const size_t mark = wire_begin(to, 1);
        write_compare(to, &spec->compares[i]);
        wire_end(to, mark);
    }
    for (size_t i = 0; i < spec->success_count; i++) {
        write_op(to, 2, &spec->success[i], of_reads);
    }
    for (size_t i = 0; i < spec->failure_count; i++) {
        write_op(to, 3, &spec->failure[i], of_reads);
    }
}

bool message_txn_is_read(const struct kv_txn_spec *spec)
{
    if (spec->compares_count > 0 || spec->failure_count > 0 ||
        spec->success_count == 0) {
        return false;
    }
    for (size_t i = 0; i < spec->success_count; i++) {
        if (spec->success[i].type != KV_OP_RANGE) {
            return false;
        }
    }
    return true;
}

static bool op_writes(const struct kv_op *op)
{
    return op->type == KV_OP_TXN ? message_txn_writes(op->txn)
                                 : op->type != KV_OP_RANGE;
}

bool message_txn_writes(const struct kv_txn_spec *spec)
{
    for (size_t i = 0; i < spec->success_count; i++) {
        if (op_writes(&spec->success[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < spec->failure_count; i++) {
        if (op_writes(&spec->failure[i])) {
            return true;
        }
    }
    return false;
}

static MUST_USE enum status check_op(const struct kv_op *op, unsigned depth)
{
    switch (op->type) {
    case KV_OP_RANGE:
        return op->range.grouped ? ST_UNSUPPORTED : ST_OK;
    case KV_OP_PUT:
        return op->put.set_attrs && op->put.attrs.size > 0 ? ST_UNSUPPORTED
                                                           : ST_OK;
    case KV_OP_DELETE_RANGE:
        return ST_OK;
    case KV_OP_TXN:
        return message_check_txn(op->txn, depth + 1);
    case KV_OP_MOVE:
        return ST_UNSUPPORTED;
    }
    unreachable("no such operation");
}

enum status message_check_txn(const struct kv_txn_spec *spec, unsigned depth)
{
    if (depth > KV_TXN_DEPTH_MAX) {
        return ST_TOO_MANY_OPS;
    }
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < spec->success_count; i++) {
        st = check_op(&spec->success[i], depth);
    }
    for (size_t i = 0; st == ST_OK && i < spec->failure_count; i++) {
        st = check_op(&spec->failure[i], depth);
    }
    return st;
}

void message_write_watch(struct buf *to, const struct kv_watch *watch,
                         int64_t start_revision)
{
    const size_t mark = wire_begin(to, 1);
    wire_add_bytes(to, 1, watch->keys.key);
    wire_add_bytes(to, 2, watch->keys.end);
    wire_add_number(to, 3, bits(start_revision));
    wire_add_number(to, 4,
                    1); /* progress: keeps what is asked for anew young */
    wire_add_number(to, 6, watch->prev_kv);
    wire_end(to, mark);
}

void message_write_unwatch(struct buf *to, int64_t id)
{
    const size_t mark = wire_begin(to, 2);
    wire_add_number(to, 1, bits(id));
    wire_end(to, mark);
}
