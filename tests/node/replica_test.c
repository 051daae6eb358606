/* The replica's promises (node/replica.h, N1 to N5; kv/kv.h, rules 2 and 4),
 * one member, every durable moment chosen by the test. */

#include "tests/node/rig.h"

/* An answer before the sync is a promise that a power cut breaks. */
TEST(replica, a_write_is_answered_only_when_it_is_durable)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    EXPECT_TEXT(rig_trace(&r), ""); /* never from inside the submission */
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "");
    EXPECT(replica_has_save(r.replica));
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\n");
    EXPECT_INT(a.calls, 1);
    rig_end(&r);
}

/* Group commit is what makes many writers fast: all that were submitted in one
 * turn share one save. */
TEST(replica, the_writes_of_a_turn_share_one_save)
{
    struct rig r = {0};
    struct rig_put a, b, c;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_put(&r, &b, "/b", "1");
    rig_put(&r, &c, "/a", "2");
    rig_turn(&r);
    struct raft_message m;
    struct fault fault;
    EXPECT(replica_take_save(r.replica, &m));
    EXPECT_INT(m.entries.count, 3);
    EXPECT(!replica_has_save(r.replica));
    EXPECT_INT(replica_saved(r.replica, &m, &fault), ST_OK);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\nput /b OK @3\nput /a OK @4\n");
    rig_end(&r);
}

/* A reader must see what was acknowledged before it asked, and nothing that
 * may still be lost. */
TEST(replica, a_read_sees_what_was_acknowledged_and_nothing_more)
{
    struct rig r = {0};
    struct rig_put a, b;
    struct rig_get g, s;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "old");
    rig_settle(&r);
    rig_put(&r, &b, "/a", "new");
    rig_get(&r, &g, "/a", false);
    rig_get(&r, &s, "/a", true);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\n"
                               "get /a OK 'old'\n"
                               "get /a OK 'old'\n");
    rig_settle(&r);
    rig_get(&r, &g, "/a", false);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @3\nget /a OK 'new'\n");
    rig_end(&r);
}

/* Losing an acknowledged write is the one thing that is never forgiven; and
 * what was only submitted may come or not, but not halfway. */
TEST(replica, acknowledged_writes_survive_a_crash)
{
    struct rig r = {0};
    struct rig_put a, b, c;
    struct rig_get g;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    rig_flush(&r);
    rig_put(&r, &b, "/b", "2");
    rig_settle(&r);
    rig_put(&r, &c, "/c", "3"); /* never saved */
    rig_turn(&r);
    rig_crash(&r);
    EXPECT_INT(c.calls, 1);

    rig_start(&r);
    rig_settle(&r);
    rig_get(&r, &g, "/a", false);
    rig_turn(&r);
    rig_get(&r, &g, "/b", false);
    rig_turn(&r);
    rig_get(&r, &g, "/c", false);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "get /a OK '1'\nget /b OK '2'\nget /c OK ''\n");
    rig_end(&r);
}

/* Entries of an earlier life come out of the log again: their tickets must not
 * answer the calls of this one. */
TEST(replica, an_earlier_lifes_entry_answers_nobody)
{
    struct rig r = {0};
    struct rig_put a, b;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    rig_crash(&r);
    rig_start(&r);
    rig_turn(&r);
    while (!rig_leads(&r)) {
        rig_save_one(&r); /* its vote: the old entry stays uncommitted */
    }
    rig_put(&r, &b, "/b", "2");
    rig_turn(&r);
    rig_save_one(&r); /* the new term's first entry commits the old one */
    EXPECT_INT(store_revision(r.store), 2);
    EXPECT_INT(b.calls, 0);
    rig_settle(&r);
    EXPECT_INT(b.calls, 1);
    EXPECT_TEXT(rig_trace(&r), "put /b OK @3\n");
    rig_end(&r);
}

static struct rig *watching; /* by the one watch of the test below */

static void on_events(struct kv_watch *w, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    (void)w;
    (void)header;
    for (size_t i = 0; i < count; i++) {
        rig_say(watching, "event %.*s @%lld", (int)events[i].item.key.size,
                (const char *)events[i].item.key.data,
                (long long)events[i].item.mod_revision);
    }
}

/* The filesystem tells its own changes from others' by the answer's revision:
 * the answer has to come first (kv.h rule 4). */
TEST(replica, a_write_is_answered_before_its_event)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    struct kv_watch w = {.keys = {bytes_of("/"), bytes_of("0")},
                         .on_events = on_events};
    watching = &r;
    kv_watch(r.kv, &w);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\nevent /a @2\n");
    kv_unwatch(r.kv, &w);
    rig_put(&r, &a, "/a", "2");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @3\n");
    rig_end(&r);
}

/* A caller whose time is over must hear so, once, whatever happens later. */
TEST(replica, a_deadline_ends_a_write_and_only_once)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_turn(&r);
    EXPECT_INT(replica_next_deadline(r.replica), 1000 + 5000000000);
    r.clock.now_ns = 1000 + 5000000000 - 1;
    rig_turn(&r);
    EXPECT_INT(a.calls, 0);
    r.clock.now_ns++;
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a TIMEOUT @0\n");
    rig_settle(&r); /* it is applied all the same: the outcome was unknown */
    EXPECT_INT(a.calls, 1);
    EXPECT_INT(store_revision(r.store), 2);
    rig_end(&r);
}

/* An interrupted program must not wait for a quorum. */
TEST(replica, cancel_answers_soon_and_once)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_turn(&r);
    kv_cancel(r.kv, &a.txn.call);
    EXPECT_INT(a.calls, 0); /* never from inside */
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a CANCELED @0\n");
    rig_settle(&r);
    EXPECT_INT(a.calls, 1);
    rig_end(&r);
}

/* Every queue has a bound, and says so at once. */
TEST(replica, calls_beyond_the_bound_are_refused)
{
    struct rig r = {0};
    struct rig_put p[5];
    rig_start(&r);
    rig_settle(&r);
    const char *const keys[] = {"/0", "/1", "/2", "/3", "/4"};
    for (int i = 0; i < 5; i++) {
        rig_put(&r, &p[i], keys[i], "x");
    }
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /4 TOO_MANY @0\n");
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /0 OK @2\nput /1 OK @3\n"
                               "put /2 OK @4\nput /3 OK @5\n");
    rig_end(&r);
}

/* A full disk is found out before the entry is in the log, not after. */
TEST(replica, no_room_in_the_log_refuses_before_proposing)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    r.log_full = true;
    rig_put(&r, &a, "/a", "1");
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a NO_SPACE @0\n");
    EXPECT(!replica_has_save(r.replica));
    rig_end(&r);
}

/* The request limit is the contract's EFBIG. */
TEST(replica, a_request_over_the_limit_is_refused)
{
    static char value[64 * 1024 + 1024];
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r);
    rig_settle(&r);
    memset(value, 'x', sizeof value - 1);
    rig_put(&r, &a, "/a", value);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a TOO_LARGE @0\n");
    value[64 * 1024 - 512] = '\0';
    rig_put(&r, &a, "/a", value);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\n");
    rig_end(&r);
}

/* Before a leader is known nothing is taken: the caller would believe it. */
TEST(replica, without_a_leader_writes_are_refused_at_once)
{
    struct rig r = {0};
    struct rig_put a;
    rig_start(&r); /* the vote for itself is not durable yet */
    rig_put(&r, &a, "/a", "1");
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a NO_LEADER @0\n");
    struct kv_status s;
    kv_status(r.kv, &s);
    EXPECT(!s.writable);
    EXPECT_INT(s.role, KV_CANDIDATE);
    EXPECT_INT(s.leader, 0);
    rig_settle(&r);
    kv_status(r.kv, &s);
    EXPECT(s.writable);
    EXPECT(replica_is_ready(r.replica));
    rig_end(&r);
}

/* People look for a name, not for an id. */
TEST(replica, the_status_names_the_members)
{
    struct rig r = {0};
    struct kv_status s;
    rig_start(&r);
    rig_settle(&r);
    kv_status(r.kv, &s);
    EXPECT_INT(s.members_count, 1);
    EXPECT_INT(s.members[0].id, 7);
    EXPECT_TEXT(s.members[0].name, "seven");
    EXPECT(s.members[0].is_self);
    EXPECT(!s.members[0].is_learner);
    EXPECT_INT(s.role, KV_LEADER);
    EXPECT_INT(s.leader, 7);
    EXPECT_INT(s.applied, store_applied_index(r.store));
    rig_end(&r);
}

/* The log may go only where the store has it durably (N5). */
TEST(replica, the_log_is_trimmed_behind_the_durable_store)
{
    struct rig r = {0};
    struct rig_put a;
    uint64_t index, term;
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    EXPECT(!replica_trim_point(r.replica, &index, &term));
    rig_flush(&r);
    EXPECT(replica_trim_point(r.replica, &index, &term));
    EXPECT_INT(index, store_applied_index(r.store));
    EXPECT_INT(term, 1);
    EXPECT(!replica_trim_point(r.replica, &index, &term));
    rig_end(&r);
}

/* A value nearly as large as a request may be. */
static const char *large_value(void)
{
    static char text[60 * 1000];
    memset(text, 'v', sizeof text - 1);
    return text;
}

/* Large entries are forgotten in memory long before there are as many as are
 * kept for slow followers; if the log waited for that number, it would take the
 * whole disk. */
TEST(replica, the_log_of_large_entries_is_trimmed_too)
{
    struct rig r = {.of_three = true, .log_keep_entries = 5000};
    struct rig_put put;
    uint64_t index, term;
    rig_start(&r);
    rig_elect(&r);
    for (int i = 0; i < 100; i++) {
        rig_put(&r, &put, "/a", large_value());
        rig_settle(&r);
        rig_hear(&r, (struct raft_message){.type = RAFT_MSG_APPEND_RESPONSE,
                                           .from = 8,
                                           .term = 1,
                                           .index = (uint64_t)i + 2});
        rig_settle(&r);
        EXPECT_INT(put.calls, 1);
    }
    EXPECT(!replica_trim_point(r.replica, &index, &term));
    rig_flush(&r);
    rig_turn(&r);
    EXPECT(replica_trim_point(r.replica, &index, &term));
    EXPECT(index + 20 > store_durable_index(r.store));
    EXPECT_INT(term, 1);
    rig_end(&r);
}

static void nobody_asks(struct kv_call *call)
{
    EXPECT_INT(call->status, ST_OK);
}

/* What changes nothing is in the log all the same: an endless loop of refused
 * swaps must not fill the disk, nor be replayed for minutes by the next start.
 */
TEST(replica, a_log_of_entries_without_effect_is_flushed_and_trimmed)
{
    struct rig r = {0};
    uint64_t index, term;
    rig_start(&r);
    rig_settle(&r);
    rig_flush(&r);
    (void)replica_trim_point(r.replica, &index, &term);
    const struct kv_op op = {
        .type = KV_OP_DELETE_RANGE,
        .delete_range = {.keys = {.key = bytes_of(large_value())}}};
    struct store_flush *f = NULL;
    for (int i = 0; i < 30 && f == NULL; i++) {
        struct kv_txn txn = {.call = {.done = nobody_asks},
                             .spec = {.success = &op, .success_count = 1}};
        kv_txn(r.kv, &txn);
        rig_settle(&r);
        f = replica_flush_begin(r.replica, false);
    }
    EXPECT(f != NULL);
    struct fault fault;
    EXPECT_INT(store_flush_run(f, &fault), ST_OK);
    EXPECT_INT(store_flush_end(r.store, f, &fault), ST_OK);
    EXPECT(replica_trim_point(r.replica, &index, &term));
    EXPECT_INT(index, store_applied_index(r.store));
    EXPECT(replica_flush_begin(r.replica, false) == NULL);
    rig_end(&r);
}

/* A store from one copy and a log from another would serve a mixture. */
TEST(replica, a_log_that_does_not_match_the_store_is_refused)
{
    struct rig r = {0};
    struct rig_put a;
    struct fault fault = {{0}};
    rig_start(&r);
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    rig_put(&r, &a, "/a", "1");
    rig_settle(&r);
    rig_flush(&r);
    rig_crash(&r);
    payload_drop(r.disk.list[--r.disk.count].payload);
    EXPECT_INT(rig_try_start(&r, &fault), ST_CORRUPT);
    EXPECT(strstr(fault.text, "do not belong together") != NULL);
    rig_end(&r);
}

static void get_again(struct kv_call *call)
{
    struct rig_get *g = container_of(call, struct rig_get, range.call);
    if (++g->calls < 3) {
        kv_range(g->rig->kv, &g->range);
    }
}

/* A listing asks for its next page from the answer to the last: a page that
 * waits for the next heartbeat makes a large directory crawl. */
TEST(replica, a_call_submitted_by_an_answer_is_answered_in_the_same_turn)
{
    struct rig r = {0};
    struct rig_get g = {.rig = &r};
    rig_start(&r);
    rig_settle(&r);
    g.range.spec.keys.key = bytes_of("/a");
    g.range.spec.serializable = true;
    g.range.call.done = get_again;
    kv_range(r.kv, &g.range);
    rig_turn(&r);
    EXPECT_INT(g.calls, 3);
    rig_end(&r);
}
