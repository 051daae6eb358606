/* kv/admin.h: hashes, computed beside the loop. */

#include <stdlib.h>

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "store/hashes.h"

struct hash_op {
    struct upkeep_op op; /* first */
    struct upkeep *upkeep;
    struct lane_job job;
    enum store_hash_kind kind;
    int64_t revision;
    struct store_hasher *hasher; /* NULL: it has not begun */
    struct store_hash hash;
    enum status status;
    struct fault fault;
};

static struct hash_op *hash_of(struct upkeep_op *op)
{
    return container_of(op, struct hash_op, op);
}

static void run(struct lane_job *job)
{
    struct hash_op *h = container_of(job, struct hash_op, job);
    h->status = store_hasher_run(h->hasher, &h->hash, &h->fault);
}

static void end(struct hash_op *h)
{
    struct admin_hash *call =
        h->op.call == NULL ? NULL
                           : container_of(h->op.call, struct admin_hash, call);
    if (call != NULL && h->status == ST_OK) {
        call->hash = h->hash.hash;
        call->compact_revision = h->hash.compact_revision;
        call->hash_revision = h->hash.revision;
    }
    if (h->status == ST_CORRUPT || h->status == ST_IO) {
        log_error("the store cannot be hashed: %s", h->fault.text);
    }
    upkeep_end(h->upkeep, &h->op, h->status);
}

static void done(struct lane_job *job)
{
    struct hash_op *h = container_of(job, struct hash_op, job);
    store_hasher_free(h->hasher);
    h->hasher = NULL;
    if (h->status == ST_CANCELED && h->op.call != NULL) {
        h->op.begun = false; /* the store was replaced: once more */
    } else {
        end(h);
    }
}

static void begin(struct upkeep *u, struct upkeep_op *op)
{
    struct hash_op *h = hash_of(op);
    h->status = store_hasher_begin(u->node->store, h->kind, h->revision,
                                   &h->hasher, &h->fault);
    if (h->status == ST_OK) {
        h->job = (struct lane_job){.run = run, .done = done};
        h->status = lane_run(&u->slow, &h->job, &h->fault);
    }
    if (h->status != ST_OK) {
        end(h);
    }
}

static void leave(struct upkeep *u, struct upkeep_op *op)
{
    struct hash_op *h = hash_of(op);
    store_hasher_stop(h->hasher);
    if (lane_withdraw(&u->slow, &h->job)) {
        h->status = ST_CANCELED;
        done(&h->job);
    }
}

static void free_op(struct upkeep_op *op)
{
    struct hash_op *h = hash_of(op);
    store_hasher_free(h->hasher);
    free(h);
}

static const struct upkeep_op_kind hash_kind = {
    .begin = begin, .leave = leave, .free = free_op};

static struct hash_op *new_op(struct upkeep *u, enum store_hash_kind kind)
{
    struct hash_op *h = xcalloc(1, sizeof *h);
    h->op.kind = &hash_kind;
    h->upkeep = u;
    h->kind = kind;
    return h;
}

void upkeep_hash(struct admin *a, struct admin_hash *call)
{
    struct upkeep *u = upkeep_of(a);
    struct store *store = u->node->store;
    const int64_t newest = store_revision(store);
    if (upkeep_refuses(u, &call->call)) {
        return;
    }
    if (call->revision > newest) {
        upkeep_finish(u, &call->call, ST_FUTURE_REVISION);
        return;
    }
    if (call->revision > 0 && call->revision < store_compact_revision(store)) {
        upkeep_finish(u, &call->call, ST_COMPACTED);
        return;
    }
    struct hash_op *h = new_op(u, call->whole ? STORE_HASH_ALL : STORE_HASH_KV);
    h->revision = call->whole || call->revision <= 0 ? newest : call->revision;
    upkeep_add(u, &h->op, &call->call);
}

void upkeep_hash_state(struct upkeep *u, struct admin_hash *call,
                       uint64_t index)
{
    if (upkeep_refuses(u, &call->call)) {
        return;
    }
    struct hash_op *h = new_op(u, STORE_HASH_STATE);
    h->revision = call->revision;
    upkeep_add(u, &h->op, &call->call);
    h->op.wait_index = index;
}
