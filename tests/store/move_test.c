/* Moves and the index of directories (kv/types.h; store/README.md). */

#include <stdlib.h>

#include "rig.h"

static struct kv_item item_at(struct rig *r, const char *key)
{
    struct kv_range_result got;
    const struct kv_range_spec spec = {.keys = {.key = bytes_of(key)}};
    EXPECT_INT(store_range(r->store, &spec, r->results, &got, &r->fault),
               ST_OK);
    EXPECT_INT(got.items_count, 1);
    return got.items[0];
}

static struct kv_item group_at(struct rig *r, const char *name)
{
    struct kv_range_result got;
    char end[64];
    (void)snprintf(end, sizeof end, "%s", name);
    end[strlen(end) - 1]++;
    const struct kv_range_spec spec = {.keys = {bytes_of(name), bytes_of(end)},
                                       .grouped = true,
                                       .group_from =
                                           (uint32_t)strlen(name) - 1};
    EXPECT_INT(store_range(r->store, &spec, r->results, &got, &r->fault),
               ST_OK);
    EXPECT_INT(got.items_count, 1);
    EXPECT(got.items[0].group);
    return got.items[0];
}

/* A rename is one revision; value, lease, attributes and identity go along,
 * the new name begins a life of its own in etcd's terms. */
TEST(move, a_key_takes_everything_along)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    (void)rig_do(&r, "grant 9 10");
    (void)rig_do(&r, "put a 1 lease=9 attrs=x");
    rig_flush(&r);
    const uint64_t ino = item_at(&r, "a").ino;
    rig_watch(&r, &w, "a", "z", 0, true);
    EXPECT_TEXT(rig_do(&r, "move a b"), "r3 moved 1");
    EXPECT_TEXT(rig_do(&r, "get a to=z"), "b=1 c3 m3 v1 l9 attrs=x; count 1");
    EXPECT_INT(item_at(&r, "b").ino, ino);
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "3 put b=1 from a\n3 del a was 1 to b\n--\n");
    EXPECT_TEXT(rig_do(&r, "lease 9"), "ttl 10 deadline 0 keys b");
    EXPECT_TEXT(rig_do(&r, "move none b"), "r3 moved 0");
    EXPECT_TEXT(rig_do(&r, "move b b"), "r3 moved 0");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* Atomic writers rename a temporary file over a key: with keep_target the key's
 * lease and life go on, unless the source has a lease of its own. */
TEST(move, keep_target_is_a_change_of_value)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 7 10");
    (void)rig_do(&r, "grant 8 10");
    (void)rig_do(&r, "put f old lease=7"); /* 2 */
    const uint64_t ino = item_at(&r, "f").ino;
    (void)rig_do(&r, "put tmp new"); /* 3 */
    EXPECT_TEXT(rig_do(&r, "move tmp f keep"), "r4 moved 1");
    EXPECT_TEXT(rig_do(&r, "get f to=z"), "f=new c2 m4 v2 l7; count 1");
    EXPECT_INT(item_at(&r, "f").ino, ino);
    (void)rig_do(&r, "put tmp leased lease=8"); /* 5 */
    const uint64_t other = item_at(&r, "tmp").ino;
    EXPECT_TEXT(rig_do(&r, "move tmp f keep"), "r6 moved 1");
    EXPECT_TEXT(rig_do(&r, "get f to=z"), "f=leased c6 m6 v1 l8; count 1");
    EXPECT_INT(item_at(&r, "f").ino, other);
    EXPECT_TEXT(rig_do(&r, "lease 7"), "ttl 10 deadline 0 keys");
    EXPECT_TEXT(rig_do(&r, "lease 8"), "ttl 10 deadline 0 keys f");
    (void)rig_do(&r, "put tmp plain"); /* 7 */
    EXPECT_TEXT(rig_do(&r, "move tmp f"), "r8 moved 1");
    EXPECT_TEXT(rig_do(&r, "get f to=z"), "f=plain c8 m8 v1; count 1");
    EXPECT_TEXT(rig_do(&r, "lease 8"), "ttl 10 deadline 0 keys");
    rig_end(&r);
}

TEST(move, an_exchange_needs_both_and_swaps_them)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "grant 1 10");
    (void)rig_do(&r, "put a 1 lease=1"); /* 2 */
    EXPECT_TEXT(rig_do(&r, "move a b exchange"), "KEY_NOT_FOUND");
    EXPECT_TEXT(rig_do(&r, "move b a exchange"), "KEY_NOT_FOUND");
    (void)rig_do(&r, "put b 2"); /* 3 */
    const uint64_t a = item_at(&r, "a").ino;
    const uint64_t b = item_at(&r, "b").ino;
    EXPECT_TEXT(rig_do(&r, "move a b exchange"), "r4 moved 2");
    EXPECT_TEXT(rig_do(&r, "get a to=c"),
                "a=2 c4 m4 v1; b=1 c4 m4 v1 l1; count 2");
    EXPECT_TEXT(rig_do(&r, "lease 1"), "ttl 10 deadline 0 keys b");
    EXPECT_INT(item_at(&r, "a").ino, b);
    EXPECT_INT(item_at(&r, "b").ino, a);
    rig_end(&r);
}

/* A directory moves whole, in one revision, over what is there; its identity
 * and its children's stay. */
TEST(move, a_prefix_moves_whole)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put d/x 1");
    (void)rig_do(&r, "put d/s/y 2");
    (void)rig_do(&r, "put d0 3");
    (void)rig_do(&r, "put e/x old");
    rig_flush(&r);
    const uint64_t sub = group_at(&r, "d/s/").ino;
    EXPECT_TEXT(rig_do(&r, "move d/ e/ prefix"), "r6 moved 2");
    EXPECT_TEXT(rig_do(&r, "get a to=* keys"),
                "d0= c4 m4 v1; e/s/y= c6 m6 v1; e/x= c6 m6 v1; count 3");
    EXPECT_INT(group_at(&r, "e/s/").ino, sub);
    EXPECT_TEXT(rig_do(&r, "move e/ e/x/ prefix"), "INVALID");
    EXPECT_TEXT(rig_do(&r, "move e/s/ e/ prefix"), "INVALID");
    rig_end(&r);
}

/* A subtree too large for one transaction is refused whole: mv then copies. */
TEST(move, a_prefix_has_a_limit)
{
    struct rig r;
    rig_begin(&r);
    for (int i = 0; i < KV_MOVE_KEYS_MAX; i++) {
        (void)rig_do(&r, "put d/%d v", i);
    }
    (void)rig_do(&r, "put d/one-more v");
    const int64_t before = store_revision(r.store);
    EXPECT_TEXT(rig_do(&r, "move d/ e/ prefix"), "TOO_MANY_OPS");
    EXPECT_INT(store_revision(r.store), before);
    (void)rig_do(&r, "del d/one-more");
    EXPECT_TEXT(rig_do(&r, "get d/ to=+ count"), "count 4096");
    (void)rig_do(&r, "move d/ e/ prefix");
    EXPECT_TEXT(rig_do(&r, "get e/ to=+ count"), "count 4096");
    EXPECT_TEXT(rig_do(&r, "get d/ to=+ count"), "count 0");
    rig_end(&r);
}

/* The index: identity from the first key to the last, time with every change
 * of the set of entries, and only then. */
TEST(groups, time_moves_with_entries_and_identity_lasts_a_life)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put d/a 1");
    const struct kv_item first = group_at(&r, "d/");
    EXPECT(first.ino >= 2);
    (void)rig_do(&r, "put d/a 2"); /* a value is no entry */
    EXPECT_INT(group_at(&r, "d/").mtime_ns, first.mtime_ns);
    rig_flush(&r);
    (void)rig_do(&r, "put d/b 1");
    const struct kv_item second = group_at(&r, "d/");
    EXPECT_INT(second.ino, first.ino);
    EXPECT(second.mtime_ns > first.mtime_ns);
    (void)rig_do(&r, "put d/s/x 1"); /* a new directory is an entry */
    const struct kv_item third = group_at(&r, "d/");
    EXPECT(third.mtime_ns > second.mtime_ns);
    (void)rig_do(&r, "put d/s/y 1"); /* what is in it is not */
    EXPECT_INT(group_at(&r, "d/").mtime_ns, third.mtime_ns);
    (void)rig_do(&r, "move d/b d/a"); /* renamed over */
    EXPECT(group_at(&r, "d/").mtime_ns > third.mtime_ns);
    (void)rig_do(&r, "put e/b 1");
    const struct kv_item fourth = group_at(&r, "d/");
    (void)rig_do(&r, "move e/b d/a"); /* from elsewhere, over an entry */
    EXPECT(group_at(&r, "d/").mtime_ns > fourth.mtime_ns);
    (void)rig_do(&r, "put d/ ''"); /* mkdir of what is there already */
    EXPECT_INT(group_at(&r, "d/").ino, first.ino);
    EXPECT_INT(item_at(&r, "d/").ino, first.ino);
    (void)rig_do(&r, "del d/ to=+");
    (void)rig_do(&r, "put d/a 1");
    EXPECT(group_at(&r, "d/").ino > first.ino);
    rig_end(&r);
}

/* Watchers learn which directories came and went with an event. */
TEST(groups, events_say_how_many_directories_changed)
{
    struct rig r;
    struct rig_watch w;
    rig_begin(&r);
    rig_watch(&r, &w, "", "*", 0, false);
    (void)rig_do(&r, "put /a/b/c 1"); /* /, /a/, /a/b/ */
    (void)rig_do(&r, "put /a/d 1");   /* none */
    (void)rig_do(&r, "put /a/b/ ''"); /* a marker of what is there */
    (void)rig_do(&r, "del /a/b/c");   /* the marker holds it */
    (void)rig_do(&r, "del /a/b/");    /* /a/b/ */
    (void)rig_do(&r, "put /a/d 2 attrs=x");
    (void)rig_do(&r, "put /a/d '' iv attrs=y");
    (void)rig_do(&r, "move /a/d /e/d"); /* /e/; then /a/ */
    rig_deliver(&r);
    EXPECT_TEXT(rig_heard(&w), "2 put /a/b/c=1 groups=3\n"
                               "3 put /a/d=1\n"
                               "4 put /a/b/=\n"
                               "5 del /a/b/c\n"
                               "6 del /a/b/ groups=1\n"
                               "7 put /a/d=2\n"
                               "8 put /a/d=2 attrs-only\n"
                               "9 put /e/d=2 from /a/d groups=1\n"
                               "9 del /a/d to /e/d groups=1\n--\n");
    rig_unwatch(&r, &w);
    rig_end(&r);
}

/* Two changes of one key never show the same time, whatever the clocks of those
 * who proposed them: pollers compare nothing else. */
TEST(groups, times_of_a_key_grow_even_when_clocks_go_back)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    const int64_t first = item_at(&r, "a").mtime_ns;
    r.time_ns = 5;
    (void)rig_do(&r, "put a 2");
    EXPECT_INT(item_at(&r, "a").mtime_ns, first + 1);
    rig_end(&r);
}

/* Identity numbers: from 2 on, none twice, another one for another life. */
TEST(groups, identities_are_never_reused)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put b 1");
    const uint64_t a = item_at(&r, "a").ino;
    const uint64_t b = item_at(&r, "b").ino;
    EXPECT_INT(a, 2);
    EXPECT_INT(b, 3);
    (void)rig_do(&r, "del a");
    rig_flush(&r);
    rig_restart(&r);
    (void)rig_do(&r, "put a 1");
    EXPECT_INT(item_at(&r, "a").ino, 4);
    EXPECT_INT(item_at(&r, "b").ino, b);
    rig_end(&r);
}

/* A key made of slashes must not cost memory in the square of its length. */
TEST(groups, deep_keys_are_indexed_to_a_bound)
{
    struct rig r;
    rig_begin(&r);
    uint8_t *key = malloc(100000);
    memset(key, '/', 100000);
    const struct kv_op put = {.type = KV_OP_PUT, .put = {.key = {key, 100000}}};
    const struct kv_op del = {.type = KV_OP_DELETE_RANGE,
                              .delete_range = {.keys = {{key, 100000}, {0}}}};
    EXPECT_INT(rig_op(&r, &put), ST_OK);
    struct store_stats stats;
    store_stats(r.store, &stats);
    EXPECT(stats.memtable_bytes < 4 << 20);
    rig_flush(&r);
    EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 keys"), "// group; count 1");
    EXPECT_INT(rig_op(&r, &del), ST_OK);
    EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 keys"), "count 0");
    free(key);
    rig_end(&r);
}
