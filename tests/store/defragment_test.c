/* Defragmentation: a smaller file, the same state, whatever happens meanwhile.
 */

#include "store/defragment.h"

#include <sys/stat.h>

#include "base/must.h"
#include "base/prng.h"
#include "rig.h"
#include "store/internal.h"
#include "store/transfer.h"

/* Much is written and deleted again, so that the file is mostly free pages. */
static void make_holes(struct rig *r)
{
    char value[3000];
    memset(value, 'v', sizeof value);
    for (int i = 0; i < 600; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "dir/k%03d", i);
        const struct kv_op put = {
            .type = KV_OP_PUT,
            .put = {.key = bytes_of(key),
                    .value = {(const uint8_t *)value, sizeof value}}};
        EXPECT_INT(rig_op(r, &put), ST_OK);
    }
    rig_flush(r);
    EXPECT_TEXT(rig_do(r, "del dir/k1 to=dir/k6"), "r602 deleted 500");
    (void)rig_do(r, "compact %lld", (long long)store_revision(r->store));
    rig_deliver(r);
    rig_settle(r);
}

static uint64_t size_of(struct rig *r)
{
    struct store_stats s;
    store_stats(r->store, &s);
    return s.size_bytes;
}

static struct store_defragment *begin(struct rig *r)
{
    struct store_defragment *d;
    EXPECT_INT(store_defragment_begin(r->store, &d, &r->fault), ST_OK);
    return d;
}

static void follow(struct rig *r, struct store_defragment *d)
{
    while (store_defragment_take(d)) {
        if (store_defragment_follow(d, &r->fault) != ST_OK) {
            fail_msg("follow: %s", r->fault.text);
        }
    }
}

static void change(struct rig *r, struct prng *prng, int count)
{
    for (int i = 0; i < count; i++) {
        const unsigned key = (unsigned)prng_below(prng, 40);
        switch (prng_below(prng, 6)) {
        case 0:
            (void)rig_do(r, "del dir/k%03u", key);
            break;
        case 1:
            (void)rig_do(r, "move dir/k%03u other/%03u", key, key);
            break;
        default:
            (void)rig_do(r, "put dir/k%03u %d", key, i);
        }
    }
    (void)rig_do(r, "compact %lld", (long long)store_revision(r->store) - 5);
    rig_deliver(r);
}

/* Space must come back, and nothing else may change: not what is read, not what
 * is flushed during the copy, not what is only in memory, not after a restart.
 */
TEST(defragment, the_file_shrinks_and_the_state_stays)
{
    struct rig r;
    struct prng prng;
    prng_init(&prng, test_seed());
    rig_begin(&r);
    make_holes(&r);
    const uint64_t before = size_of(&r);
    struct store_defragment *d = begin(&r);
    change(&r, &prng, 100);
    rig_flush(&r); /* during the copy */
    EXPECT_INT(store_defragment_copy(d, &r.fault), ST_OK);
    change(&r, &prng, 100);
    rig_flush(&r); /* after it */
    EXPECT(!store_defragment_is_ready(d));
    follow(&r, d);
    change(&r, &prng, 50); /* in memory at the switch */
    const uint32_t hash = rig_hash(&r);
    EXPECT(store_defragment_is_ready(d));
    EXPECT_INT(store_defragment_switch(d, &r.fault), ST_OK);
    store_defragment_free(d);
    EXPECT(size_of(&r) < before / 2);
    EXPECT_INT(rig_hash(&r), hash);
    change(&r, &prng, 50);
    const uint32_t later = rig_hash(&r);
    rig_settle(&r);
    EXPECT_INT(rig_hash(&r), later);
    rig_restart(&r);
    EXPECT_INT(rig_hash(&r), later);
    rig_end(&r);
}

/* A crash before the switch leaves the old file, which has everything. */
TEST(defragment, a_crash_before_the_switch_changes_nothing)
{
    for (int moment = 0; moment < 3; moment++) {
        struct rig r;
        struct prng prng;
        struct stat file;
        char path[600];
        prng_init(&prng, test_seed());
        rig_begin(&r);
        make_holes(&r);
        struct store_defragment *d = begin(&r);
        change(&r, &prng, 30);
        if (moment > 0) {
            EXPECT_INT(store_defragment_copy(d, &r.fault), ST_OK);
        }
        rig_flush(&r);
        if (moment > 1) {
            follow(&r, d);
        }
        const uint32_t hash = rig_hash(&r);
        store_defragment_free(d);
        (void)snprintf(path, sizeof path, "%s/defragment", r.path);
        EXPECT_INT(mkdir(path, 0700), 0); /* as a crash leaves it */
        EXPECT_INT(store_import_discard(r.path, &r.fault), ST_OK);
        EXPECT(stat(path, &file) != 0);
        rig_restart(&r);
        EXPECT_INT(rig_hash(&r), hash);
        rig_end(&r);
    }
}

/* Somebody's view of the old file must not lose it; and a flush that is under
 * way is not left out. */
TEST(defragment, the_switch_waits_for_views_and_flushes)
{
    struct rig r;
    struct store_export *view;
    struct store_defragment *other;
    rig_begin(&r);
    make_holes(&r);
    (void)rig_do(&r, "put a 1");
    struct store_flush *f = store_flush_begin(r.store);
    EXPECT_INT(store_defragment_begin(r.store, &other, &r.fault), ST_BUSY);
    EXPECT_INT(store_flush_run(f, &r.fault), ST_OK);
    EXPECT_INT(store_flush_end(r.store, f, &r.fault), ST_OK);
    struct store_defragment *d = begin(&r);
    EXPECT_INT(store_defragment_begin(r.store, &other, &r.fault), ST_BUSY);
    EXPECT(!store_defragment_is_ready(d));
    EXPECT_INT(store_defragment_copy(d, &r.fault), ST_OK);
    EXPECT(store_defragment_is_ready(d));
    EXPECT_INT(store_export_begin(r.store, 1000, &view, &r.fault), ST_OK);
    EXPECT(!store_defragment_is_ready(d));
    store_export_free(view);
    (void)rig_do(&r, "put a 2");
    f = store_flush_begin(r.store);
    EXPECT(!store_defragment_is_ready(d));
    EXPECT_INT(store_flush_run(f, &r.fault), ST_OK);
    EXPECT_INT(store_flush_end(r.store, f, &r.fault), ST_OK);
    EXPECT(!store_defragment_is_ready(d));
    follow(&r, d);
    EXPECT(store_defragment_is_ready(d));
    EXPECT_INT(store_defragment_switch(d, &r.fault), ST_OK);
    store_defragment_free(d);
    EXPECT_TEXT(rig_do(&r, "get a"), "a=2 c603 m604 v2; count 1");
    rig_end(&r);
}

/* Nobody waits for ever, and memory is bounded. */
TEST(defragment, it_can_be_stopped_and_outrun)
{
    struct rig r;
    rig_begin(&r);
    make_holes(&r);
    const uint32_t hash = rig_hash(&r);
    struct store_defragment *d = begin(&r);
    store_defragment_stop(d);
    EXPECT_INT(store_defragment_copy(d, &r.fault), ST_CANCELED);
    EXPECT(!store_defragment_is_ready(d));
    EXPECT(!store_defragment_is_outrun(d));
    store_defragment_free(d);
    EXPECT_INT(rig_hash(&r), hash);
    d = begin(&r);
    EXPECT_INT(store_defragment_copy(d, &r.fault), ST_OK);
    EXPECT_INT(store_defragment_switch(d, &r.fault), ST_OK);
    store_defragment_free(d);
    EXPECT_INT(rig_hash(&r), hash);
    rig_end(&r);
}

/* A damaged row must not be sealed into a new file. */
TEST(defragment, damage_is_found_and_not_carried_along)
{
    struct rig r;
    char path[600];
    rig_begin(&r);
    (void)rig_do(&r, "put marker SOMETHING-THAT-IS-EASY-TO-FIND");
    rig_settle(&r);
    (void)snprintf(path, sizeof path, "%s/data.mdb", r.path);
    FILE *f = fopen(path, "r+e");
    char bytes[65536];
    long at = -1;
    const size_t size = fread(bytes, 1, sizeof bytes, f);
    for (size_t i = 0; i + 10 < size; i++) {
        if (memcmp(bytes + i, "SOMETHING-", 10) == 0) {
            at = (long)i;
            EXPECT_INT(fseek(f, at, SEEK_SET), 0);
            EXPECT(fputc('X', f) != EOF);
        }
    }
    EXPECT_INT(fclose(f), 0);
    EXPECT(at > 0);
    struct store_defragment *d = begin(&r);
    EXPECT_INT(store_defragment_copy(d, &r.fault), ST_CORRUPT);
    store_defragment_free(d);
    rig_end(&r);
}
