/* Requests of etcd's KV service, from the wire into what kv/ speaks, without
 * copies: results borrow the message, and the arrays of a transaction come from
 * one chain of blocks.
 *
 * As lenient as etcd's own decoder: of a field given twice the last counts,
 * unknown fields are passed over.  A known field of another wire type, or bytes
 * that are no message at all, are ST_INVALID.
 */
#ifndef PROTO_KV_REQUEST_H
#define PROTO_KV_REQUEST_H

#include "base/fault.h"
#include "kv/types.h"

enum status kv_request_range(struct bytes message, struct kv_range_spec *ret,
                             struct fault *reterr) MUST_USE;
enum status kv_request_put(struct bytes message, struct kv_put *ret,
                           struct fault *reterr) MUST_USE;
enum status kv_request_delete(struct bytes message, struct kv_delete_range *ret,
                              struct fault *reterr) MUST_USE;
enum status kv_request_compact(struct bytes message, int64_t *ret_revision,
                               bool *ret_physical,
                               struct fault *reterr) MUST_USE;

/* Where the arrays of a transaction live. */
struct kv_request_block;
struct kv_request_memory {
    struct kv_request_block *blocks; /* NULL: none yet */
    size_t entries_left; /* compares and operations that may still come */
};
void kv_request_memory_fini(struct kv_request_memory *m);

/* Compares and operations in one request, all levels together: beyond what
 * --max-txn-ops allows on one level, nested transactions may hold so many. */
#define KV_REQUEST_NESTED_MAX 16384u

/* An operation without a request in it, which etcd refuses, is a KV_OP_MOVE of
 * nothing; kv_request_is_empty() tells.  Compares whose target or result etcd
 * does not know become others that hold in the same cases.
 *
 * *memory is initialised here; the caller ends it, also after a failure.
 *   ST_INVALID
 *   ST_TOO_MANY_OPS  more than ops_max on the first level, or beyond the
 *                    limits on what is nested                              */
enum status kv_request_txn(struct bytes message, uint32_t ops_max,
                           struct kv_txn_spec *ret,
                           struct kv_request_memory *memory,
                           struct fault *reterr) MUST_USE;

static inline bool kv_request_is_empty(const struct kv_op *op)
{
    return op->type == KV_OP_MOVE && op->move.from.size == 0;
}

#endif
