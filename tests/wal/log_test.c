/* The log as its user sees it, on a disk that behaves. */

#include <stdlib.h>

#include "tests/wal/rig.h"

#define EXPECT_AGREES(got, wanted)                                             \
    do {                                                                       \
        if (!rig_log_agrees(&(got), &(wanted))) {                              \
            rig_log_print("got", &(got));                                      \
            rig_log_print("wanted", &(wanted));                                \
            fail();                                                            \
        }                                                                      \
    } while (0)

/* Closes and opens again: what was written must be there, and nothing else. */
static struct wal *reopen(struct disk_sim *sim, struct wal *w,
                          const struct wal_options *options,
                          const struct rig_log *wanted)
{
    struct rig_recovery r;
    struct fault f = {{0}};
    wal_close(w);
    if (rig_open_sim(sim, options, &r, &w, &f) != ST_OK) {
        print_error("cannot open: %s\n", f.text);
        fail();
    }
    EXPECT(!r.garbage);
    EXPECT(!r.wal.torn);
    EXPECT_INT(r.wal.damaged_index, 0);
    EXPECT_INT(r.wal.cluster_id, RIG_CLUSTER);
    EXPECT_INT(r.wal.member_id, RIG_MEMBER);
    EXPECT_AGREES(r.log, *wanted);
    rig_recovery_fini(&r);
    return w;
}

/* A node that forgets what it said it has, or makes up what it has not. */
TEST(log, what_was_written_is_found_again)
{
    const struct wal_options o = rig_options(1 << 20);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    w = reopen(sim, w, &o, &log);

    const struct raft_hard_state hs = {.term = 2, .vote = 7, .commit = 1};
    rig_write(w, &log, (struct rig_batch){1, 2, 1, 0, &hs});
    rig_write(w, &log, (struct rig_batch){2, 2, 1, 1, NULL});
    rig_write(w, &log, (struct rig_batch){3, 2, 5, 476, NULL});
    rig_write(w, &log, (struct rig_batch){8, 2, 100, 320, NULL});
    rig_write(w, &log, (struct rig_batch){108, 3, 1, 100000, NULL});
    w = reopen(sim, w, &o, &log);
    rig_write(w, &log, (struct rig_batch){109, 4, 3, 477, NULL});
    w = reopen(sim, w, &o, &log);
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Raft, section 5.3: a follower whose log conflicts with the leader's gives way
 * to it.  The replaced entries must not come back. */
TEST(log, a_later_entry_replaces_what_it_follows)
{
    const struct wal_options o = rig_options(1 << 16);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){1, 1, 20, 100, NULL});
    rig_write(w, &log, (struct rig_batch){11, 2, 3, 50, NULL});
    w = reopen(sim, w, &o, &log);
    rig_write(w, &log, (struct rig_batch){1, 3, 1, 10, NULL});
    w = reopen(sim, w, &o, &log);
    EXPECT_INT(rig_log_last(&log), 1);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Replaced entries above the start must not be handed over when the log ends at
 * its start: the host would take them for real ones. */
TEST(log, nothing_is_left_behind_a_start_at_the_end)
{
    const struct wal_options o = rig_options(1 << 16);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    struct fault f;
    rig_write(w, &log, (struct rig_batch){1, 1, 7, 10, NULL});
    rig_write(w, &log, (struct rig_batch){3, 2, 2, 10, NULL});
    EXPECT_INT(wal_trim(w, 4, 2, &f), ST_OK);
    rig_log_trim(&log, 4, 2);
    const struct raft_hard_state hs = {.term = 2, .commit = 4};
    rig_write(w, &log, (struct rig_batch){.hard_state = &hs});
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Term and vote live in the log: were they lost with the segments that are
 * trimmed, a node could vote twice in one term (section 5.2). */
TEST(log, the_hard_state_outlives_its_segment)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    const struct raft_hard_state hs = {.term = 9, .vote = 3, .commit = 0};
    rig_write(w, &log, (struct rig_batch){.hard_state = &hs});
    for (uint64_t i = 1; i <= 100; i++) {
        rig_write(w, &log, (struct rig_batch){i, 9, 1, 300, NULL});
    }
    EXPECT_INT(wal_trim(w, 95, 9, &f), ST_OK);
    rig_log_trim(&log, 95, 9);
    EXPECT(disk_sim_contents(sim, "00000001.wal").data == NULL);
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* The log must not grow for ever, and space that was used once must not come
 * back as entries. */
TEST(log, trimmed_segments_are_used_again)
{
    struct wal_options o = rig_options(8192);
    o.recycled_max = 2;
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    for (uint64_t i = 1; i <= 1000; i++) {
        rig_write(w, &log, (struct rig_batch){i, 1 + i / 90, 1, 700, NULL});
        if (i % 10 == 0) {
            EXPECT_INT(wal_trim(w, i - 5, rig_log_term(&log, i - 5), &f),
                       ST_OK);
            rig_log_trim(&log, i - 5, rig_log_term(&log, i - 5));
        }
        struct wal_stats stats;
        wal_stats(w, &stats);
        EXPECT(stats.segments <= 6);
        EXPECT_INT(stats.bytes_on_disk, stats.segments * 8192);
        if (i % 37 == 0) {
            w = reopen(sim, w, &o, &log);
        }
    }
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A snapshot replaced everything: no entry from before it may come back, not
 * even one with an index above the snapshot's. */
TEST(log, a_restart_leaves_nothing_from_before)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){1, 1, 100, 50, NULL});
    EXPECT_INT(wal_restart_at(w, 60, 4, &f), ST_OK);
    rig_log_trim(&log, 60, 4);
    log.count = 0;
    w = reopen(sim, w, &o, &log);
    rig_write(w, &log, (struct rig_batch){61, 5, 3, 50, NULL});
    w = reopen(sim, w, &o, &log);
    EXPECT_INT(wal_restart_at(w, 5000, 6, &f), ST_OK);
    rig_log_trim(&log, 5000, 6);
    rig_write(w, &log, (struct rig_batch){5001, 6, 3, 50, NULL});
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* The figure that everything else rests on: an acknowledged write costs one
 * write and one sync. */
TEST(log, a_lone_append_is_one_write_and_one_sync)
{
    const struct wal_options o = rig_options(1 << 20);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    const uint64_t before = disk_sim_count(sim, DISK_SIM_ALL);
    const uint64_t writes = disk_sim_count(sim, DISK_SIM_WRITE);
    const uint64_t syncs = disk_sim_count(sim, DISK_SIM_SYNC);
    const struct raft_hard_state hs = {.term = 1, .vote = 1, .commit = 1};
    for (uint64_t i = 1; i <= 50; i++) {
        rig_write(w, &log,
                  (struct rig_batch){1 + 3 * (i - 1), 1, 3, 320,
                                     i % 2 == 0 ? &hs : NULL});
        EXPECT_INT(disk_sim_count(sim, DISK_SIM_WRITE), writes + i);
        EXPECT_INT(disk_sim_count(sim, DISK_SIM_SYNC), syncs + i);
        EXPECT_INT(disk_sim_count(sim, DISK_SIM_ALL), before + 2 * i);
    }
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A sync without anything to sync, and an append of nothing, are free: the host
 * need not keep count. */
TEST(log, nothing_costs_nothing)
{
    const struct wal_options o = rig_options(1 << 16);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    const uint64_t before = disk_sim_count(sim, DISK_SIM_ALL);
    EXPECT_INT(rig_append(w, (struct rig_batch){0}, &f), ST_OK);
    EXPECT_INT(wal_sync(w, &f), ST_OK);
    EXPECT_INT(disk_sim_count(sim, DISK_SIM_ALL), before);
    wal_close(w);
    disk_sim_free(sim);
}

/* A batch larger than a segment is cut; nothing of it may be lost. */
TEST(log, a_batch_may_span_segments)
{
    const struct wal_options o = rig_options(16384);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){1, 1, 500, 320, NULL});
    w = reopen(sim, w, &o, &log);
    rig_write(w, &log, (struct rig_batch){501, 1, 3, 12000, NULL});
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* An entry that no segment can hold is refused before anything is written. */
TEST(log, an_entry_larger_than_a_segment_is_refused)
{
    const struct wal_options o = rig_options(16384);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f = {{0}};
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){1, 1, 1, 10, NULL});
    const uint64_t writes = disk_sim_count(sim, DISK_SIM_CHANGES);
    EXPECT_INT(rig_append(w, (struct rig_batch){2, 1, 2, 16384, NULL}, &f),
               ST_TOO_LARGE);
    EXPECT(strstr(f.text, "entry 2 has 16384 bytes") != NULL);
    EXPECT_INT(disk_sim_count(sim, DISK_SIM_CHANGES), writes);
    rig_write(w, &log, (struct rig_batch){2, 1, 1, 10, NULL});
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Another segment size than the last run's must not make a log unreadable. */
TEST(log, the_segment_size_may_change)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    static const uint64_t sizes[] = {8192, 65536, 4096, 0, 8192};
    struct wal_options o = rig_options(sizes[0]);
    struct wal *w = rig_open_well(sim, &o);
    for (size_t i = 1; i < count_of(sizes); i++) {
        rig_write(w, &log,
                  (struct rig_batch){rig_log_last(&log) + 1, i, 40, 200, NULL});
        o.segment_size = sizes[i];
        w = reopen(sim, w, &o, &log);
        rig_write(w, &log,
                  (struct rig_batch){rig_log_last(&log) + 1, i, 40, 200, NULL});
    }
    w = reopen(sim, w, &o, &log);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A crash between the mark of a trim and its end must not leave segments that
 * nobody ever removes. */
TEST(log, what_a_trim_left_goes_at_the_next_opening)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){1, 1, 100, 300, NULL});
    struct wal_stats before;
    wal_stats(w, &before);
    EXPECT(before.segments > 4);
    disk_sim_plan(
        sim, (struct disk_sim_fault){.on = DISK_SIM_RENAME | DISK_SIM_REMOVE,
                                     .what = DISK_SIM_FAIL,
                                     .st = ST_DENIED,
                                     .forever = true});
    EXPECT_INT(wal_trim(w, 100, 1, &f), ST_DENIED);
    rig_log_trim(&log, 100, 1);
    EXPECT(disk_sim_contents(sim, "00000001.wal").data != NULL);
    disk_sim_unplan_all(sim);
    w = reopen(sim, w, &o, &log);
    EXPECT(disk_sim_contents(sim, "00000001.wal").data == NULL);
    struct wal_stats after;
    wal_stats(w, &after);
    EXPECT_INT(after.segments, 1 + o.recycled_max);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}
