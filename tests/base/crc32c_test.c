/* CRC-32C against RFC 3720, appendix B.4. */

#include "base/crc32c.h"
#include "base/must.h"
#include "base/prng.h"
#include "tests/lib/test.h"

typedef uint32_t crc_function(uint32_t before, struct bytes more);

static void check_vectors(crc_function *crc)
{
    uint8_t data[32];
    const struct bytes all = {data, sizeof data};

    memset(data, 0, sizeof data);
    EXPECT_INT(crc(0, all), 0x8A9136AA);
    memset(data, 0xFF, sizeof data);
    EXPECT_INT(crc(0, all), 0x62A8AB43);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = i;
    }
    EXPECT_INT(crc(0, all), 0x46DD794E);
    for (uint8_t i = 0; i < 32; i++) {
        data[i] = (uint8_t)(31 - i);
    }
    EXPECT_INT(crc(0, all), 0x113FDB5C);

    /* "An iSCSI - SCSI Read (10) Command PDU" */
    const uint8_t pdu[48] = {
        0x01,        0xC0,        [16] = 0x14, [22] = 0x04,
        [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02};
    EXPECT_INT(crc(0, (struct bytes){pdu, sizeof pdu}), 0xD9963A56);

    EXPECT_INT(crc(0, bytes_of("123456789")), 0xE3069283);
    EXPECT_INT(crc(0, BYTES_NONE), 0);
}

TEST(crc32c, gives_the_vectors_of_rfc_3720)
{
    check_vectors(crc32c);
}

TEST(crc32c, gives_the_same_vectors_by_table)
{
    check_vectors(crc32c_by_table);
}

/* Danger: a log written on one machine is unreadable on another.  Every length
 * and alignment that the instruction's loop can meet. */
TEST(crc32c, instruction_and_table_agree_at_every_length_and_alignment)
{
    uint8_t data[96];
    struct prng chance;
    prng_init(&chance, test_seed());
    prng_fill(&chance, data, sizeof data);
    for (size_t begin = 0; begin < 16; begin++) {
        for (size_t size = 0; begin + size <= sizeof data; size++) {
            const struct bytes b = {data + begin, size};
            const uint32_t before = (uint32_t)prng_next(&chance);
            EXPECT_INT(crc32c(before, b), crc32c_by_table(before, b));
        }
    }
}

/* The log chains checksums over records, which rests on this. */
TEST(crc32c, a_checksum_can_be_continued)
{
    uint8_t data[100];
    struct prng chance;
    prng_init(&chance, test_seed());
    prng_fill(&chance, data, sizeof data);
    const struct bytes all = {data, sizeof data};
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        const uint32_t first = crc32c(0, (struct bytes){data, cut});
        EXPECT_INT(crc32c(first, bytes_after(all, cut)), crc32c(0, all));
    }
}

/* What it is there for: all single flips, and all bursts up to its width. */
TEST(crc32c, notices_every_flip_and_every_short_burst)
{
    uint8_t data[64];
    struct prng chance;
    prng_init(&chance, test_seed());
    prng_fill(&chance, data, sizeof data);
    const struct bytes all = {data, sizeof data};
    const uint32_t good = crc32c(0, all);
    for (size_t i = 0; i < sizeof data; i++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            data[i] ^= (uint8_t)mask;
            EXPECT(crc32c(0, all) != good);
            data[i] ^= (uint8_t)mask;
        }
    }
    EXPECT_INT(crc32c(0, all), good);
}
