/* Keys beyond LMDB's limit and values up to the request's. */

#include <stdlib.h>

#include "base/must.h"
#include "rig.h"
#include "store/tree.h"

static enum status put(struct rig *r, struct bytes key, struct bytes value)
{
    const struct kv_op op = {.type = KV_OP_PUT,
                             .put = {.key = key, .value = value}};
    return rig_op(r, &op);
}

static int64_t count_of_range(struct rig *r, struct bytes from, struct bytes to)
{
    struct kv_range_result got;
    const struct kv_range_spec spec = {.keys = {from, to}, .keys_only = true};
    EXPECT_INT(store_range(r->store, &spec, r->results, &got, &r->fault),
               ST_OK);
    for (size_t i = 1; i < got.items_count; i++) {
        EXPECT(bytes_compare(got.items[i - 1].key, got.items[i].key) < 0);
    }
    return got.count;
}

/* Lengths on both sides of every limit, on disk: each is found, in order, and
 * its neighbours are not taken for it. */
TEST(size, keys_around_the_limit_of_lmdb)
{
    struct rig r;
    uint8_t key[700];
    memset(key, 'k', sizeof key);
    rig_begin(&r);
    for (size_t size = 470; size <= 600; size += 1) {
        EXPECT_INT(put(&r, (struct bytes){key, size}, bytes_of("v")), ST_OK);
        if (size % 7 == 0) {
            rig_flush(&r);
        }
    }
    rig_flush(&r);
    EXPECT_INT(count_of_range(&r, (struct bytes){key, 1}, bytes_of("l")), 131);
    EXPECT_INT(
        count_of_range(&r, (struct bytes){key, 500}, (struct bytes){key, 550}),
        50);
    for (size_t size = 470; size <= 600; size++) {
        const struct bytes k = {key, size};
        EXPECT_INT(count_of_range(&r, k, BYTES_NONE), 1);
        key[size] = 'a';
        EXPECT_INT(
            count_of_range(&r, (struct bytes){key, size + 1}, BYTES_NONE), 0);
        key[size] = 'k';
    }
    for (size_t size = 471; size <= 600; size += 2) {
        const struct kv_op del = {
            .type = KV_OP_DELETE_RANGE,
            .delete_range = {.keys = {.key = {key, size}}}};
        EXPECT_INT(rig_op(&r, &del), ST_OK);
    }
    rig_flush(&r);
    EXPECT_INT(count_of_range(&r, (struct bytes){key, 1}, bytes_of("l")), 66);
    const uint32_t hash = rig_hash(&r);
    rig_restart(&r);
    EXPECT_INT(rig_hash(&r), hash);
    rig_end(&r);
}

/* Insertions always at the same place use up the numbers between two long keys;
 * then the bucket is renumbered, and nothing is lost. */
TEST(size, long_keys_may_be_inserted_at_one_place_again_and_again)
{
    struct rig r;
    uint8_t key[700];
    memset(key, 'k', sizeof key);
    rig_begin(&r);
    key[600] = 'a';
    EXPECT_INT(put(&r, (struct bytes){key, 601}, bytes_of("v")), ST_OK);
    key[600] = 'z';
    EXPECT_INT(put(&r, (struct bytes){key, 601}, bytes_of("v")), ST_OK);
    rig_flush(&r);
    /* Each new key goes right behind "a", before all the others. */
    key[600] = 'b';
    for (unsigned i = 0; i < 90; i++) {
        const size_t size = 691 - i;
        memset(key + 601, 'a', size - 601);
        EXPECT_INT(put(&r, (struct bytes){key, size}, bytes_of("v")), ST_OK);
        rig_flush(&r);
    }
    EXPECT_INT(count_of_range(&r, (struct bytes){key, 1}, bytes_of("l")), 92);
    (void)rig_hash(&r); /* walks all rows, checks every link */
    rig_end(&r);
}

TEST(size, a_key_of_100_kb_and_a_value_of_the_limit)
{
    struct rig r;
    struct kv_range_result got;
    uint8_t *big = xmalloc(1536 << 10);
    for (size_t i = 0; i < 1536 << 10; i++) {
        big[i] = (uint8_t)(i * 7 + i / 251);
    }
    const struct bytes key = {big, 100 << 10};
    const struct bytes value = {big, (1536 << 10) - (100 << 10)};
    rig_begin(&r);
    EXPECT_INT(put(&r, key, value), ST_OK);
    EXPECT_INT(put(&r, bytes_of("small"), (struct bytes){big, 1536000}), ST_OK);
    for (int round = 0; round < 3; round++) {
        const struct kv_range_spec spec = {.keys = {.key = key}};
        EXPECT_INT(store_range(r.store, &spec, r.results, &got, &r.fault),
                   ST_OK);
        EXPECT_INT(got.items_count, 1);
        EXPECT(bytes_equal(got.items[0].key, key));
        EXPECT(bytes_equal(got.items[0].value, value));
        EXPECT_INT(count_of_range(&r, bytes_of("small"), BYTES_NONE), 1);
        rig_flush(&r);
        if (round == 1) {
            EXPECT_INT(put(&r, key, value), ST_OK);
            EXPECT_INT(rig_compact(&r, store_revision(r.store)), ST_OK);
            rig_deliver(&r);
            rig_settle(&r);
        }
    }
    rig_end(&r);
    free(big);
}

/* Zero bytes in keys: the order of history rows must be that of the keys. */
TEST(size, zero_bytes_keep_their_order_in_history)
{
    static const struct bytes keys[] = {
        {(const uint8_t *)"a", 1},       {(const uint8_t *)"a\0", 2},
        {(const uint8_t *)"a\0\0", 3},   {(const uint8_t *)"a\0\1", 3},
        {(const uint8_t *)"a\0\xff", 3}, {(const uint8_t *)"a\1", 2},
        {(const uint8_t *)"a\xff", 2},
    };
    struct rig r;
    rig_begin(&r);
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < count_of(keys); i++) {
            EXPECT_INT(put(&r, keys[i], bytes_of("v")), ST_OK);
        }
        rig_flush(&r);
    }
    (void)rig_do(&r, "del a to=*");
    rig_flush(&r);
    for (int64_t at = 8; at <= 22; at++) {
        struct kv_range_result got;
        const struct kv_range_spec spec = {
            .keys = {bytes_of("a"), {(const uint8_t *)"", 1}}, .revision = at};
        EXPECT_INT(store_range(r.store, &spec, r.results, &got, &r.fault),
                   ST_OK);
        EXPECT_INT(got.count, 7);
        for (unsigned i = 0; i < count_of(keys); i++) {
            EXPECT_BYTES(got.items[i].key, keys[i]);
            EXPECT(got.items[i].mod_revision <= at);
            EXPECT(got.items[i].mod_revision > at - 7);
        }
    }
    rig_end(&r);
}
