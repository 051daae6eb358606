/* Membership and hand-over: dissertation sections 3.10 and 4. */

#include "tests/raft/paper.h"

/* Section 3.10: the heir is brought up to date first, then told to campaign. */
TEST(transfer, a_lagging_heir_is_caught_up_first)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    paper_propose(c, 1, 10);
    cluster_settle(c);
    cluster_heal(c);
    raft_transfer_leader(cluster_raft(c, 1), 3);
    EXPECT_INT(cluster_status(c, 1).transfer_to, 3);
    EXPECT_INT(cluster_propose(c, 1), ST_NO_LEADER); /* step 1 */
    cluster_pass_all(c, 3);
    EXPECT_INT(cluster_leader(c), 3);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    cluster_free(c);
}

/* Danger: the heir is dead, and the cluster refuses proposals for ever. */
TEST(transfer, a_dead_heir_is_given_up)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    raft_transfer_leader(cluster_raft(c, 1), 3);
    cluster_pass_all(c, 5);
    EXPECT_INT(cluster_propose(c, 1), ST_NO_LEADER);
    cluster_pass_all(c, 10);
    EXPECT_INT(cluster_leader(c), 1);
    paper_propose(c, 1, 1);
    cluster_free(c);
}

TEST(transfer, a_follower_passes_the_request_on)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    raft_transfer_leader(cluster_raft(c, 2), 3);
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), 3);
    /* To itself, to a stranger, to nobody: nothing happens. */
    raft_transfer_leader(cluster_raft(c, 3), 3);
    raft_transfer_leader(cluster_raft(c, 3), 77);
    raft_transfer_leader(cluster_raft(c, 3), RAFT_NONE);
    EXPECT_INT(cluster_status(c, 3).transfer_to, RAFT_NONE);
    cluster_free(c);
}

/* Danger: two majorities that do not overlap.  Section 4.3: in a joint
 * configuration both decide. */
TEST(membership, a_joint_configuration_needs_both_majorities)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 6, 3, 1);
    cluster_elect(c, 1);
    const struct raft_conf_change move = {.transition =
                                              RAFT_TRANSITION_JOINT_EXPLICIT,
                                          .changes_count = 5,
                                          .changes = {{RAFT_ADD_NODE, 4},
                                                      {RAFT_ADD_NODE, 5},
                                                      {RAFT_ADD_NODE, 6},
                                                      {RAFT_REMOVE_NODE, 2},
                                                      {RAFT_REMOVE_NODE, 3}}};
    EXPECT_INT(cluster_change(c, 1, &move), ST_OK);
    cluster_settle(c);
    cluster_snapshot(c, 1, 1000);
    cluster_pass_all(c, 5);
    EXPECT(cluster_status(c, 1).is_joint);
    /* Without the old half. */
    cluster_isolate(c, 2);
    cluster_isolate(c, 3);
    const size_t before = c->records_count;
    paper_propose(c, 1, 1);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before);
    cluster_heal(c);
    cluster_pass_all(c, 3);
    EXPECT_INT(c->records_count, before + 1);
    /* Without the new half. */
    for (uint64_t id = 4; id <= 6; id++) {
        cluster_isolate(c, id);
    }
    paper_propose(c, 1, 1);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before + 1);
    cluster_heal(c);
    cluster_pass_all(c, 3);
    /* Left: the old half has no say any more. */
    const struct raft_conf_change leave = {.changes_count = 0};
    EXPECT_INT(cluster_change(c, 1, &leave), ST_OK);
    cluster_settle(c);
    EXPECT(!cluster_status(c, 1).is_joint);
    cluster_isolate(c, 2);
    cluster_isolate(c, 3);
    const size_t left = c->records_count;
    paper_propose(c, 1, 1);
    cluster_settle(c);
    EXPECT_INT(c->records_count, left + 1);
    cluster_free(c);
}

TEST(membership, a_joint_configuration_is_left_by_itself)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 4, 3, 1);
    cluster_elect(c, 1);
    const struct raft_conf_change swap = {
        .changes_count = 2,
        .changes = {{RAFT_ADD_NODE, 4}, {RAFT_REMOVE_NODE, 3}}};
    EXPECT_INT(cluster_change(c, 1, &swap), ST_OK);
    cluster_settle(c);
    cluster_snapshot(c, 1, 1000);
    cluster_pass_all(c, 3);
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, 1), &conf);
    EXPECT_INT(conf.voters_count, 3);
    EXPECT_INT(conf.voters[2], 4);
    EXPECT_INT(conf.voters_outgoing_count, 0);
    EXPECT_INT(c->members[3]->applied, c->records_count);
    cluster_free(c);
}

/* Section 4.1: one change at a time; a second becomes an empty entry. */
TEST(membership, a_second_change_waits_for_the_first)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 5, 3, 1);
    cluster_elect(c, 1);
    const struct raft_conf_change four = paper_change(RAFT_ADD_NODE, 4);
    const struct raft_conf_change five = paper_change(RAFT_ADD_NODE, 5);
    EXPECT_INT(cluster_change(c, 1, &four), ST_OK);
    EXPECT_INT(cluster_change(c, 1, &five), ST_OK);
    cluster_settle(c);
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, 1), &conf);
    EXPECT_INT(conf.voters_count, 4);
    EXPECT_INT(cluster_change(c, 1, &five), ST_OK);
    cluster_settle(c);
    raft_conf(cluster_raft(c, 1), &conf);
    EXPECT_INT(conf.voters_count, 5);
    cluster_free(c);
}

/* Section 4.2.1: a learner gets the log and decides nothing. */
TEST(membership, a_learner_does_not_count)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 4, 3, 1);
    cluster_elect(c, 1);
    const struct raft_conf_change in = paper_change(RAFT_ADD_LEARNER_NODE, 4);
    EXPECT_INT(cluster_change(c, 1, &in), ST_OK);
    cluster_settle(c);
    cluster_snapshot(c, 1, 1000);
    cluster_pass_all(c, 3);
    EXPECT_INT(c->members[3]->applied, c->records_count);
    EXPECT(cluster_status(c, 4).is_learner);
    /* It cannot lead, nor make a majority with the leader. */
    raft_campaign(cluster_raft(c, 4));
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), 1);
    raft_transfer_leader(cluster_raft(c, 1), 4);
    EXPECT_INT(cluster_status(c, 1).transfer_to, RAFT_NONE);
    cluster_isolate(c, 2);
    cluster_isolate(c, 3);
    const size_t before = c->records_count;
    paper_propose(c, 1, 1);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before);
    cluster_free(c);
}

/* Section 4.2.2: a leader that is removed leads until that is committed. */
TEST(membership, a_removed_leader_steps_down)
{
    struct raft_config config = cluster_config();
    config.step_down_on_removal = true;
    struct cluster *c = paper_cluster(&config, 3);
    const struct raft_conf_change out = paper_change(RAFT_REMOVE_NODE, 1);
    EXPECT_INT(cluster_change(c, 1, &out), ST_OK);
    cluster_settle(c);
    EXPECT_INT(cluster_status(c, 1).soft.role, RAFT_FOLLOWER);
    cluster_pass_all(c, 60);
    const uint64_t leader = cluster_leader(c);
    EXPECT(leader == 2 || leader == 3);
    cluster_free(c);
}

/* What is for member 2 is lost, what is for 1 arrives. */
static void go_on_unheard(struct cluster *c)
{
    for (int i = 0; i < 20; i++) {
        cluster_pump(c, 1);
        while (cluster_append_one(c, 1) || cluster_apply_one(c, 1)) {
        }
        for (size_t at = c->network.count; at > 0; at--) {
            if (c->network.list[at - 1].to == 2) {
                cluster_lose(c, at - 1);
            } else {
                cluster_deliver(c, at - 1, false);
            }
        }
    }
}

/* Member 1 of two removed itself, and has an entry more than 2, who does not
 * know that the removal is committed. */
static struct cluster *left_with_more(const struct raft_config *config)
{
    struct cluster *c = paper_cluster(config, 2);
    const struct raft_conf_change out = paper_change(RAFT_REMOVE_NODE, 1);
    EXPECT_INT(cluster_change(c, 1, &out), ST_OK);
    cluster_pump(c, 1);
    EXPECT_INT(c->network.count, 1);
    cluster_deliver(c, 0, false);
    cluster_pump(c, 2);
    EXPECT(cluster_append_one(c, 2));
    cluster_pump(c, 2);
    EXPECT_INT(cluster_propose(c, 1), ST_OK);
    go_on_unheard(c);
    EXPECT_INT(cluster_status(c, 1).soft.role, RAFT_FOLLOWER);
    EXPECT_INT(cluster_status(c, 1).last_index,
               cluster_status(c, 2).last_index + 1);
    return c;
}

/* Danger: who was removed has the newest entry, refuses its vote to the one who
 * remains and lacks it, and may not lead itself: nobody leads ever again.
 * Section 4.2.2: a leader need not be in its configuration, which then makes
 * the majorities without it. */
TEST(membership, a_removed_member_hands_on_what_it_alone_has)
{
    struct raft_config config = cluster_config();
    config.step_down_on_removal = true;
    struct cluster *c = left_with_more(&config);
    cluster_pass_all(c, 200);
    EXPECT_INT(cluster_leader(c), RAFT_NONE); /* as published */
    cluster_free(c);
    config.removed_may_lead = true;
    c = left_with_more(&config);
    cluster_pass_all(c, 200);
    EXPECT_INT(cluster_leader(c), 2);
    EXPECT(cluster_status(c, 1).soft.role != RAFT_LEADER);
    EXPECT_INT(cluster_status(c, 2).applied, cluster_status(c, 2).last_index);
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, 2), &conf);
    EXPECT(conf.voters_count == 1 && conf.voters[0] == 2);
    cluster_free(c);
}

static void change_one(struct cluster *c, uint64_t id,
                       enum raft_conf_change_type type, uint64_t node)
{
    const struct raft_conf_change cc = paper_change(type, node);
    EXPECT_INT(cluster_change(c, id, &cc), ST_OK);
    cluster_settle(c);
}

/* While 1 was away, alone and a candidate for long, 4 came, and 2 and 3 went;
 * then 4 was restarted. */
static struct cluster *left_behind(const struct raft_config *config)
{
    struct cluster *c = cluster_new(config, 4, 3, 1);
    cluster_elect(c, 2);
    cluster_isolate(c, 1);
    change_one(c, 2, RAFT_ADD_NODE, 4);
    cluster_snapshot(c, 2, 1000);
    cluster_pass_all(c, 5);
    raft_transfer_leader(cluster_raft(c, 2), 4);
    cluster_settle(c);
    change_one(c, 4, RAFT_REMOVE_NODE, 3);
    change_one(c, 4, RAFT_REMOVE_NODE, 2);
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, 4), &conf);
    EXPECT(conf.voters_count == 2 && conf.voters[1] == 4);
    cluster_crash(c, 4, 0);
    cluster_restart(c, 4);
    cluster_pass(c, 1, 2000);
    cluster_heal(c);
    cluster_isolate(c, 2);
    cluster_isolate(c, 3);
    return c;
}

/* Danger: the only possible leader needs the vote of a member whose term is far
 * ahead, is not answered, and never gets there.  Section 3.3: who refuses an
 * old term says its own.  (With pre-vote the terms do not run apart.) */
TEST(membership, a_candidate_that_is_behind_learns_the_term)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = left_behind(&config);
    EXPECT(cluster_status(c, 1).hard.term >
           cluster_status(c, 4).hard.term + 100);
    cluster_pass_all(c, 1000);
    EXPECT_INT(cluster_status(c, 4).soft.leader, RAFT_NONE); /* as published */
    cluster_free(c);
    config.answer_old_candidates = true;
    c = left_behind(&config);
    cluster_pass_all(c, 1000);
    EXPECT_INT(cluster_leader(c), 4);
    EXPECT_INT(cluster_status(c, 1).applied, cluster_status(c, 4).applied);
    cluster_free(c);
    config = cluster_config();
    c = left_behind(&config);
    cluster_pass_all(c, 200);
    EXPECT_INT(cluster_leader(c), 4);
    cluster_free(c);
}

/* Danger: the first change in the log makes a group of one out of a member that
 * only joins. */
TEST(membership, a_member_without_configuration_makes_none_up)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 2, 1, 1);
    const struct raft_conf_change me = paper_change(RAFT_ADD_NODE, 2);
    EXPECT_INT(raft_apply_conf_change(cluster_raft(c, 2), 5, &me, NULL),
               ST_INVALID);
    raft_campaign(cluster_raft(c, 2));
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), RAFT_NONE);
    cluster_free(c);
}

/* Danger: a change on its way to be applied is overtaken by a snapshot that
 * contains it and later ones, and undoes those. */
TEST(membership, a_change_overtaken_by_a_snapshot_changes_nothing)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const uint64_t newest[] = {1, 2, 3, 5};
    const struct raft_conf_state conf = {.voters = newest, .voters_count = 4};
    struct raft_message m = {.type = RAFT_MSG_SNAPSHOT,
                             .from = 1,
                             .to = 3,
                             .term = cluster_status(c, 1).hard.term,
                             .snapshot =
                                 raft_snapshot_new(100, 1, &conf, NULL)};
    EXPECT_INT(raft_step(cluster_raft(c, 3), &m), ST_OK);
    const struct raft_conf_change older = paper_change(RAFT_REMOVE_NODE, 1);
    struct raft_conf_state after;
    EXPECT_INT(raft_apply_conf_change(cluster_raft(c, 3), 99, &older, &after),
               ST_OK);
    EXPECT_INT(after.voters_count, 4);
    raft_message_fini(&m);
    cluster_free(c);
}
