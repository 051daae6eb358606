/* Leases of one member, every moment chosen by the test: node/lease.h. */

#include "base/prng.h"
#include "tests/node/rig.h"

static void put_leased(struct rig *r, struct rig_put *p, const char *key,
                       int64_t lease)
{
    rig_put(r, p, key, "x");
    p->op.put.lease = lease;
    rig_settle(r);
    (void)rig_trace(r);
}

static const char *ask(struct rig *r, enum kv_lease_op op, int64_t id,
                       int64_t ttl_s)
{
    struct rig_lease l;
    rig_lease(r, &l, op, id, ttl_s);
    rig_settle(r);
    EXPECT_INT(l.calls, 1);
    return rig_trace(r);
}

/* etcd-surface 1.6, row by row; the least TTL is one and a half election
 * timeouts, in whole seconds. */
TEST(lease, calls_answer_what_etcd_answers)
{
    struct rig r = {0};
    struct rig_put p;
    rig_start(&r);
    rig_settle(&r);
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 7, 10), "grant 7 OK ttl 10\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 7, 10), "grant 7 LEASE_EXISTS\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 8, 1), "grant 8 OK ttl 2\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 9, -5), "grant 9 OK ttl 2\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 10, KV_LEASE_TTL_MAX),
                "grant 10 OK ttl 9000000000\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 11, KV_LEASE_TTL_MAX + 1),
                "grant 11 LEASE_TTL_TOO_LARGE\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0), "keepalive 7 OK ttl 10\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 6, 0), "keepalive 6 OK ttl 0\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 6, 0), "ttl 6 OK ttl -1 of 0\n");
    put_leased(&r, &p, "/b", 7);
    put_leased(&r, &p, "/a", 7);
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 7, 0),
                "ttl 7 OK ttl 10 of 10 keys /a /b\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 10, 0),
                "ttl 10 OK ttl 9000000000 of 9000000000\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_LIST, 0, 0), "list OK 8 9 7 10\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_REVOKE, 7, 0), "revoke 7 OK @4\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_REVOKE, 7, 0), "revoke 7 LEASE_NOT_FOUND\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0), "keepalive 7 OK ttl 0\n");
    rig_end(&r);
}

TEST(lease, chosen_ids_are_positive_and_differ)
{
    struct rig r = {0};
    struct rig_lease l;
    int64_t before = 0;
    rig_start(&r);
    rig_settle(&r);
    for (int i = 0; i < 3; i++) {
        rig_lease(&r, &l, KV_LEASE_GRANT, 0, 10);
        rig_settle(&r);
        EXPECT_INT(l.lease.call.status, ST_OK);
        EXPECT(l.lease.result.id > 0 && l.lease.result.id != before);
        before = l.lease.result.id;
    }
    rig_end(&r);
}

/* Danger: a lease ends early, or never. */
TEST(lease, a_lease_ends_when_nobody_renews_it_and_not_before)
{
    struct rig r = {0};
    struct rig_put p;
    struct rig_get g;
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 3);
    put_leased(&r, &p, "/a", 7);
    for (int i = 0; i < 5; i++) {
        rig_pass(&r, 25);
        EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0),
                    "keepalive 7 OK ttl 3\n");
    }
    rig_pass(&r, 29);
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 7, 0), "ttl 7 OK ttl 0 of 3 keys /a\n");
    rig_pass(&r, 2);
    rig_get(&r, &g, "/a", true);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "get /a OK ''\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 7, 0), "ttl 7 OK ttl -1 of 0\n");
    EXPECT_TEXT(ask(&r, KV_LEASE_LIST, 0, 0), "list OK\n");
    rig_end(&r);
}

/* Danger: a restart or a change of leader gives every idle lease its whole TTL
 * again, so that what nobody renews lives for ever. */
TEST(lease, a_checkpoint_bounds_what_a_new_leader_gives)
{
    struct rig r = {0};
    struct rig_put p;
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 60);
    put_leased(&r, &p, "/a", 7);
    for (int life = 0; life < 5; life++) {
        rig_pass(&r, 100); /* ten seconds */
        rig_crash(&r);
        rig_start(&r);
        rig_settle(&r);
    }
    rig_pass(&r, 1);
    struct rig_lease l;
    rig_lease(&r, &l, KV_LEASE_TTL, 7, 0);
    rig_settle(&r);
    /* 50 of 60 seconds have passed; each start gave back 5 at most. */
    EXPECT(l.lease.result.ttl_s >= 9 && l.lease.result.ttl_s <= 35);
    rig_pass(&r, 10 * (unsigned)(l.lease.result.ttl_s + 2));
    (void)rig_trace(&r);
    EXPECT_TEXT(ask(&r, KV_LEASE_LIST, 0, 0), "list OK\n");
    rig_end(&r);
}

/* Danger (L2): a client was promised its whole TTL, and the next leader reads
 * an old deadline in the log. */
TEST(lease, a_renewal_is_in_the_log_before_it_is_answered_when_it_must_be)
{
    struct rig r = {0};
    struct rig_lease l;
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 20);
    rig_pass(&r, 100); /* its deadline is in the log by now */
    rig_lease(&r, &l, KV_LEASE_KEEPALIVE, 7, 0);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), ""); /* not durable yet */
    EXPECT(replica_has_save(r.replica));
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "keepalive 7 OK ttl 20\n");
    rig_crash(&r);
    rig_start(&r);
    rig_settle(&r);
    EXPECT_TEXT(ask(&r, KV_LEASE_TTL, 7, 0), "ttl 7 OK ttl 20 of 20\n");
    rig_end(&r);
}

/* Danger: keepalives of many clients fill the log. */
TEST(lease, leases_that_are_renewed_often_cost_the_log_nothing)
{
    struct rig r = {0};
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 10);
    const size_t saves = r.saves;
    for (int i = 0; i < 20; i++) {
        rig_pass(&r, 33);
        EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0),
                    "keepalive 7 OK ttl 10\n");
    }
    EXPECT_INT(r.saves, saves);
    rig_end(&r);
}

/* Danger: a member that slept revokes at once what could not be renewed
 * meanwhile. */
TEST(lease, time_in_which_the_member_did_not_run_does_not_count)
{
    struct rig r = {0};
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 5);
    rig_pass(&r, 10);
    r.clock.now_ns += 60 * INT64_C(1000000000);
    rig_pass(&r, 30);
    EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0), "keepalive 7 OK ttl 5\n");
    rig_pass(&r, 52);
    EXPECT_TEXT(ask(&r, KV_LEASE_KEEPALIVE, 7, 0), "keepalive 7 OK ttl 0\n");
    rig_end(&r);
}

/* Danger (L3): a client is told that its lease lives, and a revoke that was on
 * its way takes it. */
TEST(lease, a_renewal_that_comes_too_late_hears_of_the_end)
{
    struct rig r = {0};
    struct rig_lease l;
    rig_start(&r);
    rig_settle(&r);
    (void)ask(&r, KV_LEASE_GRANT, 7, 2);
    rig_pass(&r, 19);
    r.clock.now_ns += 100 * INT64_C(1000000);
    replica_tick(r.replica);
    rig_turn(&r); /* the revoke is proposed and not durable */
    EXPECT(replica_has_save(r.replica));
    rig_lease(&r, &l, KV_LEASE_KEEPALIVE, 7, 0);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "keepalive 7 OK ttl 0\n");
    rig_end(&r);
}

/* Danger: a thousand leases that end together stop all other work. */
TEST(lease, revokes_are_spread)
{
    struct rig r = {0};
    struct rig_put p;
    rig_start(&r);
    rig_settle(&r);
    for (int i = 1; i <= 1000; i++) {
        (void)ask(&r, KV_LEASE_GRANT, i, 5);
    }
    rig_pass(&r, 50);
    unsigned ticks = 0;
    uint64_t left = store_leases_count(r.store);
    while (left > 0) {
        rig_put(&r, &p, "/a", "x");
        rig_pass(&r, 1);
        EXPECT_INT(p.calls, 1); /* in the same tick */
        const uint64_t now = store_leases_count(r.store);
        EXPECT(left - now <= 100);
        left = now;
        ticks++;
        EXPECT(ticks < 20);
    }
    EXPECT(ticks >= 9);
    rig_end(&r);
}

/* Danger: a call that gave up is answered again, or its memory touched. */
TEST(lease, calls_that_give_up_are_answered_once)
{
    struct rig r = {0};
    struct rig_lease a, b;
    rig_start(&r); /* no leader yet: nothing can be answered */
    rig_lease(&r, &a, KV_LEASE_KEEPALIVE, 7, 0);
    rig_lease(&r, &b, KV_LEASE_TTL, 7, 0);
    kv_cancel(r.kv, &a.lease.call);
    rig_turn(&r);
    EXPECT_INT(a.calls, 1);
    EXPECT_TEXT(rig_trace(&r), "keepalive 7 CANCELED\n");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "ttl 7 OK ttl -1 of 0\n");
    EXPECT_INT(a.calls, 1);
    EXPECT_INT(b.calls, 1);
    rig_end(&r);
}

/* Danger: bytes of another member bring this one down. */
TEST(lease, frames_that_make_no_sense_are_ignored)
{
    struct rig r = {0};
    struct prng chance;
    rig_start(&r);
    rig_settle(&r);
    prng_init(&chance, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        const size_t size = prng_below(&chance, sizeof bytes);
        prng_fill(&chance, bytes, sizeof bytes);
        bytes[0] = 0;
        bytes[1] = (uint8_t)prng_below(&chance, 4);
        bytes[3] = prng_chance(&chance, 1, 2) ? KV_LEASE_KEEPALIVE : bytes[3];
        replica_receive_lease(r.replica, 9, (struct bytes){bytes, size});
        if (i % 100 == 0) {
            rig_turn(&r);
        }
    }
    rig_settle(&r);
    EXPECT_TEXT(ask(&r, KV_LEASE_GRANT, 7, 10), "grant 7 OK ttl 10\n");
    rig_end(&r);
}
