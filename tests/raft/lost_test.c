/* A member whose log lost its end (raft/lost.c): what it promised holds, and it
 * gets back what it lost. */

#include "tests/raft/paper.h"

/* Member 3 goes down and comes back without its last `count` entries. */
static void lose(struct cluster *c, uint64_t count)
{
    cluster_crash(c, 3, 0);
    const uint64_t last = raft_memory_storage_last_index(c->members[2]->disk);
    EXPECT(cluster_lose_end(c, 3, last - count));
    cluster_restart(c, 3);
    EXPECT(cluster_status(c, 3).has_lost);
}

/* Danger: the leader believes the follower has what it lost, calls it committed
 * there, and the follower takes that for a contradiction or follows it. */
TEST(lost, the_leader_sends_again_what_it_took_for_acknowledged)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 10);
    cluster_settle(c);
    const uint64_t last = cluster_status(c, 1).last_index;
    lose(c, 6);
    cluster_pass_all(c, 3);
    EXPECT(!cluster_status(c, 3).has_lost);
    EXPECT_INT(cluster_status(c, 3).last_index, last);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    EXPECT_INT(c->members[2]->lost.index, 0);
    cluster_free(c);
}

/* Danger: it is counted for new entries on the strength of old promises.  The
 * leader forgets its match with the first marked answer. */
TEST(lost, a_leader_does_not_count_it_before_it_has_all_again)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 10);
    cluster_settle(c);
    lose(c, 6);
    cluster_tick(c, 1);
    cluster_pump(c, 1);
    while (c->network.count > 0) { /* the heartbeat, and what it answers */
        cluster_deliver(c, 0, false);
        cluster_pump(c, 3);
        (void)cluster_append_one(c, 3);
        struct raft_peer_status peer;
        raft_peer(cluster_raft(c, 1), 2, &peer);
        if (peer.match == 0) {
            break;
        }
    }
    struct raft_peer_status peer;
    raft_peer(cluster_raft(c, 1), 2, &peer);
    EXPECT_INT(peer.id, 3);
    EXPECT_INT(peer.match, 0);
    EXPECT_INT(peer.state, RAFT_PROBE);
    cluster_free(c);
}

/* Danger: entries that 1 and 3 committed are gone when 3 lost them, 1 is down
 * and 2, which never had them, is elected with the vote of 3. */
TEST(lost, the_others_cannot_elect_one_that_lacks_what_was_promised)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 2);
    paper_propose(c, 1, 5);
    cluster_settle(c);
    const size_t committed = c->records_count;
    cluster_crash(c, 1, 0);
    lose(c, 4);
    cluster_heal(c);
    cluster_pass_all(c, 100);
    EXPECT_INT(cluster_leader(c), RAFT_NONE);
    cluster_restart(c, 1);
    cluster_pass_all(c, 60);
    EXPECT_INT(cluster_leader(c), 1);
    EXPECT(!cluster_status(c, 3).has_lost);
    EXPECT(c->records_count > committed);
    cluster_free(c);
}

/* Danger: it leads with a log that lacks what it promised; its own vote is what
 * must not be given.  Also not as an heir. */
TEST(lost, it_does_not_campaign)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 2);
    paper_propose(c, 1, 5);
    cluster_settle(c);
    cluster_crash(c, 1, 0);
    lose(c, 5);
    cluster_heal(c);
    raft_campaign(cluster_raft(c, 3));
    const struct raft_message now = {.type = RAFT_MSG_TIMEOUT_NOW,
                                     .from = 1,
                                     .to = 3,
                                     .term = cluster_status(c, 3).hard.term};
    EXPECT_INT(raft_step(cluster_raft(c, 3), &now), ST_OK);
    EXPECT_INT(cluster_status(c, 3).soft.role, RAFT_FOLLOWER);
    cluster_free(c);
}

/* A loss stays a loss over a restart in the middle of the repair. */
TEST(lost, a_crash_during_the_repair_changes_nothing)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 2);
    paper_propose(c, 1, 5);
    cluster_settle(c);
    cluster_crash(c, 1, 0);
    lose(c, 4);
    cluster_crash(c, 3, 0);
    cluster_restart(c, 3);
    EXPECT(cluster_status(c, 3).has_lost);
    cluster_heal(c);
    cluster_pass_all(c, 100);
    EXPECT_INT(cluster_leader(c), RAFT_NONE);
    cluster_free(c);
}

/* Section 3.6.2: who wrote something later has all that was committed before,
 * though not what nobody else had: the loss ends with its first entry. */
TEST(lost, a_later_terms_entry_ends_the_loss)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    raft_transfer_leader(cluster_raft(c, 1), 3);
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), 3);
    cluster_isolate(c, 3);
    paper_propose(c, 3, 5); /* nobody else ever has these */
    cluster_settle(c);
    lose(c, 5);
    cluster_pass(c, 1, 20);
    cluster_pass(c, 2, 20);
    cluster_pass(c, 1, 20);
    EXPECT(cluster_leader(c) == 1 || cluster_leader(c) == 2);
    EXPECT(cluster_status(c, 3).has_lost);
    cluster_heal(c);
    cluster_pass_all(c, 40);
    EXPECT(!cluster_status(c, 3).has_lost);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    cluster_free(c);
}

/* Danger: a mark on a message from nowhere makes a leader forget more than
 * itself knows.  Old ones only cost a probe. */
TEST(lost, an_old_mark_costs_a_probe_and_nothing_else)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 10);
    cluster_settle(c);
    const struct raft_status before = cluster_status(c, 1);
    const struct raft_message old = {.type = RAFT_MSG_APPEND_RESPONSE,
                                     .from = 3,
                                     .to = 1,
                                     .term = before.hard.term,
                                     .index = 5,
                                     .reject = true,
                                     .lost = true,
                                     .reject_hint = UINT64_MAX / 8};
    EXPECT_INT(raft_step(cluster_raft(c, 1), &old), ST_OK);
    raft_check(cluster_raft(c, 1));
    EXPECT_INT(cluster_status(c, 1).hard.commit, before.hard.commit);
    cluster_settle(c);
    struct raft_peer_status peer;
    raft_peer(cluster_raft(c, 1), 2, &peer);
    EXPECT_INT(peer.match, before.last_index);
    cluster_free(c);
}
