/* One member of three, the others played by the test: reads, and what a
 * follower's log has to write. */

#include "node/node_internal.h"
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
