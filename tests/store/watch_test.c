/* The watch hub: etcd-surface 1.5, kv/kv.h. */

#include "rig.h"

#include "base/must.h"

/* Revision order, each event once, a revision never split; nothing before the
 * delivery that the node asks for. */
TEST(watch, events_come_in_order_and_only_when_delivered)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    (void)rig_do(&r, "put a 0");
    rig_watch(&r, &w, "a", "c", 0, true);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put c 1");
    (void)rig_do(&r, "put b 1");
    (void)rig_do(&r, "del a to=*");
    EXPECT_TEXT(rig_heard(&w), "");
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "3 put a=1 was 0\n5 put b=1\n"
                               "6 del a was 1\n6 del b was 1\n--\n");
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* A watch from the past hears it from memory, from LMDB, and over the seam
 * between them, and then the present, without loss or doubling. */
TEST(watch, the_past_is_handed_over_to_the_present)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "put a 2"); /* 3 */
    rig_flush(&r);
    (void)rig_do(&r, "del a"); /* 4 */
    struct store_flush *f = store_flush_begin(r.store);
    (void)rig_do(&r, "put a 3"); /* 5 */
    rig_deliver(&r);
    rig_watch(&r, &w, "a", NULL, 2, true);
    (void)rig_do(&r, "put a 4"); /* 6 */
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "2 put a=1\n3 put a=2 was 1\n4 del a was 2\n"
                               "5 put a=3\n6 put a=4 was 3\n--\n");
    EXPECT_INT(store_flush_run(f, &r.fault), ST_OK);
    EXPECT_INT(store_flush_end(r.store, f, &r.fault), ST_OK);
    (void)rig_do(&r, "put a 5");
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "7 put a=5 was 4\n--\n");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* Whoever is told "nothing more up to here" must have been given all of it: a
 * write that is not delivered yet does not count, nor does one that a watch
 * still has to catch up with. */
TEST(watch, watched_is_what_has_been_delivered)
{
    struct rig r;
    struct rig_watch present, past;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    rig_deliver(&r);
    rig_watch(&r, &present, "a", NULL, 0, false);
    rig_watch(&r, &past, "a", NULL, 2, false);
    EXPECT_INT(store_watched(r.store, &present.watch), 2);
    EXPECT_INT(store_watched(r.store, &past.watch), 1);
    (void)rig_do(&r, "put b 1"); /* 3 */
    EXPECT_INT(store_watched(r.store, &present.watch), 2);
    rig_deliver(&r);
    EXPECT_INT(store_watched(r.store, &present.watch), 3);
    EXPECT_INT(store_watched(r.store, &past.watch), 3);
    rig_unwatch(&r, &present);
    rig_unwatch(&r, &past);
    rig_end(&r);
}

/* A start in the future waits for it. */
TEST(watch, a_future_start_skips_what_comes_before)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    rig_watch(&r, &w, "a", NULL, 4, false);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put a 2");
    (void)rig_do(&r, "put a 3");
    (void)rig_do(&r, "put a 4");
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "4 put a=3\n5 put a=4\n--\n");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* start < compacted: the watch ends and says from where it could; start ==
 * compacted is fine, and hears a deletion at that very revision (etcd #19179),
 * also when everything was swept. */
TEST(watch, compaction_ends_watches_that_start_before_it)
{
    struct rig r;
    struct rig_watch w, at;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "put b 1"); /* 3 */
    (void)rig_do(&r, "del a");   /* 4 */
    (void)rig_do(&r, "put b 2"); /* 5 */
    EXPECT_TEXT(rig_do(&r, "compact 4"), "OK");
    for (int swept = 0; swept < 2; swept++) {
        rig_watch(&r, &w, "a", "z", 3, true);
        rig_watch(&r, &at, "a", "z", 4, true);
        EXPECT_TEXT(rig_heard(&w), ""); /* never from inside the call */
        rig_deliver(&r);
        EXPECT_TEXT(rig_heard(&w), "end COMPACTED 4\n");
        EXPECT_TEXT(rig_heard(&at), "4 del a\n5 put b=2 was 1\n--\n");
        rig_unwatch(&r, &w);
        rig_unwatch(&r, &at);
        rig_settle(&r);
    }
    rig_end(&r);
}

/* A synced watcher must not lose what was compacted between the write and its
 * delivery, not even when a flush comes first. */
TEST(watch, what_is_not_delivered_yet_survives_compaction_and_sweep)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    rig_watch(&r, &w, "a", NULL, 0, false);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "del a");   /* 3 */
    (void)rig_do(&r, "put a 2"); /* 4 */
    EXPECT_TEXT(rig_do(&r, "compact 4"), "OK");
    rig_flush(&r);
    rig_flush(&r);
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "2 put a=1\n3 del a\n4 put a=2\n--\n");
    rig_settle(&r);
    EXPECT(!store_has_garbage(r.store));
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* A range that holds nothing can never have an event: it ends at once. */
TEST(watch, empty_ranges_end)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    rig_watch(&r, &w, "b", "a", 0, false);
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "end INVALID 0\n");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* No callback after unwatch, whoever calls it from wherever: one watcher ends
 * another from its callback while both have events waiting. */
struct killer {
    struct rig_watch *victims[2];
    struct rig *rig;
    struct kv_watch watch;
    unsigned calls;
};

static void kill_others(struct kv_watch *watch, const struct kv_event *events,
                        size_t count, struct kv_header header)
{
    struct killer *k = container_of(watch, struct killer, watch);
    (void)events;
    (void)count;
    (void)header;
    k->calls++;
    for (unsigned i = 0; i < 2; i++) {
        store_unwatch(k->rig->store, &k->victims[i]->watch);
    }
    store_unwatch(k->rig->store, watch);
}

TEST(watch, callbacks_may_end_any_watch)
{
    struct rig r;
    struct rig_watch ranged, single;
    rig_begin(&r);
    struct killer k = {
        .rig = &r,
        .victims = {&ranged, &single},
        .watch = {.keys = {.key = bytes_of("a")}, .on_events = kill_others}};
    store_watch(r.store, &k.watch);
    rig_watch(&r, &ranged, "a", "b", 0, false);
    rig_watch(&r, &single, "a", NULL, 0, false);
    (void)rig_do(&r, "put a 1");
    rig_deliver(&r);
    (void)rig_do(&r, "put a 2");
    rig_deliver(&r);
    EXPECT_INT(k.calls, 1);
    EXPECT(ranged.text.size + single.text.size <=
           2 * strlen("2 put a=1\n--\n"));
    buf_fini(&ranged.text);
    buf_fini(&single.text);
    rig_end(&r);
}

/* A long backlog is handed out in slices: one call of store_deliver is bounded,
 * and revisions stay whole. */
TEST(watch, a_backlog_comes_in_bounded_slices)
{
    struct rig r;
    struct rig_watch w[20];
    rig_begin(&r);
    for (int i = 0; i < 3000; i++) {
        (void)rig_do(&r, "put k%d v", i % 10);
    }
    rig_flush(&r);
    rig_deliver(&r);
    for (unsigned i = 0; i < count_of(w); i++) {
        rig_watch(&r, &w[i], "k", "l", 2, false);
    }
    const struct kv_header header = {.revision = store_revision(r.store)};
    EXPECT(store_deliver(r.store, header));
    size_t heard = 0;
    for (unsigned i = 0; i < count_of(w); i++) {
        heard += w[i].text.size > 0;
    }
    EXPECT(heard > 1);           /* not all of it to the first one */
    EXPECT(heard < count_of(w)); /* nor everything at once */
    rig_deliver(&r);
    for (unsigned i = 0; i < count_of(w); i++) {
        size_t lines = 0;
        for (size_t k = 0; k < w[i].text.size; k++) {
            lines += w[i].text.data[k] == '=';
        }
        EXPECT_INT(lines, 3000);
        rig_unwatch(&r, &w[i]);
    }
    rig_end(&r);
}

/* So does what a synced watcher has waiting, when deliveries are rare. */
TEST(watch, rare_deliveries_lose_nothing)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    rig_watch(&r, &w, "k", NULL, 0, false);
    for (int i = 0; i < 2000; i++) {
        (void)rig_do(&r, "put k v");
    }
    const struct kv_header header = {.revision = store_revision(r.store)};
    EXPECT(store_deliver(r.store, header));
    rig_deliver(&r);
    size_t lines = 0;
    for (size_t i = 0; i < w.text.size; i++) {
        lines += w.text.data[i] == '=';
    }
    EXPECT_INT(lines, 2000);
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* However large a revision is, it comes in one call, from memory and from
 * LMDB. */
TEST(watch, a_large_revision_is_not_split)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    for (int i = 0; i < 3000; i++) {
        (void)rig_do(&r, "put k%d_a_name_that_makes_the_list_of_keys_long v",
                     i);
    }
    (void)rig_do(&r, "del k to=+");
    const int64_t at = store_revision(r.store);
    (void)rig_do(&r, "put k v");
    for (int flushed = 0; flushed < 2; flushed++) {
        rig_deliver(&r);
        rig_watch(&r, &w, "k", "l", at, false);
        rig_deliver(&r);
        size_t calls = 0;
        size_t deleted = 0;
        for (size_t i = 0; i < w.text.size; i++) {
            calls += w.text.data[i] == '-' && calls == 0;
            deleted += calls == 0 && w.text.data[i] == '\n';
        }
        EXPECT(deleted >= 3000); /* before the first call's end */
        rig_unwatch(&r, &w);
        rig_flush(&r);
    }
    rig_end(&r);
}
