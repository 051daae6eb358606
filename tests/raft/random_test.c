/* Random walks: a cluster under a network that loses, doubles, reorders and
 * cuts, and members that crash and lose what they had not synced, while the
 * membership changes.  Every step checks what must never happen; at the end all
 * faults stop and the cluster has to work again. */

#include <signal.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster.h"

struct weather {
    uint32_t lose_percent, double_percent, reorder_percent;
    uint32_t cut_permille, crash_permille, change_permille;
    bool loses; /* logs lose their ends at a crash, and nobody joins or goes */
};

static uint64_t losses; /* in all walks */

static struct weather random_weather(struct prng *p)
{
    return (struct weather){.lose_percent = (uint32_t)prng_below(p, 20),
                            .double_percent = (uint32_t)prng_below(p, 15),
                            .reorder_percent = (uint32_t)prng_below(p, 60),
                            .cut_permille = (uint32_t)prng_below(p, 12),
                            .crash_permille = (uint32_t)prng_below(p, 12),
                            .change_permille = (uint32_t)prng_below(p, 25)};
}

static struct raft_config random_config(struct prng *p)
{
    struct raft_config config = cluster_config();
    config.check_quorum = prng_chance(p, 2, 3);
    config.pre_vote = prng_chance(p, 2, 3);
    config.async_storage_writes = prng_chance(p, 3, 4);
    config.step_down_on_removal = prng_chance(p, 1, 2);
    config.asker_confirms = prng_chance(p, 2, 3);
    config.proposals_bear_term = prng_chance(p, 2, 3);
    config.answer_old_candidates = !config.pre_vote || prng_chance(p, 1, 2);
    config.max_inflight_messages = 1 + (uint32_t)prng_below(p, 8);
    config.max_size_per_message =
        prng_chance(p, 1, 2) ? RAFT_NO_LIMIT : prng_below(p, 80);
    if (config.max_size_per_message < RAFT_NO_LIMIT) {
        config.max_inflight_bytes =
            config.max_size_per_message + prng_below(p, 100);
    }
    config.max_committed_size_per_ready =
        prng_chance(p, 1, 2) ? 0 : 1 + prng_below(p, 100);
    return config;
}

static uint64_t random_member(struct cluster *c)
{
    return 1 + prng_below(&c->prng, c->count);
}

static bool is_up(struct cluster *c, uint64_t id)
{
    return c->members[id - 1]->raft != NULL;
}

static void random_change(struct cluster *c, uint64_t id)
{
    struct raft_conf_change cc = {
        .transition = (enum raft_conf_transition)prng_below(&c->prng, 3),
        .changes_count = (size_t)prng_below(&c->prng, 4)};
    for (size_t i = 0; i < cc.changes_count; i++) {
        cc.changes[i].type =
            (enum raft_conf_change_type)prng_below(&c->prng, 4);
        cc.changes[i].node = random_member(c);
    }
    /* Nothing is promised: it may be refused, dropped or lost. */
    (void)!cluster_change(c, id, &cc);
}

static void random_cut(struct cluster *c)
{
    const uint64_t a = random_member(c);
    const uint64_t b = random_member(c);
    if (prng_chance(&c->prng, 1, 3)) {
        cluster_heal(c);
    } else if (prng_chance(&c->prng, 1, 2)) {
        cluster_isolate(c, a);
    } else {
        c->cut[a][b] = true; /* one way only */
    }
}

/* One at a time: what two of three lose is gone. */
static void random_loss(struct cluster *c, uint64_t id)
{
    const struct raft_memory_storage *disk = c->members[id - 1]->disk;
    for (uint64_t i = 1; i <= c->count; i++) {
        if (c->members[i - 1]->lost.index > 0 && i != id) {
            return;
        }
    }
    const uint64_t last = raft_memory_storage_last_index(disk);
    losses += cluster_lose_end(c, id, last - prng_below(&c->prng, 12)) ? 1 : 0;
}

static void random_crash(struct cluster *c, uint64_t id,
                         const struct weather *w)
{
    if (is_up(c, id)) {
        const size_t pending = c->members[id - 1]->append_work.count;
        cluster_crash(c, id, (size_t)prng_below(&c->prng, pending + 1));
    } else {
        if (w->loses && prng_chance(&c->prng, 1, 2)) {
            random_loss(c, id);
        }
        cluster_restart(c, id);
    }
}

static void random_message(struct cluster *c, const struct weather *w)
{
    if (c->network.count == 0) {
        return;
    }
    size_t at = 0;
    if (prng_chance(&c->prng, w->reorder_percent, 100)) {
        at = (size_t)prng_below(&c->prng, c->network.count);
    }
    if (prng_chance(&c->prng, w->lose_percent, 100)) {
        cluster_lose(c, at);
    } else {
        cluster_deliver(c, at, prng_chance(&c->prng, w->double_percent, 100));
    }
}

/* Things a user or an operator does. */
static void random_request(struct cluster *c, uint64_t id)
{
    switch (prng_below(&c->prng, 12)) {
    case 0:
        raft_transfer_leader(cluster_raft(c, id), random_member(c));
        break;
    case 1:
        raft_forget_leader(cluster_raft(c, id));
        break;
    case 2:
        raft_report_unreachable(cluster_raft(c, id), random_member(c));
        break;
    case 3:
        raft_report_snapshot(cluster_raft(c, id), random_member(c),
                             prng_chance(&c->prng, 1, 2));
        break;
    case 4:
        raft_campaign(cluster_raft(c, id));
        break;
    case 5:
        cluster_snapshot(c, id, prng_below(&c->prng, 10));
        break;
    case 6:
    case 7:
        (void)!cluster_read(c, id); /* refused without a leader */
        break;
    default:
        (void)!cluster_propose(c, id); /* the same */
        break;
    }
}

static void random_step(struct cluster *c, const struct weather *w)
{
    const uint64_t id = random_member(c);
    if (prng_chance(&c->prng, w->crash_permille, 1000)) {
        random_crash(c, id, w);
    }
    if (prng_chance(&c->prng, w->cut_permille, 1000)) {
        random_cut(c);
    }
    for (uint64_t n = prng_below(&c->prng, 6); n > 0; n--) {
        random_message(c, w);
    }
    if (!is_up(c, id)) {
        return;
    }
    if (prng_chance(&c->prng, 1, 4)) {
        cluster_tick(c, id);
    }
    if (prng_chance(&c->prng, 1, 5)) {
        random_request(c, id);
    }
    if (prng_chance(&c->prng, w->change_permille, 1000)) {
        random_change(c, id);
    }
    if (prng_chance(&c->prng, 2, 3)) {
        cluster_pump(c, id);
    }
    if (prng_chance(&c->prng, 1, 2)) {
        (void)cluster_append_one(c, id); /* there may be nothing to do */
    }
    if (prng_chance(&c->prng, 1, 2)) {
        (void)cluster_apply_one(c, id); /* the same */
    }
}

/* A joint configuration that waits for its operator is left. */
static void leave_joint(struct cluster *c, uint64_t leader)
{
    const struct raft_conf_change leave = {.transition = RAFT_TRANSITION_AUTO};
    if (cluster_status(c, leader).is_joint) {
        (void)!cluster_change(c, leader, &leave); /* tried again */
    }
}

/* As a host does when a snapshot's connection broke. */
static void report_lost_snapshots(struct cluster *c, uint64_t leader)
{
    const size_t count = cluster_status(c, leader).peers_count;
    for (size_t i = 0; i < count; i++) {
        struct raft_peer_status peer;
        raft_peer(cluster_raft(c, leader), i, &peer);
        if (peer.state == RAFT_SENDING_SNAPSHOT) {
            raft_report_snapshot(cluster_raft(c, leader), peer.id, false);
        }
    }
}

/* Without step_down_on_removal a leader that was removed goes on leading until
 * its host hands over, as the node does. */
static void hand_over_if_removed(struct cluster *c, uint64_t leader)
{
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, leader), &conf);
    for (size_t i = 0; i < conf.voters_count; i++) {
        if (conf.voters[i] == leader) {
            return;
        }
    }
    raft_transfer_leader(cluster_raft(c, leader), conf.voters[0]);
}

/* Who is out by the newest configuration in force is shut off: without
 * check_quorum it could disrupt the others for ever (section 4.2.3).  Not
 * before all who are in know of it: until then its vote may be needed. */
static void isolate_removed(struct cluster *c)
{
    const struct raft *newest = cluster_raft(c, 1);
    for (uint64_t id = 2; id <= c->count; id++) {
        if (cluster_raft(c, id)->conf_index > newest->conf_index) {
            newest = cluster_raft(c, id);
        }
    }
    cluster_heal(c);
    for (uint64_t id = 1; id <= c->count; id++) {
        const struct raft_conf_sets *in = &newest->members.conf;
        const struct raft_conf_sets *own = &cluster_raft(c, id)->members.conf;
        if (raft_conf_has_voter(in, id) &&
            !(raft_ids_equal(&in->incoming, &own->incoming) &&
              raft_ids_equal(&in->outgoing, &own->outgoing))) {
            return;
        }
    }
    for (uint64_t id = 1; id <= c->count; id++) {
        if (!raft_conf_has_member(&newest->members.conf, id)) {
            cluster_isolate(c, id);
        }
    }
}

/* A known limit of configurations that count from when they are applied: who
 * was demoted or removed may be the only one with a committed entry that those
 * who are in lack, refuses them its vote, and may not lead itself. */
static bool is_stranded(struct cluster *c)
{
    struct raft_entry_id best_voter = {0, 0};
    struct raft_entry_id best_other = {0, 0};
    for (uint64_t id = 1; id <= c->count; id++) {
        const struct raft *r = cluster_raft(c, id);
        const struct raft_entry_id last = raft_log_last_id(&r->log);
        struct raft_entry_id *best =
            raft_is_promotable(r) ? &best_voter : &best_other;
        if (last.term > best->term ||
            (last.term == best->term && last.index > best->index)) {
            *best = last;
        }
    }
    return best_other.term > best_voter.term ||
           (best_other.term == best_voter.term &&
            best_other.index > best_voter.index);
}

/* No faults any more: soon there is a leader, a proposal gets through, and all
 * members that are in have applied the same.  False: stranded. */
static bool expect_recovery(struct cluster *c)
{
    cluster_heal(c);
    for (uint64_t id = 1; id <= c->count; id++) {
        if (!is_up(c, id)) {
            cluster_restart(c, id);
        }
    }
    uint64_t leader = RAFT_NONE;
    /* Time enough also where one who cannot win keeps starting new terms (a
     * shorter log, an older configuration): each is a race of timeouts. */
    for (int i = 0; i < 40 || (i < 400 && leader == RAFT_NONE); i++) {
        isolate_removed(c);
        cluster_pass_all(c, 10);
        leader = cluster_leader(c);
        if (leader != RAFT_NONE) {
            cluster_snapshot(c, leader, 1000);
            report_lost_snapshots(c, leader);
            leave_joint(c, leader);
            hand_over_if_removed(c, leader);
        }
    }
    if (leader == RAFT_NONE && is_stranded(c)) {
        return false;
    }
    EXPECT(leader != RAFT_NONE);
    const size_t before = c->records_count;
    EXPECT_INT(cluster_propose(c, leader), ST_OK);
    EXPECT_INT(cluster_read(c, leader), ST_OK);
    const uint64_t answered = c->members[leader - 1]->reads_answered;
    cluster_pass_all(c, 5);
    EXPECT(c->records_count > before);
    EXPECT(c->members[leader - 1]->reads_answered > answered);
    struct raft_conf_state conf;
    raft_conf(cluster_raft(c, leader), &conf);
    for (size_t i = 0; i < conf.voters_count + conf.learners_count; i++) {
        const uint64_t id = i < conf.voters_count
                                ? conf.voters[i]
                                : conf.learners[i - conf.voters_count];
        EXPECT_INT(c->members[id - 1]->applied, c->records_count);
        EXPECT_INT(c->members[id - 1]->hash,
                   c->records[c->records_count - 1].hash);
    }
    return true;
}

/* The walk under way, to be named if the test ends in the middle of it. */
static uint64_t walking;
static bool is_walking;

static void name_walk(void)
{
    if (is_walking) {
        (void)fprintf(stderr, "replay this walk with WALK=%llu\n",
                      (unsigned long long)walking);
    }
}

static void on_abort(int number)
{
    (void)number;
    name_walk(); /* a broken invariant: nothing else goes on anyway */
}

static bool walk(uint64_t seed, unsigned steps)
{
    struct prng p;
    prng_init(&p, seed);
    const struct raft_config config = random_config(&p);
    struct weather weather = random_weather(&p);
    size_t count = 1 + (size_t)prng_below(&p, 6);
    size_t voters_count = 1 + (size_t)prng_below(&p, count);
    if (seed % 3 == 0) {
        weather.loses = true;
        weather.crash_permille += 8;
        weather.change_permille = 0;
        count = voters_count = 3 + 2 * (size_t)prng_below(&p, 2);
    }
    walking = seed;
    is_walking = true;
    struct cluster *c = cluster_new(&config, count, voters_count, seed);
    for (unsigned i = 0; i < steps; i++) {
        random_step(c, &weather);
        if (i % 16 == 0) {
            cluster_check(c);
        }
    }
    const bool recovered = expect_recovery(c);
    cluster_free(c);
    is_walking = false;
    return recovered;
}

/* Danger: a rare order of losses, crashes and changes in which two leaders,
 * a lost entry or a wrong read come about. */
TEST(random, walks_keep_every_safety_property_and_recover)
{
    (void)atexit(name_walk);
    (void)signal(SIGABRT, on_abort);
    const char *only = getenv("WALK");
    const char *walks = getenv("WALKS");
    if (only != NULL) {
        (void)walk(strtoull(only, NULL, 0), 1500); /* safe, if stranded */
        return;
    }
    const uint64_t count = walks != NULL ? strtoull(walks, NULL, 0) : 60;
    uint64_t stranded_count = 0;
    for (uint64_t i = 0; i < count; i++) {
        /* Half of them always the same, half new ones. */
        const uint64_t seed = i % 2 == 0 ? i : test_seed() * 1000003 + i;
        stranded_count += walk(seed, 1500) ? 0 : 1;
    }
    print_message("# %llu walks, %llu of them stranded, %llu lost ends\n",
                  (unsigned long long)count, (unsigned long long)stranded_count,
                  (unsigned long long)losses);
    EXPECT(losses > 0);
    EXPECT(stranded_count <= count / 20);
}
