/* v3electionpb.Election, all but Observe (etcd-surface 1.7). */

#include <stdlib.h>

#include "api/contest.h"
#include "proto/election.pb-c.h"
#include "proto/kv_response.h"
#include "proto/wire.h"

static struct bytes bytes_in(const ProtobufCBinaryData *b)
{
    return (struct bytes){b->data, b->len};
}

/* --- Campaign --- */

static void won(struct contest *t)
{
    struct api_call *c = t->call;
    struct buf *b = api_begin(c);
    kv_response_header(b, &t->header);
    const size_t mark = wire_begin(b, 2);
    wire_add_bytes(b, 1, (struct bytes){t->prefix.data, t->prefix.size - 1});
    wire_add_bytes(b, 2, buf_bytes(&t->key));
    wire_add_number(b, 3, (uint64_t)t->create_revision);
    wire_add_number(b, 4, (uint64_t)t->lease);
    wire_end(b, mark);
    api_send_end(c);
}

static void renamed(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    struct contest *t = contest_of(c);
    if (!contest_back(t)) {
        return;
    }
    if (!c->txn.result.succeeded) {
        contest_fail(t, API_NOT_LEADER);
        return;
    }
    contest_wait(t);
}

/* The key was there, with another value: an earlier campaign of this lease. */
static void put_value(struct contest *t)
{
    struct api_call *c = t->call;
    t->compare.number = t->create_revision;
    t->ops[0] = (struct kv_op){.type = KV_OP_PUT,
                               .put = {.key = buf_bytes(&t->key),
                                       .value = t->value,
                                       .lease = t->lease}};
    c->txn = (struct kv_txn){.spec = {.compares = &t->compare,
                                      .compares_count = 1,
                                      .success = t->ops,
                                      .success_count = 1}};
    api_submit_txn(c, renamed);
}

static void entered(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    struct contest *t = contest_of(c);
    if (!contest_back(t)) {
        return;
    }
    const struct kv_txn_result *r = &c->txn.result;
    must(r->results_count == 1);
    t->header = call->header;
    if (r->succeeded) {
        t->create_revision = call->header.revision;
        contest_wait(t);
        return;
    }
    const struct kv_item *old = &r->results[0].range.items[0];
    t->create_revision = old->create_revision;
    if (bytes_equal(old->value, t->value)) {
        contest_wait(t);
    } else {
        put_value(t);
    }
}

static void enter(struct contest *t)
{
    t->ops[0] = (struct kv_op){.type = KV_OP_PUT,
                               .put = {.key = buf_bytes(&t->key),
                                       .value = t->value,
                                       .lease = t->lease}};
    t->ops[1] = (struct kv_op){.type = KV_OP_RANGE,
                               .range.keys.key = buf_bytes(&t->key)};
    contest_enter(t, 1, 1, entered);
}

void api_campaign(struct api_call *c, struct bytes message)
{
    const V3electionpb__CampaignRequest *q =
        api_unpack(c, &v3electionpb__campaign_request__descriptor, message);
    if (q != NULL) {
        contest_start(c, bytes_in(&q->name), q->lease, enter, won,
                      bytes_in(&q->value));
    }
}

/* --- Proclaim, Resign: one transaction on the leader's key --- */

struct tenure {
    struct kv_compare compare;
};

static void submit_tenure(struct api_call *c, const V3electionpb__LeaderKey *k,
                          void (*done)(struct kv_call *))
{
    struct tenure *t = xcalloc(1, sizeof *t);
    c->own = t;
    c->free_own = free;
    t->compare = (struct kv_compare){.keys.key = bytes_in(&k->key),
                                     .target = KV_COMPARE_CREATE,
                                     .result = KV_COMPARE_EQUAL,
                                     .number = k->rev};
    c->txn = (struct kv_txn){.spec = {.compares = &t->compare,
                                      .compares_count = 1,
                                      .success = &c->op,
                                      .success_count = 1}};
    api_submit_txn(c, done);
}

/* False: no leader is named, and the call is over. */
static bool names_leader(struct api_call *c, const V3electionpb__LeaderKey *k)
{
    if (k == NULL) {
        api_fail(c, API_NO_LEADER_KEY);
        return false;
    }
    if (k->key.len == 0) {
        api_fail_status(c, ST_EMPTY_KEY);
        return false;
    }
    return true;
}

static void answer_header(struct api_call *c, const struct kv_call *call)
{
    kv_response_header(api_begin(c), &call->header);
    api_send_end(c);
}

static void proclaimed(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (!api_call_back(c)) {
        return;
    }
    if (!c->txn.result.succeeded) {
        api_fail(c, API_NOT_LEADER);
        return;
    }
    answer_header(c, call);
}

void api_proclaim(struct api_call *c, struct bytes message)
{
    const V3electionpb__ProclaimRequest *q =
        api_unpack(c, &v3electionpb__proclaim_request__descriptor, message);
    if (q == NULL || !names_leader(c, q->leader)) {
        return;
    }
    c->op = (struct kv_op){.type = KV_OP_PUT,
                           .put = {.key = bytes_in(&q->leader->key),
                                   .value = bytes_in(&q->value),
                                   .lease = q->leader->lease}};
    submit_tenure(c, q->leader, proclaimed);
}

static void resigned(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, txn.call);
    if (api_call_back(c)) {
        answer_header(c, call); /* who is no leader has nothing to give up */
    }
}

void api_resign(struct api_call *c, struct bytes message)
{
    const V3electionpb__ResignRequest *q =
        api_unpack(c, &v3electionpb__resign_request__descriptor, message);
    if (q == NULL || !names_leader(c, q->leader)) {
        return;
    }
    c->op = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                           .delete_range.keys.key = bytes_in(&q->leader->key)};
    submit_tenure(c, q->leader, resigned);
}

/* --- Leader --- */

struct electorate {
    struct buf prefix, end;
};

static void electorate_free(void *own)
{
    struct electorate *e = own;
    buf_fini(&e->prefix);
    buf_fini(&e->end);
    free(e);
}

static void leader_found(struct kv_call *call)
{
    struct api_call *c = container_of(call, struct api_call, range.call);
    if (!api_call_back(c)) {
        return;
    }
    if (c->range.result.items_count == 0) {
        api_fail(c, API_ELECTION_NO_LEADER);
        return;
    }
    struct buf *b = api_begin(c);
    kv_response_header(b, &call->header);
    kv_response_item(b, 2, &c->range.result.items[0]);
    api_send_end(c);
}

void api_leader(struct api_call *c, struct bytes message)
{
    const V3electionpb__LeaderRequest *q =
        api_unpack(c, &v3electionpb__leader_request__descriptor, message);
    if (q == NULL) {
        return;
    }
    struct electorate *e = xcalloc(1, sizeof *e);
    c->own = e;
    c->free_own = electorate_free;
    contest_prefix(bytes_in(&q->name), &e->prefix, &e->end);
    c->range = (struct kv_range){
        .spec = contest_oldest(buf_bytes(&e->prefix), buf_bytes(&e->end))};
    api_submit_range(c, leader_found);
}
