/* The bounded codec: everything that comes from disk and network passes here,
 * so each test takes the side of a hostile input. */

#include "base/codec.h"
#include "base/must.h"
#include "base/prng.h"
#include "tests/lib/test.h"

#include <stdlib.h>

#define BYTES(...)                                                             \
    ((struct bytes){(const uint8_t[]){__VA_ARGS__},                            \
                    sizeof((const uint8_t[]){__VA_ARGS__})})

/* The format is stated in codec.h: little-endian, LEB128, zigzag.  Were it
 * only checked against its own reader, both could be wrong together. */
TEST(codec, writes_the_bytes_that_the_format_says)
{
    struct buf b = {0};
    write_u8(&b, 0x01);
    write_u16(&b, 0x0203);
    write_u32(&b, 0x04050607);
    write_u64(&b, 0x08090A0B0C0D0E0F);
    EXPECT_BYTES(buf_bytes(&b),
                 BYTES(0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0F, 0x0E,
                       0x0D, 0x0C, 0x0B, 0x0A, 0x09, 0x08));
    buf_clear(&b);
    write_varint(&b, 0);
    write_varint(&b, 127);
    write_varint(&b, 128);
    write_varint(&b, 300); /* the example of the protobuf documentation */
    EXPECT_BYTES(buf_bytes(&b), BYTES(0x00, 0x7F, 0x80, 0x01, 0xAC, 0x02));
    buf_clear(&b);
    write_varint(&b, UINT64_MAX);
    EXPECT_BYTES(buf_bytes(&b), BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                      0xFF, 0xFF, 0x01));
    buf_clear(&b);
    write_svarint(&b, 0);
    write_svarint(&b, -1);
    write_svarint(&b, 1);
    write_svarint(&b, -2);
    write_svarint(&b, 2147483647);
    EXPECT_BYTES(buf_bytes(&b),
                 BYTES(0, 1, 2, 3, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F));
    buf_clear(&b);
    write_sized(&b, bytes_of("abc"));
    write_sized(&b, BYTES_NONE);
    EXPECT_BYTES(buf_bytes(&b), BYTES(3, 'a', 'b', 'c', 0));
    buf_fini(&b);
}

TEST(codec, fixed_places_have_the_stated_order)
{
    uint8_t at[8];
    put_u32(at, 0x01020304);
    EXPECT_BYTES(((struct bytes){at, 4}), BYTES(4, 3, 2, 1));
    EXPECT_INT(get_u32(at), 0x01020304);
    put_u64(at, 0x0102030405060708);
    EXPECT_BYTES(((struct bytes){at, 8}), BYTES(8, 7, 6, 5, 4, 3, 2, 1));
    EXPECT_INT(get_u64(at), 0x0102030405060708);
    put_u64_be(at, 0x0102030405060708);
    EXPECT_BYTES(((struct bytes){at, 8}), BYTES(1, 2, 3, 4, 5, 6, 7, 8));
    EXPECT_INT(get_u64_be(at), 0x0102030405060708);
}

/* Numbers at every edge where a varint grows, and some from the seed. */
TEST(codec, reads_back_what_was_written)
{
    struct buf b = {0};
    struct prng chance;
    prng_init(&chance, test_seed());
    for (unsigned shift = 0; shift < 64; shift++) {
        const uint64_t edge = (uint64_t)1 << shift;
        const uint64_t values[] = {edge - 1, edge, edge + 1, ~edge,
                                   prng_next(&chance) >> shift};
        for (size_t i = 0; i < count_of(values); i++) {
            buf_clear(&b);
            write_varint(&b, values[i]);
            write_svarint(&b, (int64_t)values[i]);
            write_u64(&b, values[i]);
            struct reader r = reader_of(buf_bytes(&b));
            EXPECT(read_varint(&r) == values[i]);
            EXPECT(read_svarint(&r) == (int64_t)values[i]);
            EXPECT(read_u64(&r) == values[i]);
            EXPECT(reader_done(&r));
        }
    }
    buf_fini(&b);
}

/* Two encodings of one number let two nodes hash the same data differently,
 * and give an attacker room: only the shortest is a number. */
TEST(codec, refuses_varints_that_are_not_minimal_or_too_large)
{
    const struct bytes bad[] = {
        BYTES_NONE,
        BYTES(0x80),                   /* unfinished */
        BYTES(0xFF, 0xFF),             /* unfinished */
        BYTES(0x80, 0x00),             /* 0, not minimal */
        BYTES(0xFF, 0x00),             /* 127, not minimal */
        BYTES(0x80, 0x80, 0x80, 0x00), /* 0, less minimal still */
        BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
        /* bit 64 */
        BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02),
        BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x03),
        /* eleven bytes */
        BYTES(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
        BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x81, 0x00),
    };
    for (size_t i = 0; i < count_of(bad); i++) {
        struct reader r = reader_of(bad[i]);
        EXPECT_INT(read_varint(&r), 0);
        EXPECT(!reader_ok(&r));
        EXPECT_INT(r.left.size, 0);
    }
    struct reader most = reader_of(
        BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01));
    EXPECT(read_varint(&most) == UINT64_MAX);
    EXPECT(reader_done(&most));
}

/* A read one byte past the end is a crash today and a leak tomorrow.  The
 * inputs are on the heap and exact, so that the address sanitizer watches. */
TEST(codec, never_reads_past_its_bytes)
{
    for (size_t size = 0; size < 9; size++) {
        uint8_t *exact = xmalloc(size);
        memset(exact, 0xFF, size);
        const struct bytes all = {exact, size};

        struct reader r = reader_of(all);
        EXPECT_INT(read_u8(&r), size >= 1 ? 0xFF : 0);
        EXPECT_INT(reader_ok(&r), size >= 1);
        r = reader_of(all);
        EXPECT_INT(read_u16(&r), size >= 2 ? 0xFFFF : 0);
        EXPECT_INT(reader_ok(&r), size >= 2);
        r = reader_of(all);
        EXPECT_INT(read_u32(&r), size >= 4 ? 0xFFFFFFFF : 0);
        EXPECT_INT(reader_ok(&r), size >= 4);
        r = reader_of(all);
        EXPECT(read_u64(&r) == (size >= 8 ? UINT64_MAX : 0));
        EXPECT_INT(reader_ok(&r), size >= 8);
        r = reader_of(all);
        EXPECT_INT(read_varint(&r), 0);
        EXPECT(!reader_ok(&r));
        for (size_t asked = 0; asked < 11; asked++) {
            r = reader_of(all);
            EXPECT_INT(read_bytes(&r, asked).size, asked <= size ? asked : 0);
            EXPECT_INT(reader_ok(&r), asked <= size);
        }
        r = reader_of(all);
        EXPECT_INT(read_bytes(&r, SIZE_MAX).size, 0);
        EXPECT(!reader_ok(&r));
        free(exact);
    }
}

/* A length is a claim. */
TEST(codec, a_size_larger_than_what_is_left_is_refused)
{
    struct reader r = reader_of(BYTES(3, 'a', 'b'));
    EXPECT_INT(read_sized(&r).size, 0);
    EXPECT(!reader_ok(&r));

    r = reader_of(
        BYTES(0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 'a'));
    EXPECT_INT(read_sized(&r).size, 0);
    EXPECT(!reader_ok(&r));

    r = reader_of(BYTES(2, 'a', 'b', 0));
    EXPECT_BYTES(read_sized(&r), bytes_of("ab"));
    EXPECT_INT(read_sized(&r).size, 0);
    EXPECT(reader_done(&r));
}

/* Decoders ask once, at the end: nothing after a failure may look sound. */
TEST(codec, a_failed_reader_stays_failed_and_empty)
{
    struct reader r = reader_of(BYTES(1, 2, 3, 4, 5, 6, 7));
    EXPECT_INT(read_u64(&r), 0);
    EXPECT(!reader_ok(&r));
    EXPECT_INT(read_u8(&r), 0);
    EXPECT_INT(read_varint(&r), 0);
    EXPECT_INT(read_svarint(&r), 0);
    EXPECT_INT(read_bytes(&r, 0).size, 0);
    EXPECT_INT(read_sized(&r).size, 0);
    EXPECT(!reader_ok(&r));
    EXPECT(!reader_done(&r));
}

TEST(codec, done_means_all_of_it)
{
    struct reader r = reader_of(BYTES(1, 2));
    EXPECT_INT(read_u8(&r), 1);
    EXPECT(reader_ok(&r));
    EXPECT(!reader_done(&r));
    EXPECT_INT(read_u8(&r), 2);
    EXPECT(reader_done(&r));
    struct reader empty = reader_of(BYTES_NONE);
    EXPECT(reader_done(&empty));
    EXPECT_INT(read_bytes(&empty, 0).size, 0);
    EXPECT(reader_done(&empty));
}
