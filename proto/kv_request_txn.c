/* Transactions: each level is walked twice, once to count its lists, once to
 * fill them. */

#include <stdlib.h>

#include "proto/kv_request_internal.h"

struct kv_request_block {
    struct kv_request_block *next;
    _Alignas(16) uint8_t data[];
};

struct txn_decoder {
    struct kv_request_memory *memory;
    struct fault *reterr;
};

static void *take(struct kv_request_memory *m, size_t count, size_t size)
{
    if (count == 0) {
        return NULL;
    }
    struct kv_request_block *b =
        xcalloc(1, sizeof *b + count * size); /* count: entries_left */
    b->next = m->blocks;
    m->blocks = b;
    return b->data;
}

void kv_request_memory_fini(struct kv_request_memory *m)
{
    while (m->blocks != NULL) {
        struct kv_request_block *b = m->blocks;
        m->blocks = b->next;
        free(b);
    }
}

static enum status invalid(const struct txn_decoder *d, const char *message)
{
    return fault_set(d->reterr, ST_INVALID, "not a %s", message);
}

/* --- compares --- */

#define COMPARE_END_FIELD 64

/* The member of the union that each target is compared with. */
static uint32_t operand_field(enum kv_compare_target target)
{
    return 4 + (uint32_t)target;
}

static void set_constant(struct kv_compare *c, bool holds)
{
    /* No version is below 0. */
    c->target = KV_COMPARE_VERSION;
    c->result = holds ? KV_COMPARE_GREATER : KV_COMPARE_LESS;
    c->number = holds ? -1 : 0;
}

/* What etcd makes of numbers its enums do not have: a target it does not know
 * compares as equal, a result it does not know holds; but no key that is absent
 * passes a comparison of its value. */
static void set_meaning(struct kv_compare *c, int32_t result, int32_t target)
{
    const bool result_known = result >= 0 && result <= KV_COMPARE_NOT_EQUAL;
    if (target < 0 || target > KV_COMPARE_LEASE) {
        set_constant(c, !result_known || result == KV_COMPARE_EQUAL);
    } else if (!result_known && target == KV_COMPARE_VALUE) {
        c->target = KV_COMPARE_VERSION;
        c->result = KV_COMPARE_GREATER;
        c->number = 0;
    } else if (!result_known) {
        set_constant(c, true);
    } else {
        c->target = (enum kv_compare_target)target;
        c->result = (enum kv_compare_result)result;
    }
}

static enum status decode_compare(const struct txn_decoder *d,
                                  struct bytes message, struct kv_compare *ret)
{
    const uint64_t bytes_fields = UINT64_C(1) << 3 | UINT64_C(1) << 7;
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f, operand = {0};
    int32_t result = 0, target = 0;
    while (kv_request_next(&r, bytes_fields, 8, &f)) {
        if (f.number == 1) {
            result = (int32_t)f.value;
        } else if (f.number == 2) {
            target = (int32_t)f.value;
        } else if (f.number == 3) {
            ret->keys.key = f.bytes;
        } else if (f.number <= 8) {
            operand = f; /* of the members of a union the last one counts */
        } else if (f.number == COMPARE_END_FIELD) {
            if (f.type != WIRE_BYTES) {
                return invalid(d, "Compare");
            }
            ret->keys.end = f.bytes;
        }
    }
    if (r.failed) {
        return invalid(d, "Compare");
    }
    if (target >= 0 && target <= KV_COMPARE_LEASE &&
        operand.number == operand_field((enum kv_compare_target)target)) {
        ret->number = (int64_t)operand.value;
        ret->value = operand.bytes;
    }
    set_meaning(ret, result, target);
    return ST_OK;
}

/* --- operations --- */

static enum status decode_txn(struct txn_decoder *d, struct bytes message,
                              int depth, struct kv_txn_spec *ret);

static enum status decode_nested(struct txn_decoder *d, struct bytes message,
                                 int depth, struct kv_op *ret)
{
    if (depth == KV_TXN_DEPTH_MAX) {
        return fault_set(d->reterr, ST_TOO_MANY_OPS,
                         "more than %d transactions in each other", depth);
    }
    struct kv_txn_spec *txn = take(d->memory, 1, sizeof *txn);
    ret->type = KV_OP_TXN;
    ret->txn = txn;
    return decode_txn(d, message, depth + 1, txn);
}

static enum status decode_op(struct txn_decoder *d, struct bytes message,
                             int depth, struct kv_op *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f, request = {0};
    while (kv_request_next(&r, 0x1e, 4, &f)) {
        if (f.number <= 4) {
            request = f;
        }
    }
    if (r.failed) {
        return invalid(d, "RequestOp");
    }
    switch (request.number) {
    case 1:
        ret->type = KV_OP_RANGE;
        return kv_request_range(request.bytes, &ret->range, d->reterr);
    case 2:
        ret->type = KV_OP_PUT;
        return kv_request_put(request.bytes, &ret->put, d->reterr);
    case 3:
        ret->type = KV_OP_DELETE_RANGE;
        return kv_request_delete(request.bytes, &ret->delete_range, d->reterr);
    case 4:
        return decode_nested(d, request.bytes, depth, ret);
    default:
        ret->type = KV_OP_MOVE;
        return ST_OK;
    }
}

/* --- levels --- */

struct counts {
    size_t compares, success, failure;
};

static enum status count_lists(struct txn_decoder *d, struct bytes message,
                               struct counts *ret)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    *ret = (struct counts){0};
    while (kv_request_next(&r, 0xe, 3, &f)) {
        ret->compares += f.number == 1;
        ret->success += f.number == 2;
        ret->failure += f.number == 3;
    }
    if (r.failed) {
        return invalid(d, "TxnRequest");
    }
    const size_t all = ret->compares + ret->success + ret->failure;
    if (all > d->memory->entries_left) {
        return fault_set(d->reterr, ST_TOO_MANY_OPS,
                         "too many compares and operations in one request");
    }
    d->memory->entries_left -= all;
    return ST_OK;
}

static enum status decode_txn(struct txn_decoder *d, struct bytes message,
                              int depth, struct kv_txn_spec *ret)
{
    struct counts counts;
    enum status st = count_lists(d, message, &counts);
    if (st != ST_OK) {
        return st;
    }
    struct kv_compare *compares =
        take(d->memory, counts.compares, sizeof *compares);
    struct kv_op *success = take(d->memory, counts.success, sizeof *success);
    struct kv_op *failure = take(d->memory, counts.failure, sizeof *failure);
    *ret = (struct kv_txn_spec){
        .compares = compares, .success = success, .failure = failure};
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    while (st == ST_OK && wire_next(&r, &f)) {
        if (f.number == 1) {
            st = decode_compare(d, f.bytes, &compares[ret->compares_count++]);
        } else if (f.number == 2) {
            st = decode_op(d, f.bytes, depth, &success[ret->success_count++]);
        } else if (f.number == 3) {
            st = decode_op(d, f.bytes, depth, &failure[ret->failure_count++]);
        }
    }
    return st;
}

/* The longest list of the first level is judged before anything in it is. */
static bool first_level_fits(struct bytes message, uint32_t ops_max)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    size_t counts[4] = {0};
    while (wire_next(&r, &f)) {
        if (f.number <= 3 && ++counts[f.number] > ops_max) {
            return false;
        }
    }
    return true;
}

enum status kv_request_txn(struct bytes message, uint32_t ops_max,
                           struct kv_txn_spec *ret,
                           struct kv_request_memory *memory,
                           struct fault *reterr)
{
    *memory = (struct kv_request_memory){.entries_left = KV_REQUEST_NESTED_MAX +
                                                         3 * (size_t)ops_max};
    struct txn_decoder d = {memory, reterr};
    if (!first_level_fits(message, ops_max)) {
        return fault_set(reterr, ST_TOO_MANY_OPS,
                         "more than %u compares or operations", ops_max);
    }
    return decode_txn(&d, message, 1, ret);
}
