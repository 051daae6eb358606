/* Leader election, claim by claim: dissertation
 * sections 3.4, 3.6.1, 3.8, 4.2.3, 6.2, 9.6. */

#include "tests/raft/paper.h"

/* Danger: nobody leads.  Section 3.4: who hears of no leader for an election
 * timeout campaigns, and wins with a majority. */
TEST(election, a_silent_cluster_elects_a_leader)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    cluster_pass_all(c, 20); /* the longest timeout */
    const uint64_t leader = cluster_leader(c);
    EXPECT(leader != RAFT_NONE);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_INT(cluster_status(c, id).soft.leader, leader);
    }
    cluster_free(c);
}

/* Danger: elections without need.  Heartbeats keep followers quiet. */
TEST(election, heartbeats_keep_the_leader)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const uint64_t term = cluster_status(c, 1).hard.term;
    cluster_pass_all(c, 200);
    EXPECT_INT(cluster_leader(c), 1);
    EXPECT_INT(cluster_status(c, 1).hard.term, term);
    cluster_free(c);
}

/* Danger: a minority decides. */
TEST(election, a_minority_elects_nobody)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 5, 5, 1);
    for (uint64_t a = 1; a <= 2; a++) {
        for (uint64_t b = 3; b <= 5; b++) {
            cluster_cut(c, a, b);
        }
    }
    cluster_cut(c, 3, 4); /* two, two and one */
    cluster_cut(c, 3, 5);
    cluster_pass_all(c, 100);
    EXPECT_INT(cluster_leader(c), RAFT_NONE);
    cluster_free(c);
}

/* Danger: timeouts in step split every vote.  Section 3.4: each is drawn from
 * [n, 2n), anew for each election. */
TEST(election, timeouts_are_drawn_from_the_interval)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = cluster_new(&config, 3, 3, 7);
    bool seen[20] = {false};
    struct raft *r = cluster_raft(c, 1);
    for (int i = 0; i < 400; i++) {
        raft_campaign(r);
        EXPECT(r->election_timeout >= 10);
        EXPECT(r->election_timeout < 20);
        seen[r->election_timeout] = true;
    }
    for (int timeout = 10; timeout < 20; timeout++) {
        EXPECT(seen[timeout]);
    }
    cluster_free(c);
}

/* Danger: two votes in one term, two leaders.  Section 3.8: a vote is durable
 * before it is told, and holds after a crash. */
TEST(election, a_vote_survives_a_crash)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    const struct raft_message ask = {.type = RAFT_MSG_VOTE,
                                     .from = 1,
                                     .to = 3,
                                     .term = 5,
                                     .index = 1,
                                     .log_term = 1};
    EXPECT_INT(raft_step(cluster_raft(c, 3), &ask), ST_OK);
    cluster_pump(c, 3);
    EXPECT_INT(c->network.count, 0); /* not told before it is written */
    EXPECT(cluster_append_one(c, 3));
    EXPECT_INT(c->network.count, 1);
    EXPECT(!c->network.list[0].reject);
    cluster_lose_all(c);

    cluster_crash(c, 3, 0);
    cluster_restart(c, 3);
    struct raft_message other = ask;
    other.from = 2;
    EXPECT_INT(raft_step(cluster_raft(c, 3), &other), ST_OK);
    cluster_pump(c, 3);
    EXPECT(cluster_append_one(c, 3));
    EXPECT(c->network.list[0].reject);
    cluster_lose_all(c);
    /* The one it voted for may ask again. */
    EXPECT_INT(raft_step(cluster_raft(c, 3), &ask), ST_OK);
    cluster_pump(c, 3);
    EXPECT(cluster_append_one(c, 3));
    EXPECT(!c->network.list[0].reject);
    cluster_free(c);
}

/* Danger: a leader that lacks committed entries.  Section 3.6.1: votes only for
 * logs that are at least as complete. */
TEST(election, who_lacks_committed_entries_cannot_win)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    config.check_quorum = false;
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    paper_propose(c, 1, 3);
    cluster_settle(c);
    cluster_crash(c, 1, 0);
    cluster_heal(c);
    raft_campaign(cluster_raft(c, 3));
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), RAFT_NONE);
    cluster_elect(c, 2);
    EXPECT_INT(c->members[2]->applied, c->members[1]->applied);
    cluster_free(c);
}

/* The table of section 3.6.1: later last term first, then length. */
TEST(election, the_more_complete_log_is_preferred)
{
    static const struct {
        uint64_t term, index;
        bool granted;
    } rows[] = {{1, 9, false}, {2, 3, false}, {2, 4, true},
                {2, 5, true},  {3, 1, true},  {3, 4, true}};
    for (size_t i = 0; i < count_of(rows); i++) {
        struct raft_config config = cluster_config();
        config.pre_vote = false;
        config.check_quorum = false;
        struct cluster *c = cluster_new(&config, 3, 3, 1);
        const struct raft_entry own[] = {{1, 2, RAFT_ENTRY_NORMAL, NULL},
                                         {2, 3, RAFT_ENTRY_NORMAL, NULL},
                                         {2, 4, RAFT_ENTRY_NORMAL, NULL}};
        const struct raft_message append = {
            .type = RAFT_MSG_APPEND,
            .from = 2,
            .to = 1,
            .term = 2,
            .index = 1,
            .log_term = 1,
            .entries = {(struct raft_entry *)(uintptr_t)own, 3, 3}};
        EXPECT_INT(raft_step(cluster_raft(c, 1), &append), ST_OK);
        const struct raft_message ask = {.type = RAFT_MSG_VOTE,
                                         .from = 3,
                                         .to = 1,
                                         .term = 4,
                                         .index = rows[i].index,
                                         .log_term = rows[i].term};
        EXPECT_INT(raft_step(cluster_raft(c, 1), &ask), ST_OK);
        EXPECT_INT(cluster_status(c, 1).hard.vote, rows[i].granted ? 3 : 0);
        cluster_free(c);
    }
}

/* Danger: one that was cut off comes back with a high term and deposes a leader
 * that works.  Section 9.6: it asks first, and its term does not grow. */
TEST(election, pre_vote_keeps_the_term_of_who_was_cut_off)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const uint64_t term = cluster_status(c, 1).hard.term;
    cluster_isolate(c, 3);
    cluster_pass_all(c, 200);
    EXPECT_INT(cluster_status(c, 3).hard.term, term);
    EXPECT_INT(cluster_status(c, 3).soft.role, RAFT_PRE_CANDIDATE);
    cluster_heal(c);
    cluster_pass_all(c, 5);
    EXPECT_INT(cluster_leader(c), 1);
    EXPECT_INT(cluster_status(c, 1).hard.term, term);
    EXPECT_INT(cluster_status(c, 3).soft.leader, 1);
    cluster_free(c);
}

/* Danger: a removed server that is not told goes on campaigning and deposes
 * leader after leader.  Section 4.2.3: who hears a leader ignores it. */
TEST(election, a_removed_server_disrupts_nobody)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = paper_cluster(&config, 4);
    const struct raft_conf_change out = paper_change(RAFT_REMOVE_NODE, 4);
    cluster_isolate(c, 4); /* it does not learn of it */
    EXPECT_INT(cluster_change(c, 1, &out), ST_OK);
    cluster_settle(c);
    cluster_heal(c);
    const uint64_t term = cluster_status(c, 1).hard.term;
    for (int i = 0; i < 30; i++) {
        raft_campaign(cluster_raft(c, 4));
        cluster_pass_all(c, 2);
    }
    EXPECT(cluster_status(c, 4).hard.term > term + 20);
    EXPECT_INT(cluster_leader(c), 1);
    EXPECT_INT(cluster_status(c, 1).hard.term, term);
    cluster_free(c);
}

/* Danger: a leader that reaches nobody answers clients for ever.  Section 6.2:
 * it steps down after an election timeout without a quorum. */
TEST(election, a_leader_without_a_quorum_steps_down)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 1);
    cluster_pass(c, 1, 20);
    EXPECT_INT(cluster_status(c, 1).soft.role, RAFT_FOLLOWER);
    EXPECT_INT(cluster_propose(c, 1), ST_NO_LEADER);
    cluster_free(c);
}

/* Danger: one stuck with a later term can neither win nor follow.  The answer
 * to the old leader's heartbeat makes it step down, and all go on. */
TEST(election, one_with_a_later_term_is_freed)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    for (int i = 0; i < 5; i++) {
        raft_campaign(cluster_raft(c, 3));
        cluster_settle(c);
    }
    cluster_heal(c);
    cluster_pass_all(c, 60);
    const uint64_t leader = cluster_leader(c);
    EXPECT(leader != RAFT_NONE);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_INT(cluster_status(c, id).soft.leader, leader);
    }
    cluster_free(c);
}

/* Danger: a member leads with a configuration that is no longer in force. */
TEST(election, an_unapplied_configuration_change_forbids_to_campaign)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    config.check_quorum = false;
    struct cluster *c = paper_cluster(&config, 3);
    const struct raft_conf_change in = paper_change(RAFT_ADD_LEARNER_NODE, 2);
    EXPECT_INT(cluster_change(c, 1, &in), ST_OK);
    /* Until member 3 knows it committed, but has not applied it. */
    for (int i = 0; i < 20; i++) {
        for (uint64_t id = 1; id <= 3; id++) {
            cluster_pump(c, id);
            while (cluster_append_one(c, id)) {
            }
            while (id != 3 && cluster_apply_one(c, id)) {
            }
        }
        while (c->network.count > 0) {
            cluster_deliver(c, 0, false);
        }
    }
    const struct raft *r = cluster_raft(c, 3);
    EXPECT(r->log.committed > r->log.applied);
    raft_campaign(cluster_raft(c, 3));
    EXPECT_INT(cluster_status(c, 3).soft.role, RAFT_FOLLOWER);
    cluster_settle(c);
    cluster_elect(c, 3);
    cluster_free(c);
}
