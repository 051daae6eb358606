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

static void replace(struct two *t)
{
    struct store_watches *all = store_take_watches(t->behind.store);
    EXPECT_INT(store_watches_differ(all, t->behind.store, t->ahead.store,
                                    &t->ahead.fault),
               ST_OK);
    store_give_watches(t->ahead.store, all);
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
    EXPECT_TEXT(rig_heard(&all), "7 put new=1\n10 put changed=3\n"
                                 "10 del gone\n--\n11 put later=1\n--\n");
    EXPECT_TEXT(rig_heard(&one), "10 del gone\n--\n");
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
    EXPECT_TEXT(rig_text(&c.text), "/new/deep/a put 2\n"
                                   "/new/deep/b put 0\n"
                                   "/old/deep/a del 0\n"
                                   "/old/deep/b del 2\n");
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
