/* Puts, gets and deletes: etcd's revision rules (etcd-surface 1.4). */

#include "rig.h"

/* The first write is revision 2: an empty store is at 1.  A put keeps
 * create_revision and counts versions; a delete ends the life. */
TEST(kv, revisions_count_from_one_and_lives_begin_anew)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(store_revision(r.store), 1);
    EXPECT_TEXT(rig_do(&r, "put a 1"), "r2 put");
    EXPECT_TEXT(rig_do(&r, "put a 2"), "r3 put");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=2 c2 m3 v2; count 1");
    EXPECT_TEXT(rig_do(&r, "del a"), "r4 deleted 1");
    EXPECT_TEXT(rig_do(&r, "get a"), "count 0");
    EXPECT_TEXT(rig_do(&r, "put a 3"), "r5 put");
    EXPECT_TEXT(rig_do(&r, "get a"), "a=3 c5 m5 v1; count 1");
    rig_end(&r);
}

/* A delete that finds nothing must not move the revision: watchers and
 * compactions count on revisions being changes. */
TEST(kv, deleting_nothing_is_no_revision)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_TEXT(rig_do(&r, "put a 1"), "r2 put");
    EXPECT_TEXT(rig_do(&r, "del b"), "r2 deleted 0");
    EXPECT_TEXT(rig_do(&r, "del b to=*"), "r2 deleted 0");
    EXPECT_INT(store_applied_index(r.store), 3);
    rig_end(&r);
}

/* Old revisions are answered as they were, from memory and from LMDB, and
 * when the versions of one key are spread over both. */
TEST(kv, old_revisions_read_the_same_from_memory_and_disk)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1"); /* 2 */
    (void)rig_do(&r, "put b 1"); /* 3 */
    (void)rig_do(&r, "put a 2"); /* 4 */
    for (int flushed = 0; flushed < 2; flushed++) {
        EXPECT_TEXT(rig_do(&r, "get a to=* rev=2"), "a=1 c2 m2 v1; count 1");
        EXPECT_TEXT(rig_do(&r, "get a to=* rev=3"),
                    "a=1 c2 m2 v1; b=1 c3 m3 v1; count 2");
        EXPECT_TEXT(rig_do(&r, "get a to=* rev=4"),
                    "a=2 c2 m4 v2; b=1 c3 m3 v1; count 2");
        EXPECT_TEXT(rig_do(&r, "get a rev=5"), "FUTURE_REVISION");
        rig_flush(&r);
    }
    (void)rig_do(&r, "del a");   /* 5 */
    (void)rig_do(&r, "put b 2"); /* 6 */
    for (int flushed = 0; flushed < 2; flushed++) {
        EXPECT_TEXT(rig_do(&r, "get a to=*"), "b=2 c3 m6 v2; count 1");
        EXPECT_TEXT(rig_do(&r, "get a to=* rev=4"),
                    "a=2 c2 m4 v2; b=1 c3 m3 v1; count 2");
        EXPECT_TEXT(rig_do(&r, "get a rev=5"), "count 0");
        EXPECT_TEXT(rig_do(&r, "get a rev=2"), "a=1 c2 m2 v1; count 1");
        rig_flush(&r);
    }
    rig_end(&r);
}
