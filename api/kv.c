/* etcdserverpb.KV: what changes something. */

#include "api/internal.h"
#include "proto/kv_response.h"

/* One operation is a transaction of one. */
static void submit_op(struct api_call *c, void (*done)(struct kv_call *))
{
    struct api_error e;
    c->txn.spec = (struct kv_txn_spec){.success = &c->op, .success_count = 1};
    e = api_check_txn(&c->txn.spec, 1);
    if (e.code != GRPC_OK) {
        api_fail(c, e);
        return;
    }
    api_submit_txn(c, done);
}

static void put_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (api_call_back(c)) {
        must(c->txn.result.results_count == 1);
        kv_response_put(api_begin(c), &c->txn.call.header,
                        c->txn.result.results[0].put.prev);
        api_send_end(c);
    }
}

void api_put(struct api_call *c, struct bytes message)
{
    struct fault fault;
    c->txn = (struct kv_txn){0};
    c->op.type = KV_OP_PUT;
    const enum status st =
        kv_request_put(api_keep(c, message), &c->op.put, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    submit_op(c, put_done);
}

static void delete_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (api_call_back(c)) {
        must(c->txn.result.results_count == 1);
        const struct kv_op_result *r = &c->txn.result.results[0];
        kv_response_delete(api_begin(c), &c->txn.call.header,
                           r->delete_range.deleted, r->delete_range.prevs);
        api_send_end(c);
    }
}

void api_delete(struct api_call *c, struct bytes message)
{
    struct fault fault;
    c->txn = (struct kv_txn){0};
    c->op.type = KV_OP_DELETE_RANGE;
    const enum status st =
        kv_request_delete(api_keep(c, message), &c->op.delete_range, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    submit_op(c, delete_done);
}

static void txn_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (api_call_back(c)) {
        kv_response_txn(api_begin(c), &c->txn.call.header, &c->txn.result);
        api_send_end(c);
    }
}

static bool all_serializable(const struct kv_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].type != KV_OP_RANGE || !ops[i].range.serializable) {
            return false;
        }
    }
    return true;
}

/* A read transaction is local only when all of its ranges ask for that; kv/
 * goes by the first. */
static void set_consistency(struct kv_txn_spec *t)
{
    if (t->success_count > 0 && t->success[0].type == KV_OP_RANGE &&
        !(all_serializable(t->success, t->success_count) &&
          all_serializable(t->failure, t->failure_count))) {
        /* The array is ours: kv_request_txn() made it. */
        ((struct kv_op *)(uintptr_t)t->success)[0].range.serializable = false;
    }
}

void api_txn(struct api_call *c, struct bytes message)
{
    struct fault fault;
    const uint32_t ops_max = c->api->options.txn_ops_max;
    c->txn = (struct kv_txn){0};
    const enum status st = kv_request_txn(api_keep(c, message), ops_max,
                                          &c->txn.spec, &c->memory, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    const struct api_error e = api_check_txn(&c->txn.spec, ops_max);
    if (e.code != GRPC_OK) {
        api_fail(c, e);
        return;
    }
    set_consistency(&c->txn.spec);
    api_submit_txn(c, txn_done);
}

static void compact_done(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, compact.call);
    if (api_call_back(c)) {
        kv_response_header(api_begin(c), &c->compact.call.header);
        api_send_end(c);
    }
}

void api_compact(struct api_call *c, struct bytes message)
{
    struct fault fault;
    c->compact = (struct kv_compact){0};
    const enum status st = kv_request_compact(message, &c->compact.revision,
                                              &c->compact.physical, &fault);
    if (st != ST_OK) {
        api_refuse(c, st, &fault);
        return;
    }
    api_submit_compact(c, compact_done);
}
