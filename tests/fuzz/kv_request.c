/* Requests of etcd's KV service, read in place; the first byte says which. What
 * is read is there; a transaction that we could send ourselves says the same
 * when it is written and read again. */

#include "proto/kv_request.h"
#include "base/must.h"
#include "client/message.h"
#include "tests/fuzz/fuzz.h"

#define OPS_MAX 128

static void touch_keys(const struct kv_keys *keys)
{
    fuzz_touch(keys->key);
    fuzz_touch(keys->end);
}

static void touch_txn(const struct kv_txn_spec *t, unsigned depth);

static void touch_op(const struct kv_op *op, unsigned depth)
{
    switch (op->type) {
    case KV_OP_RANGE:
        touch_keys(&op->range.keys);
        break;
    case KV_OP_PUT:
        fuzz_touch(op->put.key);
        fuzz_touch(op->put.value);
        break;
    case KV_OP_DELETE_RANGE:
        touch_keys(&op->delete_range.keys);
        break;
    case KV_OP_TXN:
        touch_txn(op->txn, depth + 1);
        break;
    case KV_OP_MOVE:
        must(kv_request_is_empty(op));
        break;
    }
}

static void touch_txn(const struct kv_txn_spec *t, unsigned depth)
{
    must(depth <= KV_TXN_DEPTH_MAX);
    for (size_t i = 0; i < t->compares_count; i++) {
        touch_keys(&t->compares[i].keys);
        fuzz_touch(t->compares[i].value);
    }
    for (size_t i = 0; i < t->success_count; i++) {
        touch_op(&t->success[i], depth);
    }
    for (size_t i = 0; i < t->failure_count; i++) {
        touch_op(&t->failure[i], depth);
    }
}

static void write_again(const struct kv_txn_spec *t)
{
    struct buf first = {0}, second = {0};
    struct kv_txn_spec again;
    struct kv_request_memory memory;
    struct fault fault;
    message_write_txn(&first, t, false);
    must(kv_request_txn(buf_bytes(&first), OPS_MAX, &again, &memory, &fault) ==
         ST_OK);
    must(again.compares_count == t->compares_count);
    must(again.success_count == t->success_count);
    must(again.failure_count == t->failure_count);
    message_write_txn(&second, &again, false);
    must(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    kv_request_memory_fini(&memory);
    buf_fini(&first);
    buf_fini(&second);
}

static void read_txn(struct bytes message)
{
    struct kv_txn_spec txn;
    struct kv_request_memory memory;
    struct fault fault;
    if (kv_request_txn(message, OPS_MAX, &txn, &memory, &fault) == ST_OK) {
        must(txn.success_count <= OPS_MAX && txn.failure_count <= OPS_MAX);
        touch_txn(&txn, 0);
        if (message_check_txn(&txn, 0) == ST_OK) {
            write_again(&txn);
        }
    }
    kv_request_memory_fini(&memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    struct fault fault;
    struct kv_range_spec range;
    struct kv_put put;
    struct kv_delete_range erase;
    int64_t revision;
    bool physical;
    switch (fuzz_byte(&in) % 5) {
    case 0:
        if (kv_request_range(in.left, &range, &fault) == ST_OK) {
            touch_keys(&range.keys);
        }
        break;
    case 1:
        if (kv_request_put(in.left, &put, &fault) == ST_OK) {
            fuzz_touch(put.key);
            fuzz_touch(put.value);
        }
        break;
    case 2:
        if (kv_request_delete(in.left, &erase, &fault) == ST_OK) {
            touch_keys(&erase.keys);
        }
        break;
    case 3:
        (void)!kv_request_compact(in.left, &revision, &physical, &fault);
        break;
    default:
        read_txn(in.left);
    }
    return 0;
}

static void seed_txn(struct buf *to)
{
    const struct kv_compare compares[] = {
        {.keys = {.key = bytes_of("/a")},
         .target = KV_COMPARE_VALUE,
         .value = bytes_of("v")},
        {.keys = {.key = bytes_of("/b"), .end = bytes_of("/c")},
         .target = KV_COMPARE_MOD,
         .result = KV_COMPARE_LESS,
         .number = 9}};
    const struct kv_op within[] = {
        {.type = KV_OP_PUT, .put = {.key = bytes_of("/x"), .lease = 7}}};
    const struct kv_txn_spec inner = {.success = within, .success_count = 1};
    const struct kv_op ops[] = {
        {.type = KV_OP_RANGE,
         .range = {.keys = {.key = bytes_of("/a")}, .limit = 3}},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {.keys = {.key = bytes_of("/d")}, .prev_kv = true}},
        {.type = KV_OP_TXN, .txn = &inner}};
    const struct kv_txn_spec txn = {.compares = compares,
                                    .compares_count = 2,
                                    .success = ops,
                                    .success_count = 3,
                                    .failure = within,
                                    .failure_count = 1};
    message_write_txn(to, &txn, false);
}

bool fuzz_seed(size_t n, struct buf *to)
{
    const struct kv_range_spec range = {
        .keys = {.key = bytes_of("/a"), .end = bytes_of("/b")},
        .limit = 5,
        .revision = 4,
        .sort_order = KV_SORT_DESCEND};
    if (n > 4) {
        return false;
    }
    buf_append_byte(to, (uint8_t)n);
    if (n == 0) {
        message_write_range(to, &range, true);
    } else if (n < 4) {
        wire_add_text(to, 1, "/key");
        wire_add_text(to, 2, "value");
        wire_add_number(to, 3, 7);
    } else {
        seed_txn(to);
    }
    return true;
}
