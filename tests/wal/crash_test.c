/* The log after a crash: at every change it makes to the disk, and at random.
 * What was synced is there, what was not is there or not, entry by entry from
 * the front, and nothing else ever is. */

#include "tests/wal/world.h"

#define STEPS    60
#define OUTCOMES 6

/* A run that ends at the n-th change; false when there are fewer. */
static bool run_until_cut(struct world *w, uint64_t seed, uint64_t n)
{
    struct fault f = {{0}};
    world_init(w, seed, 4096 << seed % 3);
    disk_sim_plan(w->sim, (struct disk_sim_fault){.on = DISK_SIM_CHANGES,
                                                  .after = n,
                                                  .what = DISK_SIM_CUT});
    enum status st = world_begin(w, &f);
    for (int i = 0; i < STEPS && st == ST_OK; i++) {
        st = world_step(w, &f);
    }
    const bool cut = disk_sim_faults_struck(w->sim) > 0;
    if (!cut && st != ST_OK) {
        world_fail(w, "a step failed", &f);
    }
    return cut;
}

/* Goes on for some steps after a crash, then loses power once more. */
static void live_on(struct world *w)
{
    struct fault f = {{0}};
    for (int i = 0; i < 12; i++) {
        if (world_step(w, &f) != ST_OK) {
            world_fail(w, "a step failed after the crash", &f);
        }
    }
    world_end(w, WORLD_POWER_LOST);
    world_reopen_well(w);
}

/* Power goes again while the log is opened, at the m-th change of it. */
static void crash_while_opening(struct world *w, uint64_t m)
{
    struct fault f = {{0}};
    disk_sim_plan(w->sim, (struct disk_sim_fault){.on = DISK_SIM_CHANGES,
                                                  .after = m,
                                                  .what = DISK_SIM_CUT});
    (void)world_reopen(w, &f); /* as far as it gets */
    world_end(w, WORLD_POWER_LOST);
    disk_sim_unplan_all(w->sim);
    world_reopen_well(w);
}

static void try_outcomes(struct world *w, uint64_t seed)
{
    for (uint64_t i = 0; i < OUTCOMES; i++) {
        struct world copy;
        world_clone(&copy, w, seed * 1000 + i);
        world_end(&copy, WORLD_POWER_LOST);
        if (i % 2 == 0) {
            world_reopen_well(&copy);
        } else {
            crash_while_opening(&copy, i * seed % 7);
        }
        live_on(&copy);
        world_fini(&copy);
    }
}

/* ALICE (Pillai et al., OSDI 2014): most faults are in an order of changes that
 * the code took for granted. So each is cut, in several ways. */
static void crash_everywhere(uint64_t seed)
{
    for (uint64_t n = 0;; n++) {
        struct world w;
        const bool cut = run_until_cut(&w, seed, n);
        if (cut) {
            try_outcomes(&w, seed + n);
        }
        world_fini(&w);
        if (!cut) {
            EXPECT(n > 50); /* it did something */
            return;
        }
    }
}

TEST(crash, at_every_change_loses_nothing_synced)
{
    for (uint64_t i = 0; i < 4; i++) {
        crash_everywhere(test_seed() % 1000000 + i);
    }
}

/* Lives of one log, ended in every way, one after the other: what one crash
 * leaves behind must not harm after the next. */
TEST(crash, many_in_a_row_lose_nothing_synced)
{
    for (uint64_t i = 0; i < 40; i++) {
        struct world w;
        struct fault f = {{0}};
        world_init(&w, test_seed() + i, 4096 << i % 4);
        w.options.recycled_max = (uint32_t)(i % 3);
        if (world_begin(&w, &f) != ST_OK) {
            world_fail(&w, "cannot begin", &f);
        }
        for (int step = 0; step < 400; step++) {
            if (world_step(&w, &f) != ST_OK) {
                world_fail(&w, "a step failed", &f);
            }
            if (prng_chance(&w.prng, 1, 12)) {
                world_end(&w, (enum world_end)prng_below(&w.prng, 3));
                world_reopen_well(&w);
            }
        }
        world_fini(&w);
    }
}

/* What an opening found, it has made durable: the host acts on it at once, and
 * a process that was killed leaves much that only the kernel has. */
TEST(crash, what_was_found_once_is_found_again)
{
    for (uint64_t i = 0; i < 200; i++) {
        struct world w;
        struct fault f = {{0}};
        world_init(&w, test_seed() + i, 8192);
        enum status st = world_begin(&w, &f);
        for (int step = 0; step < 20 && st == ST_OK; step++) {
            st = world_step(&w, &f);
        }
        EXPECT_INT(st, ST_OK);
        world_end(&w, WORLD_KILLED);
        world_reopen_well(&w); /* now there is one state only */
        world_end(&w, WORLD_POWER_LOST);
        world_reopen_well(&w);
        world_fini(&w);
    }
}
