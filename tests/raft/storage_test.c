/* The log in memory, starting from it, and storages that are slow. */

#include "tests/raft/paper.h"

static struct raft_memory_storage *storage_of(uint64_t first, uint64_t count)
{
    struct raft_memory_storage *s = raft_memory_storage_new();
    for (uint64_t i = first; i < first + count; i++) {
        const struct raft_entry e = {.term = i, .index = i};
        EXPECT_INT(raft_memory_storage_append(s, &e, 1), ST_OK);
    }
    return s;
}

TEST(storage, appends_replace_skip_and_leave_no_gap)
{
    struct raft_memory_storage *s = storage_of(1, 5);
    struct raft_entry e[] = {{7, 3, RAFT_ENTRY_NORMAL, NULL},
                             {7, 4, RAFT_ENTRY_NORMAL, NULL}};
    EXPECT_INT(raft_memory_storage_append(s, e, 2), ST_OK);
    EXPECT_INT(raft_memory_storage_last_index(s), 4);
    EXPECT_INT(raft_memory_storage_entry(s, 3)->term, 7);
    EXPECT(raft_memory_storage_entry(s, 5) == NULL);
    e[0].index = 6;
    EXPECT_INT(raft_memory_storage_append(s, e, 1), ST_INVALID);
    EXPECT_INT(raft_memory_storage_compact(s, 3), ST_OK);
    EXPECT_INT(raft_memory_storage_compact(s, 3), ST_COMPACTED);
    EXPECT_INT(raft_memory_storage_compact(s, 5), ST_NOT_FOUND);
    e[0] = (struct raft_entry){.term = 7, .index = 3};
    e[1] = (struct raft_entry){.term = 8, .index = 4};
    EXPECT_INT(raft_memory_storage_append(s, e, 2), ST_OK);
    EXPECT_INT(raft_memory_storage_first_index(s), 4);
    EXPECT_INT(raft_memory_storage_entry(s, 4)->term, 8);
    raft_memory_storage_free(s);
}

TEST(storage, reads_say_what_is_gone_and_what_is_not_there)
{
    struct raft_memory_storage *s = storage_of(1, 6);
    struct raft_storage *b = raft_memory_storage_base(s);
    EXPECT_INT(raft_memory_storage_compact(s, 2), ST_OK);
    uint64_t term = 0;
    EXPECT_INT(b->ops->term(b, 1, &term), ST_COMPACTED);
    EXPECT_INT(b->ops->term(b, 2, &term), ST_OK);
    EXPECT_INT(term, 2);
    EXPECT_INT(b->ops->term(b, 7, &term), ST_NOT_FOUND);
    struct raft_entries list = {NULL, 0, 0};
    EXPECT_INT(b->ops->entries(b, 2, 4, RAFT_NO_LIMIT, &list), ST_COMPACTED);
    EXPECT_INT(b->ops->entries(b, 3, 8, RAFT_NO_LIMIT, &list), ST_NOT_FOUND);
    EXPECT_INT(list.count, 0);
    EXPECT_INT(b->ops->entries(b, 3, 7, RAFT_NO_LIMIT, &list), ST_OK);
    EXPECT_INT(list.count, 4);
    raft_entries_clear(&list);
    EXPECT_INT(b->ops->entries(b, 3, 7, 0, &list), ST_OK);
    EXPECT_INT(list.count, 1); /* at least one */
    raft_entries_clear(&list);
    const uint64_t two = 2 * raft_entry_size(raft_memory_storage_entry(s, 3));
    EXPECT_INT(b->ops->entries(b, 3, 7, two, &list), ST_OK);
    EXPECT_INT(list.count, 2);
    raft_entries_fini(&list);
    EXPECT_INT(raft_memory_storage_size(s), 2 * two);
    raft_memory_storage_free(s);
}

TEST(storage, snapshots_only_get_newer)
{
    struct raft_memory_storage *s = storage_of(1, 6);
    struct raft_storage *b = raft_memory_storage_base(s);
    const uint64_t voters[] = {1, 2};
    const struct raft_conf_state conf = {.voters = voters, .voters_count = 2};
    struct raft_snapshot *made = NULL;
    EXPECT_INT(b->ops->snapshot(b, &made), ST_BUSY);
    EXPECT_INT(raft_memory_storage_create_snapshot(s, 7, &conf, NULL, NULL),
               ST_NOT_FOUND);
    EXPECT_INT(raft_memory_storage_create_snapshot(s, 4, &conf, NULL, &made),
               ST_OK);
    EXPECT_INT(made->term, 4);
    EXPECT_INT(made->conf.voters[1], 2);
    EXPECT_INT(raft_memory_storage_create_snapshot(s, 4, &conf, NULL, NULL),
               ST_COMPACTED);
    EXPECT_INT(raft_memory_storage_apply_snapshot(s, made), ST_COMPACTED);
    raft_snapshot_drop(made);
    made = raft_snapshot_new(20, 9, &conf, NULL);
    EXPECT_INT(raft_memory_storage_apply_snapshot(s, made), ST_OK);
    EXPECT_INT(raft_memory_storage_first_index(s), 21);
    EXPECT_INT(raft_memory_storage_last_index(s), 20);
    raft_snapshot_drop(made);
    raft_memory_storage_free(s);
}

/* Danger: a restart with a log that contradicts itself goes on silently. */
TEST(storage, contradicting_state_is_corrupt)
{
    struct raft_memory_storage *s = storage_of(1, 3);
    struct raft_config config = cluster_config();
    config.id = 1;
    config.storage = raft_memory_storage_base(s);
    struct raft *r = NULL;
    const struct raft_hard_state beyond = {.term = 3, .commit = 4};
    raft_memory_storage_set_hard_state(s, &beyond);
    EXPECT_INT(raft_new(&config, &r), ST_CORRUPT);
    const struct raft_hard_state good = {.term = 3, .commit = 2};
    raft_memory_storage_set_hard_state(s, &good);
    config.applied = 4;
    EXPECT_INT(raft_new(&config, &r), ST_CORRUPT);
    config.applied = 3; /* applied proves more than the stored hint */
    EXPECT_INT(raft_new(&config, &r), ST_OK);
    struct raft_status status;
    raft_status(r, &status);
    EXPECT_INT(status.hard.commit, 3);
    EXPECT_INT(status.applied, 3);
    raft_free(r);
    raft_memory_storage_free(s);
}

TEST(storage, configurations_that_contradict_themselves_are_refused)
{
    struct raft_memory_storage *s = raft_memory_storage_new();
    const struct raft_config good = {.id = 1,
                                     .election_ticks = 10,
                                     .heartbeat_ticks = 1,
                                     .max_inflight_messages = 1,
                                     .storage = raft_memory_storage_base(s)};
    struct raft *r = NULL;
    struct raft_config bad = good;
    bad.id = RAFT_NONE;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    bad.id = RAFT_APPLY_THREAD;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    bad = good;
    bad.heartbeat_ticks = 10;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    bad = good;
    bad.max_inflight_messages = 0;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    bad = good;
    bad.max_size_per_message = 100;
    bad.max_inflight_bytes = 99;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    bad = good;
    bad.storage = NULL;
    EXPECT_INT(raft_new(&bad, &r), ST_INVALID);
    EXPECT_INT(raft_new(&good, &r), ST_OK);
    raft_free(r);
    raft_memory_storage_free(s);
}

/* ---- A storage that has to look on the disk ---- */

struct busy_storage {
    struct raft_storage storage;
    struct raft_storage *real;
    struct raft_storage_ops ops;
    bool busy;
};

static struct busy_storage *busy_one;

static enum status busy_state(struct raft_storage *s,
                              struct raft_hard_state *hard,
                              struct raft_conf_state *conf)
{
    (void)s;
    return busy_one->real->ops->initial_state(busy_one->real, hard, conf);
}

static enum status busy_entries(struct raft_storage *s, uint64_t lo,
                                uint64_t hi, uint64_t max,
                                struct raft_entries *to)
{
    (void)s;
    return busy_one->busy
               ? ST_BUSY
               : busy_one->real->ops->entries(busy_one->real, lo, hi, max, to);
}

static enum status busy_term(struct raft_storage *s, uint64_t index,
                             uint64_t *term)
{
    (void)s;
    return busy_one->real->ops->term(busy_one->real, index, term);
}

static uint64_t busy_first(struct raft_storage *s)
{
    (void)s;
    return busy_one->real->ops->first_index(busy_one->real);
}

static uint64_t busy_last(struct raft_storage *s)
{
    (void)s;
    return busy_one->real->ops->last_index(busy_one->real);
}

static enum status busy_snapshot(struct raft_storage *s,
                                 struct raft_snapshot **ret)
{
    (void)s;
    return busy_one->real->ops->snapshot(busy_one->real, ret);
}

/* Danger: the loop waits for the disk because one follower is far behind. */
TEST(storage, entries_that_are_not_at_hand_are_sent_later)
{
    const struct raft_config config = cluster_config();
    struct cluster *c = paper_cluster(&config, 3);
    struct busy_storage busy = {
        .real = raft_memory_storage_base(c->members[0]->disk),
        .ops = {busy_state, busy_entries, busy_term, busy_first, busy_last,
                busy_snapshot}};
    busy.storage.ops = &busy.ops;
    busy_one = &busy;
    cluster_isolate(c, 3);
    paper_propose(c, 1, 5);
    cluster_settle(c);
    struct raft *r = cluster_raft(c, 1);
    r->log.storage = &busy.storage;
    busy.busy = true;
    cluster_heal(c);
    cluster_pass_all(c, 3);
    EXPECT(c->members[2]->applied < c->records_count);
    busy.busy = false;
    cluster_pass_all(c, 3);
    EXPECT_INT(c->members[2]->applied, c->records_count);
    cluster_free(c);
}
