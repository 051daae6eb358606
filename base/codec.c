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

uint8_t read_u8(struct reader *r)
{
    const struct bytes b = read_bytes(r, 1);
    return b.size > 0 ? b.data[0] : 0;
}

uint16_t read_u16(struct reader *r)
{
    const struct bytes b = read_bytes(r, 2);
    return b.size > 0 ? (uint16_t)(b.data[0] | b.data[1] << 8) : 0;
}

uint32_t read_u32(struct reader *r)
{
    const struct bytes b = read_bytes(r, 4);
    return b.size > 0 ? get_u32(b.data) : 0;
}

uint64_t read_u64(struct reader *r)
{
    const struct bytes b = read_bytes(r, 8);
    return b.size > 0 ? get_u64(b.data) : 0;
}

static uint64_t read_long_varint(struct reader *r)
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

uint64_t read_varint(struct reader *r)
{
    if (r->left.size > 0 && r->left.data[0] < 0x80) { /* most are short */
        const uint8_t byte = r->left.data[0];
        r->left.data++;
        r->left.size--;
        return byte;
    }
    return read_long_varint(r);
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

void write_u8(struct buf *b, uint8_t value)
{
    buf_append_byte(b, value);
}

void write_u16(struct buf *b, uint16_t value)
{
    uint8_t *at = buf_extend(b, 2);
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
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
    uint8_t bytes[VARINT_SIZE_MAX];
    size_t size = 0;
    while (value >= 0x80) {
        bytes[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (uint8_t)value;
    buf_append(b, (struct bytes){bytes, size});
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
