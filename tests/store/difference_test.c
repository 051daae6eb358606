/* Watches of a member whose state is replaced by a later one: nothing that
 * differs is missed, whether or not history reaches back. */

#include "rig.h"

#include "base/must.h"
#include "base/prng.h"

/* A member that has fallen behind, and the one whose state it gets. */
struct two {
    struct rig behind, ahead;
};

static void begin(struct two *t)
{
    rig_begin(&t->behind);
    rig_begin(&t->ahead);
}

static void end(struct two *t)
{
    rig_end(&t->behind);
    rig_end(&t->ahead);
}

static void both(struct two *t, const char *line)
{
    (void)rig_do(&t->behind, "%s", line);
    (void)rig_do(&t->ahead, "%s", line);
}

static void deliver_some(struct rig *r)
{
    (void)store_deliver(
        r->store, (struct kv_header){.revision = store_revision(r->store)});
}

/* Steps until it is done. */
static void finish(struct two *t, struct store_comparison *c, size_t rows)
{
    for (int i = 0;; i++) {
        bool done;
        EXPECT_INT(store_compare_step(c, rows, &done, &t->behind.fault), ST_OK);
        if (done) {
            return;
        }
        EXPECT(i < 100000);
        deliver_some(&t->behind);
    }
}

static void hand_over(struct two *t, struct store_comparison *c)
{
    struct store_watches *all = store_take_watches(t->behind.store, c);
    store_compare_free(c);
    store_give_watches(t->ahead.store, all);
}

static void replace(struct two *t)
{
    struct store_comparison *c =
        store_compare_begin(t->behind.store, t->ahead.store);
    finish(t, c, 3);
    hand_over(t, c);
    rig_deliver(&t->ahead);
}

/* The keys that differ, as what they are now; then history goes on. */
TEST(difference, watches_are_told_what_differs_and_then_what_happens)
{
    struct two t;
    struct rig_watch all, one;
    begin(&t);
    both(&t, "put same 1");    /* 2 */
    both(&t, "put changed 1"); /* 3 */
    both(&t, "put gone 1");    /* 4 */
    rig_watch(&t.behind, &all, "a", "z", 0, false);
    rig_watch(&t.behind, &one, "gone", NULL, 0, false);
    rig_deliver(&t.behind);
    (void)rig_do(&t.ahead, "put changed 2"); /* 5 */
    (void)rig_do(&t.ahead, "put brief 1");   /* 6 */
    (void)rig_do(&t.ahead, "put new 1");     /* 7 */
    (void)rig_do(&t.ahead, "del brief");     /* 8 */
    (void)rig_do(&t.ahead, "del gone");      /* 9 */
    (void)rig_do(&t.ahead, "put changed 3"); /* 10 */
    (void)rig_do(&t.ahead, "compact 10");
    (void)rig_do(&t.ahead, "put later 1"); /* 11 */
    rig_deliver(&t.ahead);
    rig_settle(&t.ahead);
    replace(&t);
    EXPECT_TEXT(rig_heard(&all), "5 del gone\n7 put new=1\n10 put changed=3\n"
                                 "--\n11 put later=1\n--\n");
    EXPECT_TEXT(rig_heard(&one), "5 del gone\n--\n");
    (void)rig_do(&t.ahead, "put same 2");
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&all), "12 put same=2\n--\n");
    rig_unwatch(&t.ahead, &all);
    rig_unwatch(&t.ahead, &one);
    end(&t);
}

/* What history still has is told as it happened, each change of it. */
TEST(difference, where_history_reaches_back_it_is_told_as_it_was)
{
    struct two t;
    struct rig_watch w;
    begin(&t);
    both(&t, "put a 1"); /* 2 */
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    rig_deliver(&t.behind);
    (void)rig_do(&t.ahead, "put a 2"); /* 3 */
    (void)rig_do(&t.ahead, "del a");   /* 4 */
    (void)rig_do(&t.ahead, "compact 2");
    rig_deliver(&t.ahead);
    rig_settle(&t.ahead);
    replace(&t);
    EXPECT_TEXT(rig_heard(&w), "3 put a=2\n4 del a\n--\n");
    rig_unwatch(&t.ahead, &w);
    end(&t);
}

/* Directories that came and went are told with the first and last of their
 * entries, or mounts would keep showing them. */
struct counting {
    struct kv_watch watch;
    struct buf text;
};

static void count_events(struct kv_watch *watch, const struct kv_event *events,
                         size_t count, struct kv_header header)
{
    struct counting *c = container_of(watch, struct counting, watch);
    (void)header;
    for (size_t i = 0; i < count; i++) {
        char line[128];
        (void)snprintf(line, sizeof line, "%.*s %s %u\n",
                       (int)events[i].item.key.size,
                       (const char *)events[i].item.key.data,
                       events[i].type == KV_EVENT_PUT ? "put" : "del",
                       events[i].groups_changed);
        buf_append(&c->text, bytes_of(line));
    }
}

TEST(difference, directories_come_and_go_with_their_entries)
{
    struct two t;
    struct counting c = {.watch = {.keys = {bytes_of("/"), bytes_of("0")},
                                   .on_events = count_events}};
    begin(&t);
    both(&t, "put /keep/a 1");
    both(&t, "put /old/deep/a 1");
    both(&t, "put /old/deep/b 1");
    store_watch(t.behind.store, &c.watch);
    rig_deliver(&t.behind);
    (void)rig_do(&t.ahead, "del /old/deep/a");
    (void)rig_do(&t.ahead, "del /old/deep/b");
    (void)rig_do(&t.ahead, "put /new/deep/a 1");
    (void)rig_do(&t.ahead, "put /new/deep/b 1");
    (void)rig_do(&t.ahead, "compact %lld",
                 (long long)store_revision(t.ahead.store));
    rig_deliver(&t.ahead);
    rig_settle(&t.ahead);
    replace(&t);
    EXPECT_TEXT(rig_text(&c.text), "/old/deep/a del 0\n"
                                   "/old/deep/b del 2\n"
                                   "/new/deep/a put 2\n"
                                   "/new/deep/b put 0\n");
    store_unwatch(t.ahead.store, &c.watch);
    buf_fini(&c.text);
    end(&t);
}

/* Whoever applies what it is told to what it knew has what there is. */
TEST(difference, what_was_known_and_what_is_told_make_what_there_is)
{
    struct prng prng;
    prng_init(&prng, test_seed());
    for (int round = 0; round < 20; round++) {
        struct two t;
        struct rig_watch w;
        char line[64];
        begin(&t);
        for (int i = 0; i < 300; i++) {
            const unsigned key = (unsigned)prng_below(&prng, 60);
            (void)snprintf(line, sizeof line,
                           prng_below(&prng, 3) == 0 ? "del k%u" : "put k%u x",
                           key);
            if (i < 100) {
                both(&t, line);
            } else {
                (void)rig_do(&t.ahead, "%s", line);
            }
            if (i == 99) {
                rig_watch(&t.behind, &w, "k", "l", 0, false);
                rig_deliver(&t.behind);
                if (round % 2 == 0) {
                    rig_flush(&t.behind);
                }
            }
        }
        (void)rig_do(&t.ahead, "compact %lld",
                     (long long)store_revision(t.ahead.store) -
                         (long long)prng_below(&prng, 50));
        rig_deliver(&t.ahead);
        rig_settle(&t.ahead);
        bool live[60] = {false};
        for (unsigned i = 0; i < 60; i++) {
            live[i] =
                strncmp(rig_do(&t.behind, "get k%u", i), "count 0", 7) != 0;
        }
        replace(&t);
        char *text = (char *)(uintptr_t)rig_heard(&w);
        char *rest = NULL;
        for (char *at = strtok_r(text, "\n", &rest); at != NULL;
             at = strtok_r(NULL, "\n", &rest)) {
            unsigned key;
            long long revision;
            if (sscanf(at, "%lld put k%u", &revision, &key) == 2) {
                live[key] = true;
            } else if (sscanf(at, "%lld del k%u", &revision, &key) == 2) {
                live[key] = false;
            }
        }
        for (unsigned i = 0; i < 60; i++) {
            EXPECT_INT(strncmp(rig_do(&t.ahead, "get k%u", i), "count 0", 7) !=
                           0,
                       live[i]);
        }
        rig_unwatch(&t.ahead, &w);
        end(&t);
    }
}

/* --- while it is being found, and told --- */

/* A member at revision 4 (a, b, c), and one that has `a` put again, `b`
 * deleted, `d` new, and no history below 8. */
static void begin_apart(struct two *t)
{
    begin(t);
    both(t, "put a 1");                 /* 2 */
    both(t, "put b 1");                 /* 3 */
    both(t, "put c 1");                 /* 4 */
    (void)rig_do(&t->ahead, "put x 1"); /* 5 */
    (void)rig_do(&t->ahead, "put a 2"); /* 6 */
    (void)rig_do(&t->ahead, "del b");   /* 7 */
    (void)rig_do(&t->ahead, "del x");   /* 8 */
    (void)rig_do(&t->ahead, "put d 1"); /* 9 */
    (void)rig_do(&t->ahead, "put e 1"); /* 10 */
    EXPECT_TEXT(rig_do(&t->ahead, "compact 9"), "OK");
    rig_deliver(&t->behind);
    rig_deliver(&t->ahead);
    rig_settle(&t->ahead);
}

#define APART "5 del b\n6 put a=2\n9 put d=1\n--\n10 put e=1\n--\n"

static bool step(struct two *t, struct store_comparison *c, size_t rows)
{
    bool done;
    EXPECT_INT(store_compare_step(c, rows, &done, &t->behind.fault), ST_OK);
    return done;
}

/* Danger: what was compared before a write, told after it, contradicts it. */
TEST(difference, what_is_written_meanwhile_makes_it_begin_again)
{
    for (int steps = 0; steps < 12; steps++) {
        struct two t;
        struct rig_watch w;
        begin_apart(&t);
        rig_watch(&t.behind, &w, "a", "z", 0, false);
        struct store_comparison *c =
            store_compare_begin(t.behind.store, t.ahead.store);
        for (int i = 0; i < steps; i++) {
            (void)step(&t, c, 1);
        }
        (void)rig_do(&t.behind, "put x 1"); /* the entries that it lacked */
        (void)rig_do(&t.behind, "put a 2");
        rig_deliver(&t.behind);
        rig_flush(&t.behind);
        finish(&t, c, 1);
        EXPECT_TEXT(rig_heard(&w), "5 put x=1\n6 put a=2\n--\n");
        hand_over(&t, c);
        rig_deliver(&t.ahead);
        EXPECT_TEXT(rig_heard(&w),
                    "7 del b\n7 del x\n9 put d=1\n--\n10 put e=1\n--\n");
        rig_unwatch(&t.ahead, &w);
        end(&t);
    }
}

/* Danger: a watch that comes when most of it is found is told half of it. */
TEST(difference, a_watch_that_comes_meanwhile_is_told_all_of_it)
{
    for (int steps = 0; steps < 12; steps++) {
        struct two t;
        struct rig_watch first, w, gone;
        begin_apart(&t);
        if (steps % 2 == 0) { /* else nobody needed it before */
            rig_watch(&t.behind, &first, "c", NULL, 0, false);
        }
        rig_watch(&t.behind, &gone, "a", "z", 0, false);
        struct store_comparison *c =
            store_compare_begin(t.behind.store, t.ahead.store);
        for (int i = 0; i < steps; i++) {
            (void)step(&t, c, 1);
        }
        rig_watch(&t.behind, &w, "a", "z", 0, false);
        rig_unwatch(&t.behind, &gone);
        finish(&t, c, 1);
        hand_over(&t, c);
        rig_deliver(&t.ahead);
        EXPECT_TEXT(rig_heard(&w), APART);
        rig_unwatch(&t.ahead, &w);
        if (steps % 2 == 0) {
            EXPECT_TEXT(rig_heard(&first), "");
            rig_unwatch(&t.ahead, &first);
        }
        end(&t);
    }
}

/* Danger: who is still being told of the past loses the rest of it. */
TEST(difference, the_past_is_told_first)
{
    struct two t;
    struct rig_watch w;
    begin_apart(&t);
    t.behind.options.watch_changes_max = 1;
    rig_restart(&t.behind);
    rig_deliver(&t.behind);
    rig_watch(&t.behind, &w, "a", "z", 2, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    for (int i = 0; i < 20; i++) {
        EXPECT(!step(&t, c, 100));
    }
    finish(&t, c, 100);
    hand_over(&t, c);
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&w),
                "2 put a=1\n--\n3 put b=1\n--\n4 put c=1\n--\n" APART);
    rig_unwatch(&t.ahead, &w);
    end(&t);
}

/* Danger: watches of the past that keep coming would hold up a state for ever;
 * and one that came last must not be told of a part in silence. */
TEST(difference, a_watch_of_the_past_that_comes_last_begins_with_the_new_state)
{
    struct two t;
    struct rig_watch w, past, present, left;
    begin_apart(&t);
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    finish(&t, c, 100);
    rig_watch(&t.behind, &past, "a", "z", 2, false);
    rig_watch(&t.behind, &present, "a", "z", 5, false);
    rig_watch(&t.behind, &left, "a", "z", 2, false);
    EXPECT(step(&t, c, 100));
    rig_deliver(&t.behind);
    EXPECT_TEXT(rig_heard(&past), "");
    rig_unwatch(&t.behind, &left);
    EXPECT(step(&t, c, 100));
    hand_over(&t, c);
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&w), APART);
    EXPECT_TEXT(rig_heard(&present), APART);
    EXPECT_TEXT(rig_heard(&past), "end COMPACTED 9\n");
    rig_unwatch(&t.ahead, &w);
    rig_unwatch(&t.ahead, &past);
    rig_unwatch(&t.ahead, &present);
    end(&t);
}

/* Danger: it is given up, and those that waited for it wait for ever. */
TEST(difference, when_it_is_given_up_who_waited_is_told_of_the_past)
{
    struct two t;
    struct rig_watch w;
    begin_apart(&t);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    finish(&t, c, 100);
    rig_watch(&t.behind, &w, "a", "z", 3, false);
    rig_deliver(&t.behind);
    EXPECT_TEXT(rig_heard(&w), "");
    store_compare_free(c);
    rig_deliver(&t.behind);
    EXPECT_TEXT(rig_heard(&w), "3 put b=1\n4 put c=1\n--\n");
    rig_unwatch(&t.behind, &w);
    end(&t);
}

/* Watches of what had not happened yet: before, at and behind the revision from
 * which on there is history. */
TEST(difference, a_watch_of_the_future_is_told_what_it_asked_for)
{
    struct two t;
    struct rig_watch w[5];
    static const char *const told[] = {
        APART, "6 del b\n6 put a=2\n9 put d=1\n--\n10 put e=1\n--\n",
        "8 del b\n9 put d=1\n--\n10 put e=1\n--\n",
        "9 put d=1\n--\n10 put e=1\n--\n", "10 put e=1\n--\n"};
    static const int64_t from[] = {5, 6, 8, 9, 10};
    begin_apart(&t);
    for (int i = 0; i < 5; i++) {
        rig_watch(&t.behind, &w[i], "a", "z", from[i], false);
    }
    replace(&t);
    for (int i = 0; i < 5; i++) {
        EXPECT_TEXT(rig_heard(&w[i]), told[i]);
        rig_unwatch(&t.ahead, &w[i]);
    }
    end(&t);
}

/* Danger: somebody who comes when it is being told hears a part of it, or sees
 * a key deleted at a revision at which it was not. */
TEST(difference, a_watch_that_comes_when_it_is_told_has_history_alone)
{
    struct two t;
    struct rig_watch w, at, now, below;
    begin_apart(&t);
    t.ahead.options.watch_changes_max = 1;
    rig_restart(&t.ahead);
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    finish(&t, c, 2);
    hand_over(&t, c);
    deliver_some(&t.ahead);
    EXPECT_TEXT(rig_heard(&w), "5 del b\n--\n");
    rig_watch(&t.ahead, &at, "a", "z", 9, false);
    rig_watch(&t.ahead, &now, "a", "z", 0, false);
    rig_watch(&t.ahead, &below, "a", "z", 8, false);
    EXPECT_INT(store_watched(t.ahead.store, &w.watch), 4);
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&w),
                "6 put a=2\n--\n9 put d=1\n--\n10 put e=1\n--\n");
    EXPECT_TEXT(rig_heard(&at), "9 put d=1\n--\n10 put e=1\n--\n");
    EXPECT_TEXT(rig_heard(&now), "");
    EXPECT_TEXT(rig_heard(&below), "end COMPACTED 9\n");
    rig_unwatch(&t.ahead, &w);
    rig_unwatch(&t.ahead, &at);
    rig_unwatch(&t.ahead, &now);
    rig_unwatch(&t.ahead, &below);
    end(&t);
}

/* Danger: a compaction sweeps what is still to be told. */
TEST(difference, a_compaction_meanwhile_takes_nothing_from_it)
{
    struct two t;
    struct rig_watch w;
    begin_apart(&t);
    t.ahead.options.watch_changes_max = 1;
    rig_restart(&t.ahead);
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    finish(&t, c, 2);
    hand_over(&t, c);
    deliver_some(&t.ahead);
    (void)rig_do(&t.ahead, "put a 3"); /* 11 */
    (void)rig_do(&t.ahead, "del d");   /* 12 */
    (void)rig_do(&t.ahead, "put z 1"); /* 13, not watched */
    EXPECT_TEXT(rig_do(&t.ahead, "compact 13"), "OK");
    EXPECT(!store_has_garbage(t.ahead.store)); /* that may be swept */
    for (int i = 0; i < 5; i++) {
        rig_flush(&t.ahead);
    }
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&w),
                "5 del b\n--\n6 put a=2\n--\n9 put d=1\n--\n10 put e=1\n--\n"
                "11 put a=3\n--\n12 del d\n--\n");
    EXPECT(store_has_garbage(t.ahead.store));
    rig_unwatch(&t.ahead, &w);
    end(&t);
}

/* Danger: another state comes while the difference to the last one is told. */
TEST(difference, the_next_state_waits_until_the_last_one_is_told)
{
    struct two t, next;
    struct rig_watch w;
    begin_apart(&t);
    t.ahead.options.watch_changes_max = 1;
    rig_restart(&t.ahead);
    begin_apart(&next);
    (void)rig_do(&next.ahead, "del c");   /* 11 */
    (void)rig_do(&next.ahead, "put f 1"); /* 12 */
    (void)rig_do(&next.ahead, "put a 4"); /* 13 */
    (void)rig_do(&next.ahead, "compact 13");
    rig_deliver(&next.ahead);
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    finish(&t, c, 2);
    hand_over(&t, c);
    struct two second = {t.ahead, next.ahead};
    c = store_compare_begin(second.behind.store, second.ahead.store);
    for (int i = 0; i < 20; i++) {
        EXPECT(!step(&second, c, 100));
    }
    finish(&second, c, 100);
    EXPECT_TEXT(rig_heard(&w), "5 del b\n--\n6 put a=2\n--\n9 put d=1\n--\n"
                               "10 put e=1\n--\n");
    hand_over(&second, c);
    rig_deliver(&next.ahead);
    EXPECT_TEXT(rig_heard(&w), "11 del c\n12 put f=1\n13 put a=4\n--\n");
    rig_unwatch(&next.ahead, &w);
    end(&t);
    end(&next);
}

/* Danger: a client whose connection breaks when a part was told asks for what
 * follows that, and never hears of the rest. */
TEST(difference, whoever_breaks_off_and_asks_again_misses_nothing)
{
    for (uint32_t told = 1; told < 6; told++) {
        for (int history = 5; history <= 9; history++) {
            struct two t;
            struct rig_watch w, again;
            bool known[3] = {true, true, true}; /* a, b, c are there */
            begin(&t);
            both(&t, "put a 1");                  /* 2 */
            both(&t, "put b 1");                  /* 3 */
            both(&t, "put c 1");                  /* 4 */
            (void)rig_do(&t.ahead, "del a to=c"); /* 5: a, b */
            (void)rig_do(&t.ahead, "put b 2");    /* 6 */
            (void)rig_do(&t.ahead, "del c");      /* 7 */
            (void)rig_do(&t.ahead, "put a 2");    /* 8 */
            (void)rig_do(&t.ahead, "del a to=c"); /* 9: a, b */
            EXPECT_TEXT(rig_do(&t.ahead, "compact %d", history), "OK");
            rig_deliver(&t.behind);
            rig_deliver(&t.ahead);
            t.ahead.options.watch_changes_max = 1;
            rig_restart(&t.ahead);
            rig_watch(&t.behind, &w, "a", "z", 0, false);
            struct store_comparison *c =
                store_compare_begin(t.behind.store, t.ahead.store);
            finish(&t, c, 2);
            hand_over(&t, c);
            for (uint32_t i = 0; i < told; i++) {
                deliver_some(&t.ahead);
            }
            rig_unwatch(&t.ahead, &w);
            char text[512];
            (void)snprintf(text, sizeof text, "%s", rig_heard(&w));
            long long last = 4;
            char *rest = NULL;
            for (char *at = strtok_r(text, "\n", &rest); at != NULL;
                 at = strtok_r(NULL, "\n", &rest)) {
                char what[4], key;
                if (sscanf(at, "%lld %3s %c", &last, what, &key) == 3) {
                    known[key - 'a'] = what[0] == 'p';
                }
            }
            rig_watch(&t.ahead, &again, "a", "z", last + 1, false);
            rig_deliver(&t.ahead);
            (void)snprintf(text, sizeof text, "%s", rig_heard(&again));
            rest = NULL;
            bool compacted = false;
            for (char *at = strtok_r(text, "\n", &rest); at != NULL;
                 at = strtok_r(NULL, "\n", &rest)) {
                char what[4], key;
                compacted |= strncmp(at, "end", 3) == 0;
                if (sscanf(at, "%lld %3s %c", &last, what, &key) == 3) {
                    known[key - 'a'] = what[0] == 'p';
                }
            }
            EXPECT(compacted || (!known[0] && !known[1] && !known[2]));
            rig_unwatch(&t.ahead, &again);
            end(&t);
        }
    }
}

/* Without a comparison nothing is passed over in silence. */
TEST(difference, who_cannot_be_told_hears_that_it_is_compacted)
{
    struct two t;
    struct rig_watch w;
    begin_apart(&t);
    rig_watch(&t.behind, &w, "a", "z", 0, false);
    struct store_comparison *c =
        store_compare_begin(t.behind.store, t.ahead.store);
    EXPECT(!step(&t, c, 1));
    hand_over(&t, c); /* not done */
    rig_deliver(&t.ahead);
    EXPECT_TEXT(rig_heard(&w), "end COMPACTED 9\n");
    rig_unwatch(&t.ahead, &w);
    end(&t);
}

/* Any number of keys, looked at in steps of any size, come in the order of
 * their revisions. */
TEST(difference, it_comes_in_order_of_revisions)
{
    static const size_t rows[] = {1, 7, 256, 100000};
    struct prng prng;
    prng_init(&prng, test_seed());
    for (size_t i = 0; i < 4; i++) {
        struct two t;
        struct rig_watch w;
        begin(&t);
        t.ahead.options.watch_changes_max = 1 + (uint32_t)prng_below(&prng, 9);
        rig_restart(&t.ahead);
        const unsigned keys = 1 + (unsigned)prng_below(&prng, 600);
        for (unsigned k = 0; k < 2 * keys; k++) {
            (void)rig_do(&t.ahead, "put k%u x",
                         (unsigned)prng_below(&prng, keys));
        }
        (void)rig_do(&t.ahead, "compact %u", 2 * keys + 1);
        rig_deliver(&t.ahead);
        rig_watch(&t.behind, &w, "k", "l", 0, false);
        struct store_comparison *c =
            store_compare_begin(t.behind.store, t.ahead.store);
        finish(&t, c, rows[i]);
        hand_over(&t, c);
        rig_deliver(&t.ahead);
        unsigned told = 0, live;
        long long before = 0, revision;
        char *rest = NULL;
        for (char *at = strtok_r((char *)(uintptr_t)rig_heard(&w), "\n", &rest);
             at != NULL; at = strtok_r(NULL, "\n", &rest)) {
            if (sscanf(at, "%lld put", &revision) == 1) {
                EXPECT(revision > before);
                before = revision;
                told++;
            }
        }
        EXPECT_INT(
            sscanf(strrchr(rig_do(&t.ahead, "get k to=l count"), 't') + 1, "%u",
                   &live),
            1);
        EXPECT_INT(told, live);
        rig_unwatch(&t.ahead, &w);
        end(&t);
    }
}
