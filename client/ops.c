/* Requests of one step: a range, a transaction, a compaction. */

#include "client/internal.h"
#include "client/message.h"

static struct client *client_of(struct kv *kv)
{
    return container_of(kv, struct client, kv);
}

/* --- ranges --- */

static struct kv_range *range_of(const struct client_request *r)
{
    return container_of(r->kv, struct kv_range, call);
}

static void write_range(struct client_request *r, struct buf *to)
{
    message_write_range(to, &range_of(r)->spec, true);
}

static enum status read_range(struct client_request *r)
{
    struct kv_range *range = range_of(r);
    return message_read_range(&r->arena, buf_bytes(&r->reply), &range->spec,
                              &range->result);
}

static const struct client_step range_step = {"/etcdserverpb.KV/Range",
                                              write_range, read_range};

void client_range(struct kv *kv, struct kv_range *range)
{
    struct client_request *r = request_new(client_of(kv), &range->call);
    range->result = (struct kv_range_result){0};
    if (range->spec.grouped) {
        scan_begin_range(r, range);
    } else {
        r->step = &range_step;
    }
    request_go(r);
}

/* --- transactions --- */

static struct kv_txn *txn_of(const struct client_request *r)
{
    return container_of(r->kv, struct kv_txn, call);
}

static void write_txn(struct client_request *r, struct buf *to)
{
    const struct kv_txn_spec *spec = &txn_of(r)->spec;
    message_write_txn(to, spec, message_txn_is_read(spec));
}

static enum status read_txn(struct client_request *r)
{
    struct kv_txn *txn = txn_of(r);
    return message_read_txn(&r->arena, buf_bytes(&r->reply), &txn->spec,
                            &txn->result);
}

static const struct client_step txn_step = {"/etcdserverpb.KV/Txn", write_txn,
                                            read_txn};

void client_txn(struct kv *kv, struct kv_txn *txn)
{
    struct client_request *r = request_new(client_of(kv), &txn->call);
    txn->result = (struct kv_txn_result){0};
    if (message_txn_is_read(&txn->spec) &&
        scan_is_needed(txn->spec.success, txn->spec.success_count)) {
        scan_begin_txn(r, txn);
        request_go(r);
        return;
    }
    const enum status st = message_check_txn(&txn->spec, 1);
    if (st != ST_OK) {
        request_end(r, st);
        return;
    }
    r->step = &txn_step;
    r->is_write = r->is_once = message_txn_writes(&txn->spec);
    request_go(r);
}

/* --- compaction --- */

static void write_compact(struct client_request *r, struct buf *to)
{
    wire_add_number(
        to, 1,
        (uint64_t)container_of(r->kv, struct kv_compact, call)->revision);
}

static enum status read_compact(struct client_request *r)
{
    (void)r; /* a header, which was read */
    return ST_OK;
}

static const struct client_step compact_step = {"/etcdserverpb.KV/Compact",
                                                write_compact, read_compact};

void client_compact(struct kv *kv, struct kv_compact *compact)
{
    struct client_request *r = request_new(client_of(kv), &compact->call);
    r->step = &compact_step;
    r->is_once = true;
    request_go(r);
}
