/* Lease, Lock and Election over a keystore that the test answers for. */

#include "base/must.h"
#include "proto/election.pb-c.h"
#include "proto/lock.pb-c.h"
#include "proto/rpc.pb-c.h"
#include "tests/api/rig.h"

static ProtobufCBinaryData text(const char *t)
{
    return (ProtobufCBinaryData){strlen(t), (uint8_t *)(uintptr_t)t};
}

static void keep_alive(struct grpc_call *c, int64_t id)
{
    Etcdserverpb__LeaseKeepAliveRequest q =
        ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    q.id = id;
    call_message(c, &q);
}

static struct kv_lease *take_lease(struct rig *r)
{
    struct kv_call *call = rig_take(r);
    EXPECT(call != NULL);
    return container_of(call, struct kv_lease, call);
}

static void expect_renewal(struct grpc_call *c, int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseKeepAliveResponse *m =
        call_next(c, &etcdserverpb__lease_keep_alive_response__descriptor);
    EXPECT(m != NULL);
    EXPECT_INT(m->id, id);
    EXPECT_INT(m->ttl, ttl);
    rig_free(m);
}

/* Clients match answers to questions by order alone. */
TEST(lease, renewals_are_answered_in_the_order_of_asking)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    call_begin(&c, "/etcdserverpb.Lease/LeaseKeepAlive");
    keep_alive(&c, 1);
    keep_alive(&c, 2);
    struct kv_lease *first = take_lease(&r);
    struct kv_lease *second = take_lease(&r);
    second->result.ttl_s = 20;
    rig_done(&r, &second->call, ST_OK);
    EXPECT_INT(c.messages_count, 0);
    rig_done(&r, &first->call, ST_LEASE_NOT_FOUND); /* no error: TTL 0 */
    expect_renewal(&c, 1, 0);
    expect_renewal(&c, 2, 20);
    keep_alive(&c, 3);
    call_half_close(&c);
    EXPECT(!c.finished);
    struct kv_lease *third = take_lease(&r);
    third->result.ttl_s = 30;
    rig_done(&r, &third->call, ST_OK);
    expect_renewal(&c, 3, 30);
    EXPECT(c.finished);
    EXPECT_INT(c.code, 0);
    call_fini(&c);
    rig_end(&r);
}

TEST(lease, a_stream_that_goes_away_leaves_nothing)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    call_begin(&c, "/etcdserverpb.Lease/LeaseKeepAlive");
    keep_alive(&c, 1);
    keep_alive(&c, 2);
    struct kv_lease *first = take_lease(&r);
    struct kv_lease *second = take_lease(&r);
    rig_done(&r, &second->call, ST_OK);
    call_reset(&c);
    EXPECT_INT(r.cancelled, 1);
    rig_done(&r, &first->call, ST_CANCELED);
    call_fini(&c);
    rig_end(&r);
}

/* More than 256 at once are not read, so that they cannot pile up. */
TEST(lease, many_renewals_wait_in_the_network)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    call_begin(&c, "/etcdserverpb.Lease/LeaseKeepAlive");
    for (int i = 0; i < 255; i++) {
        keep_alive(&c, i + 1);
    }
    EXPECT(!c.paused);
    keep_alive(&c, 256);
    EXPECT(c.paused);
    rig_done(&r, rig_take(&r), ST_OK);
    EXPECT(!c.paused);
    call_reset(&c);
    struct kv_call *call;
    while ((call = rig_take(&r)) != NULL) {
        rig_done(&r, call, ST_CANCELED);
    }
    call_fini(&c);
    rig_end(&r);
}

/* --- Lock --- */

static struct kv_txn *take_txn(struct rig *r)
{
    struct kv_call *call = rig_take(r);
    EXPECT(call != NULL);
    return container_of(call, struct kv_txn, call);
}

static struct kv_range *take_range(struct rig *r)
{
    struct kv_call *call = rig_take(r);
    EXPECT(call != NULL);
    return container_of(call, struct kv_range, call);
}

/* The key is put at revision 10; `owner` was made at that revision. */
static void answer_entry(struct rig *r, int64_t owner)
{
    struct kv_txn *t = take_txn(r);
    EXPECT_INT(t->spec.compares[0].target, KV_COMPARE_CREATE);
    EXPECT_BYTES(t->spec.success[0].put.key, bytes_of("l/5a"));
    EXPECT_INT(t->spec.success[0].put.lease, 0x5a);
    const struct kv_range_spec *oldest = &t->spec.success[1].range;
    EXPECT_BYTES(oldest->keys.key, bytes_of("l/"));
    EXPECT_BYTES(oldest->keys.end, bytes_of("l0"));
    EXPECT_INT(oldest->sort_target, KV_SORT_CREATE);
    const struct kv_item item = {.key = bytes_of("l/1"),
                                 .create_revision = owner};
    const struct kv_op_result results[] = {
        {.type = KV_OP_PUT},
        {.type = KV_OP_RANGE, .range = {.items = &item, .items_count = 1}}};
    t->result = (struct kv_txn_result){true, results, 2};
    rig_done(r, &t->call, ST_OK);
}

static void ask_lock(struct grpc_call *c, int64_t lease)
{
    V3lockpb__LockRequest q = V3LOCKPB__LOCK_REQUEST__INIT;
    q.name = text("l");
    q.lease = lease;
    call_ask(c, "/v3lockpb.Lock/Lock", &q);
}

TEST(lock, the_oldest_key_owns_it_at_once)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    ask_lock(&c, 0x5a);
    answer_entry(&r, 10);
    EXPECT(c.finished);
    EXPECT_INT(c.code, 0);
    V3lockpb__LockResponse *m =
        call_next(&c, &v3lockpb__lock_response__descriptor);
    EXPECT_BYTES(((struct bytes){m->key.data, m->key.len}), bytes_of("l/5a"));
    rig_free(m);
    call_fini(&c);
    rig_end(&r);
}

/* Two owners at once is what a lock is there to prevent: everybody older must
 * be gone, and the key must still be ours when they are. */
TEST(lock, it_waits_for_all_older_keys_and_looks_again)
{
    for (int lost = 0; lost <= 1; lost++) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        ask_lock(&c, 0x5a);
        answer_entry(&r, 4);
        struct kv_range *look = take_range(&r);
        EXPECT_INT(look->spec.max_create_revision, 9);
        EXPECT_INT(look->spec.sort_order, KV_SORT_DESCEND);
        const struct kv_item older = {.key = bytes_of("l/7")};
        look->result =
            (struct kv_range_result){.items = &older, .items_count = 1};
        rig_done(&r, &look->call, ST_OK);
        struct kv_watch *w = rig_watch(&r, 0);
        EXPECT_BYTES(w->keys.key, bytes_of("l/7"));
        EXPECT_INT(w->start_revision, 11);
        rig_put(&r, w, "l/7", 11); /* a put is no end */
        EXPECT(rig_take(&r) == NULL);
        const struct kv_event del = {.type = KV_EVENT_DELETE,
                                     .item.key = bytes_of("l/7")};
        w->on_events(w, &del, 1, r.status.header);
        look = take_range(&r);
        look->result = (struct kv_range_result){0};
        rig_done(&r, &look->call, ST_OK);
        struct kv_range *own = take_range(&r);
        EXPECT_BYTES(own->spec.keys.key, bytes_of("l/5a"));
        const struct kv_item ours = {.key = bytes_of("l/5a"),
                                     .create_revision = 10};
        own->result =
            (struct kv_range_result){.items = &ours, .items_count = lost == 0};
        rig_done(&r, &own->call, ST_OK);
        EXPECT(c.finished);
        EXPECT_INT(c.code, lost == 1 ? 2 : 0);
        EXPECT_TEXT(c.text, lost == 1 ? "mutex: session is expired" : "");
        if (lost == 1) {
            rig_done(&r, rig_take(&r), ST_OK); /* its key is taken back */
        }
        call_fini(&c);
        rig_end(&r);
    }
}

/* A key left behind would block everybody until its lease ends. */
TEST(lock, who_goes_away_takes_the_key_along)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    ask_lock(&c, 0);
    struct kv_lease *grant = take_lease(&r);
    EXPECT_INT(grant->op, KV_LEASE_GRANT);
    EXPECT_INT(grant->ttl_s, 60);
    grant->result.id = 0x5a;
    rig_done(&r, &grant->call, ST_OK);
    answer_entry(&r, 4);
    rig_pass(20000);
    struct kv_range *look = take_range(&r);
    struct kv_lease *renewal = take_lease(&r);
    EXPECT_INT(renewal->op, KV_LEASE_KEEPALIVE);
    EXPECT_INT(renewal->id, 0x5a);
    rig_done(&r, &renewal->call, ST_OK);
    call_reset(&c);
    rig_done(&r, &look->call, ST_CANCELED);
    struct kv_lease *revoke = take_lease(&r);
    EXPECT_INT(revoke->op, KV_LEASE_REVOKE);
    EXPECT_INT(revoke->id, 0x5a);
    rig_done(&r, &revoke->call, ST_OK);
    EXPECT_INT(api_calls(r.api), 0);
    call_fini(&c);
    rig_end(&r);
}

/* --- Election --- */

TEST(election, answers_without_a_leader_are_etcds)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    V3electionpb__ProclaimRequest p = V3ELECTIONPB__PROCLAIM_REQUEST__INIT;
    call_ask(&c, "/v3electionpb.Election/Proclaim", &p);
    EXPECT_INT(c.code, 2);
    EXPECT_TEXT(c.text, "\"leader\" field must be provided");
    call_fini(&c);
    V3electionpb__LeaderRequest l = V3ELECTIONPB__LEADER_REQUEST__INIT;
    l.name = text("e");
    call_ask(&c, "/v3electionpb.Election/Leader", &l);
    struct kv_range *look = take_range(&r);
    look->result = (struct kv_range_result){0};
    rig_done(&r, &look->call, ST_OK);
    EXPECT_INT(c.code, 2);
    EXPECT_TEXT(c.text, "election: no leader");
    call_fini(&c);
    rig_end(&r);
}

/* Each proclamation of each leader, once, also for who reads slowly. */
TEST(election, observers_hear_of_every_leader)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    V3electionpb__LeaderRequest l = V3ELECTIONPB__LEADER_REQUEST__INIT;
    l.name = text("e");
    call_ask(&c, "/v3electionpb.Election/Observe", &l);
    struct kv_range *look = take_range(&r);
    look->result = (struct kv_range_result){0};
    rig_done(&r, &look->call, ST_OK);
    struct kv_watch *w = rig_watch(&r, 0);
    EXPECT_BYTES(w->keys.end, bytes_of("e0"));
    rig_put(&r, w, "e/1", 12);
    EXPECT_INT(rig_watches(&r), 1);
    w = rig_watch(&r, 0);
    EXPECT_BYTES(w->keys.key, bytes_of("e/1"));
    EXPECT_INT(w->keys.end.size, 0);
    EXPECT_INT(w->start_revision, 13);
    c.choked = true;
    rig_put(&r, w, "e/1", 14);
    EXPECT_INT(rig_watches(&r), 0); /* no room */
    call_unchoke(&c);
    w = rig_watch(&r, 0);
    EXPECT_INT(w->start_revision, 15);
    const struct kv_event del = {
        .type = KV_EVENT_DELETE,
        .item = {.key = bytes_of("e/1"), .mod_revision = 15}};
    w->on_events(w, &del, 1, r.status.header);
    look = take_range(&r);
    const struct kv_item next = {
        .key = bytes_of("e/2"), .create_revision = 13, .mod_revision = 13};
    look->result = (struct kv_range_result){.items = &next, .items_count = 1};
    rig_done(&r, &look->call, ST_OK);
    static const int64_t revisions[] = {12, 14, 13};
    for (size_t i = 0; i < 3; i++) {
        V3electionpb__LeaderResponse *m =
            call_next(&c, &v3electionpb__leader_response__descriptor);
        EXPECT(m != NULL);
        EXPECT_INT(m->kv->mod_revision, revisions[i]);
        rig_free(m);
    }
    call_reset(&c);
    call_fini(&c);
    rig_end(&r);
}
