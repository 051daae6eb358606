/* SHA-256, after FIPS 180-4, sections 4.1.2, 5.1.1 and 6.2. */

#include "base/sha256_internal.h"

#include "base/codec.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64
 * primes (section 4.2.2). */
const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The same of the square roots of the first eight (section 5.3.3). */
void sha256_init(struct sha256 *s)
{
    *s = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372,
                                   0xa54ff53a, 0x510e527f, 0x9b05688c,
                                   0x1f83d9ab, 0x5be0cd19}};
}

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static uint32_t word_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

static void fill_schedule(uint32_t w[64], const uint8_t *block)
{
    for (int t = 0; t < 16; t++) {
        w[t] = word_at(block + (size_t)t * 4);
    }
    for (int t = 16; t < 64; t++) {
        const uint32_t a = w[t - 15];
        const uint32_t b = w[t - 2];
        w[t] = w[t - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
}

static void add_block(uint32_t state[8], const uint8_t *block)
{
    uint32_t w[64];
    uint32_t v[8]; /* a to h */
    fill_schedule(w, block);
    memcpy(v, state, sizeof v);
    for (int t = 0; t < 64; t++) {
        const uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        const uint32_t first =
            v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
            choice + sha256_constants[t] + w[t];
        const uint32_t second =
            (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) + majority;
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

void sha256_by_table(uint32_t state[8], const uint8_t *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add_block(state, blocks + i * SHA256_BLOCK);
    }
}

static void add_blocks(struct sha256 *s, const uint8_t *blocks, size_t count)
{
    if (!sha256_by_instruction(s->state, blocks, count)) {
        sha256_by_table(s->state, blocks, count);
    }
}

void sha256_add(struct sha256 *s, struct bytes more)
{
    size_t have = s->size % SHA256_BLOCK;
    s->size += more.size;
    if (have > 0) {
        const size_t missing = SHA256_BLOCK - have;
        const size_t part = more.size < missing ? more.size : missing;
        if (part > 0) {
            memcpy(s->block + have, more.data, part);
        }
        more = bytes_after(more, part);
        if (have + part < SHA256_BLOCK) {
            return;
        }
        add_blocks(s, s->block, 1);
    }
    const size_t whole = more.size / SHA256_BLOCK;
    if (whole > 0) {
        add_blocks(s, more.data, whole);
        more = bytes_after(more, whole * SHA256_BLOCK);
    }
    if (more.size > 0) {
        memcpy(s->block, more.data, more.size);
    }
}

void sha256_end(struct sha256 *s, uint8_t ret[SHA256_SIZE])
{
    static const uint8_t padding[SHA256_BLOCK] = {0x80};
    uint8_t bits[8];
    put_u64_be(bits, s->size * 8);
    const size_t have = s->size % SHA256_BLOCK;
    const size_t pad = have < 56 ? 56 - have : 56 + SHA256_BLOCK - have;
    sha256_add(s, (struct bytes){padding, pad});
    sha256_add(s, (struct bytes){bits, sizeof bits});
    for (size_t i = 0; i < 8; i++) {
        ret[4 * i] = (uint8_t)(s->state[i] >> 24);
        ret[4 * i + 1] = (uint8_t)(s->state[i] >> 16);
        ret[4 * i + 2] = (uint8_t)(s->state[i] >> 8);
        ret[4 * i + 3] = (uint8_t)s->state[i];
    }
}
