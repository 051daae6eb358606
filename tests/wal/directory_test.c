/* Whose directory it is, and what an opening refuses. */

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/prng.h"
#include "tests/wal/rig.h"
#include "wal/record.h"

/* Opens and expects a refusal; the text goes to f. */
static void expect_refused(struct disk_sim *sim, const struct wal_options *o,
                           enum status wanted, struct fault *f)
{
    struct rig_recovery r;
    struct wal *w = NULL;
    *f = (struct fault){{0}};
    EXPECT_INT(rig_open_sim(sim, o, &r, &w, f), wanted);
    EXPECT(w == NULL);
    rig_recovery_fini(&r);
}

/* A wrong --data-dir must not be overwritten. */
TEST(directory, of_something_else_is_refused)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct fault f;
    disk_sim_put(sim, "letter.txt", bytes_of("Dear Sir"));
    expect_refused(sim, &o, ST_INVALID, &f);
    EXPECT(strstr(f.text, "'letter.txt'") != NULL);
    EXPECT(strstr(f.text, "directory of its own") != NULL);
    EXPECT_INT(disk_sim_count(sim, DISK_SIM_CHANGES), 0);
    disk_sim_free(sim);
}

/* Another member's log would make one member of two: two votes in a term. */
TEST(directory, of_another_member_is_refused)
{
    struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct fault f;
    wal_close(rig_open_well(sim, &o));
    o.member_id++;
    expect_refused(sim, &o, ST_INVALID, &f);
    EXPECT(strstr(f.text, "belongs to member 3e of cluster c1") != NULL);
    o = rig_options(8192);
    o.cluster_id++;
    expect_refused(sim, &o, ST_INVALID, &f);
    o.cluster_id = 0; /* whatever it is */
    o.member_id = 0;
    struct rig_recovery r;
    struct wal *w = NULL;
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_OK);
    EXPECT_INT(r.wal.cluster_id, RIG_CLUSTER);
    EXPECT_INT(r.wal.member_id, RIG_MEMBER);
    rig_recovery_fini(&r);
    wal_close(w);
    disk_sim_free(sim);
}

/* Two processes appending to one log destroy it. The real disk's lock. */
TEST(directory, in_use_is_refused)
{
    const char *path = test_directory();
    const struct wal_options o = rig_options(8192);
    struct fault f = {{0}};
    struct disk *disk = NULL;
    struct rig_recovery r;
    struct wal *w = NULL;
    EXPECT_INT(disk_open(path, &disk, &f), ST_OK);
    EXPECT_INT(rig_open(disk, &o, &r, &w, &f), ST_OK);
    rig_recovery_fini(&r);
    struct disk *second = NULL;
    EXPECT_INT(disk_open(path, &second, &f), ST_BUSY);
    wal_close(w);
    EXPECT_INT(disk_open(path, &second, &f), ST_OK); /* free again */
    second->ops->free(second);
}

/* The same bytes on the real disk as on the simulated one: what the tests here
 * prove of the one holds for the other. */
TEST(directory, on_the_real_disk_works_too)
{
    const char *path = test_directory();
    const struct wal_options o = rig_options(16384);
    struct rig_log log = {0};
    struct fault f = {{0}};
    for (uint64_t life = 0; life < 3; life++) {
        struct disk *disk = NULL;
        struct rig_recovery r;
        struct wal *w = NULL;
        EXPECT_INT(disk_open(path, &disk, &f), ST_OK);
        EXPECT_INT(rig_open(disk, &o, &r, &w, &f), ST_OK);
        EXPECT(!r.garbage && rig_log_agrees(&r.log, &log));
        rig_recovery_fini(&r);
        for (int i = 0; i < 60; i++) {
            rig_write(w, &log,
                      (struct rig_batch){rig_log_last(&log) + 1, life + 1, 2,
                                         300, NULL});
        }
        const uint64_t index = rig_log_last(&log) - 10;
        const uint64_t term = rig_log_term(&log, index);
        EXPECT_INT(wal_trim(w, index, term, &f), ST_OK);
        rig_log_trim(&log, index, term);
        wal_close(w);
    }
    rig_log_fini(&log);
}

/* A file that bears a segment's name and is none: never served, never
 * overwritten. */
TEST(directory, random_bytes_are_no_segment)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (int round = 0; round < 300; round++) {
        const struct wal_options o = rig_options(4096);
        struct disk_sim *sim = disk_sim_new(prng_next(&p));
        uint8_t bytes[8192];
        const size_t size = prng_below(&p, 3) == 0
                                ? prng_below(&p, sizeof bytes + 1)
                                : 512 * (1 + prng_below(&p, 16));
        struct fault f;
        prng_fill(&p, bytes, sizeof bytes);
        disk_sim_put(sim, "00000001.wal", (struct bytes){bytes, size});
        expect_refused(sim, &o, ST_CORRUPT, &f);
        EXPECT(strstr(f.text, "00000001") != NULL);
        EXPECT_INT(disk_sim_count(sim, DISK_SIM_CHANGES), 0);
        disk_sim_free(sim);
    }
}

/* Random changes of many bytes at once in a good log: whatever comes out, it is
 * a beginning of what was written, or a refusal; and no length from the file is
 * believed (the sanitizers watch). */
TEST(directory, scrambled_segments_serve_nothing_wrong)
{
    const struct wal_options o = rig_options(8192);
    struct prng p;
    prng_init(&p, test_seed());
    struct disk_sim *sim = disk_sim_new(1);
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, &o);
    for (uint64_t i = 1; i <= 25; i++) {
        rig_write(w, &log, (struct rig_batch){i, 1, 1, 600, NULL});
    }
    wal_close(w);
    for (int round = 0; round < 1000; round++) {
        struct disk_sim *copy = disk_sim_clone(sim, 1);
        for (int i = 0; i < 30; i++) {
            char name[256];
            uint64_t offset;
            EXPECT(disk_sim_flip_any(copy, name, &offset));
        }
        struct rig_recovery r;
        struct fault f = {{0}};
        const enum status st = rig_open_sim(copy, &o, &r, &w, &f);
        if (r.garbage || (st != ST_OK && st != ST_CORRUPT)) {
            print_error("round %d: %s: %s\n", round, status_name(st), f.text);
            fail();
        }
        EXPECT(r.log.count <= log.count);
        EXPECT(st != ST_OK || r.log.count == log.count);
        for (size_t i = 0; i < r.log.count; i++) {
            EXPECT_INT(r.log.entries[i].index, i + 1);
        }
        rig_recovery_fini(&r);
        wal_close(w);
        disk_sim_free(copy);
    }
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A segment of two records, with all checksums right. */
static void put_segment(struct disk_sim *sim, struct record_head head,
                        struct record_head batch, uint64_t first)
{
    struct buf all = {0};
    const struct raft_entry e = {.index = first, .term = 1};
    head.type = RECORD_SEGMENT;
    head.cluster_id = RIG_CLUSTER;
    head.member_id = RIG_MEMBER;
    head.file_sectors = 16;
    record_write(&all, (struct sector_place){1, 0}, 1, &head, NULL);
    batch.type = RECORD_BATCH;
    batch.chain = head.checksum;
    batch.entries = first != 0;
    record_write(&all, (struct sector_place){1, head.sectors}, 1, &batch, &e);
    buf_resize(&all, 8192);
    disk_sim_put(sim, "00000001.wal", buf_bytes(&all));
    buf_fini(&all);
}

/* Danger: whole records that do not belong together, as a bug or a hand could
 * leave them, end the process at every start, or are a log with a hole. */
TEST(directory, records_that_contradict_each_other_are_damage)
{
    static const struct {
        struct record_head head, batch;
        uint64_t first;
        enum status wanted;
    } cases[] = {
        {.batch = {.last_index = 0}, .first = 1, .wanted = ST_OK},
        /* entries that are not there */
        {.head = {.last_index = 9, .last_term = 1},
         .batch = {.last_index = 9, .last_term = 1},
         .wanted = ST_CORRUPT},
        /* only later ones */
        {.head = {.last_index = 9, .last_term = 1, .flags = RECORD_RESET},
         .batch = {.last_index = 9, .last_term = 1},
         .first = 10,
         .wanted = ST_CORRUPT},
        /* the log begins behind its end */
        {.head = {.last_index = 3, .last_term = 1, .start_index = 5},
         .batch = {.last_index = 3, .last_term = 1, .start_index = 5},
         .first = 4,
         .wanted = ST_CORRUPT},
    };
    const struct wal_options o = rig_options(8192);
    for (size_t i = 0; i < count_of(cases); i++) {
        struct disk_sim *sim = disk_sim_new(test_seed());
        struct rig_recovery r;
        struct wal *w = NULL;
        struct fault f = {{0}};
        put_segment(sim, cases[i].head, cases[i].batch, cases[i].first);
        EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), cases[i].wanted);
        rig_recovery_fini(&r);
        wal_close(w);
        disk_sim_free(sim);
    }
}
