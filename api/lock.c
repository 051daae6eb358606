/* v3lockpb.Lock (etcd-surface 1.7). */

#include "api/contest.h"
#include "proto/kv_response.h"
#include "proto/lock.pb-c.h"
#include "proto/wire.h"

static struct bytes bytes_in(const ProtobufCBinaryData *b)
{
    return (struct bytes){b->data, b->len};
}

static void answer(struct contest *t)
{
    struct buf *b = api_begin(t->call);
    kv_response_header(b, &t->header);
    wire_add_bytes(b, 2, buf_bytes(&t->key));
    api_send_end(t->call);
}

/* While it waited its lease may have ended, and somebody else be the owner. */
static void checked(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    struct contest *t = contest_of(c);
    if (!contest_back(t)) {
        return;
    }
    const struct kv_range_result *r = &c->range.result;
    if (r->items_count == 0 ||
        r->items[0].create_revision != t->create_revision) {
        contest_fail(t, API_SESSION_EXPIRED);
        return;
    }
    t->header = call->header;
    answer(t);
}

static void won(struct contest *t)
{
    struct api_call *c = t->call;
    c->range = (struct kv_range){.spec.keys.key = buf_bytes(&t->key)};
    api_submit_range(c, checked);
}

static void entered(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    struct contest *t = contest_of(c);
    if (!contest_back(t)) {
        return;
    }
    const struct kv_txn_result *r = &c->txn.result;
    must(r->results_count == 2);
    t->header = call->header;
    t->create_revision = r->succeeded
                             ? call->header.revision
                             : r->results[0].range.items[0].create_revision;
    const struct kv_range_result *owner = &r->results[1].range;
    if (owner->items_count == 0 ||
        owner->items[0].create_revision == t->create_revision) {
        answer(t);
    } else {
        contest_wait(t);
    }
}

/* If the key is not there, put it; either way tell who is the oldest. */
static void enter(struct contest *t)
{
    const struct kv_op owner = {
        .type = KV_OP_RANGE,
        .range =
            contest_oldest(buf_bytes(&t->prefix), buf_bytes(&t->prefix_end))};
    t->ops[0] =
        (struct kv_op){.type = KV_OP_PUT,
                       .put = {.key = buf_bytes(&t->key), .lease = t->lease}};
    t->ops[1] = owner;
    t->ops[2] = (struct kv_op){.type = KV_OP_RANGE,
                               .range.keys.key = buf_bytes(&t->key)};
    t->ops[3] = owner;
    contest_enter(t, 2, 2, entered);
}

void api_lock(struct api_call *c, struct bytes message)
{
    const V3lockpb__LockRequest *q =
        api_unpack(c, &v3lockpb__lock_request__descriptor, message);
    if (q != NULL) {
        contest_start(c, bytes_in(&q->name), q->lease, enter, won, BYTES_NONE);
    }
}

static void unlocked(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (api_call_back(c)) {
        kv_response_header(api_begin(c), &call->header);
        api_send_end(c);
    }
}

void api_unlock(struct api_call *c, struct bytes message)
{
    const V3lockpb__UnlockRequest *q =
        api_unpack(c, &v3lockpb__unlock_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    if (q->key.len == 0) {
        api_fail_status(c, ST_EMPTY_KEY);
        return;
    }
    c->op = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                           .delete_range.keys.key = bytes_in(&q->key)};
    c->txn = (struct kv_txn){.spec = {.success = &c->op, .success_count = 1}};
    api_submit_txn(c, unlocked);
}
