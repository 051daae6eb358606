/* Replication and commitment, claim by claim: dissertation sections 3.5, 3.6,
 * 3.8, 10.2. */

#include "tests/raft/paper.h"

/* Section 3.5: an entry is committed once a majority has it, and then applied
 * by all. */
TEST(replication, a_majority_commits)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 5);
    cluster_isolate(c, 4);
    cluster_isolate(c, 5);
    const size_t before = c->records_count;
    paper_propose(c, 1, 10);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before + 10);
    cluster_isolate(c, 3);
    paper_propose(c, 1, 10);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before + 10); /* two of five: not */
    cluster_heal(c);
    cluster_pass_all(c, 3);
    EXPECT_INT(c->records_count, before + 20);
    for (uint64_t id = 1; id <= 5; id++) {
        EXPECT_INT(c->members[id - 1]->applied, c->records_count);
    }
    cluster_free(c);
}

/* Danger: the leader counts what it may lose itself.  Section 10.2.1: it may
 * commit before its own write only by a majority of others. */
TEST(replication, an_unsynced_entry_of_the_leader_does_not_count)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const uint64_t committed = cluster_status(c, 1).hard.commit;
    paper_propose(c, 1, 1);
    cluster_pump(c, 1); /* its write is asked for and not done */
    cluster_isolate(c, 3);
    while (c->network.count > 0) {
        cluster_deliver(c, 0, false);
    }
    cluster_pump(c, 2);
    EXPECT(cluster_append_one(c, 2));
    while (c->network.count > 0) {
        cluster_deliver(c, 0, false);
    }
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed);
    EXPECT(cluster_append_one(c, 1));
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed + 1);
    cluster_free(c);
}

/* And with two others it does not wait for its own disk, but applies only what
 * its disk has. */
TEST(replication, a_majority_of_others_commits_without_the_leaders_disk)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const uint64_t committed = cluster_status(c, 1).hard.commit;
    paper_propose(c, 1, 1);
    cluster_pump(c, 1);
    for (int i = 0; i < 2; i++) {
        while (c->network.count > 0) {
            cluster_deliver(c, 0, false);
        }
        for (uint64_t id = 2; id <= 3; id++) {
            cluster_pump(c, id);
            while (cluster_append_one(c, id)) {
            }
        }
    }
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed + 1);
    cluster_pump(c, 1);
    EXPECT_INT(c->members[0]->apply_work.count, 0);
    while (cluster_append_one(c, 1)) {
    }
    cluster_pump(c, 1);
    EXPECT(c->members[0]->apply_work.count > 0);
    cluster_free(c);
}

/* Danger: an acknowledged entry is lost with the power. */
TEST(replication, a_follower_acknowledges_only_what_is_durable)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 1);
    cluster_pump(c, 1);
    while (c->network.count > 0) {
        cluster_deliver(c, 0, false);
    }
    cluster_pump(c, 2);
    cluster_pump(c, 3);
    EXPECT_INT(c->network.count, 0);
    EXPECT(cluster_append_one(c, 2));
    EXPECT_INT(c->network.count, 1);
    EXPECT_INT(c->network.list[0].type, RAFT_MSG_APPEND_RESPONSE);
    cluster_free(c);
}

/* Figure 3.6: followers of a new leader miss entries, have extra ones, or both,
 * and end up with its log. */
TEST(replication, every_kind_of_divergent_log_is_repaired)
{
    static const uint64_t leader_terms[] = {1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    static const struct {
        uint64_t terms[12];
        size_t count;
    } logs[] = {{{1, 1, 1, 4, 4, 5, 5, 6, 6}, 9},
                {{1, 1, 1, 4}, 4},
                {{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}, 11},
                {{1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, 12},
                {{1, 1, 1, 4, 4, 4, 4}, 7},
                {{1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}, 11}};
    for (size_t i = 0; i < count_of(logs); i++) {
        struct raft_config config = cluster_config();
        config.pre_vote = false;
        struct cluster *c = cluster_new(&config, 3, 3, 1);
        for (uint64_t id = 1; id <= 3; id++) {
            cluster_crash(c, id, 0);
            const bool odd = id == 2;
            const size_t count = odd ? logs[i].count : count_of(leader_terms);
            for (size_t j = 0; j < count; j++) {
                const struct raft_entry e = {.term = odd ? logs[i].terms[j]
                                                         : leader_terms[j],
                                             .index = j + 2};
                EXPECT_INT(
                    raft_memory_storage_append(c->members[id - 1]->disk, &e, 1),
                    ST_OK);
            }
            const struct raft_hard_state hard = {.term = 7, .commit = 1};
            raft_memory_storage_set_hard_state(c->members[id - 1]->disk, &hard);
            cluster_restart(c, id);
        }
        cluster_elect(c, 1); /* by member 3's vote, if need be */
        cluster_pass_all(c, 3);
        EXPECT_INT(cluster_status(c, 2).last_index, 12);
        EXPECT_INT(cluster_status(c, 2).last_term, 8);
        EXPECT_INT(c->members[1]->applied, 12);
        cluster_free(c);
    }
}

/* Figure 3.7.  Danger: an old entry on a majority is called committed, and a
 * later leader overwrites it. */
TEST(commitment, an_entry_of_an_old_term_is_not_committed_by_counting)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    config.check_quorum = false;
    struct cluster *c = paper_cluster(&config, 5);
    const uint64_t committed = cluster_status(c, 1).hard.commit;
    /* (a) S1 leads and gets an entry to S2 only. */
    cluster_isolate(c, 1);
    c->cut[1][2] = c->cut[2][1] = false;
    paper_propose(c, 1, 1);
    cluster_settle(c);
    /* (b) S5 is elected by S3, S4 and writes another entry, for itself. */
    cluster_crash(c, 1, 0);
    cluster_heal(c);
    cluster_cut(c, 5, 2);
    raft_campaign(cluster_raft(c, 5));
    for (int i = 0; i < 6; i++) {
        for (uint64_t id = 3; id <= 5; id++) {
            if (cluster_status(c, 5).soft.role != RAFT_LEADER) {
                cluster_pump(c, id);
                while (cluster_append_one(c, id)) {
                }
            }
        }
        while (c->network.count > 0 &&
               cluster_status(c, 5).soft.role != RAFT_LEADER) {
            cluster_deliver(c, 0, false);
        }
    }
    EXPECT_INT(cluster_status(c, 5).soft.role, RAFT_LEADER);
    cluster_lose_all(c);
    cluster_pump(c, 5);
    cluster_lose_all(c);
    const size_t written = c->members[4]->append_work.count;
    cluster_crash(c, 5, written); /* its entry is on its disk */
    /* (c) S1 is elected again, and brings its old entry to a majority; the
     * first entry of its new term goes to nobody. */
    cluster_restart(c, 1);
    cluster_cut(c, 1, 5);
    raft_campaign(cluster_raft(c, 1));
    cluster_settle(c); /* elected or refused for its term */
    raft_campaign(cluster_raft(c, 1));
    cluster_settle(c);
    EXPECT_INT(cluster_leader(c), 1);
    /* Committed together with the entry of the own term, never before: the
     * checks of the cluster watch that whoever leads next has it. */
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed + 2);
    EXPECT(cluster_status(c, 1).committed_in_term);
    /* (e) so S5 cannot win any more. */
    cluster_crash(c, 1, 0);
    cluster_restart(c, 5);
    cluster_heal(c);
    for (int i = 0; i < 4; i++) {
        raft_campaign(cluster_raft(c, 5));
        cluster_settle(c);
        EXPECT(cluster_leader(c) != 5);
    }
    cluster_free(c);
}

/* The same at the level of one rule. */
TEST(commitment, only_the_own_term_is_counted)
{
    struct raft_config config = cluster_config();
    config.pre_vote = false;
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    cluster_crash(c, 1, 0);
    const struct raft_entry old = {.term = 2, .index = 2};
    EXPECT_INT(raft_memory_storage_append(c->members[0]->disk, &old, 1), ST_OK);
    const struct raft_hard_state hard = {.term = 2, .commit = 1};
    raft_memory_storage_set_hard_state(c->members[0]->disk, &hard);
    cluster_restart(c, 1);
    struct raft *r = cluster_raft(c, 1);
    raft_campaign(r);
    cluster_pump(c, 1);
    EXPECT(cluster_append_one(c, 1));
    const struct raft_message yes = {
        .type = RAFT_MSG_VOTE_RESPONSE, .from = 2, .to = 1, .term = 3};
    EXPECT_INT(raft_step(r, &yes), ST_OK);
    EXPECT_INT(r->role, RAFT_LEADER);
    cluster_pump(c, 1);
    while (cluster_append_one(c, 1)) {
    }
    struct raft_message ack = {.type = RAFT_MSG_APPEND_RESPONSE,
                               .from = 2,
                               .to = 1,
                               .term = 3,
                               .index = 2};
    EXPECT_INT(raft_step(r, &ack), ST_OK);
    EXPECT_INT(r->log.committed, 1); /* entry 2 is on two of three */
    ack.index = 3;
    EXPECT_INT(raft_step(r, &ack), ST_OK);
    EXPECT_INT(r->log.committed, 3);
    cluster_free(c);
}

/* Danger: an old append, delivered late, cuts off what was acknowledged
 * since (section 3.5, step 3: only on a conflict). */
TEST(replication, a_late_append_removes_nothing)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    c->cut[2][1] = true; /* so nothing more is committed */
    paper_propose(c, 1, 1);
    cluster_pump(c, 1);
    struct raft_message late;
    raft_message_hold(&late, &c->network.list[0]);
    EXPECT_INT(late.type, RAFT_MSG_APPEND);
    EXPECT_INT(late.to, 2);
    paper_propose(c, 1, 5);
    cluster_settle(c);
    const struct raft_status before = cluster_status(c, 2);
    EXPECT_INT(before.last_index, late.index + 6);
    EXPECT_INT(before.hard.commit, late.index);
    EXPECT_INT(raft_step(cluster_raft(c, 2), &late), ST_OK);
    EXPECT_INT(cluster_status(c, 2).last_index, before.last_index);
    raft_message_fini(&late);
    cluster_free(c);
}

/* An append of one entry by the leader of `term`. */
static void step_one(struct raft *r, uint64_t leader, uint64_t term,
                     struct raft_entry e, uint64_t before_term)
{
    const struct raft_message m = {.type = RAFT_MSG_APPEND,
                                   .from = leader,
                                   .to = r->id,
                                   .term = term,
                                   .index = e.index - 1,
                                   .log_term = before_term,
                                   .entries = {&e, 1, 1}};
    EXPECT_INT(raft_step(r, &m), ST_OK);
}

/* Danger: an entry is replaced and comes back while writes are under way; the
 * end of the first write looks as if it were the end of the third, but the
 * second will still overwrite it. */
TEST(replication, a_write_of_an_earlier_term_makes_nothing_stable)
{
    struct raft_config config = cluster_config();
    config.check_quorum = false;
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    struct raft *r = cluster_raft(c, 3);
    const struct raft_entry one = {.term = 2, .index = 2};
    const struct raft_entry other = {.term = 3, .index = 2};
    step_one(r, 1, 2, one, 1);
    cluster_pump(c, 3);
    step_one(r, 2, 3, other, 1);
    cluster_pump(c, 3);
    step_one(r, 1, 4, one, 1);
    cluster_pump(c, 3);
    EXPECT_INT(c->members[2]->append_work.count, 3);
    EXPECT(cluster_append_one(c, 3));
    EXPECT_INT(r->log.unstable.offset, 2);
    EXPECT(cluster_append_one(c, 3));
    EXPECT_INT(r->log.unstable.offset, 2);
    EXPECT(cluster_append_one(c, 3));
    EXPECT_INT(r->log.unstable.offset, 3);
    EXPECT_INT(raft_memory_storage_entry(c->members[2]->disk, 2)->term, 2);
    cluster_free(c);
}

/* Danger: a fast leader buries a slow follower.  The window bounds what is
 * under way, and an empty message finds out when all of it was lost. */
TEST(replication, the_window_bounds_what_is_under_way)
{
    struct raft_config config = cluster_config();
    config.max_inflight_messages = 3;
    config.max_size_per_message = 0; /* one entry each */
    struct cluster *c = paper_cluster(&config, 3);
    cluster_pass_all(c, 2);
    paper_propose(c, 1, 20);
    cluster_pump(c, 1);
    size_t to_two = 0;
    for (size_t i = 0; i < c->network.count; i++) {
        to_two += c->network.list[i].to == 2 ? 1 : 0;
    }
    EXPECT_INT(to_two, 3);
    cluster_lose_all(c);
    cluster_pass_all(c, 40);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_INT(c->members[id - 1]->applied,
                   cluster_status(c, 1).last_index);
    }
    cluster_free(c);
}

/* Danger: proposals without end fill the memory while nothing commits. */
TEST(replication, the_quota_refuses_and_recovers)
{
    struct raft_config config = cluster_config();
    config.max_uncommitted_entries_size = 24; /* three payloads of 8 bytes */
    config.check_quorum = false;
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 1);
    paper_propose(c, 1, 3);
    EXPECT_INT(cluster_propose(c, 1), ST_TOO_MANY);
    cluster_heal(c);
    cluster_pass_all(c, 3);
    paper_propose(c, 1, 1);
    cluster_settle(c);
    EXPECT_INT(cluster_status(c, 1).uncommitted_size, 0);
    /* One larger than the whole quota passes when nothing else waits. */
    struct payload *large = payload_new(100);
    memset(large->data, 0, 100);
    EXPECT_INT(raft_propose(cluster_raft(c, 1), &large, 1), ST_OK);
    EXPECT_INT(raft_propose(cluster_raft(c, 1), &large, 1), ST_TOO_MANY);
    payload_drop(large);
    cluster_free(c);
}

/* Section 5.1: who needs what is compacted gets a snapshot, then the log. */
TEST(replication, a_snapshot_replaces_what_is_compacted)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 3);
    paper_propose(c, 1, 30);
    cluster_settle(c);
    cluster_snapshot(c, 1, 5);
    cluster_heal(c);
    cluster_pass_all(c, 5);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    EXPECT_INT(c->members[2]->hash, c->members[0]->hash);
    EXPECT(cluster_status(c, 3).first_index > 20);
    paper_propose(c, 1, 3);
    cluster_settle(c);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    cluster_free(c);
}

/* A group of one takes the very same way: write, acknowledge, commit. */
TEST(replication, a_single_member_commits_by_its_own_disk)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 1);
    const uint64_t committed = cluster_status(c, 1).hard.commit;
    paper_propose(c, 1, 2);
    cluster_pump(c, 1);
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed);
    EXPECT(cluster_append_one(c, 1));
    EXPECT_INT(cluster_status(c, 1).hard.commit, committed + 2);
    cluster_settle(c);
    EXPECT_INT(c->members[0]->applied, committed + 2);
    EXPECT_INT(c->network.count, 0);
    cluster_free(c);
}
