/* The KV service: what is refused before the keystore hears of it, in etcd's
 * order (etcd-surface 1.3, 1.4), and what becomes of a call. */

#include "base/must.h"
#include "proto/rpc.pb-c.h"
#include "tests/api/rig.h"

static ProtobufCBinaryData text(const char *t)
{
    return (ProtobufCBinaryData){strlen(t), (uint8_t *)(uintptr_t)t};
}

static void expect_refused(const char *path, const void *message, int code,
                           const char *why)
{
    struct grpc_call c = {0};
    call_ask(&c, path, message);
    EXPECT(c.finished);
    EXPECT_INT(c.code, code);
    EXPECT_TEXT(c.text, why);
    EXPECT_INT(c.messages_count, 0);
    call_fini(&c);
}

TEST(kv, bad_requests_get_etcds_codes_and_texts)
{
    struct rig r;
    rig_begin(&r);
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    expect_refused("/etcdserverpb.KV/Range", &range, 3,
                   "etcdserver: key is not provided");
    range.key = text("a");
    range.sort_order = (Etcdserverpb__RangeRequest__SortOrder)3;
    expect_refused("/etcdserverpb.KV/Range", &range, 3,
                   "etcdserver: invalid sort option");
    range.sort_order = 0;
    range.sort_target = (Etcdserverpb__RangeRequest__SortTarget)5;
    expect_refused("/etcdserverpb.KV/Range", &range, 3,
                   "etcdserver: invalid sort option");

    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    expect_refused("/etcdserverpb.KV/Put", &put, 3,
                   "etcdserver: key is not provided");
    put.key = text("a");
    put.value = text("v");
    put.lease = 5;
    put.ignore_value = put.ignore_lease = true;
    expect_refused("/etcdserverpb.KV/Put", &put, 3,
                   "etcdserver: value is provided");
    put.value = text("");
    expect_refused("/etcdserverpb.KV/Put", &put, 3,
                   "etcdserver: lease is provided");

    Etcdserverpb__DeleteRangeRequest del =
        ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    expect_refused("/etcdserverpb.KV/DeleteRange", &del, 3,
                   "etcdserver: key is not provided");
    EXPECT(rig_take(&r) == NULL); /* the keystore heard of none of it */
    rig_end(&r);
}

/* The first thing that is wrong is the one that is told. */
TEST(kv, transactions_are_checked_in_etcds_order)
{
    struct rig r;
    rig_begin(&r);
    Etcdserverpb__RequestOp empty = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__Compare no_key = ETCDSERVERPB__COMPARE__INIT;
    Etcdserverpb__RequestOp *many[129];
    for (size_t i = 0; i < 129; i++) {
        many[i] = &empty;
    }
    Etcdserverpb__Compare *compares[] = {&no_key};
    Etcdserverpb__TxnRequest t = ETCDSERVERPB__TXN_REQUEST__INIT;
    t.success = t.failure = many;
    t.compare = compares;
    t.n_compare = 1;
    t.n_failure = 129;
    expect_refused("/etcdserverpb.KV/Txn", &t, 3,
                   "etcdserver: too many operations in txn request");
    t.n_failure = 128;
    expect_refused("/etcdserverpb.KV/Txn", &t, 3,
                   "etcdserver: key is not provided");
    t.n_compare = 0;
    expect_refused("/etcdserverpb.KV/Txn", &t, 3, "etcdserver: key not found");
    /* One inside has what the outer leaves of the budget. */
    Etcdserverpb__TxnRequest inner = ETCDSERVERPB__TXN_REQUEST__INIT;
    inner.success = many;
    inner.n_success = 128;
    Etcdserverpb__RequestOp nested = ETCDSERVERPB__REQUEST_OP__INIT;
    nested.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    nested.request_txn = &inner;
    Etcdserverpb__RequestOp *one[] = {&nested};
    t = (Etcdserverpb__TxnRequest)ETCDSERVERPB__TXN_REQUEST__INIT;
    t.success = one;
    t.n_success = 1;
    expect_refused("/etcdserverpb.KV/Txn", &t, 3,
                   "etcdserver: too many operations in txn request");
    inner.n_success = 127;
    expect_refused("/etcdserverpb.KV/Txn", &t, 3, "etcdserver: key not found");
    rig_end(&r);
}

TEST(kv, what_is_no_message_is_refused)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    call_begin(&c, "/etcdserverpb.KV/Range");
    call_bytes(&c, bytes_of("\x0a\xff"));
    EXPECT(c.finished);
    EXPECT_INT(c.code, 13);
    call_fini(&c);
    call_begin(&c, "/etcdserverpb.Lease/LeaseGrant");
    call_bytes(&c, bytes_of("\x0a\xff"));
    EXPECT(c.finished);
    EXPECT_INT(c.code, 13);
    call_fini(&c);
    rig_end(&r);
}

/* The message is the network's only until the handler returns; what the store
 * is given must outlive it (ASan sees when it does not). */
TEST(kv, a_put_is_answered_by_the_store)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    char large[1000];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = 0;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text("a");
    put.value = text(large);
    put.lease = 9;
    put.prev_kv = true;
    call_ask(&c, "/etcdserverpb.KV/Put", &put);
    struct kv_call *call = rig_take(&r);
    struct kv_txn *txn = container_of(call, struct kv_txn, call);
    EXPECT_INT(txn->spec.success_count, 1);
    const struct kv_put *p = &txn->spec.success[0].put;
    EXPECT_BYTES(p->key, bytes_of("a"));
    EXPECT_BYTES(p->value, bytes_of(large));
    EXPECT(p->lease == 9 && p->prev_kv);
    const struct kv_item old = {.key = bytes_of("a"), .mod_revision = 4};
    const struct kv_op_result result = {.type = KV_OP_PUT,
                                        .put = {.prev = &old}};
    txn->result = (struct kv_txn_result){true, &result, 1};
    r.status.header.revision = 11;
    rig_done(&r, call, ST_OK);
    EXPECT(c.finished);
    EXPECT_INT(c.code, 0);
    Etcdserverpb__PutResponse *a =
        call_next(&c, &etcdserverpb__put_response__descriptor);
    EXPECT_INT(a->header->revision, 11);
    EXPECT_INT(a->prev_kv->mod_revision, 4);
    rig_free(a);
    call_fini(&c);
    rig_end(&r);
}

TEST(kv, failures_of_the_store_reach_the_client)
{
    static const struct {
        enum status st;
        int code;
        const char *text;
    } cases[] = {
        {ST_TIMEOUT, 14, "etcdserver: request timed out"},
        {ST_NO_SPACE, 8, "etcdserver: mvcc: database space exceeded"},
        {ST_TOO_LARGE, 3, "etcdserver: request is too large"},
        {ST_LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found"},
        {ST_STOPPED, 14, "etcdserver: server stopped"},
    };
    struct rig r;
    rig_begin(&r);
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text("a");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct grpc_call c = {0};
        call_ask(&c, "/etcdserverpb.KV/Put", &put);
        rig_done(&r, rig_take(&r), cases[i].st);
        EXPECT_INT(c.code, cases[i].code);
        EXPECT_TEXT(c.text, cases[i].text);
        call_fini(&c);
    }
    rig_end(&r);
}

/* Stock clients do not repeat writes: one that finds no leader waits for the
 * next one, and is told after etcd's time for a request that there was none. */
TEST(kv, a_write_without_a_leader_waits_for_one)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = text("a");
    enum { LEADER_COMES, NONE_COMES, CLIENT_GOES, ENDINGS };
    for (int ending = 0; ending < ENDINGS; ending++) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        call_ask(&c, "/etcdserverpb.KV/Put", &put);
        r.status.leader = 0;
        rig_done(&r, rig_take(&r), ST_NO_LEADER);
        EXPECT(!c.finished);
        rig_pass(100);
        EXPECT(rig_take(&r) == NULL); /* there is none yet */
        if (ending == CLIENT_GOES) {
            call_reset(&c);
            EXPECT_INT(r.cancelled, 0);
        } else if (ending == NONE_COMES) {
            rig_pass(6800);
            EXPECT(!c.finished);
            rig_pass(200);
            EXPECT_INT(c.code, 14);
            EXPECT_TEXT(c.text, "etcdserver: request timed out");
        } else {
            r.status.leader = 7;
            rig_pass(100);
            struct kv_call *call = rig_take(&r);
            EXPECT(call != NULL);
            const struct kv_op_result result = {.type = KV_OP_PUT};
            container_of(call, struct kv_txn, call)->result =
                (struct kv_txn_result){true, &result, 1};
            rig_done(&r, call, ST_OK);
            EXPECT_INT(c.code, 0);
        }
        EXPECT(c.finished);
        EXPECT_INT(api_calls(r.api), 0);
        call_fini(&c);
        rig_end(&r);
    }
}

/* Answering a call that is gone would be a use after free; forgetting it would
 * be a leak: the store is told, and its answer frees what is left. */
TEST(kv, a_client_that_goes_away_is_not_answered)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = text("a");
    call_ask(&c, "/etcdserverpb.KV/Range", &range);
    EXPECT_INT(api_calls(r.api), 1);
    call_reset(&c);
    EXPECT_INT(r.cancelled, 1);
    rig_done(&r, rig_take(&r), ST_CANCELED);
    EXPECT_INT(api_calls(r.api), 0);
    EXPECT_INT(c.messages_count, 0);
    call_fini(&c);
    rig_end(&r);
}

/* etcd-surface 1.8: a learner answers serializable ranges and little else. */
TEST(kv, a_learner_answers_what_a_learner_answers)
{
    struct rig r;
    rig_begin(&r);
    r.members[0].is_learner = true;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = text("a");
    expect_refused("/etcdserverpb.KV/Range", &range, 9,
                   "etcdserver: rpc not supported for learner");
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    expect_refused("/etcdserverpb.KV/Put", &put, 9,
                   "etcdserver: rpc not supported for learner");
    struct grpc_call c = {0};
    call_begin(&c, "/etcdserverpb.Watch/Watch");
    EXPECT(c.finished);
    EXPECT_INT(c.code, 9);
    call_fini(&c);
    range.serializable = true;
    call_ask(&c, "/etcdserverpb.KV/Range", &range);
    rig_done(&r, rig_take(&r), ST_OK);
    EXPECT_INT(c.code, 0);
    call_fini(&c);
    rig_end(&r);
}

TEST(kv, who_asks_for_a_leader_is_told_when_there_is_none)
{
    struct rig r;
    rig_begin(&r);
    r.status.leader = 0;
    struct grpc_call c = {.has_leader = true};
    call_begin(&c, "/etcdserverpb.KV/Range");
    EXPECT(c.finished);
    EXPECT_INT(c.code, 14);
    EXPECT_TEXT(c.text, "etcdserver: no leader");
    call_fini(&c);
    rig_end(&r);
}

/* A read transaction may be served locally only when all of it asks for that;
 * one stale range would make its client's decision wrong. */
TEST(kv, one_linearizable_range_makes_all_of_a_transaction_so)
{
    struct rig r;
    rig_begin(&r);
    for (int serializable = 0; serializable <= 1; serializable++) {
        Etcdserverpb__RangeRequest a = ETCDSERVERPB__RANGE_REQUEST__INIT;
        Etcdserverpb__RangeRequest b = a;
        a.key = b.key = text("a");
        a.serializable = true;
        b.serializable = serializable == 1;
        Etcdserverpb__RequestOp ops[2] = {ETCDSERVERPB__REQUEST_OP__INIT,
                                          ETCDSERVERPB__REQUEST_OP__INIT};
        ops[0].request_case = ops[1].request_case = 1;
        ops[0].request_range = &a;
        ops[1].request_range = &b;
        Etcdserverpb__RequestOp *success[] = {&ops[0]};
        Etcdserverpb__RequestOp *failure[] = {&ops[1]};
        Etcdserverpb__TxnRequest t = ETCDSERVERPB__TXN_REQUEST__INIT;
        t.n_success = t.n_failure = 1;
        t.success = success;
        t.failure = failure;
        struct grpc_call c = {0};
        call_ask(&c, "/etcdserverpb.KV/Txn", &t);
        struct kv_call *call = rig_take(&r);
        const struct kv_txn *txn = container_of(call, struct kv_txn, call);
        EXPECT_INT(txn->spec.success[0].range.serializable, serializable);
        rig_done(&r, call, ST_CANCELED);
        call_fini(&c);
    }
    rig_end(&r);
}

/* --- ranges in slices --- */

#define KEYS      40 /* k00 to k39 */
#define PER_SLICE 10

/* Answers as a store that looks at ten keys in a slice: items up to the limit,
 * the rest counted. */
static void answer_slice(struct rig *r, bool at_newest)
{
    struct kv_call *call = rig_take(r);
    EXPECT(call != NULL);
    struct kv_range *q = container_of(call, struct kv_range, call);
    const struct kv_range_spec *spec = &q->spec;
    static char keys[KEYS + 1][8];
    static struct kv_item items[KEYS];
    struct kv_range_result result = {.items = items};
    EXPECT(spec->slice_keys > 0 && spec->slice_bytes > 0);
    EXPECT_INT(spec->revision, at_newest ? 0 : 10);
    EXPECT(spec->serializable == (spec->keys.key.size > 1));
    for (int i = 0; i < KEYS && result.next.size == 0; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "k%02d", i);
        const struct bytes key = bytes_of(keys[i]);
        if (bytes_compare(key, spec->keys.key) < 0) {
            continue;
        }
        if (result.count == PER_SLICE) {
            result.next = key;
            break;
        }
        result.count++;
        if (spec->count_only) {
            continue;
        }
        if (spec->limit > 0 && (int64_t)result.items_count == spec->limit) {
            result.more = true;
            continue;
        }
        items[result.items_count++] =
            (struct kv_item){.key = key, .mod_revision = 2};
    }
    q->result = result;
    rig_done(r, call, ST_OK);
}

static void ask_for_all(struct grpc_call *c, const char *method, int64_t limit,
                        bool count_only)
{
    Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
    q.key = text("k");
    q.range_end = text("l");
    q.limit = limit;
    q.count_only = count_only;
    call_begin(c, method);
    call_message(c, &q);
}

/* Pieces of one revision, whatever is written meanwhile; the last one carries
 * what Range's answer would; nothing is read ahead of a client that does not
 * take it. */
TEST(kv, a_range_stream_is_a_range_in_pieces)
{
    for (int limit = 0; limit <= 25; limit += 25) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        ask_for_all(&c, "/etcdserverpb.KV/RangeStream", limit, false);
        c.choked = true;
        answer_slice(&r, true);
        EXPECT(rig_take(&r) == NULL); /* it waits for room */
        r.status.header.revision = 99;
        call_unchoke(&c);
        for (int i = 1; i < KEYS / PER_SLICE; i++) {
            answer_slice(&r, false);
        }
        EXPECT(c.finished);
        EXPECT_INT(c.code, 0);
        size_t kvs = 0;
        Etcdserverpb__RangeStreamResponse *m;
        while ((m = call_next(
                    &c, &etcdserverpb__range_stream_response__descriptor)) !=
               NULL) {
            const Etcdserverpb__RangeResponse *p = m->range_response;
            kvs += p->n_kvs;
            const bool last = c.messages_read == c.messages_count;
            EXPECT_INT(p->header != NULL, last);
            EXPECT_INT(p->count, last ? KEYS : 0);
            EXPECT_INT(p->more, last && limit > 0);
            if (last) {
                EXPECT_INT(p->header->revision, 10);
            }
            rig_free(m);
        }
        EXPECT_INT(kvs, limit > 0 ? 25 : KEYS);
        call_fini(&c);
        rig_end(&r);
    }
}

/* Who asks for everything gets one answer, and meanwhile others get theirs. */
TEST(kv, a_long_range_is_gathered_from_slices)
{
    static const struct {
        int64_t limit;
        bool count_only;
        size_t kvs;
        bool more;
    } rows[] = {
        {0, false, KEYS, false}, {KEYS, false, KEYS, false},
        {25, false, 25, true},   {20, false, 20, true}, /* a slice ends there */
        {3, false, 3, true},     {0, true, 0, false},
        {3, true, 0, false}};
    for (size_t i = 0; i < count_of(rows); i++) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        ask_for_all(&c, "/etcdserverpb.KV/Range", rows[i].limit,
                    rows[i].count_only);
        answer_slice(&r, true);
        r.status.header.revision = 99;
        for (int n = 1; n < KEYS / PER_SLICE; n++) {
            EXPECT(!c.finished);
            answer_slice(&r, false);
        }
        EXPECT(c.finished);
        EXPECT_INT(c.code, 0);
        EXPECT_INT(c.messages_count, 1);
        Etcdserverpb__RangeResponse *p =
            call_next(&c, &etcdserverpb__range_response__descriptor);
        EXPECT_INT(p->header->revision, 10);
        EXPECT_INT(p->count, KEYS);
        EXPECT_INT(p->n_kvs, rows[i].kvs);
        EXPECT_INT(p->more, rows[i].more);
        for (size_t n = 0; n < p->n_kvs; n++) {
            char key[32];
            (void)snprintf(key, sizeof key, "k%02zu", n);
            EXPECT(p->kvs[n]->key.len == 3 &&
                   memcmp(p->kvs[n]->key.data, key, 3) == 0);
        }
        rig_free(p);
        call_fini(&c);
        rig_end(&r);
    }
}

/* The revision of the first slice may be compacted before the last is read:
 * whoever asked for the newest state gets a newer one, in one piece; whoever
 * asked for that revision is told. */
TEST(kv, a_long_range_survives_a_compaction)
{
    for (int64_t revision = 0; revision <= 10; revision += 10) {
        struct rig r;
        struct grpc_call c = {0};
        rig_begin(&r);
        Etcdserverpb__RangeRequest q = ETCDSERVERPB__RANGE_REQUEST__INIT;
        q.key = text("k");
        q.range_end = text("l");
        q.revision = revision;
        call_ask(&c, "/etcdserverpb.KV/Range", &q);
        answer_slice(&r, revision == 0);
        struct kv_call *call = rig_take(&r);
        rig_done(&r, call, ST_COMPACTED);
        if (revision > 0) {
            EXPECT(c.finished);
            EXPECT_INT(c.code, GRPC_OUT_OF_RANGE);
        } else {
            call = rig_take(&r);
            struct kv_range *again = container_of(call, struct kv_range, call);
            EXPECT_INT(again->spec.slice_keys, 0);
            EXPECT_INT(again->spec.slice_bytes, 0);
            EXPECT_INT(again->spec.revision, 0);
            EXPECT(bytes_equal(again->spec.keys.key, bytes_of("k")));
            static const struct kv_item item = {.mod_revision = 11};
            again->result = (struct kv_range_result){
                .items = &item, .items_count = 1, .count = 1};
            r.status.header.revision = 11;
            rig_done(&r, call, ST_OK);
            Etcdserverpb__RangeResponse *p =
                call_next(&c, &etcdserverpb__range_response__descriptor);
            EXPECT_INT(p->n_kvs, 1);
            EXPECT_INT(p->count, 1);
            rig_free(p);
        }
        call_fini(&c);
        rig_end(&r);
    }
}

/* A client that goes away in the middle. */
TEST(kv, a_long_range_ends_with_its_client)
{
    struct rig r;
    struct grpc_call c = {0};
    rig_begin(&r);
    ask_for_all(&c, "/etcdserverpb.KV/Range", 0, false);
    answer_slice(&r, true);
    call_reset(&c);
    EXPECT_INT(r.cancelled, 1);
    rig_done(&r, rig_take(&r), ST_CANCELED);
    EXPECT_INT(api_calls(r.api), 0);
    EXPECT_INT(c.messages_count, 0);
    call_fini(&c);
    rig_end(&r);
}
