/* Reads without log entries: dissertation section 6.4. */

#include "tests/raft/paper.h"

static uint64_t answered(struct cluster *c, uint64_t id)
{
    return c->members[id - 1]->reads_answered;
}

TEST(read_index, leader_follower_and_single_member_are_answered)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 4);
    cluster_settle(c);
    for (uint64_t id = 1; id <= 3; id++) {
        EXPECT_INT(cluster_read(c, id), ST_OK);
        EXPECT_INT(cluster_read(c, id), ST_OK);
        cluster_settle(c);
        EXPECT_INT(answered(c, id), 2);
        EXPECT_INT(c->members[id - 1]->last_read_index,
                   cluster_status(c, 1).hard.commit);
    }
    cluster_free(c);

    c = paper_cluster(&config, 1);
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_settle(c);
    EXPECT_INT(answered(c, 1), 1);
    cluster_free(c);
}

/* Danger: a deposed leader that does not know it answers from the past. */
TEST(read_index, a_deposed_leader_answers_nothing)
{
    struct raft_config config = cluster_config();
    config.check_quorum = false; /* it goes on believing */
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 1);
    cluster_elect(c, 2);
    paper_propose(c, 2, 1);
    cluster_settle(c);
    EXPECT_INT(cluster_status(c, 1).soft.role, RAFT_LEADER);
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_pass(c, 1, 30);
    EXPECT_INT(answered(c, 1), 0);
    cluster_heal(c);
    cluster_pass_all(c, 30);
    EXPECT_INT(answered(c, 1), 0); /* lost: the caller asks again */
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_settle(c);
    EXPECT_INT(answered(c, 1), 1);
    cluster_free(c);
}

/* Danger: a new leader does not know yet how far its predecessor committed.
 * Step 1 of section 6.4: it waits for a commit in its own term. */
TEST(read_index, a_new_leader_waits_for_its_first_commit)
{
    const struct raft_config config = cluster_config();
    for (size_t count = 1; count <= 3; count += 2) {
        struct cluster *c = cluster_new(&config, count, count, 1);
        raft_campaign(cluster_raft(c, 1));
        while (cluster_status(c, 1).soft.role != RAFT_LEADER) {
            for (uint64_t id = 1; id <= count; id++) {
                cluster_pump(c, id);
                while (cluster_append_one(c, id)) {
                }
            }
            while (c->network.count > 0 &&
                   cluster_status(c, 1).soft.role != RAFT_LEADER) {
                cluster_deliver(c, 0, false);
            }
        }
        EXPECT_INT(cluster_read(c, 1), ST_OK);
        cluster_pump(c, 1);
        EXPECT_INT(answered(c, 1), 0);
        cluster_settle(c);
        EXPECT_INT(answered(c, 1), 1);
        EXPECT_INT(c->members[0]->last_read_index,
                   cluster_status(c, 1).last_index);
        cluster_free(c);
    }
}

/* Danger: answers to an old heartbeat confirm a read that came later. */
TEST(read_index, only_answers_to_a_later_heartbeat_confirm)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    cluster_tick(c, 1); /* a heartbeat that knows of no read */
    cluster_pump(c, 1);
    while (c->network.count > 0) {
        cluster_deliver(c, 0, false);
    }
    for (uint64_t id = 2; id <= 3; id++) {
        cluster_pump(c, id);
    }
    EXPECT_INT(c->network.count, 2); /* its answers, under way */
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_deliver(c, 0, false);
    cluster_deliver(c, 0, false);
    cluster_pump(c, 1);
    EXPECT_INT(answered(c, 1), 0);
    cluster_settle(c);
    EXPECT_INT(answered(c, 1), 1);
    cluster_free(c);
}

/* One heartbeat's answers confirm all reads before it. */
TEST(read_index, reads_are_confirmed_in_batches)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    for (int i = 0; i < 50; i++) {
        EXPECT_INT(cluster_read(c, 1), ST_OK);
    }
    cluster_pump(c, 1);
    struct raft_message last;
    raft_message_take(&last, &c->network.list[c->network.count - 1]);
    c->network.count--;
    cluster_lose_all(c);
    EXPECT_INT(last.type, RAFT_MSG_HEARTBEAT);
    EXPECT_INT(raft_step(cluster_raft(c, last.to), &last), ST_OK);
    raft_message_fini(&last);
    cluster_settle(c);
    EXPECT_INT(answered(c, 1), 50);
    cluster_free(c);
}

TEST(read_index, without_a_leader_it_is_refused)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    EXPECT_INT(cluster_read(c, 1), ST_NO_LEADER);
    cluster_free(c);
}

static size_t count_sent(const struct cluster *c, enum raft_message_type type)
{
    size_t count = 0;
    for (size_t i = 0; i < c->network.count; i++) {
        count += c->network.list[i].type == type;
    }
    return count;
}

/* Who asks, and the leader, are a quorum of three: no heartbeats are needed.
 * Of five they are none. */
TEST(read_index, the_asker_counts)
{
    struct raft_config config = cluster_config();
    config.asker_confirms = true;
    for (size_t count = 3; count <= 5; count += 2) {
        struct cluster *c = paper_cluster(&config, count);
        EXPECT_INT(cluster_read(c, 2), ST_OK);
        cluster_pump(c, 2);
        EXPECT_INT(c->network.count, 1); /* the question */
        cluster_deliver(c, 0, false);
        cluster_pump(c, 1);
        EXPECT_INT(count_sent(c, RAFT_MSG_HEARTBEAT), count == 3 ? 0 : 4);
        EXPECT_INT(count_sent(c, RAFT_MSG_READ_INDEX_RESPONSE),
                   count == 3 ? 1 : 0);
        cluster_settle(c);
        EXPECT_INT(answered(c, 2), 1);
        cluster_free(c);
    }
}

/* Danger: the question was put when a later leader had already committed, and
 * the old one, who knows nothing of that, takes it for a confirmation. */
TEST(read_index, an_asker_of_another_term_confirms_nothing)
{
    struct raft_config config = cluster_config();
    config.asker_confirms = true;
    config.check_quorum = false; /* the old leader goes on believing */
    struct cluster *c = paper_cluster(&config, 3);
    cluster_isolate(c, 1);
    cluster_elect(c, 2);
    paper_propose(c, 2, 1);
    cluster_settle(c);
    cluster_heal(c);
    const uint64_t term = cluster_status(c, 2).hard.term;
    const uint64_t said[] = {0, term - 1, term};
    for (size_t i = 0; i < count_of(said); i++) {
        /* As it would have been passed on to the old leader. */
        struct payload *context = payload_new(8);
        struct raft_message m = {.type = RAFT_MSG_READ_INDEX,
                                 .from = 3,
                                 .to = 1,
                                 .log_term = said[i],
                                 .context = context};
        EXPECT_INT(raft_step(cluster_raft(c, 1), &m), ST_OK);
        payload_drop(context);
        cluster_pump(c, 1);
        /* What was said in its own term is believed, rightly: the question was
         * put before the election. */
        EXPECT_INT(count_sent(c, RAFT_MSG_READ_INDEX_RESPONSE),
                   said[i] == term - 1);
        cluster_lose_all(c);
    }
    cluster_free(c);
}

/* Section 6.4.1: the lease answers without asking, for as long as the quorum
 * was checked; a partitioned leader steps down before another is elected. */
TEST(read_index, a_lease_answers_at_once_and_ends)
{
    struct raft_config config = cluster_config();
    config.read_mode = RAFT_READ_LEASE;
    struct cluster *c = paper_cluster(&config, 3);
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_pump(c, 1);
    EXPECT_INT(answered(c, 1), 1);
    EXPECT_INT(c->network.count, 0);
    cluster_isolate(c, 1);
    cluster_pass_all(c, 20);
    EXPECT(cluster_status(c, 1).soft.role != RAFT_LEADER);
    EXPECT(cluster_read(c, 1) == ST_NO_LEADER);
    /* Followers' loyalty is the lease: they do not forget. */
    config.check_quorum = false;
    struct raft *none = NULL;
    config.id = 1;
    config.storage = raft_memory_storage_base(c->members[0]->disk);
    EXPECT_INT(raft_new(&config, &none), ST_INVALID);
    cluster_free(c);
}
