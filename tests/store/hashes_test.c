/* Hashes over a view: etcd's own answers, and equal states however they came
 * about. */

#include "rig.h"
#include "store/hash_internal.h"

#include "base/must.h"
#include "base/prng.h"

/* The hash as text, or why there is none. */
static const char *hash(struct rig *r, enum store_hash_kind kind,
                        int64_t revision, size_t kept_max)
{
    static char text[64];
    struct store_hasher *h;
    struct store_hash got = {0};
    enum status st =
        store_hasher_begin(r->store, kind, revision, &h, &r->fault);
    if (st == ST_OK) {
        h->kept_max = kept_max > 0 ? kept_max : h->kept_max;
        st = store_hasher_run(h, &got, &r->fault);
        store_hasher_free(h);
    }
    if (st == ST_OK) {
        (void)snprintf(text, sizeof text, "%u", got.hash);
    } else {
        (void)snprintf(text, sizeof text, "%s", status_name(st));
    }
    return text;
}

static const char *kv(struct rig *r, int64_t revision)
{
    rig_settle(r);
    return hash(r, STORE_HASH_KV, revision, 0);
}

/* These numbers are what etcd 3.4.23 answered ("endpoint hashkv --rev") after
 * the same requests. */
TEST(hashes, hash_kv_is_etcds)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a 1");
    (void)rig_do(&r, "put b 22");
    (void)rig_do(&r, "put a 333");
    const struct kv_op ops[] = {
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("c"), .value = bytes_of("4")}},
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("d"), .value = bytes_of("5")}},
        {.type = KV_OP_DELETE_RANGE, .delete_range.keys.key = bytes_of("b")},
    };
    const struct kv_txn_spec txn = {.success = ops, .success_count = 3};
    EXPECT_INT(rig_txn(&r, &txn), ST_OK);
    (void)rig_do(&r, "del d");
    EXPECT_TEXT(kv(&r, 2), "2587454935");
    EXPECT_TEXT(kv(&r, 3), "2627027711");
    EXPECT_TEXT(kv(&r, 4), "734767682");
    EXPECT_TEXT(kv(&r, 5), "777400579");
    EXPECT_TEXT(kv(&r, 6), "4110445857");
    EXPECT_TEXT(kv(&r, 0), "4110445857");
    EXPECT_TEXT(kv(&r, 7), "FUTURE_REVISION");
    (void)rig_do(&r, "compact 4");
    for (int swept = 0; swept < 2; swept++) {
        rig_flush(&r);
        EXPECT_TEXT(hash(&r, STORE_HASH_KV, 5, 0), "3160993373");
        EXPECT_TEXT(hash(&r, STORE_HASH_KV, 6, 0), "2304765066");
        EXPECT_TEXT(kv(&r, 3), "COMPACTED");
    }
    (void)rig_do(&r, "compact 5");
    (void)rig_do(&r, "put e 6");
    EXPECT_TEXT(kv(&r, 6), "772435063");
    EXPECT_TEXT(kv(&r, 7), "4084136664");
    rig_end(&r);
}

/* Random changes; flushed and swept now and then when `lazy` is false. */
static void fill(struct rig *r, uint64_t seed, bool lazy)
{
    struct prng prng;
    prng_init(&prng, seed);
    for (int i = 0; i < 400; i++) {
        const unsigned key = (unsigned)prng_below(&prng, 60);
        switch (prng_below(&prng, 10)) {
        case 0:
        case 1:
            (void)rig_do(r, "del k%u", key);
            break;
        case 2:
            (void)rig_do(r, "move k%u/x m%u", key, key);
            break;
        default:
            (void)rig_do(r, "put k%u%s %d", key, key % 3 == 0 ? "/x" : "", i);
        }
        if (i % 97 == 96) {
            (void)rig_do(r, "compact %lld",
                         (long long)store_revision(r->store) - 20);
        }
        if (!lazy && i % 13 == 0) {
            rig_deliver(r);
            rig_flush(r);
        }
    }
    rig_flush(r);
}

/* Members flush and sweep at moments of their own: if that showed in the hash,
 * healthy members would stop each other. */
TEST(hashes, equal_states_have_equal_hashes_however_flushed)
{
    struct rig a, b;
    const uint64_t seed = test_seed();
    rig_begin(&a);
    fill(&a, seed, false);
    rig_begin(&b);
    fill(&b, seed, true);
    const int64_t compacted = store_compact_revision(a.store);
    const int64_t newest = store_revision(a.store);
    EXPECT(compacted > 100 && newest > compacted);
    for (int64_t revision = compacted; revision <= newest; revision++) {
        for (int kind = STORE_HASH_KV; kind <= STORE_HASH_ALL; kind++) {
            char one[64];
            (void)snprintf(one, sizeof one, "%s",
                           hash(&a, (enum store_hash_kind)kind, revision, 0));
            EXPECT_TEXT(hash(&b, (enum store_hash_kind)kind, revision, 0), one);
        }
    }
    rig_end(&a);
    rig_end(&b);
}

/* Many keys are sorted in passes of bounded memory: the passes must not show.
 */
TEST(hashes, passes_do_not_show)
{
    struct rig r;
    rig_begin(&r);
    fill(&r, test_seed(), false);
    (void)rig_do(&r, "compact %lld", (long long)store_revision(r.store) - 2);
    rig_settle(&r);
    const int64_t newest = store_revision(r.store);
    char whole[64];
    (void)snprintf(whole, sizeof whole, "%s",
                   hash(&r, STORE_HASH_KV, newest, 0));
    for (size_t kept_max = 2; kept_max < 12; kept_max++) {
        EXPECT_TEXT(hash(&r, STORE_HASH_KV, newest, kept_max), whole);
    }
    rig_end(&r);
}

/* What differs in anything that is kept must be found out. */
TEST(hashes, a_state_that_differs_has_another_hash)
{
    static const char *const changes[] = {"put k1 other", "put k1 1 lease=5",
                                          "put k1 1 attrs=x", "del k1",
                                          "put k2 1"};
    char before[64];
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put k1 1");
    rig_flush(&r);
    (void)snprintf(before, sizeof before, "%s",
                   hash(&r, STORE_HASH_STATE, 0, 0));
    rig_end(&r);
    for (size_t i = 0; i < count_of(changes); i++) {
        rig_begin(&r);
        r.time_ns += 1;
        (void)rig_do(&r, "%s", changes[i]);
        rig_flush(&r);
        EXPECT(strcmp(hash(&r, STORE_HASH_STATE, 0, 0), before) != 0);
        rig_end(&r);
    }
}

/* A view is of its moment, whatever is written and swept meanwhile; and a hash
 * that nobody wants ends. */
TEST(hashes, a_hasher_sees_its_moment_and_can_be_stopped)
{
    struct rig r;
    struct store_hasher *h, *stopped;
    struct store_hash got;
    rig_begin(&r);
    fill(&r, 1, false);
    const int64_t revision = store_revision(r.store);
    char before[64];
    (void)snprintf(before, sizeof before, "%s", hash(&r, STORE_HASH_KV, 0, 0));
    EXPECT_INT(store_hasher_begin(r.store, STORE_HASH_KV, 0, &h, &r.fault),
               ST_OK);
    EXPECT_INT(
        store_hasher_begin(r.store, STORE_HASH_KV, 0, &stopped, &r.fault),
        ST_OK);
    fill(&r, 2, false);
    rig_settle(&r);
    EXPECT_INT(store_hasher_run(h, &got, &r.fault), ST_OK);
    char after[64];
    (void)snprintf(after, sizeof after, "%u", got.hash);
    EXPECT_TEXT(after, before);
    EXPECT_INT(got.revision, revision);
    store_hasher_free(h);
    store_hasher_stop(stopped);
    EXPECT_INT(store_hasher_run(stopped, &got, &r.fault), ST_CANCELED);
    store_hasher_free(stopped);
    rig_end(&r);
}
