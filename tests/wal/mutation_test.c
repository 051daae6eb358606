/* Every change of one byte of a 64 KiB log: it is noticed, or it does no harm.
 *
 * Three changes to each byte: inverted, zeroed, all ones; 196,608 logs to open.
 * The last batch is synced and nothing after it vouches for it: it is held to
 * the same rule.  MUTATION_STEP thins them out (the fast ring); 1: all. */

#include <stdlib.h>

#include "tests/wal/image.h"
#include "tests/wal/rig.h"

#define IMAGE_SIZE 65536u

/* A log of one segment, filled to its end with batches of all shapes, each
 * synced, with a hard state here and there and a second opening. */
static struct rig_log make_log(struct image *image,
                               const struct wal_options *options)
{
    struct disk_sim *sim = disk_sim_new(1);
    struct rig_log log = {0};
    struct wal *w = rig_open_well(sim, options);
    struct wal_stats stats;
    for (uint64_t i = 0;; i++) {
        static const uint32_t sizes[] = {320, 0, 476, 1, 1000};
        const struct raft_hard_state hs = {
            .term = 1 + i / 9, .vote = i % 3, .commit = rig_log_last(&log)};
        const struct rig_batch b = {.first = rig_log_last(&log) + 1,
                                    .term = 1 + i / 9,
                                    .count = i < 25 ? 1 + i % 4 : 1,
                                    .size = sizes[i % count_of(sizes)],
                                    .hard_state = i % 3 == 0 ? &hs : NULL};
        struct rig_log before = rig_log_copy(&log);
        rig_write(w, &log, b);
        wal_stats(w, &stats);
        if (disk_sim_contents(sim, "00000003.wal").data != NULL) {
            rig_log_fini(&log); /* it went into the next segment */
            log = before;
            break;
        }
        rig_log_fini(&before);
        if (i == 20) {
            wal_close(w);
            w = rig_open_well(sim, options);
        }
    }
    const struct bytes all = disk_sim_contents(sim, image->name);
    must(all.size == IMAGE_SIZE);
    image->size = all.size;
    image->bytes = xmalloc(all.size);
    memcpy(image->bytes, all.data, all.size);
    wal_close(w);
    disk_sim_free(sim);
    return log;
}

struct counts {
    uint64_t opened, refused, end_known, unchanged;
};

static void try_change(const struct image *image,
                       const struct wal_options *options,
                       const struct rig_log *log, struct counts *counts)
{
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f = {{0}};
    const enum status st = rig_open(image_disk(image), options, &r, &w, &f);
    if (st == ST_OK) {
        counts->opened++;
        if (r.garbage || r.wal.torn || r.log.count != log->count ||
            !rig_log_agrees(&r.log, log)) {
            rig_log_print("got", &r.log);
            fail();
        }
        wal_close(w);
    } else {
        counts->refused++;
        EXPECT(st == ST_CORRUPT);
        EXPECT(f.text[0] != '\0');
        EXPECT(!r.garbage);
        /* What was handed over before the damage is what was written. */
        EXPECT(r.log.count <= log->count);
        for (size_t i = 0; i < r.log.count; i++) {
            EXPECT_INT(r.log.entries[i].index, log->entries[i].index);
            EXPECT_INT(r.log.entries[i].term, log->entries[i].term);
        }
        /* Where the log ended, and whom it voted for, is told rightly or not
         * at all. */
        if (r.wal.end_is_known) {
            counts->end_known++;
            EXPECT(r.wal.damaged_text[0] != '\0');
            EXPECT_INT(r.wal.end_index, rig_log_last(log));
            EXPECT_INT(r.wal.end_term, rig_log_term(log, rig_log_last(log)));
            EXPECT_INT(r.wal.hard_state.term, log->hard_state.term);
            EXPECT_INT(r.wal.hard_state.vote, log->hard_state.vote);
            EXPECT_INT(r.wal.hard_state.commit, log->hard_state.commit);
        }
    }
    rig_recovery_fini(&r);
}

/* reliability.md: corruption is detected before it is served. */
TEST(mutation, no_changed_byte_is_served_or_loses_what_was_synced)
{
    const struct wal_options o = rig_options(IMAGE_SIZE);
    struct image image = {.name = "00000001.wal"};
    struct rig_log log = make_log(&image, &o);
    struct counts counts = {0};
    EXPECT(log.count > 60);
    try_change(&image, &o, &log, &counts);
    EXPECT_INT(counts.opened, 1);
    const size_t offset = test_seed() % MUTATION_STEP;
    for (size_t i = offset; i < image.size; i += MUTATION_STEP) {
        const uint8_t was = image.bytes[i];
        const uint8_t changes[] = {(uint8_t)~was, 0, 0xff};
        for (size_t c = 0; c < count_of(changes); c++) {
            if (changes[c] == was) {
                counts.unchanged++;
                continue;
            }
            image.bytes[i] = changes[c];
            try_change(&image, &o, &log, &counts);
        }
        image.bytes[i] = was;
    }
    print_message("# %ju refused, %ju of them with a known end, %ju mended or "
                  "unused, %ju no change\n",
                  (uintmax_t)counts.refused, (uintmax_t)counts.end_known,
                  (uintmax_t)counts.opened, (uintmax_t)counts.unchanged);
    EXPECT(counts.end_known > counts.refused * 9 / 10);
    free(image.bytes);
    rig_log_fini(&log);
}
