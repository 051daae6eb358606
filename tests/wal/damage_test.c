/* Damage larger than a byte, and what is said about it: which segment, which
 * offset, which entry of which term (W3, W4). */

#include <stdlib.h>

#include "tests/wal/rig.h"
#include "wal/sector.h"

#define SECTOR 512u

/* Segments of 8 KiB hold 16 sectors, the first of which is the segment's own,
 * the second that of the opening in segment 1. A batch of one entry of at most
 * 476 bytes takes two sectors. */
static struct disk_sim *make_log(struct rig_log *log, size_t batches,
                                 const struct wal_options *o)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct wal *w = rig_open_well(sim, o);
    for (uint64_t i = 1; i <= batches; i++) {
        rig_write(w, log, (struct rig_batch){i, 10 + i, 1, 300, NULL});
    }
    wal_close(w);
    return sim;
}

static void overwrite(struct disk_sim *sim, const char *name, uint64_t sector,
                      const uint8_t *with)
{
    const struct bytes all = disk_sim_contents(sim, name);
    must(all.data != NULL && (sector + 1) * SECTOR <= all.size);
    uint8_t *copy = xmalloc(all.size);
    memcpy(copy, all.data, all.size);
    memcpy(copy + sector * SECTOR, with, SECTOR);
    disk_sim_put(sim, name, (struct bytes){copy, all.size});
    free(copy);
}

static void wipe(struct disk_sim *sim, const char *name, uint64_t sector)
{
    static const uint8_t zeros[SECTOR];
    overwrite(sim, name, sector, zeros);
}

/* Opens; expects damage, told like this. */
static void expect_damage(struct disk_sim *sim, const struct wal_options *o,
                          struct rig_entry entry, size_t handed_over,
                          const char *text)
{
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f = {{0}};
    const uint64_t changes = disk_sim_count(sim, DISK_SIM_CHANGES);
    const enum status st = rig_open_sim(sim, o, &r, &w, &f);
    if (st != ST_CORRUPT || strstr(f.text, text) == NULL) {
        print_error("%s: %s\n", status_name(st), f.text);
        fail();
    }
    EXPECT(strstr(f.text, "replace this member from its peers") != NULL);
    EXPECT(w == NULL);
    EXPECT(!r.garbage);
    EXPECT_INT(r.wal.damaged_index, entry.index);
    EXPECT_INT(r.wal.damaged_term, entry.term);
    EXPECT_INT(r.log.count, handed_over);
    EXPECT_INT(disk_sim_count(sim, DISK_SIM_CHANGES), changes);
    rig_recovery_fini(&r);
}

/* CTRL (Alagappan et al., FAST 2018): an entry that is damaged is named, so
 * that a peer can be asked for it. */
TEST(damage, of_an_entry_names_it)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    disk_sim_flip(sim, "00000001.wal", 7 * SECTOR + 100, 0x10);
    expect_damage(sim, &o, (struct rig_entry){.index = 3, .term = 13}, 2,
                  "segment 00000001 at offset 3584, entry 3 of term 13 is "
                  "damaged, below a synced point");
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* The last batch, which nothing later vouches for: a damaged sector of it is no
 * torn one. */
TEST(damage, of_the_last_entry_names_it_too)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    disk_sim_flip(sim, "00000001.wal", 11 * SECTOR + 300, 0x01);
    expect_damage(sim, &o, (struct rig_entry){.index = 5, .term = 15}, 4,
                  "segment 00000001 at offset 5632, entry 5 of term 15 is "
                  "damaged");
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* When the identifiers themselves are damaged, the index follows from the log;
 * the term is not known. */
TEST(damage, of_identifiers_tells_the_index)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    disk_sim_flip(sim, "00000001.wal", 6 * SECTOR + 130, 0x01);
    expect_damage(sim, &o, (struct rig_entry){.index = 3}, 2,
                  "segment 00000001 at offset 3072, a record that may hold "
                  "entry 3 and later ones is damaged, below a synced point");
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A write that the disk lost although it said it was synced (or a sector that
 * reads as zeros) looks like one that never was; but later records know. */
TEST(damage, a_lost_sector_below_a_synced_point_is_no_torn_tail)
{
    const struct wal_options o = rig_options(8192);
    for (uint64_t sector = 2; sector < 10; sector++) {
        struct rig_log log = {0};
        struct disk_sim *sim = make_log(&log, 5, &o);
        const uint64_t index = sector / 2;
        wipe(sim, "00000001.wal", sector);
        expect_damage(sim, &o,
                      (struct rig_entry){.index = index,
                                         .term = sector % 2 ? 10 + index : 0},
                      index - 1, "was synced and is gone");
        rig_log_fini(&log);
        disk_sim_free(sim);
    }
}

/* The stated limit (FORMATS, "What vouches for what"): whole sectors of the
 * last batch that read as never written are a torn tail. It is cut and told. */
TEST(damage, a_lost_sector_of_the_last_batch_is_the_limit)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f = {{0}};
    wipe(sim, "00000001.wal", 11);
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_OK);
    EXPECT(r.wal.torn);
    EXPECT_TEXT(r.wal.torn_text,
                "segment 00000001, offset 5120: what was written there was "
                "never synced and is not whole; the log ends after entry 4");
    EXPECT_INT(r.log.count, 4);
    rig_recovery_fini(&r);
    wal_close(w);
    /* An opening vouches for what it found: from then on it is no limit. */
    wipe(sim, "00000001.wal", 9);
    expect_damage(sim, &o, (struct rig_entry){.index = 4, .term = 14}, 3,
                  "was synced and is gone");
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* The first sector of the newest segment is the way to all of it: losing it
 * must not make the segment a spare. */
TEST(damage, a_segment_without_its_head_is_no_spare)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 10, &o);
    EXPECT(disk_sim_contents(sim, "00000002.wal").data != NULL);
    wipe(sim, "00000002.wal", 0);
    expect_damage(sim, &o, (struct rig_entry){0}, 0,
                  "segment 00000002 at offset 0, its first sector is gone");
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* The contents of a sector, to be changed and put back as if the disk had never
 * seen anything else: its own checksums are right. */
static void reseal(struct disk_sim *sim, uint32_t n, uint32_t opening,
                   uint32_t at, uint8_t mask)
{
    uint8_t sector[SECTOR];
    const struct bytes all = disk_sim_contents(sim, "00000001.wal");
    memcpy(sector, all.data + (size_t)n * SECTOR, SECTOR);
    sector[at] ^= mask;
    sector_seal(sector, (struct sector_place){1, n}, n % 2 == 0, opening);
    overwrite(sim, "00000001.wal", n, sector);
}

/* A sector whose own checksum is right proves nothing of the record: a program
 * or a memory module may have spoilt it before. */
TEST(damage, behind_a_good_sector_is_found_by_the_record)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    reseal(sim, 7, 1, 100, 0x10); /* data */
    expect_damage(sim, &o, (struct rig_entry){.index = 3, .term = 13}, 2,
                  "entry 3 of term 13 is damaged");
    reseal(sim, 7, 1, 100, 0x10);
    for (uint32_t at = 20; at < 20 + 88 + 28; at++) {
        reseal(sim, 6, 1, at, 0x01); /* head and identifier */
        struct rig_recovery r;
        struct wal *w = NULL;
        struct fault f = {{0}};
        EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_CORRUPT);
        EXPECT(!r.garbage);
        EXPECT_INT(r.log.count, 2);
        EXPECT_INT(r.wal.damaged_index, 3);
        rig_recovery_fini(&r);
        reseal(sim, 6, 1, at, 0x01);
    }
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Sectors of another log with the same ids, put back by a confused restore:
 * good ones, and even the entry is the same, but what went before is not. */
TEST(damage, a_record_of_another_history_does_not_chain)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sims[2];
    for (uint64_t i = 0; i < 2; i++) {
        const struct raft_hard_state hs = {.term = 9, .vote = 1 + i};
        const struct raft_hard_state same = {.term = 9, .vote = 3};
        struct rig_log log = {0};
        sims[i] = disk_sim_new(1);
        struct wal *w = rig_open_well(sims[i], &o);
        rig_write(w, &log, (struct rig_batch){1, 9, 1, 300, &hs});
        rig_write(w, &log, (struct rig_batch){2, 9, 1, 300, &same});
        rig_write(w, &log, (struct rig_batch){3, 9, 1, 300, NULL});
        wal_close(w);
        rig_log_fini(&log);
    }
    const struct bytes other = disk_sim_contents(sims[1], "00000001.wal");
    overwrite(sims[0], "00000001.wal", 4, other.data + (size_t)4 * SECTOR);
    overwrite(sims[0], "00000001.wal", 5, other.data + (size_t)5 * SECTOR);
    expect_damage(sims[0], &o, (struct rig_entry){.index = 2}, 1,
                  "was synced and is gone");
    disk_sim_free(sims[0]);
    disk_sim_free(sims[1]);
}

/* A segment whose first sector was torn becomes a spare; a second tear over
 * what is left there must not look like damage, so it is cleaned first (L1). */
TEST(damage, a_half_begun_segment_is_cleaned)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 1, &o);
    uint8_t half[SECTOR] = {0};
    sector_seal(half, (struct sector_place){2, 0}, true, 1);
    memset(half + 200, 0, sizeof half - 200);
    overwrite(sim, "00000002.wal", 0, half);
    struct wal *w = rig_open_well(sim, &o);
    const struct bytes spare = disk_sim_contents(sim, "00000002.wal");
    uint8_t sector[SECTOR];
    memcpy(sector, spare.data, SECTOR);
    EXPECT(!sector_judge(sector, (struct sector_place){2, 0}).unclean);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A file that somebody removed or put back from an old copy. */
TEST(damage, a_missing_or_old_segment_is_noticed)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 30, &o);
    struct disk_sim *copy = disk_sim_clone(sim, 1);
    struct disk *disk = NULL;
    struct fault f;
    EXPECT_INT(disk_sim_open(copy, &disk, &f), ST_OK);
    EXPECT_INT(disk->ops->remove(disk, "00000002.wal", &f), ST_OK);
    disk->ops->free(disk);
    struct rig_recovery r;
    struct wal *w = NULL;
    EXPECT_INT(rig_open_sim(copy, &o, &r, &w, &f), ST_CORRUPT);
    EXPECT(strstr(f.text, "segment 00000002 at offset 0, the file is missing"));
    EXPECT_INT(r.wal.damaged_index, 1);
    rig_recovery_fini(&r);
    disk_sim_free(copy);

    /* Segment 1 in the place of segment 2. */
    const struct bytes first = disk_sim_contents(sim, "00000001.wal");
    uint8_t *old = xmalloc(first.size);
    memcpy(old, first.data, first.size);
    disk_sim_put(sim, "00000002.wal", (struct bytes){old, first.size});
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_CORRUPT);
    EXPECT(strstr(f.text, "segment 00000002") != NULL);
    rig_recovery_fini(&r);
    free(old);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* A recycled segment is full of good records, of another time. None may be
 * taken for one of now, wherever the new ones end. */
TEST(damage, recycled_space_is_never_a_record)
{
    struct wal_options o = rig_options(8192);
    o.recycled_max = 4;
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 12, &o); /* 5 in segment 1 */
    struct wal *w = rig_open_well(sim, &o);
    struct fault f;
    EXPECT_INT(wal_trim(w, 10, 20, &f), ST_OK);
    rig_log_trim(&log, 10, 20);
    EXPECT(disk_sim_contents(sim, "00000001.wal").data == NULL);
    for (uint64_t i = 13; i <= 60; i++) {
        rig_write(w, &log, (struct rig_batch){i, 10 + i, 1, 300, NULL});
        struct disk_sim *copy = disk_sim_clone(sim, i);
        struct rig_recovery r;
        struct wal *again = NULL;
        disk_sim_crash(copy);
        EXPECT_INT(rig_open_sim(copy, &o, &r, &again, &f), ST_OK);
        EXPECT(!r.garbage && !r.wal.torn);
        EXPECT(rig_log_agrees(&r.log, &log));
        rig_recovery_fini(&r);
        wal_close(again);
        disk_sim_free(copy);
    }
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Jepsen's truncate-wal: a log that was cut at the end of a record looks as if
 * nothing had followed. */
TEST(damage, a_truncated_segment_is_noticed)
{
    const struct wal_options o = rig_options(8192);
    for (size_t size = 0; size < 8192; size += 256) {
        struct rig_log log = {0};
        struct disk_sim *sim = make_log(&log, 4, &o);
        const struct bytes all = disk_sim_contents(sim, "00000001.wal");
        uint8_t *copy = xmalloc(all.size);
        memcpy(copy, all.data, all.size);
        disk_sim_put(sim, "00000001.wal", (struct bytes){copy, size});
        expect_damage(sim, &o, (struct rig_entry){0}, 0,
                      "segment 00000001 at offset 0, ");
        free(copy);
        rig_log_fini(&log);
        disk_sim_free(sim);
    }
}

/* Writes that land elsewhere in the file, of a disk that says all is well:
 * never garbage, and never less than what a later record vouches for. */
TEST(damage, misdirected_writes_serve_nothing_wrong)
{
    for (uint64_t i = 0; i < 300; i++) {
        const struct wal_options o = rig_options(16384);
        struct disk_sim *sim = disk_sim_new(test_seed() + i);
        struct rig_log log = {0};
        struct wal *w = rig_open_well(sim, &o);
        disk_sim_plan(sim,
                      (struct disk_sim_fault){.on = DISK_SIM_WRITE,
                                              .after = i % 5,
                                              .what = i % 2 ? DISK_SIM_MISDIRECT
                                                            : DISK_SIM_LOSE});
        for (uint64_t n = 1; n <= 8; n++) {
            rig_write(w, &log, (struct rig_batch){n, n, 1, 300, NULL});
        }
        wal_close(w);
        struct rig_recovery r;
        struct fault f = {{0}};
        const enum status st = rig_open_sim(sim, &o, &r, &w, &f);
        EXPECT(!r.garbage);
        EXPECT(st == ST_CORRUPT || (st == ST_OK && r.log.count == log.count));
        rig_recovery_fini(&r);
        wal_close(w);
        rig_log_fini(&log);
        disk_sim_free(sim);
    }
}

/* --- mending --- */

/* Opens the damaged log and mends it behind `index`, then appends what was
 * handed over behind that. */
static enum status mend(struct disk_sim *sim, const struct wal_options *o,
                        uint64_t index, uint64_t term, struct wal **ret)
{
    struct rig_recovery r;
    struct fault f = {{0}};
    struct disk *disk = NULL;
    EXPECT_INT(rig_open_sim(sim, o, &r, ret, &f), ST_CORRUPT);
    EXPECT(r.wal.end_is_known);
    EXPECT_INT(disk_sim_open(sim, &disk, &f), ST_OK);
    enum status st = wal_mend(disk, o, &r.wal, index, term, ret, &f);
    for (size_t i = 0; i < r.log.count && st == ST_OK; i++) {
        const struct rig_entry *e = &r.log.entries[i];
        if (e->index > index && e->index < r.wal.damaged_index) {
            st = rig_append(
                *ret, (struct rig_batch){e->index, e->term, 1, e->size, NULL},
                &f);
        }
    }
    rig_recovery_fini(&r);
    return st;
}

/* Danger: the mended log forgets a vote, keeps a damaged entry, or cannot be
 * opened again.  It goes on behind the last good entry, in its term. */
TEST(damage, a_mended_log_goes_on_before_the_damage)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 20, &o); /* several segments */
    const struct raft_hard_state hs = {.term = 77, .vote = 5, .commit = 18};
    struct wal *w = rig_open_well(sim, &o);
    rig_write(w, &log, (struct rig_batch){21, 77, 1, 300, &hs});
    wal_close(w);
    disk_sim_flip(sim, "00000002.wal", 9 * SECTOR + 100, 0x10);
    EXPECT_INT(mend(sim, &o, 3, 13, &w), ST_OK);
    struct fault f;
    EXPECT_INT(wal_sync(w, &f), ST_OK);
    wal_close(w);
    struct rig_recovery r;
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_OK);
    EXPECT(!r.garbage);
    EXPECT_INT(r.wal.start_index, 3);
    EXPECT_INT(r.wal.start_term, 13);
    EXPECT_INT(r.wal.hard_state.term, 77);
    EXPECT_INT(r.wal.hard_state.vote, 5);
    EXPECT_INT(r.wal.hard_state.commit, 3);
    EXPECT(r.wal.last_index > 3 && r.wal.last_index < 20);
    for (size_t i = 0; i < r.log.count; i++) {
        EXPECT_INT(r.log.entries[i].index, 4 + i);
        EXPECT_INT(r.log.entries[i].term, 14 + i);
    }
    rig_recovery_fini(&r);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Danger: power is lost while mending, and neither the damaged log nor the new
 * one can be read.  After each change to the disk: it is found damaged with the
 * same end, or it is the new one. */
TEST(damage, a_crash_while_mending_leaves_the_old_log_or_the_new)
{
    const struct wal_options o = rig_options(8192);
    uint64_t old = 0;
    uint64_t mended = 0;
    for (uint64_t n = 0; n < 120; n++) {
        struct rig_log log = {0};
        struct disk_sim *sim = make_log(&log, 12, &o);
        struct wal *w = NULL;
        struct rig_recovery r;
        struct fault f;
        disk_sim_flip(sim, "00000001.wal", 7 * SECTOR + 100, 0x10);
        disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_CHANGES,
                                                   .after = n / 8,
                                                   .what = DISK_SIM_CUT});
        (void)!mend(sim, &o, 2, 12, &w); /* it may be cut short */
        wal_close(w);
        struct disk_sim *after = disk_sim_clone(sim, test_seed() + n);
        disk_sim_crash(after);
        const enum status st = rig_open_sim(after, &o, &r, &w, &f);
        if (st == ST_CORRUPT) {
            old++;
            EXPECT(r.wal.end_is_known);
            EXPECT_INT(r.wal.end_index, 12);
        } else {
            mended++;
            EXPECT_INT(st, ST_OK);
            EXPECT_INT(r.wal.start_index, 2);
            EXPECT_INT(r.wal.hard_state.term, 0);
        }
        rig_recovery_fini(&r);
        wal_close(w);
        rig_log_fini(&log);
        disk_sim_free(after);
        disk_sim_free(sim);
    }
    EXPECT(old > 0 && mended > 0);
}

/* Danger: who it voted for is guessed.  A damaged head of the last record may
 * have been a vote: the end is not known. */
TEST(damage, of_the_last_head_leaves_the_end_unknown)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    disk_sim_flip(sim, "00000001.wal", 10 * SECTOR + 30, 0x01);
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f;
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_CORRUPT);
    EXPECT(!r.wal.end_is_known);
    rig_recovery_fini(&r);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Its data alone is damaged: head and identifiers tell. */
TEST(damage, of_the_last_data_leaves_the_end_known)
{
    const struct wal_options o = rig_options(8192);
    struct rig_log log = {0};
    struct disk_sim *sim = make_log(&log, 5, &o);
    disk_sim_flip(sim, "00000001.wal", 11 * SECTOR + 300, 0x01);
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f;
    EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_CORRUPT);
    EXPECT(r.wal.end_is_known);
    EXPECT_INT(r.wal.end_index, 5);
    EXPECT_INT(r.wal.end_term, 15);
    rig_recovery_fini(&r);
    rig_log_fini(&log);
    disk_sim_free(sim);
}
