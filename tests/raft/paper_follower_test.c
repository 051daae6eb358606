/* What a follower does with requests of its own clients: dissertation section
 * 6.2 (routing requests to the leader). */

#include "tests/raft/paper.h"

TEST(follower, proposals_are_forwarded_and_nothing_is_copied)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    const size_t before = c->records_count;
    struct payload *p = payload_copy_of(bytes_of("as it is"));
    struct payload *const two[] = {p, NULL};
    EXPECT_INT(raft_propose(cluster_raft(c, 2), two, 2), ST_OK);
    cluster_settle(c);
    EXPECT_INT(c->records_count, before + 2);
    EXPECT(c->records[before].payload == p);
    EXPECT(c->records[before + 1].payload == NULL);
    /* A change of the configuration goes the same way. */
    const struct raft_conf_change out = paper_change(RAFT_REMOVE_NODE, 3);
    EXPECT_INT(cluster_change(c, 2, &out), ST_OK);
    cluster_settle(c);
    EXPECT_INT(cluster_status(c, 1).peers_count, 2);
    payload_drop(p);
    cluster_free(c);
}

TEST(follower, without_forwarding_proposals_are_refused)
{
    struct raft_config config = cluster_config();
    config.disable_proposal_forwarding = true;
    struct cluster *c = paper_cluster(&config, 3);
    EXPECT_INT(cluster_propose(c, 2), ST_NOT_LEADER);
    EXPECT_INT(cluster_propose(c, 1), ST_OK);
    cluster_free(c);
}

TEST(follower, without_a_leader_proposals_are_refused)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    EXPECT_INT(cluster_propose(c, 1), ST_NO_LEADER);
    raft_campaign(cluster_raft(c, 1));
    EXPECT_INT(cluster_propose(c, 1), ST_NO_LEADER);
    EXPECT_INT(cluster_read(c, 1), ST_NO_LEADER);
    cluster_free(c);
}

/* One that knows its leader is gone frees its vote; with lease reads its
 * loyalty is what the lease stands on, and it stays. */
TEST(follower, forgets_its_leader_unless_reads_rely_on_it)
{
    struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    raft_forget_leader(cluster_raft(c, 2));
    EXPECT_INT(cluster_status(c, 2).soft.leader, RAFT_NONE);
    cluster_pass_all(c, 1); /* a heartbeat tells it again */
    EXPECT_INT(cluster_status(c, 2).soft.leader, 1);
    raft_forget_leader(cluster_raft(c, 1));
    EXPECT_INT(cluster_status(c, 1).soft.leader, 1);
    cluster_free(c);

    config.read_mode = RAFT_READ_LEASE;
    c = paper_cluster(&config, 3);
    raft_forget_leader(cluster_raft(c, 2));
    EXPECT_INT(cluster_status(c, 2).soft.leader, 1);
    cluster_free(c);
}

/* Danger: an acknowledged write in the synchronous mode that is not durable.
 * What changes term, vote or entries says so; a commit index alone does not. */
TEST(follower, must_sync_names_what_promises_depend_on)
{
    struct raft_config config = cluster_config();
    config.async_storage_writes = false;
    config.pre_vote = false;
    struct cluster *c = cluster_new(&config, 3, 3, 1);
    struct raft *r = cluster_raft(c, 2);
    struct raft_ready rd;
    struct raft_entry e = {.term = 2, .index = 2};
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .from = 1,
                             .to = 2,
                             .term = 2,
                             .index = 1,
                             .log_term = 1,
                             .entries = {&e, 1, 1}};
    EXPECT_INT(raft_step(r, &m), ST_OK);
    raft_ready(r, &rd);
    EXPECT(rd.must_sync);
    EXPECT_INT(rd.entries_count, 1);
    EXPECT_INT(rd.messages_count, 1); /* to be sent after the write */
    EXPECT_INT(raft_memory_storage_append(c->members[1]->disk, rd.entries, 1),
               ST_OK);
    raft_advance(r);
    m = (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .from = 1, .to = 2, .term = 2, .commit = 2};
    EXPECT_INT(raft_step(r, &m), ST_OK);
    raft_ready(r, &rd);
    EXPECT(!rd.must_sync);
    EXPECT(rd.hard_state_changed);
    EXPECT_INT(rd.hard_state.commit, 2);
    EXPECT_INT(rd.committed_count, 1);
    raft_advance(r);
    EXPECT(!raft_has_ready(r));
    EXPECT_INT(cluster_status(c, 2).applied, 2);
    cluster_free(c);
}

/* Danger: a proposal that was under way when its leader fell is passed on to
 * the next one behind the back of its maker, who has given it up and made it
 * again: it would be two entries.  With proposals_bear_term it is one or none.
 */
TEST(follower, a_proposal_is_for_the_leader_of_its_term)
{
    for (int bears = 0; bears < 2; bears++) {
        struct raft_config config = cluster_config();
        config.proposals_bear_term = bears == 1;
        config.check_quorum = false; /* 2 may be elected while 1 lives */
        struct cluster *c = paper_cluster(&config, 3);
        EXPECT_INT(cluster_propose(c, 3), ST_OK);
        cluster_pump(c, 3);
        EXPECT_INT(c->network.count, 1);
        struct raft_message late;
        raft_message_take(&late, &c->network.list[0]);
        c->network.count = 0;
        EXPECT_INT(late.type, RAFT_MSG_PROPOSE);
        cluster_elect(c, 2);
        cluster_settle(c);
        const uint64_t last = cluster_status(c, 2).last_index;
        for (uint64_t to = 1; to <= 2; to++) {
            late.to = to;
            EXPECT_INT(raft_step(cluster_raft(c, to), &late),
                       bears == 1 ? ST_NOT_LEADER : ST_OK);
            cluster_settle(c);
        }
        EXPECT_INT(cluster_status(c, 2).last_index, last + (bears ? 0 : 2));
        raft_message_fini(&late);
        cluster_free(c);
    }
}
