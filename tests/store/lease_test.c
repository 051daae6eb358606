/* Leases in the state: etcd-surface 1.6, and what replicas must agree on. */

#include <string.h>

#include "rig.h"
#include "tests/lib/test.h"

TEST(lease, grants_and_revokes_say_what_etcd_says)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_TEXT(rig_do(&r, "lease 7"), "no lease");
    EXPECT_TEXT(rig_do(&r, "grant 7 10"), "r1 OK"); /* no revision */
    EXPECT_TEXT(rig_do(&r, "grant 7 20"), "r1 LEASE_EXISTS");
    EXPECT_TEXT(rig_do(&r, "grant 8 9000000000"), "r1 OK");
    EXPECT_TEXT(rig_do(&r, "grant 9 9000000001"), "r1 LEASE_TTL_TOO_LARGE");
    EXPECT_TEXT(rig_do(&r, "grant 0 10"), "r1 INVALID");
    EXPECT_TEXT(rig_do(&r, "grant -5 10"), "r1 OK");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys");
    EXPECT_TEXT(rig_do(&r, "leases"), "7 8 -5 clock 0 count 3");
    EXPECT_TEXT(rig_do(&r, "revoke 7"), "r1 OK"); /* no key: no revision */
    EXPECT_TEXT(rig_do(&r, "revoke 7"), "r1 LEASE_NOT_FOUND");
    EXPECT_TEXT(rig_do(&r, "leases"), "8 -5 clock 0 count 2");
    rig_end(&r);
}

/* Danger: a watcher sees half of what went with a lease, or a key outlives it.
 */
TEST(lease, a_revoke_deletes_its_keys_in_order_in_one_revision)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    (void)rig_do(&r, "grant 8 10");
    (void)rig_do(&r, "put c 1 lease=7"); /* 2 */
    rig_flush(&r);
    (void)rig_do(&r, "put a 1 lease=7"); /* 3 */
    (void)rig_do(&r, "put d 1 lease=8"); /* 4 */
    (void)rig_do(&r, "put b 1 lease=7"); /* 5 */
    (void)rig_do(&r, "put e 1");         /* 6 */
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys a b c");
    rig_watch(&r, &w, "a", "z", 0, false);
    EXPECT_TEXT(rig_do(&r, "revoke 7"), "r7 OK");
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "7 del a\n7 del b\n7 del c\n--\n");
    EXPECT_TEXT(rig_do(&r, "get a to=z"),
                "d=1 c4 m4 v1 l8; e=1 c6 m6 v1; count 2");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "no lease");
    EXPECT_TEXT(rig_do(&r, "lease 8"), "ttl 10 deadline 0 keys d");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* Danger: a key goes with a lease that it left long ago. */
TEST(lease, a_key_has_one_lease_and_a_put_moves_or_detaches_it)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 1 10");
    (void)rig_do(&r, "grant 2 10");
    (void)rig_do(&r, "put a 1 lease=1");
    (void)rig_do(&r, "put b 1 lease=1");
    (void)rig_do(&r, "put c 1 lease=1");
    rig_flush(&r);
    (void)rig_do(&r, "put a 2 lease=2"); /* moves */
    (void)rig_do(&r, "put b 2");         /* detaches */
    (void)rig_do(&r, "put c 2 keep");    /* stays */
    EXPECT_TEXT(rig_do(&r, "lease 1"), "ttl 10 deadline 0 keys c");
    EXPECT_TEXT(rig_do(&r, "lease 2"), "ttl 10 deadline 0 keys a");
    (void)rig_do(&r, "del a");
    EXPECT_TEXT(rig_do(&r, "lease 2"), "ttl 10 deadline 0 keys");
    (void)rig_do(&r, "put a 3");
    EXPECT_TEXT(rig_do(&r, "revoke 2"), "r9 OK"); /* deletes nothing */
    EXPECT_TEXT(rig_do(&r, "revoke 1"), "r10 OK");
    EXPECT_TEXT(rig_do(&r, "get a to=z keys"),
                "a= c9 m9 v1; b= c3 m6 v2; count 2");
    rig_end(&r);
}

/* Danger: a transaction that is refused has done its first half. */
TEST(lease, an_unknown_lease_refuses_the_whole_transaction_before_it_runs)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    const struct kv_op ops[] = {
        {.type = KV_OP_PUT, .put = {.key = bytes_of("a"), .lease = 7}},
        {.type = KV_OP_PUT, .put = {.key = bytes_of("b"), .lease = 8}}};
    EXPECT_INT(
        rig_txn(&r, &(struct kv_txn_spec){.success = ops, .success_count = 2}),
        ST_LEASE_NOT_FOUND);
    EXPECT_TEXT(rig_do(&r, "get a to=z"), "count 0");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys");
    EXPECT_TEXT(rig_do(&r, "put a 1 lease=8"), "LEASE_NOT_FOUND");
    /* A branch that is not taken asks for nothing. */
    EXPECT_INT(
        rig_txn(&r, &(struct kv_txn_spec){.failure = ops, .failure_count = 2}),
        ST_OK);
    rig_end(&r);
}

/* Danger: a leader that was stopped, and goes on later, revokes what its
 * successor has kept alive. */
TEST(lease, what_a_leader_decided_counts_in_its_own_term_only)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    (void)rig_do(&r, "put a 1 lease=7");
    EXPECT_TEXT(rig_do(&r, "revoke 7 term=2"), "r2 NOT_LEADER");
    EXPECT_TEXT(rig_do(&r, "checkpoint 500 7=900 term=2"), "r2 NOT_LEADER");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys a");
    EXPECT_TEXT(rig_do(&r, "leases"), "7 clock 0 count 1");
    EXPECT_TEXT(rig_do(&r, "revoke 7 term=1"), "r3 OK");
    rig_end(&r);
}

/* Danger: a change of leader shortens a lease, since the clock went back. */
TEST(lease, checkpoints_set_deadlines_and_the_clock_goes_forward_only)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    EXPECT_TEXT(rig_do(&r, "checkpoint 500 7=9000 8=1"), "r1 OK");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 9000 keys");
    EXPECT_TEXT(rig_do(&r, "lease 8"), "no lease"); /* gone meanwhile */
    EXPECT_TEXT(rig_do(&r, "checkpoint 400 7=0"), "r1 OK");
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys");
    EXPECT_TEXT(rig_do(&r, "leases"), "7 clock 500 count 1");
    rig_flush(&r);
    rig_restart(&r);
    EXPECT_TEXT(rig_do(&r, "leases"), "7 clock 500 count 1");
    rig_end(&r);
}

/* Danger: rows in memory, on their way to the disk and on it are taken for
 * different leases; a replica that flushes differs from one that does not. */
TEST(lease, flushes_and_restarts_change_nothing)
{
    struct rig r, other;
    rig_begin(&r);
    rig_begin(&other);
    struct rig *const both[] = {&r, &other};
    for (unsigned i = 0; i < 2; i++) {
        struct rig *at = both[i];
        (void)rig_do(at, "grant 1 10");
        (void)rig_do(at, "grant 2 10");
        (void)rig_do(at, "put a 1 lease=1");
        (void)rig_do(at, "put b 1 lease=1");
        if (i == 0) {
            rig_flush(at);
        }
        (void)rig_do(at, "put a 1 lease=2");
        (void)rig_do(at, "revoke 1");
        struct store_flush *f = i == 0 ? store_flush_begin(at->store) : NULL;
        (void)rig_do(at, "grant 1 20");
        (void)rig_do(at, "put c 1 lease=1");
        EXPECT_TEXT(rig_do(at, "lease 1"), "ttl 20 deadline 0 keys c");
        EXPECT_TEXT(rig_do(at, "lease 2"), "ttl 10 deadline 0 keys a");
        if (f != NULL) {
            EXPECT_INT(store_flush_run(f, &at->fault), ST_OK);
            EXPECT_INT(store_flush_end(at->store, f, &at->fault), ST_OK);
            rig_restart(at);
        }
    }
    EXPECT_INT(rig_hash(&r), rig_hash(&other));
    rig_flush(&r);
    EXPECT_TEXT(rig_do(&r, "lease 1"), "ttl 20 deadline 0 keys c");
    EXPECT_INT(rig_hash(&r), rig_hash(&other));
    rig_end(&r);
    rig_end(&other);
}

/* Danger: a thousand leases cost a walk over all their keys. */
TEST(lease, a_list_passes_over_keys)
{
    struct rig r;
    rig_begin(&r);
    for (int i = 1; i <= 5; i++) {
        (void)rig_do(&r, "grant %d 10", i);
        for (int k = 0; k < 3 * i; k++) {
            (void)rig_do(&r, "put key%d-%d 1 lease=%d", i, k, i);
        }
        if (i == 3) {
            rig_flush(&r);
        }
    }
    EXPECT_TEXT(rig_do(&r, "leases"), "1 2 3 4 5 clock 0 count 5");
    rig_flush(&r);
    EXPECT_TEXT(rig_do(&r, "leases"), "1 2 3 4 5 clock 0 count 5");
    rig_end(&r);
}

/* Danger: keys longer than LMDB's lose their lease. */
TEST(lease, keys_of_any_length_can_be_attached)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    static char key[3000];
    memset(key, 'k', sizeof key);
    for (size_t size = 470; size < 490; size++) {
        const struct kv_op op = {
            .type = KV_OP_PUT,
            .put = {.key = {(const uint8_t *)key, size}, .lease = 7}};
        EXPECT_INT(rig_op(&r, &op), ST_OK);
    }
    const struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = {(const uint8_t *)key, sizeof key}, .lease = 7}};
    EXPECT_INT(rig_op(&r, &op), ST_OK);
    rig_flush(&r);
    const struct bytes *keys;
    size_t count;
    store_results_clear(r.results);
    EXPECT_INT(store_lease_keys(r.store, 7, r.results, &keys, &count, &r.fault),
               ST_OK);
    EXPECT_INT(count, 21);
    for (size_t i = 0; i < 20; i++) {
        EXPECT_INT(keys[i].size, 470 + i);
    }
    (void)rig_do(&r, "revoke 7");
    EXPECT_TEXT(rig_do(&r, "get a to=z"), "count 0");
    rig_end(&r);
}
