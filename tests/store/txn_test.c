/* Transactions: the twelve rules of etcd-surface 1.4. */

#include <stdlib.h>

#include "rig.h"
#include "store/cost.h"

#include "base/must.h"

#define PUT(k, v)                                                              \
    {                                                                          \
        .type = KV_OP_PUT, .put = {.key = bytes_of(k), .value = bytes_of(v) }  \
    }
#define DEL(k, e)                                                              \
    {                                                                          \
        .type = KV_OP_DELETE_RANGE, .delete_range = {                          \
            .keys = {bytes_of(k), bytes_of(e)}                                 \
        }                                                                      \
    }
#define GET(k)                                                                 \
    {                                                                          \
        .type = KV_OP_RANGE, .range = {.keys = {.key = bytes_of(k)} }          \
    }
#define TXN(t)                                                                 \
    {                                                                          \
        .type = KV_OP_TXN, .txn = (t)                                          \
    }
#define MOVE(f, t, how)                                                        \
    {                                                                          \
        .type = KV_OP_MOVE, .move = {                                          \
            .from = bytes_of(f),                                               \
            .to = bytes_of(t),                                                 \
            how                                                                \
        }                                                                      \
    }
#define THEN(ops) .success = (ops), .success_count = count_of(ops)
#define ELSE(ops) .failure = (ops), .failure_count = count_of(ops)

static enum status check(struct rig *r, const struct kv_txn_spec *txn)
{
    return store_check_txn(r->store, txn);
}

/* Rule 1: the longest of the three lists counts, and a nested transaction gets
 * what is left. */
TEST(txn, operations_are_counted_as_the_longest_list)
{
    struct rig r;
    rig_begin(&r);
    struct kv_op ops[130];
    for (unsigned i = 0; i < count_of(ops); i++) {
        ops[i] = (struct kv_op)GET("a");
    }
    struct kv_txn_spec txn = {.success = ops,
                              .success_count = 128,
                              .failure = ops,
                              .failure_count = 128};
    EXPECT_INT(check(&r, &txn), ST_OK);
    txn.failure_count = 129;
    EXPECT_INT(check(&r, &txn), ST_TOO_MANY_OPS);

    const struct kv_txn_spec inner = {.success = ops, .success_count = 27};
    struct kv_op outer[101];
    for (unsigned i = 0; i < count_of(outer); i++) {
        outer[i] = (struct kv_op)GET("a");
    }
    outer[0] = (struct kv_op)TXN(&inner);
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(outer)}), ST_OK);
    const struct kv_txn_spec longer = {.success = ops, .success_count = 28};
    outer[0] = (struct kv_op)TXN(&longer);
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(outer)}), ST_TOO_MANY_OPS);
    rig_end(&r);
}

TEST(txn, nesting_has_a_limit)
{
    struct rig r;
    rig_begin(&r);
    struct kv_txn_spec levels[KV_TXN_DEPTH_MAX + 1];
    struct kv_op ops[KV_TXN_DEPTH_MAX + 1];
    for (unsigned i = 0; i < count_of(levels); i++) {
        ops[i] = (struct kv_op)GET("a");
        if (i > 0) {
            ops[i] = (struct kv_op)TXN(&levels[i - 1]);
        }
        levels[i] =
            (struct kv_txn_spec){.success = &ops[i], .success_count = 1};
    }
    EXPECT_INT(check(&r, &levels[KV_TXN_DEPTH_MAX - 1]), ST_OK);
    EXPECT_INT(check(&r, &levels[KV_TXN_DEPTH_MAX]), ST_TOO_MANY_OPS);
    rig_end(&r);
}

/* Rule 2, and its reach over moves: no key twice in a revision. */
TEST(txn, a_key_changes_once)
{
    struct rig r;
    rig_begin(&r);
    const struct kv_op puts[] = {PUT("a", "1"), PUT("b", "1"), PUT("a", "2")};
    const struct kv_op put_in_delete[] = {DEL("a", "c"), PUT("b", "1")};
    const struct kv_op put_beside[] = {DEL("a", "c"), PUT("c", "1")};
    const struct kv_op deletes[] = {DEL("a", "c"), DEL("b", "d")};
    const struct kv_op move_put[] = {MOVE("a", "b", 0), PUT("b", "1")};
    const struct kv_op move_source[] = {PUT("a", "1"), MOVE("a", "b", 0)};
    const struct kv_op prefix_put[] = {MOVE("d/", "e/", .prefix = true),
                                       PUT("e/x", "1")};
    const struct kv_op prefix_free[] = {MOVE("d/", "e/", .prefix = true),
                                        PUT("e0", "1")};
    const struct kv_op swap[] = {MOVE("a", "b", .exchange = true),
                                 DEL("a", "")};
#define DUPLICATE(list)                                                        \
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(list)}), ST_DUPLICATE_KEY)
#define FINE(list)                                                             \
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(list)}), ST_OK)
    DUPLICATE(puts);
    DUPLICATE(put_in_delete);
    FINE(put_beside);
    FINE(deletes);
    DUPLICATE(move_put);
    DUPLICATE(move_source);
    DUPLICATE(prefix_put);
    FINE(prefix_free);
    DUPLICATE(swap);
    rig_end(&r);
}

/* The two branches of one transaction never both run; nested ones meet what is
 * beside them, in either order. */
TEST(txn, branches_exclude_each_other)
{
    struct rig r;
    rig_begin(&r);
    const struct kv_op put[] = {PUT("a", "1")};
    const struct kv_op del[] = {DEL("a", "")};
    const struct kv_txn_spec both = {THEN(put), ELSE(put)};
    EXPECT_INT(check(&r, &both), ST_OK);
    const struct kv_op nested[] = {TXN(&both)};
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(nested), ELSE(put)}),
               ST_OK);
    const struct kv_op beside[] = {TXN(&both), PUT("a", "2")};
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(beside)}),
               ST_DUPLICATE_KEY);
    const struct kv_txn_spec dels = {THEN(del)};
    const struct kv_op two[] = {TXN(&both), TXN(&dels)};
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(two)}), ST_DUPLICATE_KEY);
    const struct kv_txn_spec once = {THEN(put)};
    const struct kv_op put_twice[] = {TXN(&once), TXN(&once)};
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(put_twice)}),
               ST_DUPLICATE_KEY);
    const struct kv_op same_twice[] = {TXN(&dels), TXN(&dels)};
    EXPECT_INT(check(&r, &(struct kv_txn_spec){THEN(same_twice)}), ST_OK);
    rig_end(&r);
}

/* Rule 3: a range sees what stands before it in the transaction; an explicit
 * revision does not. */
TEST(txn, ranges_see_earlier_operations)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    struct kv_op ops[] = {GET("a"), PUT("a", "2"), GET("a"),
                          GET("a"), DEL("a", "b"), GET("a")};
    ops[3].range.revision = 2;
    const struct kv_op fine[] = {ops[0], ops[1], ops[2], ops[3]};
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(fine)}), ST_OK);
    const struct kv_op_result *results = r.outcome.txn->results;
    EXPECT_BYTES(results[0].range.items[0].value, bytes_of("1"));
    EXPECT_BYTES(results[2].range.items[0].value, bytes_of("2"));
    EXPECT_INT(results[2].range.items[0].mod_revision, 3);
    EXPECT_BYTES(results[3].range.items[0].value, bytes_of("1"));
    const struct kv_op gone[] = {ops[4], ops[5]};
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(gone)}), ST_OK);
    EXPECT_INT(r.outcome.txn->results[1].range.count, 0);
    rig_end(&r);
}

struct compare_case {
    const char *key, *end;
    enum kv_compare_target target;
    enum kv_compare_result result;
    int64_t number;
    const char *value;
    bool holds;
};

/* Rules 4 to 6.  Danger: a lock's "not there yet" (create_revision = 0) that
 * does not hold, or a value compare that holds for a key that is not there. */
TEST(txn, compares_follow_the_rules)
{
    static const struct compare_case cases[] = {
        {"a", "", KV_COMPARE_VERSION, KV_COMPARE_EQUAL, 2, NULL, true},
        {"a", "", KV_COMPARE_VERSION, KV_COMPARE_GREATER, 1, NULL, true},
        {"a", "", KV_COMPARE_VERSION, KV_COMPARE_LESS, 2, NULL, false},
        {"a", "", KV_COMPARE_CREATE, KV_COMPARE_EQUAL, 2, NULL, true},
        {"a", "", KV_COMPARE_MOD, KV_COMPARE_EQUAL, 3, NULL, true},
        {"a", "", KV_COMPARE_MOD, KV_COMPARE_NOT_EQUAL, 3, NULL, false},
        {"a", "", KV_COMPARE_LEASE, KV_COMPARE_EQUAL, 0, NULL, true},
        {"a", "", KV_COMPARE_VALUE, KV_COMPARE_EQUAL, 0, "2", true},
        {"a", "", KV_COMPARE_VALUE, KV_COMPARE_LESS, 0, "3", true},
        {"none", "", KV_COMPARE_CREATE, KV_COMPARE_EQUAL, 0, NULL, true},
        {"none", "", KV_COMPARE_MOD, KV_COMPARE_LESS, 1, NULL, true},
        {"none", "", KV_COMPARE_VALUE, KV_COMPARE_EQUAL, 0, "", false},
        {"none", "", KV_COMPARE_VALUE, KV_COMPARE_NOT_EQUAL, 0, "x", false},
        {"a", "z", KV_COMPARE_VERSION, KV_COMPARE_GREATER, 0, NULL, true},
        {"a", "z", KV_COMPARE_VERSION, KV_COMPARE_EQUAL, 2, NULL, false},
        {"x", "z", KV_COMPARE_VERSION, KV_COMPARE_EQUAL, 0, NULL, true},
        {"x", "z", KV_COMPARE_VALUE, KV_COMPARE_NOT_EQUAL, 0, "q", false},
    };
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put a 2");
    (void)rig_do(&r, "put b 1");
    for (unsigned i = 0; i < count_of(cases); i++) {
        const struct compare_case *c = &cases[i];
        const struct kv_compare compare = {
            .keys = {bytes_of(c->key), bytes_of(c->end)},
            .target = c->target,
            .result = c->result,
            .number = c->number,
            .value = c->value == NULL ? BYTES_NONE : bytes_of(c->value)};
        const struct kv_txn_spec txn = {.compares = &compare,
                                        .compares_count = 1};
        EXPECT_INT(rig_txn(&r, &txn), ST_OK);
        if (r.outcome.txn->succeeded != c->holds) {
            fail_msg("case %u", i);
        }
    }
    EXPECT_INT(store_revision(r.store), 4); /* rule 8 */
    rig_end(&r);
}

/* All compares, also of nested transactions, are of the state before the whole
 * transaction (etcd decides its path first); operations see each other. */
TEST(txn, nested_branches_are_decided_before_anything_is_done)
{
    struct rig r;
    rig_begin(&r);
    const struct kv_compare absent = {.keys = {.key = bytes_of("a")},
                                      .target = KV_COMPARE_VERSION,
                                      .result = KV_COMPARE_EQUAL};
    const struct kv_op yes[] = {PUT("b", "yes"), GET("a")};
    const struct kv_op no[] = {PUT("b", "no")};
    const struct kv_txn_spec inner = {
        .compares = &absent, .compares_count = 1, THEN(yes), ELSE(no)};
    const struct kv_op outer[] = {PUT("a", "1"), TXN(&inner), GET("b")};
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(outer)}), ST_OK);
    const struct kv_op_result *results = r.outcome.txn->results;
    EXPECT(results[1].txn->succeeded);
    EXPECT_INT(results[1].txn->results[1].range.count, 1);
    EXPECT_BYTES(results[2].range.items[0].value, bytes_of("yes"));
    EXPECT_INT(store_revision(r.store), 2);
    EXPECT_TEXT(rig_do(&r, "get a to=z"),
                "a=1 c2 m2 v1; b=yes c2 m2 v1; count 2");
    rig_end(&r);
}

/* Rule 7: a refusal anywhere leaves nothing done, also of what stands before
 * it, also deep inside. */
TEST(txn, everything_is_validated_before_anything_is_done)
{
    struct rig r;
    rig_begin(&r);
    struct kv_op bad = PUT("none", "");
    bad.put.ignore_value = true;
    const struct kv_txn_spec inner = {.success = &bad, .success_count = 1};
    const struct kv_op ops[] = {PUT("a", "1"), TXN(&inner)};
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(ops)}), ST_KEY_NOT_FOUND);
    EXPECT_INT(store_revision(r.store), 1);
    struct kv_op future[] = {PUT("a", "1"), GET("a")};
    future[1].range.revision = 2;
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(future)}),
               ST_FUTURE_REVISION);
    EXPECT_TEXT(rig_do(&r, "get a"), "count 0");
    EXPECT_TEXT(rig_do(&r, "put a v iv"), "VALUE_PROVIDED");
    EXPECT_TEXT(rig_do(&r, "put a v il lease=3"), "LEASE_PROVIDED");
    EXPECT_TEXT(rig_do(&r, "put '' v"), "EMPTY_KEY");
    rig_end(&r);
}

/* What is kept of a key by each kind of put. */
TEST(txn, puts_keep_what_they_are_told_to_keep)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 5 10");
    (void)rig_do(&r, "put a 1 lease=5 attrs=x");
    EXPECT_TEXT(rig_do(&r, "put a '' iv il"), "r3 put");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=1 c2 m3 v2 l5 attrs=x; count 1");
    (void)rig_do(&r, "put a 2 keep attrs=y");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=2 c2 m4 v3 l5 attrs=y; count 1");
    EXPECT_TEXT(rig_do(&r, "put a 3 prev"),
                "r5 put was a=2 c2 m4 v3 l5 attrs=y");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=3 c2 m5 v4 attrs=y; count 1");
    (void)rig_do(&r, "put a 3 attrs=");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=3 c2 m6 v5; count 1");
    EXPECT_TEXT(rig_do(&r, "put new 1 keep"), "r7 put");
    rig_end(&r);
}

/* Rule 12: whether a revision is compacted is decided by the log, not by what
 * has been swept. */
TEST(txn, compacted_revisions_are_refused_before_they_are_swept)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put a 2");
    (void)rig_do(&r, "put a 3");
    EXPECT_TEXT(rig_do(&r, "compact 3"), "OK");
    struct kv_op get = GET("a");
    get.range.revision = 2;
    for (int swept = 0; swept < 2; swept++) {
        EXPECT_INT(rig_op(&r, &get), ST_COMPACTED);
        EXPECT_TEXT(rig_do(&r, "get a rev=3"), "a=2 c2 m3 v2; count 1");
        rig_settle(&r);
    }
    rig_end(&r);
}

/* Rule 7, as stock etcd has it: a client matches on the error, so which of two
 * comes matters. Changes are validated before reads, at every depth. */
TEST(txn, the_first_wrong_change_is_told_before_the_first_wrong_read)
{
    struct rig r;
    rig_begin(&r);
    struct kv_op inner_put = PUT("k", "v");
    inner_put.put.lease = 99;
    const struct kv_txn_spec inner = {.success = &inner_put,
                                      .success_count = 1};
    struct kv_op ops[] = {GET("b"), TXN(&inner), PUT("absent", "")};
    ops[0].range.revision = INT64_MAX;
    ops[2].put.ignore_value = true;
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(ops)}),
               ST_LEASE_NOT_FOUND);
    inner_put.put.lease = 0;
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(ops)}), ST_KEY_NOT_FOUND);
    ops[2].put.ignore_value = false;
    EXPECT_INT(rig_txn(&r, &(struct kv_txn_spec){THEN(ops)}),
               ST_FUTURE_REVISION);
    rig_end(&r);
}

/* Rule 7 again: a read in a transaction takes a negative revision for one that
 * was compacted, once something was; alone it takes it for the newest. */
TEST(txn, a_negative_revision_is_compacted_in_a_transaction)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    struct kv_op ops[] = {GET("a"), PUT("b", "1")};
    const struct kv_txn_spec txn = {THEN(ops)};
    ops[0].range.revision = -1;
    EXPECT_INT(rig_txn(&r, &txn), ST_OK);
    ops[0].range.revision = -2;
    EXPECT_INT(rig_txn(&r, &txn), ST_COMPACTED);
    EXPECT_TEXT(rig_do(&r, "compact 2"), "OK");
    ops[0].range.revision = -1;
    EXPECT_INT(rig_txn(&r, &txn), ST_COMPACTED);
    EXPECT_TEXT(rig_do(&r, "get a rev=-1"), "a=1 c2 m2 v1; count 1");
    rig_end(&r);
}

/* A transaction of ranges is a read: every depth, both branches. */
TEST(txn, reads_are_told_from_writes)
{
    const struct kv_op get[] = {GET("a")};
    const struct kv_op put[] = {PUT("a", "1")};
    const struct kv_txn_spec reading = {THEN(get)};
    const struct kv_txn_spec writing = {THEN(get), ELSE(put)};
    const struct kv_op inner_read[] = {TXN(&reading)};
    const struct kv_op inner_write[] = {GET("b"), TXN(&writing)};
    EXPECT(store_txn_is_read(&reading));
    EXPECT(!store_txn_is_read(&writing));
    EXPECT(store_txn_is_read(&(struct kv_txn_spec){THEN(inner_read)}));
    EXPECT(!store_txn_is_read(&(struct kv_txn_spec){THEN(inner_write)}));
}

TEST(txn, reading_transactions_see_one_state)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    const struct kv_compare there = {.keys = {.key = bytes_of("a")},
                                     .target = KV_COMPARE_VERSION,
                                     .result = KV_COMPARE_GREATER};
    const struct kv_op get[] = {GET("a"), GET("b")};
    const struct kv_txn_spec txn = {
        .compares = &there, .compares_count = 1, THEN(get)};
    struct kv_txn_result result;
    EXPECT_INT(store_read_txn(r.store, &txn, r.results, &result, &r.fault),
               ST_OK);
    EXPECT(result.succeeded);
    EXPECT_INT(result.results[0].range.count, 1);
    EXPECT_INT(result.results[1].range.count, 0);
    rig_end(&r);
}

/* Too large a request must not reach the log; deletes get through a full
 * store, since they make room (rule 11). */
TEST(txn, size_and_quota_are_checked_before_the_log)
{
    struct rig r;
    rig_begin(&r);
    uint8_t *big = xcalloc(1, 2 << 20);
    struct kv_op put = PUT("a", "");
    put.put.value = (struct bytes){big, (1536 << 10) - 1};
    const struct kv_txn_spec txn = {.success = &put, .success_count = 1};
    EXPECT_INT(check(&r, &txn), ST_OK);
    put.put.value.size += 1;
    EXPECT_INT(check(&r, &txn), ST_TOO_LARGE);
    EXPECT_INT(store_check_room(r.store, &txn), ST_OK);
    free(big);
    rig_end(&r);

    /* Rule 11: 256 and the sizes, for each put, of the dearer branch. */
    const struct kv_op one[] = {PUT("key", "value"), DEL("a", "b")};
    const struct kv_op two[] = {PUT("a", ""), PUT("b", "")};
    const struct kv_txn_spec inner = {THEN(one), ELSE(two)};
    const struct kv_op nested[] = {TXN(&inner), PUT("x", "y")};
    EXPECT_INT(cost_txn_room(&(struct kv_txn_spec){THEN(one)}), 264);
    EXPECT_INT(cost_txn_room(&inner), 514);
    EXPECT_INT(cost_txn_room(&(struct kv_txn_spec){THEN(nested)}), 772);

    rig_begin(&r);
    store_close(r.store);
    r.options.quota_bytes = 100000;
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    put.put.value = (struct bytes){NULL, 0};
    const struct kv_op dels[] = {DEL("a", "b")};
    const struct kv_txn_spec del = {THEN(dels)};
    EXPECT_INT(store_check_room(r.store, &txn), ST_OK);
    for (int i = 0; i < 400; i++) {
        (void)rig_do(&r, "put key%d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i);
    }
    EXPECT_INT(store_check_room(r.store, &txn), ST_NO_SPACE);
    EXPECT_INT(store_check_room(r.store, &del), ST_OK);
    rig_end(&r);
}
