/* SHA-1 against the examples of FIPS 180 and RFC 3174. */

#include "base/sha1.h"

#include <stdio.h>

#include "tests/lib/test.h"

static const char *hex_of(struct bytes of)
{
    static char text[2 * SHA1_SIZE + 1];
    uint8_t hash[SHA1_SIZE];
    sha1(of, hash);
    for (size_t i = 0; i < SHA1_SIZE; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    return text;
}

/* Danger: names that others compute differently. Lengths around a block's end
 * are where padding goes wrong. */
TEST(sha1, gives_the_published_digests)
{
    EXPECT_TEXT(hex_of(BYTES_NONE), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_TEXT(hex_of(bytes_of("abc")),
                "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_TEXT(
        hex_of(bytes_of(
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
        "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    uint8_t many[1000];
    memset(many, 'a', sizeof many);
    EXPECT_TEXT(hex_of((struct bytes){many, 55}),
                "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    EXPECT_TEXT(hex_of((struct bytes){many, 56}),
                "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    EXPECT_TEXT(hex_of((struct bytes){many, 64}),
                "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    EXPECT_TEXT(hex_of((struct bytes){many, 1000}),
                "291e9a6c66994949b57ba5e650361e98fc36b1ba");
}
