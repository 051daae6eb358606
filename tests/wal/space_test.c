/* A disk that is full: decided before anything is written, and not for ever. */

#include <pthread.h>
#include <stdatomic.h>

#include "base/prng.h"
#include "tests/wal/world.h"

/* A promise must hold whatever its entries look like and however they are
 * batched: an entry that raft has accepted cannot be refused any more. */
static void keep_promises(uint64_t seed)
{
    struct prng p;
    prng_init(&p, seed);
    struct disk_sim *sim = disk_sim_new(seed);
    struct wal_options o = rig_options(16384 << prng_below(&p, 3));
    o.recycled_max = 1;
    disk_sim_set_capacity(sim, (3 + prng_below(&p, 3)) * o.segment_size +
                                   o.segment_size / 8);
    struct wal *w = rig_open_well(sim, &o);
    struct rig_log log = {0};
    struct fault f = {{0}};
    struct rig_entry promised[64];
    size_t count = 0;
    size_t kept = 0;
    for (int step = 0; step < 300; step++) {
        const uint32_t size = (uint32_t)prng_below(
            &p, prng_chance(&p, 1, 3) ? o.segment_size / 3 : 1500);
        if (count < count_of(promised) && wal_reserve(w, size)) {
            promised[count++] = (struct rig_entry){.size = size};
        }
        if (count > 0 && prng_chance(&p, 1, 4)) {
            count--; /* refused by raft after all */
            wal_unreserve(w, promised[count].size);
        }
        if (!prng_chance(&p, 1, 8)) {
            continue;
        }
        const struct raft_hard_state hs = {.term = 1, .vote = 1};
        for (size_t i = 0; i < count; i++) {
            const enum status st = rig_append(
                w,
                (struct rig_batch){rig_log_last(&log) + 1, 1, 1,
                                   promised[i].size, i == 0 ? &hs : NULL},
                &f);
            if (st != ST_OK) {
                print_error("seed %ju, step %d: %s\n", (uintmax_t)seed, step,
                            f.text);
                fail();
            }
            rig_log_put(&log, (struct rig_entry){rig_log_last(&log) + 1, 1,
                                                 promised[i].size});
            kept++;
        }
        count = 0;
        EXPECT_INT(wal_sync(w, &f), ST_OK);
        if (prng_chance(&p, 1, 4)) {
            const uint64_t last = rig_log_last(&log);
            EXPECT_INT(wal_trim(w, last, 1, &f), ST_OK);
            rig_log_trim(&log, last, 1);
        }
    }
    EXPECT(kept > 20);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

TEST(space, promised_is_kept)
{
    for (uint64_t i = 0; i < 100; i++) {
        keep_promises(test_seed() + i);
    }
}

/* The loop promises while the log's thread writes, begins segments and trims.
 */
struct promiser {
    struct wal *wal;
    _Atomic uint64_t promised, written;
    _Atomic bool ended;
};

static void *promise(void *arg)
{
    struct promiser *p = arg;
    while (!p->ended) {
        if (p->promised - p->written < 20 && wal_reserve(p->wal, 700)) {
            p->promised++;
        }
        if (wal_reserve(p->wal, 300)) {
            wal_unreserve(p->wal, 300);
        }
        struct wal_stats stats;
        wal_stats(p->wal, &stats);
        (void)wal_wants_tending(p->wal);
    }
    return NULL;
}

TEST(space, promised_by_another_thread_is_kept)
{
    const struct wal_options o = rig_options(32768);
    struct disk_sim *sim = disk_sim_new(test_seed());
    disk_sim_set_capacity(sim, 4 * o.segment_size + o.segment_size / 8);
    struct promiser p = {.wal = rig_open_well(sim, &o)};
    struct fault f = {{0}};
    pthread_t thread;
    EXPECT_INT(pthread_create(&thread, NULL, promise, &p), 0);
    while (p.written < 5000) {
        if (p.promised == p.written) {
            /* The disk is full of what nobody needs any more. */
            EXPECT_INT(wal_sync(p.wal, &f), ST_OK);
            EXPECT_INT(wal_trim(p.wal, p.written, 1, &f), ST_OK);
            continue;
        }
        EXPECT_INT(
            rig_append(p.wal,
                       (struct rig_batch){p.written + 1, 1, 1, 700, NULL}, &f),
            ST_OK);
        p.written++;
    }
    p.ended = true;
    EXPECT_INT(pthread_join(thread, NULL), 0);
    wal_close(p.wal);
    disk_sim_free(sim);
}

/* Promises must end where the disk does, and come back with room. */
TEST(space, is_not_promised_on_a_full_disk)
{
    struct wal_options o = rig_options(65536);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f = {{0}};
    disk_sim_set_capacity(sim, 3 * o.segment_size + o.segment_size / 8);
    struct wal *w = rig_open_well(sim, &o);
    uint64_t entries = 0;
    while (wal_reserve(w, 1000)) {
        rig_write(w, &log, (struct rig_batch){++entries, 1, 1, 1000, NULL});
        EXPECT(entries < 200);
    }
    EXPECT(entries > 60); /* two segments' worth at least */
    EXPECT(!wal_reserve(w, UINT64_MAX));
    EXPECT(wal_wants_tending(w));
    bool more = false;
    EXPECT_INT(wal_tend(w, UINT64_MAX, &more, &f), ST_NO_SPACE);
    EXPECT(strstr(f.text, "its next segment") != NULL);
    EXPECT(!wal_reserve(w, 1000));
    /* Somebody made room. */
    disk_sim_set_capacity(sim, 5 * o.segment_size);
    do {
        EXPECT_INT(wal_tend(w, 10000, &more, &f), ST_OK);
    } while (more);
    EXPECT(!wal_wants_tending(w));
    EXPECT(wal_reserve(w, 1000));
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* On a full disk the cure must be possible: a trim, and openings before it. */
TEST(space, a_full_log_can_be_opened_and_trimmed)
{
    struct wal_options o = rig_options(65536);
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct rig_log log = {0};
    struct fault f = {{0}};
    disk_sim_set_capacity(sim, 2 * o.segment_size + o.segment_size / 8);
    struct wal *w = rig_open_well(sim, &o);
    /* Without asking: until nothing more goes in. */
    const struct raft_hard_state hs = {.term = 1};
    uint64_t index = 1;
    for (uint32_t size = 5000; size > 0;
         size = size > 1000 ? size - 1000 : size / 4) {
        struct rig_batch b = {.first = index,
                              .term = 1,
                              .count = 1,
                              .size = size,
                              .hard_state = &hs};
        while (rig_append(w, b, &f) == ST_OK) {
            rig_log_append(&log, b);
            b.first = ++index;
        }
    }
    while (rig_append(w, (struct rig_batch){.hard_state = &hs}, &f) == ST_OK) {
    }
    EXPECT_INT(rig_append(w, (struct rig_batch){.hard_state = &hs}, &f),
               ST_NO_SPACE);
    log.hard_state = hs;
    EXPECT_INT(wal_sync(w, &f), ST_OK);
    for (int i = 0; i < 6; i++) {
        struct rig_recovery r;
        wal_close(w);
        EXPECT_INT(rig_open_sim(sim, &o, &r, &w, &f), ST_OK);
        EXPECT(!r.garbage && rig_log_agrees(&r.log, &log));
        rig_recovery_fini(&r);
    }
    EXPECT_INT(wal_trim(w, index - 1, 1, &f), ST_OK);
    EXPECT(wal_reserve(w, 1000));
    EXPECT_INT(rig_append(w, (struct rig_batch){index, 1, 1, 1000, NULL}, &f),
               ST_OK);
    wal_close(w);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

/* Whatever the disk has room for, and whenever that ends: refused whole, the
 * log goes on, and what was synced is there. */
TEST(space, ends_at_any_byte_without_harm)
{
    for (uint64_t i = 0; i < 150; i++) {
        struct world w;
        struct fault f = {{0}};
        world_init(&w, test_seed() + i, 8192);
        disk_sim_set_capacity(w.sim, 8192 + i * 512);
        if (world_begin(&w, &f) != ST_OK) {
            EXPECT(strstr(f.text, "disk") != NULL);
            EXPECT(8192 + i * 512 < 8192 + 512 + 8192 / 16 + 512);
            world_fini(&w);
            continue;
        }
        for (int step = 0; step < 60; step++) {
            if (world_step(&w, &f) != ST_OK) {
                world_fail(&w, "a full disk became final", &f);
            }
        }
        disk_sim_set_capacity(w.sim, UINT64_C(1) << 40);
        for (int step = 0; step < 20; step++) {
            if (world_step(&w, &f) != ST_OK) {
                world_fail(&w, "it does not go on", &f);
            }
        }
        world_end(&w, WORLD_POWER_LOST);
        world_reopen_well(&w);
        world_fini(&w);
    }
}
