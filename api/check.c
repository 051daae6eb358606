/* What is wrong with a request, in the order in which etcd looks: clients see
 * the first thing only.  What depends on the state is kv's to check. */

#include "api/internal.h"

static const struct api_error nothing = {GRPC_OK, NULL};

struct api_error api_check_range(const struct kv_range_spec *s)
{
    if (s->keys.key.size == 0) {
        return api_error_of(ST_EMPTY_KEY);
    }
    if ((unsigned)s->sort_order > KV_SORT_DESCEND ||
        (unsigned)s->sort_target > KV_SORT_VALUE) {
        return API_INVALID_SORT;
    }
    return nothing;
}

static struct api_error check_put(const struct kv_put *p)
{
    if (p->key.size == 0) {
        return api_error_of(ST_EMPTY_KEY);
    }
    if (p->ignore_value && p->value.size > 0) {
        return api_error_of(ST_VALUE_PROVIDED);
    }
    if (p->ignore_lease && p->lease != 0) {
        return api_error_of(ST_LEASE_PROVIDED);
    }
    return nothing;
}

static struct api_error check_op(const struct kv_op *op, size_t ops_max)
{
    switch (op->type) {
    case KV_OP_RANGE:
        return api_check_range(&op->range);
    case KV_OP_PUT:
        return check_put(&op->put);
    case KV_OP_DELETE_RANGE:
        return op->delete_range.keys.key.size == 0 ? api_error_of(ST_EMPTY_KEY)
                                                   : nothing;
    case KV_OP_TXN:
        return api_check_txn(op->txn, (uint32_t)ops_max);
    case KV_OP_MOVE:
        return api_error_of(ST_KEY_NOT_FOUND); /* nothing was in it */
    }
    unreachable("an operation");
}

static struct api_error check_ops(const struct kv_op *ops, size_t count,
                                  size_t ops_max)
{
    struct api_error e = nothing;
    for (size_t i = 0; i < count && e.code == GRPC_OK; i++) {
        e = check_op(&ops[i], ops_max);
    }
    return e;
}

static size_t longest(const struct kv_txn_spec *t)
{
    size_t count = t->compares_count;
    count = t->success_count > count ? t->success_count : count;
    return t->failure_count > count ? t->failure_count : count;
}

struct api_error api_check_txn(const struct kv_txn_spec *t, uint32_t ops_max)
{
    const size_t ops = longest(t);
    if (ops > ops_max) {
        return api_error_of(ST_TOO_MANY_OPS);
    }
    for (size_t i = 0; i < t->compares_count; i++) {
        if (t->compares[i].keys.key.size == 0) {
            return api_error_of(ST_EMPTY_KEY);
        }
    }
    const struct api_error e =
        check_ops(t->success, t->success_count, ops_max - ops);
    return e.code != GRPC_OK
               ? e
               : check_ops(t->failure, t->failure_count, ops_max - ops);
}
