/* Ranges: limit, count, filters, sorting (etcd-surface 1.4), and listings. */

#include "rig.h"
#include "store/internal.h"

static void three_keys(struct rig *r)
{
    rig_begin(r);
    (void)rig_do(r, "put a 3");  /* 2 */
    (void)rig_do(r, "put b 1");  /* 3 */
    (void)rig_do(r, "put c 2");  /* 4 */
    (void)rig_do(r, "put a 33"); /* 5 */
}

/* `count` is of the whole range, whatever the limit: clients page by it. */
TEST(range, count_ignores_the_limit)
{
    struct rig r;
    three_keys(&r);
    EXPECT_TEXT(rig_do(&r, "get a to=* limit=2"),
                "a=33 c2 m5 v2; b=1 c3 m3 v1; count 3 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* limit=3 keys"),
                "a= c2 m5 v2; b= c3 m3 v1; c= c4 m4 v1; count 3");
    EXPECT_TEXT(rig_do(&r, "get a to=* count"), "count 3");
    rig_end(&r);
}

/* What lies behind a range is not walked over, although none of it was there at
 * the revision: with a million younger keys that held the loop for seconds. */
static void expect_stops_at(struct rig *r, int64_t revision, const char *wanted)
{
    struct arena arena = {0};
    struct merge m = {0};
    struct fault fault;
    struct bytes key;
    struct version v;
    bool found;
    EXPECT_INT(merge_open(&m, r->store, revision, &arena, &fault), ST_OK);
    m.end = bytes_of("b");
    EXPECT_INT(merge_seek(&m, bytes_of("a"), &fault), ST_OK);
    EXPECT_INT(merge_next(&m, &found, &key, &v, &fault), ST_OK);
    EXPECT(found && bytes_equal(key, bytes_of("a")));
    EXPECT_INT(merge_next(&m, &found, &key, &v, &fault), ST_OK);
    EXPECT(!found);
    EXPECT(merge_least_key(&m, &key));
    EXPECT(bytes_equal(key, bytes_of(wanted)));
    merge_close(&m);
    arena_fini(&arena);
}

TEST(range, nothing_behind_it_is_looked_at)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");  /* 2 */
    (void)rig_do(&r, "put b0 1"); /* 3: not yet there, in memory */
    (void)rig_do(&r, "put b1 1");
    expect_stops_at(&r, 2, "b0");
    rig_flush(&r); /* on disk */
    expect_stops_at(&r, 2, "b0");
    (void)rig_do(&r, "put b0 2"); /* in history */
    (void)rig_do(&r, "del b1");   /* and deleted: at the newest revision, too */
    (void)rig_do(&r, "del b0");
    expect_stops_at(&r, 2, "b0");
    expect_stops_at(&r, 7, "b0");
    rig_flush(&r);
    expect_stops_at(&r, 2, "b0");
    EXPECT_TEXT(rig_do(&r, "get a to=b rev=2"), "a=1 c2 m2 v1; count 1");
    rig_end(&r);
}

/* The range_end convention: half open; an end at or before the key is empty;
 * "\0" is everything from the key on. */
TEST(range, ends_are_as_etcd_has_them)
{
    struct rig r;
    three_keys(&r);
    EXPECT_TEXT(rig_do(&r, "get a to=c count"), "count 2");
    EXPECT_TEXT(rig_do(&r, "get b to=b count"), "count 0");
    EXPECT_TEXT(rig_do(&r, "get b to=a count"), "count 0");
    EXPECT_TEXT(rig_do(&r, "get b to=* count"), "count 2");
    EXPECT_TEXT(rig_do(&r, "get ''"), "EMPTY_KEY");
    rig_end(&r);
}

/* With filters everything is fetched, filtered, cut; count stays that of the
 * range. */
TEST(range, filters_come_before_the_limit_and_after_the_count)
{
    struct rig r;
    three_keys(&r);
    EXPECT_TEXT(rig_do(&r, "get a to=* minmod=4"),
                "a=33 c2 m5 v2; c=2 c4 m4 v1; count 3");
    EXPECT_TEXT(rig_do(&r, "get a to=* minmod=4 limit=1"),
                "a=33 c2 m5 v2; count 3 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* maxmod=4 maxcreate=3"),
                "b=1 c3 m3 v1; count 3");
    EXPECT_TEXT(rig_do(&r, "get a to=* mincreate=3 keys"),
                "b= c3 m3 v1; c= c4 m4 v1; count 3");
    rig_end(&r);
}

/* The cut comes after the sort; keys_only sorts by values it does not return.
 * A target without an order ascends, but only what the limit and one more let
 * through: etcd fetches all only when an order is asked for. */
TEST(range, sorting_comes_before_the_limit)
{
    struct rig r;
    three_keys(&r);
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=value asc limit=2"),
                "b=1 c3 m3 v1; c=2 c4 m4 v1; count 3 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=mod desc limit=1 keys"),
                "a= c2 m5 v2; count 3 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=key desc keys"),
                "c= c4 m4 v1; b= c3 m3 v1; a= c2 m5 v2; count 3");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=value asc keys limit=1"),
                "b= c3 m3 v1; count 3 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=value keys"),
                "b= c3 m3 v1; c= c4 m4 v1; a= c2 m5 v2; count 3");
    (void)rig_do(&r, "put d 0"); /* 6 */
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=value limit=2"),
                "b=1 c3 m3 v1; c=2 c4 m4 v1; count 4 more");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=value limit=1"),
                "b=1 c3 m3 v1; count 4 more");
    (void)rig_do(&r, "del d");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=version desc keys"),
                "a= c2 m5 v2; b= c3 m3 v1; c= c4 m4 v1; count 3");
    EXPECT_TEXT(rig_do(&r, "get a to=* sort=nonsense"), "INVALID");
    rig_end(&r);
}

/* A listing shows files and one item for each directory, however much lies
 * below; `count` is of the items. */
TEST(range, groups_stand_for_what_is_below)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put /a 1");
    (void)rig_do(&r, "put /b/x 1");
    (void)rig_do(&r, "put /b/y/z 1");
    (void)rig_do(&r, "put /c/ ''");
    (void)rig_do(&r, "put /d 1");
    for (int flushed = 0; flushed < 2; flushed++) {
        EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 keys"),
                    "/a= c2 m2 v1; /b/ group; /c/ group; /d= c6 m6 v1; count "
                    "4");
        EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 limit=2 keys"),
                    "/a= c2 m2 v1; /b/ group; count 4 more");
        EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 limit=2 keys bounded"),
                    "/a= c2 m2 v1; /b/ group; count 3 more");
        EXPECT_TEXT(rig_do(&r, "get /b/ to=+ group=3 keys"),
                    "/b/x= c3 m3 v1; /b/y/ group; count 2");
        EXPECT_TEXT(rig_do(&r, "get /c/ to=+ group=3 keys"),
                    "/c/= c5 m5 v1; count 1");
        EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 rev=3 keys"),
                    "/a= c2 m2 v1; /b/ group; count 2");
        EXPECT_TEXT(rig_do(&r, "get / to=+ group=1 sort=mod"), "INVALID");
        rig_flush(&r);
    }
    rig_end(&r);
}

/* A directory that lies partly in the range is listed when something of that
 * part is live, and only then. */
TEST(range, groups_at_the_edges_of_a_range)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put d/b 1");
    (void)rig_do(&r, "put d/y 1");
    (void)rig_do(&r, "put e/x 1");
    for (int flushed = 0; flushed < 2; flushed++) {
        EXPECT_TEXT(rig_do(&r, "get d/c to=z group=0"),
                    "d/ group; e/ group; count 2");
        EXPECT_TEXT(rig_do(&r, "get d/z to=z group=0"), "e/ group; count 1");
        EXPECT_TEXT(rig_do(&r, "get a to=d/a group=0"), "count 0");
        EXPECT_TEXT(rig_do(&r, "get a to=d/c group=0"), "d/ group; count 1");
        rig_flush(&r);
    }
    /* Deleted, but still in LMDB below. */
    (void)rig_do(&r, "put d/s/t 1");
    rig_flush(&r);
    (void)rig_do(&r, "del d/y");
    EXPECT_TEXT(rig_do(&r, "get d/t to=z group=0"), "e/ group; count 1");
    (void)rig_do(&r, "del d/b");
    EXPECT_TEXT(rig_do(&r, "get a to=d/c group=0"), "count 0");
    rig_end(&r);
}

/* stat needs no value: its size is there with keys_only. */
TEST(range, sizes_come_without_values)
{
    struct rig r;
    struct kv_range_result got;
    rig_begin(&r);
    (void)rig_do(&r, "put a 12345");
    const struct kv_range_spec spec = {.keys = {.key = bytes_of("a")},
                                       .keys_only = true};
    for (int flushed = 0; flushed < 2; flushed++) {
        EXPECT_INT(store_range(r.store, &spec, r.results, &got, &r.fault),
                   ST_OK);
        EXPECT_INT(got.items_count, 1);
        EXPECT_INT(got.items[0].value.size, 0);
        EXPECT_INT(got.items[0].value_size, 5);
        rig_flush(&r);
    }
    rig_end(&r);
}
