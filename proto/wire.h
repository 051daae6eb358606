/* Protobuf's wire format by hand, for messages that are too many to go through
 * protobuf-c: reading without copies and writing straight into a buffer.
 *
 * Reading: a wire_reader walks the fields of one message; nothing beyond its
 * bytes is looked at, whatever they hold.
 *
 * Writing, for messages whose size is added up first: wire_size_*() say how
 * much, wire_put_*() write there and return the place behind.  As in proto3,
 * numbers and bytes that are zero or empty are left out; messages never are.
 * Writing, for small ones: wire_add_*() append to a buffer, and wire_begin()
 * and wire_end() put a message around what is appended between them.
 *
 * Threads: none; functions of their arguments.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "base/buf.h"
#include "base/must.h"

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64BIT = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3, /* deprecated: passed over as a whole */
    WIRE_32BIT = 5
};

/* --- reading --- */

struct wire_reader {
    struct bytes left;
    bool failed; /* what was left is not well formed */
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* WIRE_VARINT */
    struct bytes bytes; /* WIRE_BYTES; borrowed from the message */
    size_t size;        /* with tag and length */
};

static inline struct wire_reader wire_reader_of(struct bytes message)
{
    return (struct wire_reader){message, false};
}

/* The next field; false at the end, and (with r->failed) where there is none
 * that is well formed. */
bool wire_next(struct wire_reader *r, struct wire_field *ret);

/* --- writing what was measured --- */

static inline size_t wire_varint_size(uint64_t value)
{
    /* (bits - 1) / 7 + 1, for 1 to 64 bits */
    return (size_t)((63 - __builtin_clzll(value | 1)) * 9 + 73) / 64;
}

/* Of a tag; fields up to 15 take one byte. */
static inline size_t wire_tag_size(uint32_t field)
{
    return wire_varint_size((uint64_t)field << 3);
}

static inline size_t wire_size_number(uint32_t field, uint64_t value)
{
    return value == 0 ? 0 : wire_tag_size(field) + wire_varint_size(value);
}

/* Of a message, or of bytes that are there even when empty. */
static inline size_t wire_size_message(uint32_t field, size_t size)
{
    return wire_tag_size(field) + wire_varint_size(size) + size;
}

static inline size_t wire_size_bytes(uint32_t field, struct bytes b)
{
    return b.size == 0 ? 0 : wire_size_message(field, b.size);
}

static inline uint8_t *wire_put_varint(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *wire_put_number(uint8_t *at, uint32_t field,
                                       uint64_t value)
{
    if (value == 0) {
        return at;
    }
    at = wire_put_varint(at, (uint64_t)field << 3 | WIRE_VARINT);
    return wire_put_varint(at, value);
}

/* The tag and length of a message of `size` bytes, which come next. */
static inline uint8_t *wire_put_message(uint8_t *at, uint32_t field,
                                        size_t size)
{
    at = wire_put_varint(at, (uint64_t)field << 3 | WIRE_BYTES);
    return wire_put_varint(at, size);
}

static inline uint8_t *wire_put_bytes(uint8_t *at, uint32_t field,
                                      struct bytes b)
{
    if (b.size == 0) {
        return at;
    }
    at = wire_put_message(at, field, b.size);
    memcpy(at, b.data, b.size);
    return at + b.size;
}

/* --- writing what is small --- */

void wire_add_number(struct buf *b, uint32_t field, uint64_t value);
void wire_add_bytes(struct buf *b, uint32_t field, struct bytes value);
/* One element of a repeated field: there even when empty. */
void wire_add_element(struct buf *b, uint32_t field, struct bytes value);
void wire_add_text(struct buf *b, uint32_t field, const char *value);

/* Returns a mark for wire_end(), which moves what came between them by the
 * size of its length. */
size_t wire_begin(struct buf *b, uint32_t field);
void wire_end(struct buf *b, size_t mark);

#endif
