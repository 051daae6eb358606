/* Protobuf's wire format. */

#include "proto/wire.h"

#define VARINT_SIZE_MAX 10
#define TAG_SIZE_MAX    5 /* of tags and lengths: 32 bits */
#define GROUP_END       4 /* the wire type */

/* Unlike base/codec.h's, need not be minimal: some encoders reserve room for a
 * length before they know it. */
static bool take_varint(struct bytes *left, size_t size_max, uint64_t *ret)
{
    if (left->size > 0 && left->data[0] < 0x80) {
        *ret = left->data[0];
        *left = bytes_after(*left, 1);
        return true;
    }
    const size_t end = left->size < size_max ? left->size : size_max;
    uint64_t value = 0;
    for (size_t i = 0; i < end; i++) {
        const uint8_t byte = left->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = value;
            *left = bytes_after(*left, i + 1);
            return true;
        }
    }
    return false;
}

static bool skip(struct bytes *left, size_t size)
{
    if (left->size < size) {
        return false;
    }
    *left = bytes_after(*left, size);
    return true;
}

static bool take_tag(struct bytes *left, uint64_t *ret)
{
    return take_varint(left, TAG_SIZE_MAX, ret) && *ret >> 3 != 0 &&
           *ret <= UINT32_MAX;
}

static bool take_plain(struct bytes *left, unsigned type,
                       struct wire_field *ret)
{
    uint64_t size;
    switch (type) {
    case WIRE_VARINT:
        return take_varint(left, VARINT_SIZE_MAX, &ret->value);
    case WIRE_64BIT:
        return skip(left, 8);
    case WIRE_32BIT:
        return skip(left, 4);
    case WIRE_BYTES:
        if (!take_varint(left, TAG_SIZE_MAX, &size) || size > left->size) {
            return false;
        }
        ret->bytes = (struct bytes){left->data, (size_t)size};
        return skip(left, (size_t)size);
    default:
        return false; /* the end of a group, and two types that are none */
    }
}

/* Up to the end of the group whose tag has been read, as etcd's decoder: only
 * that they are as many is looked at. */
static bool skip_group(struct bytes *left)
{
    struct wire_field ignored;
    size_t depth = 1;
    while (depth > 0) {
        uint64_t tag;
        if (!take_tag(left, &tag)) {
            return false;
        }
        const unsigned type = (unsigned)(tag & 7);
        if (type == WIRE_GROUP) {
            depth++;
        } else if (type == GROUP_END) {
            depth--;
        } else if (!take_plain(left, type, &ignored)) {
            return false;
        }
    }
    return true;
}

bool wire_next(struct wire_reader *r, struct wire_field *ret)
{
    struct bytes left = r->left;
    uint64_t tag;
    if (left.size == 0) {
        return false;
    }
    r->failed = true;
    if (!take_tag(&left, &tag)) {
        return false;
    }
    ret->number = (uint32_t)(tag >> 3);
    ret->type = (enum wire_type)(tag & 7);
    ret->bytes = BYTES_NONE;
    ret->value = 0;
    const unsigned type = (unsigned)(tag & 7);
    if (type == WIRE_GROUP ? !skip_group(&left)
                           : !take_plain(&left, type, ret)) {
        return false;
    }
    ret->size = r->left.size - left.size;
    r->left = left;
    r->failed = false;
    return true;
}

void wire_add_number(struct buf *b, uint32_t field, uint64_t value)
{
    const size_t size = wire_size_number(field, value);
    if (size > 0) {
        (void)wire_put_number(buf_extend(b, size), field, value);
    }
}

void wire_add_bytes(struct buf *b, uint32_t field, struct bytes value)
{
    if (value.size > 0) {
        wire_add_element(b, field, value);
    }
}

void wire_add_element(struct buf *b, uint32_t field, struct bytes value)
{
    uint8_t *at = buf_extend(b, wire_size_message(field, value.size));
    at = wire_put_message(at, field, value.size);
    if (value.size > 0) {
        memcpy(at, value.data, value.size);
    }
}

void wire_add_text(struct buf *b, uint32_t field, const char *value)
{
    wire_add_bytes(b, field, bytes_of(value));
}

size_t wire_begin(struct buf *b, uint32_t field)
{
    const uint64_t tag = (uint64_t)field << 3 | WIRE_BYTES;
    (void)wire_put_varint(buf_extend(b, wire_varint_size(tag)), tag);
    return b->size;
}

void wire_end(struct buf *b, size_t mark)
{
    must(mark <= b->size);
    const size_t size = b->size - mark;
    const size_t length_size = wire_varint_size(size);
    (void)buf_extend(b, length_size);
    memmove(b->data + mark + length_size, b->data + mark, size);
    (void)wire_put_varint(b->data + mark, size);
}
