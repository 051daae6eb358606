/* One member of three, the others played by the test: reads, and what a
 * follower's log has to write. */

#include "base/codec.h"
#include "node/node_internal.h"
#include "node/replica_internal.h"
#include "tests/node/rig.h"

static struct raft_message heartbeat(uint64_t from, uint64_t term)
{
    return (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .from = from, .term = term};
}

static void begin(struct rig *r)
{
    *r = (struct rig){.of_three = true};
    rig_start(r);
    rig_settle(r);
}

/* A leader that died has taken the question with it: whoever asked waited for
 * the next try, half a second and more, while the new leader was there. */
TEST(three, reads_ask_a_new_leader_at_once)
{
    struct rig r;
    struct rig_get g;
    begin(&r);
    rig_hear(&r, heartbeat(8, 1));
    rig_settle(&r);
    (void)rig_sent(&r);
    rig_get(&r, &g, "/a", false);
    rig_turn(&r);
    EXPECT_TEXT(rig_sent(&r), "to 8: MsgReadIndex index 0 commit 0\n");
    rig_hear(&r, heartbeat(9, 2));
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgHeartbeatResp index 0 commit 0\n"
                              "to 9: MsgReadIndex index 0 commit 0\n");
    rig_hear(&r, heartbeat(9, 2)); /* and no oftener */
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgHeartbeatResp index 0 commit 0\n");
    EXPECT_TEXT(rig_trace(&r), "");
    rig_end(&r);
}

/* Danger: every write costs each follower a second sync, for an index that a
 * restart can do without.  But a vote that was given must be there. */
TEST(three, a_commit_index_alone_touches_no_disk)
{
    struct save_job j = {.wal = NULL}; /* to write anything would crash */
    j.hard_state = j.written = (struct raft_hard_state){.term = 2, .vote = 8};
    struct raft_message answer = {.type = RAFT_MSG_APPEND_RESPONSE};
    const struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND,
                                   .term = 2,
                                   .vote = 8,
                                   .commit = 9,
                                   .responses = &answer,
                                   .responses_count = 1};
    EXPECT_INT(save_append(&j, &m), ST_OK);
    EXPECT(!j.unsynced);
    EXPECT(j.hard_state_waits); /* it goes with the next entries */
    EXPECT_INT(j.hard_state.commit, 9);
}

TEST(three, a_vote_is_written_before_it_is_given)
{
    struct disk *disk;
    struct fault fault = {{0}};
    struct wal_options options;
    struct wal_recovery found;
    struct save_job j = {.wal = NULL};
    EXPECT_INT(disk_open(test_directory(), &disk, &fault), ST_OK);
    wal_options_default(&options);
    options.segment_size = 64 * 1024;
    EXPECT_INT(wal_open(disk, &options, NULL, NULL, &found, &j.wal, &fault),
               ST_OK);
    struct raft_message answer = {.type = RAFT_MSG_VOTE_RESPONSE};
    const struct raft_message m = {.type = RAFT_MSG_STORAGE_APPEND,
                                   .term = 2,
                                   .vote = 8,
                                   .responses = &answer,
                                   .responses_count = 1};
    EXPECT_INT(save_append(&j, &m), ST_OK);
    EXPECT(j.unsynced);
    wal_close(j.wal);
}

static void presume(struct rig *r, struct rig_get *g)
{
    rig_get(r, g, "/a", false);
    g->range.spec.may_presume = true;
    rig_turn(r);
}

/* Cutting a file off asks whether it is there; four messages for that were a
 * third of what the write cost.  The leader presumes, and says so. */
TEST(three, a_leader_presumes_what_it_was_asked_to_and_nothing_else)
{
    struct rig r;
    struct rig_get g, h;
    begin(&r);
    rig_elect(&r);
    presume(&r, &g);
    EXPECT_TEXT(rig_trace(&r), "get /a OK ''\n");
    EXPECT_TEXT(rig_sent(&r), "");
    EXPECT(g.range.result.presumed);
    EXPECT_INT(g.range.call.header.raft_term, 1);
    rig_get(&r, &h, "/a", false);
    rig_turn(&r);
    EXPECT_TEXT(rig_trace(&r), "");
    EXPECT_TEXT(rig_sent(&r), "to 8: MsgHeartbeat index 1 commit 1\n"
                              "to 9: MsgHeartbeat index 1 commit 0\n");
    rig_hear(&r, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESPONSE,
                                       .from = 8,
                                       .term = 1,
                                       .index = 1});
    EXPECT_TEXT(rig_trace(&r), "get /a OK ''\n");
    EXPECT(!h.range.result.presumed);
    rig_end(&r);
}

/* A follower knows nothing of what the leader has committed since. */
TEST(three, a_follower_presumes_nothing)
{
    struct rig r;
    struct rig_get g;
    begin(&r);
    rig_hear(&r, heartbeat(8, 1));
    rig_settle(&r);
    (void)rig_sent(&r);
    presume(&r, &g);
    EXPECT_TEXT(rig_sent(&r), "to 8: MsgReadIndex index 0 commit 0\n");
    EXPECT_TEXT(rig_trace(&r), "");
    rig_end(&r);
}

/* The beginning of the log: so many entries of each term. */
static struct raft_message append(uint64_t from, uint64_t term, uint64_t index,
                                  uint64_t log_term)
{
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .from = from,
                             .term = term,
                             .index = index,
                             .log_term = log_term,
                             .commit = index + 1};
    const struct raft_entry e = {.term = term, .index = index + 1};
    raft_entries_add(&m.entries, &e, 1);
    return m;
}

/* A close() on a follower's mount hung for its whole timeout when the leader
 * died with its write.  It cannot have been committed once an entry of the next
 * term is applied, so it is made again, and only then. */
TEST(three, a_write_that_was_lost_with_its_leader_is_made_again)
{
    struct rig r;
    struct rig_put p;
    begin(&r);
    rig_hear(&r, append(8, 1, 0, 0));
    rig_settle(&r);
    (void)rig_sent(&r);
    rig_put(&r, &p, "/a", "1");
    rig_turn(&r);
    EXPECT_TEXT(rig_sent(&r), "to 8: MsgProp index 0 commit 0 +1\n");
    rig_hear(&r, heartbeat(9, 2)); /* it may be in this one's log */
    rig_settle(&r);
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgHeartbeatResp index 0 commit 0\n");
    struct raft_message m = append(9, 2, 1, 1);
    m.commit = 1;
    rig_hear(&r, m); /* its first entry is there, and not committed */
    rig_settle(&r);
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgAppResp index 2 commit 0\n");
    m = heartbeat(9, 2);
    m.commit = 2;
    rig_hear(&r, m);
    rig_settle(&r);
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgHeartbeatResp index 0 commit 0\n"
                              "to 9: MsgProp index 0 commit 0 +1\n");
    EXPECT_TEXT(rig_trace(&r), "");
    EXPECT_INT(p.calls, 0);
    rig_end(&r);
}

/* What was committed in time is answered, and not made again. */
TEST(three, a_write_that_its_leader_had_committed_is_answered_once)
{
    struct rig r, leader;
    struct rig_put p, same;
    begin(&r);
    rig_hear(&r, append(8, 1, 0, 0));
    rig_settle(&r);
    rig_put(&r, &p, "/a", "1");
    rig_turn(&r);
    (void)rig_sent(&r);
    /* The same command as an entry: of a member with the same tickets. */
    leader = (struct rig){.life = r.life - 1};
    rig_start(&leader);
    rig_settle(&leader);
    rig_put(&leader, &same, "/a", "1");
    rig_settle(&leader);
    struct raft_message m = append(8, 1, 1, 1);
    m.entries.list[0].payload =
        payload_hold(leader.disk.list[leader.disk.count - 1].payload);
    const struct raft_entry next = {.term = 2, .index = 3};
    raft_entries_add(&m.entries, &next, 1);
    m.from = 9; /* the next leader has it, and commits it with its own */
    m.term = 2;
    m.commit = 3;
    rig_hear(&r, m);
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\n");
    EXPECT_TEXT(rig_sent(&r), "to 9: MsgAppResp index 3 commit 0\n");
    EXPECT_INT(p.calls, 1);
    rig_end(&leader);
    rig_end(&r);
}

static struct raft_message next(uint64_t index, const struct buf *command)
{
    struct payload *payload = payload_copy_of(buf_bytes(command));
    const struct raft_entry e = {.index = index, .term = 1, .payload = payload};
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .from = 8,
                             .term = 1,
                             .index = index - 1,
                             .log_term = index > 1,
                             .commit = index};
    raft_entries_add(&m.entries, &e, 1);
    payload_drop(payload);
    return m;
}

/* Danger: a leader with a bug, or none of ours, makes an entry that bears the
 * ticket of a call and is something else: its outcome, of another shape, was
 * taken for the call's. */
TEST(three, another_entry_with_a_calls_ticket_answers_nothing)
{
    struct rig r;
    struct rig_put put;
    struct buf own = {0}, other = {0};
    begin(&r);
    rig_hear(&r, heartbeat(8, 1));
    rig_settle(&r);
    rig_put(&r, &put, "/a", "1");
    rig_turn(&r);
    const struct store_stamp stamp = {.time_ns = r.clock.wall_ns,
                                      .ticket = r.replica->pending.ticket_last,
                                      .member = 7};
    store_encode_compact(&stamp, 1, &other);
    rig_hear(&r, next(1, &other));
    rig_settle(&r);
    const struct kv_op erase = {
        .type = KV_OP_DELETE_RANGE,
        .delete_range = {.keys = {.key = bytes_of("/a")}}};
    const struct kv_txn_spec txn = {.success = &erase, .success_count = 1};
    buf_clear(&other);
    store_encode_txn(&stamp, &txn, &other);
    rig_hear(&r, next(2, &other));
    rig_settle(&r);
    const struct membership_stamp ours = {stamp.ticket, 7};
    const struct membership_change change = {
        .op = MEMBERSHIP_PUBLISH, .id = 9, .name = bytes_of("nine")};
    buf_clear(&other);
    membership_encode(&ours, &change, 1, &other);
    rig_hear(&r, next(3, &other));
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "");
    store_encode_txn(&stamp, &put.txn.spec, &own);
    rig_hear(&r, next(4, &own));
    rig_settle(&r);
    EXPECT_TEXT(rig_trace(&r), "put /a OK @2\n");
    buf_fini(&own);
    buf_fini(&other);
    rig_end(&r);
}

static void ignore(struct kv_call *call)
{
    (void)call;
}

/* Likewise of the answer to a question about a lease. */
TEST(three, an_answer_about_leases_answers_no_change_of_members)
{
    struct rig r;
    begin(&r);
    rig_hear(&r, heartbeat(8, 1));
    rig_settle(&r);
    struct admin_members call = {.call = {.done = ignore}};
    struct pending *p = pending_add(&r.replica->pending, &call.call,
                                    PENDING_MEMBERS, true, INT64_MAX);
    pending_set_asking(&r.replica->pending, p);
    struct buf frame = {0};
    write_u8(&frame, 0);
    write_u8(&frame, 2); /* answers */
    write_varint(&frame, 0);
    write_varint(&frame, p->ticket);
    write_svarint(&frame, 10);
    write_svarint(&frame, 10);
    replica_receive_lease(r.replica, 8, buf_bytes(&frame));
    EXPECT(list_is_empty(&r.replica->leases.answered));
    EXPECT_INT(p->place, PENDING_ASKING);
    buf_fini(&frame);
    rig_end(&r);
}
