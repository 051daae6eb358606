/* Bytes from a broken or hostile peer: decoded or refused, never more. */

#include "tests/proto/rig.h"

/* Decodes a copy that ends where its memory ends, so that ASan sees every step
 * beyond; what is accepted must be as good as what we would send. */
static bool decode_one(struct bytes from)
{
    uint8_t *exact = malloc(from.size > 0 ? from.size : 1);
    if (from.size > 0) {
        memcpy(exact, from.data, from.size);
    }
    struct raft_message m, again;
    struct fault fault = {{0}};
    const enum status st =
        raft_codec_decode((struct bytes){exact, from.size}, &m, &fault);
    free(exact);
    if (st != ST_OK) {
        EXPECT_INT(st, ST_INVALID);
        EXPECT(fault.text[0] != 0);
        return false;
    }
    struct buf b = {0};
    EXPECT_INT(raft_codec_encode(&m, &b, &fault), ST_OK);
    EXPECT_INT(raft_codec_decode(buf_bytes(&b), &again, &fault), ST_OK);
    expect_same_message(&again, &m);
    raft_message_fini(&again);
    raft_message_fini(&m);
    buf_fini(&b);
    return true;
}

TEST(fuzz, random_bytes)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[64];
        const size_t size = (size_t)prng_below(&p, sizeof bytes + 1);
        prng_fill(&p, bytes, size);
        (void)decode_one((struct bytes){bytes, size});
    }
}

/* Good messages with a few bytes changed, cut out, doubled or cut off. */
static void mutate(struct prng *p, struct buf *b)
{
    for (uint64_t times = 1 + prng_below(p, 4); times > 0 && b->size > 0;
         times--) {
        const size_t at = (size_t)prng_below(p, b->size);
        const size_t size = (size_t)prng_below(p, b->size - at) + 1;
        switch (prng_below(p, 5)) {
        case 0:
            b->data[at] ^= (uint8_t)(1u << prng_below(p, 8));
            break;
        case 1:
            b->data[at] = (uint8_t)prng_next(p);
            break;
        case 2:
            b->size = at;
            break;
        case 3:
            memmove(b->data + at, b->data + at + size, b->size - at - size);
            b->size -= size;
            break;
        case 4: {
            struct buf copy = {0};
            buf_append(&copy, (struct bytes){b->data + at, size});
            buf_append(b, buf_bytes(&copy));
            buf_fini(&copy);
            break;
        }
        }
    }
}

TEST(fuzz, mutated_messages)
{
    struct prng p;
    prng_init(&p, test_seed());
    int accepted = 0;
    for (int i = 0; i < 4000; i++) {
        struct raft_message m = random_message(&p);
        struct buf b = {0};
        EXPECT_INT(raft_codec_encode(&m, &b, NULL), ST_OK);
        for (int k = 0; k < 3; k++) {
            mutate(&p, &b);
            accepted += decode_one(buf_bytes(&b)) ? 1 : 0;
        }
        buf_fini(&b);
        raft_message_fini(&m);
    }
    EXPECT(accepted > 100); /* else the mutations reach nothing inside */
}

/* Every beginning of a good message. */
TEST(fuzz, cut_messages)
{
    struct prng p;
    prng_init(&p, test_seed());
    struct raft_message m;
    do {
        m = random_message(&p);
        if (m.snapshot != NULL && m.entries.count > 0) {
            break;
        }
        raft_message_fini(&m);
    } while (true);
    struct buf b = {0};
    EXPECT_INT(raft_codec_encode(&m, &b, NULL), ST_OK);
    for (size_t size = 0; size < b.size; size++) {
        (void)decode_one((struct bytes){b.data, size});
    }
    buf_fini(&b);
    raft_message_fini(&m);
}
