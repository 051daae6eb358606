/* A bounded part of the simulation, in the test command; ./dev sim runs more.
 * A seed that ever failed goes into `kept` and runs for ever. */

#include "tests/lib/test.h"
#include "tests/sim/sim.h"

static struct sim_options options_of(uint64_t seed, uint32_t members)
{
    return (struct sim_options){.seed = seed,
                                .members = members,
                                .clients = 6,
                                .faults_ms = 30000, /* as ./dev sim has it */
                                .healed_ms = 10000};
}

static void run_options(const struct sim_options *o, struct sim_report *ret)
{
    sim_run(o, ret);
    if (ret->failure[0] != '\0') {
        fail_msg("%s; replay: ./dev sim --seed %llu --members %u --lessees %u "
                 "--changes %d --trace",
                 ret->failure, (unsigned long long)o->seed, o->members,
                 o->lessees, o->changes);
    }
}

static void run_with(uint64_t seed, uint32_t members, uint32_t lessees,
                     bool changes, struct sim_report *ret)
{
    struct sim_options o = options_of(seed, members);
    o.lessees = lessees;
    o.changes = changes;
    run_options(&o, ret);
}

static void run(uint64_t seed, uint32_t members, struct sim_report *ret)
{
    run_with(seed, members, 0, false, ret);
}

static void run_leases(uint64_t seed, uint32_t members, struct sim_report *ret)
{
    run_with(seed, members, 6, false, ret);
}

/* A seed that does not repeat is a failure nobody can look at. */
TEST(sim, the_same_seed_gives_the_same_trace)
{
    struct sim_report a, b, c;
    run_with(11, 3, 2, true, &a);
    run_with(11, 3, 2, true, &b);
    run_with(12, 3, 2, true, &c);
    EXPECT(a.trace_hash == b.trace_hash);
    EXPECT(a.trace_hash != c.trace_hash);
    EXPECT(a.faults[SIM_FAULT_CRASH] + c.faults[SIM_FAULT_CRASH] > 0);
    EXPECT(a.faults[SIM_FAULT_DROP] + c.faults[SIM_FAULT_DROP] > 0);
    EXPECT(a.leaders + c.leaders > 2 && a.flushes + c.flushes > 0);
}

/* kept.txt says what each of them found. */
TEST(sim, seeds_that_failed_once_stay_mended)
{
    FILE *f = fopen(KEPT_SEEDS, "r");
    char line[512];
    int runs = 0;
    EXPECT(f != NULL);
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned long long seed;
        unsigned members, lessees, changes;
        if (line[0] != '#') {
            EXPECT_INT(sscanf(line, "%llu %u %u %u", &seed, &members, &lessees,
                              &changes),
                       4);
            struct sim_options o = options_of(seed, members);
            struct sim_report r;
            o.lessees = lessees;
            o.changes = changes != 0;
            run_options(&o, &r);
            runs++;
        }
    }
    (void)fclose(f);
    EXPECT(runs > 0);
}

/* The test command gives a SEED (meson.build); without one they are new. */
static void some(uint32_t members)
{
    uint64_t acknowledged = 0;
    for (uint64_t i = 0; i < 12; i++) {
        struct sim_report r;
        run(test_seed() * 100 + i, members, &r);
        acknowledged += r.acknowledged;
    }
    EXPECT(acknowledged > 1000);
}

TEST(sim, one_member_keeps_its_promises)
{
    some(1);
}

TEST(sim, three_members_keep_their_promises)
{
    some(3);
}

/* Danger: a change of the members loses what was acknowledged, leaves two
 * leaders or none, or brings back who was removed or has lost its data. */
TEST(sim, members_come_and_go_and_all_promises_hold)
{
    uint64_t faults[SIM_FAULTS] = {0};
    for (uint64_t i = 0; i < 12; i++) {
        struct sim_report r;
        run_with(test_seed() * 100 + i, 1 + 2 * (i % 3), 2, true, &r);
        for (int k = 0; k < SIM_FAULTS; k++) {
            faults[k] += r.faults[k];
        }
    }
    EXPECT(faults[SIM_FAULT_MEMBER_ADDED] + faults[SIM_FAULT_LEARNER_ADDED] >
           5);
    EXPECT(faults[SIM_FAULT_MEMBER_REMOVED] > 3);
}

/* Danger: a lease ends while its holder renews it, or outlives it for ever. */
TEST(sim, leases_never_end_early_and_all_end)
{
    uint64_t renewals = 0, ended = 0;
    for (uint64_t i = 0; i < 12; i++) {
        struct sim_report r;
        run_leases(test_seed() * 100 + i,
                   i % 4 == 0   ? 5
                   : i % 4 == 1 ? 1
                                : 3,
                   &r);
        renewals += r.renewals;
        ended += r.leases_ended;
    }
    EXPECT(renewals > 100); /* enough to mean something */
    EXPECT(ended > 20);
}

TEST(sim, five_members_keep_their_promises)
{
    some(5);
}
