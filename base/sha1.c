/* SHA-1 of bytes that are all there. */

#include "base/sha1.h"

#include <string.h>

#define BLOCK 64u

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t load_be(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

static void store_be(uint8_t *at, uint32_t x)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

/* FIPS 180-4 sections 4.1.1 and 4.2.1: function and constant of step t. */
static uint32_t mix(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    switch (t / 20) {
    case 0:
        return ((b & c) ^ (~b & d)) + 0x5a827999u;
    case 1:
        return (b ^ c ^ d) + 0x6ed9eba1u;
    case 2:
        return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdcu;
    default:
        return (b ^ c ^ d) + 0xca62c1d6u;
    }
}

/* Section 6.1.2. */
static void add_block(uint32_t h[5], const uint8_t block[BLOCK])
{
    uint32_t w[80];
    for (unsigned t = 0; t < 80; t++) {
        w[t] = t < 16 ? load_be(block + 4 * (size_t)t)
                      : rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    }
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (unsigned t = 0; t < 80; t++) {
        const uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

void sha1(struct bytes of, uint8_t ret[SHA1_SIZE])
{
    uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u,
                     0xc3d2e1f0u};
    size_t at = 0;
    for (; of.size - at >= BLOCK; at += BLOCK) {
        add_block(h, of.data + at);
    }
    /* Section 5.1.1: a one bit, zeros, and the length in bits. */
    uint8_t end[2 * BLOCK] = {0};
    const size_t rest = of.size - at;
    if (rest > 0) {
        memcpy(end, of.data + at, rest);
    }
    end[rest] = 0x80;
    const size_t size = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    const uint64_t bits = (uint64_t)of.size * 8;
    store_be(end + size - 8, (uint32_t)(bits >> 32));
    store_be(end + size - 4, (uint32_t)bits);
    add_block(h, end);
    if (size > BLOCK) {
        add_block(h, end + BLOCK);
    }
    for (unsigned i = 0; i < 5; i++) {
        store_be(ret + 4 * (size_t)i, h[i]);
    }
}
