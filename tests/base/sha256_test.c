/* SHA-256 against the examples that NIST published, and coreutils. */

#include "base/sha256_internal.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/must.h"
#include "base/prng.h"
#include "tests/lib/test.h"

static const char *hex(const uint8_t digest[SHA256_SIZE])
{
    static char text[2 * SHA256_SIZE + 1];
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    return text;
}

static const char *digest_of(struct bytes b, size_t step)
{
    struct sha256 s;
    uint8_t digest[SHA256_SIZE];
    sha256_init(&s);
    while (b.size > 0) {
        const size_t part = b.size < step ? b.size : step;
        sha256_add(&s, (struct bytes){b.data, part});
        b = bytes_after(b, part);
    }
    sha256_end(&s, digest);
    return hex(digest);
}

/* NIST's "SHA-256 example values" and the empty message. */
TEST(sha256, the_published_examples)
{
    EXPECT_TEXT(
        digest_of(BYTES_NONE, 1),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_TEXT(
        digest_of(bytes_of("abc"), 1),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_TEXT(
        digest_of(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomn"
                           "opnopq"),
                  64),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    EXPECT_TEXT(
        digest_of((struct bytes){(const uint8_t *)million, 1000000}, 999),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

/* The padding has edges at 55, 56 and 64 bytes; how the bytes come must not
 * matter. */
TEST(sha256, cuts_do_not_show)
{
    uint8_t data[200];
    struct prng prng;
    prng_init(&prng, test_seed());
    prng_fill(&prng, data, sizeof data);
    for (size_t size = 0; size <= sizeof data; size++) {
        char whole[2 * SHA256_SIZE + 1];
        const struct bytes b = {data, size};
        (void)snprintf(whole, sizeof whole, "%s", digest_of(b, sizeof data));
        for (size_t step = 1; step < 70; step += 3) {
            EXPECT_TEXT(digest_of(b, step), whole);
        }
    }
}

/* Lengths around the edges, as sha256sum has them. */
TEST(sha256, the_padding_of_every_length)
{
    if (system("command -v sha256sum >/dev/null") != 0) {
        SKIP("sha256sum is not installed");
    }
    for (int size = 50; size <= 70; size++) {
        char command[128], theirs[65] = "";
        char data[80];
        memset(data, 'x', sizeof data);
        (void)snprintf(command, sizeof command,
                       "printf 'x%%.0s' $(seq %d) | sha256sum", size);
        FILE *f = popen(command, "r");
        must(f != NULL);
        EXPECT(fgets(theirs, sizeof theirs, f) != NULL);
        (void)pclose(f);
        EXPECT_TEXT(
            digest_of((struct bytes){(const uint8_t *)data, (size_t)size}, 7),
            theirs);
    }
}

/* Which of the two ways is taken depends on the machine: a digest that does,
 * too, makes backups of one useless on another. */
TEST(sha256, the_instructions_agree_with_plain_c)
{
    struct prng chance;
    uint8_t blocks[5 * SHA256_BLOCK];
    prng_init(&chance, 7);
    for (int round = 0; round < 200; round++) {
        uint32_t fast[8], plain[8];
        const size_t count = prng_below(&chance, 6);
        prng_fill(&chance, blocks, sizeof blocks);
        prng_fill(&chance, (uint8_t *)fast, sizeof fast);
        memcpy(plain, fast, sizeof plain);
        if (!sha256_by_instruction(fast, blocks, count)) {
            return; /* this processor has none */
        }
        sha256_by_table(plain, blocks, count);
        EXPECT(memcmp(fast, plain, sizeof fast) == 0);
    }
}
