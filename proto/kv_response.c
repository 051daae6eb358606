/* Responses, measured and written.
 *
 * Each message has a pair of functions, size and put, which must agree: every
 * encoder checks that it ended where it was to end. */

#include "proto/kv_response.h"

#include "proto/wire.h"

/* --- headers and items --- */

static size_t header_size(const struct kv_header *h)
{
    return wire_size_number(1, h->cluster_id) +
           wire_size_number(2, h->member_id) +
           wire_size_number(3, (uint64_t)h->revision) +
           wire_size_number(4, h->raft_term);
}

static size_t header_field_size(const struct kv_header *h)
{
    return h == NULL ? 0 : wire_size_message(1, header_size(h));
}

static uint8_t *put_header(uint8_t *at, const struct kv_header *h)
{
    if (h == NULL) {
        return at;
    }
    at = wire_put_message(at, 1, header_size(h));
    at = wire_put_number(at, 1, h->cluster_id);
    at = wire_put_number(at, 2, h->member_id);
    at = wire_put_number(at, 3, (uint64_t)h->revision);
    return wire_put_number(at, 4, h->raft_term);
}

static size_t item_size(const struct kv_item *i)
{
    return wire_size_bytes(1, i->key) +
           wire_size_number(2, (uint64_t)i->create_revision) +
           wire_size_number(3, (uint64_t)i->mod_revision) +
           wire_size_number(4, (uint64_t)i->version) +
           wire_size_bytes(5, i->value) +
           wire_size_number(6, (uint64_t)i->lease);
}

static size_t item_field_size(uint32_t field, const struct kv_item *i)
{
    return i == NULL ? 0 : wire_size_message(field, item_size(i));
}

static uint8_t *put_item(uint8_t *at, uint32_t field, const struct kv_item *i)
{
    if (i == NULL) {
        return at;
    }
    at = wire_put_message(at, field, item_size(i));
    at = wire_put_bytes(at, 1, i->key);
    at = wire_put_number(at, 2, (uint64_t)i->create_revision);
    at = wire_put_number(at, 3, (uint64_t)i->mod_revision);
    at = wire_put_number(at, 4, (uint64_t)i->version);
    at = wire_put_bytes(at, 5, i->value);
    return wire_put_number(at, 6, (uint64_t)i->lease);
}

/* Room for what was measured; written() is told where that ended. */
static uint8_t *begin(struct buf *b, size_t size)
{
    return buf_extend(b, size);
}

static void written(const struct buf *b, const uint8_t *end)
{
    must(end == b->data + b->size);
}

void kv_response_header(struct buf *b, const struct kv_header *header)
{
    written(b, put_header(begin(b, header_field_size(header)), header));
}

void kv_response_item(struct buf *b, uint32_t field, const struct kv_item *item)
{
    written(b, put_item(begin(b, item_field_size(field, item)), field, item));
}

/* --- the responses of one operation --- */

static size_t range_size(const struct kv_header *h,
                         const struct kv_range_result *r)
{
    size_t size = header_field_size(h) + wire_size_number(3, r->more) +
                  wire_size_number(4, (uint64_t)r->count);
    for (size_t i = 0; i < r->items_count; i++) {
        size += item_field_size(2, &r->items[i]);
    }
    return size;
}

static uint8_t *put_range(uint8_t *at, const struct kv_header *h,
                          const struct kv_range_result *r)
{
    at = put_header(at, h);
    for (size_t i = 0; i < r->items_count; i++) {
        at = put_item(at, 2, &r->items[i]);
    }
    at = wire_put_number(at, 3, r->more);
    return wire_put_number(at, 4, (uint64_t)r->count);
}

static size_t put_size(const struct kv_header *h, const struct kv_item *prev)
{
    return header_field_size(h) + item_field_size(2, prev);
}

static uint8_t *put_put(uint8_t *at, const struct kv_header *h,
                        const struct kv_item *prev)
{
    return put_item(put_header(at, h), 2, prev);
}

static size_t delete_size(const struct kv_header *h, int64_t deleted,
                          const struct kv_item *prevs)
{
    size_t size = header_field_size(h) + wire_size_number(2, (uint64_t)deleted);
    for (int64_t i = 0; prevs != NULL && i < deleted; i++) {
        size += item_field_size(3, &prevs[i]);
    }
    return size;
}

static uint8_t *put_delete(uint8_t *at, const struct kv_header *h,
                           int64_t deleted, const struct kv_item *prevs)
{
    at = put_header(at, h);
    at = wire_put_number(at, 2, (uint64_t)deleted);
    for (int64_t i = 0; prevs != NULL && i < deleted; i++) {
        at = put_item(at, 3, &prevs[i]);
    }
    return at;
}

void kv_response_range(struct buf *b, const struct kv_header *header,
                       const struct kv_range_result *result)
{
    uint8_t *at = begin(b, range_size(header, result));
    written(b, put_range(at, header, result));
}

void kv_response_range_stream(struct buf *b, const struct kv_header *header,
                              const struct kv_range_result *result)
{
    const size_t size = range_size(header, result);
    uint8_t *at = begin(b, wire_size_message(1, size));
    at = wire_put_message(at, 1, size);
    written(b, put_range(at, header, result));
}

void kv_response_put(struct buf *b, const struct kv_header *header,
                     const struct kv_item *prev)
{
    uint8_t *at = begin(b, put_size(header, prev));
    written(b, put_put(at, header, prev));
}

void kv_response_delete(struct buf *b, const struct kv_header *header,
                        int64_t deleted, const struct kv_item *prevs)
{
    uint8_t *at = begin(b, delete_size(header, deleted, prevs));
    written(b, put_delete(at, header, deleted, prevs));
}

/* --- transactions --- */

/* The revision as the operations see it, one after the other. */
struct progress {
    int64_t before; /* of the store when the transaction began */
    bool changed;   /* by what has run so far */
};

static int64_t revision_now(const struct progress *p)
{
    return p->before + (p->changed ? 1 : 0);
}

static bool has_changes(const struct kv_txn_result *t)
{
    for (size_t i = 0; i < t->results_count; i++) {
        const struct kv_op_result *r = &t->results[i];
        if (r->type == KV_OP_PUT ||
            (r->type == KV_OP_DELETE_RANGE && r->delete_range.deleted > 0) ||
            (r->type == KV_OP_TXN && has_changes(r->txn))) {
            return true;
        }
    }
    return false;
}

/* The header of one operation's response; steps over it. */
static struct kv_header op_header(const struct kv_op_result *r,
                                  struct progress *p)
{
    if (r->type == KV_OP_PUT ||
        (r->type == KV_OP_DELETE_RANGE && r->delete_range.deleted > 0)) {
        p->changed = true;
    }
    return (struct kv_header){.revision = revision_now(p)};
}

static size_t txn_size(const struct kv_header *h, const struct kv_txn_result *t,
                       struct progress *p);

static size_t op_size(const struct kv_op_result *r, struct progress *p)
{
    const struct kv_header h = op_header(r, p);
    switch (r->type) {
    case KV_OP_RANGE:
        return range_size(&h, &r->range);
    case KV_OP_PUT:
        return put_size(&h, r->put.prev);
    case KV_OP_DELETE_RANGE:
        return delete_size(&h, r->delete_range.deleted, r->delete_range.prevs);
    case KV_OP_TXN:
        return txn_size(&(struct kv_header){0}, r->txn, p);
    case KV_OP_MOVE:
        break;
    }
    unreachable("requests of the API have no moves");
}

/* The number of the member of ResponseOp's union. */
static uint32_t op_field(enum kv_op_type type)
{
    return 1 + (uint32_t)type;
}

static size_t txn_size(const struct kv_header *h, const struct kv_txn_result *t,
                       struct progress *p)
{
    size_t size = header_field_size(h) + wire_size_number(2, t->succeeded);
    for (size_t i = 0; i < t->results_count; i++) {
        const struct kv_op_result *r = &t->results[i];
        const size_t inside =
            wire_size_message(op_field(r->type), op_size(r, p));
        size += wire_size_message(3, inside);
    }
    return size;
}

static uint8_t *put_txn(uint8_t *at, const struct kv_header *h,
                        const struct kv_txn_result *t, struct progress *p);

static uint8_t *put_op(uint8_t *at, const struct kv_op_result *r,
                       struct progress *p)
{
    struct progress measured = *p;
    const size_t size = op_size(r, &measured);
    const uint32_t field = op_field(r->type);
    at = wire_put_message(at, 3, wire_size_message(field, size));
    at = wire_put_message(at, field, size);
    const struct kv_header h = op_header(r, p);
    switch (r->type) {
    case KV_OP_RANGE:
        return put_range(at, &h, &r->range);
    case KV_OP_PUT:
        return put_put(at, &h, r->put.prev);
    case KV_OP_DELETE_RANGE:
        return put_delete(at, &h, r->delete_range.deleted,
                          r->delete_range.prevs);
    case KV_OP_TXN:
        return put_txn(at, &(struct kv_header){0}, r->txn, p);
    case KV_OP_MOVE:
        break;
    }
    unreachable("requests of the API have no moves");
}

static uint8_t *put_txn(uint8_t *at, const struct kv_header *h,
                        const struct kv_txn_result *t, struct progress *p)
{
    at = put_header(at, h);
    at = wire_put_number(at, 2, t->succeeded);
    for (size_t i = 0; i < t->results_count; i++) {
        at = put_op(at, &t->results[i], p);
    }
    return at;
}

void kv_response_txn(struct buf *b, const struct kv_header *header,
                     const struct kv_txn_result *result)
{
    const struct progress start = {.before = header->revision -
                                             (has_changes(result) ? 1 : 0)};
    struct progress p = start;
    uint8_t *at = begin(b, txn_size(header, result, &p));
    p = start;
    written(b, put_txn(at, header, result, &p));
}

/* --- watches --- */

/* Of a deleted key only the name and the revision are told. */
static struct kv_item event_item(const struct kv_event *e)
{
    return e->type == KV_EVENT_PUT
               ? e->item
               : (struct kv_item){.key = e->item.key,
                                  .mod_revision = e->item.mod_revision};
}

static size_t event_content_size(const struct kv_event *e)
{
    const struct kv_item item = event_item(e);
    return wire_size_number(1, e->type) + item_field_size(2, &item) +
           item_field_size(3, e->prev);
}

size_t kv_response_event_size(const struct kv_event *e)
{
    return wire_size_message(11, event_content_size(e));
}

static uint8_t *put_event(uint8_t *at, const struct kv_event *e)
{
    const struct kv_item item = event_item(e);
    at = wire_put_message(at, 11, event_content_size(e));
    at = wire_put_number(at, 1, e->type);
    at = put_item(at, 2, &item);
    return put_item(at, 3, e->prev);
}

static struct bytes reason_of(const struct kv_watch_response *w)
{
    return w->cancel_reason == NULL ? BYTES_NONE : bytes_of(w->cancel_reason);
}

size_t kv_response_watch_size(const struct kv_watch_response *w)
{
    size_t size =
        header_field_size(&w->header) + wire_size_number(2, (uint64_t)w->id) +
        wire_size_number(3, w->created) + wire_size_number(4, w->canceled) +
        wire_size_number(5, (uint64_t)w->compact_revision) +
        wire_size_bytes(6, reason_of(w)) + wire_size_number(7, w->fragment);
    for (size_t i = 0; i < w->events_count; i++) {
        size += kv_response_event_size(&w->events[i]);
    }
    return size;
}

void kv_response_watch(struct buf *b, const struct kv_watch_response *w)
{
    uint8_t *at = begin(b, kv_response_watch_size(w));
    at = put_header(at, &w->header);
    at = wire_put_number(at, 2, (uint64_t)w->id);
    at = wire_put_number(at, 3, w->created);
    at = wire_put_number(at, 4, w->canceled);
    at = wire_put_number(at, 5, (uint64_t)w->compact_revision);
    at = wire_put_bytes(at, 6, reason_of(w));
    at = wire_put_number(at, 7, w->fragment);
    for (size_t i = 0; i < w->events_count; i++) {
        at = put_event(at, &w->events[i]);
    }
    written(b, at);
}
