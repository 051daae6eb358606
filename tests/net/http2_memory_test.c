/* Blocks that are kept for the next request. */

#include "net/http2_memory.h"

#include <string.h>

#include "base/prng.h"
#include "tests/lib/test.h"

#define BLOCKS 200

struct block {
    uint8_t *data;
    size_t size;
    uint8_t fill;
};

static void check(const struct block *b)
{
    for (size_t i = 0; i < b->size; i++) {
        assert_int_equal(b->data[i], b->fill);
    }
}

/* A block that belongs to two, or loses its end, is a corrupted connection. */
TEST(http2_memory, blocks_are_apart_and_keep_what_is_in_them)
{
    struct http2_memory m = {0};
    struct block blocks[BLOCKS] = {{0}};
    struct prng chance;
    prng_init(&chance, test_seed());
    for (int round = 0; round < 20000; round++) {
        struct block *b = &blocks[prng_below(&chance, BLOCKS)];
        const size_t size = (size_t)prng_below(&chance, 5000) + 1;
        check(b);
        if (b->data == NULL || prng_chance(&chance, 1, 2)) {
            http2_memory_put(&m, b->data);
            b->data = http2_memory_get(&m, size);
        } else {
            const size_t kept = b->size < size ? b->size : size;
            b->data = http2_memory_change(&m, b->data, size);
            check(&(struct block){b->data, kept, b->fill});
        }
        b->size = size;
        b->fill = (uint8_t)prng_next(&chance);
        memset(b->data, b->fill, size);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        check(&blocks[i]);
        http2_memory_put(&m, blocks[i].data);
    }
    assert_true(m.spare_size > 0);
    http2_memory_fini(&m);
    assert_int_equal(m.spare_size, 0);
}

/* What an attack has needed is not kept for ever. */
TEST(http2_memory, what_is_kept_is_bounded)
{
    static void *blocks[20000];
    struct http2_memory m = {0};
    for (size_t i = 0; i < 20000; i++) {
        blocks[i] = http2_memory_get(&m, 2048);
    }
    for (size_t i = 0; i < 20000; i++) {
        http2_memory_put(&m, blocks[i]);
    }
    assert_true(m.spare_size <= (size_t)16 << 20);
    assert_true(m.spare_size > (size_t)15 << 20);
    http2_memory_fini(&m);
}
