/* Damage that bits turned over at random find too rarely: rows that are hidden,
 * older trees, and damage that a flush could seal with a new checksum. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/must.h"
#include "rig.h"
#include "store/tree.h"

/* A tree of keys "k0" to "k8" within one transaction, of which one row is taken
 * away behind its back: what a damaged page header does. */
struct hidden {
    struct lmdb_env env;
    struct tree tree;
};

static void hide(struct hidden *h, unsigned row)
{
    char path[600];
    struct fault fault;
    struct tree_writer w;
    (void)snprintf(path, sizeof path, "%s", test_directory());
    EXPECT_INT(lmdb_env_open(&h->env, path, 1 << 24, &fault), ST_OK);
    MDB_txn *txn;
    EXPECT_INT(mdb_txn_begin(h->env.env, NULL, 0, &txn), 0);
    h->tree = (struct tree){
        .txn = txn, .dbi = h->env.trees[TREE_CURRENT], .id = TREE_CURRENT};
    EXPECT_INT(tree_writer_begin(&w, &h->tree, &fault), ST_OK);
    for (unsigned i = 0; i <= 8; i += 2) {
        char key[3] = {'k', (char)('0' + i), 0};
        EXPECT_INT(
            tree_put(&w, bytes_of(key), bytes_of("h"), BYTES_NONE, 0, &fault),
            ST_OK);
    }
    EXPECT_INT(tree_writer_end(&w, &fault), ST_OK);
    tree_writer_fini(&w);
    char key[3] = {'k', (char)('0' + row), 0};
    MDB_val k = {2, key};
    EXPECT_INT(mdb_del(txn, h->tree.dbi, &k, NULL), 0);
}

static void hide_end(struct hidden *h)
{
    mdb_txn_abort(h->tree.txn);
    lmdb_env_close(&h->env);
}

/* Wherever the row stood: looking for it, for what never was beside it, and
 * walking over it are all noticed. */
TEST(damage, hidden_rows_are_noticed)
{
    for (unsigned row = 0; row <= 8; row += 2) {
        struct hidden h;
        struct fault fault;
        struct row found;
        bool there;
        hide(&h, row);
        char key[3] = {'k', (char)('0' + row), 0};
        EXPECT_INT(tree_get(&h.tree, bytes_of(key), &there, &found, &fault),
                   ST_CORRUPT);
        key[1]++;
        EXPECT_INT(tree_get(&h.tree, bytes_of(key), &there, &found, &fault),
                   ST_CORRUPT);
        struct tree_cursor c;
        EXPECT_INT(tree_cursor_open(&c, &h.tree, &fault), ST_OK);
        enum status st = tree_cursor_seek(&c, bytes_of("a"), &fault);
        while (st == ST_OK && !c.at_end) {
            st = tree_cursor_next(&c, &fault);
        }
        EXPECT_INT(st, ST_CORRUPT);
        tree_cursor_close(&c);
        hide_end(&h);
    }
}

/* --- the file --- */

static int open_file(const struct rig *r)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/data.mdb", r->path);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0);
    return fd;
}

/* Puts a few revisions into the file and closes it. */
static void closed_store(struct rig *r)
{
    rig_begin(r);
    for (int i = 0; i < 3; i++) {
        (void)rig_do(r, "put a some-value-%d-of-this-key", i);
        rig_flush(r);
    }
    store_close(r->store);
    r->store = NULL;
}

#define META_TXN  144
#define META_ROOT (16 + 24 + 48 + 40)

/* LMDB takes the meta page with the higher number. One damaged number, and it
 * goes on from the commit before, whose log may be gone: acknowledged writes
 * would be lost without a word. */
TEST(damage, an_older_commit_is_not_taken_for_the_newest)
{
    for (unsigned bit = 0; bit < 12; bit++) {
        struct rig r;
        closed_store(&r);
        const int fd = open_file(&r);
        uint8_t metas[2][8];
        for (unsigned i = 0; i < 2; i++) {
            must(pread(fd, metas[i], 8, i * 4096 + META_TXN) == 8);
        }
        const unsigned newest = get_u64(metas[1]) > get_u64(metas[0]);
        metas[newest][bit / 8] ^= (uint8_t)(1u << (bit % 8));
        must(pwrite(fd, metas[newest], 8, newest * 4096 + META_TXN) == 8);
        (void)close(fd);
        EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault),
                   ST_CORRUPT);
        r.store = NULL;
        rig_end(&r);
    }
}

/* Likewise when its root page number leads to the tree before. */
TEST(damage, an_older_tree_is_not_taken_for_the_newest)
{
    struct rig r;
    closed_store(&r);
    const int fd = open_file(&r);
    uint8_t txns[2][8], roots[2][8];
    for (unsigned i = 0; i < 2; i++) {
        must(pread(fd, txns[i], 8, i * 4096 + META_TXN) == 8);
        must(pread(fd, roots[i], 8, i * 4096 + META_ROOT) == 8);
    }
    const unsigned newest = get_u64(txns[1]) > get_u64(txns[0]);
    EXPECT(memcmp(roots[0], roots[1], 8) != 0);
    must(pwrite(fd, roots[1 - newest], 8, newest * 4096 + META_ROOT) == 8);
    (void)close(fd);
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_CORRUPT);
    EXPECT(strstr(r.fault.text, "transaction") != NULL);
    r.store = NULL;
    rig_end(&r);
}

/* Damages the value wherever it stands in the file. */
static void damage_value(const struct rig *r, const char *value)
{
    const int fd = open_file(r);
    const off_t size = lseek(fd, 0, SEEK_END);
    uint8_t *whole = xmalloc((size_t)size);
    must(pread(fd, whole, (size_t)size, 0) == size);
    unsigned found = 0;
    uint8_t *at = whole;
    while ((at = memmem(at, (size_t)(whole + size - at), value,
                        strlen(value))) != NULL) {
        at[3] ^= 4;
        found++;
    }
    EXPECT(found > 0);
    must(pwrite(fd, whole, (size_t)size, 0) == size);
    (void)close(fd);
    free(whole);
}

static enum status get(struct rig *r, int64_t revision, bool keys_only)
{
    struct kv_range_result got;
    const struct kv_range_spec spec = {.keys = {.key = bytes_of("a")},
                                       .revision = revision,
                                       .keys_only = keys_only};
    return store_range(r->store, &spec, r->results, &got, &r->fault);
}

/* A value that is superseded moves to history. Its damage must go with it, not
 * get a new checksum on the way. */
TEST(damage, a_flush_does_not_seal_damage)
{
    struct rig r;
    rig_begin(&r);
    (void)rig_do(&r, "put a the-value-that-is-damaged");
    rig_flush(&r);
    store_close(r.store);
    damage_value(&r, "the-value-that-is-damaged");
    EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
    EXPECT_INT(get(&r, 0, false), ST_CORRUPT);
    EXPECT(strstr(r.fault.text, "key 'a'") != NULL);
    EXPECT_INT(get(&r, 0, true), ST_OK); /* what is not read does no harm */
    (void)rig_do(&r, "put a whole-again");
    EXPECT_INT(get(&r, 0, false), ST_OK);
    rig_flush(&r);
    EXPECT_INT(get(&r, 0, false), ST_OK);
    EXPECT_INT(get(&r, 2, false), ST_CORRUPT);
    rig_end(&r);
}

/* A write that would carry a damaged value on stops the node; it does not write
 * the value anew, with a checksum that holds. */
TEST(damage, apply_stops_at_damage)
{
    static const struct kv_op ops[] = {
        {.type = KV_OP_MOVE,
         .move = {.from = {(const uint8_t *)"a", 1},
                  .to = {(const uint8_t *)"b", 1}}},
        {.type = KV_OP_PUT,
         .put = {.key = {(const uint8_t *)"a", 1}, .ignore_value = true}},
        {.type = KV_OP_PUT,
         .put = {.key = {(const uint8_t *)"a", 1}, .prev_kv = true}},
        {.type = KV_OP_RANGE,
         .range = {.keys = {.key = {(const uint8_t *)"a", 1}}}},
    };
    for (unsigned i = 0; i < count_of(ops); i++) {
        struct rig r;
        rig_begin(&r);
        (void)rig_do(&r, "put a the-value-that-is-damaged");
        rig_flush(&r);
        store_close(r.store);
        damage_value(&r, "the-value-that-is-damaged");
        EXPECT_INT(store_open(r.path, &r.options, &r.store, &r.fault), ST_OK);
        const struct kv_txn_spec txn = {.success = &ops[i], .success_count = 1};
        const struct store_stamp stamp = {.time_ns = 1};
        struct buf command = {0};
        store_encode_txn(&stamp, &txn, &command);
        EXPECT_INT(store_apply(r.store, 2, 1, buf_bytes(&command), &r.outcome,
                               &r.fault),
                   ST_CORRUPT);
        buf_fini(&command);
        rig_end(&r);
    }
}
