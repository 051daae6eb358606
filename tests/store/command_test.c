/* Commands as bytes: what is written is read back, and nothing else is read. */

#include "store/command.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"
#include "rig.h"
#include "store/internal.h"

static const struct kv_compare compares[] = {
    {.keys = {{(const uint8_t *)"k\0y", 3}, {(const uint8_t *)"", 1}},
     .target = KV_COMPARE_MOD,
     .result = KV_COMPARE_NOT_EQUAL,
     .number = -5},
    {.keys = {.key = {(const uint8_t *)"v", 1}},
     .target = KV_COMPARE_VALUE,
     .result = KV_COMPARE_LESS,
     .value = {(const uint8_t *)"xyz", 3}},
};

/* One of everything, with every flag somewhere. */
static void encode_all(struct buf *to)
{
    const struct kv_op inner_ops[] = {
        {.type = KV_OP_MOVE,
         .move = {.from = bytes_of("a/"),
                  .to = bytes_of("b/"),
                  .prefix = true}},
        {.type = KV_OP_MOVE,
         .move = {.from = bytes_of("c"),
                  .to = bytes_of("d"),
                  .exchange = true}},
    };
    const struct kv_txn_spec inner = {.failure = inner_ops, .failure_count = 2};
    const struct kv_op ops[] = {
        {.type = KV_OP_RANGE,
         .range = {.keys = {bytes_of("a"), bytes_of("b")},
                   .limit = 7,
                   .revision = 1000000,
                   .keys_only = true,
                   .count_bounded = true,
                   .sort_order = KV_SORT_DESCEND,
                   .sort_target = KV_SORT_VALUE,
                   .min_mod_revision = 1,
                   .max_mod_revision = 2,
                   .min_create_revision = 3,
                   .max_create_revision = 4}},
        {.type = KV_OP_RANGE,
         .range = {.keys = {.key = bytes_of("g")},
                   .count_only = true,
                   .serializable = true,
                   .grouped = true,
                   .group_from = 9}},
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("p"),
                 .value = bytes_of("value"),
                 .lease = INT64_MIN,
                 .prev_kv = true,
                 .set_attrs = true,
                 .attrs = bytes_of("mode")}},
        {.type = KV_OP_PUT,
         .put = {.key = bytes_of("q"),
                 .ignore_value = true,
                 .ignore_lease = true,
                 .keep_lease = true}},
        {.type = KV_OP_DELETE_RANGE,
         .delete_range = {{bytes_of("d"), bytes_of("e")}, true}},
        {.type = KV_OP_TXN, .txn = &inner},
        {.type = KV_OP_MOVE,
         .move = {.from = bytes_of("m"),
                  .to = bytes_of("n"),
                  .keep_target = true}},
    };
    const struct kv_txn_spec txn = {.compares = compares,
                                    .compares_count = count_of(compares),
                                    .success = ops,
                                    .success_count = count_of(ops)};
    const struct store_stamp stamp = {
        .time_ns = -1, .ticket = UINT64_MAX, .member = 3};
    store_encode_txn(&stamp, &txn, to);
}

TEST(command, everything_is_read_back)
{
    struct buf once = {0};
    struct buf twice = {0};
    struct arena arena = {0};
    struct command c;
    encode_all(&once);
    EXPECT_INT(command_decode(buf_bytes(&once), &arena, &c), ST_OK);
    EXPECT_INT(c.type, COMMAND_TXN);
    EXPECT_INT(c.stamp.time_ns, -1);
    EXPECT(c.stamp.ticket == UINT64_MAX);
    EXPECT_INT(c.stamp.member, 3);
    EXPECT_INT(c.txn.compares[0].number, -5);
    EXPECT_INT(c.txn.compares[0].keys.key.size, 3);
    EXPECT_BYTES(c.txn.compares[1].value, bytes_of("xyz"));
    EXPECT_INT(c.txn.success[0].range.limit, 7);
    EXPECT_INT(c.txn.success[0].range.max_create_revision, 4);
    EXPECT(c.txn.success[0].range.count_bounded);
    EXPECT_INT(c.txn.success[1].range.group_from, 9);
    EXPECT_BYTES(c.txn.success[2].put.attrs, bytes_of("mode"));
    EXPECT(c.txn.success[2].put.lease == INT64_MIN);
    EXPECT(c.txn.success[3].put.keep_lease);
    EXPECT(c.txn.success[4].delete_range.prev_kv);
    EXPECT(c.txn.success[5].txn->failure[0].move.prefix);
    EXPECT(c.txn.success[6].move.keep_target);
    /* The encoding of what was read is the same again: nothing was lost. */
    store_encode_txn(&c.stamp, &c.txn, &twice);
    EXPECT_BYTES(buf_bytes(&twice), buf_bytes(&once));
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&arena);
}

/* A command cut short or with something behind it is not a shorter or a longer
 * command. */
TEST(command, cut_and_extended_commands_are_refused)
{
    struct buf whole = {0};
    struct arena arena = {0};
    struct command c;
    encode_all(&whole);
    for (size_t size = 0; size < whole.size; size++) {
        arena_clear(&arena);
        EXPECT_INT(command_decode((struct bytes){whole.data, size}, &arena, &c),
                   ST_CORRUPT);
    }
    buf_append_byte(&whole, 0);
    EXPECT_INT(command_decode(buf_bytes(&whole), &arena, &c), ST_CORRUPT);
    buf_fini(&whole);
    arena_fini(&arena);
}

/* Whatever comes, the decoder neither crashes nor takes much memory; what it
 * accepts can be checked without harm. */
TEST(command, noise_is_survived)
{
    struct prng prng;
    struct buf whole = {0};
    struct buf noise = {0};
    struct arena arena = {0};
    prng_init(&prng, test_seed());
    encode_all(&whole);
    unsigned accepted = 0;
    for (int i = 0; i < 20000; i++) {
        struct command c;
        buf_clear(&noise);
        if (i % 4 == 0) {
            const size_t size = prng_below(&prng, 200);
            prng_fill(&prng, buf_extend(&noise, size), size);
            if (size > 1) {
                noise.data[0] = 1;
                noise.data[1] = (uint8_t)(1 + prng_below(&prng, 2));
            }
        } else {
            buf_append(&noise, buf_bytes(&whole));
            for (unsigned k = 0; k <= prng_below(&prng, 4); k++) {
                noise.data[prng_below(&prng, noise.size)] =
                    (uint8_t)prng_next(&prng);
            }
        }
        arena_clear(&arena);
        if (command_decode(buf_bytes(&noise), &arena, &c) == ST_OK &&
            c.type == COMMAND_TXN) {
            const enum status st = check_txn(&c.txn);
            accepted += st == ST_OK;
        }
        EXPECT(arena.size_bytes < 1 << 20);
    }
    EXPECT(accepted > 0); /* the noise reaches that far */
    buf_fini(&whole);
    buf_fini(&noise);
    arena_fini(&arena);
}

/* An entry that this program cannot read stops the node; it must not be taken
 * for one that does nothing. */
TEST(command, apply_refuses_what_it_cannot_read)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(
        store_apply(r.store, 1, 1, bytes_of("nonsense"), &r.outcome, &r.fault),
        ST_CORRUPT);
    EXPECT_INT(store_applied_index(r.store), 0);
    rig_end(&r);
}
