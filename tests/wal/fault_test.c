/* Every operation on the disk fails in turn. */

#include "tests/wal/world.h"

#define STEPS 40

static void expect_final(struct world *w)
{
    struct fault f = {{0}};
    bool more;
    EXPECT_INT(rig_append(w->wal, (struct rig_batch){0}, &f), ST_IO);
    EXPECT(strstr(f.text, "earlier failure") != NULL);
    EXPECT_INT(wal_sync(w->wal, &f), ST_IO);
    EXPECT_INT(wal_trim(w->wal, 0, 0, &f), ST_IO);
    EXPECT_INT(wal_restart_at(w->wal, 0, 0, &f), ST_IO);
    EXPECT_INT(wal_tend(w->wal, 1, &more, &f), ST_IO);
}

/* One run with a planned fault.  After it the process restarts, sometimes with
 * a power cut first, and once more after that: what a failed sync left as clean
 * in the kernel must not count as durable (Rebello et al., ATC 2020). */
static bool run(uint64_t seed, struct disk_sim_fault plan, uint64_t n)
{
    struct world w;
    struct fault f = {{0}};
    world_init(&w, seed, 4096 << seed % 3);
    plan.after = n;
    disk_sim_plan(w.sim, plan);
    enum status st = world_begin(&w, &f);
    if (st != ST_OK && w.wal != NULL) {
        world_fail(&w, "half open", NULL);
    }
    for (int i = 0; i < STEPS && st == ST_OK; i++) {
        st = world_step(&w, &f);
    }
    const bool struck = disk_sim_faults_struck(w.sim) > 0;
    if (st != ST_OK) {
        if (!struck || f.text[0] == '\0' || (st != ST_IO && st != plan.st)) {
            world_fail(&w, "not the planned failure", &f);
        }
        if (w.wal != NULL) {
            expect_final(&w);
        }
    }
    disk_sim_unplan_all(w.sim);
    world_end(&w, n % 2 == 0 ? WORLD_KILLED : WORLD_POWER_LOST);
    world_reopen_well(&w);
    world_end(&w, WORLD_POWER_LOST);
    world_reopen_well(&w);
    world_fini(&w);
    return struck;
}

static void fail_each(struct disk_sim_fault plan)
{
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t n = 0;
        while (run(test_seed() % 1000000 + i, plan, n)) {
            n++;
        }
        EXPECT(n > 10);
    }
}

TEST(fault, a_failed_operation_is_final_and_loses_nothing)
{
    fail_each((struct disk_sim_fault){
        .on = DISK_SIM_ALL, .what = DISK_SIM_FAIL, .st = ST_IO});
}

TEST(fault, a_full_disk_at_any_operation_loses_nothing)
{
    fail_each((struct disk_sim_fault){
        .on = DISK_SIM_CHANGES, .what = DISK_SIM_FAIL, .st = ST_NO_SPACE});
}

/* Reading fails while the log is opened: refused, and not for ever. */
TEST(fault, an_opening_that_fails_changes_nothing)
{
    struct world w;
    struct fault f = {{0}};
    world_init(&w, test_seed(), 8192);
    enum status st = world_begin(&w, &f);
    for (int i = 0; i < STEPS && st == ST_OK; i++) {
        st = world_step(&w, &f);
    }
    EXPECT_INT(st, ST_OK);
    world_end(&w, WORLD_CLOSED);
    for (uint64_t n = 0;; n++) {
        struct world copy;
        world_clone(&copy, &w, n);
        disk_sim_plan(copy.sim, (struct disk_sim_fault){.on = DISK_SIM_ALL,
                                                        .after = n,
                                                        .what = DISK_SIM_FAIL,
                                                        .st = ST_IO});
        st = world_reopen(&copy, &f);
        const bool struck = disk_sim_faults_struck(copy.sim) > 0;
        EXPECT_INT(st, struck ? ST_IO : ST_OK);
        world_end(&copy, WORLD_POWER_LOST);
        disk_sim_unplan_all(copy.sim);
        world_reopen_well(&copy);
        world_fini(&copy);
        if (!struck) {
            EXPECT(n > 5);
            break;
        }
    }
    world_fini(&w);
}
