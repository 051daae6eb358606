/* Compaction: what may still be read, and what goes. */

#include "rig.h"
#include "store/internal.h"

#include "base/must.h"

/* At once for readers; the compacted revision itself stays readable. */
TEST(compact, revisions_before_are_refused_at_once)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "put a 2"); /* 3 */
    (void)rig_do(&r, "put b 1"); /* 4 */
    EXPECT_TEXT(rig_do(&r, "compact 5"), "FUTURE_REVISION");
    EXPECT_TEXT(rig_do(&r, "compact 3"), "OK");
    EXPECT_TEXT(rig_do(&r, "compact 3"), "COMPACTED");
    EXPECT_TEXT(rig_do(&r, "compact 2"), "COMPACTED");
    EXPECT_INT(store_compact_revision(r.store), 3);
    EXPECT_INT(store_revision(r.store), 4);
    for (int swept = 0; swept < 2; swept++) {
        EXPECT_TEXT(rig_do(&r, "get a rev=2"), "COMPACTED");
        EXPECT_TEXT(rig_do(&r, "get a rev=3"), "a=2 c2 m3 v2; count 1");
        EXPECT_TEXT(rig_do(&r, "get a"), "a=2 c2 m3 v2; count 1");
        EXPECT(store_has_garbage(r.store) == (swept == 0));
        rig_deliver(&r);
        rig_settle(&r);
    }
    rig_end(&r);
}

/* A deleted key leaves nothing behind once its tombstone is compacted, and what
 * was swept must not come back. */
TEST(compact, deleted_keys_go_entirely)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    rig_flush(&r);
    (void)rig_do(&r, "put a 2"); /* 3 */
    (void)rig_do(&r, "del a");   /* 4 */
    (void)rig_do(&r, "put b 1"); /* 5 */
    rig_deliver(&r);
    EXPECT_TEXT(rig_do(&r, "compact 4"), "OK");
    rig_settle(&r);
    EXPECT_TEXT(rig_do(&r, "get a rev=4"), "count 0");
    EXPECT_TEXT(rig_do(&r, "compact 5"), "OK");
    rig_settle(&r);
    EXPECT_TEXT(rig_do(&r, "get a to=z rev=5"), "b=1 c5 m5 v1; count 1");
    rig_end(&r);
}

static size_t history_rows(struct rig *r)
{
    MDB_stat stat;
    EXPECT_INT(
        mdb_stat(r->store->view.txn, r->store->env.trees[TREE_HISTORY], &stat),
        0);
    return stat.ms_entries;
}

/* Danger: of a key with more versions than one slice deletes the tombstone goes
 * first, and what is left of the versions before it is there again. */
TEST(compact, a_key_that_was_deleted_stays_so_between_slices)
{
    for (uint32_t slice = 1; slice <= 24; slice++) {
        struct rig r;
        rig_begin(&r);
        r.options.sweep_rows_max = slice;
        rig_restart(&r);
        for (int i = 0; i < 20; i++) {
            (void)rig_do(&r, "put a 1");
        }
        (void)rig_do(&r, "del a");   /* 22 */
        (void)rig_do(&r, "put b 1"); /* 23 */
        rig_deliver(&r);
        rig_flush(&r);
        EXPECT_TEXT(rig_do(&r, "compact 23"), "OK");
        int flushes = 0;
        for (; store_has_garbage(r.store); flushes++) {
            EXPECT_TEXT(rig_do(&r, "get a to=z rev=23"),
                        "b=1 c23 m23 v1; count 1");
            rig_flush(&r);
        }
        EXPECT(flushes >= 21 / (int)slice);
        EXPECT_TEXT(rig_do(&r, "get a to=z rev=23"), "b=1 c23 m23 v1; count 1");
        EXPECT_INT(history_rows(&r), 0);
        rig_end(&r);
    }
}

/* A tombstone at the compact revision stays for watchers, and goes with the
 * next compaction: nothing is left for ever. */
TEST(compact, a_tombstone_at_the_compact_revision_goes_with_the_next)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "del a");   /* 3 */
    (void)rig_do(&r, "put b 1"); /* 4 */
    rig_deliver(&r);
    rig_flush(&r);
    EXPECT_TEXT(rig_do(&r, "compact 3"), "OK");
    rig_settle(&r);
    EXPECT_INT(history_rows(&r), 1);
    EXPECT_TEXT(rig_do(&r, "compact 4"), "OK");
    rig_settle(&r);
    EXPECT_INT(history_rows(&r), 0);
    rig_end(&r);
}

/* Garbage must not keep its space: a key written ten thousand times is as large
 * as one written once, and the sweep comes in bounded slices. */
TEST(compact, space_comes_back_in_slices)
{
    struct rig r;
    struct store_stats before, after;
    rig_begin(&r);
    for (int i = 0; i < 20000; i++) {
        (void)rig_do(&r, "put key%d 0123456789012345678901234567890123456789",
                     i % 3);
        if (i % 2500 == 0) {
            rig_deliver(&r);
            rig_flush(&r);
        }
    }
    rig_deliver(&r);
    rig_flush(&r);
    store_stats(r.store, &before);
    EXPECT_INT(rig_compact(&r, store_revision(r.store)), ST_OK);
    const uint32_t hash = rig_hash(&r);
    unsigned slices = 0;
    while (store_has_garbage(r.store)) {
        rig_flush(&r);
        slices++;
        EXPECT_INT(rig_hash(&r), hash); /* the same rows, swept or not */
    }
    EXPECT(slices > 1);
    EXPECT(slices < 50);
    store_stats(r.store, &after);
    EXPECT(after.used_bytes * 10 < before.used_bytes);
    EXPECT_TEXT(rig_do(&r, "get key to=+ count"), "count 3");
    rig_end(&r);
}

/* One revision may name more keys than a slice takes: the sweep must still get
 * past it. */
TEST(compact, a_large_revision_is_swept)
{
    struct rig r;
    rig_begin(&r);
    for (int i = 0; i < 9000; i++) {
        (void)rig_do(&r, "put key_with_a_long_name_%d v", i);
    }
    rig_deliver(&r);
    rig_flush(&r);
    (void)rig_do(&r, "del key to=+");
    (void)rig_do(&r, "put other v");
    rig_deliver(&r);
    rig_flush(&r);
    EXPECT_INT(history_rows(&r), 18000);
    EXPECT_INT(rig_compact(&r, store_revision(r.store)), ST_OK);
    for (int slices = 0; store_has_garbage(r.store); slices++) {
        EXPECT(slices < 20);
        rig_flush(&r);
    }
    EXPECT_INT(history_rows(&r), 0);
    rig_end(&r);
}

/* A sweep that was interrupted goes on where it was; one that was never begun
 * begins. */
TEST(compact, a_sweep_survives_restarts)
{
    struct rig r;
    rig_begin(&r);
    for (int i = 0; i < 12000; i++) {
        (void)rig_do(&r, "put k%d v%d", i % 2, i);
    }
    rig_deliver(&r);
    rig_flush(&r);
    EXPECT_INT(rig_compact(&r, store_revision(r.store)), ST_OK);
    rig_flush(&r);
    EXPECT(store_has_garbage(r.store));
    const uint32_t hash = rig_hash(&r);
    rig_restart(&r);
    EXPECT(store_has_garbage(r.store));
    rig_settle(&r);
    EXPECT(!store_has_garbage(r.store));
    EXPECT_INT(rig_hash(&r), hash);
    rig_end(&r);
}
