/* Bounded reading and writing of binary formats.  All integers are
 * little-endian; varints are LEB128, at most 10 bytes, and must be minimal.
 *
 * A reader never runs past its bytes: the first read that would, or a varint
 * that is not well formed, marks the reader failed; from then on it returns
 * zeros and empty ranges.  So a decoder reads a whole structure and asks
 * reader_ok() once, before it believes any of it.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"
#include "base/bytes.h"

struct reader {
    struct bytes left; /* read-only */
    bool failed;       /* read-only */
};

static inline struct reader reader_of(struct bytes from)
{
    return (struct reader){from, false};
}

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_varint(struct reader *r);
/* Zigzag varint. */
int64_t read_svarint(struct reader *r);
/* The next `size` bytes, borrowed from the input. */
struct bytes read_bytes(struct reader *r, size_t size);
/* A varint size, then that many bytes. */
struct bytes read_sized(struct reader *r);

static inline bool reader_ok(const struct reader *r)
{
    return !r->failed;
}

/* True when everything was read and nothing failed. */
static inline bool reader_done(const struct reader *r)
{
    return !r->failed && r->left.size == 0;
}

void write_u8(struct buf *b, uint8_t value);
void write_u16(struct buf *b, uint16_t value);
void write_u32(struct buf *b, uint32_t value);
void write_u64(struct buf *b, uint64_t value);
void write_varint(struct buf *b, uint64_t value);
void write_svarint(struct buf *b, int64_t value);
void write_sized(struct buf *b, struct bytes value);

/* Fixed places, for headers that are filled in later.  Byte by byte: compilers
 * make one access of it where the machine has it. */
static inline void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

static inline void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

static inline uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

/* Big-endian, for keys whose byte order is their numeric order. */
static inline void put_u64_be(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static inline uint64_t get_u64_be(const uint8_t *at)
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 |
           (uint64_t)at[2] << 40 | (uint64_t)at[3] << 32 |
           (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

#endif
