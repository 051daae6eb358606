/* The bounded codec: nothing here believes its input. */

#include "base/codec.h"

#define VARINT_SIZE_MAX 10

static void fail(struct reader *r)
{
    r->failed = true;
    r->left = BYTES_NONE;
}

struct bytes read_bytes(struct reader *r, size_t size)
{
    if (r->failed || size > r->left.size) {
        fail(r);
        return BYTES_NONE;
    }
    if (size == 0) {
        return BYTES_NONE;
    }
    const struct bytes taken = {r->left.data, size};
    r->left = bytes_after(r->left, size);
    return taken;
}

/* The next `size` bytes (at most 8) as a number, least significant first. */
static uint64_t read_little(struct reader *r, size_t size)
{
    const struct bytes b = read_bytes(r, size);
    uint64_t value = 0;
    for (size_t i = 0; i < b.size; i++) {
        value |= (uint64_t)b.data[i] << (8 * i);
    }
    return value;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_little(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_little(r, 2);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_little(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_little(r, 8);
}

uint64_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (size_t i = 0; i < r->left.size && i < VARINT_SIZE_MAX; i++) {
        const uint8_t byte = r->left.data[i];
        if (i == VARINT_SIZE_MAX - 1 && byte > 1) {
            break; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) != 0) {
            continue;
        }
        if (byte == 0 && i > 0) {
            break; /* a shorter form exists */
        }
        r->left = bytes_after(r->left, i + 1);
        return value;
    }
    fail(r);
    return 0;
}

int64_t read_svarint(struct reader *r)
{
    const uint64_t folded = read_varint(r);
    return (int64_t)((folded >> 1) ^ (0 - (folded & 1)));
}

struct bytes read_sized(struct reader *r)
{
    const uint64_t size = read_varint(r);
    if (size > r->left.size) {
        fail(r);
        return BYTES_NONE;
    }
    return read_bytes(r, (size_t)size);
}

static void put_little(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

void write_u8(struct buf *b, uint8_t value)
{
    buf_append_byte(b, value);
}

void write_u16(struct buf *b, uint16_t value)
{
    put_little(buf_extend(b, 2), value, 2);
}

void write_u32(struct buf *b, uint32_t value)
{
    put_u32(buf_extend(b, 4), value);
}

void write_u64(struct buf *b, uint64_t value)
{
    put_u64(buf_extend(b, 8), value);
}

void write_varint(struct buf *b, uint64_t value)
{
    while (value >= 0x80) {
        buf_append_byte(b, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buf_append_byte(b, (uint8_t)value);
}

void write_svarint(struct buf *b, int64_t value)
{
    const uint64_t sign = value < 0 ? UINT64_MAX : 0;
    write_varint(b, ((uint64_t)value << 1) ^ sign);
}

void write_sized(struct buf *b, struct bytes value)
{
    write_varint(b, value.size);
    buf_append(b, value);
}

void put_u32(uint8_t *at, uint32_t value)
{
    put_little(at, value, 4);
}

void put_u64(uint8_t *at, uint64_t value)
{
    put_little(at, value, 8);
}

uint32_t get_u32(const uint8_t *at)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        value |= (uint32_t)at[i] << (8 * i);
    }
    return value;
}

uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

void put_u64_be(uint8_t *at, uint64_t value)
{
    for (size_t i = 0; i < 8; i++) {
        at[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

uint64_t get_u64_be(const uint8_t *at)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}
