/* Responses of the KV service: protobuf-c unpacks what was encoded by hand. */

#include "proto/kv_response.h"
#include "proto/rpc.pb-c.h"
#include "tests/proto/rig.h"

static const struct kv_header header = {.cluster_id = UINT64_MAX,
                                        .member_id = 0x1122334455667788,
                                        .revision = 300,
                                        .raft_term = 2};

static struct kv_item item(const char *key, const char *value, int64_t base)
{
    return (struct kv_item){.key = bytes_of(key),
                            .value = bytes_of(value),
                            .create_revision = base,
                            .mod_revision = base + 1000,
                            .version = 3,
                            .lease = -1};
}

static void *unpack(const ProtobufCMessageDescriptor *type, struct buf *b)
{
    void *m = protobuf_c_message_unpack(type, NULL, b->size, b->data);
    EXPECT(m != NULL);
    buf_fini(b);
    *b = (struct buf){0};
    return m;
}

static void drop(void *m)
{
    protobuf_c_message_free_unpacked(m, NULL);
}

static void expect_header(const Etcdserverpb__ResponseHeader *h)
{
    EXPECT(h != NULL);
    EXPECT(h->cluster_id == header.cluster_id);
    EXPECT(h->member_id == header.member_id);
    EXPECT_INT(h->revision, header.revision);
    EXPECT_INT(h->raft_term, header.raft_term);
}

static void expect_item(const Mvccpb__KeyValue *kv, const struct kv_item *i)
{
    EXPECT(kv != NULL);
    EXPECT_BYTES(((struct bytes){kv->key.data, kv->key.len}), i->key);
    EXPECT_BYTES(((struct bytes){kv->value.data, kv->value.len}), i->value);
    EXPECT_INT(kv->create_revision, i->create_revision);
    EXPECT_INT(kv->mod_revision, i->mod_revision);
    EXPECT_INT(kv->version, i->version);
    EXPECT_INT(kv->lease, i->lease);
}

TEST(kv_response, range_put_delete)
{
    const struct kv_item items[] = {item("a", "1", 1), item("b", "", 127),
                                    item("c", "3", INT64_MAX - 1000)};
    const struct kv_range_result range = {
        .items = items, .items_count = 3, .more = true, .count = 1 << 20};
    struct buf b = {0};
    kv_response_range(&b, &header, &range);
    Etcdserverpb__RangeResponse *r =
        unpack(&etcdserverpb__range_response__descriptor, &b);
    expect_header(r->header);
    EXPECT_INT(r->n_kvs, 3);
    for (size_t i = 0; i < 3; i++) {
        expect_item(r->kvs[i], &items[i]);
    }
    EXPECT(r->more);
    EXPECT_INT(r->count, 1 << 20);
    drop(r);

    kv_response_put(&b, &header, &items[0]);
    Etcdserverpb__PutResponse *p =
        unpack(&etcdserverpb__put_response__descriptor, &b);
    expect_header(p->header);
    expect_item(p->prev_kv, &items[0]);
    drop(p);
    kv_response_put(&b, &header, NULL);
    p = unpack(&etcdserverpb__put_response__descriptor, &b);
    EXPECT(p->prev_kv == NULL);
    drop(p);

    kv_response_delete(&b, &header, 3, items);
    Etcdserverpb__DeleteRangeResponse *d =
        unpack(&etcdserverpb__delete_range_response__descriptor, &b);
    EXPECT_INT(d->deleted, 3);
    EXPECT_INT(d->n_prev_kvs, 3);
    expect_item(d->prev_kvs[2], &items[2]);
    drop(d);
    kv_response_delete(&b, &header, 2, NULL);
    d = unpack(&etcdserverpb__delete_range_response__descriptor, &b);
    EXPECT_INT(d->deleted, 2);
    EXPECT_INT(d->n_prev_kvs, 0);
    drop(d);
}

/* Kubernetes reads responses[i] of what found nothing; a range inside sees the
 * revision before or after the first change, and its header says which. */
TEST(kv_response, transactions_and_the_revisions_inside)
{
    const struct kv_item items[] = {item("a", "1", 1)};
    const struct kv_op_result inner[] = {
        {.type = KV_OP_RANGE, .range = {.items = items, .items_count = 1}},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {.deleted = 1, .prevs = items}}};
    const struct kv_txn_result nested = {
        .succeeded = false, .results = inner, .results_count = 2};
    const struct kv_op_result outer[] = {
        {.type = KV_OP_RANGE},
        {.type = KV_OP_DELETE_RANGE},
        {.type = KV_OP_TXN, .txn = &nested},
        {.type = KV_OP_PUT, .put = {.prev = &items[0]}},
        {.type = KV_OP_RANGE, .range = {.count = 7}}};
    const struct kv_txn_result txn = {
        .succeeded = true, .results = outer, .results_count = 5};
    struct buf b = {0};
    kv_response_txn(&b, &header, &txn);
    Etcdserverpb__TxnResponse *t =
        unpack(&etcdserverpb__txn_response__descriptor, &b);
    expect_header(t->header);
    EXPECT(t->succeeded);
    EXPECT_INT(t->n_responses, 5);
    Etcdserverpb__ResponseOp **r = t->responses;
    EXPECT_INT(r[0]->response_case, 1);
    EXPECT_INT(r[0]->response_range->header->revision, 299);
    EXPECT_INT(r[0]->response_range->count, 0);
    EXPECT_INT(r[1]->response_delete_range->header->revision, 299);
    EXPECT_INT(r[2]->response_case, 4);
    Etcdserverpb__TxnResponse *n = r[2]->response_txn;
    EXPECT(n->header != NULL);
    EXPECT_INT(n->header->revision, 0);
    EXPECT_INT(n->responses[0]->response_range->header->revision, 299);
    EXPECT_INT(n->responses[1]->response_delete_range->header->revision, 300);
    EXPECT_INT(r[3]->response_put->header->revision, 300);
    EXPECT(r[3]->response_put->header->member_id == 0);
    expect_item(r[3]->response_put->prev_kv, &items[0]);
    EXPECT_INT(r[4]->response_range->header->revision, 300);
    EXPECT_INT(r[4]->response_range->count, 7);
    drop(t);
}

/* Of a deletion a client is told the key and the revision, nothing of ours. */
TEST(kv_response, events)
{
    const struct kv_item old = item("k", "old", 5);
    const struct kv_event events[] = {
        {.type = KV_EVENT_PUT, .item = item("k", "v", 7)},
        {.type = KV_EVENT_DELETE,
         .item = {.key = bytes_of("k"),
                  .mod_revision = 9,
                  .ino = 44,
                  .mtime_ns = 5,
                  .version = 3},
         .prev = &old}};
    const struct kv_watch_response w = {.header = header,
                                        .id = 17,
                                        .fragment = true,
                                        .events = events,
                                        .events_count = 2};
    struct buf b = {0};
    kv_response_watch(&b, &w);
    EXPECT_INT(b.size, kv_response_watch_size(&w));
    Etcdserverpb__WatchResponse *r =
        unpack(&etcdserverpb__watch_response__descriptor, &b);
    EXPECT_INT(r->watch_id, 17);
    EXPECT(r->fragment && !r->created && !r->canceled);
    EXPECT_INT(r->n_events, 2);
    expect_item(r->events[0]->kv, &events[0].item);
    EXPECT(r->events[0]->prev_kv == NULL);
    EXPECT_INT(r->events[1]->type, 1);
    EXPECT_INT(r->events[1]->kv->mod_revision, 9);
    EXPECT_INT(r->events[1]->kv->version, 0);
    expect_item(r->events[1]->prev_kv, &old);
    drop(r);

    const struct kv_watch_response refused = {.header = header,
                                              .id = -1,
                                              .created = true,
                                              .canceled = true,
                                              .compact_revision = 4,
                                              .cancel_reason = "why"};
    kv_response_watch(&b, &refused);
    r = unpack(&etcdserverpb__watch_response__descriptor, &b);
    EXPECT_INT(r->watch_id, -1);
    EXPECT(r->created && r->canceled);
    EXPECT_INT(r->compact_revision, 4);
    EXPECT_TEXT(r->cancel_reason, "why");
    drop(r);
}
