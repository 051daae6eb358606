/* What a broken or hostile peer sends is refused and changes nothing; what
 * contradicts a promise is said to be corruption. */

#include "tests/raft/paper.h"

/* A member of three, following member 2 in term 3, with five entries. */
static struct cluster *follower(void)
{
    struct raft_config config = cluster_config();
    config.check_quorum = false;
    struct cluster *c = paper_cluster(&config, 3);
    paper_propose(c, 1, 3);
    cluster_settle(c);
    return c;
}

static void refuses(struct cluster *c, uint64_t id, struct raft_message m,
                    enum status wanted)
{
    struct raft *r = cluster_raft(c, id);
    const struct raft_status before = cluster_status(c, id);
    m.to = m.to == RAFT_NONE ? id : m.to;
    EXPECT_INT(raft_step(r, &m), wanted);
    const struct raft_status after = cluster_status(c, id);
    EXPECT_INT(after.hard.term, before.hard.term);
    EXPECT_INT(after.hard.commit, before.hard.commit);
    EXPECT_INT(after.last_index, before.last_index);
    EXPECT_INT(after.soft.leader, before.soft.leader);
    EXPECT(!raft_has_ready(r));
    raft_check(r);
}

TEST(hostile, malformed_messages_are_invalid)
{
    struct cluster *c = follower();
    const uint64_t term = cluster_status(c, 2).hard.term;
    struct raft_entry gap[] = {{term, 8, RAFT_ENTRY_NORMAL, NULL}};
    struct raft_entry back[] = {{term, 7, RAFT_ENTRY_NORMAL, NULL},
                                {term - 1, 8, RAFT_ENTRY_NORMAL, NULL}};
    struct raft_entry kind[] = {{term, 7, (enum raft_entry_type)9, NULL}};
    struct payload *junk = payload_copy_of(bytes_of("\x0a\xff\xff"));
    struct raft_entry change[] = {{term, 7, RAFT_ENTRY_CONF_CHANGE_V2, junk}};
    const struct raft_message base = {.type = RAFT_MSG_APPEND,
                                      .from = 1,
                                      .term = term,
                                      .index = 6,
                                      .log_term = term};
    struct raft_message m = base;
    m.entries = (struct raft_entries){gap, 1, 1};
    refuses(c, 2, m, ST_INVALID);
    m.entries = (struct raft_entries){back, 2, 2};
    refuses(c, 2, m, ST_INVALID);
    m.entries = (struct raft_entries){kind, 1, 1};
    refuses(c, 2, m, ST_INVALID);
    m.entries = (struct raft_entries){change, 1, 1};
    refuses(c, 2, m, ST_INVALID);
    m = base;
    m.type = RAFT_MSG_PROPOSE;
    m.term = 0;
    m.entries = (struct raft_entries){change, 1, 1};
    refuses(c, 1,
            (struct raft_message){
                .type = RAFT_MSG_PROPOSE, .from = 2, .entries = {change, 1, 1}},
            ST_INVALID);
    refuses(c, 1, (struct raft_message){.type = RAFT_MSG_PROPOSE, .from = 2},
            ST_INVALID);
    refuses(c, 2,
            (struct raft_message){
                .type = RAFT_MSG_SNAPSHOT, .from = 1, .term = term},
            ST_INVALID);
    m = base;
    m.to = 3; /* not for this member */
    refuses(c, 2, m, ST_INVALID);
    m = base;
    m.from = 2; /* from itself */
    refuses(c, 2, m, ST_INVALID);
    m = base;
    m.term = UINT64_MAX; /* would end all terms */
    refuses(c, 2, m, ST_INVALID);
    m = base;
    m.index = UINT64_MAX;
    refuses(c, 2, m, ST_INVALID);
    for (int type = 0; type < 40; type++) {
        m = (struct raft_message){
            .type = (enum raft_message_type)type, .from = 1, .term = term};
        if (type >= RAFT_MSG_TYPES ||
            raft_message_type_is_local((enum raft_message_type)type)) {
            refuses(c, 2, m, ST_INVALID);
        }
    }
    payload_drop(junk);
    cluster_free(c);
}

TEST(hostile, answers_of_strangers_are_ignored)
{
    struct cluster *c = follower();
    const uint64_t term = cluster_status(c, 1).hard.term;
    refuses(c, 1,
            (struct raft_message){.type = RAFT_MSG_APPEND_RESPONSE,
                                  .from = 9,
                                  .term = term,
                                  .index = 5},
            ST_NOT_FOUND);
    refuses(c, 1,
            (struct raft_message){
                .type = RAFT_MSG_VOTE_RESPONSE, .from = 9, .term = term + 1},
            ST_NOT_FOUND);
    cluster_free(c);
}

/* Danger: going on after a broken promise spreads the damage. */
TEST(hostile, contradictions_of_what_is_committed_are_corruption)
{
    struct cluster *c = follower();
    const uint64_t term = cluster_status(c, 2).hard.term;
    const uint64_t committed = cluster_status(c, 2).hard.commit;
    /* A leader that lacks a committed entry. */
    struct raft_message m = {.type = RAFT_MSG_APPEND,
                             .from = 1,
                             .term = term + 1,
                             .index = committed,
                             .log_term = term + 1};
    refuses(c, 2, m, ST_CORRUPT);
    /* One that believes this member has more than it has. */
    m = (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .from = 1, .term = term, .commit = 100};
    refuses(c, 2, m, ST_CORRUPT);
    /* A follower that acknowledges what was never sent. */
    m = (struct raft_message){.type = RAFT_MSG_APPEND_RESPONSE,
                              .from = 2,
                              .term = term,
                              .index = 100};
    refuses(c, 1, m, ST_CORRUPT);
    /* A second leader in one term. */
    m = (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .from = 2, .term = term};
    refuses(c, 1, m, ST_CORRUPT);
    cluster_free(c);
}

/* Danger: one liar confirms reads that nobody was asked about. */
TEST(hostile, confirmations_of_unasked_reads_do_not_count)
{
    struct cluster *c = follower();
    const struct raft_message lie = {.type = RAFT_MSG_HEARTBEAT_RESPONSE,
                                     .from = 2,
                                     .to = 1,
                                     .term = cluster_status(c, 1).hard.term,
                                     .index = 1000};
    EXPECT_INT(raft_step(cluster_raft(c, 1), &lie), ST_OK);
    EXPECT_INT(cluster_read(c, 1), ST_OK);
    cluster_pump(c, 1);
    EXPECT_INT(c->members[0]->reads_answered, 0);
    cluster_free(c);
}

/* Saves and applies whatever is asked for, as a host does, without believing in
 * any of it. */
static void carry_out(struct cluster *c, uint64_t id)
{
    struct raft *r = cluster_raft(c, id);
    struct raft_ready rd;
    raft_ready(r, &rd);
    for (size_t i = 0; i < rd.messages_count; i++) {
        struct raft_message m;
        raft_message_take(&m, &rd.messages[i]);
        if (m.snapshot != NULL && m.type == RAFT_MSG_STORAGE_APPEND) {
            (void)!raft_memory_storage_apply_snapshot(
                c->members[id - 1]->disk, m.snapshot); /* may be older */
        }
        if (m.type == RAFT_MSG_STORAGE_APPEND) {
            EXPECT_INT(raft_memory_storage_append(c->members[id - 1]->disk,
                                                  m.entries.list,
                                                  m.entries.count),
                       ST_OK);
        }
        for (size_t j = 0; j < m.responses_count; j++) {
            if (m.responses[j].to == id) {
                EXPECT_INT(raft_step(r, &m.responses[j]), ST_OK);
            }
        }
        raft_message_fini(&m);
    }
    raft_check(r);
}

/* Danger: random bytes in every field, in every role. */
TEST(hostile, random_messages_break_nothing)
{
    struct prng p;
    prng_init(&p, test_seed());
    /* A broken invariant ends the process before the seed is printed. */
    print_message("# SEED=%llu\n", (unsigned long long)test_seed());
    const struct raft_config config = cluster_config();
    for (int round = 0; round < 20; round++) {
        struct cluster *c = cluster_new(&config, 3, 3, prng_next(&p));
        cluster_pass_all(c, (unsigned)prng_below(&p, 40));
        for (int i = 0; i < 200; i++) {
            const uint64_t id = 1 + prng_below(&p, 3);
            struct raft_entry e = {prng_below(&p, 5), prng_below(&p, 8),
                                   (enum raft_entry_type)prng_below(&p, 4),
                                   NULL};
            const uint64_t ids[] = {prng_below(&p, 4), prng_below(&p, 4)};
            const struct raft_conf_state conf = {
                .voters = ids, .voters_count = prng_below(&p, 3)};
            struct raft_message m = {
                .type = (enum raft_message_type)prng_below(&p, 26),
                .reject = prng_chance(&p, 1, 2),
                .transfer = prng_chance(&p, 1, 2),
                .to = id,
                .from = prng_below(&p, 5),
                .term = prng_below(&p, 5),
                .log_term = prng_below(&p, 5),
                .index =
                    prng_chance(&p, 1, 9) ? prng_next(&p) : prng_below(&p, 8),
                .commit = prng_below(&p, 8),
                .reject_hint = prng_below(&p, 8)};
            if (prng_chance(&p, 1, 2)) {
                raft_entries_add(&m.entries, &e, 1);
            }
            if (prng_chance(&p, 1, 3)) {
                m.snapshot = raft_snapshot_new(prng_below(&p, 9),
                                               prng_below(&p, 5), &conf, NULL);
            }
            /* Any status; only invariants matter. */
            (void)!raft_step(cluster_raft(c, id), &m);
            raft_check(cluster_raft(c, id));
            raft_message_fini(&m);
            if (prng_chance(&p, 1, 3)) {
                carry_out(c, id);
            }
        }
        cluster_free(c);
    }
}
