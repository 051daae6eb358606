/* SHA-256 by x86's instructions (Intel's SHA extensions), several times as fast
 * as in plain C.  Four rounds take four words of the schedule, which are made
 * four at a time; the state is in two registers, in the order that the
 * instruction wants: a b e f and c d g h, the first in the highest lane. */

#include "base/sha256_internal.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))

struct halves {
    __m128i abef, cdgh;
};

TARGET static inline __m128i load(const uint8_t *at)
{
    const __m128i swap =
        _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)at),
                            swap);
}

/* The four words behind a, b, c and d. */
TARGET static inline __m128i words_after(__m128i a, __m128i b, __m128i c,
                                         __m128i d)
{
    const __m128i sum =
        _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
    return _mm_sha256msg2_epu32(sum, d);
}

TARGET static inline void four_rounds(struct halves *s, __m128i words,
                                      const uint32_t *constants)
{
    const __m128i k = _mm_loadu_si128((const __m128i *)(const void *)constants);
    const __m128i sum = _mm_add_epi32(words, k);
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, sum);
    s->abef =
        _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

TARGET static void add_block(struct halves *s, const uint8_t *block)
{
    const struct halves before = *s;
    __m128i a = load(block), b = load(block + 16), c = load(block + 32),
            d = load(block + 48);
    for (size_t t = 0; t < 64; t += 16) {
        if (t > 0) {
            a = words_after(a, b, c, d);
            b = words_after(b, c, d, a);
            c = words_after(c, d, a, b);
            d = words_after(d, a, b, c);
        }
        four_rounds(s, a, sha256_constants + t);
        four_rounds(s, b, sha256_constants + t + 4);
        four_rounds(s, c, sha256_constants + t + 8);
        four_rounds(s, d, sha256_constants + t + 12);
    }
    s->abef = _mm_add_epi32(s->abef, before.abef);
    s->cdgh = _mm_add_epi32(s->cdgh, before.cdgh);
}

TARGET static void add_blocks(uint32_t v[8], const uint8_t *blocks,
                              size_t count)
{
    struct halves s = {
        .abef = _mm_set_epi32((int)v[0], (int)v[1], (int)v[4], (int)v[5]),
        .cdgh = _mm_set_epi32((int)v[2], (int)v[3], (int)v[6], (int)v[7])};
    for (size_t i = 0; i < count; i++) {
        add_block(&s, blocks + i * SHA256_BLOCK);
    }
    v[0] = (uint32_t)_mm_extract_epi32(s.abef, 3);
    v[1] = (uint32_t)_mm_extract_epi32(s.abef, 2);
    v[4] = (uint32_t)_mm_extract_epi32(s.abef, 1);
    v[5] = (uint32_t)_mm_extract_epi32(s.abef, 0);
    v[2] = (uint32_t)_mm_extract_epi32(s.cdgh, 3);
    v[3] = (uint32_t)_mm_extract_epi32(s.cdgh, 2);
    v[6] = (uint32_t)_mm_extract_epi32(s.cdgh, 1);
    v[7] = (uint32_t)_mm_extract_epi32(s.cdgh, 0);
}

static bool ask_processor(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSSE3) != 0 &&
           (c & bit_SSE4_1) != 0 &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

bool sha256_by_instruction(uint32_t state[8], const uint8_t *blocks,
                           size_t count)
{
    static atomic_int has; /* 0: not asked yet; -1: no; the question is slow */
    int known = atomic_load_explicit(&has, memory_order_relaxed);
    if (known == 0) {
        known = ask_processor() ? 1 : -1;
        atomic_store_explicit(&has, known, memory_order_relaxed);
    }
    if (known > 0) {
        add_blocks(state, blocks, count);
    }
    return known > 0;
}

#else

bool sha256_by_instruction(uint32_t state[8], const uint8_t *blocks,
                           size_t count)
{
    (void)state;
    (void)blocks;
    (void)count;
    return false;
}

#endif
