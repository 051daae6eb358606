/* Answers of a server that lies: read without harm, whatever they hold. */

#include <stdlib.h>

#include "base/prng.h"
#include "client/message.h"
#include "tests/lib/test.h"

static const struct kv_op ops[] = {
    {.type = KV_OP_RANGE},
    {.type = KV_OP_PUT, .put = {.keep_lease = true}},
    {.type = KV_OP_DELETE_RANGE}};
static const struct kv_txn_spec txn = {
    .success = ops, .success_count = 3, .failure = ops, .failure_count = 1};

static void read_all(struct bytes answer)
{
    struct arena a = {0};
    const struct kv_range_spec spec = {.keys_only = false};
    struct kv_range_result range;
    struct kv_txn_result result;
    struct message_watch watch;
    struct message_status status;
    struct kv_lease_result lease = {0};
    struct kv_header header;
    struct kv_member *members;
    size_t count;
    /* Each may say yes or no; what is read must be there. */
    if (message_read_range(&a, answer, &spec, &range) == ST_OK) {
        for (size_t i = 0; i < range.items_count; i++) {
            EXPECT(range.items[i].key.size <= answer.size);
        }
    }
    if (message_read_txn(&a, answer, &txn, &result) == ST_OK) {
        EXPECT_INT(result.results_count, result.succeeded ? 3 : 1);
    }
    if (message_read_watch(&a, answer, &watch) == ST_OK) {
        EXPECT(watch.events_count <= answer.size);
    }
    (void)(message_read_status(answer, &status) == ST_OK);
    (void)(message_read_header(answer, &header) == ST_OK);
    (void)(message_read_members(&a, answer, 1, &members, &count) == ST_OK);
    for (int op = KV_LEASE_GRANT; op <= KV_LEASE_LIST; op++) {
        (void)(message_read_lease(&a, answer, (enum kv_lease_op)op, &lease) ==
               ST_OK);
    }
    arena_fini(&a);
}

static void add_kv(struct buf *b, uint32_t field)
{
    const size_t kv = wire_begin(b, field);
    wire_add_text(b, 1, "key");
    wire_add_number(b, 2, 4);
    wire_add_number(b, 3, 5);
    wire_add_text(b, 5, "value");
    wire_end(b, kv);
}

static void add_answer(struct buf *b, struct prng *chance)
{
    const size_t header = wire_begin(b, 1);
    wire_add_number(b, 3, 9);
    wire_end(b, header);
    wire_add_number(b, 2, prng_below(chance, 2));
    for (uint64_t i = prng_below(chance, 5); i > 0; i--) {
        switch (prng_below(chance, 3)) {
        case 0:
            add_kv(b, 2);
            break;
        case 1: {
            const size_t op = wire_begin(b, 3);
            const size_t inside =
                wire_begin(b, 1 + (uint32_t)prng_below(chance, 4));
            add_kv(b, 2);
            wire_end(b, inside);
            wire_end(b, op);
            break;
        }
        default: {
            const size_t event = wire_begin(b, 11);
            add_kv(b, 2);
            add_kv(b, 3);
            wire_end(b, event);
        }
        }
    }
}

TEST(message, mutated_answers_do_no_harm)
{
    struct prng chance;
    struct buf b = {0};
    prng_init(&chance, test_seed());
    for (int turn = 0; turn < 4000; turn++) {
        buf_clear(&b);
        add_answer(&b, &chance);
        for (uint64_t i = prng_below(&chance, 6); i > 0 && b.size > 0; i--) {
            b.data[prng_below(&chance, b.size)] = (uint8_t)prng_next(&chance);
        }
        const size_t size = (size_t)prng_below(&chance, b.size + 1);
        /* At the end of a block, so that a byte too far is seen. */
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, b.data, size);
        read_all((struct bytes){copy, size});
        free(copy);
    }
    buf_fini(&b);
}

/* A nesting deeper than ours must not be sent, nor followed without end. */
TEST(message, transactions_have_a_depth)
{
    struct kv_op op[KV_TXN_DEPTH_MAX + 1];
    struct kv_txn_spec specs[KV_TXN_DEPTH_MAX + 1];
    for (int i = 0; i <= KV_TXN_DEPTH_MAX; i++) {
        op[i] = (struct kv_op){.type = KV_OP_TXN,
                               .txn = i == 0 ? &txn : &specs[i - 1]};
        specs[i] = (struct kv_txn_spec){.success = &op[i], .success_count = 1};
    }
    EXPECT_INT(message_check_txn(&specs[KV_TXN_DEPTH_MAX - 2], 1), ST_OK);
    EXPECT_INT(message_check_txn(&specs[KV_TXN_DEPTH_MAX - 1], 1),
               ST_TOO_MANY_OPS);
}
