/* The few protobuf messages that the load generator speaks: written and looked
 * at by hand, so that the client costs as little as can be. */

#include <stdio.h>

#include "base/codec.h"
#include "bench/load.h"

static void write_tag(struct buf *to, unsigned field, unsigned type)
{
    write_varint(to, field << 3 | type);
}

static void write_field(struct buf *to, unsigned field, struct bytes value)
{
    write_tag(to, field, 2);
    write_sized(to, value);
}

void load_write_number(struct buf *to, unsigned field, uint64_t value)
{
    if (value != 0) {
        write_tag(to, field, 0);
        write_varint(to, value);
    }
}

static void write_key(struct buf *to, unsigned field, uint64_t key)
{
    uint8_t text[LOAD_KEY_SIZE] = "key-";
    for (int i = LOAD_KEY_SIZE - 1; i >= 4; i--, key /= 10) {
        text[i] = (uint8_t)('0' + key % 10);
    }
    write_field(to, field, (struct bytes){text, sizeof text});
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >>= 7) {
        size++;
    }
    return size;
}

static size_t put_size(const struct load_put *put)
{
    const size_t value = put->value.size;
    return 2 + LOAD_KEY_SIZE + 1 + varint_size(value) + value +
           (put->lease == 0 ? 0 : 1 + varint_size((uint64_t)put->lease));
}

void load_write_put(struct buf *to, const struct load_put *put)
{
    write_key(to, 1, put->key);
    write_field(to, 2, put->value);
    load_write_number(to, 3, (uint64_t)put->lease);
}

void load_write_range(struct buf *to, uint64_t key, bool serializable)
{
    write_key(to, 1, key);
    load_write_number(to, 7, serializable);
}

/* A RequestOp in `success` that puts. */
static void write_put_op(struct buf *to, const struct load_put *put)
{
    const size_t size = put_size(put);
    write_tag(to, 2, 2);
    write_varint(to, 1 + varint_size(size) + size);
    write_tag(to, 2, 2);
    write_varint(to, size);
    load_write_put(to, put);
}

void load_write_txn(struct buf *to, const struct load_put *put)
{
    /* Compare: result GREATER, target VERSION, key, version -1 */
    write_tag(to, 1, 2);
    write_varint(to, 2 + 2 + LOAD_KEY_SIZE + 11);
    load_write_number(to, 1, 1);
    write_key(to, 3, put->key);
    load_write_number(to, 4, UINT64_MAX);
    write_put_op(to, put);
}

void load_write_fill(struct buf *to, uint64_t first, size_t count,
                     struct bytes value)
{
    for (size_t i = 0; i < count; i++) {
        write_put_op(to, &(struct load_put){first + i, value, 0});
    }
}

void load_write_watch(struct buf *to, uint64_t key)
{
    write_tag(to, 1, 2);
    write_varint(to, 2 + LOAD_KEY_SIZE);
    write_key(to, 1, key);
}

/* The next field of the top level; *ret_number of a varint, else 0. */
static bool next_field(struct reader *r, unsigned *ret_field,
                       uint64_t *ret_number)
{
    if (r->left.size == 0) {
        return false;
    }
    const uint64_t tag = read_varint(r);
    *ret_field = (unsigned)(tag >> 3);
    *ret_number = 0;
    if ((tag & 7) == 0) {
        *ret_number = read_varint(r);
    } else if ((tag & 7) == 2) {
        (void)read_sized(r); /* a failed reader is noticed below */
    } else {
        return false;
    }
    return reader_ok(r);
}

uint64_t load_number(struct bytes message, unsigned field)
{
    struct reader r = reader_of(message);
    uint64_t number, found = 0;
    unsigned at;
    while (next_field(&r, &at, &number)) {
        found = at == field ? number : found;
    }
    return found;
}

bool load_has_field(struct bytes message, unsigned field)
{
    struct reader r = reader_of(message);
    uint64_t number;
    unsigned at;
    while (next_field(&r, &at, &number)) {
        if (at == field) {
            return true;
        }
    }
    return false;
}
