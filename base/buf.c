/* The growing buffer. */

#include "base/buf.h"

#include <stdlib.h>

#include "base/must.h"

#define BUF_CAPACITY_MIN 64

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
    must(size <= SIZE_MAX / 4 && b->size <= SIZE_MAX / 4);
    if (b->size + size > b->capacity) {
        size_t capacity = b->capacity > 0 ? b->capacity * 2 : BUF_CAPACITY_MIN;
        while (capacity < b->size + size) {
            capacity *= 2;
        }
        b->data = xrealloc(b->data, capacity);
        b->capacity = capacity;
    }
    return b->data == NULL ? NULL : b->data + b->size;
}

uint8_t *buf_extend(struct buf *b, size_t size)
{
    uint8_t *begin = buf_reserve(b, size);
    b->size += size;
    return begin;
}

void buf_append(struct buf *b, struct bytes more)
{
    if (more.size > 0) {
        memcpy(buf_extend(b, more.size), more.data, more.size);
    }
}

void buf_append_byte(struct buf *b, uint8_t byte)
{
    *buf_extend(b, 1) = byte;
}

void buf_resize(struct buf *b, size_t size)
{
    if (size > b->size) {
        const size_t more = size - b->size;
        memset(buf_extend(b, more), 0, more);
    }
    b->size = size;
}
