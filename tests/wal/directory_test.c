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

/* A segment and, when `first` is not 0, a batch of that entry; all checksums
 * are right.  *head comes back as the last record's. */
static void put_segment(struct disk_sim *sim, uint32_t id,
                        struct record_head *head, uint64_t first)
{
    char name[16];
    struct buf all = {0};
    const struct raft_entry e = {.index = first, .term = 1};
    head->type = RECORD_SEGMENT;
    head->cluster_id = RIG_CLUSTER;
    head->member_id = RIG_MEMBER;
    head->file_sectors = 16;
    head->entries = 0;
    record_write(&all, (struct sector_place){id, 0}, 1, head, NULL);
    if (first != 0) {
        head->type = RECORD_BATCH;
        head->chain = head->checksum;
        head->flags = 0;
        head->entries = 1;
        record_write(
            &all, (struct sector_place){id, (uint32_t)(all.size / SECTOR_SIZE)},
            1, head, &e);
    }
    head->chain = head->checksum;
    head->previous = id;
    head->previous_end = (uint32_t)(all.size / SECTOR_SIZE);
    buf_resize(&all, 8192);
    (void)snprintf(name, sizeof name, "%08x.wal", id);
    disk_sim_put(sim, name, buf_bytes(&all));
    buf_fini(&all);
}

/* Entry 1 in the first segment; the second says that the log ended with entry
 * `last` before it, and holds entry `first`, unless that is 0. */
static enum status open_two(uint64_t start, uint64_t last, uint64_t first)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct record_head head = {.last_index = 0};
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f = {{0}};
    put_segment(sim, 1, &head, 1);
    head.last_index = last;
    head.last_term = 1;
    head.start_index = start;
    head.start_term = start > 0;
    put_segment(sim, 2, &head, first);
    const enum status st = rig_open_sim(sim, &o, &r, &w, &f);
    EXPECT(st == ST_OK || strstr(f.text, "the log is damaged") != NULL);
    rig_recovery_fini(&r);
    wal_close(w);
    disk_sim_free(sim);
    return st;
}

/* Danger: whole records that do not belong together, as a bug or a hand could
 * leave them, end the process at every start, or are a log with a hole. */
TEST(directory, records_that_contradict_each_other_are_damage)
{
    EXPECT_INT(open_two(0, 1, 2), ST_OK);
    EXPECT_INT(open_two(1, 1, 2), ST_OK);
    EXPECT_INT(open_two(0, 9, 0), ST_CORRUPT);  /* 2 to 9 are not there */
    EXPECT_INT(open_two(0, 9, 10), ST_CORRUPT); /* nor before 10 */
    EXPECT_INT(open_two(5, 3, 0), ST_CORRUPT);  /* it ends before its start */
}
